"""Which prompts fit nobody: those farther from every painter's captions than held-out captions are.

The distance is Mahalanobis' to the nearest painter's mean, with one covariance for all (Lee, Lee, Lee and Shin 2018,
https://arxiv.org/abs/1807.03888), shrunk towards a multiple of the identity as Ledoit and Wolf (2004,
https://doi.org/10.1016/S0047-259X(03)00096-4) do, since there are fewer captions than features. The threshold is the
distance that so large a share of the held-out captions keeps.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from artmaster_pipeline.experts.learned.network import Parameters


def known_texts(texts: "torch.Tensor", painters: "torch.Tensor", count: int) -> "Parameters":
    """Each painter's mean embedding and the inverse of their common covariance, from embeddings (n, features)."""
    import torch

    wide = texts.double()
    means = torch.stack([wide[painters == number].mean(0) for number in range(count)])
    inverse = torch.linalg.inv(_shrunk(wide - means[painters]))
    return {"known.means": means.float(), "known.inverse": inverse.float()}


def distances(parameters: "Parameters", texts: "torch.Tensor") -> "torch.Tensor":
    """The Mahalanobis distance of embeddings (n, features) to the nearest painter, (n,)."""
    import torch

    apart = texts[:, None] - parameters["known.means"][None]  # n, painters, features
    squares = torch.einsum("npf,fg,npg->np", apart, parameters["known.inverse"], apart)
    return squares.min(1).values.clamp_min(0).sqrt()


def threshold(held_out: "torch.Tensor", rejected: float) -> float:
    """The distance that all but a share `rejected` of the held-out captions' (n,) keep."""
    import numpy as np

    return round(float(np.quantile(held_out.numpy(), 1 - rejected, method="higher")), 5)


def _shrunk(centred: "torch.Tensor") -> "torch.Tensor":
    """Ledoit and Wolf's covariance of centred rows (n, features)."""
    import torch

    n, features = centred.shape
    covariance = centred.T @ centred / n
    scale = covariance.diagonal().mean().clamp_min(1e-12)
    target = scale * torch.eye(features, dtype=centred.dtype)
    far = (covariance - target).square().sum()
    # the mean over rows of |x x' - S|^2, by |x|^4 - 2 x' S x + |S|^2
    noise = centred.square().sum(1).square().mean() - covariance.square().sum()
    share = float((noise / n / far).clamp(0, 1)) if far > 0 else 1.0
    return (1 - share) * covariance + max(share, 1e-3) * target
