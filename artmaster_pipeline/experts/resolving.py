"""What a mix means in a data home: an adapter for each painter, and how all of them are drawn together.

Every reason against a mix is found before anything is loaded: painters and adapters that are not there, adapters of
different bases, works that were withdrawn, and, where the picture is to be published, experts that are not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from artmaster_pipeline.adapters.finding import published_adapter
from artmaster_pipeline.adapters.in_use import adapter_in_use
from artmaster_pipeline.adapters.withdrawn import marks_of, refusal
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, NotPublished, WrongUse
from artmaster_pipeline.evaluation.verdicts import last_verdict
from artmaster_pipeline.evaluation.withdrawn import evaluation_marks
from artmaster_pipeline.experts.mixes import Mix, NamedMix, listed
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.records import Adapter, identity
from artmaster_pipeline.settings import CROP_SIZES, Home, Profile, painter_profile

_SAME_SHAPE = 0.02  # by which a map's width over height may miss the picture's


@dataclass(frozen=True)
class Chosen:
    """A painter's adapter in a mix, and the strength at which it is drawn where it has the whole picture."""

    adapter: Adapter
    strength: float
    newer: str = ""  # a sentence on a newer adapter that is not used


@dataclass(frozen=True)
class Resolved:
    """A mix with its adapters, in the order of `mix.painters`."""

    mix: Mix
    experts: tuple[Chosen, ...]
    profile: Profile
    drawing: DrawingSettings
    maps: tuple[tuple[str, str], ...] = ()  # painter, sha256 of its region's map

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """Those of all painters."""
        return tuple(expert.adapter for expert in self.experts)

    @property
    def drew(self) -> tuple[Adapter, ...]:
        """Those that have a part in the picture: at the ends of an interpolation one of them has none."""
        return tuple(adapter for adapter in self.adapters if self.mix.weight(adapter.painter) > 0)

    @property
    def first(self) -> Adapter:
        """Any one of them, for what all have in common: the base."""
        return self.experts[0].adapter

    def record(self) -> dict[str, Any]:
        """What a picture's record says of the gates, as JSON: enough to draw it again."""
        said = self.mix.model_dump(mode="json", exclude={"adapters", "regions", "painters"})
        said["adapters"] = {expert.adapter.painter: expert.adapter.id for expert in self.experts}
        said["strengths"] = {expert.adapter.painter: expert.strength for expert in self.experts}
        said["triggers"] = {expert.adapter.painter: expert.adapter.trigger for expert in self.experts}
        return said | ({"regions": dict(self.maps)} if self.maps else {})

    def identity(self) -> str:
        """The id of the mix as it is drawn now, made from the shares and the adapters' weights."""
        return identity("resolved mix", self.record(), [adapter.sha256 for adapter in self.adapters])

    def heard(self, prompt: str) -> tuple[tuple[str, float], ...]:
        """What the model hears: each painter's own prompt, the trigger before it, and the painter's part of the whole.

        A trigger that the prompt says already is not said again; who has no part is not heard.
        """
        plain = plain_words(prompt)
        whole = sum(self.mix.weight(painter) for painter in self.mix.painters)
        found: dict[str, float] = {}
        for adapter in self.drew:
            said = plain if adapter.trigger.casefold() in plain.casefold() else f"{adapter.trigger}, {plain}"
            own = said if plain else adapter.trigger
            found[own] = found.get(own, 0.0) + self.mix.weight(adapter.painter) / whole
        return tuple(found.items())


def plain_words(prompt: str) -> str:
    """A prompt with single blanks."""
    return " ".join(prompt.split())


def resolve(
    home: Home,
    mix: Mix,
    *,
    size: tuple[int, int] = CROP_SIZES[0],
    faults: Iterable[str] = (),
    publishing: bool = False,
) -> Resolved:
    """The mix with its adapters. Raises one error that lists `faults` and all that is wrong with it besides.

    It is HoldsWithdrawn or NotPublished where that alone is wrong, else WrongUse. `publishing` asks whether pictures
    of it may be published: each expert must be, and have been judged fit.
    """
    wrong, withdrawn, unfit = list(faults), list[str](), list[str]()
    found: dict[str, Chosen] = {}
    profiles: dict[str, Profile] = {}
    for painter in mix.painters:
        try:
            profiles[painter] = painter_profile(home, painter)
            adapter, newer = adapter_in_use(home, painter, None, mix.adapters.get(painter))
            marks = marks_of(home, adapter)
            strength = mix.strengths.get(painter, drawing_of(adapter, profiles[painter]).strength)
            found[painter] = Chosen(adapter, strength, newer)
        except ArtMasterError as error:
            wrong.append(str(error).rstrip("."))
            continue
        if marks:
            what = f"The adapter {adapter.id} of {painter}"
            withdrawn.append(refusal(what, marks, painter).rstrip("."))
        if publishing:
            unfit += _unpublished(home, adapter)
    wrong += _of_one_base(found, profiles)
    maps = _maps(home, mix, size, wrong)
    if wrong or withdrawn or unfit:
        raise _error(mix, wrong, withdrawn, unfit)
    experts = tuple(found[painter] for painter in mix.painters)
    profile = profiles[mix.painters[0]]
    parts = [(mix.weight(p), chosen.adapter, profiles[p]) for p, chosen in zip(mix.painters, experts, strict=True)]
    return Resolved(mix, experts, profile, drawn_together(parts), maps)


def check_base(home: Home, resolved: Resolved) -> None:
    """Raise WrongUse where the base's weights are not those that the adapters were trained on. It reads the weights."""
    from artmaster_pipeline.base_models import base_revision

    there = base_revision(resolved.profile, home)
    if old := [adapter for adapter in resolved.adapters if adapter.base_revision != there]:
        who = ", ".join(f"{adapter.id} of {adapter.painter}" for adapter in old)
        raise WrongUse(
            f"The base model {resolved.first.base_model} is no longer the one that the adapters {who} were trained on: "
            f"run {' and '.join(f'`artmaster run {adapter.painter}`' for adapter in old)} to train on the present one."
        )


def resolve_named(home: Home, mix: NamedMix, *, publishing: bool = False) -> tuple[Resolved, ...]:
    """Each step of a mix of mixes.yaml, resolved; errors say its name."""
    try:
        return tuple(resolve(home, step, size=mix.size, publishing=publishing) for step in mix.steps)
    except ArtMasterError as error:
        raise type(error)(f"{mix.name} of mixes.yaml: {error}") from error


def _error(mix: Mix, wrong: list[str], withdrawn: list[str], unfit: list[str]) -> ArtMasterError:
    said = f"The mix {mix.in_words()!r} cannot be drawn: {listed([*wrong, *withdrawn, *unfit])}"
    if wrong:
        return WrongUse(said)
    return HoldsWithdrawn(said) if withdrawn else NotPublished(said.replace("be drawn", "be published", 1))


def _of_one_base(found: dict[str, Chosen], profiles: dict[str, Profile]) -> list[str]:
    """Adapters of several bases, or of others than their painters' profiles use now."""
    faults = []
    bases = {(chosen.adapter.base_model, chosen.adapter.base_revision) for chosen in found.values()}
    if len(bases) > 1:
        said = "; ".join(
            f"{chosen.adapter.id} of {painter} is of {chosen.adapter.base_model} "
            f"(revision {chosen.adapter.base_revision})"
            for painter, chosen in found.items()
        )
        faults.append(
            f"the adapters are of different base models: {said}. Train them on one (artmaster run PAINTER --profile "
            "NAME), or name others as PAINTER@ID"
        )
    faults += [
        f"the adapter {chosen.adapter.id} of {painter} is of {chosen.adapter.base_model}, and the painter's profile "
        f"{profiles[painter].name} uses {profiles[painter].base_model}: choose the profile {chosen.adapter.profile}"
        for painter, chosen in found.items()
        if chosen.adapter.base_model != profiles[painter].base_model
    ]
    return faults


def _unpublished(home: Home, adapter: Adapter) -> list[str]:
    """Why pictures that an adapter has a part in may not be published."""
    painter, faults = adapter.painter, []
    try:
        verdict = last_verdict(home.evaluation(painter) / adapter.id)
        published = published_adapter(home, painter)
    except ArtMasterError as error:
        return [str(error).rstrip(".")]
    if verdict is None:
        faults.append(f"the adapter {adapter.id} of {painter} has not been judged: artmaster run {painter}")
    elif not verdict.publish:
        faults.append(
            f"the adapter {adapter.id} of {painter} was judged unfit ({' '.join(verdict.reasons).rstrip('.')}); to "
            f"overrule: artmaster gate {painter} --adapter {adapter.id} --publish --reason TEXT"
        )
    if published is None or published.id != adapter.id:
        faults.append(f"the gallery of {painter}'s adapter {adapter.id} is not published: artmaster publish {painter}")
    for mark in evaluation_marks(home, adapter)[:1]:
        said = mark.of(f"the adapter {adapter.id} of {painter}")
        faults.append(f"{said}: evaluate it anew with artmaster run {painter}")
    return faults


def _maps(home: Home, mix: Mix, size: tuple[int, int], faults: list[str]) -> tuple[tuple[str, str], ...]:
    from PIL import Image

    found = []
    for painter, path in mix.regions.items():
        file = home.root / path
        try:
            with Image.open(file, formats=["PNG"]) as image:
                width, height = image.size
        except (OSError, ValueError) as error:
            faults.append(f"the region of {painter}, {file}, cannot be read as a PNG ({error})")
            continue
        if abs(width / height - size[0] / size[1]) > _SAME_SHAPE:
            wanted = f"{size[0]}x{size[1]}"
            faults.append(f"the region of {painter}, {file}, is {width}x{height}: draw it at {wanted} or that shape")
        found.append((painter, sha256_of(file)))
    return tuple(found)


def drawn_together(parts: Sequence[tuple[float, Adapter, Profile]]) -> DrawingSettings:
    """How adapters are drawn together, from how each is drawn alone: guidance by their parts in the whole.

    The adapters are off in the pass without the prompt where those with more than half of the picture are. Strengths
    are each expert's own and multiply its gate, so here it is 1.
    """
    weights = [weight for weight, _, _ in parts]
    alone = [drawing_of(adapter, profile) for _, adapter, profile in parts]
    total = sum(weights)

    def mean(values: Iterable[float]) -> float:
        return round(sum(weight * value for weight, value in zip(weights, values, strict=True)) / total, 4)

    return DrawingSettings(
        guidance_scale=mean(each.guidance_scale for each in alone),
        true_cfg_scale=max(1.0, mean(each.true_cfg_scale for each in alone)),
        adapter_in_unguided=mean(float(each.adapter_in_unguided) for each in alone) >= 0.5,
    )
