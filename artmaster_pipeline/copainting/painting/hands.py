"""Who paints a canvas: the hands of its ground and regions with their adapters, and every reason against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.copainting.canvas import label_map
from artmaster_pipeline.copainting.painting.gate import HandGate
from artmaster_pipeline.copainting.records import Canvas, Hand, RegionBinding
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, NotPublished, WrongUse
from artmaster_pipeline.experts.factors import FactorMap
from artmaster_pipeline.experts.gating import Knowledge, by_prompt, gate_of, knowledge_of
from artmaster_pipeline.experts.mixes import Mix, listed
from artmaster_pipeline.experts.mixing import MOST_EXPERTS, Expert
from artmaster_pipeline.experts.resolving import Resolved, drawn_together, plain_words, resolve
from artmaster_pipeline.records import GROUND, Adapter, identity
from artmaster_pipeline.settings import Home, Profile


@dataclass(frozen=True)
class Hands:
    """A canvas with the adapters of all its hands."""

    canvas: Canvas
    resolved: Mapping[str, Resolved]  # "ground" and each region's id -> its hand
    shares: Mapping[str, float]  # the same -> its part of the canvas
    knowledge: Knowledge
    control: str = ""  # the hash of the ControlNet's weights, where a signal holds the canvas

    @property
    def profile(self) -> Profile:
        """Of all hands: they share a base, and the ground's painter says the rest."""
        return self.resolved[GROUND].profile

    @cached_property
    def adapters(self) -> tuple[Adapter, ...]:
        """Those that have a part in the picture, each once, the ground's first."""
        found = {adapter.id: adapter for hand in self.resolved.values() for adapter in hand.drew}
        return tuple(found.values())

    @cached_property
    def drawing(self) -> DrawingSettings:
        """How all are drawn together: the mean of how each is drawn alone, by its part of the canvas."""
        parts = [
            (self.shares[name] * hand.mix.weight(chosen.adapter.painter), chosen.adapter, hand.profile)
            for name, hand in self.resolved.items()
            for chosen in hand.experts
        ]
        return drawn_together(parts)

    def experts(self, home: Home) -> tuple[Expert, ...]:
        """The experts as `mixture` takes them, by their adapters' ids; strengths are in the gates."""
        return tuple(Expert(adapter.id, folder_of(home, adapter)) for adapter in self.adapters)

    def gates(self, home: Home, factor_map: FactorMap) -> dict[str, HandGate]:
        """What each hand does where it has the canvas to itself."""
        found = {}
        for name, hand in self.resolved.items():
            drew = {adapter.id for adapter in hand.drew}
            binding = self.binding(name)
            found[name] = HandGate(
                {c.adapter.painter: c.adapter.id for c in hand.experts if c.adapter.id in drew},
                gate_of(home, hand, factor_map, (1, 1)),
                {chosen.adapter.painter: chosen.strength for chosen in hand.experts},
                binding.factors if isinstance(binding, RegionBinding) else {},
                binding.sigma_range if isinstance(binding, RegionBinding) else (0.0, 1.0),
            )
        return found

    def binding(self, name: str) -> Hand:
        """The canvas' own words on a hand."""
        return next((region for region in self.canvas.regions if region.id == name), self.canvas.ground)

    def prompt(self, name: str) -> str:
        """What a hand's region shows, without triggers: its own prompt, or the canvas'."""
        return plain_words(self.binding(name).prompt or self.canvas.prompt)

    def heard(self, name: str) -> tuple[tuple[str, float], ...]:
        """What the model hears of a hand: each of its painters' prompts, and the weight of each."""
        return self.resolved[name].heard(self.prompt(name))

    @cached_property
    def with_own_words(self) -> tuple[str, ...]:
        """The hands that are there and show something else than the canvas' prompt says."""
        whole = plain_words(self.canvas.prompt)
        return tuple(name for name in self.resolved if self.shares[name] > 0 and self.prompt(name) != whole)

    def heard_as_a_whole(self) -> tuple[tuple[str, float], ...]:
        """What it hears of the canvas: its prompt, in the words of those who have no other, by their parts.

        Where everybody has words of their own, it is in the words of all.
        """
        found: dict[str, float] = {}
        there = [name for name in self.resolved if self.shares[name] > 0]
        for name in [name for name in there if name not in self.with_own_words] or there:
            for text, weight in self.resolved[name].heard(plain_words(self.canvas.prompt)):
                found[text] = found.get(text, 0.0) + weight * self.shares[name]
        return tuple(found.items())

    def record(self) -> dict[str, Any]:
        """What a picture's record says of the canvas, as JSON: whose adapters drew which region, of what, how."""
        regions = {}
        for name, hand in self.resolved.items():
            binding = self.binding(name)
            said = hand.record()
            regions[name] = {
                "adapters": said["adapters"],
                "mix": hand.mix.in_words() if binding.mix else "",
                "strengths": said["strengths"],
                "triggers": said["triggers"],
                "prompt": self.prompt(name),
                "share": round(self.shares[name], 4),
            }
            if isinstance(binding, RegionBinding):
                regions[name] |= {
                    "kind": binding.kind,
                    "label": binding.label,
                    "factors": binding.factors,
                    "feather_px": binding.feather_px,
                    "sigma_range": list(binding.sigma_range),
                }
        control = [each.model_dump(mode="json") for each in self.canvas.control]
        return {
            "canvas": self.canvas.name,
            "regions": regions,
            "labels_sha256": self.canvas.labels_sha256,
            "control": control,
        }

    def identity(self) -> str:
        """Made from the canvas and the adapters' and the ControlNet's weights as they are now."""
        hands = {name: hand.identity() for name, hand in self.resolved.items()}
        return identity("canvas painted", self.canvas.said(), hands, self.knowledge.identity, self.control)


def hands_of(home: Home, canvas: Canvas, *, publishing: bool = False) -> Hands:
    """The hands of a canvas. Raises one error that names everything that is wrong with any, as `resolve` does.

    `publishing` asks whether pictures may be published. Raises MissingRequirement where the canvas names a signal that
    the profile's ControlNet does not read, or has none.
    """
    resolved: dict[str, Resolved] = {}
    errors: list[ArtMasterError] = []
    for name, hand in ((GROUND, canvas.ground), *((region.id, region) for region in canvas.regions)):
        try:
            found = resolve(home, mix_of(hand), publishing=publishing)
            resolved[name], _ = by_prompt(home, found, hand.prompt or canvas.prompt)
        except ArtMasterError as error:
            errors.append(type(error)(f"{name}: {error}") if isinstance(error, _LISTED) else error)
    faults = list(dict.fromkeys(str(error) for error in errors))
    if not faults:
        faults = _of_one_base(resolved)
        errors += [WrongUse(fault) for fault in faults]
    if errors:
        kinds = {type(error) for error in errors}
        kind = kinds.pop() if len(kinds) == 1 else WrongUse
        raise kind(f"The canvas {canvas.name} cannot be painted: {listed([f.rstrip('.') for f in faults])}")
    labels = label_map(canvas)
    shares = {region.id: float(np.mean(labels == region.label)) for region in canvas.regions}
    shares[GROUND] = 1 - sum(shares.values())
    adapters = {adapter.id: adapter for hand in resolved.values() for adapter in hand.adapters}
    control = _control(home, canvas, resolved[GROUND].profile)
    return Hands(canvas, resolved, shares, knowledge_of(home, tuple(adapters.values())), control)


def _control(home: Home, canvas: Canvas, profile: Profile) -> str:
    """The hash of the weights that hold the canvas; empty where nothing does."""
    if not canvas.control:
        return ""
    from artmaster_pipeline.base_models.control import control_identity, control_mode

    for each in canvas.control:
        control_mode(profile, each.signal)  # what it does not read is told before anything is loaded
    return control_identity(profile, home)


_LISTED = (WrongUse, HoldsWithdrawn, NotPublished)


def mix_of(hand: Hand) -> Mix:
    """A hand as a mix: of one painter, where it is one's alone."""
    if hand.mix is not None:
        strengths = dict.fromkeys(hand.painters, hand.strength) if hand.strength is not None else {}
        return hand.mix.model_copy(update={"strengths": hand.mix.strengths | strengths})
    (painter,) = hand.painters
    return Mix(
        painters=hand.painters,
        gate="person",
        adapters={painter: hand.adapter} if hand.adapter else {},
        strengths={painter: hand.strength} if hand.strength is not None else {},
    )


def _of_one_base(resolved: Mapping[str, Resolved]) -> list[str]:
    """Why the hands cannot be on one canvas."""
    bases: dict[tuple[str, str], list[str]] = {}
    adapters: dict[str, Adapter] = {}
    for name, hand in resolved.items():
        for adapter in hand.adapters:
            bases.setdefault((adapter.base_model, adapter.base_revision), []).append(f"{adapter.painter} in {name}")
            adapters[adapter.id] = adapter
    faults = []
    if len(bases) > 1:
        said = "; ".join(f"{', '.join(dict.fromkeys(who))}: {base[0]}" for base, who in bases.items())
        faults.append(f"the adapters are of different base models ({said}): train them on one")
    if len(adapters) > MOST_EXPERTS:
        faults.append(f"{len(adapters)} adapters on one canvas: {MOST_EXPERTS} are the most")
    return faults
