"""A painter's hand that paints into pictures: the adapter on a base in diffusers' forms for repainting."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    from artmaster_pipeline.base_models.family import TextEmbedding
    from artmaster_pipeline.generation.control import ControlSignal

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

    def __init__(self, pipe: Any, hand: Hand, embedded: "Mapping[str, TextEmbedding]", stack: ExitStack) -> None:
        self._pipe, self._hand, self._embedded, self._stack = pipe, hand, embedded, stack
        self._forms: dict[str, Any] = {}

    def paint(
        self,
        picture: np.ndarray,
        paint: np.ndarray,
        seed: int,
        *,
        keep: float = 0.0,
        control: "tuple[Any, ControlSignal] | None" = None,
    ) -> np.ndarray:
        """The picture with what is to be painted painted, uint8 (height, width, 3), in the model's pixels.

        `paint`: how much of each pixel is to be painted, 0..1. `keep`: the share of the steps that is left out, so
        that what is there stays recognisable; diffusers' strength is 1 - keep. Beyond what is painted the picture is
        what the autoencoder makes of it. `control`: a ControlNet and the signal that it holds the picture to.
        """
        from PIL import Image

        from artmaster_pipeline.generation.control import controlled
        from artmaster_pipeline.generation.sampling import draw_embedded, negative_of

        hand, height, width = self._hand, *picture.shape[:2]
        cells = self._cells(paint)
        further: dict[str, Any] = {"image": Image.fromarray(picture), "strength": 1.0 - keep}
        if not cells.all():
            further["mask_image"] = Image.fromarray(cells.astype(np.uint8) * 255)
        pipe = self._form("picture" if cells.all() else "repaint")
        text = self._embedded[hand.prompt]
        negative = negative_of(self._pipe, self._embedded, hand.drawing)
        with ExitStack() as stack:
            if control:
                network, signal = control
                tokens = len(text.tensors["prompt_embeds"])
                stack.enter_context(controlled(pipe, network, [signal], tokens))
            steps = hand.profile.evaluation.num_inference_steps
            (made,) = draw_embedded(pipe, [text], [seed], width, height, steps, hand.drawing, negative, further)
        return made

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
def open_painting(home: Home, hand: Hand) -> Iterator[Painting]:
    """The hand ready to paint, with the base loaded as long as this lasts.

    Raises WrongUse where the base's weights are others by now, or its family repaints nothing.
    """
    from artmaster_pipeline.adapters import attach
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.on_request import check_base
    from artmaster_pipeline.generation.sampling import embed_texts

    check_base(home, hand.profile, hand.adapter)
    embedded = embed_texts(hand.profile, [hand.prompt], home, hand.drawing)
    with open_pipeline(hand.profile, ("transformer", "vae"), home) as pipe, ExitStack() as stack:
        attach(pipe, folder_of(home, hand.adapter), hand.drawing.strength)
        yield Painting(pipe, hand, embedded, stack)
