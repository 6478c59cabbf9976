"""The structure signals of a canvas, for the ControlNet beside the transformer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.family import TextEmbedding
from artmaster_pipeline.copainting.canvas import control_picture
from artmaster_pipeline.copainting.records import Canvas, Control
from artmaster_pipeline.generation.control import ControlSignal, controlled
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import numpy as np

    from artmaster_pipeline.copainting.painting.hands import Hands


@contextmanager
def signals_of(pipe: Any, home: Home, hands: "Hands", text: TextEmbedding) -> Iterator[None]:
    """The canvas' control signals at work on the pipeline as long as this lasts; none where it names none.

    Raises MissingRequirement or WrongUse where the profile's ControlNet is not here or does not know a signal.
    """
    canvas, profile = hands.canvas, hands.profile
    if not canvas.control:
        yield
        return
    from artmaster_pipeline.base_models.control import open_control

    signals = [control_signal(canvas, control, profile) for control in canvas.control]
    with open_control(profile, home) as network, controlled(pipe, network, signals, text):
        yield


def control_signal(canvas: Canvas, control: Control, profile: Profile) -> ControlSignal:
    """A canvas' signal at the model's size."""
    from artmaster_pipeline.base_models.control import control_mode

    picture = _picture(canvas, control, profile.size(*canvas.size))
    return ControlSignal(picture, control_mode(profile, control.signal), control.scale, control.until)


def _picture(canvas: Canvas, control: Control, size: tuple[int, int]) -> "np.ndarray":
    import numpy as np
    from PIL import Image

    how = Image.Resampling.BOX if control.file else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(control_picture(canvas, control)).resize(size, how))
