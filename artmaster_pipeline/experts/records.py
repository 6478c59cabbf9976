"""What is recorded of painters' adapters as experts: where their factors live, and who is to draw a prompt."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.experts.factors import FactorMap
from artmaster_pipeline.records import Record

Table = tuple[tuple[float, ...], ...]  # groups of blocks x noise bands
Ends = tuple[tuple[float | None, ...], ...]  # of intervals, None where there is no bound


class MapPicture(BaseModel):
    """A picture of a map: the base's, the whole adapter's, or one without a group of blocks in a noise band."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["base", "whole", "without"]
    group: int = 0  # of the factor map, as the next; of a picture `without`
    band: int = 0
    prompt: str
    seed: int
    path: str  # POSIX, below the painter's folder
    sha256: str


class ExpertMap(Record):
    """Where an adapter does what it does: what of its change is lost where groups of blocks are off in a noise band."""

    painter: str
    adapter_id: str
    adapter_sha256: str
    base_model: str
    base_revision: str
    profile: str
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]  # of each prompt
    drawing: DrawingSettings
    num_inference_steps: int
    factor_map: FactorMap  # fitted from `lost`
    # By factor. Shares of the adapter's change on the factor's axis: 1 where all of it goes with the part.
    lost: dict[str, Table]
    low: dict[str, Ends]  # of the 95 % intervals
    high: dict[str, Ends]
    moved: dict[str, Table]  # how far pictures moved in whatever direction, in lengths of the adapter's change
    explained: dict[str, float]  # of the squares of what was lost, by phi times psi
    scan_sha256s: tuple[str, ...]  # of the works by whose variety distances were measured, sorted
    pictures: tuple[MapPicture, ...]  # part by part, the same prompts and seeds in each

    def says_nothing(self, factor: str, group: int, band: int) -> bool:
        """Whether the interval of what is lost there contains zero, has no lower end, or lies below zero."""
        low = self.low[factor][group][band]
        return low is None or low <= 0

    @property
    def silent(self) -> dict[str, list[str]]:
        """By factor the parts of which the map says nothing, in words."""
        edges, groups = self.factor_map.noise_bands, self.factor_map.groups
        return {
            factor: [
                f"{group.name} at {edges[band]:g} to {edges[band + 1]:g}"
                for number, group in enumerate(groups)
                for band in range(len(edges) - 1)
                if self.says_nothing(factor, number, band)
            ]
            for factor in self.lost
        }

    def rows(self, factor: str) -> list[dict[str, str]]:
        """A factor's table in words, noise falling from left to right; in brackets where the map says nothing.

        With phi for each group of blocks, and psi for each band below.
        """
        edges, of = self.factor_map.noise_bands, self.factor_map
        bands = {f"{edges[band + 1]:g} to {edges[band]:g}": band for band in reversed(range(len(edges) - 1))}

        def said(group: int, band: int) -> str:
            value = f"{self.lost[factor][group][band]:.2f}"
            return f"({value})" if self.says_nothing(factor, group, band) else value

        rows = [
            {"factor": factor, "blocks": group.name}
            | {noise: said(number, band) for noise, band in bands.items()}
            | {"phi": f"{of.phi[factor][number]:.2f}"}
            for number, group in enumerate(of.groups)
        ]
        psi = {noise: f"{of.psi[factor][band]:.2f}" for noise, band in bands.items()}
        return [*rows, {"factor": factor, "blocks": "psi", **psi, "phi": ""}]


class ExpertGate(Record):
    """The network that shares a prompt out among painters: of whom, what it was taught by, and how good it is."""

    painters: tuple[str, ...]
    adapter_ids: tuple[str, ...]  # of each painter
    base_model: str
    base_revision: str
    profile: str
    path: str  # POSIX, the weights below the partition's folder
    sha256: str
    settings: dict[str, Any]
    captions: dict[str, int]  # painter -> different captions that taught it
    wordless: dict[str, int]  # painter -> pictures whose caption says the trigger word alone, and so teaches nothing
    scan_sha256s: tuple[str, ...]  # of the works whose captions or pictures taught or measured it, sorted
    held_out: int  # captions that measured it
    accuracy: float | None  # on those; none: there were none
    accuracy_interval: tuple[float | None, float | None]
    chance: float | None  # the share of the most frequent painter among them
    calibration_error: float | None  # expected calibration error on them, 0..1
    reliability: tuple[dict[str, float], ...]  # bins: low, high, captions, confidence, accuracy
    confusion: dict[str, dict[str, int]]  # painter -> whom the gate took it for -> captions
    temperature: float  # by which logits are divided, from validation captions; 1 where there were none
    threshold: float | None  # the distance beyond which a prompt fits nobody; none: nobody can say
    losses: dict[str, float]  # of denoising works that taught nothing: each expert, nobody, all alike, the gate

    @property
    def taught_with(self) -> dict[str, str]:
        """Painter -> the adapter's id."""
        return dict(zip(self.painters, self.adapter_ids, strict=True))
