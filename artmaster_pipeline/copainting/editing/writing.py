"""An edited picture written: with all that the work's file said, what was made said beside it, and the mask.

Facts about the edit stand in XMP, under a name of ArtMaster's own, and IPTC's digital source type says
`compositeWithTrainedAlgorithmicMedia` (IPTC Photo Metadata Standard 2023.1) in place of whatever the work's file said;
a PNG has the facts as a text, too. Content credentials (C2PA) are put in where the house signs.
"""

import html
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.copainting.editing.masks import Mask
from artmaster_pipeline.copainting.editing.records import Edited, keep_record
from artmaster_pipeline.copainting.editing.works import Work
from artmaster_pipeline.edits import NAMESPACE, mask_file
from artmaster_pipeline.files import move, sha256_of, to_disk
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing.credentials import EditClaim, Ingredient, Signer, make_keys
from artmaster_pipeline.publishing.signing import signer_of
from artmaster_pipeline.settings import Home
from artmaster_pipeline.superres.upscaling.saving import Format, dressed, save

if TYPE_CHECKING:
    import pyvips

FACTS = "artmaster-edit"  # the keyword of a PNG's text
_COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_SOURCE_TYPE = re.compile(
    r"""\s[\w.-]+:DigitalSourceType\s*=\s*("[^"]*"|'[^']*')|<([\w.-]+:DigitalSourceType)\b[^>]*(/>|>.*?</\2\s*>)""",
    re.DOTALL,
)
_OURS = re.compile(r"<rdf:Description[^>]*urn:artmaster:edit:1.*?</rdf:Description>", re.DOTALL)
_END = re.compile(r"</rdf:RDF\s*>")
_DESCRIPTION = (
    '<rdf:Description rdf:about="" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:artmaster="{namespace}">'
    "<Iptc4xmpExt:DigitalSourceType>{composite}</Iptc4xmpExt:DigitalSourceType>"
    "<artmaster:edit>{facts}</artmaster:edit></rdf:Description>"
)
_EMPTY = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
_NOT_XML = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
_MIME = {"png": "image/png", "tiff": "image/tiff", "jpeg": "image/jpeg", "webp": "image/webp"}
_ENDINGS: dict[str, Format] = {".png": "png", ".tif": "tiff", ".tiff": "tiff"}


def signer_for(home: Home, wanted: bool | None, progress: Progress) -> Signer | None:
    """Who signs: nobody, where that is not wanted; where nobody said, the house, if it has keys.

    Raises MissingRequirement where signing was asked for and what it needs is not installed.
    """
    if wanted is None:
        return signer_of(home, progress)
    return make_keys(home) if wanted else None


def finish(
    work: Work,
    image: "pyvips.Image",
    mask: Mask,
    record: Edited,
    target: Path,
    place: Path,
    signer: Signer | None,
    picture: Path,
    structure: Callable[[Work, Path, Edited], float | None],
) -> Edited:
    """Write picture, mask and record, the record last; gives it as it was written. `place` is for work on the way.

    `structure` says how far a finished picture has the work's edges, for the record.
    """
    size = (record.width, record.height)
    mask_at = place / "mask.png"
    mask.image(size).pngsave(str(mask_at), bitdepth=1, compression=6)
    finished = _saved(work, image, record, target, place)
    if signer is not None:
        finished = _signed(work, finished, record, signer, picture)
    edges = structure(work, finished, record)
    record = record.model_copy(update={"edge_f_score": edges})
    record = record.model_copy(
        update={"sha256": sha256_of(finished), "mask_sha256": sha256_of(mask_at), "signed": signer is not None}
    )
    for made, file in ((mask_at, mask_file(target)), (finished, target)):
        to_disk(made)
        _to(made, file)
    keep_record(target, record)
    return record


def with_facts(xmp: bytes, facts: str) -> tuple[bytes, bool]:
    """An XMP packet that says of an edit what `facts` do and keeps what it said; and whether it could be kept.

    What cannot be read as RDF is replaced, and so is an earlier digital source type.
    """
    text, kept = xmp.decode("utf-8", "replace").rstrip("\0"), True
    if not _reads(text):
        text, kept = _EMPTY, not xmp.strip(b"\0 \n")
    text = _SOURCE_TYPE.sub("", _OURS.sub("", text))
    said = _DESCRIPTION.format(
        namespace=NAMESPACE, composite=_COMPOSITE, facts=html.escape(_NOT_XML.sub("", facts), quote=False)
    )
    ends = list(_END.finditer(text))
    return (text[: ends[-1].start()] + said + text[ends[-1].start() :]).encode(), kept


def _reads(text: str) -> bool:
    """Whether a packet is XML with an RDF part under its usual name, and declares nothing of its own."""
    from xml.parsers import expat

    if "<!" in text or not _END.search(text):
        return False
    try:
        expat.ParserCreate().Parse(text.strip().lstrip("\ufeff"), True)
    except expat.ExpatError:
        return False
    return True


def _saved(work: Work, image: "pyvips.Image", record: Edited, target: Path, place: Path) -> Path:
    import pyvips

    opened = work.opened
    image = dressed(opened, image, opened.bits)
    facts = json.dumps(record.facts(), ensure_ascii=False, sort_keys=True)
    before = bytes(image.get("xmp-data")) if image.get_typeof("xmp-data") else b""
    image.set_type(pyvips.GValue.blob_type, "xmp-data", with_facts(before, facts)[0])
    finished = place / f"finished{target.suffix.lower()}"
    words = replace(opened.words, texts=(*(t for t in opened.words.texts if t[0] != FACTS), (FACTS, facts)))
    save(image, finished, _ENDINGS[finished.suffix], 100, words)
    return finished


def _signed(work: Work, finished: Path, record: Edited, signer: Signer, picture: Path) -> Path:
    loader = str(work.opened.image.get("vips-loader")).removesuffix("load")
    claim = EditClaim(
        title=record.path,
        parent=picture,
        parent_mime=_MIME[loader],
        boxes=record.boxes,
        says=f"{record.kind}: painted in the hand of {record.painter} by the adapter {record.adapter_id}",
        statement={"mask": record.mask, **record.facts()},
        ingredients=(
            Ingredient("model", record.base_model, record.base_revision, "The base model"),
            Ingredient("model", f"Style adapter {record.adapter_id}", record.adapter_sha256, "Trained on artworks"),
        ),
    )
    signed = finished.with_name(f"signed{finished.suffix}")
    signer.sign_edit(finished, signed, _MIME[_ENDINGS[finished.suffix]], claim)
    return signed


def _to(made: Path, file: Path) -> None:
    """Give a finished file its place, on another disk, too."""
    beside = file.with_name(f".partial-{file.name}")
    try:
        move(made, file)
    except OSError:
        shutil.copyfile(made, beside)
        to_disk(beside)
        move(beside, file)
        made.unlink()
