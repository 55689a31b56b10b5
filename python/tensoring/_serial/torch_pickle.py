# SPDX-License-Identifier: MIT
"""torch's tensors in a pickle, their bytes out of band.

torch's own way puts them into the stream, the whole storage of each; multiprocessing's
way with torch shares the memory with the sender instead of copying it. Neither is what a
message does."""

from __future__ import annotations

import io
import sys
from pickle import PickleBuffer
from typing import Any


def _rebuild(
    buffer: Any,
    dtype: Any,
    shape: tuple[int, ...],
    order: tuple[int, ...] | None,
    requires_grad: bool,
) -> Any:
    import torch

    if 0 in shape:
        tensor = torch.empty(shape, dtype=dtype)
    else:
        tensor = torch.frombuffer(buffer, dtype=dtype).reshape(shape)
    if order is not None:
        tensor = tensor.permute(order)
    return tensor.requires_grad_() if requires_grad else tensor


def _is_plain(tensor: Any) -> bool:
    return (
        tensor.device.type == "cpu"
        and not tensor.is_quantized
        and not tensor.is_conj()
        and not tensor.is_neg()
        and not tensor.__dict__
        and not tensor._backward_hooks
    )


def packed(tensor: Any) -> tuple[Any, tuple[int, ...] | None]:
    """The tensor with its largest steps first, and how to bring its dimensions back."""
    if tensor.is_contiguous():
        return tensor, None
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    back = tuple(sorted(range(tensor.ndim), key=order.__getitem__))
    return tensor.permute(order).contiguous(), back


def _load_saved(saved: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(saved), weights_only=False)


def _reduce_sparse(torch: Any, tensor: Any) -> Any:
    # What a pickle alone makes of it stays in a list of torch's until the next load().
    stream = io.BytesIO()
    torch.save(tensor, stream)
    return _load_saved, (stream.getvalue(),)


def _reduce_tensor(tensor: Any) -> Any:
    torch = sys.modules["torch"]
    if tensor.layout is not torch.strided:
        return _reduce_sparse(torch, tensor)
    if not _is_plain(tensor):
        return tensor.__reduce_ex__(5)
    whole, order = packed(tensor.detach())
    raw = whole.reshape(-1).view(torch.uint8).numpy() if whole.numel() else b""
    shape = tuple(whole.shape)
    buffer = PickleBuffer(raw)
    return _rebuild, (buffer, tensor.dtype, shape, order, tensor.requires_grad)


def add_reducers(table: dict[type, Any]) -> None:
    """Replace those that torch gave to multiprocessing."""
    for kind, reducer in list(table.items()):
        if getattr(reducer, "__module__", None) == "torch.multiprocessing.reductions":
            del table[kind]
    table[sys.modules["torch"].Tensor] = _reduce_tensor
