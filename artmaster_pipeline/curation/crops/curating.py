"""One scan: what is on it, what persons decided about it, and the crops that follow from both."""

import ctypes
import hashlib
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from artmaster_pipeline.curation.area import PaintedArea, find_area, upright
from artmaster_pipeline.curation.area.resolution import PATCH, effective_scale, patch_places
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.crops.choosing import Chosen, Drawn, choose
from artmaster_pipeline.curation.crops.source import HUGE, Source
from artmaster_pipeline.curation.crops.windows import Sheet
from artmaster_pipeline.curation.look import Look
from artmaster_pipeline.curation.masks import Region, find_masks, rasterised, saliency, text_detector
from artmaster_pipeline.curation.review.decisions import PLACED, drawn_crops, effective_area, left_out, masks_after
from artmaster_pipeline.curation.review.features import FEATURES, features
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import sha256_of, writing
from artmaster_pipeline.records import (
    Corners,
    Crop,
    CuratedScan,
    Decision,
    Mask,
    Quarantined,
    Record,
    Scan,
    identity,
)
from artmaster_pipeline.scans import scan_path
from artmaster_pipeline.scans.decoding import reading
from artmaster_pipeline.settings import CROP_SIZES, Home

CURATION = "2"  # changes when the same scan would be curated in another way, so that nothing is reused
SMALLEST = 64  # pixels of the scan that the shorter side of a window needs
RESCAN = "Scan the artwork at a higher resolution"
NOT_LEARNED = ("seal", "inscription", "damage")
_FINE = 400_000  # pixels of a look
_KEPT_OUTLINE = 0.9  # of a fan that must lie in the area a person drew for its outline to be kept


class Curated(Record):
    """All that the stage knows of one scan. `id` is made from the scan's content and what was asked about it."""

    work: CuratedScan | None = None  # none: the scan could not be read
    crops: tuple[Crop, ...] = ()
    left_out: tuple[Quarantined, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What is known about a scan from outside of its pixels."""

    decisions: tuple[Decision, ...] = ()
    duplicate_of: str = ""  # the sha256 of the scan that is cropped in its place

    @property
    def is_used(self) -> bool:
        """Whether the scan is to have crops."""
        return not self.duplicate_of and left_out(self.decisions) is None


def key_of(scan_sha256: str, asked: Asked) -> str:
    """What a scan's record and its crops are made from; a crop's id is made from this and from its rectangle."""
    places = [[each.what, each.box, each.who] for each in asked.decisions if each.what in PLACED]
    return identity(CURATION, FEATURES, scan_sha256, places, asked.is_used, asked.duplicate_of)


def curate(home: Home, scan: Scan, asked: Asked) -> Curated:
    """Look at a scan, and write its crops and their masks; where there are none, the reason is in `left_out`."""
    key, path = key_of(scan.sha256, asked), scan_path(home, scan)
    try:
        if _sha256_now(path) != scan.sha256:
            raise BadInput("Its file has changed or gone since it was registered", "Run the stage raw_scans again")
        with reading(path), ExitStack() as stack:
            source = Source(path, scan, home.cache / "decoded", stack)
            work, cuts, shown = _judged(source, scan, asked)
            give_back_memory()  # what looking took is not kept while large pictures are read
            # the finest first: the picture that it is read from does for the others, too
            finest = sorted(range(len(cuts)), key=lambda place: cuts[place].box.width / cuts[place].pixels[0])
            pictures = {place: _png(source, cuts[place], work.skew) for place in finest}
    except BadInput as bad:
        return Curated(id=key, left_out=(quarantined(scan, bad),))
    if not asked.is_used:
        return Curated(id=key, work=work)
    if not cuts:
        small = BadInput(_too_small(work.area), RESCAN)
        return Curated(id=key, work=work, left_out=(quarantined(scan, small),))
    crops = tuple(
        _write(home.crops(scan.painter), scan, work, cut, place, pictures[place], _mask(cut, shown, work.masks))
        for place, cut in enumerate(cuts)
    )
    return Curated(id=key, work=work.model_copy(update={"crops": tuple(crop.id for crop in crops)}), crops=crops)


def quarantined(scan: Scan, bad: BadInput) -> Quarantined:
    """The row that says why a scan has no crops."""
    return Quarantined(
        id=identity(CURATION, scan.path, scan.sha256, bad.reason),
        painter=scan.painter,
        path=scan.path,
        sha256=scan.sha256,
        reason=bad.reason,
        remedy=bad.remedy,
    )


def crop_id(key: str, box: Corners, size: tuple[int, int]) -> str:
    """The id of a crop of a scan with that key."""
    return identity(key, list(box), list(size))


def give_back_memory() -> None:
    """Have what is free given back to the system, where the C library is glibc, which by itself keeps most of it."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _sha256_now(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _too_small(area: Corners) -> str:
    width, height = area[2] - area[0], area[3] - area[1]
    sizes = " or ".join(f"{across} x {down}" for across, down in CROP_SIZES)
    return f"Its painted area of {width} x {height} pixels holds no {sizes} crop; each side needs {SMALLEST}"


def _judged(source: Source, scan: Scan, asked: Asked) -> tuple[CuratedScan, list["_Cut"], "_Shown"]:
    """What is on the scan, the crops it is to have, and what their masks are made from."""
    sheet, work = _seen(source, scan, asked)
    give_back_memory()
    shown = _Shown((sheet.salient * 255).round().astype(np.uint8), sheet.painted, sheet.across, sheet.down)
    chosen = choose(sheet, _drawn(asked)) if asked.is_used else []
    cuts = [_Cut(one, one.drawn or _scan_box(one, scan, sheet)) for one in chosen]
    return work, [cut for cut in cuts if min(cut.box.width, cut.box.height) >= SMALLEST], shown


@dataclass(frozen=True)
class _Shown:
    """What masks are made from, at the look's size (height, width)."""

    salient: np.ndarray  # uint8
    painted: np.ndarray  # bool
    across: float
    down: float


def _seen(source: Source, scan: Scan, asked: Asked) -> tuple[Sheet, CuratedScan]:
    """What is on the scan, at the look's size and as a record."""
    look = source.look()
    across, down = look.rgb.shape[1] / scan.width, look.rgb.shape[0] / scan.height
    give_back_memory()
    area = find_area(look)
    if area.skew:
        look = Look(upright(look.rgb, area.skew), upright(look.lab, area.skew), look.scale)
    area = _as_decided(area, effective_area(asked.decisions), across, down)
    scale = _effective_scale(source, scan, look.lab, area.mask)
    give_back_memory()
    masks = masks_after(_found(look, area, across, down), asked.decisions)
    if scan.width * scan.height > HUGE:
        text_detector.forget()
    give_back_memory()
    marks, blank = (at_size(masks, kinds, look.rgb.shape, across, down) for kinds in (NOT_LEARNED, ("blank",)))
    salient = _saliency(look.lab, area.box) * (area.mask & ~marks)
    work = CuratedScan(
        id=scan.id,
        painter=scan.painter,
        scan_sha256=scan.sha256,
        made_from=key_of(scan.sha256, asked),
        skew=area.skew,
        area=_corners(area.box, across, down, scan),
        masks=masks,
        effective_scale=scale,
        unsure=area.unsure if effective_area(asked.decisions) is None else "",
        measures=features(look, area, _at_look(masks, across, down)),
        duplicate_of=asked.duplicate_of,
        decisions=asked.decisions,
    )
    return Sheet(look.lab[..., 0].copy(), salient, area.mask, marks, blank, area.box, across, down, scale), work


def _effective_scale(source: Source, scan: Scan, lab: np.ndarray, shown: np.ndarray) -> float:
    """How many of the scan's pixels its detail needs; taken where it was scanned, as turning it would soften it."""
    across, down = lab.shape[1] / scan.width, lab.shape[0] / scan.height
    places = patch_places(lab, shown, round(PATCH * min(across, down)))
    corners = [
        (min(round(x / across), scan.width - PATCH), min(round(y / down), scan.height - PATCH)) for x, y in places
    ]
    return effective_scale(source.patches([Box(x, y, x + PATCH, y + PATCH) for x, y in corners if min(x, y) >= 0]))


def _saliency(lab: np.ndarray, box: Box) -> np.ndarray:
    """Saliency within the box and 0 outside of it; so smooth a measure needs no more than every second pixel."""
    found = np.zeros(lab.shape[:2], np.float32)
    height, width = box.height, box.width
    step = 2 if height * width > _FINE else 1
    half = saliency(np.ascontiguousarray(lab[box.top : box.bottom : step, box.left : box.right : step]))
    whole = half.repeat(step, axis=0).repeat(step, axis=1)
    found[box.top : box.bottom, box.left : box.right] = whole[:height, :width]
    return found


def _as_decided(area: PaintedArea, drawn: Corners | None, across: float, down: float) -> PaintedArea:
    """The area with the box that a person drew, if any; a fan's outline stays where it lies in that box."""
    if drawn is None:
        return area
    height, width = area.mask.shape
    box = Box(
        min(max(0, round(drawn[0] * across)), width - 1),
        min(max(0, round(drawn[1] * down)), height - 1),
        min(max(1, round(drawn[2] * across)), width),
        min(max(1, round(drawn[3] * down)), height),
    )
    within = np.zeros(area.mask.shape, bool)
    within[box.top : box.bottom, box.left : box.right] = True
    if area.outline is not None and (area.mask & within).sum() >= _KEPT_OUTLINE * area.mask.sum():
        return replace(area, box=box, mask=area.mask & within)
    return replace(area, box=box, mask=within, outline=None)


def _found(look: Look, area: PaintedArea, across: float, down: float) -> list[Mask]:
    """What is seen on the painting, in the scan's pixels; its own outline, where it is no rectangle, first."""
    found = [] if area.outline is None else [Mask(kind="painting", outline=_points(area.outline, across, down))]
    return found + [
        Mask(kind=region.kind, outline=_points(region.outline, across, down), score=round(region.score, 3))
        for region in find_masks(look, area)
    ]


def _at_look(masks: Sequence[Mask], across: float, down: float) -> list[Region]:
    return [Region(each.kind, tuple((x * across, y * down) for x, y in each.outline), each.score) for each in masks]


def _points(outline: Sequence[tuple[float, float]], across: float, down: float) -> tuple[tuple[int, int], ...]:
    return tuple((round(x / across), round(y / down)) for x, y in outline)


def at_size(
    masks: Sequence[Mask],
    kinds: Collection[str],
    shape: tuple[int, ...],
    across: float,
    down: float,
    corner: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Where masks of these kinds lie: bool (height, width) of a sheet with so many pixels per pixel of the scan."""
    left, top = corner
    outlines = [mask.outline for mask in masks if mask.kind in kinds]
    return rasterised([[((x - left) * across, (y - top) * down) for x, y in each] for each in outlines], shape)


def _corners(box: Box, across: float, down: float, scan: Scan) -> Corners:
    return (
        round(box.left / across),
        round(box.top / down),
        min(scan.width, round(box.right / across)),
        min(scan.height, round(box.bottom / down)),
    )


def _drawn(asked: Asked) -> list[Drawn]:
    """The crops that persons drew."""
    return [
        Drawn(Box(*box), CROP_SIZES.index(size), decision.who or "a person")
        for size, crops in drawn_crops(asked.decisions).items()
        for box, decision in crops
    ]


@dataclass(frozen=True)
class _Cut:
    chosen: Chosen
    box: Box  # in the scan's pixels

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the shape it stands for."""
        return CROP_SIZES[self.chosen.shape]

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height of its file, which is never enlarged."""
        return self.size if self.box.width >= self.size[0] else (self.box.width, self.box.height)


def _scan_box(chosen: Chosen, scan: Scan, sheet: Sheet) -> Box:
    """The window in whole pixels of the scan, its aspect right to the pixel."""
    size = CROP_SIZES[chosen.shape]
    width = int(min(chosen.width / sheet.across, chosen.height / sheet.down * size[0] / size[1]) + 1e-6)
    height = round(width * size[1] / size[0])
    left = min(max(0, round(chosen.left / sheet.across)), scan.width - width)
    top = min(max(0, round(chosen.top / sheet.down)), scan.height - height)
    return Box(left, top, left + width, top + height)


def _png(source: Source, cut: _Cut, skew: float) -> bytes:
    """The crop as PNG without any metadata, so that the same pixels are the same bytes."""
    png = bytes(source.cut(cut.box, *cut.pixels, skew).pngsave_buffer(compression=2, filter="up", keep="none"))
    give_back_memory()
    return png


def _mask(cut: _Cut, shown: _Shown, masks: Sequence[Mask]) -> bytes:
    """Saliency as 1..255, and 0 for what is not to be learned, at the crop's size."""
    import pyvips

    width, height = cut.pixels
    box = cut.box
    rows, columns = shown.salient.shape
    top, left = min(int(box.top * shown.down), rows - 1), min(int(box.left * shown.across), columns - 1)
    part = (
        slice(top, max(top + 1, round(box.bottom * shown.down))),
        slice(left, max(left + 1, round(box.right * shown.across))),
    )

    def scaled(values: np.ndarray) -> np.ndarray:
        grey = pyvips.Image.new_from_array(np.ascontiguousarray(values[part])).copy(interpretation="b-w")
        return grey.thumbnail_image(width, height=height, size="force").numpy()

    levels = np.maximum(scaled(shown.salient), 1)
    if not shown.painted[part].all():
        levels[scaled(np.where(shown.painted, 255, 0).astype(np.uint8)) < 255] = 0
    scales = width / box.width, height / box.height
    levels[at_size(masks, NOT_LEARNED, levels.shape, *scales, corner=(box.left, box.top))] = 0
    grey = pyvips.Image.new_from_array(levels).copy(interpretation="b-w")
    return bytes(grey.pngsave_buffer(compression=2, filter="up", keep="none"))


def _write(folder: Path, scan: Scan, work: CuratedScan, cut: _Cut, place: int, png: bytes, mask: bytes) -> Crop:
    box, (width, height) = cut.box, cut.size
    made = crop_id(work.made_from, (box.left, box.top, box.right, box.bottom), cut.size)
    for kind, content in (("images", png), ("masks", mask)):
        with writing(folder / kind / f"{made}.png") as temporary:
            temporary.write_bytes(content)
    return Crop(
        id=made,
        painter=scan.painter,
        scan_id=scan.id,
        scan_sha256=scan.sha256,
        path=f"images/{made}.png",
        sha256=hashlib.sha256(png).hexdigest(),
        mask_path=f"masks/{made}.png",
        width=width,
        height=height,
        left=box.left,
        top=box.top,
        right=box.right,
        bottom=box.bottom,
        source_scale=round(box.width / width, 4),
        subject_share=round(cut.chosen.terms["saliency"], 4),
        skew=work.skew,
        effective_scale=work.effective_scale,
        by=cut.chosen.by,
        place=place,
        terms={name: round(value, 4) for name, value in cut.chosen.terms.items()},
    )
