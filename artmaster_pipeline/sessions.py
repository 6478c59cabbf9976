"""Models in memory: each is loaded once in a `with`, and after it its memory is free, on the GPU too.

`session` is for the small networks that a stage asks again and again; a base model has its own `with`
(`base_models.open_pipeline`).
"""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # PyTorch's words

_held: ContextVar[dict[Any, Any] | None] = ContextVar("models of the session", default=None)


@contextmanager
def session() -> Iterator[None]:
    """What `kept` loaders load inside is loaded once and let go at the end. Inside another session it is that one.

    Also a decorator, for a function that is a session as a whole.
    """
    if _held.get() is not None:
        yield
        return
    token = _held.set({})
    try:
        yield
    finally:
        loaded = bool(_held.get())
        _held.reset(token)
        if loaded:
            free_memory()


def kept(load: Callable[P, R]) -> Callable[P, R]:
    """Let a loader give one model for the same arguments as long as a session lasts; outside it loads each time."""

    @wraps(load)
    def get(*args: P.args, **kwargs: P.kwargs) -> R:
        held = _held.get()
        if held is None:
            return load(*args, **kwargs)
        key = (load, args, tuple(sorted(kwargs.items())))
        if key not in held:
            held[key] = load(*args, **kwargs)
        model: R = held[key]
        return model

    return get


def free_memory(let_go: "Sequence[weakref.ref[Any]] | None" = None) -> None:
    """Give back what models held that nobody names any more, on the GPU too.

    Networks may hold themselves by circles of references, so Python's collector is sent for them: half a second, which
    is spared where all that was `let_go` is gone already.
    """
    if let_go is None or any(model() is not None for model in let_go):
        gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: PyTorch's on CUDA and on the CPU, or Python's own."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    )
