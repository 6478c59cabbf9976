"""Pictures of which a part was made: what their files say of it, and the record and the mask beside them.

Written by `copainting.editing`; read by whoever is asked what a picture is.
"""

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import inside, sha256_of

NAMESPACE = "urn:artmaster:edit:1"  # of the facts in XMP
_FACTS = re.compile(r"<artmaster:edit>(.*?)</artmaster:edit>", re.DOTALL)
_LARGEST = 2**20  # characters of a record


@dataclass(frozen=True)
class Checked:
    """Whether an edited picture is as it was written: None where nobody can tell; and what is wrong, in sentences."""

    intact: bool | None
    findings: tuple[str, ...]


def record_file(picture: Path) -> Path:
    """Where a picture's record lies."""
    return picture.with_name(f"{picture.name}.json")


def mask_file(picture: Path) -> Path:
    """Where a picture's mask lies."""
    return picture.with_name(f"{picture.name}.mask.png")


def facts_in(picture: Path) -> dict[str, Any]:
    """What an edited picture's file says of the edit, from its XMP; empty where it says nothing or cannot be read."""
    import pyvips

    try:
        image = pyvips.Image.new_from_file(str(picture))
        packet = bytes(image.get("xmp-data")) if image.get_typeof("xmp-data") else b""
        found = _FACTS.search(packet.decode("utf-8", "replace"))
        said = json.loads(html.unescape(found[1])) if found else {}
    except (pyvips.Error, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def check_edit(picture: Path) -> Checked:
    """Compare an edited picture and its mask with the record beside it."""
    try:
        text = record_file(picture).read_text(encoding="utf-8")
        said: Any = json.loads(text) if len(text) <= _LARGEST else {}
        names = [(str(said[name]), str(said[sha256])) for name, sha256 in (("path", "sha256"), ("mask", "mask_sha256"))]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        where = record_file(picture).name
        return Checked(None, (f"No record that can be read lies beside it ({where}): it may have been changed since.",))
    (_, sha256), (mask, mask_sha256) = names
    intact = sha256_of(picture) == sha256
    findings = [] if intact else [f"{picture} is not the file that was written."]
    return Checked(intact, (*findings, *_of_mask(picture, mask, mask_sha256)))


def _of_mask(picture: Path, name: str, sha256: str) -> tuple[str, ...]:
    try:
        file = inside(picture.parent, name)
    except WrongUse:
        return (f"Its record names a mask that does not lie beside it ({name}).",)
    mask = f"{file}, which says what was made,"
    if not file.is_file():
        return (f"{mask} is gone.",)
    return () if sha256_of(file) == sha256 else (f"{mask} is not the file that was written.",)
