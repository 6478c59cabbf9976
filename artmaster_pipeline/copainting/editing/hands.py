"""A painter's hand that paints into pictures: the adapter on a base in diffusers' forms for repainting."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    from artmaster_pipeline.base_models.family import TextEmbedding

EDGES: Final = "edges"  # the signal that holds a restyled work to its structure
_COVERED = 0.25  # of a latent pixel's cell: from there on it is painted anew


@dataclass(frozen=True)
class Hand:
    """One painter's adapter, how it draws, and what it is told."""

    adapter: Adapter
    profile: Profile
    drawing: DrawingSettings
    prompt: str  # with the trigger


class Painting:
    """A loaded base with a hand; `open_painting` makes it."""

    def __init__(
        self, pipe: Any, hand: Hand, embedded: "Mapping[str, TextEmbedding]", stack: ExitStack, network: Any = None
    ) -> None:
        self._pipe, self._hand, self._embedded, self._stack = pipe, hand, embedded, stack
        self._network = network  # a ControlNet, where the hand is held to edges
        self._forms: dict[str, Any] = {}

    def paint(
        self,
        picture: np.ndarray,
        paint: np.ndarray,
        seed: int,
        *,
        keep: float = 0.0,
        edges: np.ndarray | None = None,
    ) -> np.ndarray:
        """The picture with what is to be painted painted, uint8 (height, width, 3), in the model's pixels.

        `paint`: how much of each pixel is to be painted, 0..1. `keep`: the share of the steps that is left out, so
        that what is there stays recognisable; diffusers' strength is 1 - keep. Beyond what is painted the picture is
        what the autoencoder makes of it. `edges`: white on black, to which the painting's ControlNet holds the picture.
        """
        from PIL import Image

        from artmaster_pipeline.generation.sampling import draw_embedded, negative_of

        hand, height, width = self._hand, *picture.shape[:2]
        cells = self._cells(paint)
        further: dict[str, Any] = {"image": Image.fromarray(picture), "strength": 1.0 - keep}
        if not cells.all():
            further["mask_image"] = Image.fromarray(cells.astype(np.uint8) * 255)
        pipe = self._form("picture" if cells.all() else "repaint")
        text = self._embedded[hand.prompt]
        negative = negative_of(self._pipe, self._embedded, hand.drawing)
        steps = hand.profile.evaluation.num_inference_steps
        with self._held_to(pipe, edges, text):
            (made,) = draw_embedded(pipe, [text], [seed], width, height, steps, hand.drawing, negative, further)
        return made

    @contextmanager
    def _held_to(self, pipe: Any, edges: np.ndarray | None, text: "TextEmbedding") -> Iterator[None]:
        if edges is None or self._network is None:
            yield
            return
        from artmaster_pipeline.base_models.control import control_mode
        from artmaster_pipeline.generation.control import ControlSignal, controlled

        signal = ControlSignal(edges, control_mode(self._hand.profile, EDGES))
        with controlled(pipe, self._network, [signal], text):
            yield

    def _cells(self, paint: np.ndarray) -> np.ndarray:
        """The mask in whole latent pixels, since a part of one cannot be painted; never empty."""
        side = int(self._pipe.vae_scale_factor)
        height, width = paint.shape
        shares = paint.reshape(height // side, side, width // side, side).mean((1, 3))
        chosen = shares >= min(_COVERED, float(shares.max()))
        return np.repeat(np.repeat(chosen & (shares > 0), side, axis=0), side, axis=1)

    def _form(self, form: Any) -> Any:
        from artmaster_pipeline.generation.forms import as_form

        if form not in self._forms:
            self._forms[form] = self._stack.enter_context(as_form(self._pipe, form))
        return self._forms[form]


@contextmanager
def open_painting(home: Home, hand: Hand, *, held_to_edges: bool = False) -> Iterator[Painting]:
    """The hand ready to paint, with the base loaded as long as this lasts, and the profile's ControlNet if wanted.

    Raises WrongUse where the base's weights are others by now, or its family repaints nothing; MissingRequirement where
    the profile has no ControlNet that reads edges.
    """
    from artmaster_pipeline.adapters import attach
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.on_request import check_base
    from artmaster_pipeline.generation.sampling import embed_texts

    check_base(home, hand.profile, hand.adapter)
    embedded = embed_texts(hand.profile, [hand.prompt], home, hand.drawing)
    with open_pipeline(hand.profile, ("transformer", "vae"), home) as pipe, ExitStack() as stack:
        attach(pipe, folder_of(home, hand.adapter), hand.drawing.strength)
        network = None
        if held_to_edges:
            from artmaster_pipeline.base_models.control import open_control

            network = stack.enter_context(open_control(hand.profile, home))
        yield Painting(pipe, hand, embedded, stack, network)
