"""The training set in Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html), as JSON-LD.

Croissant's own library brings pandas and rdflib to write what is one JSON object, so it is written here and the library
reads it in the tests. A picture's fields lie in records.jsonl, one line each: the training set's manifest has neither
titles and rights, which the scans' records hold, nor the rectangles of the crops. Both files are read from within a
copy of the training set's folder.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from artmaster_pipeline import __version__
from artmaster_pipeline.adapters.model_card import curation_by_persons
from artmaster_pipeline.lineage.exports.subject import Subject
from artmaster_pipeline.records import MANIFEST, Crop, Scan, TrainingImage

METADATA, RECORDS = "croissant.json", "records.jsonl"
_PICTURES, _TABLE = "pictures", "records"  # ids of the distribution
_JSON_LINES = "application/jsonlines"

_OWN_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT = {  # as the specification gives it
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _OWN_TERMS},
}

# the fields of a picture beside the picture itself: type, and what each says
_FIELDS = {
    "id": ("sc:Text", "The picture's id, made from its content and from what made it."),
    "file_name": ("sc:Text", "The picture's file."),
    "sha256": ("sc:Text", "sha256 of that file."),
    "width": ("sc:Integer", "In pixels."),
    "height": ("sc:Integer", "In pixels."),
    "caption": ("sc:Text", "What the picture was trained with; it begins with the trigger words."),
    "caption_source": ("sc:Text", "Who said what the caption says: a table or file of the archive, or a model."),
    "split": ("sc:Text", "train; validate: may have chosen the weights; held_out: only judged."),
    "times_shown": ("sc:Integer", "How often the training showed it, up to the step whose weights were kept."),
    "artwork": ("sc:Text", "The work: sha256 of its first scan, shared by near-duplicate scans of it."),
    "artwork_sha256": ("sc:Text", "sha256 of the scan that the picture is a crop of."),
    "title": ("sc:Text", "The work's title, as the archive gives it."),
    "accession_number": ("sc:Text", "The archive's number of the work."),
    "rights": ("sc:Text", "The archive's statement of rights in the work."),
    "crop_left": ("sc:Integer", "Of the crop, in the scan's own pixels."),
    "crop_top": ("sc:Integer", "The same."),
    "crop_right": ("sc:Integer", "The same, exclusive."),
    "crop_bottom": ("sc:Integer", "The same, exclusive."),
    "enlarged_by": ("sc:Text", "The super-resolution network; empty where the scan had the detail itself."),
    "detail": ("sc:Float", "The scan's pixels that carry detail, per pixel of the picture; 0: not recorded."),
    "reason": ("sc:Text", "Why it was enlarged, or was not."),
}


def files(subject: Subject) -> dict[str, str]:
    """croissant.json and records.jsonl."""
    records = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(subject))
    metadata = _metadata(subject, records)
    return {METADATA: json.dumps(metadata, ensure_ascii=False, indent=1) + "\n", RECORDS: records}


def _rows(subject: Subject) -> Iterable[dict[str, Any]]:
    crops = {crop.id: crop for crop in subject.snapshot.crops}
    shown = subject.snapshot.training.shown if subject.snapshot.training else None
    for image in subject.images:
        scan = subject.scans[image.scan_sha256]
        yield _row(image, scan, crops.get(image.crop_id), subject.rights_of(scan)) | {
            "times_shown": None if shown is None else shown.get(image.id, 0)
        }


def _row(image: TrainingImage, scan: Scan, crop: Crop | None, rights: str) -> dict[str, Any]:
    box = {f"crop_{side}": getattr(crop, side) if crop else None for side in ("left", "top", "right", "bottom")}
    own = {
        name: getattr(image, name)
        for name in (
            "id",
            "sha256",
            "width",
            "height",
            "caption",
            "caption_source",
            "split",
            "enlarged_by",
            "detail",
            "reason",
        )
    }
    return {
        **own,
        "file_name": image.path.rpartition("/")[2],
        "artwork": image.work,
        "artwork_sha256": image.scan_sha256,
        "title": scan.title,
        "accession_number": scan.accession_number,
        "rights": rights,
        **box,
    }


def _metadata(subject: Subject, records: str) -> dict[str, Any]:
    adapter, name = subject.adapter, subject.painter.name
    works = len({image.work for image in subject.images})
    rights = sorted({subject.rights_of(scan) or "not stated" for scan in subject.scans.values()})
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": f"{adapter.painter}-training-set",
        "description": f"{len(subject.images)} pictures cut from scans of {works} works of {name}, with captions: the "
        f"training set of the style adapter {adapter.id}, its works for validation and its held-out works.",
        "url": f"urn:artmaster:training-set:{adapter.training_set_hash}",
        "identifier": f"sha256:{adapter.training_set_hash}",
        "version": "1.0.0",
        "datePublished": subject.day,
        "inLanguage": "en",
        "license": rights,
        "conditionsOfAccess": "The archive that holds the works decides; the rights in each work are in its records.",
        "creator": {"@type": "sc:Organization", "name": "ArtMaster", "description": f"Version {__version__}"},
        "citeAs": f"Training set {adapter.training_set_hash[:16]} of {name}, {works} works, made with ArtMaster",
        "isLiveDataset": False,
        "distribution": _distribution(adapter.training_set_hash, records),
        "recordSet": [_record_set()],
        **_responsible(subject),
    }


def _responsible(subject: Subject) -> dict[str, Any]:
    """The properties of Croissant RAI 1.0 that the records can tell."""
    left_out = subject.snapshot.training.quarantined if subject.snapshot.training else ()
    said_by = sorted({image.caption_source for image in subject.images})
    enlarged = sorted({image.enlarged_by for image in subject.images if image.enlarged_by})
    return {
        "rai:dataCollection": f"Scans that the archive gave, each known by its sha256; {len(left_out)} files were left "
        "out because they could not be used.",
        "rai:dataCollectionType": ["Physical data collection"],
        "rai:dataPreprocessingProtocol": [
            "Scans are brought to sRGB; crops of two sizes are cut where the painting is, by saliency; mountings, "
            "seals and margins are left out.",
            *([said] if (said := curation_by_persons(subject.snapshot)) else []),
            *([f"Crops without enough detail are enlarged by {', '.join(enlarged)}."] if enlarged else []),
            "Parts are divided by work; near-duplicate scans of a work stand on one side.",
        ],
        "rai:dataAnnotationProtocol": f"Captions are by: {', '.join(said_by)}.",
        "rai:dataUseCases": ["Training"],
        "rai:dataLimitations": ["The works of one painter in one archive: they stand for nobody else's."],
        "rai:personalSensitiveInformation": ["None is collected; works may depict persons."],
    }


def _distribution(manifest_sha256: str, records: str) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": _TABLE,
            "name": RECORDS,
            "description": "A line for each picture.",
            "contentUrl": RECORDS,
            "contentSize": f"{len(records.encode())} B",
            "encodingFormat": _JSON_LINES,
            "sha256": hashlib.sha256(records.encode()).hexdigest(),
        },
        {
            "@type": "cr:FileObject",
            "@id": "manifest",
            "name": MANIFEST,
            "description": "The training set's own records, whose hash is its identity.",
            "contentUrl": MANIFEST,
            "encodingFormat": _JSON_LINES,
            "sha256": manifest_sha256,
        },
        {
            "@type": "cr:FileSet",
            "@id": _PICTURES,
            "name": "pictures",
            "description": f"The pictures; the sha256 of each is in {RECORDS}.",
            "encodingFormat": "image/png",
            "includes": "images/*.png",
        },
    ]


def _record_set() -> dict[str, Any]:
    table = {"fileObject": {"@id": _TABLE}}
    fields: list[dict[str, Any]] = [
        {
            "@type": "cr:Field",
            "@id": f"training_pictures/{name}",
            "name": name,
            "description": says,
            "dataType": kind,
            "source": {**table, "extract": {"column": name}},
        }
        for name, (kind, says) in _FIELDS.items()
    ]
    by_name = next(field for field in fields if field["name"] == "file_name")
    by_name["references"] = {"fileSet": {"@id": _PICTURES}, "extract": {"fileProperty": "filename"}}
    picture = {
        "@type": "cr:Field",
        "@id": "training_pictures/picture",
        "name": "picture",
        "description": "The picture as it was trained on: sRGB, 8 bits.",
        "dataType": "sc:ImageObject",
        "source": {"fileSet": {"@id": _PICTURES}, "extract": {"fileProperty": "content"}},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": "training_pictures",
        "name": "training_pictures",
        "key": {"@id": "training_pictures/id"},
        "field": [picture, *fields],
    }
