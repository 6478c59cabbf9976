"""The one table of the stages: what Dagster's assets, DVC's stages, the run's plan and the home's folders come from.

A stage is added here, by one entry of TABLE, and nowhere else. An entry names its function by import path, so that
reading the table loads neither torch nor dagster.

A stage is made once per partition: of one painter, of a set of painters, of a canvas, or of a story. A painter's
partition is the slug; a set's is its members' slugs, sorted, with two hyphens between them; a canvas' is its slug after
`canvas_`, a story's after `story_`. No slug holds two hyphens or an underscore, so that a name says what it is of. Who
paints a canvas or a story its file alone says: that is asked of the data home. One stage of one partition is a `Step`;
steps form a graph, and a run makes those that are not current and all that lie below them. A stage that is made on
request is no part of that: it is made for the partitions that somebody asks for, with all that it reads.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from typing import Any, Literal, Protocol

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import check_slug

# What a stage's partitions are: single painters, sets of them, canvases, or stories. Those of painters are made first.
Kind = Literal["painter", "painters", "canvas", "story"]
KINDS: tuple[Kind, ...] = ("painter", "painters", "canvas", "story")
_BETWEEN = "--"
# The kinds whose painters a file says (`filed`): what begins a partition's name, and where their folders lie.
_BEGINS: dict[Kind, str] = {"canvas": "canvas_", "story": "story_"}
_PLACES: dict[Kind, str] = {"canvas": "canvases/", "story": "stories/"}
WHICH: dict[Kind, str] = {"painter": "painter", "painters": "set", "canvas": "canvas", "story": "story"}
_MANY: dict[Kind, str] = {
    "painter": "single painters",
    "painters": "sets of painters",
    "canvas": "canvases",
    "story": "stories",
}
# By kind, the stage whose pictures are measured and judged, and the one that publishes them.
JUDGED: dict[Kind, str] = {
    "painter": "evaluation_grid",
    "painters": "mixed_samples",
    "canvas": "copaintings",
    "story": "illustrated_stories",
}
PUBLISHED: dict[Kind, str] = {
    "painter": "sample_gallery",
    "painters": "mixed_gallery",
    "canvas": "canvas_gallery",
    "story": "story_books",
}

# What every stage that loads the base model depends on.
_BASE = ("base_model", "revision", "device", "dtype", "quantization", "size_divisor", "max_sequence_length")
# What every stage that enlarges pictures depends on.
_ENLARGING = (
    "super_resolution",
    "super_resolution_engine",
    "super_resolution_dtype",
)
# Settings of the final evaluation alone, which the panel that chooses among an adapter's states never reads.
FINAL_EVALUATION = ("rows", "samples", "far_prompts", "far_samples", "strengths", "drawing")
# Those that decide nothing but what the evaluations draw and ask.
_EVALUATIONS_OWN = ("rows", "samples", "far_prompts", "far_samples", "strengths", "adherence")


@dataclass(frozen=True)
class Stage:
    """An entry of the table.

    `makes` is the stage function, "module:function", called with the home, the partition, the profile (only where
    `profile` is not empty), the progress, and by name what `lends` says. It gives an `Outcome`.
    """

    name: str
    says: str  # one sentence for people, in Dagster's UI
    folder: str  # below the data home; one folder per partition in it, which stages of several kinds may share
    makes: str
    after: tuple[str, ...] = ()  # the stages whose folders it reads
    sources: tuple[str, ...] = ()  # folders that it reads and no stage makes, one per painter (canvas, story) in each
    painter: tuple[str, ...] = ()  # the lines of painter.yaml that decide its bytes
    profile: tuple[str, ...] = ()  # the settings of the profile that do: dotted names; "-name" takes one out again
    asks: str = ""  # "module:function" of what else does, asked with the home and the partition; JSON-able
    lends: tuple[tuple[str, str], ...] = ()  # further arguments: a name, and "module:object" of a room above it
    kind: Kind = "painter"
    on_request: bool = False  # made where somebody asks for it by name, never because a run makes all that there is
    group: str = "pictures"
    tools: tuple[str, ...] = ("python",)  # what it is made with, shown in Dagster's UI
    pool: str | None = None
    code_version: str = "1"  # raise where the same inputs would give other bytes

    def function(self) -> Callable[..., Any]:
        """The stage function; its room is loaded now."""
        return _resolve(self.makes)

    def lent(self) -> dict[str, Any]:
        """The further arguments of the stage function; their rooms are loaded now."""
        return {name: _resolve(path) for name, path in self.lends}

    def asked(self) -> Callable[..., Any] | None:
        """The function of `asks`, if any; its room is loaded now."""
        return _resolve(self.asks) if self.asks else None


TABLE: tuple[Stage, ...] = (
    Stage(
        name="raw_scans",
        says="The painter's scans that can be used: decoded, identified by sha256, described; the others quarantined.",
        folder="register",
        makes="artmaster_pipeline.scans:register_scans",
        sources=("scans",),
    ),
    Stage(
        name="curated_crops",
        says="512x512 and 512x768 crops that show each work without borders, seals and writing, with their masks.",
        folder="crops",
        makes="artmaster_pipeline.curation:crop_scans",
        after=("raw_scans",),
        asks="artmaster_pipeline.curation:decisions_asked",
        code_version="2",
    ),
    Stage(
        name="training_set",
        says="The crops as the trainer sees them: super-resolved where a scan lacked detail, captioned, split by work.",
        folder="training_set",
        makes="artmaster_pipeline.dataset:build_training_set",
        after=("raw_scans", "curated_crops"),
        painter=("trigger", "name"),
        profile=(
            *(*_ENLARGING, "super_resolution_constraints", "captioner", "captioner_revision", "max_unread"),
            *("base_model", "revision"),
            *("held_out_share", "validate_share", "device", "dtype"),
        ),
        group="training",
        tools=("python", "pytorch"),
        pool="gpu",
        code_version="4",
    ),
    Stage(
        name="style_adapter",
        says="An AdaLoRA adapter of the base model, folded to a plain LoRA that stock diffusers loads.",
        folder="adapters",
        makes="artmaster_pipeline.training:train_adapter",
        after=("training_set",),
        painter=("trigger", "name", "rights"),
        profile=(
            *("name", *_BASE, "training", "gate.max_drift"),
            *("evaluation", *(f"-evaluation.{name}" for name in FINAL_EVALUATION)),
        ),
        lends=(("judge_for", "artmaster_pipeline.evaluation:validation_panel"),),
        group="training",
        tools=("pytorch", "huggingface"),
        pool="gpu",
        code_version="2",
    ),
    Stage(
        name="evaluation_grid",
        says="Original | base | adapter, the same prompts and seeds; the panel, the verdict and the report on it.",
        folder="evaluation",
        makes="artmaster_pipeline.evaluation:evaluate_adapter",
        after=("training_set", "style_adapter"),
        painter=("name",),
        profile=(*_BASE, "evaluation", "gate", "training.validation"),
        group="evaluation",
        tools=("pytorch",),
        pool="gpu",
    ),
    Stage(
        name="sample_gallery",
        says="A static site of enlarged samples: prompt, seed, adapter, and the artworks it was trained on.",
        folder="gallery",
        makes="artmaster_pipeline.publishing:publish_gallery",
        after=("raw_scans", "training_set", "style_adapter", "evaluation_grid"),
        painter=("name", "rights", "show_works"),
        profile=(*_ENLARGING, "gallery_long_side", "gallery_constraints", "device"),
        group="gallery",
        tools=("pytorch", "html"),
        pool="gpu",
    ),
    Stage(
        name="expert_map",
        says="Where in depth and noise an adapter's composition, colour and brush live: blocks and noise knocked out.",
        folder="expert_maps",
        makes="artmaster_pipeline.experts.map:map_expert",
        after=("training_set", "style_adapter"),
        painter=("name",),
        profile=(*_BASE, "evaluation", *(f"-evaluation.{name}" for name in _EVALUATIONS_OWN), "experts.map"),
        on_request=True,
        group="experts",
        tools=("pytorch",),
        pool="gpu",
    ),
    Stage(
        name="expert_gate",
        says="A small network that says from a prompt which of several painters' adapters should draw it, or none.",
        folder="expert_gates",
        makes="artmaster_pipeline.experts.learned:learn_gate",
        after=("training_set", "style_adapter"),
        painter=("name", "trigger"),
        profile=(*_BASE, "experts.gate"),
        kind="painters",
        on_request=True,
        group="experts",
        tools=("pytorch",),
        pool="gpu",
    ),
    Stage(
        name="mixed_samples",
        says="Pictures in several painters' hands, by the mixes of mixes.yaml; measured, and judged as an adapter is.",
        folder="evaluation",
        makes="artmaster_pipeline.experts.samples:draw_mixes",
        after=("training_set", "style_adapter", "evaluation_grid", "sample_gallery"),
        painter=("name", "trigger"),
        profile=(*_BASE, "evaluation", "gate"),
        asks="artmaster_pipeline.experts.samples:what_is_mixed",
        kind="painters",
        group="experts",
        tools=("pytorch",),
        pool="gpu",
    ),
    Stage(
        name="mixed_gallery",
        says="A static site of the mixed pictures that passed: shares, all adapters, and the artworks behind each.",
        folder="gallery",
        makes="artmaster_pipeline.experts.publishing:publish_mixes",
        after=("raw_scans", "training_set", "style_adapter", "evaluation_grid", "sample_gallery", "mixed_samples"),
        painter=("name", "rights", "show_works"),
        profile=(*_ENLARGING, "gallery_long_side", "gallery_constraints", "device", "evaluation.style_features"),
        kind="painters",
        group="experts",
        tools=("pytorch", "html"),
        pool="gpu",
    ),
    Stage(
        name="copaintings",
        says="A canvas painted by several painters at once, each in the regions that canvas.yaml gives it; and judged.",
        folder="copaintings",
        makes="artmaster_pipeline.copainting.samples:make_copaintings",
        after=("style_adapter", "evaluation_grid", "sample_gallery"),
        sources=("canvases",),
        painter=("name", "trigger"),
        profile=(*_BASE, "control", "evaluation", "gate"),
        asks="artmaster_pipeline.copainting.samples:what_is_painted",
        lends=(("paint", "artmaster_pipeline.copainting.painting:paint_canvases"),),
        kind="canvas",
        group="experts",
        tools=("pytorch",),
        pool="gpu",
    ),
    Stage(
        name="canvas_gallery",
        says="A static site of a canvas that passed: its map over each picture; by region, hands and works.",
        folder="gallery",
        makes="artmaster_pipeline.copainting.publishing:publish_canvas",
        after=("raw_scans", "training_set", "style_adapter", "evaluation_grid", "sample_gallery", "copaintings"),
        painter=("name", "rights", "show_works"),
        profile=(*_ENLARGING, "gallery_long_side", "gallery_constraints", "device"),
        kind="canvas",
        group="experts",
        tools=("pytorch", "html"),
        pool="gpu",
    ),
    Stage(
        name="storyboards",
        says="A story's shots: who is seen where, in which era, told in two languages; as a person edited them, if so.",
        folder="storyboards",
        makes="artmaster_pipeline.stories.storyboard:make_storyboards",
        after=("training_set",),
        sources=("stories",),
        painter=("name", "trigger"),
        profile=("base_model", "revision", "max_sequence_length", "stories.places"),
        lends=(("write", "artmaster_pipeline.stories.authors:write_storyboard"),),
        kind="story",
        group="stories",
        tools=("python", "pytorch"),
        pool="gpu",
    ),
    Stage(
        name="illustrated_stories",
        says="A story's pictures in one hand: of each shot the best of several, measured and judged beside the base's.",
        folder="illustrated_stories",
        makes="artmaster_pipeline.stories.painting:illustrate",
        after=("training_set", "style_adapter", "evaluation_grid", "storyboards"),
        sources=("stories",),
        painter=("name", "trigger"),
        profile=(*_BASE, "evaluation", "gate", "stories"),
        asks="artmaster_pipeline.experts.samples:who_draws",
        lends=(("author", "artmaster_pipeline.stories.authors:author_named"),),
        kind="story",
        group="stories",
        tools=("pytorch",),
        pool="gpu",
    ),
    Stage(
        name="story_books",
        says="An illustrated book of a story that passed: pages in two languages, a PDF, provenance of each picture.",
        folder="gallery",
        makes="artmaster_pipeline.stories.book:publish_book",
        after=(
            *("raw_scans", "training_set", "style_adapter", "evaluation_grid", "sample_gallery"),
            *("storyboards", "illustrated_stories"),
        ),
        sources=("stories",),
        painter=("name", "rights", "show_works"),
        profile=(*_ENLARGING, "gallery_long_side", "gallery_constraints", "device"),
        kind="story",
        group="stories",
        tools=("pytorch", "html"),
        pool="gpu",
    ),
)
# What a run of a painter makes; sets, canvases and stories have their own.
STAGES = tuple(stage.name for stage in TABLE if stage.kind == "painter" and not stage.on_request)
TRAINED = "style_adapter"  # where what costs a GPU's hours begins


class Membership(Protocol):
    """Whoever knows the painters of every partition: the data home (`settings.Home`)."""

    def members(self, partition: str) -> tuple[str, ...]:
        """The painters of a partition."""


@dataclass(frozen=True, order=True)
class Step:
    """One stage of one partition."""

    stage: str
    partition: str

    def __str__(self) -> str:
        return f"{self.stage} of {in_words(self.partition)}"


def stage_named(name: str) -> Stage:
    """The entry of that name; raises WrongUse, with the names that there are, otherwise."""
    for stage in TABLE:
        if stage.name == name:
            return stage
    raise WrongUse(f"There is no stage {name!r}. The stages are: {', '.join(stage.name for stage in TABLE)}.")


def in_order(kind: Kind | None = None) -> tuple[Stage, ...]:
    """The stages whose partitions are of that kind (none: all), each after those that it reads.

    Raises ValueError where the table names a stage that it lacks, goes in a circle, or leads from sets, canvases or
    stories to what is of another kind.
    """
    entries = {stage.name: stage for stage in TABLE}
    if len(entries) < len(TABLE):
        raise ValueError("two stages of the table share a name")
    if unknown := sorted({name for stage in TABLE for name in stage.after} - set(entries)):
        raise ValueError(f"the table names stages that it lacks: {', '.join(unknown)}")
    read = ((stage.kind, entries[name].kind) for stage in TABLE for name in stage.after)
    if strange := sorted({(kind, other) for kind, other in read if other not in ("painter", kind)}):
        kind_, other_ = strange[0]
        raise ValueError(f"a stage whose kind is {kind_!r} reads one of {other_!r}: which {WHICH[other_]} would it be?")
    ranks = {name: rank for rank, name in enumerate(entries)}
    sorter = TopologicalSorter({stage.name: stage.after for stage in TABLE})
    try:
        sorter.prepare()
    except CycleError as error:
        raise ValueError(f"the stages go in a circle: {' -> '.join(error.args[1])}") from error
    found: list[Stage] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=ranks.__getitem__)
        found += [entries[name] for name in ready]
        sorter.done(*ready)
    return tuple(stage for stage in found if kind in (None, stage.kind))


def chain(kind: Kind) -> tuple[Stage, ...]:
    """The stages of that kind that a run makes: those on request left out."""
    return tuple(stage for stage in in_order(kind) if not stage.on_request)


def and_below(name: str) -> tuple[str, ...]:
    """A stage, and all of its kind's chain that read it or what was made from it; each after those that it reads."""
    found = {name}
    for stage in chain(stage_named(name).kind):
        if found.intersection(stage.after):
            found.add(stage.name)
    return tuple(stage.name for stage in in_order() if stage.name in found)


def before(name: str) -> tuple[str, ...]:
    """The stages that a stage is made from, itself left out; each after those that it reads."""
    found: set[str] = set(stage_named(name).after)
    for stage in reversed(in_order()):
        if stage.name in found:
            found.update(stage.after)
    return tuple(stage.name for stage in in_order() if stage.name in found)


def members(partition: str) -> tuple[str, ...]:
    """The painters of a partition whose name says them: one, or the members of a set.

    Raises ValueError for a canvas or a story: who paints it only the data home knows (`settings.Home.members`).
    """
    if is_filed(partition):
        raise ValueError(f"{partition} is a {kind_of(partition)}: ask the data home for its painters")
    return tuple(partition.split(_BETWEEN))


def kind_of(partition: str) -> Kind:
    """Whether a partition is one painter, a set of painters, a canvas, or a story."""
    for kind, begins in _BEGINS.items():
        if partition.startswith(begins):
            return kind
    return "painters" if _BETWEEN in partition else "painter"


def is_filed(partition: str) -> bool:
    """Whether a partition is one whose painters a file of its own says: a canvas or a story (`filed`)."""
    return kind_of(partition) in _BEGINS


def filed_as(kind: Kind, slug: str) -> str:
    """The partition that stands for the canvas or the story of that slug."""
    return f"{_BEGINS[kind]}{check_slug(slug)}"


def slug_of(partition: str, kind: Kind) -> str:
    """The slug of the canvas or the story that a partition stands for: its folder's name. Raises WrongUse otherwise."""
    if kind_of(partition) != kind:
        raise WrongUse(
            f"{partition!r} is no {WHICH[kind]}: write {_BEGINS[kind]}NAME, the name of its folder in {_PLACES[kind]}."
        )
    return check_slug(partition.removeprefix(_BEGINS[kind]))


def canvas_of(slug: str) -> str:
    """The partition that stands for a canvas."""
    return filed_as("canvas", slug)


def canvas_named(partition: str) -> str:
    """The slug of the canvas that a partition stands for: its folder's name in canvases/. Raises WrongUse otherwise."""
    return slug_of(partition, "canvas")


def story_of(slug: str) -> str:
    """The partition that stands for a story."""
    return filed_as("story", slug)


def story_named(partition: str) -> str:
    """The slug of the story that a partition stands for: its folder's name in stories/. Raises WrongUse otherwise."""
    return slug_of(partition, "story")


def source_named(partition: str) -> str:
    """What a partition's own folder is called among those that no stage makes: the slug, without its kind."""
    return slug_of(partition, kind_of(partition)) if is_filed(partition) else partition


def in_words(partition: str) -> str:
    """Whom or what a partition is of, for a sentence."""
    if is_filed(partition):
        kind = kind_of(partition)
        return f"the {WHICH[kind]} {partition.removeprefix(_BEGINS[kind])}"
    return " and ".join(members(partition))


def judging_stage(partition: str) -> str:
    """The stage whose pictures of a partition are measured and judged."""
    return JUDGED[kind_of(partition)]


def publishing_stage(partition: str) -> str:
    """The stage that publishes the pictures of a partition, as a site in gallery/."""
    return PUBLISHED[kind_of(partition)]


def set_of(painters: Iterable[str]) -> str:
    """The partition that stands for a set of two painters or more."""
    slugs = sorted({check_slug(painter) for painter in painters})
    if len(slugs) < 2:
        raise WrongUse(f"A set holds two painters or more, not {', '.join(slugs) or 'none'}.")
    return _BETWEEN.join(slugs)


def check_partition(partition: str) -> str:
    """Return `partition` if it is a painter, a set as `set_of` writes it, a canvas or a story; else raises WrongUse."""
    if is_filed(partition):
        return filed_as(kind_of(partition), source_named(partition))
    found = members(partition)
    if len(found) == 1:
        return check_slug(partition)
    if set_of(found) != partition:
        raise WrongUse(f"{partition!r} is no set of painters: write {set_of(found)}.")
    return partition


def inputs_of(step: Step, home: Membership | None = None) -> tuple[Step, ...]:
    """The steps that a step reads. One of a set, a canvas or a story reads its own one's stages and each member's.

    `home` is needed where there are canvases or stories; without it only painters and sets are known.
    """
    found = []
    for name in stage_named(step.stage).after:
        if stage_named(name).kind == kind_of(step.partition):
            found.append(Step(name, step.partition))
        else:
            painters = home.members(step.partition) if home else members(step.partition)
            found += [Step(name, member) for member in painters]
    return tuple(found)


def steps_towards(partition: str, until: str | None = None, home: Membership | None = None) -> tuple[Step, ...]:
    """The steps that bring a partition to the stage `until` (none: to its chain's end), each after its inputs.

    For all but a single painter these are its members' steps too, as far as it reads them; `home` as in `inputs_of`.
    Raises WrongUse where the stage is not of the partition's kind.
    """
    kind = kind_of(partition)
    if until and stage_named(until).kind != kind:
        said = _MANY[stage_named(until).kind]
        raise WrongUse(f"The stage {until} is not made for {partition!r}: it is one of {said}.")
    wanted = [Step(until, partition)] if until else [Step(stage.name, partition) for stage in chain(kind)]
    needed: set[Step] = set()
    while wanted:
        step = wanted.pop()
        if step not in needed:
            needed.add(step)
            wanted += inputs_of(step, home)
    ranks = {stage.name: rank for rank, stage in enumerate(in_order())}
    return tuple(sorted(needed, key=lambda step: (ranks[step.stage], step.partition)))


def to_make(
    steps: Iterable[Step], is_current: Callable[[Step], bool], home: Membership | None = None
) -> tuple[Step, ...]:
    """Of `steps`, each after its inputs: those that are not current, and those below them, whatever they say.

    `is_current` is not asked about a step below one that has to be made; `home` as in `inputs_of`.
    """
    found: list[Step] = []
    for step in steps:
        if any(before in found for before in inputs_of(step, home)) or not is_current(step):
            found.append(step)
    return tuple(found)


def _resolve(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)
