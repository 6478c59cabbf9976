"""Paintings as an archive's scanner sees them (mounting, margins, skew, a cast), as files with an artworks.csv."""

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFilter

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import write_text, writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.sample_painters.canvas import Canvas
from artmaster_pipeline.sample_painters.chance import chance
from artmaster_pipeline.sample_painters.paintings import paint
from artmaster_pipeline.sample_painters.scenes import Scene, imagine, spoken

ARTWORKS = "artworks.csv"
COLUMNS = ("file", "title", "accession_number", "date", "season", "subject", "caption", "rights")
_RIGHTS = "CC0: drawn by ArtMaster's procedural painter"
_SHAPES = ((3, 4), (4, 3), (2, 3), (1, 2), (3, 2), (1, 1), (2, 5), (4, 5))  # width, height


def write_scans(folder: Path, style: str, count: int, seed: int, progress: Progress = SILENT) -> list[Path]:
    """Write `count` scans of procedural paintings in `style` and their artworks.csv; gives the scans' paths.

    The same seed gives the same bytes; scans that are already there are kept as they are. Raises WrongUse for an
    unknown style or a count below 1.
    """
    if count < 1:
        raise WrongUse(f"{count} scans cannot be written: ask for at least one.")
    works = [_Work(style, seed, number) for number in range(count)]
    with progress.task(f"Painting {count} scans", count) as advance:
        for work in works:
            path = folder / work.file
            if not path.exists():
                _write_scan(path, work)
            advance(note=work.file)
    rows = io.StringIO(newline="")
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(work.row() for work in works)
    if not (folder / ARTWORKS).exists() or (folder / ARTWORKS).read_text(encoding="utf-8") != rows.getvalue():
        write_text(folder / ARTWORKS, rows.getvalue())
    return [folder / work.file for work in works]


class _Work:
    """One artwork: what is painted, how large, and what the archive calls it."""

    def __init__(self, style: str, seed: int, number: int) -> None:
        self.seed, self.number = seed * 100_003 + number, number
        self.scene: Scene = imagine(self.seed, style)
        dice = chance(self.seed, "work")
        wide, high = _SHAPES[int(dice.integers(0, len(_SHAPES)))]
        if self.scene.composition == "towering" and wide > high:
            wide, high = high, wide
        if self.scene.composition == "level" and high >= 2 * wide:
            wide, high = 4, 3
        long = int(dice.integers(1000, 1500))
        self.size = (round(long * wide / max(wide, high)), round(long * high / max(wide, high)))
        self.suffix = {5: ".png", 11: ".tif"}.get(number % 16, ".jpg")
        self.year = 2019 + int(dice.integers(0, 6))
        self.dice = dice

    @property
    def accession_number(self) -> str:
        return f"AM.{self.year}.{self.number + 1:03d}"

    @property
    def file(self) -> str:
        return f"{self.accession_number.lower().replace('.', '-')}{self.suffix}"

    def row(self) -> tuple[str, ...]:
        scene = self.scene
        title = f"{scene.subject[:1].upper()}{scene.subject[1:]}, {scene.season}"
        archive = (self.file, title, self.accession_number, str(self.year))
        # Not the palette: it never leaves the painter's own range, so it is the hand and not what a picture shows.
        seen = spoken(scene.subject, scene.season, scene.time_of_day, scene.weather, scene.composition)
        return (*archive, scene.season, scene.subject, seen, _RIGHTS)


def _write_scan(path: Path, work: _Work) -> None:
    picture = Image.fromarray(paint(work.scene, work.seed, *work.size))
    scan = _on_the_scanner(_mounted(picture, work), work)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = work.row()[1]  # ImageDescription
    exif[0x010F] = "ArtMaster"  # Make
    exif[0x0110] = "procedural painter"  # Model
    exif[0x0132] = f"{work.year}:06:01 12:00:00"  # DateTime: the artwork's own, never the clock's
    with writing(path) as temporary:
        if path.suffix == ".jpg":
            scan.save(temporary, quality=92, subsampling=0, icc_profile=_dated(profile), exif=exif, dpi=(300, 300))
        elif path.suffix == ".png":
            scan.save(temporary, icc_profile=_dated(profile), dpi=(300, 300))
        else:
            scan.save(temporary, icc_profile=_dated(profile), compression="tiff_adobe_deflate", dpi=(300, 300))


def _dated(profile: bytes) -> bytes:
    """The profile with a fixed date (ICC.1:2022, 7.2.8: bytes 24-35), since LittleCMS writes the clock's."""
    date = b"".join(part.to_bytes(2, "big") for part in (2020, 1, 1, 0, 0, 0))
    return profile[:24] + date + profile[36:]


def _mounted(picture: Image.Image, work: _Work) -> Image.Image:
    """The painting on its mounting: a paper margin, a silk border, a hanging scroll, or as it is."""
    dice = work.dice
    kind = str(dice.choice(("paper", "silk", "bare"), p=(0.45, 0.35, 0.2)))
    if work.scene.style == "woodblock":
        kind = "paper"
    if kind == "bare":
        return picture
    w, h = picture.size
    short = min(w, h)
    side = int(short * dice.uniform(0.03, 0.07))
    top, foot = (
        (side, side)
        if kind == "paper"
        else (int(short * dice.uniform(0.08, 0.18)), int(short * dice.uniform(0.06, 0.14)))
    )
    tones = {
        "paper": ((232, 224, 206), (224, 211, 186)),
        "silk": ((176, 160, 122), (120, 128, 110), (196, 182, 148), (92, 98, 104)),
    }
    tone = tones[kind][int(dice.integers(0, len(tones[kind])))]
    canvas = Canvas(w + 2 * side, h + top + foot, work.seed + 1)
    weave = 1.0 + 0.02 * canvas.cloud + canvas.grain * (0.012 if kind == "silk" else 0.006)
    board = np.clip(np.stack([weave * c for c in tone], 2), 0, 255).astype(np.uint8)
    mounted = Image.fromarray(board)
    if kind == "silk":
        line = max(2, short // 160)
        mounted.paste(tuple(int(c * 0.62) for c in tone), (side - line, top - line, side + w + line, top + h + line))
    mounted.paste(picture, (side, top))
    return mounted


def _on_the_scanner(mounted: Image.Image, work: _Work) -> Image.Image:
    """The sheet on the scanner's bed: turned by up to a degree, lit unevenly, with a cast."""
    dice = work.dice
    w, h = mounted.size
    margin = int(min(w, h) * dice.uniform(0.012, 0.05))
    bed = ((246, 246, 244), (28, 28, 30), (205, 203, 198))[int(dice.integers(0, 3))]
    page = Image.new("RGB", (w + 2 * margin, h + 2 * margin), bed)
    shadow = Image.new("L", page.size, 0)
    shadow.paste(150, (margin + 3, margin + 5, margin + w + 4, margin + h + 6))
    page.paste(tuple(int(c * 0.45) for c in bed), mask=shadow.filter(ImageFilter.GaussianBlur(5)))
    page.paste(mounted, (margin, margin))
    page = page.rotate(float(dice.uniform(-1.1, 1.1)), Image.Resampling.BICUBIC, fillcolor=bed)
    longest = int(dice.integers(1100, 1801))
    scale = longest / max(page.size)
    page = page.resize((round(page.width * scale), round(page.height * scale)), Image.Resampling.LANCZOS)
    return _lit(page, dice)


def _lit(page: Image.Image, dice: np.random.Generator) -> Image.Image:
    pixels = np.asarray(page, np.float32)
    y = np.linspace(-1, 1, page.height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, page.width, dtype=np.float32)[None]
    fall = 1.0 - float(dice.uniform(0.0, 0.06)) * (x * x + y * y) / 2 + float(dice.normal(0, 0.012)) * x
    cast = 1.0 + dice.normal(0, 0.012, 3).astype(np.float32)
    return Image.fromarray(np.clip(pixels * fall[..., None] * cast + 0.5, 0, 255).astype(np.uint8))
