"""The gate of a canvas: which expert acts on which image token, in which blocks, at which noise level.

    g(expert, blocks, sigma, token) = sum over hands h of m_h(token) * (own_h(expert, blocks, sigma) + rest_h * ground)

m is a partition of unity over the hands, the ground's among them. A hand's own part is its shares in the factors, each
times how much of the factor it has here and what the factor weighs in these blocks at this noise (`experts.factors`);
what a hand leaves of a factor, and all of it beyond its noise levels, is the ground's. So the gates of all experts add
up to one on every token, before strengths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from artmaster_pipeline.experts.factors import FACTORS, FactorMap
from artmaster_pipeline.experts.gates import Gate
from artmaster_pipeline.records import identity


@dataclass(frozen=True)
class HandGate:
    """What one hand does where it has the canvas to itself."""

    experts: Mapping[str, str]  # the name of the hand's painter in `gate` -> the expert's name on the canvas
    gate: Gate  # without regions
    strengths: Mapping[str, float]  # by the painters' names
    factors: Mapping[str, float]  # how much of each factor it has; what is not said is 1
    sigma_range: tuple[float, float] = (0.0, 1.0)

    def acts(self, sigma: float) -> bool:
        """Whether the noise level is one of its own; a range from 0 or to 1 includes the end."""
        low, high = self.sigma_range
        return low <= sigma <= high

    def at(self, sigma: float, had: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Expert -> its gate by groups of blocks, (groups,), where the hand has so much of each factor."""
        weights = self.gate.factor_map.weights(sigma)  # factors x groups
        whole = {name: rows[:, 0] for name, rows in self.gate.at(sigma).items()}
        found: dict[str, np.ndarray] = {}
        for name, expert in self.experts.items():
            shares = np.array([self.gate.shares[name][factor] for factor in FACTORS])
            own = shares @ weights
            part = (shares * [had.get(factor, 1.0) for factor in FACTORS]) @ weights
            scale = np.divide(part, own, out=np.zeros_like(own), where=own > 0)
            found[expert] = found.get(expert, 0.0) + whole[name] * scale * self.strengths[name]
        return found


@dataclass(frozen=True)
class CanvasGate:
    """The gate of one canvas, as `experts.mixing` takes it; "ground" is one of the hands."""

    hands: Mapping[str, HandGate]
    masks: Mapping[str, np.ndarray]  # hand -> rows x columns of image tokens, together one everywhere
    ground: str
    segments: Sequence[tuple[str, ...]] = ()  # of each text token of the drawing the hands that it speaks for

    @cached_property
    def experts(self) -> tuple[str, ...]:
        """The experts' names, each once."""
        return tuple(dict.fromkeys(expert for hand in self.hands.values() for expert in hand.experts.values()))

    @property
    def factor_map(self) -> FactorMap:
        """Where factors live, of all hands together."""
        return self.hands[self.ground].gate.factor_map

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of image tokens."""
        rows, columns = self.masks[self.ground].shape
        return rows, columns

    def band(self, sigma: float) -> int:
        """A number for all noise levels at which the gate is the same."""
        acting = "".join("01"[hand.acts(sigma)] for hand in self.hands.values())
        return int(f"1{acting}", 2) * len(self.factor_map.noise_bands) + self.factor_map.band(sigma)

    def at(self, sigma: float) -> dict[str, np.ndarray]:
        """Expert -> groups x image tokens, row after row."""
        by_hand = {name: self.of_hand(name, sigma) for name in self.hands}
        return {
            expert: sum(np.outer(by_hand[name][expert], np.reshape(self.masks[name], -1)) for name in self.hands)  # type: ignore[misc]
            for expert in self.experts
        }

    @property
    def text_tokens(self) -> int | None:
        """Of how many text tokens `text_at` speaks; None where no prompt is anybody's own."""
        return len(self.segments) or None

    def text_at(self, sigma: float) -> dict[str, np.ndarray]:
        """Expert -> groups x text tokens: a word of one hand's prompt is read by that hand's experts.

        Words for several hands, and for none, are read by all of them, by their parts of the canvas.
        """
        by_hand = {name: self.of_hand(name, sigma) for name in self.hands}
        area = {name: float(np.mean(self.masks[name])) for name in self.hands}
        found = {expert: [] for expert in self.experts}  # type: dict[str, list[np.ndarray]]
        for names in (of or tuple(self.hands) for of in self.segments):
            whole = sum(area[name] for name in names) or 1.0
            for expert, columns in found.items():
                columns.append(np.sum([area[name] / whole * by_hand[name][expert] for name in names], axis=0))
        return {expert: np.stack(columns, axis=1) for expert, columns in found.items()}

    def of_hand(self, name: str, sigma: float) -> dict[str, np.ndarray]:
        """Expert -> (groups,) where the hand has the canvas to itself, with what it leaves to the ground."""
        hand, ground = self.hands[name], self.hands[self.ground]
        had = {factor: hand.factors.get(factor, 1.0) if hand.acts(sigma) else 0.0 for factor in FACTORS}
        if name == self.ground:
            had = dict.fromkeys(FACTORS, 1.0)
        own = hand.at(sigma, had)
        left = {factor: 1 - share for factor, share in had.items()}
        rest = ground.at(sigma, left) if any(left.values()) else {}
        nothing = np.zeros(len(self.factor_map.groups))
        return {expert: own.get(expert, nothing) + rest.get(expert, nothing) for expert in self.experts}

    def identity(self) -> str:
        """Made from all that it says."""
        hands = {
            name: [
                dict(hand.experts),
                hand.gate.form(),
                dict(hand.strengths),
                dict(hand.factors),
                list(hand.sigma_range),
            ]
            for name, hand in self.hands.items()
        }
        masks = {name: np.round(mask, 6).tolist() for name, mask in self.masks.items()}
        return identity("canvas gate", hands, masks, [list(names) for names in self.segments])
