"""Super-resolution beside ncnn and beside Real-ESRGAN's tile loop: the same weights and pixels, turn about in one run.

    python benchmarks/superres.py [--picture FILE] [--side 128] [--runs 7] [--threads 2] [--clock wall] [--names ...]
    python benchmarks/superres.py --device cuda --side 1024 --dtypes bfloat16 float16      # without ncnn
    python benchmarks/superres.py --candidates                   # OpenVINO, ONNX Runtime, TorchInductor

Prints a Markdown table: median seconds, megapixels of the enlarged picture a second, how many times as fast as ncnn and
as the tile loop, the share of the rate of a product of matrices in the same run, and how near the pixels are to those
of the plain network in float32. "with constraints" is the whole path. `--threads 1 --clock cpu` counts the process's
own time, for machines that are busy. `--candidates` asks for `pip install openvino onnx`.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from artmaster_pipeline.superres import load_network, network_names
from artmaster_pipeline.superres.engines import engine_names
from artmaster_pipeline.superres.ncnn_weights import shipped_folder
from artmaster_pipeline.superres.networks import load_descriptor
from artmaster_pipeline.superres.pixels import array_of, tensor_of

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
TILE, PAD = 512, 10  # of the tile loop: what Real-ESRGAN's own command line is mostly told, and its default
NCNN, LOOP = "ncnn", "the tile loop"
Way = Callable[[np.ndarray], np.ndarray]  # H x W x 3 in 0..1 of type float32


def main() -> None:
    """Time every network in every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", help="an RGB picture whose middle is used; seeded noise where none is given")
    parser.add_argument("--side", type=int, default=128, help="of the picture, in pixels")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--names", nargs="*", default=network_names())
    parser.add_argument("--dtypes", nargs="*", default=["bfloat16"], help="beside float32")
    parser.add_argument("--candidates", action="store_true")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    picture = picture_of(options.picture, options.side)
    size = f"{options.side}x{options.side} pixels"
    print(f"{size}, {options.threads} thread(s), {options.clock} clock, median of {options.runs}")
    rate = matrix_rate(options.device, CLOCKS[options.clock])
    for dtype, operations in rate.items():
        print(f"a product of matrices in {dtype}: {operations / 1e12:.2f} tera-operations a second")
    for name in options.names:
        ways = dict(candidates(name, options) if options.candidates else own(name, options))
        print(table(name, picture, ways, options, rate), flush=True)


def own(name: str, options: Any) -> Iterator[tuple[str, Way]]:
    """The peers, and this product in every engine and number type."""
    if options.device == "cpu":
        yield NCNN, ncnn_network(name, options.threads)
    yield LOOP, tile_loop(name, options.device)
    if options.device == "cuda":
        yield f"{LOOP} in float16", tile_loop(name, options.device, half=True)
    for engine, dtype in product(engine_names(), ("float32", *options.dtypes)):
        network = load_network(name, options.device, dtype, engine)
        yield f"{engine}, {dtype}", floats_by(replace(network, corrections=()))
        yield f"{engine}, {dtype}, with constraints", floats_by(network)


def table(name: str, picture: np.ndarray, ways: dict[str, Way], options: Any, rate: dict[str, float]) -> str:
    """One network's table."""
    clock, runs = CLOCKS[options.clock], options.runs
    exact = plain(name, options.device)(picture)
    made = {way: enlarge(picture) for way, enlarge in ways.items()}  # warms up as well
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, enlarge in ways.items():
            began = clock()
            enlarge(picture)
            seconds[way].append(clock() - began)
    median = {way: statistics.median(times) for way, times in seconds.items()}
    work = operations(name, picture)
    head = ["", "seconds", "megapixels/s", "times ncnn", "times the tile loop", "of the matrix rate", "dB"]
    rows = [head, ["---"] * len(head)]
    for way, took in median.items():
        dtype = next((each for each in rate if each in way), "float32")
        cells = [way, f"{took:.3f}", f"{exact.size / 3 / took / 1e6:.3g}"]
        cells += [f"{median[peer] / took:.2f}" if peer in median else "" for peer in (NCNN, LOOP)]
        cells += [f"{work / took / rate[dtype]:.0%}", "" if "with" in way else f"{decibels(made[way], exact):.1f}"]
        rows.append(cells)
    return f"\n{name}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def picture_of(path: str | None, side: int) -> np.ndarray:
    """The middle of a picture, in 0..1."""
    if path is None:
        return np.random.default_rng(0).random((side, side, 3), dtype=np.float32)
    from PIL import Image

    with Image.open(path) as image:
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return np.asarray(image.convert("RGB").crop((left, top, left + side, top + side))).astype(np.float32) / 255


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    """How near two pictures in 0..1 are: the peak signal-to-noise ratio."""
    return float(-10 * np.log10(max(np.mean((one.astype(float) - other) ** 2), 1e-15)))


def floats_by(network: Any) -> Way:
    """A network of this product, from and to numbers in 0..1, on a canvas of them."""
    from artmaster_pipeline.superres.enlarge import InMemory

    def enlarge(picture: np.ndarray) -> np.ndarray:
        height, width = (side * network.scale for side in picture.shape[:2])
        canvas = InMemory(np.empty((height, width, 3), np.float32), network.tiling.overlap * network.scale)
        network.enlarge_onto(picture, canvas)
        return canvas.pixels

    return enlarge


def model_of(name: str, device: str = "cpu") -> Any:
    """The network as spandrel has it."""
    return load_descriptor(name).eval().to(device)


def plain(name: str, device: str) -> Way:
    """The network in float32, in one piece, without anything of this product."""
    import torch

    model = model_of(name, device)

    def enlarge(picture: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return array_of(model(tensor_of(picture, device)[None])[0])

    return enlarge


def tile_loop(name: str, device: str, *, half: bool = False) -> Way:
    """Real-ESRGAN's `RealESRGANer.tile_process` (Wang et al., 2021): tiles with a margin, one after the other."""
    import torch

    descriptor = model_of(name, device)
    model = descriptor.half() if half else descriptor

    @torch.no_grad()
    def enlarge(picture: np.ndarray) -> np.ndarray:
        whole = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].to(device)
        whole = whole.half() if half else whole
        height, width, n = *whole.shape[-2:], descriptor.scale
        output = whole.new_zeros((1, 3, height * n, width * n))
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                bottom, right = min(top + TILE, height), min(left + TILE, width)
                above, before = max(top - PAD, 0), max(left - PAD, 0)
                tile = model(whole[:, :, above : min(bottom + PAD, height), before : min(right + PAD, width)])
                rows = slice((top - above) * n, (bottom - above) * n)
                columns = slice((left - before) * n, (right - before) * n)
                output[:, :, top * n : bottom * n, left * n : right * n] = tile[:, :, rows, columns]
        return output.squeeze().float().cpu().clamp_(0, 1).numpy().transpose(1, 2, 0)

    return enlarge


def ncnn_network(name: str, threads: int, **options: bool) -> Way:
    """The same network in ncnn, computing in float32 on the CPU."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for option, value in options.items():
        setattr(net.opt, option, value)
    net.load_param(str(shipped_folder() / f"{name}.param"))
    net.load_model(str(shipped_folder() / f"{name}.bin"))

    def enlarge(picture: np.ndarray) -> np.ndarray:
        values = np.ascontiguousarray(picture.transpose(2, 0, 1))  # must outlive the extractor
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(values))
        enlarged = np.array(extractor.extract("output")[1])  # a copy: the extractor owns the original
        return enlarged.clip(0, 1).transpose(1, 2, 0)

    return enlarge


def operations(name: str, picture: np.ndarray) -> int:
    """Multiplications and additions of the network's convolutions over the picture, by their sums."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    side = 32
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model_of(name)(torch.zeros(1, 3, side, side))
    return counter.get_total_flops() * picture.shape[0] * picture.shape[1] // side**2


def matrix_rate(device: str, clock: Callable[[], float], side: int = 2048) -> dict[str, float]:
    """Operations a second of a product of square matrices, by number type: the best of three."""
    import torch

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    rates = {}
    for dtype in ("float32", "bfloat16", *(["float16"] if device == "cuda" else [])):
        matrix = torch.ones(side, side, device=device, dtype=getattr(torch, dtype))
        took = []
        for _ in range(4):
            began = clock()
            matrix @ matrix
            wait()
            took.append(clock() - began)
        rates[dtype] = 2 * side**3 / min(took[1:])
    return rates


def candidates(name: str, options: Any) -> Iterator[tuple[str, Way]]:
    """What was weighed against the engines that there are; each for one size of picture, which flatters it."""
    import torch

    yield from [(NCNN, ncnn_network(name, options.threads)), (LOOP, tile_loop(name, "cpu"))]
    yield "ncnn, bf16 storage", ncnn_network(name, options.threads, use_bf16_storage=True)
    for dtype in (torch.float32, *(getattr(torch, each) for each in options.dtypes)):
        model = model_of(name).model.to(dtype).to(memory_format=torch.channels_last)
        said = str(dtype).removeprefix("torch.")
        yield f"PyTorch channels last, {said}", in_torch(model, dtype)
        torch._inductor.config.freezing = True
        yield f"TorchInductor, frozen, {said}", in_torch(torch.compile(model, dynamic=False), dtype)
    yield "ONNX Runtime, float32", in_onnx_runtime(name, options.threads)
    for precision in ("float32", *options.dtypes):
        yield f"OpenVINO, {precision}", in_openvino(name, options, {"float32": "f32", "bfloat16": "bf16"}[precision])


def in_torch(model: Callable[..., Any], dtype: Any) -> Way:
    """A module, channels last."""
    import torch

    def enlarge(picture: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            values = tensor_of(picture)[None].to(dtype, memory_format=torch.channels_last)
            return array_of(model(values)[0].float().clamp_(0, 1))

    return enlarge


def in_onnx_runtime(name: str, threads: int) -> Way:
    """The network as ONNX in ONNX Runtime."""
    import onnxruntime
    import torch

    said = onnxruntime.SessionOptions()
    said.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        file = str(Path(folder) / "network.onnx")
        sizes = {"in": {2: "height", 3: "width"}}
        example = (torch.zeros(1, 3, 32, 32),)
        torch.onnx.export(model_of(name).model, example, file, input_names=["in"], dynamic_axes=sizes, dynamo=False)
        session = onnxruntime.InferenceSession(file, said, providers=["CPUExecutionProvider"])
    return lambda picture: session.run(None, {"in": batch(picture)})[0][0].clip(0, 1).transpose(1, 2, 0)


def in_openvino(name: str, options: Any, precision: str) -> Way:
    """The network in OpenVINO, from the module in this process."""
    import openvino
    import torch

    example = torch.zeros(1, 3, options.side, options.side)
    model = openvino.convert_model(model_of(name).model, example_input=example, input=list(example.shape))
    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": options.threads}
    asked = openvino.Core().compile_model(model, "CPU", hints | {"PERFORMANCE_HINT": "LATENCY"}).create_infer_request()
    return lambda picture: asked.infer([batch(picture)])[0][0].clip(0, 1).transpose(1, 2, 0)


def batch(picture: np.ndarray) -> np.ndarray:
    """1 x 3 x H x W."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1))[None]


if __name__ == "__main__":
    main()
