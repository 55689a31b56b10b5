# SPDX-License-Identifier: MIT
"""What comes out is what went in, whatever the type, shape and order."""

from __future__ import annotations

import numpy as np
import pytest

import tensoring as tr

ml_dtypes = pytest.importorskip("ml_dtypes")

PLAIN = ["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8", "c16"]
DESCRIBED = [">f4", ">i8", ">c16", "M8[ns]", "M8[D]", ">m8[s]", "S5", "U3", "V7", "g"]
SHAPES = [(), (1,), (7,), (3, 4), (0,), (2, 0, 3), (2, 3, 4, 5), (1,) * 16]


def filled(dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape, dtype=int)) * dtype.itemsize
    raw = np.random.default_rng(1).integers(0, 100, size, dtype=np.uint8)
    if dtype.kind == "b":
        raw &= 1
    return np.frombuffer(raw.tobytes(), dtype, count=-1 if size else 0).reshape(shape)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PLAIN + DESCRIBED)
def test_round_trip(queue: tr.ArenaQueue, name: str, shape: tuple[int, ...]) -> None:
    if name in ("U3", ">c16", "c16") and len(shape) == 16:
        pytest.skip("one long shape is enough")
    array = filled(np.dtype(name), shape)
    queue.send(array)
    got = queue.receive()
    assert same(got, array)
    assert got.flags.writeable


@pytest.mark.parametrize(
    "name",
    [
        "bfloat16",
        "float8_e3m4",
        "float8_e4m3",
        "float8_e4m3b11fnuz",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
    ],
)
def test_small_floats(queue: tr.ArenaQueue, name: str) -> None:
    if not hasattr(ml_dtypes, name):
        pytest.skip("this ml_dtypes does not have it")
    array = np.array([1, 2, 0.5, 4], getattr(ml_dtypes, name)).reshape(2, 2)
    queue.send(array)
    got = queue.receive()
    assert same(got, array)
    assert got.base.dtype_name == name


@pytest.mark.parametrize(
    "cut",
    [
        np.s_[::2],
        np.s_[::-1, ::3],
        np.s_[:, 1],
        np.s_[1:1],
        np.s_[..., None],
        np.s_[2, 3],
    ],
)
def test_strided(queue: tr.ArenaQueue, cut: object) -> None:
    array = np.arange(120.0).reshape(10, 12)[cut]
    queue.send(array)
    assert same(queue.receive(), np.ascontiguousarray(array).reshape(array.shape))


def test_broadcast_strides_of_zero(queue: tr.ArenaQueue) -> None:
    array = np.broadcast_to(np.arange(4.0), (3, 4))
    queue.send(array)
    assert same(queue.receive(), array.copy())


def test_fortran_order_stays(queue: tr.ArenaQueue) -> None:
    array = np.asfortranarray(np.arange(24.0).reshape(2, 3, 4))
    queue.send(array)
    got = queue.receive()
    assert got.flags.f_contiguous
    assert same(got, array)


def test_structured(queue: tr.ArenaQueue) -> None:
    dtype = np.dtype([("id", "<i8"), ("at", ">M8[us]"), ("v", "f4", (2, 3)), ("s", "S3")])
    array = filled(dtype, (5,))
    queue.send(array)
    assert same(queue.receive(), array)


def test_objects_are_refused(queue: tr.ArenaQueue) -> None:
    with pytest.raises(tr.ObjectError) as caught:
        queue.send(np.array([object()]))
    assert isinstance(caught.value, TypeError)


def test_too_many_dimensions_for_a_loan(queue: tr.ArenaQueue) -> None:
    with pytest.raises(ValueError, match="16"), queue.loan((1,) * 17):
        pass


def test_too_large_says_how_large(queue: tr.ArenaQueue) -> None:
    with pytest.raises(tr.TooLargeError, match="1048576"):
        queue.send(np.zeros(1 << 20))


def test_payload_is_aligned(queue: tr.ArenaQueue) -> None:
    queue.send({"a": np.zeros(3, "u1"), "b": np.zeros(5)})
    for array in queue.receive().values():
        assert array.ctypes.data % 64 == 0


def test_loan_is_filled_in_place(queue: tr.ArenaQueue) -> None:
    with queue.loan((64, 3), "float32") as x:
        assert x.dtype == np.float32
        x[...] = 1.5
    assert not x.flags.writeable
    got = queue.receive(0)
    assert got.shape == (64, 3)
    assert (got == 1.5).all()


def test_loan_of_named_arrays(queue: tr.ArenaQueue) -> None:
    with queue.loan({"x": ((2, 3), "f4"), "y": (4, "bfloat16")}, order="F") as loan:
        loan["x"][...] = 2
        loan["y"][...] = 3
    got = queue.receive(0)
    assert got["x"].flags.f_contiguous
    assert (got["x"] == 2).all()
    assert (got["y"] == 3).all()


def test_loans_of_equal_types_are_what_each_asks_for(queue: tr.ArenaQueue) -> None:
    packed = np.dtype("i4,i4")
    for dtype in (packed, np.dtype("i4,i4", align=True), packed):
        with queue.loan(5, dtype):
            pass
        assert queue.receive(0).dtype.isalignedstruct == dtype.isalignedstruct
    with queue.loan((5, 2), "f4"), queue.loan((5, 2), np.dtype("f4")):
        pass
    with pytest.raises(TypeError, match="metadata"):
        queue.loan((5, 2), np.dtype("f4", metadata={"unit": "m"}))
    with pytest.raises(TypeError, match="shape"):
        queue.loan((5.0, 2), "f4")


@pytest.mark.parametrize("inside", [False, True])
def test_fields_that_are_renamed(queue: tr.ArenaQueue, inside: bool) -> None:
    flat = np.zeros(3, "i4,f4")
    array = np.zeros(3, [("in", flat.dtype)]) if inside else flat
    names = array.dtype["in"] if inside else array.dtype
    for found in (("a", "b"), ("c", "d")):
        names.names = found
        for obj in (array, [array]):
            queue.send(obj)
            got = queue.receive(0)
            dtype = (got[0] if type(got) is list else got).dtype
            assert (dtype["in"] if inside else dtype).names == found


def test_loan_is_given_back_on_error(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    before = arena.stats()["totals"]["slots_free"]
    with pytest.raises(ZeroDivisionError), queue.loan(10) as x:
        x[0] = 1 / 0
    del x
    assert arena.stats()["totals"]["slots_free"] == before
    with pytest.raises(tr.Empty):
        queue.receive(0)


def test_wrong_use_is_refused(queue: tr.ArenaQueue) -> None:
    with pytest.raises(TypeError):
        queue.send()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        queue.send(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        queue.send(1, wait=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        queue.receive("soon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a number"):
        queue.receive(float("nan"))
