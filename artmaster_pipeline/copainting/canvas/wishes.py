"""What a person writes in canvas.yaml, part by part, before anybody asks what it means.

A part that is wrong is told with its faults and read again without them, so that what hangs on the rest is told too.
"""

from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from artmaster_pipeline.copainting.records import SignalKind
from artmaster_pipeline.experts.factors import FACTORS
from artmaster_pipeline.files import is_slug
from artmaster_pipeline.records import GROUND
from artmaster_pipeline.sample_painters.layout import Kind
from artmaster_pipeline.settings import faults_of

_LONGEST_PROMPT = 2000  # characters
_MOST_SEEDS = 16

Number = Annotated[float, Field(strict=True)]  # no "0.5" and no yes
Whole = Annotated[int, Field(strict=True)]
Text = Annotated[str, Field(max_length=_LONGEST_PROMPT)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("prompt", "mix", check_fields=False)
    @classmethod
    def _is_said_in_words(cls, text: str) -> str:
        text = " ".join(text.split())
        if not text.isprintable():
            raise ValueError("it holds a character that no text has")
        return text


class CanvasWish(_Part):
    """The canvas itself; the lists are read part by part."""

    prompt: Text = ""
    size: str = "512x512"
    seeds: tuple[Annotated[Whole, Field(ge=0, lt=2**63)], ...] = Field((0,), max_length=_MOST_SEEDS)
    labels: str = ""
    ground: Any = None
    control: Any = None
    regions: Any = None

    @field_validator("seeds")
    @classmethod
    def _is_a_picture(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds:
            raise ValueError("name one or more, a picture for each")
        if len(set(seeds)) < len(seeds):
            raise ValueError("one of them is named twice")
        return seeds


class HandWish(_Part):
    """Who paints a part: one painter, or a mix."""

    painter: str = ""
    mix: str = Field("", max_length=_LONGEST_PROMPT)
    strength: Number | None = Field(None, ge=0, le=1.5)
    prompt: Text = ""


class RegionWish(HandWish):
    """A region, and who paints it."""

    id: str = ""
    label: Whole | None = Field(None, ge=1, le=255)
    mask: str = ""
    kind: Kind = "other"
    factors: dict[str, Annotated[Number, Field(ge=0, le=1)]] = Field(default_factory=dict)
    feather_px: Number = Field(16.0, ge=0, le=512)
    sigma_range: tuple[Number, Number] = (0.0, 1.0)

    @field_validator("id")
    @classmethod
    def _is_a_name(cls, text: str) -> str:
        if text == GROUND:
            raise ValueError(f"{GROUND} is what no region covers: choose another name")
        if text and not is_slug(text):
            raise ValueError("use lower-case letters, digits and single hyphens between them")
        return text

    @field_validator("factors")
    @classmethod
    def _are_known(cls, said: dict[str, float]) -> dict[str, float]:
        for name in said:
            if name not in FACTORS:
                near = get_close_matches(name, FACTORS, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(FACTORS)}"
                raise ValueError(f"{name!r} is no factor; {hint}")
        return said

    @field_validator("sigma_range")
    @classmethod
    def _ascends(cls, said: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= said[0] < said[1] <= 1:
            raise ValueError("say two noise levels between 0 and 1, the lower one first")
        return said


class ControlWish(_Part):
    """A structure signal that the picture keeps to."""

    signal: SignalKind | None = None
    file: str = ""
    scale: Number = Field(0.7, ge=0, le=2)
    until: Number = Field(0.8, gt=0, le=1)


P = TypeVar("P", bound=_Part)


def read_part(kind: type[P], said: Any, what: str, faults: list[str]) -> P:
    """A part as it was said, without what is wrong with it; that is added to `faults`, and `what` names the part."""
    if not isinstance(said, dict):
        faults.append(f"{what}expected 'name: value' lines, and found {_kind_of(said)}")
        return kind()
    faults += [f"{what}{name!r} is no name of a setting" for name in said if not isinstance(name, str)]
    said = {name: value for name, value in said.items() if isinstance(name, str)}
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        faults += [f"{what}{fault}" for fault in faults_of(kind, error)]
        wrong = {fault["loc"][0] for fault in error.errors() if fault["loc"]}
        return kind.model_validate({name: value for name, value in said.items() if name not in wrong})


def read_list(said: Any, what: str, most: int, faults: list[str]) -> list[Any]:
    """The parts of a list, `most` of them; none where it is not said."""
    if said is None:
        return []
    if not isinstance(said, list):
        faults.append(f"{what}: expected a list, each part after a '- ', and found {_kind_of(said)}")
        return []
    if len(said) > most:
        faults.append(f"{what}: {len(said):,} of them, and {most} are the most")
    return said[:most]


def _kind_of(said: Any) -> str:
    kinds: dict[type, str] = {type(None): "nothing", dict: "'name: value' lines", list: "a list", str: "words"}
    return kinds.get(type(said), "a value")
