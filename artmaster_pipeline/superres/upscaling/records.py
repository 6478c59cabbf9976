"""What is remembered of every enlarged picture, so that it is not enlarged again: one small file each.

They lie in the hidden folder `.upscale` of the folder that the pictures are in.
"""

from pathlib import Path

from pydantic import ValidationError

from artmaster_pipeline.files import inside, sha256_of, write_text
from artmaster_pipeline.records import Record, identity

FOLDER = ".upscale"


class Enlarged(Record):
    """A picture that was enlarged. Its id is made from the source's bytes and everything that decides the pixels."""

    source: str  # as it was named when it was enlarged
    source_sha256: str
    path: str  # POSIX path below the folder of the enlarged pictures
    sha256: str
    width: int
    height: int
    network: str
    engine: str
    dtype: str
    notes: tuple[str, ...] = ()  # what was decided while it was read


def remembered(out: Path, path: str) -> Enlarged | None:
    """The record of the picture at `path` below `out`, if there is one and the picture is the one it speaks of."""
    try:
        record = Enlarged.model_validate_json(_file(out, path).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    picture = inside(out, path)
    return record if record.path == path and picture.is_file() and sha256_of(picture) == record.sha256 else None


def remember(out: Path, record: Enlarged) -> None:
    """Keep a record. Its picture is there already: a kill in between costs one picture."""
    write_text(_file(out, record.path), record.model_dump_json(indent=1) + "\n")


def _file(out: Path, path: str) -> Path:
    return out / FOLDER / "records" / f"{identity(path)}.json"
