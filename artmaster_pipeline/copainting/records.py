"""A canvas as a person wrote it down: who paints which region, of what, how strongly, and what holds the structure."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from artmaster_pipeline.experts.mixes import Mix
from artmaster_pipeline.sample_painters.layout import Kind

MOST_REGIONS = 12

# What holds a picture's structure; "labels" is the label map itself, in the classes' colours.
SignalKind = Literal["edges", "soft-line", "sketch", "depth", "labels"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Hand(_Part):
    """Who paints a part of a canvas: one painter, or a mix of several."""

    painters: tuple[str, ...]  # slugs, in the order in which they were named
    mix: Mix | None = None  # none: one painter alone
    adapter: str = ""  # the id, where a person named one of the one painter's
    strength: float | None = Field(None, ge=0, le=1.5)  # none: as chosen for the adapter
    prompt: str = ""  # what this part shows; empty: what the canvas' prompt says


class RegionBinding(Hand):
    """A region of the canvas bound to who paints it."""

    id: str  # a slug, other than "ground"
    label: int = Field(ge=1, le=255)  # of the label map; of a mask, the number that the region has in `label_map`
    kind: Kind = "other"
    # factor -> 0..1, how much of it this hand has here; the rest is the ground's. What is not said is 1
    factors: dict[str, float] = Field(default_factory=dict)
    feather_px: float = Field(16.0, ge=0)  # the width of the soft border, in the canvas' pixels
    sigma_range: tuple[float, float] = (0.0, 1.0)  # the noise levels at which it acts; beyond them the ground does


class Control(_Part):
    """A structure signal that the picture has to keep to."""

    signal: SignalKind
    file: str = ""  # a PNG beside canvas.yaml; of "labels" empty: the canvas' own map
    sha256: str = ""
    scale: float = Field(0.7, ge=0, le=2)  # diffusers' controlnet_conditioning_scale
    until: float = Field(0.8, gt=0, le=1)  # diffusers' control_guidance_end: the share of the steps


class Canvas(_Part):
    """A canvas that was read and found to be without fault."""

    name: str  # a slug
    folder: str  # where canvas.yaml lies; no part of its identity
    size: tuple[int, int]  # width and height, in the profile's pixels; multiples of 64
    prompt: str
    seeds: tuple[int, ...]
    ground: Hand
    regions: tuple[RegionBinding, ...]
    labels_sha256: str  # of the label map as it was read: its pixels, whatever file or masks they are from
    control: tuple[Control, ...] = ()

    @property
    def painters(self) -> tuple[str, ...]:
        """Everyone who has a part, the ground's first."""
        return tuple(dict.fromkeys(p for hand in (self.ground, *self.regions) for p in hand.painters))

    def said(self) -> dict[str, object]:
        """What decides the picture, as JSON: all but the folder."""
        return self.model_dump(mode="json", exclude={"folder"})
