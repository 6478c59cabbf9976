"""What is kept of every edited picture, beside it as JSON: which pixels are the work's, which were made, by whom."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from artmaster_pipeline.copainting.editing.windows import Box
from artmaster_pipeline.edits import record_file
from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import Record

Kind = Literal["repaint", "restyle", "outpaint"]
NOTICE = "Edited with AI by ArtMaster: the pixels of the mask were made, all others are the work's"


class Edited(Record):
    """A picture of which a part was made. Its id is made from the work, the mask and all that decides the pixels.

    Where the mask is black, the picture has the work's own samples, moved by `offset`.
    """

    kind: Kind
    path: str  # the file's name, beside the record
    sha256: str
    width: int
    height: int
    bits: int
    colours: Literal["RGB", "grey", "CMYK"]
    source: str  # the work's file name
    source_sha256: str
    offset: tuple[int, int] = (0, 0)  # where the work's first pixel lies in the picture
    mask: str  # the name of the mask's file, beside the record: white was made
    mask_sha256: str
    boxes: tuple[Box, ...]  # around what was made
    share: float  # of the picture's pixels that were made
    rights: str  # of the work, as the register has them; "unknown": it knows no such work
    painter: str
    adapter_id: str
    adapter_sha256: str
    base_model: str
    base_revision: str
    prompt: str
    seed: int
    keep: float  # of the work's structure, where it was painted over; 0: nothing
    drawing: dict[str, Any]
    num_inference_steps: int
    windows: int  # in which it was painted
    window: tuple[int, int]  # their width and height in the picture's pixels
    feather_px: int
    enlarged_by: str = ""
    control: str = ""  # the signal that held the structure; empty: none
    edge_f_score: float | None = None  # of the made part's edges against the work's, 0..1
    signed: bool = False
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """What the picture's own file says: all but what is known only when it is written."""
        said = self.model_dump(mode="json", exclude={"sha256", "mask_sha256", "signed", "notes", "edge_f_score"})
        return {"notice": NOTICE, **said}


def keep_record(picture: Path, record: Edited) -> None:
    """Write a picture's record; picture and mask are there already."""
    text = json.dumps(record.model_dump(mode="json"), ensure_ascii=False, indent=1, sort_keys=True)
    write_text(record_file(picture), f"{text}\n")


def read_record(picture: Path) -> Edited | None:
    """A picture's record, where there is one that can be read."""
    try:
        return Edited.model_validate_json(record_file(picture).read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError):
        return None
