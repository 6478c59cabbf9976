"""How fast the stage curated_crops is: against a plain pipeline of Pillow and OpenCV, and from 100 to 5,000 scans.

    python benchmarks/curation/throughput.py                                        # both tables
    python benchmarks/curation/throughput.py --flat 100 500 --megapixels 2 24 --json throughput.json

**Against a plain pipeline.** The same JPEGs, made for this, of the sizes asked for. Each is registered first, which is
not counted (the register decodes every scan once for its own reasons). Then, in turn and several times over:

- `plain`: for each scan Pillow decodes it in full and follows its profile (ImageCms), OpenCV reduces it to the look's
  size, converts it to CIELAB and computes the product's three measures of saliency, and the rectangles that the product
  chose are reduced by OpenCV and written as PNG with their saliency beside them. One scan after the other, as such a
  script does; `plain, a process a core` runs as many of them as there are cores.
- `the same work`: the stage without what the plain pipeline lacks: areas, masks, sharpness, measures for the review.
- `the stage`: all of it.

Printed are the medians: megapixels of scans a second, and by how much that is more than `plain`.

**Flat.** 100, 500, ... small scans in one home, each of other pixels: seconds of a whole first run by
the number of scans, then of a run with nothing new, then with one new scan.
"""

import argparse
import io
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from artmaster_pipeline.curation.area import PaintedArea
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.crops import curating
from artmaster_pipeline.curation.crops.cropping import crop_scans
from artmaster_pipeline.curation.look import Look, scale_of
from artmaster_pipeline.records import MANIFEST, Crop, read_manifest
from artmaster_pipeline.scans import register_scans, scan_path
from artmaster_pipeline.settings import Home
from artmaster_pipeline.threads import usable_cpus

PAINTER = "a-painter"
RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="*", default=[2, 24, 100])
    parser.add_argument(
        "--total", type=float, default=200, help="megapixels of all scans of a size, four scans at least"
    )
    parser.add_argument("--flat", type=int, nargs="*", default=[100, 500, 1500, 5000])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    found: dict = {"machine": {"cores": len(usable_cpus()), "system": platform.platform(), "python": sys.version}}
    with tempfile.TemporaryDirectory() as place:
        if told.megapixels:
            found["against plain"] = [against_plain(Path(place), size, told) for size in told.megapixels]
        if told.flat:
            found["flat"] = [flat(Path(place), number) for number in told.flat]
    print_tables(found)
    if told.json:
        told.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


# Against a plain pipeline.


def against_plain(place: Path, megapixels: float, told: argparse.Namespace) -> dict:
    """Seconds of each way over the same scans, in turn, `runs` times."""
    home = Home(place / f"{megapixels:g}")
    number = max(4, round(told.total / megapixels))
    write_scans(home.scans(PAINTER), number, megapixels)
    scans = register_scans(home, PAINTER).records
    whole = sum(scan.width * scan.height for scan in scans) / 1e6
    crop_scans(home, PAINTER)  # warm, and what the plain pipeline is to cut
    wanted = rectangles(home)
    out = place / "plain"
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: [plain(scan_path(home, scan), out, wanted[scan.id]) for scan in scans],
        "plain, a process a core": lambda: on_all_cores([(scan_path(home, s), out, wanted[s.id]) for s in scans]),
        "the same work": lambda: without_what_plain_lacks(home),
        "the stage": lambda: crop_scans(home, PAINTER),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(told.runs):
        for name, way in ways.items():
            shutil.rmtree(home.crops(PAINTER), ignore_errors=True)
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    shutil.rmtree(home.root)
    medians = {name: whole / statistics.median(each) for name, each in seconds.items()}
    return {"megapixels a scan": megapixels, "scans": number, "megapixels a second": medians, "seconds": seconds}


def write_scans(folder: Path, number: int, megapixels: float) -> None:
    """JPEGs with a profile, of ink mountains that no two of them have alike."""
    folder.mkdir(parents=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    side = round((megapixels * 1e6) ** 0.5)
    for seed in range(number):
        picture = Image.fromarray(mountains(seed, 480, 720)).resize((round(side * 0.8), round(side * 1.25)))
        picture.save(folder / f"{seed:05}.jpg", quality=92, icc_profile=profile)


def mountains(seed: int, width: int, height: int) -> np.ndarray:
    """Ink on toned paper, uint8 (height, width, 3): ridges, and strokes on them, anywhere and of any weight."""
    dice = np.random.default_rng(seed)
    paper = np.full((height, width), 225.0) + dice.normal(0, 3, (height, width))
    x, y = np.arange(width), np.arange(height)[:, None]
    for _ in range(dice.integers(2, 6)):
        waves = sum(np.sin(2 * np.pi * k * x / width + dice.uniform(0, 6)) / k for k in (1, 2, 3, 5, 8))
        ridge = height * (dice.uniform(0.1, 0.9) + dice.uniform(0.02, 0.15) * waves)
        below = (y > ridge) & (y < ridge + height * dice.uniform(0.1, 0.6))
        ink = dice.uniform(0.3, 1.0) * (0.6 + 0.4 * dice.random((height, width)))
        paper = np.where(below, paper * (1 - 0.7 * ink), paper)
    for _ in range(dice.integers(20, 80)):
        left, top = dice.integers(0, width - 40), dice.integers(0, height - 40)
        paper[top : top + dice.integers(2, 40), left : left + dice.integers(2, 40)] *= dice.uniform(0.2, 0.9)
    tint = np.array([1.0, dice.uniform(0.92, 0.98), dice.uniform(0.8, 0.95)])
    return (paper[..., None] * tint).clip(0, 255).astype(np.uint8)


def rectangles(home: Home) -> dict[str, list[Crop]]:
    """By scan, the crops that the product chose."""
    found: dict[str, list[Crop]] = {}
    for crop in read_manifest(home.crops(PAINTER) / MANIFEST, Crop):
        found.setdefault(crop.scan_id, []).append(crop)
    return found


def plain(path: Path, out: Path, crops: list[Crop]) -> None:
    """What a straightforward script does with a scan."""
    import cv2

    cv2.setNumThreads(0)
    with Image.open(path) as file:
        picture = file.convert("RGB")
        if profile := file.info.get("icc_profile"):
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            picture = ImageCms.profileToProfile(picture, given, ImageCms.createProfile("sRGB")) or picture
        pixels = np.asarray(picture)
    scale = scale_of(pixels.shape[1], pixels.shape[0])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    salient = (saliency(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)) * 255).astype(np.uint8)
    for crop in crops:
        part = pixels[crop.top : crop.bottom, crop.left : crop.right]
        reduced = cv2.resize(part, crop.pixels, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(out / f"{crop.id}.png"), cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR))
        top, bottom, left, right = (round(side * scale) for side in (crop.top, crop.bottom, crop.left, crop.right))
        mask = cv2.resize(salient[top : bottom + 1, left : right + 1], crop.pixels, interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(out / f"{crop.id}-mask.png"), mask)


def saliency(lab: np.ndarray) -> np.ndarray:
    """The product's measures (`curation.masks.saliency`) by OpenCV."""
    import cv2

    light = lab[..., 0]
    radius = max(2.0, 0.01 * max(light.shape))
    scale = 64 / min(light.shape)
    tiny = cv2.resize(light, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    spectrum = np.fft.fft2(tiny)
    amplitude = np.log(np.abs(spectrum) + 1e-8)
    residual = amplitude - cv2.blur(amplitude, (3, 3))
    power = (np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2).astype(np.float32)
    spectral = cv2.resize(cv2.GaussianBlur(power, (0, 0), 2.5), light.shape[::-1])
    distinct = np.linalg.norm(cv2.GaussianBlur(lab, (0, 0), 1.5) - lab.mean(axis=(0, 1)), axis=2)
    mean = cv2.GaussianBlur(light, (0, 0), radius)
    contrast = np.sqrt(np.maximum(cv2.GaussianBlur(light**2, (0, 0), radius) - mean**2, 0))
    together = sum(unit(each) for each in (spectral, distinct, contrast))
    return unit(cv2.GaussianBlur(together, (0, 0), radius))


def unit(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), np.percentile(values, 99)
    return np.clip((values - low) / max(high - low, 1e-6), 0, 1)


def on_all_cores(tasks: list[tuple[Path, Path, list[Crop]]]) -> None:
    with ProcessPoolExecutor(len(usable_cpus()), mp_context=get_context("fork")) as pool:
        list(pool.map(plain, *zip(*tasks, strict=True)))


def without_what_plain_lacks(home: Home) -> None:
    """The stage with the whole scan as its area, without masks and measures."""

    def whole(look: Look) -> PaintedArea:
        height, width = look.rgb.shape[:2]
        return PaintedArea(0.0, Box(0, 0, width, height), np.ones((height, width), bool))

    nothing = {"find_masks": lambda *_: (), "features": lambda *_: {}, "_effective_scale": lambda *_: 1.0}
    with replaced(find_area=whole, **nothing):
        crop_scans(home, PAINTER)


@contextmanager
def replaced(**functions: Callable) -> Iterator[None]:
    before = {name: getattr(curating, name) for name in functions}
    try:
        for name, function in functions.items():
            setattr(curating, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(curating, name, function)


# From hundreds to thousands of scans.


def flat(place: Path, number: int) -> dict:
    """Seconds of a first run over so many scans, of a second, and of one with a new scan."""
    home = Home(place / f"flat-{number}")
    folder = home.scans(PAINTER)
    write_scans(folder, number + 1, 0.4)
    new = folder / f"{number:05}.jpg"
    new.rename(place / "new.jpg")
    register_scans(home, PAINTER)
    seconds = {}
    for name in ("first", "again", "one more"):
        if name == "one more":
            (place / "new.jpg").rename(new)
            register_scans(home, PAINTER)
        began = time.perf_counter()
        crop_scans(home, PAINTER)
        seconds[name] = time.perf_counter() - began
    shutil.rmtree(home.root)
    return {"scans": number, "seconds": seconds}


def print_tables(found: dict) -> None:
    for row in found.get("against plain", ()):
        print(f"\n{row['scans']} scans of {row['megapixels a scan']:g} megapixels")
        for name, rate in row["megapixels a second"].items():
            ratio = rate / row["megapixels a second"]["plain"]
            print(f"  {name:28} {rate:8.1f} MP/s  {ratio:5.2f} x plain")
    if rows := found.get("flat"):
        print("\n| scans | first run, s | ms a scan | again, s | one more, s | of the first |")
        print("|---|---|---|---|---|---|")
        for row in rows:
            first, again, more = (row["seconds"][name] for name in ("first", "again", "one more"))
            each = 1000 * first / row["scans"]
            print(f"| {row['scans']} | {first:.1f} | {each:.0f} | {again:.2f} | {more:.2f} | {more / first:.1%} |")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
