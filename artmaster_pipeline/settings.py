"""Where things are (the data home), how big they are (profiles), and what a painter's folder says (painter.yaml)."""

import os
import re
import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from artmaster_pipeline.axes import Axis
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.filed import FILED
from artmaster_pipeline.files import check_slug, is_slug, write_text
from artmaster_pipeline.stages import (
    Kind,
    canvas_of,
    check_partition,
    filed_as,
    is_filed,
    judging_stage,
    kind_of,
    members,
    source_named,
    stage_named,
    story_of,
)
from artmaster_pipeline.yaml_text import read_yaml

DEFAULT_HOME = Path("assets_data")
DEFAULT_PROFILE = "miniature"
EMBEDDED_READER = "embedded-reader"  # the captioner that ships with the product
Constraint = Literal["tone", "colour", "texture", "grain", "back-projection"]  # module superres.constraints
EnlargingEngine = Literal["torch"]  # module superres.engines
CONSTRAINTS: tuple[Constraint, ...] = ("colour", "texture", "grain", "back-projection")  # unless others are named
CROP_SIZES = ((512, 512), (512, 768))  # width, height: the two shapes that every profile's pictures stand for


@dataclass(frozen=True)
class Home:
    """The data home: the folders of the stages, one folder per painter (set of painters, canvas, story) in each."""

    root: Path

    @classmethod
    def find(cls, chosen: Path | None = None) -> "Home":
        """`chosen`, else `$ARTMASTER_HOME`, else `assets_data/` below the working directory; always absolute.

        Raises WrongUse where that is a file, or a path with control characters, which DVC cannot version.
        """
        root = chosen or Path(os.environ.get("ARTMASTER_HOME") or DEFAULT_HOME)
        root = root.expanduser().resolve()
        if any(unicodedata.category(character) == "Cc" for character in str(root)):
            raise WrongUse(f"{str(root)!r} cannot be a data home: its path holds a line break or a control character.")
        if root.exists() and not root.is_dir():
            raise WrongUse(f"{root} is a file: a data home is a folder. Name another with --home or ARTMASTER_HOME.")
        return cls(root)

    def scans(self, painter: str) -> Path:
        """What the user put there, with painter.yaml, sidecar .txt files and an optional artworks.csv."""
        return self.root / "scans" / check_slug(painter)

    def stage_folder(self, stage: str, partition: str) -> Path:
        """The folder that a stage writes for one painter, one set of painters, one canvas, or one story."""
        return self.root / stage_named(stage).folder / check_partition(partition)

    def register(self, painter: str) -> Path:
        """The stage raw_scans: the manifest of usable scans, the quarantine, thumbnails."""
        return self.stage_folder("raw_scans", painter)

    def crops(self, painter: str) -> Path:
        """The stage curated_crops."""
        return self.stage_folder("curated_crops", painter)

    def training_set(self, painter: str) -> Path:
        """The stage training_set."""
        return self.stage_folder("training_set", painter)

    def adapters(self, painter: str) -> Path:
        """The stage style_adapter: one folder per adapter; manifest.jsonl names the current one."""
        return self.stage_folder("style_adapter", painter)

    def evaluation(self, partition: str) -> Path:
        """Where pictures are measured and judged: one folder per adapter or mix; manifest.jsonl lists the current ones.

        Of painters and sets evaluation/, of a canvas or a story the folder of the stage that paints it.
        """
        return self.stage_folder(judging_stage(partition), partition)

    def gallery(self, painter: str) -> Path:
        """The stage sample_gallery: a static site."""
        return self.stage_folder("sample_gallery", painter)

    def canvas(self, slug: str) -> Path:
        """What a person put there: canvas.yaml and its maps."""
        return self.filed_folder(canvas_of(slug))

    def story(self, slug: str) -> Path:
        """What a person put there, or `artmaster story new`: wish.yaml, story.yaml, or both."""
        return self.filed_folder(story_of(slug))

    def filed_folder(self, partition: str) -> Path:
        """The folder of a canvas or a story, with the file that says who paints it."""
        return self.root / FILED[kind_of(partition)].folder / source_named(partition)

    def resolved_settings(self, partition: str) -> Path:
        """What each stage of a partition uses of painter.yaml, the profile and the like, as a file for DVC."""
        return self.root / "settings" / f"{check_partition(partition)}.yaml"

    @property
    def cache(self) -> Path:
        """What can be made again and is not versioned: latents, checkpoints of unfinished trainings."""
        return self.root / ".cache"

    @property
    def dagster(self) -> Path:
        """Dagster's own storage (DAGSTER_HOME) for this data home."""
        return self.root / ".dagster"

    def painters(self) -> tuple[str, ...]:
        """The slugs of all painters with a folder below scans/, sorted."""
        scans = self.root / "scans"
        if not scans.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in scans.iterdir() if entry.is_dir() and is_slug(entry.name)))

    def canvases(self) -> tuple[str, ...]:
        """The partitions of all canvases below canvases/, sorted."""
        return self.filed("canvas")

    def stories(self) -> tuple[str, ...]:
        """The partitions of all stories below stories/, sorted."""
        return self.filed("story")

    def filed(self, *kinds: Kind) -> tuple[str, ...]:
        """The partitions of all canvases and stories that are there (or of one of these kinds), each kind's sorted."""
        return tuple(
            filed_as(kind, slug)
            for kind, of in FILED.items()
            if not kinds or kind in kinds
            for slug in of.slugs(self.root / of.folder)
        )

    def members(self, partition: str) -> tuple[str, ...]:
        """The painters of a partition: one, those of a set, or those whom a canvas' or a story's file names, sorted.

        Raises WrongUse where that file is not there or cannot be read.
        """
        if is_filed(partition):
            return FILED[kind_of(partition)].painters(self.filed_folder(partition))
        return members(partition)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingStage(_Settings):
    """A part of a training: which noise levels, crops and layers it works on, how fast, for how many of the steps."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    share: float = Field(gt=0, le=1)  # of the steps
    sigmas: tuple[float, float] = (0.0, 1.0)  # noise levels are drawn within; high ones decide tone and composition
    sizes: tuple[Literal["512x512", "512x768"], ...] = Field(("512x512", "512x768"), min_length=1)
    learning_rate: float | None = Field(None, gt=0)  # none: the training's
    layers: tuple[Literal["double", "single", "attention", "feed_forward"], ...] = ()  # of any of these; empty: all

    @model_validator(mode="after")
    def _sigmas_ascend(self) -> "TrainingStage":
        low, high = self.sigmas
        if not 0 <= low < high <= 1:
            raise ValueError("sigmas must be two noise levels between 0 and 1, the lower one first")
        return self


class StyleConstraintSettings(_Settings):
    """The auxiliary loss on feature statistics, see `training/losses/style_constraint.py`."""

    weight: float = Field(0.0, ge=0)  # 0: off
    max_sigma: float = Field(0.6, gt=0, le=1)  # above it a predicted clean latent is a blur without brushwork


GUIDANCE_PROMPTS = (
    "a house in a garden",
    "a street in a town by day",
    "a castle above a valley in winter",
    "ships in a harbour at dusk",
    "horses in a field in summer",
    "a cat on a wall",
    "a portrait of an old man",
    "two women on a road at night",
    "a forest in autumn",
    "an island in the sea at dawn",
    "a farm under snow",
    "a still life with fish",
)


class SemanticGuidanceSettings(_Settings):
    """What the adapted model must keep of what the base's words mean, see `training/losses/semantic_guidance.py`."""

    weight: float = Field(0.0, ge=0)  # of answering like the base where the trigger is not said; 0: off
    direction_weight: float = Field(0.0, ge=0)  # of keeping the difference that other words make where it is; 0: off
    every: int = Field(2, gt=0)  # steps; each time costs about two more forward passes
    min_sigma: float = Field(0.5, ge=0, lt=1)  # below it the words decide little of a prediction
    prompts: tuple[str, ...] = Field(GUIDANCE_PROMPTS, min_length=2)  # not those that the evaluation asks for


VALIDATION_PROMPTS = (
    "a village by a river",
    "islands in still water",
    "a traveller under tall trees",
    "geese above reeds",
    "layered mountains",
    "a pine beside a rock",
)


class ValidationSettings(_Settings):
    """What is watched while an adapter is trained, and which of its states is kept. Works of `validate` only."""

    loss_every: int = Field(50, gt=0)  # steps between losses over the validation works, at the same sigmas and noise
    sigmas: tuple[float, ...] = Field((0.1, 0.3, 0.5, 0.7, 0.9), min_length=1)
    samples_every: int = Field(100, gt=0)  # steps between pictures with the same prompts and seeds
    samples: int = Field(3, ge=0)
    choose: Literal["panel", "last"] = "panel"  # which kept state becomes the adapter: the panel's best, or the last
    panel_samples: int = Field(12, gt=1)  # pictures that the panel compares with the validation works
    far_prompts: tuple[str, ...] = VALIDATION_PROMPTS  # for the loss of adherence; not those of the final evaluation
    patience: int | None = Field(
        None, gt=0
    )  # stop after so many kept states in a row without a better one; none: never
    # The ways of drawing of which the panel chooses one for the adapter, and how many pictures each is judged by.
    drawings: tuple[DrawingSettings, ...] = Field((), exclude_if=lambda ways: not ways)
    drawing_samples: int = Field(8, gt=1, exclude_if=lambda count: count == 8)


_WARM_SHARE = 0.5  # not measured: half, as what was learnt before is there already


class TrainingSettings(_Settings):
    """How an adapter is trained. Words and defaults follow diffusers, PEFT and the recipe the product began with."""

    # what is trained
    adapter: Literal["adalora", "lora"] = "adalora"  # lora: every layer keeps target_r, for comparison
    init_r: int = Field(16, gt=1)
    target_r: int = Field(8, gt=0)  # average rank per layer at the end
    lora_alpha: int = Field(16, gt=0)  # equal to init_r: the change enters with weight 1
    # for how long, on what
    learning_rate: float = Field(2e-4, gt=0)
    epochs: int = Field(15, gt=0)
    repeats: int = Field(10, gt=0)  # how often each picture is shown in an epoch
    batch_size: int = Field(1, gt=0)  # pictures of one size that go through the model together
    gradient_accumulation: int = Field(1, gt=0)  # batches in a step: a larger batch in the memory of a small one
    max_steps: int | None = Field(None, gt=0)  # an upper bound on the optimizer's steps, for machines without a GPU
    # Start from the painter's last adapter instead of the base alone, for that share of the steps.
    warm_start: bool = Field(False, exclude_if=lambda on: not on)
    warm_start_share: float = Field(_WARM_SHARE, gt=0, le=1, exclude_if=lambda share: share == _WARM_SHARE)
    stages: tuple[TrainingStage, ...] = ()  # one after the other; empty: all of it at once
    # AdaLoRA's budget
    warmup_share: float = Field(0.1, ge=0, lt=1)  # tinit: share of the steps before ranks are pruned
    settle_share: float = Field(0.3, ge=0, lt=1)  # tfinal: share of the steps after the last pruning
    allocate_every: int = Field(10, gt=0)  # deltaT, steps
    beta1: float = Field(0.85, gt=0, lt=1)  # smoothing of the importance; AdaLoRA's authors' value, as the next two
    beta2: float = Field(0.85, gt=0, lt=1)
    orth_reg_weight: float = Field(0.1, ge=0)
    # the optimizer
    optimizer: Literal["adamw", "adamw8bit", "prodigy"] = "adamw"  # 8 bit: a quarter of the moments' memory
    lr_scheduler: Literal["constant", "cosine"] = "constant"  # AdaLoRA's budget already ends in a settling phase
    lr_warmup_share: float = Field(0.0, ge=0, lt=1)  # of the steps; E starts at zero, so the first steps are small
    weight_decay: float = Field(1e-2, ge=0)  # AdamW's own default
    max_grad_norm: float = Field(1.0, gt=0)  # diffusers' default: one odd picture cannot throw the adapter
    ema_decay: float | None = Field(
        None, gt=0, lt=1
    )  # of the weights; none: costs a copy and helps long trainings only
    # the loss
    timestep_sampling: Literal["uniform", "logit_normal", "shifted"] = "shifted"  # shifted: as FLUX draws at this size
    guidance_scale: float = Field(1.0, ge=0)  # what guidance-embedded models are told while training
    caption_dropout: float = Field(0.0, ge=0, lt=1)  # share of the pictures of which the trigger alone is said
    # seals, inscriptions and damage do not count in the loss: what is no brushwork of a picture is not learned as such
    leave_out_marks: bool = Field(True, exclude_if=lambda on: on)
    masked_loss: bool = False  # style is in the background too, so the whole picture counts
    unmasked_weight: float = Field(0.1, ge=0, le=1)  # of the background, where masked_loss is on
    style_constraint: StyleConstraintSettings = StyleConstraintSettings()
    semantic_guidance: SemanticGuidanceSettings = SemanticGuidanceSettings()
    # what is kept
    strength: float = Field(1.0, gt=0, le=1)  # share of the trained change that is kept: trades style for less drift
    checkpoint_every: int = Field(100, gt=0)  # steps
    checkpoints: int = Field(3, ge=0)  # earlier states kept beside the adapter, evenly spaced; stage ends are kept, too
    validation: ValidationSettings = ValidationSettings()
    # the machine
    gradient_checkpointing: bool = False  # half of the memory for a third more time
    compile_blocks: bool = False  # torch.compile for every block: pays from some hundred steps on
    seed: int = 0

    @model_validator(mode="after")
    def _settings_agree(self) -> "TrainingSettings":
        faults = []
        if self.adapter == "adalora" and self.target_r >= self.init_r:
            faults.append(f"target_r ({self.target_r}) must be smaller than init_r ({self.init_r})")
        if self.warmup_share + self.settle_share >= 1:
            faults.append(
                "warmup_share and settle_share must leave a share of the steps for pruning (together below 1)"
            )
        if self.optimizer == "prodigy" and self.learning_rate < 0.1:
            faults.append("the optimizer prodigy finds its own step size: set learning_rate to 1.0")
        if self.stages:
            names = [stage.name for stage in self.stages]
            if len(set(names)) < len(names):
                faults.append("two stages share a name")
            if abs(sum(stage.share for stage in self.stages) - 1) > 1e-6:
                faults.append(f"the stages' shares add up to {sum(s.share for s in self.stages):g} instead of 1")
        if faults:
            raise ValueError("; ".join(faults))
        return self


FAR_PROMPTS = (
    "a vase of flowers on a terrace",
    "a bowl of fruit on a terrace",
    "a lady under a parasol",
    "tall clouds over the sea",
    "a fishing boat on a lake",
    "bamboo",
    "a branch with a bird",
    "a bridge over a stream",
    "a pagoda on a hill",
    "a waterfall between cliffs",
)


_FIRST_PINS = {
    "clip": "32bd64288804d66eefd0ccbe215aa642df71cc41",
    "dinov2": "f9e44c814b77203eaa57a6bdbbd535f21ede1415",
    "csd": None,
}


def _unsaid(value: Any) -> bool:
    """Of settings that came later: what is not said is left out, so that what was made before keeps its identity."""
    return value is None


class EvaluationSettings(_Settings):
    """How the evaluation's pictures are drawn, which networks look at them, and how the gallery's samples are drawn."""

    rows: int = Field(6, gt=0)  # prompts in the grid
    samples: int = Field(24, gt=1)  # pictures with and without the adapter that the panel measures
    num_inference_steps: int = Field(28, gt=0)
    # How pictures are drawn where nothing was chosen for the adapter; with `drawing: profile` whatever was chosen.
    guidance_scale: float = Field(3.5, ge=0)
    strength: float | None = Field(None, gt=0, le=1.5, exclude_if=_unsaid)  # as in `DrawingSettings`; none: 1
    true_cfg_scale: float | None = Field(None, ge=1, exclude_if=_unsaid)  # none: 1, which is off
    adapter_in_unguided: bool | None = Field(None, exclude_if=_unsaid)  # none: it is
    drawing: Literal["chosen", "profile"] = Field("chosen", exclude_if=lambda who: who == "chosen")
    seed: int = 0
    batch_size: int = Field(1, gt=0)  # pictures drawn together; on a GPU several cost little more than one
    far_prompts: tuple[str, ...] = FAR_PROMPTS  # subjects of all kinds: does the adapter still answer the prompt?
    far_samples: int = Field(2, gt=0)  # pictures of each far prompt: one seed each would leave the drift uncertain
    strengths: tuple[float, ...] = (0.5,)  # of the adapter, at which far prompts are drawn besides 0 and 1
    style_features: Literal["vgg16", "hub"] = "vgg16"  # hub: CSD, CLIP and DINOv2
    adherence: Literal["denoising", "clip"] = "denoising"  # what tells whether a picture shows what its prompt says
    # Networks of the hub, each with the commit of its repository; where none is named, the first use in a home pins it.
    clip: str = "openai/clip-vit-large-patch14"
    clip_revision: str | None = None
    dinov2: str = "facebook/dinov2-base"
    dinov2_revision: str | None = None
    csd: str | None = "yuxi-liu-wired/CSD"  # the weights of tomg-group-umd/CSD-ViT-L as safetensors
    csd_revision: str | None = None

    def deciding(self) -> dict[str, Any]:
        """All settings that decide a figure, as adapters and panels are identified by them.

        A commit counts once it is another than the one that a name stood for before commits were named, so that what
        was made then is still known. Who says how pictures are drawn decides nothing by itself: the pictures' ids tell.
        """
        plain = self.model_dump(mode="json", exclude={*(f"{network}_revision" for network in _FIRST_PINS), "drawing"})
        pins = self.other_pins()
        return plain | ({"revisions": pins} if pins else {})

    def other_pins(self) -> list[str]:
        """The commits of networks that are not those that their names stood for before commits were named."""
        named = ((network, getattr(self, f"{network}_revision")) for network in _FIRST_PINS)
        return [f"{network}@{commit}" for network, commit in named if commit not in (None, _FIRST_PINS[network])]


class GateSettings(_Settings):
    """What the figures of an adapter must be for its gallery to be published without a person's word."""

    better_than_base: tuple[Axis, ...] = ("tone", "brushwork", "depiction", "style")
    max_drift: float = Field(0.15, ge=0, le=1)  # loss of prompt adherence (0.5 is chance, 1 is always right)
    max_suspects: int = Field(0, ge=0)  # samples that look like copies of a training work
    not_worse_than_published: bool = True


MAP_PROMPTS = (
    "layered mountains in mist",
    "a village by a river",
    "a pine beside a rock",
    "geese above reeds",
    "islands in still water",
    "a path through trees in autumn",
    "a bridge over a stream",
    "a branch with blossoms",
)


class ExpertMapSettings(_Settings):
    """What is drawn to find where in depth and noise an adapter's factors live, see `experts/map`.

    So many pictures: one more than groups of blocks times bands of noise, and the base's, for every prompt and seed.
    """

    prompts: tuple[str, ...] = Field(MAP_PROMPTS, min_length=2)  # the intervals are over prompts, so more tell more
    seeds: int = Field(1, gt=0)  # pictures of each prompt
    block_groups: int = Field(9, gt=1)  # into which the transformer's blocks are cut, or as many as it has blocks
    noise_bands: int = Field(4, gt=1)  # equal parts of the noise levels from 0 to 1


class LearnedGateSettings(_Settings):
    """How the network is taught that shares a prompt out among painters, see `experts/learned`."""

    hidden: int = Field(64, gt=0)
    caption_steps: int = Field(400, gt=0)  # caption -> painter
    mixture_steps: int = Field(200, ge=0)  # with the experts frozen, on their own pictures
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    pictures: int = Field(12, gt=0)  # of each painter, whose denoising the experts are asked for
    sigmas: tuple[float, ...] = Field((0.2, 0.4, 0.6, 0.8, 0.95), min_length=1)  # at these noise levels
    balance: float = Field(0.01, ge=0)  # weight of the load-balance loss; Switch Transformer's value
    rejected: float = Field(0.05, gt=0, lt=1)  # of the held-out captions, beyond whose distance a prompt fits nobody
    seed: int = 0


class ExpertSettings(_Settings):
    """What is asked of several painters' adapters before they draw together."""

    map: ExpertMapSettings = ExpertMapSettings()
    gate: LearnedGateSettings = LearnedGateSettings()


class StorySettings(_Settings):
    """How the pictures of a story are painted and chosen, see `stories/painting`."""

    candidates: int = Field(4, gt=0, le=16)  # pictures of each shot, of which one is chosen
    revisions: int = Field(2, ge=0, le=8)  # how often a shot that its pictures miss goes back to the author; 0: never
    places: bool = False  # whether authors' figures get places of their own (`regions`); a person may give them any
    shared_noise: float = Field(0.0, ge=0, lt=1)  # share of the variance of the first noise that all shots have alike
    # the noise level down to which a recurring figure is held to its anchor panel; 1: it is not
    anchor_until: float = Field(1.0, gt=0, le=1)


class ControlSettings(_Settings):
    """The ControlNet that holds pictures to a structure, see `base_models/control.py`."""

    model: str  # "miniature", a hub repository, or a folder
    revision: str | None = None  # its commit, as a profile's


class Profile(_Settings):
    """The size of things. A room reads the profile; it never asks which base model it is on."""

    name: str
    base_model: str  # "miniature" or a hub repository
    revision: str | None = None  # the commit of a hub repository; where none is named, the first use in a home pins it
    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "bfloat16"]
    quantization: Literal["nf4"] | None = None  # of the transformer and the T5 encoder, through bitsandbytes
    size_divisor: int = Field(1, gt=0)  # 512 and 768 stand for 512/divisor and 768/divisor pixels of this model
    max_sequence_length: int = Field(512, gt=0)  # T5 tokens
    super_resolution: str = "realesrgan-x4plus"  # a network or family of the wheel, or a path to .pth/.safetensors
    super_resolution_engine: EnlargingEngine = "torch"  # what computes it
    super_resolution_dtype: Literal["float32", "bfloat16", "float16"] = "float32"  # of its convolutions
    super_resolution_constraints: tuple[Constraint, ...] = CONSTRAINTS  # what holds its pixels to the picture's
    # pixels, of the pictures in a gallery; none: as one pass of the network makes them
    gallery_long_side: int | None = Field(None, gt=0, le=16384)
    # of drawn pictures: the noise that a base has in single pixels, back-projection would bring back
    gallery_constraints: tuple[Constraint, ...] = ("colour", "texture", "grain")
    # "embedded-reader" (the miniature's words), a hub repository, or none: captions then say what the archive knows
    captioner: str | None = None
    max_unread: float = Field(0.34, ge=0, le=1)  # of a caption's words: beyond it what the base cannot read is left out
    captioner_revision: str | None = None  # its commit, as `revision`
    # Of the works. Every figure's interval follows from the number of held-out works, so a fifth of them judges;
    # a tenth chooses a checkpoint, which asks for an order only.
    held_out_share: float = Field(0.2, gt=0, lt=0.5)
    validate_share: float = Field(0.1, ge=0, lt=0.5)
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: GateSettings = GateSettings()
    experts: ExpertSettings = ExpertSettings()
    control: ControlSettings | None = None  # none: nothing can hold a picture to a structure
    stories: StorySettings = StorySettings()

    @model_validator(mode="after")
    def _most_works_are_trained_on(self) -> "Profile":
        if self.held_out_share + self.validate_share >= 0.5:
            raise ValueError(
                "held_out_share and validate_share together must leave more than half of the works to train"
            )
        return self

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The model's pixels for a picture of `width` x `height`."""
        return width // self.size_divisor, height // self.size_divisor


_LONGEST_NAME = 200  # characters
_LONGEST_NOTICE = 2000  # characters, as of a caption


_JOINERS = "\u200c\u200d"  # Persian and Indic names need them


def _one_line(text: str) -> str:
    """`text`, refused where it holds what no name holds: line breaks, control characters, marks of direction."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    steering = sorted({c for c in text if unicodedata.category(c) in kinds and c not in _JOINERS})
    if steering:
        raise ValueError(f"it holds a line break or a control character ({', '.join(map(ascii, steering[:3]))})")
    return text


Rhythm = Literal["daily", "weekly", "monthly", "never"]
_CRON_FIELD = re.compile(r"[0-9A-Za-z*/,#?-]+")


class RetrainingSettings(_Settings):
    """When a painter's adapter is trained anew without being asked, see docs/automation.md.

    Works that came, left or changed count, by number and by their share of those that the last adapter has: one of the
    two is enough, and none of them is asked about where it is null.
    """

    every: Rhythm | str = "weekly"  # or a cron expression of five fields, UTC
    works: int | None = Field(5, gt=0)
    percent: float | None = Field(10.0, gt=0, le=100)

    @field_validator("every")
    @classmethod
    def _is_a_rhythm(cls, text: str) -> str:
        if text not in get_args(Rhythm) and [bool(_CRON_FIELD.fullmatch(f)) for f in text.split()] != [True] * 5:
            raise ValueError(
                f"{text!r} is neither {', '.join(get_args(Rhythm))} nor five fields of cron, such as '0 3 * * 1'"
            )
        return text

    @model_validator(mode="after")
    def _counts_something(self) -> "RetrainingSettings":
        if self.works is None and self.percent is None:
            raise ValueError("one of works and percent must be a number; for no retraining say every: never")
        return self


class PainterSettings(_Settings):
    """painter.yaml: what the archive says about a painter, and the profile that painter is worked on with."""

    name: str
    trigger: str  # the words that call the style up in a prompt
    rights: str = ""
    profile: str = DEFAULT_PROFILE
    show_works: Literal["all", "open", "none"] = "all"  # which artworks the gallery may show as pictures, not only name
    formerly: tuple[str, ...] = ()  # the slugs that the painter had before `artmaster painters rename`
    retraining: RetrainingSettings = RetrainingSettings()

    def as_written(self) -> dict[str, Any]:
        """What painter.yaml holds: every setting, former slugs and retraining only where something is said."""
        content = self.model_dump(mode="json")
        if not self.formerly:
            del content["formerly"]
        if self.retraining == RetrainingSettings():
            del content["retraining"]
        return content

    @field_validator("name", "trigger")
    @classmethod
    def _is_said_in_words(cls, text: str) -> str:
        if not any(character.isalnum() for character in text):
            raise ValueError("give at least one letter or digit")
        if len(text) > _LONGEST_NAME:
            raise ValueError(f"it has {len(text):,} characters; at most {_LONGEST_NAME} are read in a prompt")
        return _one_line(text)

    @field_validator("rights")
    @classmethod
    def _is_a_notice(cls, text: str) -> str:
        if len(text) > _LONGEST_NOTICE:
            raise ValueError(f"it has {len(text):,} characters; at most {_LONGEST_NOTICE:,} go with a picture")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("it holds half of a character (\\ud800 to \\udfff), which no file can hold")
        return text


PAINTER_FILE = "painter.yaml"
_BUILT_IN_PROFILES = Path(__file__).parent / "profiles"
S = TypeVar("S", bound=_Settings)


def profile_names(home: Home | None = None) -> tuple[str, ...]:
    """The profiles that ship with the product and those in the data home's `profiles/`, sorted."""
    return tuple(sorted({file.stem for folder in _profile_folders(home) for file in folder.glob("*.yaml")}))


def load_profile(name: str, home: Home | None = None) -> Profile:
    """The profile `name`: `profiles/<name>.yaml` of the data home, else the one that ships with the product.

    Raises WrongUse, listing every fault at once, where there is no such profile or a setting is wrong.
    """
    for folder in _profile_folders(home):
        file = folder / f"{name}.yaml"
        if file.is_file() and file.parent == folder:
            return _read(file, Profile, {"name": name})
    raise WrongUse(f"There is no profile {name!r}. Choose one of: {', '.join(profile_names(home))}.")


def load_painter(home: Home, painter: str) -> PainterSettings:
    """What painter.yaml says, with defaults made from the slug where the file does not exist.

    Raises WrongUse where there is no such painter, or the file is wrong.
    """
    folder = home.scans(painter)
    if not folder.is_dir():
        known = ", ".join(home.painters()) or "none yet"
        raise WrongUse(
            f"There is no painter {painter!r} in {home.root} (known: {known}). "
            f"Add one with: artmaster painters add {painter} FOLDER_OF_SCANS"
        )
    file = folder / PAINTER_FILE
    if not file.exists():
        return default_painter(painter)
    return _read(file, PainterSettings, default_painter(painter).model_dump())


def checked_painter(content: dict[str, Any]) -> PainterSettings:
    """A painter's settings from values that options gave. Raises WrongUse, naming the options, for wrong ones."""
    try:
        return PainterSettings.model_validate(content)
    except ValidationError as error:
        raise WrongUse("; ".join(f"--{fault}" for fault in faults_of(PainterSettings, error))) from error


def default_painter(painter: str) -> PainterSettings:
    """A painter's settings before anyone has said anything: the name and the trigger word come from the slug."""
    return PainterSettings(
        name=painter.replace("-", " ").title(),
        trigger=f"{painter.replace('-', '')} style",
        profile=os.environ.get("ARTMASTER_PROFILE") or DEFAULT_PROFILE,
    )


def save_painter(home: Home, painter: str, settings: PainterSettings) -> None:
    """Write painter.yaml; untouched if nothing changed."""
    file = home.scans(painter) / PAINTER_FILE
    text = yaml.safe_dump(settings.as_written(), allow_unicode=True, sort_keys=False)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def complete_painter(home: Home, painter: str) -> None:
    """Add the settings that painter.yaml leaves out, with their values, since DVC's stages depend on its lines.

    What a person wrote there stays as it is, comments included. Raises WrongUse as `load_painter` does.
    """
    settings = load_painter(home, painter)
    file = home.scans(painter) / PAINTER_FILE
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    written = read_yaml(text) or {}
    missing = {name: value for name, value in settings.as_written().items() if name not in written}
    if not missing:
        return
    longer = f"{text.rstrip()}\n" + yaml.safe_dump(missing, allow_unicode=True, sort_keys=False)
    if _means(longer, written | missing):
        write_text(file, longer)
    else:  # YAML that cannot be gone on with line by line
        save_painter(home, painter, settings)


def painter_profile(home: Home, painter: str) -> Profile:
    """The profile that a painter is worked on with."""
    return load_profile(load_painter(home, painter).profile, home)


def _profile_folders(home: Home | None) -> tuple[Path, ...]:
    return ((home.root / "profiles",) if home else ()) + (_BUILT_IN_PROFILES,)


def _means(text: str, content: dict[str, Any]) -> bool:
    try:
        return bool(read_yaml(text) == content)
    except yaml.YAMLError:
        return False


def _read(file: Path, kind: type[S], defaults: dict[str, Any]) -> S:
    if not file.is_file():
        raise WrongUse(f"{file} is a folder, a pipe or a device: put a file with settings in its place, or remove it.")
    try:
        content = read_yaml(file.read_text(encoding="utf-8")) or {}
        if not isinstance(content, dict):
            raise WrongUse(f"{file}: expected settings as 'name: value' lines.")
        return kind.model_validate(defaults | content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WrongUse(f"{file} cannot be read as YAML: {' '.join(str(error).split())}. Mend it there.") from error
    except ValidationError as error:
        raise WrongUse(f"{file}: {'; '.join(faults_of(kind, error))}") from error


def faults_of(kind: type[BaseModel], error: ValidationError) -> list[str]:
    """Every fault that pydantic found in what a person wrote, in words; an unknown name with the nearest valid one."""
    return [_fault(kind, fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]


def _fault(kind: type[BaseModel], where: tuple[int | str, ...], what: str, message: str) -> str:
    """One fault of a settings file in words; an unknown name comes with the nearest valid one."""
    name = ".".join(str(part) for part in where)
    if what != "extra_forbidden":
        message = message.removeprefix("Value error, ")
        return f"{name}: {message}" if name else message
    known = _names_at(kind, where[:-1])
    nearest = get_close_matches(str(where[-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"valid names: {', '.join(known)}."
    return f"{name}: there is no such setting; {hint}"


def _names_at(kind: type[BaseModel], where: tuple[int | str, ...]) -> list[str]:
    """The settings of the model that lies below `kind` at `where` (list positions are passed over)."""
    for part in (part for part in where if isinstance(part, str)):
        inner = kind.model_fields[part].annotation
        kind = next(
            model for model in (inner, *get_args(inner)) if isinstance(model, type) and issubclass(model, BaseModel)
        )
    return list(kind.model_fields)
