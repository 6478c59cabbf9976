"""How much memory each stage takes at its peak, part by part, before it runs; and what brings a training's down.

Nothing is guessed that can be counted: the base's own classes are built from their configurations on PyTorch's `meta`
device, where tensors have shapes and no bytes, wrapped as the trainer does it, and go through a step, forward and
backward. Each tensor counts from when it comes to be until it is gone, so the peak is that of the real order of things:
with gradient checkpointing, with the style constraint, with 4-bit weights that are unpacked layer by layer. Every
moment of a stage that takes something else is counted so, and the largest of them is the stage's peak.

Of the networks beside the base those that the hub gives count by their published sizes. Not counted: workspaces of
CUDA's libraries, and what its allocator loses between blocks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import Profile
from artmaster_pipeline.training.memory import drawing, networks
from artmaster_pipeline.training.memory.base import GIB, base_alone, encoders_size
from artmaster_pipeline.training.memory.process import around, library_baseline
from artmaster_pipeline.training.memory.step import resident_parts, step_parts

_SCAN = 300e6  # bytes: a scan of 100 megapixels in 8-bit RGB; curation works on what is cut out of it
_AUTHOR = 135e6 * 4 * 2  # bytes: SmolLM2's numbers in float32, and once more while its file is unpacked; an estimate
_SCAN_COPIES = 1.5  # of a scan's pixels that are there while it is decoded and cut; an estimate


@dataclass(frozen=True)
class Forecast:
    """The memory of a stage at its peak, in bytes by part, and what it does at that moment."""

    profile: Profile
    parts: dict[str, float]
    moment: str
    stage: str = "style_adapter"
    device: str = ""  # where it is taken: "cpu" or "cuda"; empty: the profile's

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(self.parts.values())

    def row(self) -> dict[str, str]:
        """One row of a table of stages."""
        where = "GPU" if self.device == "cuda" else "memory"
        return {"stage": self.stage, "takes": f"{self.total / GIB:.2f} GiB of {where}", "while": self.moment}

    def lines(self) -> list[tuple[str, str]]:
        """(part, GiB) from the largest on."""
        ordered = sorted(self.parts.items(), key=lambda part: -part[1])
        return [(name, f"{size / GIB:.2f} GiB") for name, size in ordered if size >= 0.005 * GIB]

    def advice(self) -> list[tuple[str, float]]:
        """(setting, bytes that it saves) for what brings the peak down, the largest saving first."""
        found = []
        for said, profile in _smaller(self.profile):
            saved = self.total - predict(profile).total
            if saved > 0.01 * self.total:
                found.append((said, saved))
        return sorted(found, key=lambda row: -row[1])


Moments = dict[str, dict[str, float]]


def forecast_stage(stage: str, profile: Profile) -> Forecast:
    """The forecast of a stage of the table, or of "generate" (a picture asked for, enlarged).

    Raises ArtMasterError where the base model's configuration is nowhere on this machine, WrongUse for another name.
    """
    if stage not in _STAGES:
        raise WrongUse(f"There is no forecast of {stage!r}: choose from {', '.join(_STAGES)}.")
    return _forecast(stage, profile)


def forecast_stages() -> tuple[str, ...]:
    """What `forecast_stage` knows, in the order of the work."""
    return tuple(_STAGES)


def predict(profile: Profile) -> Forecast:
    """The forecast of a training with a profile on its larger crop size.

    Raises ArtMasterError where the base model's configuration is nowhere on this machine.
    """
    return _forecast("style_adapter", profile)


@cache
def _forecast(stage: str, profile: Profile) -> Forecast:
    moments = _STAGES[stage](profile)
    moment = max(moments, key=lambda name: sum(moments[name].values()))
    parts = {name: size for name, size in moments[moment].items() if size}
    return Forecast(profile, parts, moment, stage, "cpu" if stage in _ON_THE_CPU else profile.device)


def _scans(_: Profile) -> Moments:
    libraries = {"Python and its libraries": library_baseline("artmaster_pipeline.scans.decoding")}
    return {"decoding a scan of 100 megapixels": libraries | {"the scan": _SCAN * _SCAN_COPIES}}


def _crops(_: Profile) -> Moments:
    libraries = {"Python and its libraries": library_baseline("artmaster_pipeline.curation.crops.cropping")}
    return {"cutting a scan of 100 megapixels": libraries | {"the scan": _SCAN * _SCAN_COPIES}}


def _dataset(profile: Profile) -> Moments:
    there = around(profile)
    moments = {"enlarging crops": there | networks.enlarging(profile)}
    if captioner := networks.captioning(profile):
        moments["describing pictures"] = there | captioner
    return moments


def _training(profile: Profile) -> Moments:
    there, resident, panel = around(profile), resident_parts(profile), _panel(profile)
    held = {name: size for name, size in panel.items() if name == "the panel's networks"}
    return {
        "a training step": there | resident | held | step_parts(profile),
        "drawing pictures on the way": there | resident | held | _drawn_on_the_way(profile),
        "reading the panel": there | resident | panel,
        "encoding texts": there | {"text encoders": encoders_size(profile)},
        "encoding pictures": there | drawing.encoding(profile),
    }


def _evaluation(profile: Profile) -> Moments:
    there, rows, panel = around(profile), profile.evaluation.batch_size, networks.judging_networks(profile)
    moments = {
        "encoding texts": there | {"text encoders": encoders_size(profile)},
        "drawing pictures": there | drawing.drawing(profile, rows),
        "decoding pictures": there | drawing.decoding(profile, rows),
        "reading the panel": there | panel,
    }
    if profile.evaluation.adherence == "denoising":  # the base itself reads, with nine prompts at once
        moments["reading prompts"] = there | panel | drawing.drawing(profile, _PROMPTS_READ)
    return moments


def _gallery(profile: Profile) -> Moments:
    return {"enlarging samples": around(profile) | networks.enlarging(profile)}


def _storyboards(profile: Profile) -> Moments:
    """The embedded author's language model; what another model takes is not known here."""
    return {"writing a storyboard": around(profile) | {"the author's model": _AUTHOR}}


def _gate(profile: Profile) -> Moments:
    """One expert after the other predicts the velocity of a picture."""
    there = around(profile)
    return {
        "encoding texts": there | {"text encoders": encoders_size(profile)},
        "encoding pictures": there | drawing.encoding(profile),
        "asking the experts": there | drawing.drawing(profile, 1),
    }


def _generate(profile: Profile) -> Moments:
    there, rows = around(profile), profile.evaluation.batch_size
    return {
        "encoding texts": there | {"text encoders": encoders_size(profile)},
        "drawing pictures": there | drawing.drawing(profile, rows),
        "decoding pictures": there | drawing.decoding(profile, rows),
        "enlarging pictures": there | networks.enlarging(profile),
    }


_PROMPTS_READ = 9  # a picture's own and eight others
_ON_THE_CPU = ("raw_scans", "curated_crops", "storyboards")
_STAGES: dict[str, Callable[[Profile], Moments]] = {
    "raw_scans": _scans,
    "curated_crops": _crops,
    "training_set": _dataset,
    "style_adapter": _training,
    "evaluation_grid": _evaluation,
    "sample_gallery": _gallery,
    "mixed_samples": _evaluation,
    "mixed_gallery": _gallery,
    "copaintings": _evaluation,
    "canvas_gallery": _gallery,
    "storyboards": _storyboards,
    "illustrated_stories": _evaluation,
    "story_books": _gallery,
    "expert_map": _evaluation,
    "expert_gate": _gate,
    "generate": _generate,
}


def _panel(profile: Profile) -> dict[str, float]:
    """Parts of the panel in small, where it chooses among the states of a training."""
    return networks.judging_networks(profile) if profile.training.validation.choose == "panel" else {}


def _drawn_on_the_way(profile: Profile) -> dict[str, float]:
    """Of pictures drawn with the adapter as it is, decoding takes most; it is done for a batch at once."""
    validation, rows = profile.training.validation, profile.evaluation.batch_size
    asked = max(validation.samples, validation.panel_samples if validation.choose == "panel" else 0)
    size = drawing.decoded_size(base_alone(profile), min(rows, asked))
    return {"pictures being decoded": float(size)}


def forecast_lines(forecast: Forecast) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """A forecast as rows of two tables: the parts with their sum, and the settings that bring it down."""
    parts = [{"part": name, "takes": size} for name, size in forecast.lines()]
    parts.append({"part": f"in all, while {forecast.moment}", "takes": f"{forecast.total / GIB:.2f} GiB"})
    ways = [{"setting": said, "saves": f"{saved / GIB:.2f} GiB"} for said, saved in forecast.advice()]
    return parts, ways


def _smaller(profile: Profile) -> Iterator[tuple[str, Profile]]:
    settings = profile.training

    def changed(**training: Any) -> Profile:
        return profile.model_copy(update={"training": settings.model_copy(update=training)})

    if not settings.gradient_checkpointing:
        yield "`gradient_checkpointing: true`", changed(gradient_checkpointing=True)
    if settings.batch_size > 1:
        half = settings.batch_size // 2
        more = settings.gradient_accumulation * settings.batch_size // half
        said = f"`batch_size: {half}` with `gradient_accumulation: {more}`"
        yield said, changed(batch_size=half, gradient_accumulation=more)
    if profile.evaluation.batch_size > 1:
        evaluation = profile.evaluation.model_copy(update={"batch_size": 1})
        yield "`evaluation: {batch_size: 1}`", profile.model_copy(update={"evaluation": evaluation})
    if settings.validation.choose == "panel":
        validation = settings.validation.model_copy(update={"choose": "last"})
        yield "`validation: {choose: last}` (nothing chooses among the kept states)", changed(validation=validation)
    if settings.semantic_guidance.direction_weight > 0 and settings.semantic_guidance.weight > 0:
        guidance = settings.semantic_guidance.model_copy(update={"direction_weight": 0.0})
        yield "`semantic_guidance: {direction_weight: 0}`", changed(semantic_guidance=guidance)
    if profile.device == "cuda" and profile.quantization is None:
        yield "`quantization: nf4` (the profile flux-dev-24gb)", profile.model_copy(update={"quantization": "nf4"})
    if settings.optimizer != "adamw8bit":
        yield "`optimizer: adamw8bit`", changed(optimizer="adamw8bit", learning_rate=2e-4)
    if settings.init_r >= 4:
        half = settings.init_r // 2
        yield f"`init_r: {half}`", changed(init_r=half, target_r=min(settings.target_r, half - 1))
