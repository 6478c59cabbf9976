"""Measure a miniature: its autoencoder, whether its samples say what was prompted, and its seconds per picture.

    python benchmarks/miniature/measure.py --paintings FOLDER [--model FOLDER] [--sheet FILE]

Attributes are read from samples by the five nearest of 900 labelled scenes in a small space (an 8x8 thumbnail in
CIELAB and its contrast), and so from scenes that were not among them; chance is what the commonest answer gets.
"""

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from artmaster_pipeline.base_models import draw, load_pipeline
from artmaster_pipeline.base_models.training_pictures import paintings
from artmaster_pipeline.sample_painters import STYLES, imagine, paint
from artmaster_pipeline.settings import load_profile

SIZE = 128
FIRST_SEED = 90_000_000  # no scene of the training has such a seed
ATTRIBUTES = ("style", "palette", "time_of_day", "season", "weather", "subject", "composition")


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--paintings", type=Path, nargs="*", default=[])
    options.add_argument("--every", type=int, default=10, help="take every Nth painting, beginning with the sixth")
    options.add_argument("--model", default="miniature")
    options.add_argument("--samples", type=int, default=48)
    options.add_argument("--sheet", type=Path)
    given = options.parse_args()
    pipe = load_pipeline(load_profile("miniature").model_copy(update={"base_model": given.model}))
    for name, pictures in (("scenes", scenes(24)[1]), ("paintings", held_out(given.paintings, given.every))):
        if len(pictures):
            print(f"autoencoder, {len(pictures)} {name}: " + autoencoder(pipe.vae, pictures))
    wanted, rendered = scenes(given.samples)
    began = time.perf_counter()
    drawn = [draw(pipe, scene.caption(True), i, SIZE, SIZE, 20, 3.5, 64) for i, scene in enumerate(wanted)]
    print(f"a picture of 20 steps: {(time.perf_counter() - began) / len(drawn):.2f} s")
    read_back(wanted, rendered, np.stack(drawn))
    if given.sheet:
        sheet(rendered, np.stack(drawn), given.sheet)


def scenes(count: int, first: int = FIRST_SEED) -> tuple[list, np.ndarray]:
    """Scenes of all styles in turn, and their pictures at the miniature's size."""
    wanted = [imagine(first + i, STYLES[i % len(STYLES)]) for i in range(count)]
    large = np.stack([paint(scene, first + i, 2 * SIZE, 2 * SIZE) for i, scene in enumerate(wanted)])
    return wanted, large.reshape(count, SIZE, 2, SIZE, 2, 3).mean((2, 4)).round().astype(np.uint8)


def held_out(folders: list[Path], every: int) -> np.ndarray:
    """The middle square of every Nth painting."""
    squares = []
    for folder in folders:
        for i, (_, pixels) in enumerate(paintings(folder)):
            if i % every == 5 % every:
                side = min(pixels.shape[:2])
                top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
                square = Image.fromarray(pixels[top : top + side, left : left + side])
                squares.append(np.asarray(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS)))
    return np.stack(squares) if squares else np.empty((0, SIZE, SIZE, 3), np.uint8)


def autoencoder(vae: Any, pictures: np.ndarray) -> str:
    """PSNR, CIEDE2000 and the share of Laplacian energy that a round trip leaves."""
    import torch
    from scipy.ndimage import laplace
    from skimage.color import deltaE_ciede2000, rgb2lab

    scores = []
    for picture in pictures:
        tensor = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            back = vae.decode(vae.encode(tensor).latent_dist.mode()).sample[0].clamp(-1, 1)
        again = ((back + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        error = ((picture / 255.0 - again / 255.0) ** 2).mean()
        detail = [(laplace(image.astype(float).mean(-1)) ** 2).mean() for image in (again, picture)]
        colour = deltaE_ciede2000(rgb2lab(picture), rgb2lab(again)).mean()
        scores.append((-10 * np.log10(error), colour, detail[0] / detail[1]))
    psnr, colour, detail = np.mean(scores, 0)
    return f"PSNR {psnr:.1f} dB, CIEDE2000 {colour:.1f}, Laplacian energy {detail:.2f}"


def read_back(wanted: list, rendered: np.ndarray, drawn: np.ndarray) -> None:
    """How often the attributes of the prompt are read from the sample, and from the scene that was painted for it."""
    labelled, pictures = scenes(900, FIRST_SEED + 10_000)
    known = features(pictures)
    centre, spread = known.mean(0), known.std(0) + 1e-6
    for attribute in ATTRIBUTES:
        labels = [getattr(scene, attribute) for scene in labelled]
        right = [getattr(scene, attribute) for scene in wanted]
        chance = Counter(right).most_common(1)[0][1] / len(right)
        said = []
        for images in (drawn, rendered):
            space = (features(images) - centre) / spread
            distance = ((space[:, None] - (known - centre) / spread) ** 2).sum(-1)
            nearest = distance.argsort(1)[:, :5]
            answers = [Counter(labels[i] for i in row).most_common(1)[0][0] for row in nearest]
            said.append(np.mean([a == b for a, b in zip(answers, right, strict=True)]))
        print(f"{attribute}: samples {said[0]:.2f}, painted scenes {said[1]:.2f}, chance {chance:.2f}")


def features(images: np.ndarray) -> np.ndarray:
    """An 8x8 thumbnail in CIELAB and the local contrast of each of its fields, (n, 256)."""
    from skimage.color import rgb2lab

    fields = rgb2lab(images).reshape(len(images), 8, SIZE // 8, 8, SIZE // 8, 3)
    return np.concatenate((fields.mean((2, 4)), fields[..., :1].std((2, 4))), -1).reshape(len(images), -1)


def sheet(rendered: np.ndarray, drawn: np.ndarray, file: Path, columns: int = 12) -> None:
    """Samples above the scenes that were painted for the same words (with other noise: they need not agree)."""
    rows = []
    for i in range(0, len(drawn) - columns + 1, columns):
        rows += [np.concatenate(drawn[i : i + columns], 1), np.concatenate(rendered[i : i + columns], 1)]
    Image.fromarray(np.concatenate(rows)).save(file)


if __name__ == "__main__":
    main()
