"""Constraints: steps that hold a network's pixels to the picture that they were made from, each by itself switchable.

Their order is fixed: colours first, then texture and grain, which change what only the enlarged picture has; last,
back-projection puts back what they and the network took from the original.
"""

from collections.abc import Sequence
from typing import get_args

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import Constraint
from artmaster_pipeline.superres.constraints.back_projection import BackProjection
from artmaster_pipeline.superres.constraints.colour import Colour
from artmaster_pipeline.superres.constraints.drift import drifted
from artmaster_pipeline.superres.constraints.falls import Falls, falls_in
from artmaster_pipeline.superres.constraints.grain import Grain
from artmaster_pipeline.superres.constraints.texture import Texture
from artmaster_pipeline.superres.constraints.tone import Tone
from artmaster_pipeline.superres.corrections import Correction

_NAMES: tuple[str, ...] = get_args(Constraint)

__all__ = ["Falls", "corrections_of", "drifted", "falls_in"]


def corrections_of(constraints: Sequence[str], falls: Falls | None = None) -> tuple[Correction, ...]:
    """The steps of these names, in their order; `falls` are the painter's own, see `falls_in`.

    Raises WrongUse for a name that is none.
    """
    if unknown := [name for name in constraints if name not in _NAMES]:
        raise WrongUse(f"{', '.join(map(repr, unknown))}: no constraint. Choose among {', '.join(_NAMES)}.")
    steps: dict[str, Correction] = {
        "tone": Tone(),
        "colour": Colour(),
        "texture": Texture(falls),
        "grain": Grain(falls),
        "back-projection": BackProjection(),
    }
    return tuple(steps[name] for name in _NAMES if name in constraints)
