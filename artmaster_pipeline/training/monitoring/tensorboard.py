"""The training's curves and pictures for TensorBoard: event files in the data home's cache, not versioned.

They are for the eyes of whoever waits for a training; what must last is in the adapter's own log. The command
`tensorboard --logdir FOLDER` shows them, several trainings side by side if FOLDER holds theirs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_FLUSH_SECONDS = 10.0  # at most so old is what a person sees


class EventWriter:
    """Writes event files of one training; after a resume they go on where the checkpoint was taken.

    TensorBoard is told to forget all steps after `done_step`, those that a killed run wrote after its last checkpoint,
    since they come again (the event format's session log; `purge_step` of torch's SummaryWriter). So no step is shown
    twice. Beginning at 0, a training has no past: event files of an earlier attempt in `folder` are removed.
    """

    def __init__(self, folder: Path, done_step: int = 0) -> None:
        """Open `folder`, which is made if need be, after `done_step` finished steps."""
        from torch.utils.tensorboard import SummaryWriter

        for number, old in enumerate(sorted(folder.glob("events.out.tfevents.*"))):
            if done_step == 0:
                old.unlink()
            else:
                # TensorBoard reads by name, which begins with the clock's second and then the process's number: a file
                # of the same second, or of a machine whose clock is ahead, would be read after this one's purge.
                old.rename(folder / f"events.out.tfevents.{number:010d}.earlier")
        self._first_step = done_step + 1
        self._writer = SummaryWriter(folder, purge_step=self._first_step, flush_secs=_FLUSH_SECONDS)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note one value for each tag ("loss/velocity": tags with the same first part stand together)."""
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)

    def picture(self, step: int, tag: str, pixels: "np.ndarray") -> None:
        """Note a picture: uint8, (height, width, 3)."""
        self._writer.add_image(tag, pixels, step, dataformats="HWC")

    def text(self, tag: str, text: str) -> None:
        """Note words that hold from this session's first step on, such as its settings; Markdown."""
        self._writer.add_text(tag, text, self._first_step)

    def flush(self) -> None:
        """Bring all that was noted to the disk; before a checkpoint, lest a kill leave a gap before its step."""
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the file; nothing may be noted afterwards."""
        self._writer.close()
