# SPDX-License-Identifier: MIT
"""The object in the body of a request, by content type. Nothing is unpickled."""

from __future__ import annotations

import codecs
import encodings.aliases
import io
import json
import math
import re
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tensoring._errors import FormatError
from tensoring._serial import builtin, formats, registry, sparse
from tensoring._serial.allowance import (
    MAX_EXPANSION,
    OBJECT_BYTES,
    allow,
    allowance,
    end,
)
from tensoring._serial.registry import Array
from tensoring._servers.sagemaker.errors import RequestError, unsupported
from tensoring._servers.sagemaker.headers import Media, media
from tensoring._servers.sagemaker.received import received, seems, shortened

Body: TypeAlias = bytes | str
_Decode: TypeAlias = Callable[[bytes, Media], Any]

# Those that Python has under many names, and that neither run long nor expand.
_CHARSETS = {
    *("utf-8", "utf-8-sig", "ascii", "utf-16", "utf-16-le", "utf-16-be"),
    *("utf-32", "utf-32-le", "utf-32-be", "big5", "euc_jp", "euc_kr", "shift_jis"),
    *("gb2312", "gbk", "gb18030", "koi8-r", "koi8-u"),
    *(f"iso8859-{one}" for one in range(1, 17)),
    *(f"cp125{one}" for one in range(9)),
}


_NAMES = {one.replace("-", "_") for one in _CHARSETS}
_NAMES.update(*encodings.aliases.aliases.items())


def _charset(name: str) -> str:
    """Python's name of it; "": it is unknown. Python keeps each spelling that it is asked
    for, so it is asked for few."""
    plain = encodings.normalize_encoding(name).lower()
    if plain not in _NAMES:
        return ""
    try:
        return codecs.lookup(plain).name
    except LookupError:  # of another system
        return ""


def is_text(kind: str) -> bool:
    """Whether bodies of this type are text, which functions of the user get as str."""
    return kind.startswith("text/") or kind in _TEXTS


def text_of(body: Body, about: Media) -> str:
    """The text of a body, in the charset that its content type names."""
    if isinstance(body, str):
        return body
    name = about.parameters.get("charset", "utf-8")
    charset = _charset(name)
    if charset not in _CHARSETS:
        raise unsupported(f"charset {name[:40]!r} is not known here; send UTF-8")
    try:
        return body.decode("utf-8-sig" if charset == "utf-8" else charset)
    except UnicodeError as error:
        raise FormatError(f"not {name}: {error}") from None


def _part(body: bytes) -> list[Array]:
    return [np.frombuffer(body, np.uint8)]


# ---- numbers


def _all_numbers(found: list[Any]) -> bool:
    """Whether a list, or its rows, have nothing but numbers. NumPy would make arrays of
    texts as well, each as long as the longest."""
    kinds = set(map(type, found))
    if kinds == {list}:
        return all(map(_all_numbers, found))
    return bool(kinds) and kinds <= {int, float, bool}


def _numbers(found: list[Any]) -> Any:
    """An array, if all of a list is numbers and in rows of one length."""
    if not _all_numbers(found):
        return found
    try:
        array = np.asarray(found)
    except ValueError:  # rows of several lengths
        return found
    return array if array.dtype.kind in "biuf" else found


def _json(body: bytes, about: Media) -> Any:
    found = formats.JSON.deserialize(_part(text_of(body, about).encode()))
    return _numbers(found) if isinstance(found, list) else found


def _json_lines(body: bytes, about: Media) -> Any:
    found = formats.JSON_LINES.deserialize(_part(text_of(body, about).encode()))
    return _numbers(found)


# *+ gives nothing back, so a long run of spaces is read once.
_EMPTY_CELL = re.compile(r',[ \t]*+(?:""[ \t]*+)?(?=[,\r\n]|\Z)')
_EMPTY_FIRST = re.compile(r'^[ \t]*+(?:""[ \t]*+)?(?=,)', re.M)
# What NumPy says, which counts rows from 0 here, and columns from 1.
_NO_NUMBER = re.compile(
    r"could not convert string (.+) to .* row (\d+), column (\d+)", re.S
)
_RAGGED = re.compile(r"number of columns changed from (\d+) to (\d+) at row (\d+)")


def _rows(text: str) -> Array:
    return np.loadtxt(
        io.StringIO(text),
        delimiter=",",
        comments=None,
        quotechar='"',
        ndmin=2,
        dtype=np.float64,
    )


def _said(error: ValueError) -> FormatError:
    """The same for people, without advice about NumPy."""
    text = str(error)
    if found := _NO_NUMBER.search(text):
        cell = found[1] if len(found[1]) <= 42 else f"{found[1][:40]}..."
        return FormatError(
            f"row {int(found[2]) + 1}, column {found[3]} is {cell}, and no number; a line"
            " of column names needs text/csv; header=present, and columns of text a"
            " function of your own (input_fn)"
        )
    if found := _RAGGED.search(text):
        before, here, row = found.groups()
        return FormatError(f"row {row} has {here} columns, those before it have {before}")
    return FormatError(text)


def _csv(body: bytes, about: Media) -> Array:
    """Rows of float64; an empty cell is NaN."""
    text = text_of(body, about)
    if about.parameters.get("header", "").lower() == "present":
        text = text.partition("\n")[2]
    if not text.strip():
        raise FormatError("it has no rows")
    try:
        try:
            return _rows(text)
        except ValueError as error:
            if "convert string ''" not in str(error):
                raise
        return _rows(_EMPTY_CELL.sub(",nan", _EMPTY_FIRST.sub("nan", text)))
    except ValueError as error:
        raise _said(error) from None


# ---- NumPy's files

_LARGEST_EMPTY = 1 << 24  # elements that it would have without its zeros
_MOST_ROWS = 1 << 24  # of a sparse matrix


def _check(array: Array) -> None:
    """FormatError if what NumPy makes of a file is more than was received, or less."""
    if not array.dtype.itemsize and array.size:
        # Nothing is received, and the model would have all of it made.
        raise FormatError(f"its elements have no bytes, and its shape is {array.shape}")
    if not array.size:
        _check_empty(array.shape)
    _check_letters(array)


def _check_empty(shape: tuple[int, ...]) -> None:
    """(1 << 40, 0) takes no byte, but the list of its rows does, and so do their sums."""
    rows = math.prod(shape[: shape.index(0)])
    allowance().spend(rows * OBJECT_BYTES, f"an empty array of shape {shape}")
    if math.prod(filter(None, shape)) > _LARGEST_EMPTY:
        raise FormatError(f"it is empty, and its shape is {shape}")


def _check_letters(array: Array) -> None:
    """FormatError if a text in it has what is no letter: NumPy does not check, and
    Python's own str would not be made of it."""
    for name in array.dtype.names or ():
        _check_letters(array[name])
    if array.dtype.kind == "U" and array.nbytes:
        numbers = np.ascontiguousarray(array).reshape(-1)
        codes = numbers.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise FormatError(
                f"it has letter {codes.max()}, the last is {sys.maxunicode}"
            )


def _npy(body: bytes, about: Media) -> Array:
    if not body.startswith(b"\x93NUMPY"):
        raise FormatError
    try:
        found = formats.load_npy(body)
    except FormatError as error:
        if "pickled" in str(error):
            raise FormatError(
                "the array holds Python objects, and so its file a pickle, which is never"
                " loaded here; send an array of numbers, as array.astype(float) makes it"
            ) from None
        raise
    _check(found)
    if found.dtype.kind in "US" and found.ndim == 0:
        raise FormatError(
            "the array is one text: NumpySerializer was given a str, and not an array;"
            " send a text with CSVSerializer or JSONSerializer"
        )
    return found


_SPARSE_ORDER = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}


def _sparse(found: dict[str, Array]) -> Any:
    """What scipy.sparse.save_npz() wrote."""
    layout = found["format"].item()
    layout = layout.decode("ascii", "replace") if isinstance(layout, bytes) else layout
    names = _SPARSE_ORDER.get(layout, ())
    if not names or set(names) - set(found):
        raise FormatError(f"a sparse matrix of format {layout!a:.40} without its arrays")
    kind = "array" if "_is_array" in found else "matrix"
    shape = found["shape"].tolist()
    if isinstance(shape, list) and shape and shape[0] > _MOST_ROWS:
        # Rows of coo, csc and dia take no byte; those of a prediction do.
        raise FormatError(f"a sparse matrix of {shape[0]} rows")
    head = [layout, f"{layout}_{kind}", shape]
    parts = [*_part(json.dumps(head).encode()), *(found[name] for name in names)]
    return sparse.SPARSE.deserialize(parts)


def _npz(body: bytes, about: Media) -> Any:
    if not body.startswith(b"PK"):
        raise FormatError
    found = formats.NPZ.deserialize(_part(body))
    for name, one in found.items():
        if not isinstance(one, np.ndarray):
            raise FormatError(f"{name!a:.80} in the archive is no .npy file")
        _check(one)
    if "format" in found and "shape" in found:
        return _sparse(found)
    return found


# ---- which of them


def _as_text(body: bytes, about: Media) -> str:
    return text_of(body, about)


def _as_bytes(body: bytes, about: Media) -> bytes:
    return body


_TEXTS = {
    "application/json",
    "application/jsonlines",
    "application/list-text",
    "application/x-text",
}
_DECODERS: dict[str, _Decode] = {
    "text/csv": _csv,
    "application/json": _json,
    "application/list-text": _json,
    "application/jsonlines": _json_lines,
    "application/x-npy": _npy,
    "tensor/pt": _npy,
    "application/x-npz": _npz,
    "text/plain": _as_text,
    "application/x-text": _as_text,
    "text/libsvm": _as_text,
    "text/x-libsvm": _as_text,
    "application/octet-stream": _as_bytes,
    "file-path/raw-bytes": _as_bytes,
    "application/x-recordio-protobuf": _as_bytes,
    "application/x-image": _as_bytes,
}
_EXPECTED = {
    "text/csv": "rows of numbers, separated by commas",
    "application/json": "JSON",
    "application/jsonlines": "one JSON value in each line",
    "application/x-npy": "an .npy file, which begins with \\x93NUMPY",
    "tensor/pt": "an .npy file, which begins with \\x93NUMPY (TorchTensorSerializer)",
    "application/x-npz": "an .npz file, which begins with PK",
}
_OPAQUE = ("image/", "audio/", "video/")
_OURS = {one.content_type for one in builtin.BUILT_IN}


def own_serializer(kind: str) -> registry.Serializer | None:
    """One that the user has registered."""
    for one in registry.registered():
        if one.content_type == kind and kind not in _OURS and not one.pickle:
            return one
    return None


def _decoder(kind: str) -> _Decode:
    found = _DECODERS.get(kind)
    if found is not None:
        return found
    if kind.startswith(_OPAQUE):
        return _as_bytes
    own = own_serializer(kind)
    if own is not None:
        return lambda body, about: own.deserialize(_part(body))
    known = ", ".join(_DECODERS)
    raise unsupported(
        f"Content-Type is {kind[:80]!r}; this endpoint reads {known}, and images, audio"
        " and video as bytes; others need a function of your own (input_fn)"
    )


def media_of(header: str) -> Media:
    """The content type of a request; RequestError (415) if it is none."""
    if not header.strip():
        return Media("", {})
    found = media(header)
    if found is None:
        raise unsupported(f"Content-Type is {header[:80]!r}; it must be like text/csv")
    return found


def _fails(kind: str, body: bytes, error: BaseException) -> RequestError:
    expected = _EXPECTED.get(kind, kind)
    text = str(error)
    reason = f": {shortened(text)}" if text else ""
    said = f"the body is not {kind}{reason}; {received(body)}; expected {expected}"
    found = seems(body)
    return RequestError(said if kind in found.types else f"{said}; {found.advice}")


def decode_as(body: Body, about: Media) -> Any:
    """The object in a body of this type."""
    if not about.type:
        raise unsupported(f"no Content-Type was sent; send one of {', '.join(_DECODERS)}")
    decoder = _decoder(about.type)
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    if isinstance(body, str):
        about = Media(about.type, {**about.parameters, "charset": "utf-8"})
    token = allow(len(raw), MAX_EXPANSION, False)
    try:
        if not raw and decoder not in (_as_text, _as_bytes):
            raise FormatError("it is empty")
        return decoder(raw, about)
    except (RequestError, MemoryError):
        raise
    except ImportError as error:
        raise unsupported(f"{about.type} needs a package here: {error}") from error
    except Exception as error:  # a serializer of the user's may raise anything
        raise _fails(about.type, raw, error) from None
    finally:
        end(token)


def decode(body: Body, content_type: str) -> Any:
    """The object in a body, by its content type, as application() reads requests where
    there is no input_fn:

    text/csv: rows of float64, shape (rows, columns); an empty cell is NaN.
    application/json, application/jsonlines: what it says; a list of numbers, or of rows
    of them, is an array.
    application/x-npy, tensor/pt: an array that looks into the body, read-only.
    application/x-npz: a dict of arrays, or a sparse matrix (needs SciPy).
    text/plain, text/libsvm: str. application/octet-stream, images and the like: bytes.

    Nothing is unpickled. RequestError says what was received, what was expected and what
    to send: status 400, or 415 for another content type."""
    return decode_as(body, media_of(content_type))
