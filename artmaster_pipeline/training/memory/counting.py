"""Counting what tensors take, on PyTorch's `meta` device, where they have shapes and no bytes.

What the fused kernels of attention and the unpacking of 4-bit weights keep is put in their place, since `meta` has
neither.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

KEPT_BY_GLIBC = 2**20  # bytes: larger blocks go back to the system, see `process.give_memory_back`


@cache
def meter() -> Any:
    """A context that counts the bytes of all tensors made in it that are still there (`now`), and their `peak`.

    `small` are those of the peak in tensors of less than 1 MiB.
    """
    import weakref

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Meter(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.peak = self.small = self._small_now = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = {s._cdata for s in self._storages((args, kwargs))}  # views and what is changed in place are not new
            out = func(*args, **(kwargs or {}))
            for storage in self._storages(out):
                if storage._cdata not in given:
                    given.add(storage._cdata)
                    self._take(storage.nbytes())
                    weakref.finalize(storage, self._take, -storage.nbytes()).atexit = False
            return out

        def _take(self, size: int) -> None:
            self.now += size
            self._small_now += size if abs(size) < KEPT_BY_GLIBC else 0
            if self.now > self.peak:
                self.peak, self.small = self.now, self._small_now

        def _storages(self, tree: Any) -> Any:
            return (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))

    return Meter


@contextmanager
def fused_attention() -> Iterator[None]:
    """On `meta` PyTorch would take the attention apart; this keeps what its fused kernels keep."""
    import torch

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
            out = torch.empty_like(query)
            ctx.save_for_backward(query, key, value, out, torch.empty(query.shape[:-1], dtype=torch.float32))
            return out

        @staticmethod
        def backward(ctx: Any, _: Any) -> Any:
            return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])

    real = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = lambda query, key, value, **_: Attention.apply(query, key, value)
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = real


def unpack_when_used(transformer: Any) -> None:
    """Let linear layers make their whole weight whenever they need it, as bitsandbytes does with its 4 bits."""
    import torch

    class Unpacked(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any) -> Any:
            ctx.weight = weight
            return torch.nn.functional.linear(x, torch.empty_like(weight), bias)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad @ torch.empty_like(ctx.weight), None, None

    class Packed(torch.nn.Linear):
        def forward(self, x: Any) -> Any:
            return Unpacked.apply(x, self.weight, self.bias)

    for module in transformer.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = Packed
