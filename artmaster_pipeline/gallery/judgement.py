"""How an adapter was judged, as the pages tell it: read from the evaluation's panel.json and its verdicts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from artmaster_pipeline.axes import AXES
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.evaluation.verdicts import last_verdict
from artmaster_pipeline.records import PANEL, Verdict

_LEFT, _RIGHT = -0.25, 1.25  # the ends of the scale that scores are drawn on


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # the panel holds more than the pages show


class _AxisFigures(_File):
    score: float | None  # none where base and painter are no further apart than chance
    score_interval: tuple[float | None, float | None] = (None, None)


class _Memorisation(_File):
    suspects: int | None = None
    pictures: int | None = None


class _Panel(_File):
    axes: dict[str, _AxisFigures] = {}
    memorisation: _Memorisation = _Memorisation()
    counts: dict[str, int] = {}
    summary: str = Field("", validation_alias=AliasChoices("summary", "reading"))  # `reading` in earlier versions


@dataclass(frozen=True)
class Axis:
    """One axis of the panel: how near to works that were held out, 0 the base model, 1 the painter's own works."""

    name: str
    score: float | None
    interval: tuple[float, float] | None  # 95 %

    @staticmethod
    def place(score: float) -> float:
        """Where on the drawn scale a score stands, in per cent from its left end."""
        return round(100 * (min(max(score, _LEFT), _RIGHT) - _LEFT) / (_RIGHT - _LEFT), 1)


@dataclass(frozen=True)
class Judgement:
    """What the panel and the verdict say; `verdict` is None where the adapter has not been judged by the gate."""

    axes: tuple[Axis, ...]
    prompts: int | None
    suspects: int | None  # pictures suspiciously near to a work of the training set; None where nobody looked
    looked_at: int | None  # pictures that were compared with the training set
    summary: str
    verdict: Verdict | None


def read_judgement(evaluated: Path) -> Judgement:
    """The judgement in evaluation/<painter>/<adapter id>/.

    Raises ArtMasterError, naming the file and the field, where panel.json is missing or one of the two cannot be read.
    """
    panel = _read(evaluated / PANEL, _Panel)
    verdict = last_verdict(evaluated)
    axes = (_axis(name, panel.axes[name]) for name in sorted(panel.axes, key=_axis_order))
    copies = panel.memorisation
    prompts = panel.counts.get("prompts")
    return Judgement(tuple(axes), prompts, copies.suspects, copies.pictures, panel.summary, verdict)


def _axis(name: str, figures: _AxisFigures) -> Axis:
    low, high = figures.score_interval
    return Axis(name, figures.score, (low, high) if low is not None and high is not None else None)


def _axis_order(name: str) -> tuple[int, str]:
    return (AXES.index(name) if name in AXES else len(AXES)), name


def _read(file: Path, kind: type[Any]) -> Any:
    try:
        return kind.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ArtMasterError(f"{file} is missing: run the stage evaluation_grid again.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ArtMasterError(f"{file} is not as written ({faults}): run the stage evaluation_grid again.") from error
    except ValueError as error:
        raise ArtMasterError(f"{file} is not JSON ({error}): run the stage evaluation_grid again.") from error
