"""Factors of a manner, and where in a transformer and at which noise level each of them lives.

A factor map says it as phi (factor x group of blocks) and psi (factor x noise band), neither of which is negative. The
weight of a factor in a group at a noise level is phi * psi over its sum for all factors, so weights add up to one.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from artmaster_pipeline.axes import Axis
from artmaster_pipeline.base_models.family import family_for
from artmaster_pipeline.errors import WrongUse

FACTORS = ("composition", "colour", "brush")
# the panel's axis of each
AXIS_OF: dict[str, Axis] = {"composition": "composition", "colour": "tone", "brush": "brushwork"}
NOISE_BANDS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_GROUPS = 9
_BLOCK = re.compile(r"(\w+)\.(\d+)\.")  # begins a layer's path: the list of blocks, the block's number
_AFTER_BLOCKS = ("norm_out", "proj_out")  # the transformer's own layers behind all blocks; the others are before them


class BlockGroup(BaseModel):
    """Neighbouring blocks of one list of the transformer's, from `first` to `last`, both of them in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    blocks: str  # the list's name in the transformer
    first: int = Field(ge=0)
    last: int = Field(ge=0)


def block_groups(transformer: Any, most: int = _MOST_GROUPS) -> tuple[BlockGroup, ...]:
    """The blocks of a loaded transformer in `most` groups or fewer, double ones first, in the order of a forward pass.

    Each list of blocks is cut into parts as even as can be, their number by its share in the depth: of FLUX.1-dev's 19
    double and 38 single blocks 3 and 6 groups.
    """
    lists = family_for(transformer).block_lists
    depths = {kind: len(getattr(transformer, blocks)) for kind, blocks in lists.items()}
    groups, left, below = [], most, sum(depths.values())
    for kind, depth in depths.items():
        parts = min(depth, max(1, round(left * depth / below))) if depth else 0
        left, below = left - parts, below - depth
        for part in np.array_split(np.arange(depth), parts) if parts else ():
            first, last = int(part[0]), int(part[-1])
            groups.append(BlockGroup(name=f"{kind} {first}-{last}", blocks=lists[kind], first=first, last=last))
    return tuple(groups)


class FactorMap(BaseModel):
    """How much each factor weighs in each group of blocks (phi) and in each noise band (psi)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    groups: tuple[BlockGroup, ...] = Field(min_length=1)
    noise_bands: tuple[float, ...] = NOISE_BANDS  # the edges between 0, no noise, and 1
    phi: dict[str, tuple[float, ...]]
    psi: dict[str, tuple[float, ...]]

    @model_validator(mode="after")
    def _fits(self) -> "FactorMap":
        faults = []
        edges = self.noise_bands
        if len(edges) < 2 or edges[0] != 0 or edges[-1] != 1 or any(low >= high for low, high in pairwise(edges)):
            faults.append(f"the noise bands' edges {edges} do not rise from 0 to 1")
        for name, table, length in (("phi", self.phi, len(self.groups)), ("psi", self.psi, len(edges) - 1)):
            if sorted(table) != sorted(FACTORS):
                faults.append(f"{name} is of {', '.join(table) or 'nothing'} instead of {', '.join(FACTORS)}")
            faults += [
                f"{name} of {factor} is no row of {length} numbers of 0 or more"
                for factor, row in table.items()
                if len(row) != length or min(row) < 0
            ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @classmethod
    def flat(cls, groups: Sequence[BlockGroup], noise_bands: Sequence[float] = NOISE_BANDS) -> "FactorMap":
        """The map that knows nothing: every factor weighs a third everywhere."""
        phi = {factor: (1.0,) * len(groups) for factor in FACTORS}
        psi = {factor: (1.0,) * (len(noise_bands) - 1) for factor in FACTORS}
        return cls(groups=tuple(groups), noise_bands=tuple(noise_bands), phi=phi, psi=psi)

    @classmethod
    def mean(cls, maps: Sequence["FactorMap"]) -> "FactorMap":
        """The map of several experts in one mix: the mean of their phi and of their psi, each row made to sum to one.

        Raises WrongUse where they are of different groups or bands.
        """
        first = maps[0]
        if any((a.groups, a.noise_bands) != (first.groups, first.noise_bands) for a in maps):
            raise WrongUse(
                "The experts' factor maps have different groups of blocks or noise bands, so they cannot be drawn "
                "from together: make them again with `artmaster experts map`."
            )

        def rows(tables: Sequence[Mapping[str, tuple[float, ...]]]) -> dict[str, tuple[float, ...]]:
            return {f: tuple(np.mean([_normed(table[f]) for table in tables], axis=0).tolist()) for f in FACTORS}

        phi, psi = rows([a.phi for a in maps]), rows([a.psi for a in maps])
        return cls(groups=first.groups, noise_bands=first.noise_bands, phi=phi, psi=psi)

    def band(self, sigma: float) -> int:
        """The number of the noise band that `sigma` is in; an edge belongs to the band below it."""
        inner = self.noise_bands[1:-1]
        return int(np.searchsorted(inner, sigma, side="left"))

    def weights(self, sigma: float) -> np.ndarray:
        """Factors x groups, each column adding up to one; where the map has no factor at all, all weigh a third."""
        band = self.band(sigma)
        raw = np.array([np.multiply(self.phi[factor], self.psi[factor][band]) for factor in FACTORS])
        whole = raw.sum(axis=0)
        return np.where(whole > 0, raw / np.where(whole > 0, whole, 1), 1 / len(FACTORS))


def group_of(layer: str, groups: Sequence[BlockGroup]) -> int:
    """The number of the group that a layer (its path in the transformer) is in.

    Layers before all blocks are in the first, those behind in the last. Raises WrongUse for a block of no group.
    """
    found = _BLOCK.match(layer)
    if found is None:
        return len(groups) - 1 if layer.startswith(_AFTER_BLOCKS) else 0
    for number, group in enumerate(groups):
        if group.blocks == found[1] and group.first <= int(found[2]) <= group.last:
            return number
    raise WrongUse(
        f"The factor map has no group with the block {found[1]}.{found[2]}: it is of another base model. "
        "Make it again with `artmaster experts map`."
    )


def _normed(row: Sequence[float]) -> np.ndarray:
    values = np.array(row)
    return values / (values.sum() or 1.0)
