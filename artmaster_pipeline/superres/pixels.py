"""Pixels: arrays, H x W x 3, in which pictures are cut and kept, and tensors, 3 x H x W, which are computed with."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def tensor_of(pixels: np.ndarray, device: Any = "cpu") -> "Tensor":
    """3 x H x W of H x W x 3, of the same type."""
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)  # whoever asked does not wait for it


def array_of(picture: "Tensor") -> np.ndarray:
    """H x W x 3 of 3 x H x W, of the same type."""
    return np.asarray(picture.permute(1, 2, 0).contiguous().cpu().numpy())


def fetching(picture: "Tensor") -> Callable[[], np.ndarray]:
    """Begin to fetch a picture from where it is computed; what is answered waits for it and gives it as `array_of`.

    On CUDA it is copied beside what is computed next.
    """
    import torch

    if picture.device.type != "cuda":
        fetched = array_of(picture)
        return lambda: fetched
    laid = picture.permute(1, 2, 0).contiguous()
    here = torch.empty(laid.shape, dtype=laid.dtype, pin_memory=True)
    beside = _stream_beside(picture.device)
    beside.wait_stream(torch.cuda.current_stream(picture.device))
    with torch.cuda.stream(beside):
        here.copy_(laid, non_blocking=True)
        copied = beside.record_event()
    laid.record_stream(beside)  # its memory is not given to another before it is copied

    def wait() -> np.ndarray:
        copied.synchronize()
        return np.asarray(here.numpy())

    return wait


@cache
def _stream_beside(device: Any) -> Any:
    import torch

    return torch.cuda.Stream(device)
