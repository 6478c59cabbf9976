"""Shots drawn by the one hand: the base is loaded once, regions hear their own words, figures are held to panels."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.copainting.painting import Hands
from artmaster_pipeline.copainting.painting.drawing import at_work, draw_batch, prepare, texts_of
from artmaster_pipeline.experts.drawing import mean_text
from artmaster_pipeline.experts.gating import experts_of, gate_of, token_grid
from artmaster_pipeline.experts.mixing import mixture
from artmaster_pipeline.experts.resolving import check_base
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stories.painting.anchors import Held, holding
from artmaster_pipeline.stories.painting.hand import OneHand
from artmaster_pipeline.stories.painting.noise import noise_of

if TYPE_CHECKING:
    from artmaster_pipeline.base_models import TextEmbedding

Draw = Any  # (seeds, further, after_step) -> pictures


@dataclass(frozen=True)
class ToDraw:
    """Pictures of one shot, one for each seed, that share all but their noise."""

    prompt: str  # without triggers
    size: tuple[int, int]  # width, height in the profile's pixels
    seeds: tuple[int, ...]
    story_seed: int = 0
    shared_noise: float = 0.0
    hands: Hands | None = None  # of a shot with regions: its canvas
    held: tuple[Held, ...] = ()
    until: float = 1.0  # the noise level down to which figures are held


def draw_shots(home: Home, hand: OneHand, shots: Sequence[ToDraw]) -> Iterator[np.ndarray]:
    """The pictures of all shots in order, uint8 (height, width, 3), each as soon as its batch is drawn.

    Raises WrongUse where the base is no longer the one that the adapters were trained on, or where its family cannot
    begin with given noise and that was asked for.
    """
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.sampling import embed_texts

    if not any(shot.seeds for shot in shots):
        return
    check_base(home, hand.resolved)
    texts = {text for shot in shots for text in _texts(hand, shot)}
    embedded = embed_texts(hand.profile, texts, home, hand.resolved.drawing)
    with open_pipeline(hand.profile, ("transformer", "vae"), home) as pipe:
        for of in _runs(shots):
            if of[0].hands is None:
                with _plain(pipe, home, hand, embedded) as drawing:
                    for shot in of:
                        yield from _batches(pipe, hand, shot, drawing(shot))
            else:
                with _on_canvas(pipe, home, of[0], embedded) as draw:
                    yield from _batches(pipe, hand, of[0], draw)


def _runs(shots: Sequence[ToDraw]) -> Iterator[list[ToDraw]]:
    """Neighbours without regions together, for which the adapters are put on once; of the others each alone."""
    for _, of in groupby(enumerate(shots), key=lambda each: each[0] if each[1].hands else -1):
        yield [shot for _, shot in of]


def _texts(hand: OneHand, shot: ToDraw) -> set[str]:
    return texts_of(shot.hands) if shot.hands else {text for text, _ in hand.heard(shot.prompt)}


def _batches(pipe: Any, hand: OneHand, shot: ToDraw, draw: Draw) -> Iterator[np.ndarray]:
    import torch

    from artmaster_pipeline.base_models.family import family_for

    profile, size = hand.profile, hand.profile.size(*shot.size)
    for begin in range(0, len(shot.seeds), profile.evaluation.batch_size):
        seeds = shot.seeds[begin : begin + profile.evaluation.batch_size]
        further: dict[str, Any] = {}
        after = None
        if shot.shared_noise or shot.held:
            noises = [noise_of(pipe, profile, size, seed, shot.story_seed, shot.shared_noise) for seed in seeds]
            further = {"latents": torch.cat([family_for(pipe).packed(noise) for noise in noises])}
            if shot.held and shot.until < 1:
                after = holding(pipe, shot.held, size, noises, shot.until)
        yield from draw(seeds, further, after)


@contextmanager
def _plain(pipe: Any, home: Home, hand: OneHand, embedded: "Mapping[str, TextEmbedding]") -> Iterator[Any]:
    """The hand's adapters on the pipeline; gives what gives of a shot without regions how it is drawn."""
    from artmaster_pipeline.generation.sampling import draw_embedded, negative_of

    resolved, profile = hand.resolved, hand.profile
    factor_map = hand.knowledge.map_for(pipe.transformer)
    negative = negative_of(pipe, embedded, resolved.drawing)
    with mixture(pipe, experts_of(home, resolved)) as mixing:

        def of(shot: ToDraw) -> Draw:
            size = profile.size(*shot.size)
            text = mean_text([(embedded[said], weight) for said, weight in hand.heard(shot.prompt)])
            mixing.use([gate_of(home, resolved, factor_map, token_grid(pipe, *size))])
            steps = profile.evaluation.num_inference_steps

            def draw(seeds: Sequence[int], further: Mapping[str, Any], after: Any) -> list[np.ndarray]:
                how = (*size, steps, resolved.drawing, negative, further, after)
                return draw_embedded(pipe, [text] * len(seeds), seeds, *how)

            return draw

        yield of


@contextmanager
def _on_canvas(pipe: Any, home: Home, shot: ToDraw, embedded: "Mapping[str, TextEmbedding]") -> Iterator[Draw]:
    """A shot's canvas at work on the pipeline; gives how it is drawn."""
    assert shot.hands is not None
    hands = shot.hands
    prepared = prepare(pipe, home, hands, embedded)
    with at_work(pipe, home, hands, prepared):

        def draw(seeds: Sequence[int], further: Mapping[str, Any], after: Any) -> list[np.ndarray]:
            return draw_batch(pipe, hands, prepared, seeds, further, after)

        yield draw
