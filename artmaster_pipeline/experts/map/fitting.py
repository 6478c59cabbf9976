"""phi and psi from a map: of each factor a weight for every group of blocks and one for every band of noise.

Of a factor's table of losses T (groups x bands), cells in which the map says nothing count as zero, and so does what is
below zero. The best rank-1 approximation of T in least squares is s u v', its first singular value and vectors (Eckart
and Young 1936, https://doi.org/10.1007/BF02288367); since no entry of T is negative, those of u and v are not either
(Perron and Frobenius), so it is the non-negative factorisation of rank 1, too (Lee and Seung 1999,
https://doi.org/10.1038/44565). phi is u and psi is v, each divided by its sum: a factor weighs as much as another in
the whole, and the map says where. How much of T this holds is s^2 over the sum of its squared entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.experts.factors import FACTORS, BlockGroup, FactorMap

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Fit:
    """One factor's weights, each row adding up to one, and the share of the table's squares that they hold."""

    phi: tuple[float, ...]
    psi: tuple[float, ...]
    explained: float


def fit(table: "np.ndarray", silent: "np.ndarray") -> Fit:
    """The rank-1 form of what is lost (groups x bands); `silent` cells count as zero.

    Where nothing is left all weigh the same, and nothing is explained.
    """
    import numpy as np

    heard = np.where(silent, 0.0, np.maximum(table, 0.0))
    groups, bands = heard.shape
    if not heard.any():
        return Fit((1 / groups,) * groups, (1 / bands,) * bands, 0.0)
    left, values, right = np.linalg.svd(heard)
    phi, psi = np.abs(left[:, 0]), np.abs(right[0])
    phi, psi = (tuple(round(float(value), 6) for value in row / row.sum()) for row in (phi, psi))
    return Fit(phi, psi, round(float(values[0] ** 2 / (heard**2).sum()), 5))


def factor_map(groups: tuple[BlockGroup, ...], noise_bands: tuple[float, ...], fits: Mapping[str, Fit]) -> FactorMap:
    """The factor map that the fits of all factors make."""
    return FactorMap(
        groups=groups,
        noise_bands=noise_bands,
        phi={factor: fits[factor].phi for factor in FACTORS},
        psi={factor: fits[factor].psi for factor in FACTORS},
    )
