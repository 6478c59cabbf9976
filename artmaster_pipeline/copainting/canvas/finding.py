"""Where canvases are: folders with a canvas.yaml in the data home, or anywhere else."""

import re
import unicodedata
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from artmaster_pipeline.canvases import CANVAS_FILE, canvases_in
from artmaster_pipeline.canvases import FOLDER as CANVASES
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import is_slug
from artmaster_pipeline.settings import Home

LABELS_FILE = "labels.png"


def find_canvas(said: str, home: Home) -> Path:
    """The canvas.yaml that a person means: the file, its folder, or the name of a canvas in the data home.

    Raises WrongUse, with names that are near, where there is none.
    """
    place = Path(said).expanduser()
    named = home.root / CANVASES / said / CANVAS_FILE if is_slug(said) else None
    for file in (place, place / CANVAS_FILE, named):
        with suppress(OSError):  # a name too long for any file
            if file is not None and file.is_file():
                return file
    known = canvases_in(home.root / CANVASES)
    near = get_close_matches(said, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known) or 'none yet'}."
    raise WrongUse(
        f"{said} is neither a {CANVAS_FILE}, nor a folder with one, nor a canvas in {home.root / CANVASES}. {hint} "
        "To make one: artmaster copaint new --from PICTURE --out FOLDER --painters A,B"
    )


def name_of(folder: Path) -> str:
    """A canvas' name, a slug, from its folder's; "canvas" where that has no letter or digit of ASCII."""
    plain = unicodedata.normalize("NFKD", folder.resolve().name).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))[:64].strip("-") or "canvas"
