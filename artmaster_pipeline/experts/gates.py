"""What a picture's gate is: how much each expert acts in each group of blocks, at each noise level, on each token.

By its share in the factors alone an expert has c = sum over factors of P[expert, factor] * weight(factor; group,
noise); these add up to one over the experts. A region map and weights per noise band say where and when an expert is
there at all, m between 0 and 1. The gate is then convex: g = c m / sum(c m) * min(1, sum(m)), so that it adds up to one
wherever experts are there in full, and where nobody is there the base draws. A gate that is not convex is c m as it is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from artmaster_pipeline.experts.factors import FACTORS, FactorMap

_NEARLY = 1e-6  # how far from one shares may add up


class Gate(BaseModel):
    """The gate of one picture; experts in the order of `shares`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    shares: dict[str, dict[str, float]] = Field(min_length=1)  # P: expert -> factor -> share; what is not said is 0
    factor_map: FactorMap
    # expert -> rows of image tokens, each between 0 and 1; an expert that is not named is there everywhere
    regions: dict[str, tuple[tuple[float, ...], ...]] = Field(default_factory=dict)
    # expert -> a number between 0 and 1 for each of the factor map's noise bands; not named: there in all
    bands: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    convex: bool = True

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        unknown = {factor for row in shares.values() for factor in row} - set(FACTORS)
        if unknown:
            raise ValueError(f"no factors: {', '.join(sorted(unknown))}; choose from {', '.join(FACTORS)}")
        return {expert: {factor: row.get(factor, 0.0) for factor in FACTORS} for expert, row in shares.items()}

    @model_validator(mode="after")
    def _fits(self) -> "Gate":
        if faults := [*self._faults_of_shares(), *self._faults_of_presence()]:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of_shares(self) -> list[str]:
        faults = [
            f"{expert} has the share {share:g} in {factor}"
            for expert, row in self.shares.items()
            for factor, share in row.items()
            if share < 0
        ]
        for factor in FACTORS if self.convex else ():
            whole = sum(row[factor] for row in self.shares.values())
            if abs(whole - 1) > _NEARLY:
                faults.append(f"the shares in {factor} add up to {whole:g} instead of 1")
        return faults

    def _faults_of_presence(self) -> list[str]:
        faults = []
        for what, given in (("a region", self.regions), ("noise bands", self.bands)):
            if strangers := sorted(set(given) - set(self.shares)):
                faults.append(f"{', '.join(strangers)} has {what} and no share")
        numbers = len(self.factor_map.noise_bands) - 1
        for expert, row in self.bands.items():
            if len(row) != numbers or min(row) < 0 or max(row) > 1:
                faults.append(f"{expert}'s noise bands are not {numbers} numbers between 0 and 1")
        shapes = {(len(rows), len(row)) for rows in self.regions.values() for row in rows}
        if self.regions and (len(shapes) != 1 or 0 in next(iter(shapes))):
            faults.append("the regions are not of one size")
        for expert, rows in self.regions.items():
            if any(not 0 <= value <= 1 for row in rows for value in row):
                faults.append(f"{expert}'s region has values that are not between 0 and 1")
        return faults

    @classmethod
    def weighted(cls, weights: Mapping[str, float], factor_map: FactorMap, **others: Any) -> "Gate":
        """The same weight of an expert in all factors."""
        shares = {expert: dict.fromkeys(FACTORS, float(weight)) for expert, weight in weights.items()}
        return cls(shares=shares, factor_map=factor_map, **others)

    @classmethod
    def uniform(cls, experts: Sequence[str], factor_map: FactorMap, **others: Any) -> "Gate":
        """All experts alike."""
        return cls.weighted(dict.fromkeys(experts, 1 / len(experts)), factor_map, **others)

    @property
    def experts(self) -> tuple[str, ...]:
        """The experts' names."""
        return tuple(self.shares)

    @property
    def token_grid(self) -> tuple[int, int] | None:
        """Rows and columns of image tokens that the regions are for; None where there are no regions."""
        return next(((len(rows), len(rows[0])) for rows in self.regions.values()), None)

    def band(self, sigma: float) -> int:
        """The noise band of `sigma`: the gate is the same at all noise levels of a band."""
        return self.factor_map.band(sigma)

    def at(self, sigma: float) -> dict[str, np.ndarray]:
        """Expert -> groups x image tokens, row after row; groups x 1 where no expert has a region."""
        weights = self.factor_map.weights(sigma)  # factors x groups
        own = np.array([[row[factor] for factor in FACTORS] for row in self.shares.values()]) @ weights
        present = self._present(self.band(sigma))  # experts x tokens
        gates = own[:, :, None] * present[:, None, :]
        if self.convex:
            whole = gates.sum(axis=0)
            gates = gates / np.where(whole > 0, whole, 1) * np.minimum(present.sum(axis=0), 1)
        return dict(zip(self.shares, gates, strict=True))

    @property
    def text_tokens(self) -> None:
        """None: text is nowhere in the picture, so it has the mean of the gates."""

    def text_at(self, sigma: float) -> dict[str, np.ndarray]:
        """Of nothing, as `text_tokens` says."""
        return {}

    def _present(self, band: int) -> np.ndarray:
        rows, columns = self.token_grid or (1, 1)
        everywhere = np.ones(rows * columns)
        return np.array(
            [
                np.reshape(self.regions.get(expert, everywhere), -1) * self.bands.get(expert, (1.0,) * (band + 1))[band]
                for expert in self.shares
            ]
        )

    def form(self) -> dict[str, Any]:
        """The gate for `records.identity` and a picture's facts: JSON-able, a region by its size, mean and hash."""
        said = self.model_dump(mode="json", exclude={"regions"})
        regions = {}
        for expert, rows in sorted(self.regions.items()):
            values = np.array(rows, dtype="<f8")
            digest = hashlib.sha256(values.tobytes()).hexdigest()
            regions[expert] = {
                "rows": len(rows),
                "columns": len(rows[0]),
                "mean": float(values.mean()),
                "sha256": digest,
            }
        return said | {"regions": regions}
