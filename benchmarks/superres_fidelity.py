"""Super-resolution in closed loop: real scans reduced, enlarged again, and compared with what they were.

    python benchmarks/superres_fidelity.py PAINTINGS [--works 3] [--scales 4 2] [--networks NAME ...] [--json FILE]
        [--pictures FOLDER] [--constraints NAME ...] [--refine STEPS]

`PAINTINGS` holds folders of scans, one per painter or collection. Of each the middles of `--works` files, evenly spread
over the sorted names, are reduced by the area mean to 96 x 96 pixels of 8 bits and enlarged again: by Lanczos, by each
network alone, and by each network under constraints, whose texture is measured on the folder's other files. Where the
scale is less than the network's its answer is reduced by the area mean. With `--refine` the last network is refined on
the folder's other files, too (`artmaster refine`), and judged alone and under constraints.

The measures, fixed before anything was looked at:

- `input`: PSNR in dB of the enlarged picture, rounded to 8 bits and reduced by the area mean, against the reduced scan.
  Aim: at least 45 for every picture.
- `colour`: mean CIEDE2000 between these two after a Gaussian of 4 pixels of the reduced scan. Aim: at most 0.5.
- `LPIPS`: with VGG16 (Zhang et al. 2018), against the scan. Aim: lower than every peer's.
- `bands`: the deviation of the enlarged picture's band energies from the scan's, in dB, mean over the four finest
  octaves of a Laplacian pyramid of luminance (Burt and Adelson 1983). Aim: at most half of the network's alone.
- `strokes`: the distance of the histograms of stroke directions, half the sum of differences, 0 to 1: structure tensor
  of luminance (derivatives of Gaussians of 1 pixel, summed under one of 2), 18 directions, each pixel counting by its
  tensor's trace times its coherence (Bigun and Granlund 1987). Aim: at most half of the network's alone.
- `twice`: mean CIEDE2000 of areas, as `colour`, between a picture enlarged twice and one enlarged once: the middle 24
  pixels of one picture of each folder.

Prints a Markdown table of means over the pictures (`input`: the worst); `--pictures` keeps sheets to look at.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import CONSTRAINTS
from artmaster_pipeline.superres import Enlarger, constrained, load_network
from artmaster_pipeline.superres.engines import Network, load_engine
from artmaster_pipeline.superres.enlarge import enlarger_by
from artmaster_pipeline.superres.networks import load_descriptor
from artmaster_pipeline.superres.pixels import array_of, tensor_of
from artmaster_pipeline.superres.refining import refine

SIDE = 96  # pixels of the reduced scan
NETWORKS = ("realesr-animevideov3-x4", "realesrgan-x4plus-anime", "realesrgan-x4plus")
REFINED_ON = 24
OTHERS = 8  # files of a folder on which its texture is measured
MEASURES = ("input", "colour", "LPIPS", "bands", "strokes", "twice")
RAW: dict[tuple[str, bytes], Any] = {}  # what networks gave


def reduced(picture: np.ndarray, scale: int) -> np.ndarray:
    """The area mean, float64 in the picture's own units."""
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    return picture.astype(np.float64).reshape(height, scale, width, scale, 3).mean(axis=(1, 3))


def input_psnr(enlarged: np.ndarray, low: np.ndarray) -> float:
    """See the module, `input`; at most 99."""
    error = np.mean((reduced(enlarged, enlarged.shape[0] // low.shape[0]) - low) ** 2)
    return min(99.0, float(10 * np.log10(255**2 / max(error, 1e-12))))


def colour_difference(enlarged: np.ndarray, low: np.ndarray) -> float:
    """See the module, `colour`."""
    from scipy.ndimage import gaussian_filter
    from skimage.color import deltaE_ciede2000, rgb2lab

    scale = enlarged.shape[0] // low.shape[0]
    areas = (gaussian_filter(each / 255, (4, 4, 0)) for each in (reduced(enlarged, scale), low))
    return float(deltaE_ciede2000(*(rgb2lab(each) for each in areas)).mean())


def band_energies(picture: np.ndarray) -> np.ndarray:
    """The mean squares of the four finest octaves of luminance, in dB."""
    from skimage.transform import pyramid_laplacian

    grey = picture @ np.array([0.299, 0.587, 0.114]) / 255
    levels = list(pyramid_laplacian(grey, max_layer=3))
    return np.array([10 * np.log10(np.mean(level**2) + 1e-12) for level in levels])


def directions(picture: np.ndarray) -> np.ndarray:
    """The histogram of stroke directions; its sum is one."""
    from scipy.ndimage import gaussian_filter

    grey = picture @ np.array([0.299, 0.587, 0.114])
    down, across = gaussian_filter(grey, 1, order=(1, 0)), gaussian_filter(grey, 1, order=(0, 1))
    yy, xx, xy = (gaussian_filter(each, 2) for each in (down * down, across * across, down * across))
    weight = np.hypot(xx - yy, 2 * xy)  # the trace times the coherence
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    counts, _ = np.histogram(angle, 18, (-np.pi / 2, np.pi / 2), weights=weight)
    return counts / counts.sum()


def compared(enlarged: np.ndarray, low: np.ndarray, scan: np.ndarray) -> dict[str, float]:
    """All measures of one picture but `twice`."""
    from artmaster_pipeline.base_models.vgg import load_vgg

    return {
        "input": input_psnr(enlarged, low),
        "colour": colour_difference(enlarged, low),
        "LPIPS": float(load_vgg().lpips(enlarged[None], scan[None])[0]),
        "bands": float(np.abs(band_energies(enlarged) - band_energies(scan)).mean()),
        "strokes": float(np.abs(directions(enlarged) - directions(scan)).sum() / 2),
    }


class Loop:
    """The closed loop over one folder of scans."""

    def __init__(self, folder: Path, works: int, constraints: list[str]) -> None:
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        self.judged = [files[int((number + 0.5) * len(files) / works)] for number in range(works)]
        others = [file for file in files if file not in self.judged]
        self.like = [middle(file, 4 * SIDE) for file in evenly(others, OTHERS)]
        self.others = others
        self.constraints = constraints
        self.refined: Enlarger | None = None

    def refine(self, name: str, steps: int) -> None:
        """Refine a network on other files than those that are judged."""
        pictures = [middle(file, 2 * 4 * SIDE) for file in evenly(self.others, REFINED_ON)]
        descriptor = load_descriptor(name)
        try:
            refined = refine(descriptor, pictures, steps=steps, progress=terminal_progress())
        except ArtMasterError as error:
            print(f"\n{name} refined: {error}", flush=True)
            return
        print(f"\n{name} refined: LPIPS {refined.lpips}, texture {refined.texture} dB, before and after", flush=True)
        network = Network(f"{name}, refined", descriptor, f"refined without {self.judged[0].name}")
        self.refined = enlarger_by(load_engine("torch", network, "cpu", "float32"))

    def ways(self, networks: list[Enlarger]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        """How a picture is enlarged, each to its network's scale, uint8."""
        found: dict[str, Callable[[np.ndarray], np.ndarray]] = {"Lanczos": lanczos}
        for network in [*networks, *([self.refined] if self.refined else [])]:
            own = constrained(network, self.constraints, self.like)
            found[network.name] = partial(answer, constrained(network, ()))
            found[f"{network.name}, constrained"] = partial(answer, own)
        return found


def evenly(files: list[Path], most: int) -> list[Path]:
    """So many of them at most."""
    return files[:: max(1, len(files) // most)][:most]


def answer(network: Enlarger, low: np.ndarray) -> np.ndarray:
    """The network's picture with what corrects it; its own pixels are computed once."""
    import torch

    key = (network.engine.identity, low.tobytes())
    unit = low.astype(np.float32) / 255
    if key not in RAW:
        RAW[key] = network.engine.enlarge(unit)
    enlarged = RAW[key]
    with torch.inference_mode():
        for correct in network.corrections:
            enlarged = correct(tensor_of(unit), enlarged)
    return np.rint(array_of(enlarged.clamp(0, 1)) * 255).astype(np.uint8)


def lanczos(low: np.ndarray) -> np.ndarray:
    """Four times as large."""
    from PIL import Image

    size = (low.shape[1] * 4, low.shape[0] * 4)
    return np.asarray(Image.fromarray(low).resize(size, Image.Resampling.LANCZOS))


def middle(file: Path, side: int) -> np.ndarray:
    """The square in the middle of a scan, smaller where the scan is."""
    from PIL import Image

    with Image.open(file) as image:
        side = min(side, *image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return np.asarray(image.convert("RGB").crop((left, top, left + side, top + side)))


def twice(way: Callable[[np.ndarray], np.ndarray], low: np.ndarray) -> float:
    """See the module, `twice`."""
    cut = slice((SIDE - 24) // 2, (SIDE + 24) // 2)
    once = way(low[cut, cut])
    return colour_difference(way(once), once)


def sheet(pictures: list[np.ndarray], file: Path) -> None:
    """Middles of pictures side by side, three times as large."""
    from PIL import Image

    quarter = [
        picture[len(picture) // 4 : -len(picture) // 4, len(picture) // 4 : -len(picture) // 4] for picture in pictures
    ]
    row = Image.fromarray(np.concatenate(quarter, axis=1))
    row.resize((row.width * 3, row.height * 3), Image.Resampling.NEAREST).save(file)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--folders", nargs="*", default=("huang-binhong/scans", "hiroshige", "artic-cc0"))
    parser.add_argument("--works", type=int, default=3)
    parser.add_argument("--scales", type=int, nargs="*", default=(4, 2), choices=(2, 4))
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="of scale 4")
    parser.add_argument("--constraints", nargs="*", default=list(CONSTRAINTS))
    parser.add_argument("--refine", type=int, default=0, metavar="STEPS", help="0: not")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    networks = [load_network(name) for name in options.networks]
    rows: list[dict[str, Any]] = []
    with session():
        for folder in options.folders:
            loop = Loop(options.paintings / folder, options.works, options.constraints)
            if options.refine:
                loop.refine(options.networks[-1], options.refine)
            for scale in options.scales:
                rows += measured(loop, folder, scale, loop.ways(networks), options.pictures)
                RAW.clear()
                print(
                    table([row for row in rows if row["folder"] == folder and row["scale"] == scale], folder),
                    flush=True,
                )
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1))
    for scale in options.scales:
        print(table([row for row in rows if row["scale"] == scale], "all folders"))


def measured(
    loop: Loop, folder: str, scale: int, ways: dict[str, Callable[[np.ndarray], np.ndarray]], pictures: Path | None
) -> list[dict[str, Any]]:
    """A row for each picture and way."""
    rows = []
    for number, file in enumerate(loop.judged):
        scan = middle(file, SIDE * scale)
        low = np.rint(reduced(scan, scale)).astype(np.uint8)
        made = {way: enlarge(low) for way, enlarge in ways.items()}
        if scale == 2:
            made = {way: np.rint(reduced(picture, 2)).astype(np.uint8) for way, picture in made.items()}
        for way, picture in made.items():
            row = {"folder": folder, "file": file.name, "scale": scale, "way": way, **compared(picture, low, scan)}
            if number == 0 and scale == 4:
                row["twice"] = twice(ways[way], low)
            rows.append(row)
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            sheet([scan, *made.values()], pictures / f"{folder.replace('/', '-')}-{number}-{scale}x.png")
    return rows


def table(rows: list[dict[str, Any]], folder: str) -> str:
    """Means over the rows of each way; of `input` the worst."""
    said = [f"\n{folder}, reduced {rows[0]['scale']}x, {len({row['file'] for row in rows})} pictures\n"]
    said += [f"| | {' | '.join(MEASURES)} |", "|---" * (len(MEASURES) + 1) + "|"]
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        values = {name: [row[name] for row in own if name in row] for name in MEASURES}
        cells = [f"{min(values['input']):.1f}"]
        cells += [f"{np.mean(values[name]):.3f}" if values[name] else "" for name in MEASURES[1:]]
        said.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(said)


if __name__ == "__main__":
    main()
