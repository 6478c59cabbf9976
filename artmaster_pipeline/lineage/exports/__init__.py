"""An adapter's lineage in the forms that others read: a module per standard, all made from one `Subject`.

    README.md                the model card, as the Hugging Face hub reads it, with the figures of the last verdict
    croissant.json           the training set in Croissant 1.0 (JSON-LD), with records.jsonl, a line for each picture
    bom.cdx.json             a bill of materials in CycloneDX 1.6: adapter, base, data, artworks, software
    openlineage.jsonl        the runs that the records tell of, as OpenLineage's events, one a line

What is written follows from the records: the same adapter gives the same bytes until it is judged or published anew.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import check_folder, write_text
from artmaster_pipeline.lineage.exports import croissant, cyclonedx, model_card, openlineage
from artmaster_pipeline.lineage.exports.subject import Subject, subject_of
from artmaster_pipeline.settings import Home

Format = Literal["model-card", "croissant", "cyclonedx", "openlineage"]
FORMATS: tuple[Format, ...] = get_args(Format)

_WRITERS: dict[Format, Callable[[Subject], dict[str, str]]] = {
    "model-card": model_card.files,
    "croissant": croissant.files,
    "cyclonedx": cyclonedx.files,
    "openlineage": openlineage.files,
}


def export_lineage(
    home: Home, adapter_id: str, formats: Sequence[Format] = FORMATS, out: Path | None = None
) -> tuple[Path, ...]:
    """Write an adapter's lineage in `formats` into the folder `out` and give the files.

    Without `out` the folder is PAINTER-ID-lineage in the working folder. Raises what `subject_of` does, WrongUse where
    a file of such a name holds something else, and MissingRequirement where a format needs an extra; nothing is written
    then.
    """
    subject = subject_of(home, adapter_id)
    folder = out or Path(f"{subject.adapter.painter}-{subject.adapter.id}-lineage")
    texts = {name: text for each in formats for name, text in _WRITERS[each](subject).items()}
    for name, text in texts.items():
        there = folder / name
        if there.exists() and (not there.is_file() or there.read_bytes() != text.encode()):
            raise WrongUse(f"{there} is there and holds something else: name another folder with --out, or remove it.")
    check_folder(folder)
    for name, text in texts.items():
        write_text(folder / name, text)
    return tuple(folder / name for name in texts)
