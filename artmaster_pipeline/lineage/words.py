"""The answers in words: facts as (name, value) and tables as rows, the same for the terminal and the page.

What an older record does not hold is said to be not recorded.
"""

from collections.abc import Collection, Sequence
from typing import Any

from artmaster_pipeline.gallery.gates import gates_in_words
from artmaster_pipeline.lineage.answers import AdapterLineage, ArtworkLineage, ByPerson, FileLineage
from artmaster_pipeline.lineage.claims import Finding
from artmaster_pipeline.lineage.pictures import Picture
from artmaster_pipeline.lineage.recognising import PictureLineage
from artmaster_pipeline.lineage.verifying import Verification
from artmaster_pipeline.pictures import AI_GENERATED
from artmaster_pipeline.publishing.verify import in_words
from artmaster_pipeline.records import Corners, Crop, Quarantined, Scan

NOT_RECORDED = "not recorded"
Facts = list[tuple[str, str]]
Tables = list[tuple[str, list[dict[str, Any]]]]  # heading, rows

_MEANS = {
    "metadata": "by what the file says of itself",
    "pixels": "by its pixels",
    "likeness": "by what it looks like",
    "hint": "not recognised",
    "": "not recognised",
}
_WEIGHTS = {
    "as written": "those that the file was written with",
    "changed": "NOT those that the file was written with",
    "not said": NOT_RECORDED,
}


def verified(answer: Verification) -> str:
    """What came of a verification, in one line."""
    chain, files = answer.chain, sum(answer.checked.values())
    whose = f"adapter {answer.adapter_id}: " if answer.adapter_id else ""
    found = len(answer.findings)
    what = "all is as it was written" if not found else f"{found} finding{'s' if found > 1 else ''}"
    signed = {
        "whole": "signed" if chain.signed_since == 1 else f"signed since line {chain.signed_since}",
        "broken": "its signature is broken",
        "not checked": "its signature was not checked",
        "none": "not signed: whoever can write here could rewrite files and records together",
    }
    if not chain.lines:
        return f"{whose}{files} files, {what}; there is no chain yet, so edited records cannot be told."
    return f"{whose}{files} files, {what}; chain of {chain.lines}, {signed[chain.signature]}; head {chain.head[:16]}."


def finding_in_words(finding: Finding) -> str:
    """A finding with who tells it and the way out."""
    told = f" (by {', '.join(finding.told_by)})" if finding.told_by else ""
    return f"{finding.file}: {finding.says}{told}. {finding.way_out}"


def adapter_facts(answer: AdapterLineage) -> Facts:
    """What an adapter is, where it comes from and where it stands."""
    adapter, training = answer.adapter, answer.training
    weights = adapter.base_revision + (f", commit {adapter.base_commit}" if adapter.base_commit else "")
    software = ", ".join(f"{name} {version}" for name, version in training.software.items()) if training else ""
    return [
        ("Painter", adapter.painter),
        ("State", f"{answer.state.words}; made {answer.state.made or NOT_RECORDED}"),
        (
            "Trained on",
            f"{len(answer.artworks)} artworks ({len(answer.crops)} crops, {len(answer.training_images)} pictures); "
            f"{len(answer.validation)} artworks for validation; judged by {len(answer.held_out)} held-out artworks",
        ),
        ("Pictures drawn with it", str(len(answer.samples))),
        ("Captions by", "; ".join(f"{source} {count}" for source, count in answer.captions_by.items())),
        ("Trigger", adapter.trigger),
        ("Profile", adapter.profile),
        ("Base model", adapter.base_model),
        ("Base weights", weights),
        ("Steps", f"{adapter.steps} trained, weights of step {adapter.step}"),
        ("sha256 of the adapter", adapter.sha256),
        ("Software", software or NOT_RECORDED),
        ("Commit of ArtMaster", (training.commit or "none, it was installed") if training else NOT_RECORDED),
        ("Starts from", _begun_with(answer)),
        ("Challenged", ", ".join(answer.challenged) or ("none" if answer.verdicts else NOT_RECORDED)),
    ]


def adapter_tables(answer: AdapterLineage) -> Tables:
    """Artworks, training pictures, works of the other parts, what was left out, verdicts, decisions."""
    crops = {crop.id: crop for crop in answer.crops}
    titles = {scan.sha256: scan.title or scan.path for scan in answer.artworks}
    training = answer.training
    left_out = (*training.quarantined, *training.without_crops) if training else ()
    unknown = [{"file": NOT_RECORDED, "why": NOT_RECORDED}]
    return [
        _works("Artworks", answer.artworks),
        *_inherited(answer),
        (
            "Training pictures",
            [
                {
                    "artwork": titles.get(image.scan_sha256, image.scan_sha256[:16]),
                    "crop in the scan's pixels": box_in_words(crops.get(image.crop_id)),
                    "enlarged by": image.enlarged_by or "not enlarged",
                    "detail": image.reason or NOT_RECORDED,
                    "caption": image.caption,
                    "said by": image.caption_source,
                    "shown": share_in_words(answer, image.id),
                }
                for image in answer.training_images
            ],
        ),
        _works("Validation: may have chosen the weights", answer.validation),
        _works("Held out: only judged", answer.held_out),
        ("Left out", [_left_out(row) for row in left_out] if training else unknown),
        ("Verdicts", [
            {"when": v.at or NOT_RECORDED, "fit": "yes" if v.publish else "no", "by": v.by, "why": " ".join(v.reasons)}
            for v in answer.verdicts
        ]),
        _curation(answer.curation),
        ("Decisions of persons", [
            {"when": d["at"], "verdict": d["verdict"], "by": d["by"], "why": d["reason"]} for d in answer.decisions
        ]),
    ]  # fmt: skip


def _begun_with(answer: AdapterLineage) -> str:
    """What the training began with: the base, or other adapters, the nearest first."""
    if not answer.ancestors:
        why = answer.training.fresh_because if answer.training else ""
        return "the base model alone" + (f", since {why}" if why else "")
    first = answer.ancestors[-1]
    chain = ", which started from ".join(f"the adapter {each.id} (step {each.step})" for each in answer.ancestors)
    return f"{chain}{'' if first.started_from else ', which started from the base model alone'}"


def _inherited(answer: AdapterLineage) -> Tables:
    """The artworks that are in an adapter through those that it was started from; no table where there are none."""
    totals = {each.id: each.shown for each in answer.ancestors}
    rows = [
        _work(each.scan)
        | {
            "through": each.through,
            "shown": "; ".join(
                f"{times} times by {name} ({100 * times / max(1, totals.get(name, 0)):.2g} %)"
                for name, times in each.shown.items()
            )
            or NOT_RECORDED,
        }
        for each in answer.inherited
    ]
    return [("Inherited artworks", rows)] if answer.ancestors else []


def artwork_facts(answer: ArtworkLineage) -> Facts:
    """What an artwork is, and in how many adapters and pictures it is."""
    facts = [("sha256", answer.sha256)]
    for scan in answer.scans:
        described = _work(scan) | {"file": f"{scan.painter}/{scan.path}"}
        facts += [(name.capitalize(), value) for name, value in described.items() if name != "sha256" and value]
    trained = sum(use.part == "train" for use in answer.adapters)
    seen = sum(picture.state == "published" for picture in answer.published)
    gone = len(answer.published) - seen
    return [
        *facts,
        (
            "In adapters",
            f"trained on by {trained} of {len(answer.adapters)} that met it" if answer.adapters else "none",
        ),
        ("In pictures", f"{seen} published, {gone} no longer published, {len(answer.evaluated)} evaluated only"),
    ]


def artwork_tables(answer: ArtworkLineage) -> Tables:
    """Crops, adapters and pictures of an artwork."""
    trained = {use.adapter_id for use in answer.adapters if use.part == "train"}
    images = {image.crop_id: image for image in answer.training_images}
    return [
        (
            "Crops",
            [
                {
                    "crop": crop.id,
                    "in the scan's pixels": box_in_words(crop),
                    "size": f"{crop.width}x{crop.height}",
                    "detail": images[crop.id].reason or NOT_RECORDED if crop.id in images else "",
                    "caption": images[crop.id].caption if crop.id in images else "in no training set",
                }
                for crop in answer.crops
            ],
        ),
        (
            "Adapters",
            [
                {
                    "adapter": use.adapter_id,
                    "painter": use.painter,
                    "part": use.part + (f" of {use.through}, from which it started" if use.through else ""),
                    "crops": use.crops,
                    "state": use.words,
                    "made": use.made or NOT_RECORDED,
                    "judged": _judged(use.publish, use.judged),
                }
                for use in answer.adapters
            ],
        ),
        _curation(answer.curation),
        ("Published pictures", _drawn(answer.published, trained)),
        ("Evaluated pictures", _drawn(answer.evaluated, trained)),
        ("Pictures that show a detail of it", [_picture(picture) for picture in answer.details]),
    ]


def picture_facts(answer: PictureLineage) -> Facts:
    """What a picture is and how that is known."""
    facts = [("Recognised", _MEANS[answer.recognised_by]), ("How surely", answer.certainty)]
    if picture := answer.picture:
        facts += [("Picture", f"{picture.id}, {picture.state}"), ("Places", "; ".join(p.path for p in picture.places))]
        facts += [("Prompt", picture.prompt), ("Seed", str(picture.seed))] if picture.column != "original" else []
        facts += [("Canvas", picture.canvas)] if picture.canvas else []
        facts += [("Story", picture.story), ("Shot", picture.shot)] if picture.story else []
        facts += [("Mix", picture.mix)] if picture.mix else []
        facts += [("Gates", gates_in_words(picture.gates))] if picture.gates else []
    elif answer.says:
        facts += [(f"It says: {name}", in_words(name, value)) for name, value in answer.says.items()]
    facts += [("Adapter", f"{state.adapter_id} of {state.painter}, {state.words}") for state in answer.adapters]
    facts += [("Adapter", f"{name}, which this data home does not know") for name in answer.unknown_adapters]
    if answer.shows:
        facts.append(("Shows a detail of", " ".join(_work(answer.shows).values())))
    elif _is_of_the_base(answer):
        facts.append(("Adapter", "none: the base model drew it alone"))
    if answer.alike:
        facts.append(("Nearly as like", "; ".join(f"{a.picture.id} ({a.likeness:.2f})" for a in answer.alike)))
    return [*facts, ("Artworks behind it", str(len(answer.artworks)))]


def _is_of_the_base(answer: PictureLineage) -> bool:
    """Whether a model drew the picture without any adapter."""
    if not answer.recognised_by or answer.adapters or answer.unknown_adapters:
        return False
    return answer.picture.column == "base" if answer.picture else answer.says.get("notice") == AI_GENERATED


def picture_tables(answer: PictureLineage) -> Tables:
    """The artworks behind a picture."""
    heading, rows = _works("Artworks behind it", [each.scan for each in answer.artworks])
    if any(of.inherited_from for of in answer.artworks):
        said = [", ".join(of.inherited_from) or "no" for of in answer.artworks]
        rows = [row | {"inherited from": from_} for row, from_ in zip(rows, said, strict=True)]
    if len(answer.adapters) > 1:
        rows = [row | {"through": ", ".join(of.adapter_ids)} for row, of in zip(rows, answer.artworks, strict=True)]
    return [*_regions(answer), (heading, rows)]


def _regions(answer: PictureLineage) -> Tables:
    """A table of a canvas' regions; none of other pictures."""
    rows = [
        {
            "region": of.region.id,
            "share": f"{100 * of.region.share:.3g} %",
            "painters": ", ".join(of.region.painters),
            "adapters": ", ".join(of.region.adapter_ids),
            "prompt": of.region.prompt,
            "artworks behind it": len(of.artworks),
            "their sha256": ", ".join(sha256[:16] for sha256 in of.artworks),
        }
        for of in answer.regions
    ]
    return [("Regions", rows)] if rows else []


def file_facts(answer: FileLineage) -> Facts:
    """What an adapter's file says of itself and what of that can be confirmed."""
    ledger, state = answer.ledger, answer.state
    facts = [("Adapter", answer.adapter_id or NOT_RECORDED)]
    if ledger:
        base = ", commit ".join(filter(None, (ledger.base_revision, ledger.base_commit)))
        facts += [
            ("Painter", f"{ledger.painter_name} ({ledger.painter})"),
            ("Trigger", ledger.trigger),
            ("Profile", ledger.profile),
            ("Base model", ledger.base_model),
            ("Base weights", base),
            *([("Starts from", f"the adapter {ledger.started_from}")] if ledger.started_from else []),
            ("Artworks", str(len(ledger.works))),
        ]
    else:
        facts.append(("Ledger", "no ledger in this file"))
    facts.append(("Weights", _WEIGHTS[answer.weights]))
    if state is None:
        return [*facts, ("This data home", "does not know the adapter")]
    agreed = {
        None: "knows the adapter",
        True: "confirms the ledger",
        False: "says that it was trained on OTHER artworks",
    }
    return [*facts, ("This data home", f"{agreed[answer.agrees]}; {state.words}")]


def file_tables(answer: FileLineage) -> Tables:
    """The artworks of a file's ledger."""
    works = answer.ledger.works if answer.ledger else ()
    return [
        (
            "Artworks",
            [
                {
                    "sha256": work.sha256[:16],
                    "accession number": work.accession_number,
                    "title": work.title,
                    "rights": work.rights,
                    **(
                        {"inherited from": work.through or "no"} if answer.ledger and answer.ledger.started_from else {}
                    ),
                }
                for work in works
            ],
        )
    ]


def share_in_words(answer: AdapterLineage, image_id: str) -> str:
    """How often a training picture was shown, and which share that is of all pictures shown."""
    if answer.training is None or image_id not in answer.training.shown:
        return NOT_RECORDED
    return f"{answer.training.shown[image_id]} times ({100 * answer.shares[image_id]:.2g} %)"


def box_in_words(crop: Crop | None) -> str:
    """Where a crop lies in its scan: left, top to right, bottom."""
    if crop is None:
        return NOT_RECORDED
    return corners_in_words((crop.left, crop.top, crop.right, crop.bottom)) + (
        f", drawn by {crop.by}" if crop.by else ""
    )


def corners_in_words(box: Corners) -> str:
    """A rectangle: left, top to right, bottom."""
    return f"{box[0]},{box[1]} to {box[2]},{box[3]}"


def _works(heading: str, scans: Sequence[Scan]) -> tuple[str, list[dict[str, Any]]]:
    """A table of works; where all have the same rights, the heading says them."""
    rights = {scan.rights for scan in scans}
    if len(scans) < 2 or len(rights) > 1:
        return heading, [_work(scan) for scan in scans]
    rows = [{name: value for name, value in _work(scan).items() if name != "rights"} for scan in scans]
    return f"{heading} (rights of all: {rights.pop() or 'not stated'})", rows


def _work(scan: Scan) -> dict[str, str]:
    return {
        "sha256": scan.sha256[:16],
        "accession number": scan.accession_number,
        "title": scan.title,
        "rights": scan.rights,
        "file": scan.path,
    }


def _curation(decided: Sequence[ByPerson]) -> tuple[str, list[dict[str, Any]]]:
    """A table of what persons decided about scans."""
    rows = [
        {
            "file": each.file or each.scan_sha256[:16],
            "decided": each.decision.what,
            "in the scan's pixels": corners_in_words(each.decision.box) if each.decision.box else "",
            "why": each.decision.why,
            "by": each.decision.who or NOT_RECORDED,
            "when": each.decision.when or NOT_RECORDED,
        }
        for each in decided
    ]
    return "Curation by persons", rows


def _left_out(row: Quarantined) -> dict[str, str]:
    return {"file": row.path, "why": row.reason + (f" (kept is {row.duplicate_of})" if row.duplicate_of else "")}


def _judged(publish: bool | None, when: str) -> str:
    if publish is None:
        return "not judged"
    return f"{'fit' if publish else 'not fit'} to be published, {when or 'on a day that is ' + NOT_RECORDED}"


def _drawn(pictures: Sequence[Picture], trained: Collection[str]) -> list[dict[str, Any]]:
    """Pictures; of canvases in which regions any of the adapters painted, of stories which shot it is."""
    rows = [_picture(picture) for picture in pictures]
    further = {
        "regions": [", ".join(picture.parts_of(trained)) for picture in pictures],
        "story, shot": [f"{picture.story}, {picture.shot}" if picture.story else "" for picture in pictures],
    }
    for name, values in further.items():
        if any(values):
            rows = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    return rows


def _picture(picture: Picture) -> dict[str, str]:
    return {
        "picture": picture.id,
        "state": picture.state,
        "since": picture.since or ("" if picture.state == "evaluated" else NOT_RECORDED),
        "adapters": picture.drawn_by,
        "prompt": picture.prompt,
        "file": picture.places[0].path,
    }
