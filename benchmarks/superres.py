"""Super-resolution beside ncnn, Real-ESRGAN's own runtime: the same weights and pictures, turn about in one run.

    python benchmarks/superres.py [--picture FILE] [--runs 7] [--threads 2] [--clock wall] [--names NAME ...]

Prints a Markdown table: median seconds for one tile, how many times ncnn's time that is (below 1: faster), and how
far the pixels are from ncnn's. `--threads 1 --clock cpu` counts the process's own time, for machines that are busy.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from artmaster_pipeline.superres import load_network, network_names
from artmaster_pipeline.superres.ncnn_weights import shipped_folder

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def main() -> None:
    """Time every network on one tile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", help="an RGB picture whose middle is used; seeded noise where none is given")
    parser.add_argument("--side", type=int, default=128, help="of the tile, in pixels")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--names", nargs="*", default=network_names())
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    tile = tile_of(options.picture, options.side)
    size = f"{options.side}x{options.side} pixels"
    print(f"{size}, {options.threads} thread(s), {options.clock} clock, median of {options.runs}\n")
    print("| network | ncnn fp32, s | float32, s | ratio | bfloat16, s | ratio | float32 - ncnn, max | bfloat16, dB |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.names:
        print(row(name, tile, options.runs, options.threads, CLOCKS[options.clock]), flush=True)


def row(name: str, tile: np.ndarray, runs: int, threads: int, clock: Callable[[], float]) -> str:
    """One network's line."""
    exact, rough = load_network(name), load_network(name, dtype="bfloat16")
    ways = (
        ncnn_network(name, threads),
        lambda picture: exact.enlarge(picture, corrected=False),
        lambda picture: rough.enlarge(picture, corrected=False),
    )
    peer, ours, ours_rough = (way(tile).astype(float) for way in ways)  # warms up as well
    seconds: list[list[float]] = [[], [], []]
    for _ in range(runs):
        for times, way in zip(seconds, ways, strict=True):
            began = clock()
            way(tile)
            times.append(clock() - began)
    peer_time, time_exact, time_rough = (statistics.median(times) for times in seconds)
    apart = np.abs(ours - peer).max()
    decibels = 10 * np.log10(255**2 / np.mean((ours_rough - ours) ** 2))
    return (
        f"| {name} | {peer_time:.3f} | {time_exact:.3f} | {time_exact / peer_time:.2f} | {time_rough:.3f} "
        f"| {time_rough / peer_time:.2f} | {apart:.0f}/255 | {decibels:.1f} |"
    )


def tile_of(path: str | None, side: int) -> np.ndarray:
    """The middle of a picture."""
    if path is None:
        return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    from PIL import Image

    with Image.open(path) as image:
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return np.asarray(image.convert("RGB").crop((left, top, left + side, top + side)))


def ncnn_network(name: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """The same network in ncnn, computing in float32 on the CPU; pictures in and out as ours."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.load_param(str(shipped_folder() / f"{name}.param"))
    net.load_model(str(shipped_folder() / f"{name}.bin"))

    def enlarge(picture: np.ndarray) -> np.ndarray:
        values = np.ascontiguousarray(picture.transpose(2, 0, 1).astype(np.float32) / 255)  # must outlive the extractor
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(values))
        enlarged = np.array(extractor.extract("output")[1])  # a copy: the extractor owns the original
        return np.rint(enlarged.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)

    return enlarge


if __name__ == "__main__":
    main()
