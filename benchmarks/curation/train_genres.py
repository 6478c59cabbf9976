"""Trains the readout of genres that the review list asks, on one core in some minutes:

    python benchmarks/curation/train_genres.py PAINTINGS

`genres.csv` beside this file names works below the folder PAINTINGS with their genre as it was labelled by eye, and
passages of writing in them as fractions of the scan; photographs come with scikit-image. Each is looked at as the stage
does, and again mirrored, without colour, and cropped and yellowed; writing also white on black, as a rubbing. No work
of `huang-binhong` is among them, so that `quality.py` measures on works the readout never saw. A multinomial logistic
regression is fitted, genres weighed equally; printed is how often five-fold cross-validation by work is right.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from artmaster_pipeline.curation.review.genres import GENRES, WEIGHTS, probabilities

LABELS = Path(__file__).parent / "genres.csv"
STRENGTH = 3.0  # of the data against the prior
FOLDS = 5


def main() -> None:
    """Fit, print the share that is right, and write the readout."""
    from safetensors.numpy import save_file

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--keep", type=Path, help="an .npz for what was seen, read where it is there")
    asked = parser.parse_args()
    works, genres, first, seen = examples(asked.paintings, asked.keep)
    guessed = cross_validated(works, genres, seen)
    for number, name in enumerate(GENRES):
        rows = first & (genres == number)
        print(f"{name}: {(guessed[rows] == number).mean():.2f} of {rows.sum()}")
    print(f"all: {(guessed[first] == genres[first]).mean():.3f} of {first.sum()}")
    arrays = dict(zip(("mean", "weight", "bias"), fitted(seen, genres), strict=True))
    save_file({name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}, WEIGHTS)


def examples(paintings: Path, keep: Path | None) -> tuple[np.ndarray, ...]:
    """By example: the work it is of, the number of its genre, whether it is the work as it is, and what is seen."""
    from artmaster_pipeline.curation.review.features import _picture, _seen

    if keep and keep.exists():
        return tuple(np.load(keep).values())
    rows = []
    with LABELS.open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            for number, picture in enumerate(_variants(_labelled(paintings, row), row["genre"] == "writing")):
                seen = _seen(*_picture(*_whole(picture)))
                rows.append((row["file"], GENRES.index(row["genre"]), number == 0, seen))
    columns = tuple(np.array(column) for column in zip(*rows, strict=True))
    if keep:
        np.savez(keep, *columns)
    return columns


def cross_validated(works: np.ndarray, genres: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The genre that each example is given by a readout that saw nothing of its work."""
    names = np.random.default_rng(1).permutation(sorted(set(works)))
    guessed = np.empty(len(works), int)
    for fold in range(FOLDS):
        aside = np.isin(works, names[fold::FOLDS])
        guessed[aside] = probabilities(seen[aside], *fitted(seen[~aside], genres[~aside])).argmax(1)
    return guessed


def fitted(seen: np.ndarray, genres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, weights and biases of the regression, with a Gaussian prior on the weights."""
    from scipy.optimize import minimize

    mean, truth = seen.mean(0), np.eye(len(GENRES))[genres]
    weights = 1 / truth.sum(0)[genres]
    weights *= len(genres) / weights.sum()
    centred, shape = seen - mean, (seen.shape[1] + 1, len(GENRES))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat.reshape(shape)[:-1], flat.reshape(shape)[-1]
        guessed = probabilities(seen, mean, weight, bias)
        wrong = (guessed - truth) * weights[:, None] * STRENGTH
        value = -STRENGTH * (weights * np.log((guessed * truth).sum(1) + 1e-12)).sum() + 0.5 * (weight**2).sum()
        return value, np.concatenate([(centred.T @ wrong + weight).ravel(), wrong.sum(0)])

    best = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 400})
    return mean, best.x.reshape(shape)[:-1], best.x.reshape(shape)[-1]


def _labelled(paintings: Path, row: dict[str, str]) -> Image.Image:
    """The painting of a row's scan without its mounting, or the passage that the row names."""
    from artmaster_pipeline.curation.area import find_area
    from artmaster_pipeline.curation.look import look_at
    from artmaster_pipeline.scans.decoding import open_scan

    if row["file"].startswith("skimage.data."):
        return _photograph(row["file"].rsplit(".", 1)[1])
    scan = open_scan(paintings / row["file"]).copy_memory()
    look = look_at(scan, scan.width, scan.height)
    picture = Image.fromarray(look.rgb)
    if row["left"]:
        left, top, right, bottom = (float(row[side]) for side in ("left", "top", "right", "bottom"))
        return picture.crop(
            (
                int(left * picture.width),
                int(top * picture.height),
                int(right * picture.width),
                int(bottom * picture.height),
            )
        )
    box = find_area(look).box
    return picture.crop((box.left, box.top, box.right, box.bottom))


def _photograph(name: str) -> Image.Image:
    from skimage import data

    pixels = getattr(data, name)()
    return Image.fromarray(pixels[0] if isinstance(pixels, tuple) else pixels).convert("RGB")


def _variants(picture: Image.Image, is_writing: bool) -> Iterator[Image.Image]:
    """The picture and how else a scan could show it."""
    width, height = picture.size
    yield picture
    yield ImageOps.mirror(picture)
    yield ImageEnhance.Contrast(picture.convert("L").convert("RGB")).enhance(0.85)
    part = picture.crop((width // 12, height // 20, width - width // 25, height - height // 12))
    yield Image.fromarray((np.asarray(part) * [1.0, 0.9, 0.66] * 0.92 + 10).clip(0, 255).astype(np.uint8))
    if is_writing:
        yield ImageOps.invert(picture.convert("L")).convert("RGB")
        yield picture.crop((width // 4, height // 5, width * 3 // 4, height * 4 // 5))
        yield picture.crop((0, 0, min(width, height), height))


def _whole(picture: Image.Image):  # type: ignore[no-untyped-def]
    """A look of it, and the area that holds all of it."""
    from artmaster_pipeline.curation.area import PaintedArea
    from artmaster_pipeline.curation.boxes import Box
    from artmaster_pipeline.curation.look import Look

    pixels = np.asarray(picture)
    everywhere = np.ones(pixels.shape[:2], bool)
    return Look(pixels, np.zeros((1, 1, 3), np.float32), 1.0), PaintedArea(0.0, Box(0, 0, *picture.size), everywhere)


if __name__ == "__main__":
    main()
