"""How a picture is drawn with an adapter, as one thing: said in a profile, kept in a record, asked for on a command.

What was not said of an older picture is what it was drawn with: the whole adapter, no true classifier-free guidance.
So only what differs from that is written down, and enters the ids of pictures.
"""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artmaster_pipeline.errors import WrongUse

if TYPE_CHECKING:
    from artmaster_pipeline.records import Adapter
    from artmaster_pipeline.settings import Profile

_SINCE = ("strength", "true_cfg_scale", "adapter_in_unguided")  # settings that older pictures know nothing of


class DrawingSettings(BaseModel):
    """What decides a picture besides prompt, seed, size and steps, in diffusers' words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    strength: float = Field(1.0, gt=0, le=1.5)  # of the adapter
    guidance_scale: float = Field(ge=0)  # as the pipeline's argument: of FLUX.1 the embedded guidance
    true_cfg_scale: float = Field(1.0, ge=1)  # away from the empty prompt, by a second pass in each step; 1: off
    adapter_in_unguided: bool = True  # whether the adapter is on in the pass without the prompt

    def further(self) -> dict[str, Any]:
        """What a picture drawn before there were these settings was not drawn with; empty where it was drawn so."""
        kinds = type(self).model_fields
        return {name: value for name in _SINCE if (value := getattr(self, name)) != kinds[name].default}

    def of_base(self) -> "DrawingSettings":
        """How the base is drawn beside it: what is said of the adapter left out."""
        return DrawingSettings(guidance_scale=self.guidance_scale, true_cfg_scale=self.true_cfg_scale)

    def at(self, strength: float) -> "DrawingSettings":
        """The same with the adapter at another strength, however large."""
        return self.model_copy(update={"strength": strength})

    def in_words(self) -> str:
        """The settings as part of a sentence."""
        said = [f"strength {self.strength:g}", f"guidance {self.guidance_scale:g}"]
        if self.true_cfg_scale > 1:
            said.append(f"true classifier-free guidance {self.true_cfg_scale:g}")
        if not self.adapter_in_unguided:
            said.append("the adapter off in the pass without the prompt")
        return ", ".join(said)


def drawing_of(adapter: "Adapter | None", profile: "Profile", **overrides: Any) -> DrawingSettings:
    """How pictures of an adapter (None: of the base, or of one in training) are drawn with a profile.

    `overrides` are settings by name; those that are None say nothing. They come first, then the profile where its
    `drawing` is "profile", then what was chosen for the adapter, last the profile's values. Profile and adapter each
    speak for all settings at once, since they are tried together. Raises WrongUse, naming every setting that cannot be.
    """
    how = profile.evaluation
    chosen = adapter.drawing if adapter is not None and how.drawing == "chosen" else None
    said = {name: getattr(how if chosen is None else chosen, name) for name in DrawingSettings.model_fields}
    said |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return DrawingSettings.model_validate({name: value for name, value in said.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(
            f"--{'-'.join(str(part) for part in fault['loc']).replace('_', '-')} {fault['input']}: {fault['msg']}"
            for fault in error.errors()
        )
        raise WrongUse(f"Pictures cannot be drawn like that: {faults}.") from error
