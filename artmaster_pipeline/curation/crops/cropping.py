"""The stage curated_crops: two crops and their masks for every scan that allows it, a reason for the others."""

import hashlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artmaster_pipeline.curation.area.painted_area import painted_area
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.crops.windows import Window, best_window
from artmaster_pipeline.curation.masks.saliency import saliency
from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.files import clear_partials, sha256_of, writing
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    QUARANTINE,
    Crop,
    Outcome,
    Quarantined,
    Scan,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.scans import scan_path
from artmaster_pipeline.scans.decoding import decode, held, reading
from artmaster_pipeline.scans.journal import Journal
from artmaster_pipeline.settings import CROP_SIZES, Home
from artmaster_pipeline.threads import usable_cpus

CURATION = "1"  # changes when the same scan would be cropped in another way, so that nothing is reused
SMALLEST = 64  # pixels of the scan that the shorter side of a window needs
_LOOKED_AT = (640, 320)  # pixels of the long and the short side at which a scan is judged
_LOOKED_AT_MOST = 600_000  # pixels; a very long scroll is judged at a smaller size
_RESCAN = "Scan the artwork at a higher resolution"
_THREADS = min(4, len(usable_cpus()))


@dataclass(frozen=True)
class _Cut:
    box: Box  # in the scan's pixels
    size: tuple[int, int]
    subject_share: float
    mask: np.ndarray


@one_at_a_time
def crop_scans(home: Home, painter: str, progress: Progress = SILENT) -> Outcome[Crop]:
    """Write crops/<painter>/: for every registered scan a crop and a mask at each of `CROP_SIZES`.

    A scan without a window of 64 pixels is quarantined with its reason. Crops that are there already are kept.
    Raises ArtMasterError where the stage raw_scans has not run or where not one crop could be made.
    """
    folder = home.crops(painter)
    scans = read_manifest(home.register(painter) / MANIFEST, Scan)
    if not scans:
        raise ArtMasterError(f"{painter} has no registered scans: run the stage raw_scans first.")
    clear_partials(folder)
    clear_partials(home.cache / "decoded")
    journal = Journal(home.cache / "crops" / f"{painter}.jsonl", Crop)
    before = _finished(folder, journal, scans)
    crops = [row for scan in scans for row in before.get(scan.id, ()) if isinstance(row, Crop)]
    quarantined = [row for scan in scans for row in before.get(scan.id, ()) if isinstance(row, Quarantined)]
    reused = len(crops)
    missing = [scan for scan in scans if scan.id not in before]
    with (
        journal,
        ThreadPoolExecutor(_THREADS) as pool,
        progress.task(f"Cropping scans of {painter}", len(scans), len(scans) - len(missing)) as advance,
    ):
        running = {pool.submit(_crop, home, scan): scan for scan in missing}
        for finished in as_completed(running):
            made, left_out = finished.result()
            for crop in made:
                journal.add(crop)
            crops += made
            quarantined += left_out
            advance(note=running[finished].path)
    return _finish(folder, journal, crops, quarantined, reused)


def _finish(
    folder: Path, journal: Journal[Crop], crops: list[Crop], quarantined: list[Quarantined], reused: int
) -> Outcome[Crop]:
    named = {path for crop in crops for path in (crop.path, crop.mask_path)}
    for file in sorted(folder.glob("images/*")) + sorted(folder.glob("masks/*")):
        if file.relative_to(folder).as_posix() not in named:
            file.unlink()
    write_manifest(folder / QUARANTINE, quarantined)
    write_manifest(folder / MANIFEST, crops)
    journal.clear()
    if not crops:
        reasons = "; ".join(f"{entry.path!r}: {entry.reason}" for entry in quarantined[:5])
        raise ArtMasterError(f"No scan gave a crop. {reasons}. Add larger scans, then run the stage again.")
    return Outcome(
        records=read_manifest(folder / MANIFEST, Crop),
        manifest=folder / MANIFEST,
        made=len(crops) - reused,
        reused=reused,
        quarantined=read_manifest(folder / QUARANTINE, Quarantined),
        figures=_figures(crops),
    )


def _figures(crops: list[Crop]) -> dict[str, Any]:
    shares = sorted(crop.subject_share for crop in crops)
    scales = sorted(crop.source_scale for crop in crops)
    return {
        "median subject share": round(shares[len(shares) // 2], 3) if shares else 0.0,
        "median scan pixels per crop pixel": round(scales[len(scales) // 2], 3) if scales else 0.0,
    }


def _finished(folder: Path, journal: Journal[Crop], scans: tuple[Scan, ...]) -> dict[str, list[Crop | Quarantined]]:
    """By scan id, for scans that today's curation has settled: a whole crop or a reason for each of the sizes."""
    # What this stage wrote itself is read line by line: the whole lines of a torn one count.
    crops = {crop.id: crop for crop in (*Journal(folder / MANIFEST, Crop).read(), *journal.read())}
    left_out = Journal(folder / QUARANTINE, Quarantined).read()
    paths = {scan.sha256: scan.path for scan in scans}
    settled: dict[str, list[Crop | Quarantined]] = {}
    for crop in crops.values():
        if crop.id == _crop_id(crop.scan_sha256, _box(crop), (crop.width, crop.height)) and _is_whole(crop, folder):
            settled.setdefault(crop.scan_sha256, []).append(crop)
    for row in left_out:
        # other reasons, such as a file that has changed, may be gone by now
        today = row.remedy == _RESCAN and row.id == _left_out_id(row.path, row.sha256, row.reason)
        if today and paths.get(row.sha256) == row.path:
            settled.setdefault(row.sha256, []).append(row)
    return {scan.id: rows for scan in scans if len(rows := settled.get(scan.sha256, [])) == len(CROP_SIZES)}


def _is_whole(crop: Crop, folder: Path) -> bool:
    image, mask = folder / crop.path, folder / crop.mask_path
    return image.is_file() and mask.is_file() and sha256_of(image) == crop.sha256


def _crop(home: Home, scan: Scan) -> tuple[list[Crop], list[Quarantined]]:
    """The crops of one scan, or why there are fewer than there are sizes."""
    path = scan_path(home, scan)
    try:
        if _sha256_now(path) != scan.sha256:
            raise BadInput("Its file has changed or gone since it was registered", "Run the stage raw_scans again")
        with reading(path), ExitStack() as stack:
            source = _Source(path, scan, home.cache / "decoded", stack)
            cuts = _cuts(source, scan)
            pictures = [(cut, _picture(source, scan, cut)) for cut in cuts if isinstance(cut, _Cut)]
    except BadInput as bad:
        return [], [_left_out(scan, bad)]
    crops = [_write(home.crops(scan.painter), scan, cut, png) for cut, png in pictures]
    return crops, [_left_out(scan, cut) for cut in cuts if isinstance(cut, BadInput)]


def _sha256_now(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _left_out(scan: Scan, bad: BadInput) -> Quarantined:
    return Quarantined(
        id=_left_out_id(scan.path, scan.sha256, bad.reason),
        painter=scan.painter,
        path=scan.path,
        sha256=scan.sha256,
        reason=bad.reason,
        remedy=bad.remedy,
    )


def _left_out_id(path: str, sha256: str, reason: str) -> str:
    return identity(CURATION, path, sha256, reason)


class _Source:
    """A scan's pixels for its look and its crops: decoded once, and a JPEG once for each size it is read at."""

    def __init__(self, path: Path, scan: Scan, workplace: Path, stack: ExitStack) -> None:
        self._path, self._scan, self._workplace, self._stack = path, scan, workplace, stack
        self._held: dict[int, Any] = {}

    def reduced(self, scan_pixels: float) -> Any:
        """The picture for a reduction by `scan_pixels`: a JPEG at 1/2, 1/4 or 1/8 where that leaves detail to spare."""
        shrink = next((factor for factor in (8, 4, 2) if scan_pixels >= 1.5 * factor), 1)
        shrink = shrink if self._scan.format == "JPEG" else 1
        if shrink not in self._held:
            image = decode(self._path, shrink).image
            self._held[shrink] = self._stack.enter_context(held(image, self._workplace))
        return self._held[shrink]


def _cuts(source: _Source, scan: Scan) -> list[_Cut | BadInput]:
    lab = _look(source, scan)
    area = painted_area(lab)
    box = area.box
    salient = np.zeros(lab.shape[:2], np.float32)
    salient[box.top : box.bottom, box.left : box.right] = saliency(lab[box.top : box.bottom, box.left : box.right])
    salient *= area.mask
    cuts: list[_Cut | BadInput] = []
    for size in CROP_SIZES:
        # the map's pixels are square only almost: its sides were rounded
        square = (lab.shape[1] / scan.width) / (lab.shape[0] / scan.height)
        window = best_window(salient, area.mask, box, size[0] / size[1] * square)
        cuts.append(_cut(window, scan, size, salient))
    return cuts


def _cut(window: Window | None, scan: Scan, size: tuple[int, int], salient: np.ndarray) -> _Cut | BadInput:
    box = _scan_box(window, scan, size) if window else Box(0, 0, 0, 0)
    if min(box.width, box.height) < SMALLEST or window is None:
        return BadInput(
            f"Its painted area leaves {box.width} x {box.height} pixels for the {size[0]} x {size[1]} crop; "
            f"each side needs {SMALLEST}",
            _RESCAN,
        )
    rows, columns = salient.shape
    part = salient[
        round(window.top * rows) : max(round(window.bottom * rows), round(window.top * rows) + 1),
        round(window.left * columns) : max(round(window.right * columns), round(window.left * columns) + 1),
    ]
    return _Cut(box, size, window.subject_share, part)


def _scan_box(window: Window, scan: Scan, size: tuple[int, int]) -> Box:
    """The window in whole pixels of the scan, its aspect right to the pixel."""
    width = int(
        min((window.right - window.left) * scan.width, (window.bottom - window.top) * scan.height * size[0] / size[1])
    )
    height = round(width * size[1] / size[0])
    left = min(max(0, round(window.left * scan.width)), scan.width - width)
    top = min(max(0, round(window.top * scan.height)), scan.height - height)
    return Box(left, top, left + width, top + height)


def _look(source: _Source, scan: Scan) -> np.ndarray:
    """The whole scan in CIELAB, float32 (height, width, 3), small enough to judge quickly."""
    scale = min(1.0, max(_LOOKED_AT[0] / max(scan.width, scan.height), _LOOKED_AT[1] / min(scan.width, scan.height)))
    scale = min(scale, (_LOOKED_AT_MOST / (scan.width * scan.height)) ** 0.5)
    image = source.reduced(1 / scale)
    size = max(1, round(scan.width * scale)), max(1, round(scan.height * scale))
    small = image.thumbnail_image(size[0], height=size[1], size="force")
    return small.colourspace("lab").numpy().astype(np.float32)


def _picture(source: _Source, scan: Scan, cut: _Cut) -> bytes:
    """The crop as PNG without any metadata, so that the same pixels are the same bytes."""
    box, (width, height) = cut.box, cut.size
    image = source.reduced(box.width / width)
    across, down = image.width / scan.width, image.height / scan.height
    left, top = min(int(box.left * across), image.width - 1), min(int(box.top * down), image.height - 1)
    part = image.crop(
        left,
        top,
        min(max(1, round(box.width * across)), image.width - left),
        min(max(1, round(box.height * down)), image.height - top),
    )
    return part.thumbnail_image(width, height=height, size="force").pngsave_buffer(compression=6, keep="none")


def _mask(cut: _Cut) -> bytes:
    import pyvips

    levels = np.ascontiguousarray((cut.mask * 255).round().astype(np.uint8))
    grey = pyvips.Image.new_from_array(levels).copy(interpretation="b-w")
    scaled = grey.thumbnail_image(cut.size[0], height=cut.size[1], size="force")
    return scaled.pngsave_buffer(compression=6, keep="none")


def _write(folder: Path, scan: Scan, cut: _Cut, png: bytes) -> Crop:
    box, (width, height) = cut.box, cut.size
    crop_id = _crop_id(scan.sha256, box, cut.size)
    for place, content in (("images", png), ("masks", _mask(cut))):
        with writing(folder / place / f"{crop_id}.png") as temporary:
            temporary.write_bytes(content)
    return Crop(
        id=crop_id,
        painter=scan.painter,
        scan_id=scan.id,
        scan_sha256=scan.sha256,
        path=f"images/{crop_id}.png",
        sha256=hashlib.sha256(png).hexdigest(),
        mask_path=f"masks/{crop_id}.png",
        width=width,
        height=height,
        left=box.left,
        top=box.top,
        right=box.right,
        bottom=box.bottom,
        source_scale=round(box.width / width, 4),
        subject_share=round(cut.subject_share, 4),
    )


def _crop_id(scan_sha256: str, box: Box, size: tuple[int, int]) -> str:
    return identity(CURATION, scan_sha256, [box.left, box.top, box.right, box.bottom], list(size))


def _box(crop: Crop) -> Box:
    return Box(crop.left, crop.top, crop.right, crop.bottom)
