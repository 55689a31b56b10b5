# SPDX-License-Identifier: MIT
"""Our .npy reader and writer against NumPy's, both ways.

For every dtype, shape, order and version: what NumPy saves we read as the same array, and
the header that we write is what NumPy wrote. Then headers are damaged at random: what we
accept NumPy must read as the same array.
"""

import ast
import io
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings
from typing import Any

try:
    import numpy as np
    from numpy.lib import format as npy
except ImportError:
    print("NumPy is not installed")
    sys.exit(77)

try:
    import ml_dtypes

    NAMES = ("bfloat16", "float8_e4m3fn", "float8_e5m2")
    OURS = {name: np.dtype(getattr(ml_dtypes, name)) for name in NAMES}
except ImportError:
    OURS = {}

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]

F_ORDER, SWAPPED = 1, 4
CODES = {"b": 6, "i": 0, "u": 1, "f": 2, "c": 5}
PLAIN = (
    ["?", "i1", "u1"]
    + [k + s for k in "iu" for s in "248"]
    + ["f2", "f4", "f8", "c8", "c16"]
)
OPAQUE = [
    "S1", "S5", "S31", "S32", "S70000", "<U1", "<U7", ">U7", "<U20000", "V1", "V2", "V16",
    "V300", "longdouble", "clongdouble", "<f4,<i2", ">f8,<i2",
]  # fmt: skip
TIMES = [
    o + k for o in "<>" for k in ("M8[ns]", "m8[s]", "M8[D]", "m8[25us]", "M8", "M8[as]")
]
RECORDS: list[Any] = [
    [("a", "<f4"), ("b", ">i2", (2, 3))],
    [("x", [("y", "<f8"), ("z", "S3", (4,))]), ("t", "<M8[us]")],
    [("it's", "u1"), ('say "so"', "u1"), ("both ' and \"", "u1"), ("back\\slash", "u1")],
    [(("title", "name"), "<i4")],
    [("nested", [("a", "u1")], (2,)), ("pad", "V3")],
    [("é", "<i4"), ("ÿ", "<i4"), ("tab\t\x80\xad", "u1")],
    [("naïve", "<i4"), ("数", "<f4"), ("\U0001f600", "u1")],
    [(f"field_number_{i}", "<f8") for i in range(200)],
]  # fmt: skip
ALIGNED = np.dtype([("a", "u1"), ("b", "<f8"), ("c", "<i2")], align=True)
SHAPES = [
    (), (0,), (1,), (7,), (0, 3), (3, 0), (1, 5), (5, 1), (2, 3), (1, 1), (12, 10),
    (100, 200), (2, 1, 3), (3, 4, 5), (1, 2, 1, 3, 1), (2,) * 8, (1,) * 16,
    (1,) * 15 + (3,),
]  # fmt: skip


class Driver:
    """The C side: a line in, a line out."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, line: str) -> list[str]:
        assert self.process.stdin
        assert self.process.stdout
        assert "\n" not in line
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the driver ended at {line!r}"
        return answer.rstrip("\n").split(" ")


def expected_type(dtype: DType) -> tuple[int, int, int, int, str]:
    """What should become of a dtype: code, bits, lanes, flags, descr."""
    size = dtype.itemsize
    descr = repr(dtype.descr) if dtype.names is not None else dtype.str
    flags = SWAPPED if dtype.str[0] == ">" and dtype.names is None else 0
    if dtype.kind in "Mm":
        return 0, 64, 1, flags, descr
    if (
        dtype.names is None
        and dtype.kind in CODES
        and dtype.char not in "gG"
        and dtype.isbuiltin != 2
    ):
        return CODES[dtype.kind], 8 * size, 1, flags, descr if flags else ""
    if size <= 31:
        return 3, 8 * size, 1, flags, descr
    wide = next(n for n in range(1, 32) if size % n == 0 and size // n <= 65535)
    return 3, 8 * wide, size // wide, flags, descr


def check(
    driver: Driver, path: str, array: Array, version: tuple[int, int] | None
) -> None:
    """One array through both."""
    out = io.BytesIO()
    npy.write_array(out, array, version=version, allow_pickle=False)
    data = out.getvalue()
    with open(path, "wb") as file:
        file.write(data)
    answer = driver.ask("decode " + path)
    where = f"{array.dtype} {array.shape} {version}"
    assert answer[0] == "ok", f"{where}: {answer}"
    code, bits, lanes, flags, used, offset, nbytes, ndim = map(int, answer[1:9])
    shape = tuple(map(int, answer[9 : 9 + ndim]))
    descr = " ".join(answer[9 + ndim :])
    f_order = F_ORDER if array.flags.f_contiguous and not array.flags.c_contiguous else 0
    want = expected_type(array.dtype)
    assert (code, bits, lanes, descr) == (*want[:3], want[4]), (
        f"{where}: {answer}, want {want}"
    )
    assert flags == want[3] | f_order, f"{where}: flags {flags}"
    assert (shape, nbytes) == (array.shape, array.nbytes), f"{where}: {answer}"
    assert offset == len(data) - array.nbytes, f"{where}: data at {offset}"
    assert used == data[6] == (version or data[6:7])[0], f"{where}: {used}"
    # A view of the file as a reader of the slot makes it.
    dtype = array.dtype
    if descr and dtype.isbuiltin != 2:
        parsed: Any = ast.literal_eval(descr) if descr[0] == "[" else descr
        dtype = npy.descr_to_dtype(parsed)
    view = np.frombuffer(data, dtype, array.size, offset)
    view = view.reshape(shape, order="F" if flags & F_ORDER else "C")
    if dtype.names is None:
        assert view.tobytes() == array.tobytes(), where
    else:  # bytes between the fields are not copied by NumPy
        assert np.array_equal(view, array), where
    if version is None:
        line = f"encode {code} {bits} {lanes} {flags} {ndim} "
        line += "".join(f"{n} " for n in shape) + descr
        answer = driver.ask(line)
        assert answer[0] == "ok", f"{where}: {answer}"
        assert bytes.fromhex(answer[1]) == data[:offset], (
            f"{where}: {bytes.fromhex(answer[1])!r}"
        )
        if descr:
            again = driver.ask("dtype " + descr)
            assert again == ["ok", *map(str, (code, bits, lanes, flags & SWAPPED))], (
                f"{where}: {again}"
            )


def arrays(dtype: DType, rng: random.Random) -> list[Array]:
    """One array a shape and order, of random bytes."""
    made = []
    for shape in SHAPES if dtype.itemsize < 1000 else [(), (3,), (2, 2)]:
        count = int(np.prod(shape, dtype=np.int64))
        if dtype.kind in "US":
            flat = np.array(["ab"[: i % 3] for i in range(count)], dtype)
        elif dtype.names is not None:
            flat = np.frombuffer(
                bytes(i % 100 for i in range(count * dtype.itemsize)), dtype
            )
        else:
            flat = np.frombuffer(rng.randbytes(count * dtype.itemsize), dtype)
        if dtype.kind == "b":
            flat = np.frombuffer(rng.randbytes(count), "u1") > 127
        made.append(flat.reshape(shape))
        if len(shape) > 1:
            made.append(flat.reshape(shape, order="F"))
    return made


def only_ours(text: str) -> bool:
    """Types of other machines and of ml_dtypes; fields of no bytes or of one name."""
    names = re.findall(r"\('([^']*)'", text)
    return bool(re.search(r"'[<>|=]?(f1|f12|c24|[SUV]0)'", text)) or len(
        set(names)
    ) < len(names)


def damaged(rng: random.Random, text: str) -> str:
    """One to four small changes to a header, some of them harmless."""
    pieces = [*" L,'()[]01-_O>=\n\\x#ué\t", '"', "True", "None", "1.0", "'shape': (2,), "]
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text))
        kind = rng.randrange(4)
        if kind == 0:
            text = text[:at] + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + rng.choice(pieces) + text[at:]
        elif kind == 2:
            text = text[:at] + rng.choice(pieces) + text[at + 1 :]
        else:
            text = text.replace("(2,", rng.choice(["(2L,", "( 2 ,", "(2,1,", "(02,"]))
    return text


def check_damaged(
    driver: Driver, path: str, rounds: int, rng: random.Random
) -> tuple[int, int]:
    """What we accept NumPy reads as the same array. The reverse need not hold."""
    accepted = both = 0
    descrs = [
        "'<f4'",
        "'>i2'",
        "'|b1'",
        "'<M8[ns]'",
        "'<U3'",
        "'|S2'",
        "[('a', '<f4'), ('b', '|S3', (2,))]",
    ]
    for _ in range(rounds):
        keys = [
            f"'descr': {rng.choice(descrs)}",
            f"'fortran_order': {rng.random() < 0.5}",
            "'shape': (2, 3)",
        ]
        if rng.random() < 0.5:
            rng.shuffle(keys)
        text = damaged(rng, "{" + ", ".join(keys) + ", }")
        version = rng.randint(1, 3)
        header = text.encode("utf-8" if version == 3 else "latin-1", "replace")
        length = len(header).to_bytes(2 if version == 1 else 4, "little")
        data = b"\x93NUMPY" + bytes([version, 0]) + length + header + bytes(4096)
        with open(path, "wb") as file:
            file.write(data)
        answer = driver.ask("decode " + path)
        try:
            theirs = npy.read_array(io.BytesIO(data), allow_pickle=False)
        except Exception:  # of many kinds, also from the tokenizer
            theirs = None
        if answer[0] != "ok":
            both += theirs is None
            continue
        accepted += 1
        if theirs is None and only_ours(text):
            continue
        both += 1
        assert theirs is not None, f"accepted, NumPy refuses: {text!r}"
        order = F_ORDER if not theirs.flags.c_contiguous else 0
        if theirs.flags.c_contiguous and theirs.flags.f_contiguous:
            order = int(answer[4]) & F_ORDER  # the array cannot tell
        want = expected_type(theirs.dtype)
        ndim = int(answer[8])
        got = tuple(map(int, answer[1:4]))
        assert got == want[:3], f"{text!r}: {answer}"
        assert int(answer[4]) == want[3] | order, f"{text!r}: {answer}"
        assert tuple(map(int, answer[9 : 9 + ndim])) == theirs.shape, (
            f"{text!r}: {answer}"
        )
        assert int(answer[6]) == len(data) - 4096, f"{text!r}: {answer}"
    return accepted, both


def main() -> None:
    warnings.simplefilter("ignore")
    seed = int(os.environ.get("TR_SEED", "0")) or random.SystemRandom().randrange(
        1, 1 << 32
    )
    print(f"NumPy {np.__version__}, TR_SEED={seed}")
    rng = random.Random(seed)
    driver = Driver(sys.argv[1])
    count = 0
    dtypes = [np.dtype(o + t) for t in PLAIN for o in "<>"] + [
        np.dtype(t) for t in OPAQUE + TIMES
    ]
    dtypes += [np.dtype(t) for t in RECORDS] + [ALIGNED, *OURS.values()]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.npy")
        for dtype in dtypes:
            wide = dtype.names is not None and any(
                ord(c) > 255 for c in repr(dtype.descr)
            )
            for array in arrays(dtype, rng):
                versions = [None, (3, 0)] if wide else [None, (1, 0), (2, 0), (3, 0)]
                for version in versions if array.ndim < 3 else [None]:
                    check(driver, path, array, version)
                    count += 1
        with open(path, "wb") as file:
            np.save(file, np.array([None, {}]))
        assert driver.ask("decode " + path)[0] == "TR_EOBJECT"
        # DLPack's own word for what NumPy has no letter for.
        for name, code in (("bfloat16", "4 16"), ("float8_e4m3fn", "10 8")):
            if name in OURS:
                out = io.BytesIO()
                np.save(out, np.zeros((2, 0), OURS[name]))
                assert driver.ask(f"encode {code} 1 0 2 2 0 ") == [
                    "ok",
                    out.getvalue().hex(),
                ]
        accepted, both = check_damaged(driver, path, 2000, rng)
    print(f"{count} arrays of {len(dtypes)} dtypes both ways")
    print(f"{accepted} of 2000 damaged headers read, {both} judged as NumPy does")


if __name__ == "__main__":
    main()
