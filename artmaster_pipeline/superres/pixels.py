"""Pixels: arrays, H x W x 3, in which pictures are cut and kept, and tensors, 3 x H x W, which are computed with."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def tensor_of(pixels: np.ndarray, device: Any = "cpu") -> "Tensor":
    """3 x H x W of H x W x 3, of the same type."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).to(device)


def array_of(picture: "Tensor") -> np.ndarray:
    """H x W x 3 of 3 x H x W, of the same type."""
    return np.asarray(picture.permute(1, 2, 0).contiguous().cpu().numpy())
