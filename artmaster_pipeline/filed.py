"""What a person put into the data home that is painted and has a file of its own that says who paints it: by kind.

Whoever plans, locks, lists or renames asks here, so that one kind more is one entry more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline import canvases, story_folders
from artmaster_pipeline.stages import Kind


@dataclass(frozen=True)
class Filed:
    """A kind: its folder of the data home, and what is asked of one folder in it."""

    folder: str
    slugs: Callable[[Path], tuple[str, ...]]  # of those in the kind's folder, sorted
    painters: Callable[[Path], tuple[str, ...]]  # whom the file names, sorted; raises WrongUse
    said: Callable[[Path], dict[str, Any]]  # what decides how it is painted, as JSON; raises WrongUse
    rename: Callable[[Path, str, str], bool]  # a painter in it; whether that could be done


FILED: dict[Kind, Filed] = {
    "canvas": Filed(
        canvases.FOLDER,
        canvases.canvases_in,
        canvases.painters_named,
        canvases.what_is_said,
        canvases.rename_hand,
    ),
    "story": Filed(
        story_folders.FOLDER,
        story_folders.stories_in,
        story_folders.painters_named,
        story_folders.what_is_said,
        story_folders.rename_hand,
    ),
}
