# SPDX-License-Identifier: MIT
"""Serializers of the usual content types; the names are those of web services."""

from __future__ import annotations

import ast
import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from tensoring._errors import FormatError
from tensoring._serial.allowance import allowance
from tensoring._serial.registry import (
    FOREIGN,
    Array,
    Serializer,
    UnsupportedError,
    bytes_of,
    text_of,
)

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def _never(obj: Any) -> bool:
    return False  # only by As(obj, content_type)


def _flat_bytes(obj: Any) -> list[Any]:
    view = memoryview(obj)
    if not view.contiguous:
        return [view.tobytes()]
    return [view if view.ndim == 1 and view.format == "B" else view.cast("B")]


def utf8(text: str) -> bytes:
    """UnsupportedError if it holds half of a surrogate pair, as names of files may."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UnsupportedError(f"the text has no form in UTF-8: {error}") from None


BYTES = Serializer(
    "BS",
    "bytes",
    "application/octet-stream",
    lambda obj: type(obj) in (bytes, memoryview),
    _flat_bytes,
    bytes_of,
    kinds=(bytes, memoryview),
)
BYTEARRAY = Serializer(
    "BA",
    "bytearray",
    "application/x-bytearray",
    lambda obj: type(obj) is bytearray,
    _flat_bytes,
    lambda parts: bytearray(bytes_of(parts)),
    kinds=(bytearray,),
)
STRING = Serializer(
    "US",
    "string",
    "text/plain",
    lambda obj: type(obj) is str,
    lambda obj: [utf8(obj)],
    text_of,
    kinds=(str,),
)


# ---- JSON


_WORDS = frozenset((str, int, bool, type(None)))
_TEXT = frozenset((str,))
LONG = 64  # numbers of a list, that are faster as an array


def _is_number(obj: float) -> bool:
    """Not another NaN than the usual one."""
    return obj == obj or math.copysign(1, obj) > 0


def _is_json(obj: Any, met: set[int]) -> bool:
    """Whether JSON has a word for all of a list or dict: exact types, none of them
    twice, no long list of floats."""
    kind = type(obj)
    if kind not in (list, dict) or id(obj) in met:
        return False
    met.add(id(obj))
    if kind is list and len(obj) >= LONG and type(obj[0]) is type(obj[-1]) is float:
        return False  # a tree takes it as an array, in a tenth of the time
    if kind is dict and not set(map(type, obj)) <= _TEXT:
        return False
    for item in obj if kind is list else obj.values():
        kind = type(item)
        if kind in _WORDS or (kind is float and item == item):
            continue
        if not (_is_number(item) if kind is float else _is_json(item, met)):
            return False
    return True


def _can_be_json(obj: Any) -> bool:
    if type(obj) in _WORDS:
        return True
    try:
        return _is_json([obj] if type(obj) is float else obj, set())
    except RecursionError:
        return False


def _plain(obj: Any) -> Any:
    if isinstance(obj, (np.ndarray, np.generic)):
        return obj.tolist()
    raise UnsupportedError(f"{type(obj).__qualname__} has no form in JSON")


_ANY = json.JSONEncoder()
ACYCLIC = json.JSONEncoder(check_circular=False)


def json_of(obj: Any, encoder: json.JSONEncoder = _ANY) -> bytes:
    """UnsupportedError if it holds a number of too many digits, or a text that readers of
    JSON change: two halves of surrogates beside each other become one letter."""
    try:
        text = encoder.encode(obj)
    except ValueError as error:
        raise UnsupportedError(f"the value has no form in JSON: {error}") from None
    if "\\ud" in text:
        as_it_is = json.JSONEncoder(ensure_ascii=False, default=encoder.default)
        pair = _PAIR.search(as_it_is.encode(obj))
        if pair is not None:
            raise UnsupportedError(
                f"JSON would change the surrogates in a text: {pair[0]!a}"
            )
    return text.encode()


_decoder = json.JSONDecoder()


def _read_json(text: bytes) -> Any:
    """As json.loads(), but what we write, UTF-8 without white space around it, is read in
    half of the time."""
    try:
        found, end = _decoder.raw_decode(decoded := text.decode())
        if end == len(decoded):
            return found
    except ValueError:
        pass  # white space, UTF-16 and halves of surrogates are all its own
    return json.loads(text)


def _load_json(parts: list[Array]) -> Any:
    text = bytes_of(parts)
    allowance().read_json(text)
    try:
        return _read_json(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}") from None


_PLAIN = json.JSONEncoder(default=_plain)
JSON = Serializer(
    "JS",
    "json",
    "application/json",
    _can_be_json,
    lambda obj: [json_of(obj, _PLAIN)],
    _load_json,
    kinds=(dict, list, str, int, float, bool, type(None)),
)


def _json_lines(obj: Any) -> list[Any]:
    if isinstance(obj, str):
        return [utf8(obj)]
    return [b"\n".join(json_of(item, _PLAIN) for item in obj)]


def _load_json_lines(parts: list[Array]) -> Any:
    allowance().read_json(bytes_of(parts).replace(b"\n", b","))
    try:
        return [json.loads(line) for line in text_of(parts).splitlines() if line]
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON lines: {error}") from None


JSON_LINES = Serializer(
    "JL",
    "json lines",
    "application/jsonlines",
    _never,
    _json_lines,
    _load_json_lines,
    kinds=FOREIGN,
)


# ---- CSV and LIBSVM


def _rows(obj: Any) -> Iterable[Iterable[Any]]:
    if isinstance(obj, np.ndarray):
        return np.atleast_2d(obj).tolist()  # type: ignore[no-any-return]
    if hasattr(obj, "itertuples"):
        return obj.itertuples(index=False, name=None)  # type: ignore[no-any-return]
    rows = list(obj)
    return rows if rows and isinstance(rows[0], (list, tuple)) else [rows]


def _dump_csv(obj: Any) -> list[Any]:
    if isinstance(obj, str):
        return [utf8(obj)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_rows(obj))
    return [utf8(text.getvalue())]


def _load_csv(parts: list[Array]) -> list[list[str]]:
    allowance().read_csv(bytes_of(parts))
    try:
        return list(csv.reader(io.StringIO(text_of(parts))))
    except csv.Error as error:
        raise FormatError(f"not CSV: {error}") from None


CSV = Serializer("CS", "csv", "text/csv", _never, _dump_csv, _load_csv, kinds=FOREIGN)
LIBSVM = Serializer(
    "LS",
    "libsvm",
    "text/libsvm",
    _never,
    lambda obj: [utf8(obj)],
    text_of,
    kinds=FOREIGN,
)


# ---- .npy and .npz


def _dump_npy(obj: Any) -> list[Any]:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(obj), allow_pickle=False)
    return [stream.getbuffer()]


_MAX_HEADER = 10_000  # NumPy's own limit
_MEMBER_BYTES = 800  # of what zipfile keeps of a file in an archive
# The others take memory for what they say that they need, or more for each file.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}


def _npy_header(raw: memoryview) -> tuple[dict[str, Any], int]:
    """What the header of an .npy file says, and where the data begins."""
    if bytes(raw[:6]) != b"\x93NUMPY" or len(raw) < 10:
        raise FormatError("not an .npy file: it does not begin with \\x93NUMPY")
    version = (raw[6], raw[7])
    if version not in _LENGTH_BYTES:
        raise FormatError(f"an .npy file of version {version[0]}.{version[1]}")
    begin = 8 + _LENGTH_BYTES[version]
    length = int.from_bytes(raw[8:begin], "little")
    if length > _MAX_HEADER or begin + length > len(raw):
        raise FormatError(
            f"not an .npy file: a header of {length} bytes in {len(raw)},"
            f" the limit is {_MAX_HEADER}"
        )
    text = bytes(raw[begin : begin + length])
    said = ast.literal_eval(text.decode("utf-8" if version == (3, 0) else "latin-1"))
    if type(said) is not dict or set(said) != {"descr", "fortran_order", "shape"}:
        raise FormatError("not an .npy file: its header has other keys")
    return said, begin + length


def load_npy(data: Any) -> Array:
    """The array of an .npy file in memory, without a copy."""
    raw = memoryview(data).cast("B")
    try:
        said, begin = _npy_header(raw)
        dtype = np.lib.format.descr_to_dtype(said["descr"])
        if dtype.hasobject:
            raise FormatError("the .npy file holds pickled objects")
        order: Literal["C", "F"] = "F" if said["fortran_order"] else "C"
        return np.ndarray(said["shape"], dtype, raw, begin, order=order)
    except FormatError:
        raise
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise FormatError(f"not an .npy file: {error}") from None


def _load_npy(parts: list[Array]) -> Array:
    if len(parts) != 1:
        raise FormatError(f"one part expected, the message has {len(parts)}")
    return load_npy(parts[0])


NPY = Serializer(
    "NY", "npy", "application/x-npy", _never, _dump_npy, _load_npy, kinds=FOREIGN
)


def _dump_npz(obj: Any) -> list[Any]:
    stream = io.BytesIO()
    if hasattr(obj, "tocoo"):
        import scipy.sparse

        scipy.sparse.save_npz(stream, obj, compressed=False)
    else:
        arrays = obj if isinstance(obj, dict) else {"arr_0": np.asanyarray(obj)}
        np.savez(stream, allow_pickle=False, **arrays)
    return [stream.getbuffer()]


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    """One file of the archive, not a byte more than it says."""
    if info.compress_type not in _METHODS:
        raise FormatError(f"{info.filename!r} is compressed in another way than NumPy's")
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise FormatError(f"{info.filename!r} has another size than the archive says")
    return load_npy(data) if info.filename.endswith(".npy") else data


def _load_npz(parts: list[Array]) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(bytes_of(parts))) as archive:
            members = archive.infolist()
            whole = sum(info.file_size + _MEMBER_BYTES for info in members)
            allowance().spend(whole, f"an archive of {len(members)} files")
            return {
                info.filename.removesuffix(".npy"): _member(archive, info)
                for info in members
            }
    except FormatError:
        raise
    except Exception as error:  # zipfile and zlib have many ways to fail
        raise FormatError(f"not an .npz file: {error}") from None


NPZ = Serializer(
    "NZ", "npz", "application/x-npz", _never, _dump_npz, _load_npz, kinds=FOREIGN
)
