"""The stage mixed_samples: the mixes of mixes.yaml whose painters are just those of a set; drawn, measured and judged.

    evaluation/<set>/<mix>/samples/       each mix's pictures, and the base's of the same prompts and seeds
    evaluation/<set>/<mix>/panel.json     what was measured, and verdicts.jsonl beside it, as of an adapter
    evaluation/<set>/manifest.jsonl       the records of all

<mix> is an id made from what the mix says and from its adapters' weights.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.adapters.finding import published_adapter
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation.panel.measure import read_panel
from artmaster_pipeline.evaluation.samples import SAMPLES
from artmaster_pipeline.evaluation.verdicts import decide, last_verdict
from artmaster_pipeline.experts.drawing import MixedDrawing, draw_mixed, drawing_by, picture_id
from artmaster_pipeline.experts.gating import Knowledge, by_prompt, gate_id, knowledge_of, unmapped
from artmaster_pipeline.experts.judging import judge_mix, write_panel
from artmaster_pipeline.experts.mixes import NamedMix, mixes_of, read_mixes, said_of
from artmaster_pipeline.experts.resolving import Resolved, plain_words, resolve_named
from artmaster_pipeline.files import clear_partials, inside, sha256_of
from artmaster_pipeline.gallery.enlarging import sample_facts
from artmaster_pipeline.generation.requests import how_drawn
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.pictures import is_whole, write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    MIXES_FILE,
    PANEL,
    VERDICTS,
    Adapter,
    Column,
    Outcome,
    Sample,
    Verdict,
    identity,
    manifest_hash,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stages import members, stage_named


@dataclass(frozen=True)
class MixToDraw:
    """A mix with its adapters: what its pictures are made from, and the folder of its evaluation."""

    named: NamedMix
    steps: tuple[Resolved, ...]
    knowledge: Knowledge
    gate_id: str = ""  # of the learned gate, where it shares prompts out

    @property
    def key(self) -> str:
        """The mix's id as it is drawn now, and its folder's name."""
        drawn = [step.identity() for step in self.steps]
        gate = [self.gate_id] if self.gate_id else []
        return identity("mix drawn", self.named.id, drawn, self.knowledge.identity, *gate)

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """Those of all its painters."""
        return self.steps[0].adapters


def to_draw(home: Home, partition: str, *, publishing: bool = False) -> tuple[MixToDraw, ...]:
    """The mixes of a set, each with its adapters. Raises one error that names everything that is wrong with any.

    WrongUse also where mixes.yaml has none of these painters.
    """
    named = mixes_of(home, partition)
    if not named:
        others = ", ".join(dict.fromkeys(mix.partition for mix in read_mixes(home))) or "none"
        raise WrongUse(
            f"{home.root / MIXES_FILE} has no mix of just {' and '.join(members(partition))}. Sets that it has: "
            f"{others}. Write one (docs/mixing.md), then run again."
        )
    found, errors = [], []
    for mix in named:
        try:
            steps = resolve_named(home, mix, publishing=publishing)
            knowledge = knowledge_of(home, steps[0].adapters)
            found.append(MixToDraw(mix, steps, knowledge, gate_id(home, steps[0])))
        except ArtMasterError as error:
            errors.append(error)
    if errors:
        kinds = {type(error) for error in errors}
        kind = kinds.pop() if len(kinds) == 1 else ArtMasterError
        raise kind(" ".join(str(error) for error in errors))
    return tuple(found)


def what_is_mixed(home: Home, partition: str) -> dict[str, Any]:
    """What mixes.yaml says of a set, and what is known of its experts: resolved settings of the stage mixed_samples."""
    manifests = [home.stage_folder("expert_map", painter) / MANIFEST for painter in members(partition)]
    gates = sorted((home.root / stage_named("expert_gate").folder).glob(f"*/{MANIFEST}"))
    manifests += [gate for gate in gates if set(members(partition)) <= set(members(gate.parent.name))]
    known = {f.parent.name: manifest_hash(f) for f in manifests if f.is_file()}
    return {"mixes": said_of(home, partition), "known": known}


def what_is_known(home: Home, partition: str) -> dict[str, Any]:
    """What is known of the experts that paint a canvas or a story: the hashes of their maps, by painter.

    Raises WrongUse where nobody can say who they are.
    """
    manifests = [home.stage_folder("expert_map", painter) / MANIFEST for painter in home.members(partition)]
    return {"known": {file.parent.name: manifest_hash(file) for file in manifests if file.is_file()}}


def who_draws(home: Home, partition: str) -> dict[str, Any]:
    """The same, and each painter's published adapter (empty: none yet): resolved settings of illustrated_stories.

    A story is painted whether its painters are published or not, by the adapters in use; that changes with a gallery.
    """
    published = {painter: published_adapter(home, painter) for painter in home.members(partition)}
    return what_is_known(home, partition) | {"published": {name: a.id if a else "" for name, a in published.items()}}


@one_at_a_time
@session()
def draw_mixes(home: Home, partition: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Draw, measure and judge the mixes of a set of painters; gives the records of all pictures.

    What is there is not drawn again. Raises as `to_draw` does, before anything is drawn; HoldsWithdrawn where a
    withdrawn work is in an expert.
    """
    folder = home.evaluation(partition)
    mixes = to_draw(home, partition)
    if folder.is_dir():
        clear_partials(folder)
    samples: list[Sample] = []
    made, verdicts = 0, {}
    for mix in mixes:
        if unknown := unmapped(mix.steps[0], mix.knowledge):
            progress.say(f"{mix.named.name}: {unknown}")
        records, new = _fill(home, partition, mix, profile, progress)
        made += new
        samples += records
        panel = write_panel(home, partition, mix.key, ("mix", mix.named.name), profile, mix.adapters, records, progress)
        verdicts[mix.named.name] = judge_mix(home, partition, panel, profile.gate)
        write_manifest(folder / mix.key / MANIFEST, records)
    write_manifest(folder / MANIFEST, samples)
    _remove_others(folder, {mix.key for mix in mixes})
    for name, verdict in verdicts.items():
        if not verdict.publish:
            progress.say(f"The mix {name} is not fit to be published: {' '.join(verdict.reasons)}")
    figures = {f"{name} may be published": "yes" if verdict.publish else "no" for name, verdict in verdicts.items()}
    ordered = tuple(sorted(samples, key=lambda sample: sample.id))
    return Outcome(ordered, folder / MANIFEST, made, len(ordered) - made, figures=figures)


@one_at_a_time
def decide_on_mix(home: Home, partition: str, name: str, decision: Any, reason: str, profile: Profile) -> Verdict:
    """Keep a person's decision on a mix and put it into force. Raises WrongUse where the mix was not judged yet."""
    mix = mix_called(home, partition, name)
    decide(home, partition, mix.key, decision, reason)
    return judge_mix(home, partition, read_panel(home.evaluation(partition) / mix.key / PANEL), profile.gate)


def mix_called(home: Home, partition: str, name: str) -> MixToDraw:
    """A mix of a set by its name, or by its id. Raises WrongUse, with the names that there are, otherwise."""
    known = to_draw(home, partition)
    found = next((mix for mix in known if name in (mix.named.name, mix.key)), None)
    if found is None:
        names = ", ".join(mix.named.name for mix in known)
        raise WrongUse(f"mixes.yaml has no mix {name!r} of {partition}. Its mixes are: {names}.")
    return found


def _fill(home: Home, partition: str, mix: MixToDraw, profile: Profile, progress: Progress) -> tuple[list[Sample], int]:
    """Make a mix's pictures that are missing; gives all records, and how many were made.

    What is drawn together follows from the whole mix, whatever is there: it may change a picture's last digits, and a
    run that was killed must end with the same bytes. So a mix with a missing picture is drawn whole.
    """
    folder = home.evaluation(partition) / mix.key / SAMPLES
    planned = _planned(home, partition, mix, profile)
    missing = {sample.id for sample, _ in planned if not is_there(folder / f"{sample.id}.png", sample.id)}
    with progress.task(f"drawing {mix.named.name}", len(planned), len(planned) - len(missing)) as advance:
        drawings = [drawing for _, drawing in planned] if missing else []
        for (sample, _), pixels in zip(planned, draw_mixed(home, profile, drawings), strict=bool(missing)):
            if sample.id in missing:
                write_png(folder / f"{sample.id}.png", pixels, sample_facts(sample))
                advance(note=sample.prompt[:40])
    records = [sample.model_copy(update={"sha256": sha256_of(folder / f"{sample.id}.png")}) for sample, _ in planned]
    return records, len(missing)


def is_there(file: Path, sample_id: str) -> bool:
    """Whether a picture is there and whole."""
    return file.is_file() and is_whole(file, sample_id)


def _planned(home: Home, partition: str, mix: MixToDraw, profile: Profile) -> list[tuple[Sample, MixedDrawing]]:
    """Every picture of a mix: first the base's, then those of the steps, each prompt and seed in all steps together."""
    asked = [(prompt, seed) for prompt in mix.named.prompts for seed in mix.named.seeds]
    size = profile.size(*mix.named.size)
    found = []
    first = mix.steps[len(mix.steps) // 2]
    shared_out = {prompt: [by_prompt(home, step, prompt)[0] for step in mix.steps] for prompt in mix.named.prompts}
    for prompt, seed in asked:
        said, plain = plain_words(prompt), first.drawing.of_base()
        key = identity("mixed base", mix.key, said, seed, *how_drawn(profile, plain, mix.named.size))
        drawing = MixedDrawing(((said, 1.0),), seed, size, plain, None, mix.knowledge)
        found.append((_sample(partition, mix, key, "base", first, said, drawing, profile), drawing))
    for prompt, seed in asked:
        for number, step in enumerate(shared_out[prompt]):
            said = plain_words(prompt)
            how = how_drawn(profile, step.drawing, mix.named.size)
            drawn = picture_id(step, mix.knowledge, profile, said, seed, *how)
            key = identity("mixed sample", mix.named.name, number, drawn)
            drawing = drawing_by(step, said, seed, size, mix.knowledge)
            found.append((_sample(partition, mix, key, "adapter", step, said, drawing, profile, number), drawing))
    return found


def _sample(
    partition: str,
    mix: MixToDraw,
    key: str,
    column: Column,
    step: Resolved,
    prompt: str,
    drawing: MixedDrawing,
    profile: Profile,
    number: int = 0,
) -> Sample:
    gates: dict[str, Any] = {}
    if column == "adapter":
        gates = step.record() | ({"step": number + 1, "of": len(mix.steps)} if mix.named.is_strip else {})
    return Sample(
        id=key,
        painter=partition,
        column=column,
        adapter_ids=tuple(adapter.id for adapter in step.drew) if column == "adapter" else (),
        base_model=step.first.base_model,
        base_revision=step.first.base_revision,
        prompt=prompt,
        seed=drawing.seed,
        width=drawing.size[0],
        height=drawing.size[1],
        num_inference_steps=profile.evaluation.num_inference_steps,
        **drawing.settings.model_dump(),
        path=f"{mix.key}/{SAMPLES}/{key}.png",
        sha256="",
        mix=mix.named.name,
        gates=gates,
    )


def _remove_others(folder: Path, keys: set[str]) -> None:
    """Remove the pictures of mixes that are no longer what mixes.yaml or the adapters say; their verdicts stay."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in keys:
            (entry / MANIFEST).unlink(missing_ok=True)  # first: no record of pictures that are no longer there
            shutil.rmtree(entry / SAMPLES, ignore_errors=True)
            if not (entry / VERDICTS).is_file():
                shutil.rmtree(entry)


def state_of(home: Home, mix: NamedMix) -> str:
    """Where a mix stands, in a few words: what is wrong with it, not drawn, judged unfit, judged fit, published."""
    try:
        drawn = next(each for each in to_draw(home, mix.partition) if each.named.name == mix.name)
        verdict = last_verdict(home.evaluation(mix.partition) / drawn.key)
    except ArtMasterError as error:
        return str(error)
    if verdict is None:
        return "not drawn as it is now"
    shown = read_manifest(home.gallery(mix.partition) / MANIFEST, Sample)
    if any(sample.mix == mix.name for sample in shown):
        return "published"
    return "fit to be published" if verdict.publish else "judged unfit"


def samples_of(home: Home, partition: str, mix: MixToDraw) -> tuple[Sample, ...]:
    """A mix's mixed pictures by prompt, seed and step. Raises ArtMasterError where they are missing or changed."""
    root = home.evaluation(partition)
    rows = [s for s in read_manifest(root / mix.key / MANIFEST, Sample) if s.column == "adapter"]
    changed = [s.path for s in rows if not (f := inside(root, s.path)).is_file() or sha256_of(f) != s.sha256]
    if not rows or changed:
        raise ArtMasterError(
            f"Pictures of the mix {mix.named.name} are missing or changed{': ' if changed else ''}"
            f"{', '.join(changed[:5])}. Make them again: artmaster run {partition} --only mixed_samples"
        )
    place = {plain_words(prompt): number for number, prompt in enumerate(mix.named.prompts)}

    def order(sample: Sample) -> tuple[Any, ...]:
        return place.get(sample.prompt, len(place)), sample.seed, sample.gates.get("step", 0), sample.id

    return tuple(sorted(rows, key=order))
