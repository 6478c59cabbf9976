"""Fit the readout of kinds (sky, water, rock, ...) to marks on paintings, and say how it does on paintings kept aside.

    python benchmarks/copainting/train_kinds.py PAINTINGS [--write]

`marks.csv` holds boxes that were drawn by eye: file, kind, and the sides in percent of the picture. A superpixel
counts of which seven tenths lie in a box.
Six-fold by picture: nothing of a picture that is judged was seen. With `--write`, the
readout fitted to all of `use` = fit replaces the shipped one; boxes of `use` = held are for read_regions.py alone.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from artmaster_pipeline.base_models.vgg import load_vgg
from artmaster_pipeline.copainting.signals.kinds import WEIGHTS, KindReadout
from artmaster_pipeline.copainting.signals.superpixels import Superpixels, cut, hand_features, network_features
from artmaster_pipeline.sample_painters.layout import KINDS

MARKS = Path(__file__).with_name("marks.csv")
AXES, STRENGTH, FOLDS = 64, 100.0, 6
LONGEST = (1024, 1600)
INSIDE = 0.7  # of a superpixel, that it counts as marked
CALM = ("sky", "water", "blank")


def marks(use: str) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """By file the boxes (kind, (left, top, right, bottom) in 0..1)."""
    found: dict[str, list[tuple[str, tuple[float, ...]]]] = {}
    with MARKS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["use"] == use:
                box = tuple(float(row[side]) / 100 for side in ("left", "top", "right", "bottom"))
                found.setdefault(row["file"], []).append((row["kind"], box))
    return found


def opened(file: Path) -> np.ndarray:
    image = Image.open(file).convert("RGB")
    image.thumbnail(LONGEST)
    return np.asarray(image)


def marked(shape: tuple[int, int], boxes: list[tuple[str, tuple[float, ...]]]) -> np.ndarray:
    """The kind's number at each pixel, -1 where nothing is marked; a later box lies over an earlier one."""
    rows, columns = shape
    found = np.full(shape, -1)
    for kind, (left, top, right, bottom) in boxes:
        found[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)] = KINDS.index(kind)
    return found


def truth_of(pixels: Superpixels, truth: np.ndarray) -> np.ndarray:
    """Each superpixel's kind, -1 where it is not marked."""
    counts = np.stack([pixels.means((truth == number).astype(float)) for number in range(len(KINDS))], axis=1)
    return np.where(counts.max(1) >= INSIDE, counts.argmax(1), -1)


def measured(paintings: Path, use: str) -> tuple[np.ndarray, ...]:
    """(plain, network's features, kinds, pictures' numbers) of all marked superpixels."""
    vgg, parts = load_vgg(), []
    for number, (name, boxes) in enumerate(marks(use).items()):
        pixels = cut(opened(paintings / name))
        truth = truth_of(pixels, marked(pixels.labels.shape, boxes))
        kept = truth >= 0
        parts.append(
            (
                hand_features(pixels)[kept],
                network_features(pixels, vgg)[kept],
                truth[kept],
                np.full(kept.sum(), number),
            )
        )
        print(f"{name}: {kept.sum()} superpixels", file=sys.stderr)
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def fitted(plain: np.ndarray, net: np.ndarray, truth: np.ndarray, pictures: np.ndarray) -> KindReadout:
    """Logistic regression with a Gaussian prior, on principal axes of the network's features and on plain measures."""
    from scipy.optimize import minimize

    mean, spread = net.mean(0), net.std(0) + 1e-3
    axes = np.linalg.svd((net - mean) / spread, full_matrices=False)[2][:AXES].T
    axes *= 4 / (((net - mean) / spread) @ axes).std(0)[0]
    arrays = {"plain.mean": plain.mean(0), "plain.spread": plain.std(0) + 1e-6, "net.mean": mean}
    arrays |= {"net.spread": spread, "net.axes": axes}
    seen, kinds = KindReadout(arrays).features(plain, net), np.eye(len(KINDS))[truth]
    weights = _weights(truth, pictures)[:, None]
    shape = (seen.shape[1] + 1, len(KINDS))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat.reshape(shape)[:-1], flat.reshape(shape)[-1]
        guessed = KindReadout(arrays | {"weight": weight, "bias": bias}).probabilities(seen)
        wrong = (guessed - kinds) * weights
        value = -(weights[:, 0] * np.log((guessed * kinds).sum(1) + 1e-12)).sum() + 0.5 * STRENGTH * (weight**2).sum()
        return value, np.concatenate([(seen.T @ wrong + STRENGTH * weight).ravel(), wrong.sum(0)])

    best = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return KindReadout(arrays | {"weight": best.x.reshape(shape)[:-1], "bias": best.x.reshape(shape)[-1]})


def _weights(truth: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """A large box counts as the root of its size, and so does a frequent kind; the mean is 1."""
    weights = np.zeros(len(truth))
    for kind in range(len(KINDS)):
        for picture in np.unique(pictures):
            chosen = (truth == kind) & (pictures == picture)
            weights[chosen] = max(1, chosen.sum()) ** -0.5
        weights[truth == kind] /= max(1e-9, weights[truth == kind].sum()) ** 0.5
    return weights * len(weights) / weights.sum()


def cross_validated(plain: np.ndarray, net: np.ndarray, truth: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Probabilities that each superpixel is given by a readout that saw nothing of its picture."""
    order = np.random.default_rng(0).permutation(np.unique(pictures))
    found = np.zeros((len(truth), len(KINDS)))
    for fold in range(FOLDS):
        aside = np.isin(pictures, order[fold::FOLDS])
        readout = fitted(plain[~aside], net[~aside], truth[~aside], pictures[~aside])
        found[aside] = readout.probabilities(readout.features(plain[aside], net[aside]))
    return found


def report(found: np.ndarray, truth: np.ndarray, pictures: np.ndarray) -> None:
    """Print how often the likeliest kind is right, and what its probability is worth."""
    guessed = found.argmax(1)
    calm = np.isin(np.arange(len(KINDS)), [KINDS.index(kind) for kind in CALM])
    each = [float((guessed == truth)[pictures == picture].mean()) for picture in np.unique(pictures)]
    print(f"{len(truth)} superpixels of {len(each)} pictures")
    print(f"right {np.mean(guessed == truth):.3f}; by picture {np.mean(each):.3f} (least {min(each):.2f})")
    print(f"sky, water or blank against the rest: {np.mean(calm[guessed] == calm[truth]):.3f}")
    for number, kind in enumerate(KINDS):
        said, is_so = guessed == number, truth == number
        print(
            f"  {kind:9} found {np.mean(guessed[is_so] == number):.2f} of {is_so.sum():4d}, "
            f"right when said {np.mean(truth[said] == number) if said.any() else float('nan'):.2f}"
        )
    sure = found.max(1)
    for low, high in ((0, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)):
        chosen = (sure >= low) & (sure < high)
        if chosen.any():
            right = np.mean((guessed == truth)[chosen])
            print(f"  said with {sure[chosen].mean():.2f}: right {right:.2f} ({chosen.sum()})")


def main() -> None:
    paintings = Path(sys.argv[1])
    parts = measured(paintings, "fit")
    report(cross_validated(*parts), parts[2], parts[3])
    if "--write" in sys.argv:
        from safetensors.numpy import save_file

        arrays = {name: np.ascontiguousarray(array, np.float16) for name, array in fitted(*parts).arrays.items()}
        save_file(arrays, WEIGHTS)
        print(f"{WEIGHTS} written, {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
