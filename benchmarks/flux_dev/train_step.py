"""A training step at FLUX.1-dev's real size on one CUDA GPU, beside the official diffusers recipe, without a download.

    python benchmarks/flux_dev/train_step.py [--runs 10] [--json FILE]
    python benchmarks/flux_dev/train_step.py --self-test      # the same code on a tiny model, on the CPU

The transformer has FLUX.1-dev's configuration and random weights that are made on the device; latents, T5's and
CLIP's embeddings are random, too, and cached, as in a real training. Measured are the product's step (`Learner` with
the profile's AdaLoRA) at 512x512 and 512x768, batch 1 and 4, with and without compiled blocks; the 4-bit form with
checkpointing; pictures for the evaluation, with and without the adapter on the same transformer.

The peer follows examples/dreambooth/train_dreambooth_lora_flux.py of diffusers: `add_adapter` with a gaussian LoRA
(here of the same rank and on the same layers), AdamW with its weight decay of 1e-4, bf16 autocast, guidance 3.5,
gradients clipped at 1, latents packed in every step, no compilation, latents and texts cached as its
`--cache_latents` does.

Utilisation is the arithmetic that a step needs (`step_flops`) over its time, as a share of what a matrix product of
8192 x 8192 reaches in the same run. Each row is printed when it is measured; one that runs out of memory says so.
"""

import argparse
import datetime
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

from artmaster_pipeline.base_models.sampling import draw_embedded
from artmaster_pipeline.base_models.velocity import TextEmbedding, predict_velocity
from artmaster_pipeline.settings import TrainingSettings
from artmaster_pipeline.training import adalora
from artmaster_pipeline.training.flow_matching import add_noise, sigmas_for, step_generator, velocity_loss
from artmaster_pipeline.training.learner import Example, Learner

SCHEDULER = {
    "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15,
    "num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": True,
}  # fmt: skip
FLUX_DEV = {
    "attention_head_dim": 128, "axes_dims_rope": (16, 56, 56), "guidance_embeds": True, "in_channels": 64,
    "joint_attention_dim": 4096, "num_attention_heads": 24, "num_layers": 19, "num_single_layers": 38, "patch_size": 1,
    "pooled_projection_dim": 768,
}  # fmt: skip
TINY = FLUX_DEV | {
    "attention_head_dim": 16, "axes_dims_rope": (4, 6, 6), "joint_attention_dim": 32, "num_attention_heads": 2,
    "num_layers": 2, "num_single_layers": 2, "pooled_projection_dim": 32,
}  # fmt: skip
AIMS = "aims: 55 % of the matrix rate at batch 4 and 45 % at batch 1, twice the peer's speed, under 22 GB in 4 bit"
HEADS = (
    "what", "size", "batch", "s a step", "TFLOP", "% of matrix rate", "peak GB", "times the peer", "first losses"
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where and at which size everything runs."""

    device: str
    dtype: torch.dtype
    config: dict[str, Any]
    sizes: tuple[tuple[int, int], ...]  # width and height in pixels
    batches: tuple[int, ...]
    text_tokens: int
    runs: int
    self_test: bool

    @property
    def settings(self) -> TrainingSettings:
        """The profile flux-dev's, without the guidance's further passes: both recipes do the same work."""
        return TrainingSettings(init_r=4, target_r=2) if self.self_test else TrainingSettings()


def main() -> None:
    """Measure row by row; exit 1 where the self-test finds a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="timed steps of each row, after as many as warm up")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    place = tiny_place() if options.self_test else cuda_place(options.runs)
    print(f"{machine(place)}\n{AIMS}\n\n| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|", flush=True)
    rows = measure(place)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(place), "rows": rows}, indent=1) + "\n")
    if options.self_test:
        faults = faults_of(rows)
        print("\n" + ("\n".join(faults) or "self-test passed"))
        sys.exit(bool(faults))


def tiny_place() -> Place:
    """The self-test: one size, one batch, a model of a few thousand parameters."""
    return Place("cpu", torch.float32, TINY, ((64, 96),), (2,), 8, 3, True)


def cuda_place(runs: int) -> Place:
    """FLUX.1-dev on the GPU."""
    if not torch.cuda.is_available():
        sys.exit("This needs a CUDA GPU of 80 GB; --self-test runs the same code on the CPU.")
    return Place("cuda", torch.bfloat16, FLUX_DEV, ((512, 512), (512, 768)), (1, 4), 512, runs, False)


def machine(place: Place) -> str:
    """Machine, library and date in one line."""
    name = torch.cuda.get_device_name() if place.device == "cuda" else platform.processor() or platform.machine()
    return f"{name}, torch {torch.__version__}, {datetime.date.today().isoformat()}"


def measure(place: Place) -> list[dict[str, Any]]:
    """All rows, printed one by one."""
    rate = matrix_rate(place)
    rows: list[dict[str, Any]] = []

    def add(what: str, size: tuple[int, int], batch: int, way: Callable[[], dict[str, Any]], peer: str = "") -> None:
        row = {"what": what, "size": f"{size[0]}x{size[1]}", "batch": batch} | guarded(place, way)
        slower = [r["seconds"] for r in rows if r["what"] == peer and (r["size"], r["batch"]) == (row["size"], batch)]
        if slower and slower[0] and row["seconds"]:
            row["ratio"] = slower[0] / row["seconds"]
        if row["seconds"] and row.get("tflop"):
            row["utilisation"] = row["tflop"] / row["seconds"] / rate
        rows.append(row)
        print(line(row), flush=True)

    for size in place.sizes:
        for batch in place.batches:
            for checkpointing in (False, True):
                how = ", checkpointing" if checkpointing else ""
                settings = place.settings.model_copy(update={"gradient_checkpointing": checkpointing})
                peer = f"diffusers recipe{how}"
                add(peer, size, batch, lambda s=settings, z=size, b=batch: peer_step(place, s, z, b))
                for compiled in (False, True):
                    chosen = settings.model_copy(update={"compile_blocks": compiled})
                    what = f"this{', compiled' if compiled else ''}{how}"
                    add(what, size, batch, lambda s=chosen, z=size, b=batch: own_step(place, s, z, b), peer)
    checkpointed = place.settings.model_copy(update={"gradient_checkpointing": True})
    largest = place.sizes[-1]
    add("this, nf4, checkpointing", largest, 1, lambda: own_step(place, checkpointed, largest, 1, nf4=True))
    for adapted in (False, True):
        for compiled in (False, True):
            what = f"picture, {'adapter' if adapted else 'base'}{', compiled' if compiled else ''}"
            add(what, place.sizes[0], 1, lambda a=adapted, c=compiled: picture(place, a, c))
    return rows


def guarded(place: Place, way: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A row's figures, or why there are none; memory is freed and its peak taken either way."""
    free(place)
    try:
        found = way()
    except torch.OutOfMemoryError:
        found = {"seconds": None, "fault": "out of memory"}
    if place.device == "cuda":
        found["peak"] = torch.cuda.max_memory_allocated() / 1e9
    free(place)
    return found


def free(place: Place) -> None:
    """Give everything back before the next row."""
    gc.collect()
    torch.compiler.reset()
    if place.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def own_step(
    place: Place, settings: TrainingSettings, size: tuple[int, int], batch: int, nf4: bool = False
) -> dict[str, Any]:
    """Seconds, arithmetic and first losses of the product's step."""
    transformer = quantised(place) if nf4 else random_transformer(place)
    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    learner = Learner(transformer, scheduler, settings, 1000, place.dtype)
    examples = random_examples(place, size, batch)
    found = timed(place, lambda number: learner.step(number, 0, [examples])["loss"])
    return found | {"tflop": step_flops(place, settings, size, batch) / 1e12}


def peer_step(place: Place, settings: TrainingSettings, size: tuple[int, int], batch: int) -> dict[str, Any]:
    """The same of the official recipe."""
    from peft import LoraConfig

    transformer = random_transformer(place)
    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    if settings.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    rank = settings.init_r
    config = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=adalora.TARGETS)
    transformer.add_adapter(config)
    transformer.train()
    trained = [p for p in transformer.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, betas=(0.9, 0.999), weight_decay=1e-4, eps=1e-8)
    examples = random_examples(place, size, batch)
    texts = [example.text for example in examples]

    def step(number: int) -> float:
        latents = torch.stack([example.latent for example in examples]).to(place.device)
        generator = step_generator(settings.seed, number, 0)
        tokens = (latents.shape[2] // 2) * (latents.shape[3] // 2)
        sigmas = sigmas_for(batch, tokens, scheduler, settings.timestep_sampling, generator)
        noised = add_noise(latents, sigmas, generator)
        with torch.autocast(place.device, place.dtype, enabled=place.dtype == torch.bfloat16):
            guidance = settings.guidance_scale if place.self_test else 3.5
            predicted = predict_velocity(transformer, noised.noisy, noised.sigmas, texts, guidance, place.dtype)
        loss = velocity_loss(predicted, noised)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.item())

    return timed(place, step) | {"tflop": step_flops(place, settings, size, batch) / 1e12}


def picture(place: Place, adapted: bool, compiled: bool) -> dict[str, Any]:
    """Seconds for a picture of 28 steps, base or adapter, on one transformer."""
    width, height = place.sizes[0]
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER), vae=random_vae(place), text_encoder=None,
        tokenizer=None, text_encoder_2=None, tokenizer_2=None, transformer=random_transformer(place),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    learner = Learner(pipe.transformer, pipe.scheduler, place.settings, 1000, place.dtype)
    if compiled:
        pipe.transformer.compile_repeated_blocks(fullgraph=True)
    text = random_examples(place, place.sizes[0], 1)[0].text
    steps = 2 if place.self_test else 28

    def draw(number: int) -> float:
        pictures = draw_embedded(pipe, [text], [number], width, height, steps, 3.5)
        return float(pictures[0].mean())

    with learner.finished(adalora.scale(place.settings)) if adapted else learner.stacks.off():
        return timed(place, draw)


def timed(place: Place, step: Callable[[int], float]) -> dict[str, Any]:
    """The median of timed steps after as many that warm up, and the losses of the first three."""
    losses, times = [], []
    for number in range(1, 2 * place.runs + 1):
        synchronise(place)
        began = time.perf_counter()
        losses.append(step(number))
        synchronise(place)
        times.append(time.perf_counter() - began)
    return {"seconds": statistics.median(times[place.runs :]), "losses": losses[:3]}


def synchronise(place: Place) -> None:
    """Wait for the GPU."""
    if place.device == "cuda":
        torch.cuda.synchronize()


def matrix_rate(place: Place) -> float:
    """TFLOP a second of a large square matrix product, the best of many."""
    side = 256 if place.self_test else 8192
    a, b = (torch.randn(side, side, device=place.device, dtype=place.dtype) for _ in range(2))
    times = []
    for _ in range(30):
        synchronise(place)
        began = time.perf_counter()
        a @ b
        synchronise(place)
        times.append(time.perf_counter() - began)
    rate = 2 * side**3 / statistics.median(times) / 1e12
    print(f"matrix product of {side}: {rate:.3g} TFLOP/s\n")
    return rate


def step_flops(place: Place, settings: TrainingSettings, size: tuple[int, int], batch: int) -> float:
    """Floating-point operations of one step, a multiplication and an addition each counted.

    A frozen layer costs a product forwards and one backwards (by its input), attention two and five (its fused kernel
    computes the scores again), the adapter two forwards and four backwards; checkpointing a second forward pass.
    """
    config = place.config
    width = config["attention_head_dim"] * config["num_attention_heads"]
    image = (size[0] // 16) * (size[1] // 16)
    tokens = image + place.text_tokens
    blocks = config["num_layers"] + config["num_single_layers"]
    linear = 2 * 12 * width**2 * tokens * blocks  # q, k, v, out and the MLP's two: 12 width^2 in either kind of block
    attention = 2 * 2 * tokens**2 * width * blocks
    # inputs and outputs of a block's layers, in widths: double 4 x (1+1) + (1+4) + (4+1); single 3 x (1+1) + 5 + 6
    ends = width * (18 * config["num_layers"] + 17 * config["num_single_layers"])
    adapter = 2 * settings.init_r * ends * tokens
    forward = linear + attention + adapter
    backward = linear + 2.5 * attention + 2 * adapter
    return float(batch * (forward + backward + (forward if settings.gradient_checkpointing else 0)))


def random_transformer(place: Place) -> Any:
    """FLUX with random weights, made on the device."""
    torch.manual_seed(0)
    torch.set_default_dtype(place.dtype)
    try:
        with torch.device(place.device):
            return FluxTransformer2DModel(**place.config).requires_grad_(False).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def quantised(place: Place) -> Any:
    """FLUX in nf4: every linear layer is made and quantised by itself, so the whole never lies there in bf16."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    torch.manual_seed(0)
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(**place.config)
    for path, module in list(transformer.named_modules()):
        if isinstance(module, torch.nn.Linear):
            made = Linear4bit(
                module.in_features, module.out_features, bias=module.bias is not None, compute_dtype=place.dtype,
                quant_type="nf4", device="meta",
            )  # fmt: skip
            weight = torch.randn(module.weight.shape, device=place.device, dtype=place.dtype) / module.in_features**0.5
            made.weight = Params4bit(weight, requires_grad=False, quant_type="nf4").to(place.device)
            if module.bias is not None:
                zeros = torch.zeros(module.out_features, device=place.device, dtype=place.dtype)
                made.bias = torch.nn.Parameter(zeros, requires_grad=False)
            parent, _, name = path.rpartition(".")
            setattr(transformer.get_submodule(parent), name, made)
    for module in transformer.modules():
        for name, p in module.named_parameters(recurse=False):
            if p.is_meta:
                ones = torch.ones(p.shape, device=place.device, dtype=place.dtype)
                setattr(module, name, torch.nn.Parameter(ones, requires_grad=False))
    transformer.is_loaded_in_4bit = True  # what diffusers' loading says of a quantised model
    return transformer.requires_grad_(False).eval()


def random_vae(place: Place) -> Any:
    """A decoder of FLUX's shape (or a tiny one) with random weights."""
    torch.manual_seed(0)
    channels = (8, 8, 8, 8) if place.self_test else (128, 256, 512, 512)
    with torch.device(place.device):
        return AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=channels, layers_per_block=1 if place.self_test else 2,
            norm_num_groups=4 if place.self_test else 32, latent_channels=16, scaling_factor=0.3611,
            shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False,
        ).to(place.dtype).eval()  # fmt: skip


def random_examples(place: Place, size: tuple[int, int], batch: int) -> list[Example]:
    """Cached latents and embeddings."""
    chance = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=chance).to(place.device)

    joint, pooled = place.config["joint_attention_dim"], place.config["pooled_projection_dim"]
    return [
        Example(
            normal(place.config["in_channels"] // 4, size[1] // 8, size[0] // 8),
            TextEmbedding(normal(place.text_tokens, joint).to(place.dtype), normal(pooled).to(place.dtype)),
        )
        for _ in range(batch)
    ]


def line(row: dict[str, Any]) -> str:
    """A row of the table."""

    def shown(name: str, form: str, factor: float = 1.0) -> str:
        return format(factor * row[name], form) if row.get(name) is not None else row.get("fault", "")

    losses = " ".join(f"{loss:.4f}" for loss in row.get("losses", ()))
    cells = (
        row["what"], row["size"], str(row["batch"]), shown("seconds", ".4f"), shown("tflop", ".3g"),
        shown("utilisation", ".0f", 100), shown("peak", ".1f"), shown("ratio", ".2f"), losses,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def faults_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What is wrong with a self-test's rows: figures that are missing, losses that should agree and do not."""
    faults = [f"{row['what']}: no time" for row in rows if not row.get("seconds")]
    for row in rows:
        if "picture" in row["what"] or "nf4" in row["what"]:
            continue
        same = [r for r in rows if (r["size"], r["batch"]) == (row["size"], row["batch"]) and "losses" in r]
        first = [r["losses"][0] for r in same if "picture" not in r["what"] and "nf4" not in r["what"]]
        if max(first) - min(first) > 1e-4:
            faults.append(f"{row['what']} {row['size']} batch {row['batch']}: first losses differ: {first}")
        eager = [r for r in same if r["what"] == row["what"].replace(", compiled", "")]
        apart = max(abs(a - b) for a, b in zip(row["losses"], eager[0]["losses"], strict=True))
        if apart > 1e-4:
            faults.append(f"{row['what']} {row['size']} batch {row['batch']}: compiled losses differ by {apart:.1e}")
    return faults


if __name__ == "__main__":
    main()
