"""The structure signals of a canvas, for the ControlNet beside the transformer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.family import TextEmbedding
from artmaster_pipeline.copainting.records import Canvas, Control
from artmaster_pipeline.files import inside
from artmaster_pipeline.generation.control import ControlSignal, controlled
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from artmaster_pipeline.copainting.painting.hands import Hands


@contextmanager
def signals_of(pipe: Any, home: Home, hands: "Hands", text: TextEmbedding) -> Iterator[None]:
    """The canvas' control signals at work on the pipeline as long as this lasts; none where it names none.

    Raises MissingRequirement or WrongUse where the profile's ControlNet is not here or does not know a signal.
    """
    from artmaster_pipeline.base_models.control import open_control

    canvas, profile = hands.canvas, hands.profile
    if not canvas.control:
        yield
        return
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

    from artmaster_pipeline.copainting.canvas import label_picture
    from artmaster_pipeline.copainting.signals import read_signal_file

    if control.file:
        from pathlib import Path

        pixels, how = read_signal_file(inside(Path(canvas.folder), control.file)).pixels, Image.Resampling.BOX
    else:
        pixels, how = label_picture(canvas), Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(pixels).resize(size, how))
