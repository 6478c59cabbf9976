"""The one hand of a story: its painter's adapter, or a mix's, resolved once and the same in every shot."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from artmaster_pipeline.copainting.canvas import label_map, load
from artmaster_pipeline.copainting.painting import Hands
from artmaster_pipeline.copainting.painting.hands import mix_of
from artmaster_pipeline.copainting.records import Hand
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.experts.gating import Knowledge, by_prompt, knowledge_of
from artmaster_pipeline.experts.mixes import Mix, listed, parse_mix
from artmaster_pipeline.experts.resolving import Resolved, resolve
from artmaster_pipeline.records import GROUND, Adapter, identity
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stories.records import Story, StyleContract


@dataclass(frozen=True)
class OneHand:
    """Who paints all shots: the same adapters, gates, triggers, strengths and guidance in each."""

    resolved: Resolved
    knowledge: Knowledge

    @property
    def profile(self) -> Profile:
        """What it is painted with."""
        return self.resolved.profile

    @property
    def painters(self) -> tuple[str, ...]:
        """Who has a part."""
        return tuple(adapter.painter for adapter in self.resolved.drew)

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """Theirs."""
        return self.resolved.drew

    @cached_property
    def identity(self) -> str:
        """Made from the mix, the adapters' weights, and what is known of them."""
        return identity("one hand", self.resolved.identity(), self.knowledge.identity)

    def heard(self, prompt: str) -> tuple[tuple[str, float], ...]:
        """What the model hears of a prompt without triggers: each painter's own, and the weight of each."""
        return self.resolved.heard(prompt)

    def on_canvas(self, home: Home, folder: Path) -> Hands:
        """The canvas in a folder with this hand in its ground and in every region, whatever else the file says."""
        import numpy as np

        canvas = load(folder, home)
        labels = label_map(canvas)
        shares = {region.id: float(np.mean(labels == region.label)) for region in canvas.regions}
        shares[GROUND] = 1 - sum(shares.values())
        resolved = {GROUND: self.resolved, **{region.id: self.resolved for region in canvas.regions}}
        return Hands(canvas, resolved, shares, self.knowledge)


def hand_of(home: Home, story: Story, prompts: Sequence[str] = (), *, publishing: bool = False) -> OneHand:
    """The hand that a story's contract names, with its adapters as they are now.

    A mix that a learned gate shares out is shared out once, for the first of `prompts`. Raises as `experts.resolve`
    does, and with `publishing` NotPublished where pictures of an expert may not be.
    """
    resolved = resolve(home, _mix(story.style_contract, story.name), publishing=publishing)
    if prompts:
        resolved, _ = by_prompt(home, resolved, prompts[0])
    return OneHand(resolved, knowledge_of(home, resolved.adapters))


def _mix(contract: StyleContract, name: str) -> Mix:
    if contract.painter:
        return mix_of(Hand(painters=(contract.painter,)))
    faults: list[str] = []
    mix = parse_mix(contract.mix, faults=faults)
    if mix is None or faults:
        said = faults or ["it names no painter"]
        raise WrongUse(f"The mix of the story {name} cannot be drawn: {listed(said)}")
    return mix
