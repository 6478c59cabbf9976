"""What is remembered of every enlarged picture, so that it is not enlarged again: one small file each.

They lie in the hidden folder `.upscale` of the folder that the pictures are in.
"""

from pathlib import Path

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
    constraints: tuple[str, ...] = ()  # by their full names, which tell falls that were measured
    notes: tuple[str, ...] = ()  # what was decided while it was read


def all_remembered(out: Path) -> list[Enlarged]:
    """Every record of `out`, in no order; whether their pictures are still there is asked of `remembered`."""
    return [record for file in (out / FOLDER / "records").glob("*.json") if (record := _read(file))]


def remembered(out: Path, path: str) -> Enlarged | None:
    """The record of the picture at `path` below `out`, if there is one and the picture is the one it speaks of."""
    record = _read(_file(out, path))
    if not record or record.path != path:
        return None
    picture = inside(out, path)
    return record if picture.is_file() and sha256_of(picture) == record.sha256 else None


def made_as(picture: Path, sha256: str) -> Enlarged | None:
    """The record of a picture that is an enlarged one itself, as long as it lies where it was made."""
    place = picture.absolute()
    found = (_read(_file(folder, place.relative_to(folder).as_posix())) for folder in place.parents)
    return next((record for record in found if record and record.sha256 == sha256), None)


def remember(out: Path, record: Enlarged) -> None:
    """Keep a record. Its picture is there already: a kill in between costs one picture."""
    write_text(_file(out, record.path), record.model_dump_json(indent=1) + "\n")


def _file(out: Path, path: str) -> Path:
    return out / FOLDER / "records" / f"{identity(path)}.json"


def _read(file: Path) -> Enlarged | None:
    try:
        return Enlarged.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or none of ours
        return None
