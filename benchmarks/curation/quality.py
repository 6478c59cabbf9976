"""How good curation is, on folders of paintings and on pictures marked by hand, as a table and as JSON.

    python benchmarks/curation/quality.py FOLDER... --home HOME [--crops-from HOME] [--marks marked.csv] [--json FILE]

Each FOLDER is one collection. Its scans are added to the data home HOME, registered and cropped by the product (what is
there already is not made again), and everything is then read from the records that a user would have. A MANIFEST.csv
in the folder (file, sha256, kind, note) says which works are outliers and which are near-duplicates. `--crops-from`
names a home whose crops an earlier version made of the same scans: they are measured on the same saliency and areas.

Measured, as it was fixed before the figures were seen. All places are in the scan turned upright, at a look's size.

- **Saliency covered**: of the saliency in the painted area without its seals and inscriptions, the share that lies in
  at least one crop of the work; the mean over works that have crops.
- **Strokes cut**: the sum of the differences of lightness (blurred by one pixel) between neighbours along the edges of
  a crop, which is what strokes that cross them make, over the length of all four edges. Edges that lie on the border of
  the painted area (within a hundredth of its side) cut nothing. The mean over a work's crops, then over works.
- Beside the crops stand **centre** crops, each of the same size in the middle of the painted area, and **random** ones,
  the same sizes anywhere in it (the mean of five draws, seeded).
- **Crops with inscription**: crops of which more than 0.2 % lies in a passage of writing: in boxes drawn by hand where
  the picture was marked, else (said apart) in the masks that were found. And those of which so much ink in such a box
  is left to the loss, by the crop's own mask; ink is what is ten units darker than the box's median.
- **Crops with border**: crops of marked pictures of which more than half a percent lies outside of the area marked.
- **Areas**: intersection over union of the area found with the box marked.
- **Seals, inscriptions**: recall is the share of marked boxes of which at least half is covered by masks of the kind;
  precision the share of found masks of which at least half lies in marked boxes of the kind (masks have a margin, so
  it is also said how many touch no such box at all). By pixels, too.
- **Outliers**: their ranks in the review list, and how many of the works that belong are flagged.
- **Near-duplicates**: the pairs that the manifest knows and that were found, and others that were found.

Pictures whose sha256 begins with 0 to 7 (`a`) may have been looked at while the product was built, the others (`b`)
not: figures on marks are given for each half.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.curation.area import upright
from artmaster_pipeline.curation.crops.source import Source
from artmaster_pipeline.curation.masks import saliency
from artmaster_pipeline.curation.near_duplicates import near_duplicates
from artmaster_pipeline.curation.review.flags import review_order
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import CURATED, MANIFEST, Crop, CuratedScan, Scan, read_manifest
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.settings import Home

INSCRIBED, BORDERED, HALF = 0.002, 0.005, 0.5
AT_BORDER = 0.01  # of the area's side
DARKER = 10.0  # CIELAB lightness below the median of a box of writing: its ink
DRAWS = 5
WRITTEN = ("seal", "inscription")

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom in pixels of a look


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--crops-from", type=Path)
    parser.add_argument("--marks", type=Path, default=Path(__file__).parent / "marked.csv")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    home, marks = Home(asked.home.resolve()), read_marks(asked.marks)
    other = Home(asked.crops_from.resolve()) if asked.crops_from else None
    works: dict[str, list[dict[str, Any]]] = {}
    lists: dict[str, dict[str, Any]] = {}
    for folder in asked.folders:
        painter = folder.name
        prepare(home, painter, folder)
        works[painter] = [measure(picture, marks) for picture in pictures(home, painter, other)]
        lists[painter] = listed(home, painter, folder)
    found = {"crops": {painter: of_crops(rows) for painter, rows in works.items()}, "review": lists}
    rows = [row for of in works.values() for row in of]
    found["marks"] = {name: of_marks(rows, halves) for name, halves in (("a", "01234567"), ("b", "89abcdef"))}
    show(found)
    if asked.json:
        asked.json.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")


# What is measured


@dataclass
class Picture:
    """A scan turned upright, at the size of a look, and what the records say of it."""

    scan: Scan
    work: CuratedScan
    crops: list[tuple[Rectangle, Crop, Path]]
    lightness: np.ndarray
    salient: np.ndarray  # float, 0 outside of the painting and on what is written
    area: Rectangle
    per_pixel: tuple[float, float]  # look pixels per scan pixel, across and down


def prepare(home: Home, painter: str, folder: Path) -> None:
    """Have the collection cropped."""
    progress = Progress(bar=True)
    if not home.scans(painter).exists():
        add_scans(home, painter, folder, name=painter, progress=progress)
    register_scans(home, painter, progress)
    crop_scans(home, painter, progress)


def pictures(home: Home, painter: str, other: Home | None) -> Iterable[Picture]:
    """Every curated scan, with its crops or those that another home has of it."""
    scans = {scan.id: scan for scan in read_manifest(home.register(painter) / MANIFEST, Scan)}
    crops = defaultdict(list)
    place = (other or home).crops(painter)
    for crop in read_manifest(place / MANIFEST, Crop):
        crops[crop.scan_sha256].append((crop, place / crop.mask_path))
    for work in read_manifest(home.crops(painter) / CURATED, CuratedScan):
        yield _picture(home, scans[work.id], work, crops[work.scan_sha256])


def _picture(home: Home, scan: Scan, work: CuratedScan, crops: list[tuple[Crop, Path]]) -> Picture:
    with ExitStack() as stack:
        look = Source(home.scans(scan.painter) / scan.path, scan, home.cache / "decoded", stack).look()
    lab = upright(look.lab, work.skew) if work.skew else look.lab
    height, width = lab.shape[:2]
    per_pixel = width / scan.width, height / scan.height
    area = _scaled(work.area, per_pixel)
    salient = np.zeros((height, width))
    inside = np.s_[area[1] : area[3], area[0] : area[2]]
    salient[inside] = saliency(np.ascontiguousarray(lab[inside]))
    if outlines := [mask.outline for mask in work.masks if mask.kind == "painting"]:
        salient[~_drawn(outlines, per_pixel, salient.shape)] = 0
    salient[_drawn([mask.outline for mask in work.masks if mask.kind in WRITTEN], per_pixel, salient.shape)] = 0
    # crops of an earlier version were cut from the scan as it stands
    boxes = [(_scaled((c.left, c.top, c.right, c.bottom), per_pixel), c, mask) for c, mask in crops]
    return Picture(scan, work, boxes, lab[..., 0], salient, area, per_pixel)


def measure(picture: Picture, marks: "dict[str, list[Mark]]") -> dict[str, Any]:
    """All figures of one picture."""
    own = [box for box, _, _ in picture.crops]
    dice = np.random.default_rng(int(picture.scan.sha256[:8], 16))
    draws = [[_anywhere(box, picture.area, dice) for box in own] for _ in range(DRAWS)]
    light = gaussian_filter(picture.lightness, 1.0)
    sets = {"crops": [own], "centre": [[_in_the_middle(box, picture.area) for box in own]], "random": draws}
    row: dict[str, Any] = {"file": picture.scan.path, "sha256": picture.scan.sha256, "crops": len(own)}
    if own:
        for name, of in sets.items():
            row[f"covered {name}"] = float(np.mean([covered(boxes, picture.salient) for boxes in of]))
            cuts = [strokes_cut(box, light, picture.area) for boxes in of for box in boxes]
            row[f"cut {name}"] = float(np.mean(cuts))
    row["marked"] = picture.scan.sha256 in marks
    hand = marks.get(picture.scan.sha256, [])
    found = {kind: _masks(picture, kind) for kind in WRITTEN}
    drawn = {kind: [_raster(picture, mark) for mark in hand if mark.kind == kind] for kind in (*WRITTEN, "area")}
    writing = drawn["inscription"] if row["marked"] else found["inscription"]
    row["inscribed"] = sum(_share(box, writing) > INSCRIBED for box in own)
    row["inscription seen"] = sum(_ink_seen(one, writing, picture.lightness) > INSCRIBED for one in picture.crops)
    if row["marked"]:
        row["bordered"] = sum(1 - _share(box, drawn["area"]) > BORDERED for box in own)
        row["area"] = _overlap(picture, drawn["area"])
        row |= {kind: _agreement(found[kind], drawn[kind], picture.lightness.shape) for kind in WRITTEN}
    return row


def covered(boxes: Sequence[Rectangle], salient: np.ndarray) -> float:
    """The share of saliency in at least one of the boxes."""
    seen = np.zeros(salient.shape, bool)
    for left, top, right, bottom in boxes:
        seen[top:bottom, left:right] = True
    return float(salient[seen].sum() / max(1e-9, salient.sum()))


def strokes_cut(box: Rectangle, light: np.ndarray, area: Rectangle) -> float:
    """Differences of lightness along the edges of a box that lie within the area, per pixel of all its edges."""
    left, top, right, bottom = box
    near_x, near_y = (max(2.0, AT_BORDER * side) for side in (area[2] - area[0], area[3] - area[1]))
    lines = {
        "left": (abs(left - area[0]) > near_x, light[top:bottom, left]),
        "right": (abs(right - area[2]) > near_x, light[top:bottom, right - 1]),
        "top": (abs(top - area[1]) > near_y, light[top, left:right]),
        "bottom": (abs(bottom - area[3]) > near_y, light[bottom - 1, left:right]),
    }
    cut = sum(float(np.abs(np.diff(line)).sum()) for inside, line in lines.values() if inside)
    return cut / (2 * (right - left + bottom - top))


def _in_the_middle(box: Rectangle, area: Rectangle) -> Rectangle:
    return _placed(box, area, lambda room: room // 2)


def _anywhere(box: Rectangle, area: Rectangle, dice: np.random.Generator) -> Rectangle:
    return _placed(box, area, lambda room: int(dice.integers(room + 1)))


def _placed(box: Rectangle, area: Rectangle, where: Callable[[int], int]) -> Rectangle:
    width, height = min(box[2] - box[0], area[2] - area[0]), min(box[3] - box[1], area[3] - area[1])
    left, top = area[0] + where(area[2] - area[0] - width), area[1] + where(area[3] - area[1] - height)
    return left, top, left + width, top + height


def _scaled(corners: Sequence[float], per_pixel: tuple[float, float]) -> Rectangle:
    left, top, right, bottom = (round(value * per_pixel[place % 2]) for place, value in enumerate(corners))
    return left, top, max(right, left + 1), max(bottom, top + 1)


# Marks


@dataclass(frozen=True)
class Mark:
    """A box that a person drew, in fractions of the scan."""

    kind: str
    box: tuple[float, float, float, float]


def read_marks(file: Path) -> dict[str, list[Mark]]:
    """By the sha256 of the scan."""
    marks = defaultdict(list)
    with file.open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            left, top, right, bottom = (float(row[side]) for side in ("left", "top", "right", "bottom"))
            marks[row["sha256"]].append(Mark(row["kind"], (left, top, right, bottom)))
    return dict(marks)


def _raster(picture: Picture, mark: Mark) -> np.ndarray:
    height, width = picture.lightness.shape
    left, top, right, bottom = mark.box
    drawn = np.zeros((height, width), np.uint8)
    drawn[round(top * height) : max(round(bottom * height), 1), round(left * width) : max(round(right * width), 1)] = (
        255
    )
    return upright(drawn[..., None], picture.work.skew)[..., 0] > 127


def _masks(picture: Picture, kind: str) -> list[np.ndarray]:
    return [
        _drawn([m.outline], picture.per_pixel, picture.lightness.shape) for m in picture.work.masks if m.kind == kind
    ]


def _drawn(outlines: Sequence[Sequence[tuple[int, int]]], per_pixel: tuple[float, float], shape: Any) -> np.ndarray:
    sheet: Image.Image = Image.new("L", (shape[1], shape[0]))
    for outline in outlines:
        ImageDraw.Draw(sheet).polygon([(x * per_pixel[0], y * per_pixel[1]) for x, y in outline], fill=255)
    return np.asarray(sheet) > 0


def _union(masks: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.logical_or.reduce(masks) if masks else np.zeros(shape, bool)


def _share(box: Rectangle, masks: Sequence[np.ndarray]) -> float:
    left, top, right, bottom = box
    return float(_union([mask[top:bottom, left:right] for mask in masks], (1, 1)).mean())


def _ink_seen(crop: tuple[Rectangle, Crop, Path], writing: Sequence[np.ndarray], lightness: np.ndarray) -> float:
    """The share of a crop that is ink of writing and that its mask leaves to the loss."""
    (left, top, right, bottom), _, file = crop
    here = np.s_[top:bottom, left:right]
    light = lightness[here]
    with Image.open(file) as mask:
        learned = np.asarray(mask.convert("L").resize(light.shape[::-1], Image.Resampling.NEAREST)) > 0
    ink = np.zeros(light.shape, bool)
    for box in writing:
        ink |= box[here] & (light < np.median(lightness[box]) - DARKER)
    return float((ink & learned).mean())


def _overlap(picture: Picture, drawn: Sequence[np.ndarray]) -> float:
    left, top, right, bottom = picture.area
    found = np.zeros(picture.lightness.shape, bool)
    found[top:bottom, left:right] = True
    marked = _union(drawn, found.shape)
    return float((found & marked).sum() / max(1, (found | marked).sum()))


def _agreement(found: Sequence[np.ndarray], drawn: Sequence[np.ndarray], shape: tuple[int, ...]) -> dict[str, int]:
    all_found, all_drawn = _union(found, shape), _union(drawn, shape)
    return {
        "drawn": len(drawn),
        "recalled": sum(bool(all_found[box].mean() >= HALF) for box in drawn if box.any()),
        "found": len(found),
        "apart": sum(not all_drawn[mask].any() for mask in found),
        "right": sum(bool(all_drawn[mask].mean() >= HALF) for mask in found if mask.any()),
        "pixels drawn": int(all_drawn.sum()),
        "pixels found": int(all_found.sum()),
        "pixels both": int((all_found & all_drawn).sum()),
    }


# Sums


def of_crops(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one collection."""
    cropped = [row for row in rows if row["crops"]]
    found: dict[str, Any] = {"scans": len(rows), "cropped": len(cropped), "crops": sum(row["crops"] for row in rows)}
    for figure in ("covered", "cut"):
        found |= {f"{figure} {name}": _mean(row[f"{figure} {name}"] for row in cropped) for name in SETS}
    found["works covered below 0.8"] = sorted(row["file"] for row in cropped if row["covered crops"] < 0.8)
    for name, of in (("marked", [row for row in cropped if row["marked"]]), ("others", _unmarked(cropped))):
        count = sum(row["crops"] for row in of)
        found |= {f"{what}, {name}": _ratio(sum(row[what] for row in of), count) for what in INSCRIPTIONS}
    marked = [row for row in cropped if row["marked"]]
    found["bordered, marked"] = _ratio(sum(row["bordered"] for row in marked), sum(row["crops"] for row in marked))
    found["bordered files"] = sorted(row["file"] for row in marked if row["bordered"])
    return found


def of_marks(rows: Sequence[dict[str, Any]], digits: str) -> dict[str, Any]:
    """The figures on marked pictures of one half."""
    half = [row for row in rows if row["marked"] and row["sha256"][0] in digits]
    areas = sorted(row["area"] for row in half)
    found: dict[str, Any] = {
        "pictures": len(half),
        "area": {
            "mean": _mean(areas),
            "least": areas[0] if areas else None,
            "below 0.9": sorted((row["file"], round(row["area"], 3)) for row in half if row["area"] < 0.9),
        },
    }
    for kind in WRITTEN:
        sums = {name: sum(row[kind][name] for row in half) for name in (half[0][kind] if half else ())}
        if sums:
            found[kind] = sums | {
                "recall": _ratio(sums["recalled"], sums["drawn"]),
                "precision": _ratio(sums["right"], sums["found"]),
                "apart share": _ratio(sums["apart"], sums["found"]),
                "pixel recall": _ratio(sums["pixels both"], sums["pixels drawn"]),
                "pixel precision": _ratio(sums["pixels both"], sums["pixels found"]),
            }
    return found


def listed(home: Home, painter: str, folder: Path) -> dict[str, Any]:
    """The review list and the near-duplicates against the manifest."""
    with (folder / "MANIFEST.csv").open(encoding="utf-8") as rows:
        manifest = {row["sha256"]: row for row in csv.DictReader(rows)}
    scans = read_manifest(home.register(painter) / MANIFEST, Scan)
    paths = {scan.sha256: scan.path for scan in scans}
    order = review_order(read_manifest(home.crops(painter) / CURATED, CuratedScan))
    kinds = [manifest.get(work.scan_sha256, {}).get("kind", "") for work in order]
    works = [bool(work.flags) for work, kind in zip(order, kinds, strict=True) if kind in ("work", "")]
    pairs = {frozenset(pair) for pair in near_duplicates(home, painter, scans)}
    known = frozenset(sha256 for sha256, row in manifest.items() if "near-duplicate" in row["note"])
    return {
        "scans": len(order),
        "flagged": [_flagged(paths, work) for work in order if work.flags],
        "outliers' ranks": [place + 1 for place, kind in enumerate(kinds) if kind == "outlier"],
        "works flagged": _ratio(sum(works), len(works)),
        "known pairs": int(bool(known)),
        "known pairs found": int(known in pairs),
        "other pairs": [sorted(paths[one] for one in pair) for pair in pairs if pair != known],
    }


def _flagged(paths: dict[str, str], work: CuratedScan) -> dict[str, Any]:
    return {"file": paths[work.scan_sha256], "flags": [[flag.kind, flag.score, flag.reason] for flag in work.flags]}


SETS = ("crops", "centre", "random")
INSCRIPTIONS = ("inscribed", "inscription seen")


def _unmarked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row["marked"]]


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(float(np.mean(found)), 4) if found else None


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


# The table


def show(found: dict[str, Any]) -> None:
    """Everything as Markdown."""
    print(
        "\n| collection | crops | saliency covered (centre, random) | strokes cut (centre, random) | to centre |",
        end="",
    )
    print(" inscribed, marked | seen by the loss | inscribed, others | seen by the loss | bordered |\n|" + "---|" * 10)
    for painter, row in found["crops"].items():
        covered_by, cut = ([row[f"{what} {name}"] for name in SETS] for what in ("covered", "cut"))
        cells = [painter, f"{row['crops']} of {row['cropped']} works", _three(covered_by), _three(cut)]
        cells.append(_said(cut[0] / cut[1] if cut[1] else None))
        cells += [_said(row[f"{what}, {of}"]) for of in ("marked", "others") for what in INSCRIPTIONS]
        print("| " + " | ".join([*cells, _said(row["bordered, marked"])]) + " |")
    print("\n| half | pictures | area IoU (least) | seals: recall, precision, apart | inscriptions: the same |")
    print("|---|---|---|---|---|")
    for name, row in found["marks"].items():
        figures = ("recall", "precision", "apart share")
        pairs = [", ".join(_said(row[kind][figure]) for figure in figures) for kind in WRITTEN if kind in row]
        area = f"{_said(row['area']['mean'])} ({_said(row['area']['least'])})"
        print("| " + " | ".join([name, str(row["pictures"]), area, *pairs]) + " |")
    print("\n| collection | flagged | of works | outliers' ranks | known pairs found | other pairs |\n|" + "---|" * 6)
    for painter, row in found["review"].items():
        cells = [painter, f"{len(row['flagged'])} of {row['scans']}", _said(row["works flagged"])]
        cells += [str(row["outliers' ranks"] or ""), f"{row['known pairs found']} of {row['known pairs']}"]
        print("| " + " | ".join([*cells, str(len(row["other pairs"]))]) + " |")


def _three(values: Sequence[float | None]) -> str:
    first, *others = (_said(value) for value in values)
    return f"{first} ({', '.join(others)})"


def _said(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
