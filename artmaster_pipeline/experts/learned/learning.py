"""The stage expert_gate: the captions and pictures of a set of painters, the gate they teach, and how good it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.adapters.in_use import adapter_in_use
from artmaster_pipeline.adapters.tensor_file import write_tensors
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn, marks_of
from artmaster_pipeline.base_models.family import TextEmbedding
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation import last_verdict
from artmaster_pipeline.evaluation.intervals import rounded
from artmaster_pipeline.experts.learned.asking import Answers, Question, ask, told
from artmaster_pipeline.experts.learned.captions import Caption, Captions, embedded, pictures_of, pooled, read_captions
from artmaster_pipeline.experts.learned.measuring import best_temperature, draw_reliability, measure
from artmaster_pipeline.experts.learned.network import logits
from artmaster_pipeline.experts.learned.strangers import distances, known_texts, threshold
from artmaster_pipeline.experts.learned.teaching import mixture_losses, teach
from artmaster_pipeline.experts.records import ExpertGate
from artmaster_pipeline.files import clear_partials, inside, remove_folder, sha256_of, writing
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    Outcome,
    Split,
    TrainingImage,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stages import members

if TYPE_CHECKING:
    import torch

    from artmaster_pipeline.experts.learned.network import Parameters

STAGE = "expert_gate"
WEIGHTS, RELIABILITY = "gate.safetensors", "reliability.png"  # in the folder of the gate's id
_VERSION = 1  # part of the gate's id: raise it when the same captions teach another gate
_JUDGING: tuple[Split, ...] = ("validate", "held_out")


def passed_painters(home: Home) -> tuple[str, ...]:
    """The painters whose current adapter the gate for publishing, or a person, let through."""
    found = []
    for painter in home.painters():
        adapter = current_adapter(home, painter)
        verdict = last_verdict(home.evaluation(painter) / adapter.id) if adapter else None
        if adapter is not None and verdict is not None and verdict.publish and not marks_of(home, adapter):
            found.append(painter)
    return tuple(found)


@one_at_a_time
@session()
def learn_gate(home: Home, partition: str, profile: Profile, progress: Progress = SILENT) -> Outcome[ExpertGate]:
    """Teach the gate of a set of painters and give its record; one that these adapters and captions taught is kept.

    The adapters are those in use (`adapter_in_use`). Writes expert_gates/<set>/<id>/ with gate.safetensors and
    reliability.png. Raises ArtMasterError where a painter has no adapter, or captions that say nothing but the trigger
    word; WrongUse where adapters are of other bases; HoldsWithdrawn where a work in one was withdrawn.
    """
    adapters = experts_of(home, members(partition), profile)
    root = home.stage_folder(STAGE, partition)
    if root.is_dir():
        clear_partials(root)
    captions = read_captions(home, adapters)
    _check_captions(captions, adapters)
    key = _identity(home, profile, adapters, captions)
    known = next((row for row in read_manifest(root / MANIFEST, ExpertGate) if row.id == key), None)
    if known is not None and _is_whole(root, known):
        return _outcome(root, known, 0)
    lessons = _Lessons(home, profile, adapters, captions, progress)
    found = _learnt(lessons, key, root)
    write_manifest(root / MANIFEST, [found])
    for entry in root.iterdir():
        if entry.is_dir() and entry.name != key:
            remove_folder(entry)
    return _outcome(root, found, 1)


def experts_of(home: Home, painters: Sequence[str], profile: Profile) -> list[Adapter]:
    """The painters' adapters in use, in the order of their slugs. Raises as `learn_gate` does."""
    from artmaster_pipeline.base_models import base_revision

    adapters = [adapter_in_use(home, painter, profile)[0] for painter in sorted(painters)]
    revision = base_revision(profile, home)
    if others := [adapter.painter for adapter in adapters if adapter.base_revision != revision]:
        raise WrongUse(
            f"The adapters of {', '.join(others)} are of another base model than the profile's ({profile.base_model}, "
            f"revision {revision}): run `artmaster run` for each of them to train on the present one."
        )
    for adapter in adapters:
        check_not_withdrawn(home, adapter)
    return adapters


class _Lessons:
    """What teaches and measures a gate: texts embedded, experts asked."""

    def __init__(
        self, home: Home, profile: Profile, adapters: Sequence[Adapter], captions: Captions, progress: Progress
    ) -> None:
        self.home, self.profile, self.adapters, self.captions = home, profile, adapters, captions
        self.painters = [adapter.painter for adapter in adapters]
        self._revision, self._progress = adapters[0].base_revision, progress
        how = profile.experts.gate
        self.taught_by = self._pictures(["train"], how.pictures) if how.mixture_steps else []
        self.tried_on = self._pictures(_JUDGING, how.pictures)
        self._texts = self._embed()

    def _pictures(self, splits: Sequence[Split], most: int) -> list[tuple[Adapter, TrainingImage]]:
        found = [(adapter, pictures_of(self.home, adapter, splits, most)) for adapter in self.adapters]
        return [(adapter, image) for adapter, images in found for image in images]

    def _embed(self) -> dict[str, TextEmbedding]:
        """The captions', and what experts and base are told of the pictures."""
        texts = {row.text for row in self.captions.rows}
        for adapter, image in (*self.taught_by, *self.tried_on):
            content = _content(adapter, image)
            texts |= {content, *(told(expert.trigger, content) for expert in self.adapters)}
        return embedded(self.home, self.profile, self._revision, texts, self._progress)

    def pooled(self, texts: Sequence[str]) -> "torch.Tensor":
        """(n, features)."""
        import torch

        if not texts:
            return torch.zeros(0, len(pooled(self.profile, self.home, next(iter(self._texts.values())))))
        return torch.stack([pooled(self.profile, self.home, self._texts[text]) for text in texts])

    def numbers(self, rows: Sequence[Caption]) -> "torch.Tensor":
        """The painters' numbers, (n,)."""
        import torch

        return torch.tensor([self.painters.index(row.painter) for row in rows], dtype=torch.long)

    def asked(self, pictures: Sequence[tuple[Adapter, TrainingImage]]) -> Answers | None:
        """What the experts answer of pictures; None without any."""
        from artmaster_pipeline.training.caches import latents_of

        if not pictures:
            return None
        latents: dict[str, torch.Tensor] = {}
        for adapter in self.adapters:
            of = [image for owner, image in pictures if owner is adapter]
            latents |= latents_of(self.home, adapter.painter, self.profile, self._revision, of, self._progress)
        questions = [
            Question(latents[image.id], _content(adapter, image), number)
            for number, (adapter, image) in enumerate(pictures)
        ]
        return ask(self.home, self.profile, self.adapters, questions, self._texts, self._progress)


def _learnt(lessons: _Lessons, key: str, root: Path) -> ExpertGate:
    """Teach, measure, write; gives the record."""
    settings, painters = lessons.profile.experts.gate, lessons.painters
    taught, held_out = lessons.captions.of("train"), lessons.captions.of("held_out")
    texts, numbers = lessons.pooled([row.text for row in taught]), lessons.numbers(taught)
    answers = lessons.asked(lessons.taught_by)
    asked = lessons.pooled(answers.texts) if answers else None
    parameters = teach(texts, numbers, len(painters), settings, answers, asked)
    parameters |= known_texts(texts, numbers, len(painters))

    validation = lessons.captions.of("validate")
    temperature = best_temperature(_painters_logits(lessons, parameters, validation), lessons.numbers(validation))
    odds = (_painters_logits(lessons, parameters, held_out) / temperature).softmax(1)
    measured = measure(odds, lessons.numbers(held_out), painters, [row.work for row in held_out])
    far = distances(parameters, lessons.pooled([row.text for row in held_out]))

    folder = root / key
    with writing(folder / WEIGHTS) as temporary:
        write_tensors({n: t.contiguous() for n, t in parameters.items()}, {"artmaster.gate": key}, temporary)
    with writing(folder / RELIABILITY) as temporary:
        draw_reliability(measured.reliability, measured.calibration_error, len(held_out), temporary)
    accuracy = measured.accuracy
    first = lessons.adapters[0]
    return ExpertGate(
        id=key,
        painters=tuple(painters),
        adapter_ids=tuple(adapter.id for adapter in lessons.adapters),
        base_model=first.base_model,
        base_revision=first.base_revision,
        profile=lessons.profile.name,
        path=f"{key}/{WEIGHTS}",
        sha256=sha256_of(folder / WEIGHTS),
        settings=settings.model_dump(mode="json"),
        captions={painter: len({r.text for r in taught if r.painter == painter}) for painter in painters},
        wordless=lessons.captions.wordless,
        scan_sha256s=tuple(sorted(_scans(lessons))),
        held_out=len(held_out),
        accuracy=rounded(accuracy.value) if accuracy else None,
        accuracy_interval=(_share(accuracy.low), _share(accuracy.high)) if accuracy else (None, None),
        chance=measured.chance,
        calibration_error=measured.calibration_error,
        reliability=measured.reliability,
        confusion=measured.confusion,
        temperature=temperature,
        threshold=threshold(far, settings.rejected) if len(far) else None,
        losses=_losses(lessons, parameters),
    )


def _share(end: float | None) -> float | None:
    """An end of a share's interval: Student's t knows no limits, a share has two."""
    return None if end is None else rounded(min(1.0, max(0.0, end)))


def _painters_logits(lessons: _Lessons, parameters: "Parameters", rows: Sequence[Caption]) -> "torch.Tensor":
    """Whose captions these are: (n, painters), the mean over the noise levels that taught the gate."""
    return _mean_logits(parameters, lessons.pooled([row.text for row in rows]), lessons.profile)[:, :-1]


def _mean_logits(parameters: "Parameters", texts: "torch.Tensor", profile: Profile) -> "torch.Tensor":
    import torch

    whole = torch.zeros(len(texts), dtype=torch.long)
    levels = [torch.full((len(texts),), sigma) for sigma in profile.experts.gate.sigmas]
    return torch.stack([logits(parameters, texts, whole, level) for level in levels]).mean(0)


def _losses(lessons: _Lessons, parameters: "Parameters") -> dict[str, float]:
    """Of denoising works that taught nothing; empty where there are none."""
    answers = lessons.asked(lessons.tried_on)
    if answers is None:
        return {}
    gates = logits(parameters, lessons.pooled(answers.texts), answers.regions, answers.sigmas).softmax(1)
    return mixture_losses(answers, gates, lessons.painters)


def _content(adapter: Adapter, image: TrainingImage) -> str:
    from artmaster_pipeline.evaluation.panel.adherence import without_trigger

    return without_trigger(image.caption, adapter.trigger)


def _scans(lessons: _Lessons) -> set[str]:
    pictures = {image.scan_sha256 for _, image in (*lessons.taught_by, *lessons.tried_on)}
    return pictures | {row.scan_sha256 for row in lessons.captions.rows}


def _check_captions(captions: Captions, adapters: Sequence[Adapter]) -> None:
    taught = {row.painter for row in captions.of("train")}
    if silent := [adapter.painter for adapter in adapters if adapter.painter not in taught]:
        raise ArtMasterError(
            f"No caption of {', '.join(silent)} says more than the trigger word, so nobody can learn from them which "
            "prompts are theirs. Write captions: artmaster captions PAINTER --edit, then run the painter again."
        )


def _identity(home: Home, profile: Profile, adapters: Sequence[Adapter], captions: Captions) -> str:
    judging = [image.id for adapter in adapters for image in pictures_of(home, adapter, (*_JUDGING, "train"), 10**6)]
    return identity(
        "expert gate",
        _VERSION,
        [(adapter.id, adapter.sha256, adapter.trigger) for adapter in adapters],
        profile.experts.gate.model_dump(mode="json"),
        (adapters[0].base_revision, profile.max_sequence_length, profile.dtype, profile.quantization),
        [(row.painter, row.text, row.split, row.work) for row in captions.rows],
        judging,
    )


def _is_whole(root: Path, gate: ExpertGate) -> bool:
    file = inside(root, gate.path)
    return file.is_file() and sha256_of(file) == gate.sha256


def _outcome(root: Path, gate: ExpertGate, made: int) -> Outcome[ExpertGate]:
    figures = {
        "accuracy": "not known" if gate.accuracy is None else gate.accuracy,
        "calibration error": "not known" if gate.calibration_error is None else gate.calibration_error,
        "held-out captions": gate.held_out,
    }
    return Outcome((gate,), root / MANIFEST, made, 1 - made, figures=figures)
