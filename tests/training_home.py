"""A data home as it stands before training: registered scans and their crops, made of small painted pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.records import MANIFEST, Adapter, Crop, Scan, identity, write_manifest
from artmaster_pipeline.settings import CROP_SIZES, Home, Profile, TrainingSettings

PAINTER = "wang-ximeng"
TRAINING = TrainingSettings(
    learning_rate=1e-2, epochs=3, repeats=2, batch_size=2, init_r=4, target_r=2, allocate_every=2, checkpoint_every=4,
)  # fmt: skip


def fill_home(home: Home, works: int = 5, small: int = 0) -> Home:
    """Register `works` works with two crops each; the first `small` had fewer pixels than their crops."""
    home.scans(PAINTER).mkdir(parents=True, exist_ok=True)
    scans, crops = [], []
    for n in range(works):
        scan = _scan(n)
        scans.append(scan)
        for width, height in CROP_SIZES:
            file = home.crops(PAINTER) / "images" / f"{n}-{height}.png"
            scale = 0.625 if n < small else 1.5
            crop = _crop(scan, _paint(file, n, *(round(side * min(scale, 1)) for side in (width, height))), scale)
            crops.append(crop)
            write_mask(home, crop, np.full(crop.pixels[::-1], 255, np.uint8))
        write_thumbnail(home, scan, file)
    write_manifest(home.register(PAINTER) / MANIFEST, scans)
    write_manifest(home.crops(PAINTER) / MANIFEST, crops)
    return home


def write_mask(home: Home, crop: Crop, levels: np.ndarray) -> None:
    """Let curation say of a crop what `levels` do, uint8 (height, width)."""
    file = home.crops(PAINTER) / crop.mask_path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(file, compress_level=1)


def write_thumbnail(home: Home, scan: Scan, picture: Path) -> None:
    """Let the register show `picture` as what the scan shows."""
    thumbnails = home.register(PAINTER) / "thumbnails"
    thumbnails.mkdir(parents=True, exist_ok=True)
    with Image.open(picture) as image:
        image.thumbnail((256, 256))
        image.save(thumbnails / f"{scan.id}.jpg")


def tiny_profile(flux: Path, **changes) -> Profile:
    """flux-dev's path on a tiny FLUX in a local folder."""
    defaults = {
        "name": "tiny", "base_model": str(flux), "device": "cpu", "dtype": "float32", "size_divisor": 8,
        "max_sequence_length": 24, "super_resolution": "realesr-animevideov3-x2", "training": TRAINING,
        "max_unread": 1.0,  # the tiny tokenizers know no word
    }  # fmt: skip
    return Profile(**(defaults | changes))


def train_in(home: Home, profile: Profile) -> Adapter:
    """The adapter that a home's five works give, from the crops on."""
    from artmaster_pipeline.dataset import build_training_set
    from artmaster_pipeline.training import train_adapter

    build_training_set(fill_home(home), PAINTER, profile)
    (adapter,) = train_adapter(home, PAINTER, profile).records
    return adapter


def _scan(n: int) -> Scan:
    sha256 = identity("scan", n) * 4
    return Scan(
        id=sha256[:16], painter=PAINTER, path=f"{n}.png", sha256=sha256, bytes=1, width=900, height=1300, format="PNG",
        colour="sRGB", title=f"Mountain {n}", season="autumn", rights="public domain | <b>CC0</b>",
    )  # fmt: skip


def _crop(scan: Scan, file: Path, scale: float) -> Crop:
    """The record of a crop whose rectangle has `scale` times the pixels of the shape that it stands for."""
    sha256 = sha256_of(file)
    with Image.open(file) as picture:
        width, height = (round(side / min(scale, 1)) for side in picture.size)
    return Crop(
        id=identity(sha256, scan.id), painter=PAINTER, scan_id=scan.id, scan_sha256=scan.sha256,
        path=f"images/{file.name}", sha256=sha256, mask_path=f"masks/{file.name}", width=width, height=height, left=0,
        top=0, right=round(width * scale), bottom=round(height * scale), source_scale=scale, subject_share=1.0,
    )  # fmt: skip


def _paint(file: Path, seed: int, width: int, height: int) -> Path:
    chance = np.random.default_rng([seed, height])
    patches = Image.fromarray(chance.integers(40, 230, (height // 64, width // 64, 3), dtype=np.uint8))
    file.parent.mkdir(parents=True, exist_ok=True)
    patches.resize((width, height), Image.Resampling.BILINEAR).save(file, compress_level=1)
    return file
