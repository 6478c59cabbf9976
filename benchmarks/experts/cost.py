"""What mixing experts costs: time per picture and memory, beside the base, one adapter and diffusers' weighted sum.

    python benchmarks/experts/cost.py [--rounds 5] [--json FILE]        # the miniature, on the CPU
    python benchmarks/experts/cost.py --flux-size [--limit 170]         # FLUX.1-dev's size, on one CUDA GPU

Every adapter is a LoRA of rank 16 with random weights on all layers that the product adapts. The miniature is the
product's own, with pictures of 20 steps at 128x128, and times are the process's own CPU seconds; there is a new round
of all rows for each timed picture, so that other work on the machine falls on all of them. At FLUX.1-dev's size the
weights are random and made on the device, bf16, pictures have 28 steps at 512x768, and blocks run eagerly and compiled;
rows that would begin after `--limit` seconds are left out. Each row is printed, and written to FILE, when it is
measured; one that fails says so, and the others go on.

Rows: the base; one adapter as the product attaches it; three experts, gated, with one gate and with a region map for
each; the same gates on the adapters' outputs instead of their ranks (PEFT's `scaling` as a tensor for each expert);
`set_adapters` of diffusers with three adapters. Ratios are to one adapter in the same form, eager or compiled.
"""

import argparse
import datetime
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent.parent / "flux_dev")]
from peers import weighted_sum

from artmaster_pipeline.adapters import attach, detach
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.experts import Expert, FactorMap, Gate, block_groups, mixture
from artmaster_pipeline.generation.sampling import compile_blocks, draw_embedded

EXPERTS, RANK = "ABC", 16
ONE, GATED = "one adapter", "3 experts, gated"
AIM = "aim: 3 experts, gated, in 1.25 times the time of one adapter or less"
HEADS = ("what", "blocks", "median, s", "fastest, s", "times one adapter", "adapters, MB", "peak, GB")


@dataclass(frozen=True)
class Bench:
    """A base, and the picture that is drawn with it over and over."""

    pipe: Any
    text: TextEmbedding
    width: int
    height: int
    steps: int
    cuda: bool

    def draw(self, seed: int = 0) -> float:
        """Seconds for a picture."""
        began = self.now()
        settings = DrawingSettings(guidance_scale=3.5)
        draw_embedded(self.pipe, [self.text], [seed], self.width, self.height, self.steps, settings)
        return self.now() - began

    def now(self) -> float:
        """Seconds: of the clock where a GPU has done all it was asked, else of this process's own computing."""
        if not self.cuda:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


def main() -> None:
    """Print the rows as they are measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flux-size", action="store_true")
    parser.add_argument("--rounds", type=int, help="timed pictures of a row: 5, at FLUX's size 3")
    parser.add_argument("--limit", type=float, default=170, help="seconds after which no row begins, at FLUX's size")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    bench = flux_size() if options.flux_size else miniature()
    print(f"{machine(bench)}\n{AIM}\nready after {time.monotonic() - began:.0f} s\n", flush=True)
    print(f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|", flush=True)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        experts = [random_expert(bench.pipe, name, Path(folder)) for name in EXPERTS]
        if options.flux_size:
            found = once(bench, experts, options.rounds or 3, began + options.limit)
        else:
            found = in_rounds(bench, experts, options.rounds or 5)
        for row in found:
            rows.append(row)
            print(line(row, rows), flush=True)
            if options.json:
                options.json.write_text(json.dumps({"machine": machine(bench), "rows": rows}, indent=1) + "\n")
        print(f"\n{writing_gates(bench, experts)}")
    print(f"everything took {time.monotonic() - began:.0f} s")


def miniature() -> Bench:
    """The product's embedded base on the CPU."""
    from artmaster_pipeline.base_models import load_pipeline
    from artmaster_pipeline.settings import load_profile

    profile = load_profile("miniature")
    pipe = load_pipeline(profile)
    text = family_for(pipe).encode_text(pipe, "a mountain in mist", "cpu", profile.max_sequence_length)
    return Bench(pipe, text, *profile.size(512, 512), 20, False)


def flux_size() -> Bench:
    """FLUX.1-dev's configuration with random weights on the GPU, as the benchmark of a training step makes it."""
    import train_step
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline

    place = train_step.cuda_place(0)
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**train_step.SCHEDULER), vae=train_step.random_vae(place),
        text_encoder=None, tokenizer=None, text_encoder_2=None, tokenizer_2=None,
        transformer=train_step.random_transformer(place),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return Bench(pipe, train_step.random_examples(place, (512, 768), 1)[0].text, 512, 768, 28, True)


def machine(bench: Bench) -> str:
    """Machine, library and date in one line."""
    cpu = f"{os.cpu_count()} CPU cores ({platform.machine()}), {torch.get_num_threads()} thread(s)"
    name = torch.cuda.get_device_name() if bench.cuda else cpu
    return f"{name}, torch {torch.__version__}, {datetime.date.today().isoformat()}"


def random_expert(pipe: Any, name: str, folder: Path, rank: int = RANK) -> Expert:
    """A LoRA on every layer that the product adapts, of small random weights, in the transformer's dtype."""
    import re

    transformer, pattern = pipe.transformer, re.compile(family_for(pipe).adapted_layers)
    dice, tensors = torch.Generator().manual_seed(ord(name)), {}
    for layer, module in transformer.named_modules():
        if isinstance(module, torch.nn.Linear) and pattern.fullmatch(layer):
            down = torch.randn(rank, module.in_features, generator=dice) / module.in_features**0.5
            up = torch.randn(module.out_features, rank, generator=dice) / 100
            tensors[f"transformer.{layer}.lora_A.weight"] = down.to(transformer.dtype)
            tensors[f"transformer.{layer}.lora_B.weight"] = up.to(transformer.dtype)
            tensors[f"transformer.{layer}.alpha"] = torch.tensor(float(rank))
    file = folder / f"{name}.safetensors"
    save_file(tensors, file)
    return Expert(name, file)


Way = Callable[[Bench, Sequence[Expert], bool], Any]  # a context in which pictures are drawn in this way


def base(bench: Bench, experts: Sequence[Expert], compiled: bool) -> Any:
    """No adapter."""
    return nullcontext()


@contextmanager
def one_adapter(bench: Bench, experts: Sequence[Expert], compiled: bool) -> Iterator[None]:
    """The first expert, by the product's own `attach`."""
    attach(bench.pipe, experts[0].weights, alike=compiled)
    try:
        yield
    finally:
        detach(bench.pipe)


def gated(bench: Bench, experts: Sequence[Expert], compiled: bool) -> Any:
    """All experts, with one gate for each group of blocks and noise band."""
    return mixture(bench.pipe, experts, [gate_of(bench)], alike=compiled)


def with_regions(bench: Bench, experts: Sequence[Expert], compiled: bool) -> Any:
    """All experts, with a gate for each image token."""
    grid = family_for(bench.pipe).pixels_per_token
    shape = (len(EXPERTS), bench.height // grid, bench.width // grid)
    shares = torch.rand(shape, generator=torch.Generator().manual_seed(0)).double()
    regions = dict(zip(EXPERTS, (shares / shares.sum(0)).clamp(0, 1).tolist(), strict=True))
    return mixture(bench.pipe, experts, [gate_of(bench, regions=regions)], alike=compiled)


def gate_of(bench: Bench, **others: Any) -> Gate:
    """Experts that change with the noise level, so that gates are written anew in each of its bands."""
    flat = FactorMap.flat(block_groups(bench.pipe.transformer))
    turns = {"A": (1.0, 0.5, 0.3, 0.2), "B": (0.2, 1.0, 0.5, 0.3), "C": (0.3, 0.2, 1.0, 0.5)}
    return Gate.uniform(EXPERTS, flat, bands=turns, **others)


@contextmanager
def on_outputs(bench: Bench, experts: Sequence[Expert], compiled: bool) -> Iterator[None]:
    """All experts, each layer's output of each multiplied by a tensor that stays as it is."""
    with weighted_sum(bench.pipe, experts, [1 / 3] * 3):
        for module in bench.pipe.transformer.modules():
            if isinstance(module, LoraLayer):
                like = module.lora_B["expert0"].weight
                module.scaling.update({name: like.new_full((1, 1, 1), 1 / 3) for name in module.scaling})
        yield


def summed(bench: Bench, experts: Sequence[Expert], compiled: bool) -> Any:
    """All experts by `set_adapters`."""
    return weighted_sum(bench.pipe, experts, [1 / 3] * 3)


WAYS: dict[str, Way] = {
    "base": base,
    ONE: one_adapter,
    GATED: gated,
    "3 by set_adapters": summed,
    f"{GATED} by region": with_regions,
    f"{GATED} on outputs": on_outputs,
}
COMPILED = (ONE, GATED, "3 by set_adapters", f"{GATED} by region", "base")


def in_rounds(
    bench: Bench, experts: Sequence[Expert], rounds: int, ways: dict[str, Way] = WAYS
) -> Iterator[dict[str, Any]]:
    """Every row once in each round, eagerly; rows come when all rounds are over."""
    rows = {what: {"what": what, "blocks": "eager", "times": []} for what in WAYS}
    for number in range(rounds + 1):  # the first warms up
        for what, way in WAYS.items():
            found = guarded(bench, way, experts, False, 0, 1)
            times = found.pop("times", [])
            rows[what] |= found
            rows[what]["times"] += times if number else []
    yield from rows.values()


def once(bench: Bench, experts: Sequence[Expert], runs: int, until: float) -> Iterator[dict[str, Any]]:
    """Every row once, the more important first; none begins after `until`."""
    todo = [(what, False) for what in WAYS] + [(what, True) for what in COMPILED]
    for number, (what, compiled) in enumerate(todo):
        row: dict[str, Any] = {"what": what, "blocks": "compiled" if compiled else "eager"}
        if time.monotonic() > until:
            yield row | {"fault": "left out: no time"}
            continue
        if compiled and not todo[number - 1][1]:
            compile_blocks(bench.pipe)
        yield row | guarded(bench, WAYS[what], experts, compiled, 1, runs)


def guarded(
    bench: Bench, way: Way, experts: Sequence[Expert], compiled: bool, warm_up: int, runs: int
) -> dict[str, Any]:
    """A row's figures, or why there are none."""
    gc.collect()
    if bench.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        with way(bench, experts, compiled):
            times = [bench.draw(number) for number in range(warm_up + runs)][warm_up:]
            found: dict[str, Any] = {"times": times, "adapters": adapter_bytes(bench.pipe) / 1e6}
    except Exception as error:  # on a rented GPU one row that fails must not cost the others
        traceback.print_exc()
        found = {"fault": f"{type(error).__name__}, see above"}
        detach(bench.pipe)
    if bench.cuda:
        found["peak"] = torch.cuda.max_memory_allocated() / 1e9
    return found


def adapter_bytes(pipe: Any) -> int:
    """The memory that adapters' weights take on the transformer."""
    return sum(p.numel() * p.element_size() for name, p in pipe.transformer.named_parameters() if "lora_" in name)


def line(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """A row of the table."""
    one = next((other for other in rows if (other["what"], other["blocks"]) == (ONE, row["blocks"])), {})
    median = statistics.median(row["times"]) if row.get("times") else None
    ratio = f"{median / statistics.median(one['times']):.2f}" if median and one.get("times") else ""
    cells = (
        row["what"], row["blocks"], row.get("fault") or f"{median:.3f}", f"{min(row['times']):.3f}" if median else "",
        ratio, f"{row['adapters']:.1f}" if "adapters" in row else "", f"{row['peak']:.2f}" if "peak" in row else "",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def writing_gates(bench: Bench, experts: Sequence[Expert]) -> str:
    """What the hook itself costs: in a pass that changes nothing, and in one of another noise band."""
    tokens, device = (bench.width // 16) * (bench.height // 16), bench.pipe.transformer.device
    given = {
        "hidden_states": torch.zeros(1, tokens, 1, device=device),
        "encoder_hidden_states": bench.text.tensors["prompt_embeds"][None],
    }

    def took(hook: Any, sigmas: Sequence[float]) -> float:
        times = []
        for sigma in sigmas:
            given["timestep"] = torch.tensor([sigma], device=device)
            began = bench.now()
            hook(bench.pipe.transformer, (), given)
            times.append(1e3 * (bench.now() - began))
        return statistics.median(times[1:])

    with gated(bench, experts, False):
        (hook,) = bench.pipe.transformer._forward_pre_hooks.values()
        still, writes = took(hook, [0.9] * 20), took(hook, [0.1, 0.9] * 10)
        return f"the hook takes {still:.2f} ms in a pass, {writes:.2f} ms where it writes"


if __name__ == "__main__":
    main()
