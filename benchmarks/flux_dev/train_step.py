"""A training step at FLUX.1-dev's real size on one CUDA GPU, beside the official diffusers recipe, without a download.

    python benchmarks/flux_dev/train_step.py [--runs 10] [--only REGEX] [--json FILE]
    python benchmarks/flux_dev/train_step.py --self-test      # the same code on a tiny model, on the CPU

The transformer has FLUX.1-dev's configuration and random weights that are made on the device; latents, T5's and
CLIP's embeddings are random, too, and cached, as in a real training. Measured are the product's step (`Learner` with
the profile flux-dev's AdaLoRA, in the phase in which ranks are pruned) at 512x512 and 512x768, batch 1 and 4, with and
without compiled blocks; both FLUX profiles as they ship, whose semantic guidance makes every fourth step a longer one
(see the mean); pictures for the evaluation, with and without the adapter on the same transformer.

The peer follows examples/dreambooth/train_dreambooth_lora_flux.py of diffusers as it runs with `--mixed_precision bf16
--cache_latents` and one prompt. Taken over: `add_adapter` with a gaussian LoRA (adapter weights in bf16: the script
casts them to fp32 for fp16 only), AdamW with its betas and its weight decay of 1e-4, autocast around the forward pass,
uniform timesteps looked up one by one, noise drawn on the device, guidance 3.5, latents packed in every step, the loss
in fp32, gradients clipped at 1, no compilation. Changed: rank 16 instead of 4, and the same layers as the product's
(the script's own default is fewer); tqdm, accelerate's bookkeeping and the data loader are left out, which
favours the peer.

Utilisation is the arithmetic that a step needs (`step_flops`, with checkpointing's second forward pass) over its median
time, as a share of what a matrix product of 8192 x 8192 reaches in the same run. Each row is printed, and written to
FILE, when it is measured; one that runs out of memory or fails says so, and the others go on. Everything takes
about half an hour on an 80 GB card by estimate; `--only "^this .*512x768"` measures the rows (name, size, batch)
that the expression finds.
"""

import argparse
import datetime
import gc
import json
import math
import platform
import re
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from diffusers.training_utils import compute_density_for_timestep_sampling

from artmaster_pipeline.base_models.attention import settle_attention
from artmaster_pipeline.base_models.compiling import compile_repeated_blocks
from artmaster_pipeline.base_models.family import TextEmbedding
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.generation.sampling import compile_blocks, draw_embedded
from artmaster_pipeline.settings import SemanticGuidanceSettings, TrainingSettings, load_profile
from artmaster_pipeline.training.adalora import injecting as adalora
from artmaster_pipeline.training.learner import Example, Learner
from artmaster_pipeline.training.losses.flow_matching import sigmas_for, step_generator
from artmaster_pipeline.training.losses.semantic_guidance import GuidanceTexts

SCHEDULER = {
    "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15,
    "num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": True,
}  # fmt: skip
FLUX_DEV = {
    "attention_head_dim": 128, "axes_dims_rope": (16, 56, 56), "guidance_embeds": True, "in_channels": 64,
    "joint_attention_dim": 4096, "num_attention_heads": 24, "num_layers": 19, "num_single_layers": 38, "patch_size": 1,
    "pooled_projection_dim": 768,
}  # fmt: skip
# Ten single blocks: blocks that cannot share a compiled form meet PyTorch's limit of eight forms, as in the real depth
TINY = FLUX_DEV | {
    "attention_head_dim": 16, "axes_dims_rope": (4, 6, 6), "joint_attention_dim": 32, "num_attention_heads": 2,
    "num_layers": 2, "num_single_layers": 10, "pooled_projection_dim": 32,
}  # fmt: skip
AIMS = "aims: 55 % of the matrix rate at batch 4 and 45 % at batch 1, twice the peer's speed, under 22 GB in 4 bit"
HEADS = (
    "what", "size", "batch", "median, s", "mean, s", "TFLOP", "% of matrix rate", "peak GB", "times the peer",
    "first losses",
)  # fmt: skip
TOTAL, FIRST = 1000, 101  # steps of the training that is timed; the first whose ranks AdaLoRA prunes
TIMED = "seconds"


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

    def settings(self, profile: str = "flux-dev") -> TrainingSettings:
        """A shipped profile's, with smaller ranks in the self-test."""
        changes = {"init_r": 4, "target_r": 2, "lora_alpha": 4} if self.self_test else {}
        return load_profile(profile).training.model_copy(update=changes)


def main() -> None:
    """Measure row by row; exit 1 where the self-test finds a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="timed steps of each row, after some that warm up")
    parser.add_argument("--only", type=re.compile, default=re.compile(""), metavar="REGEX", help="rows to measure")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    place = tiny_place() if options.self_test else cuda_place(options.runs)
    print(f"{machine(place)}\n{AIMS}", flush=True)
    rows: list[dict[str, Any]] = []
    for row in measure(place, options.only):
        rows.append(row)
        print(line(row), flush=True)
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
    heads, width = FLUX_DEV["num_attention_heads"], FLUX_DEV["attention_head_dim"]
    print(settle_attention([(1, heads, 1536 + 512, width)], "bfloat16"), flush=True)  # for all rows, the peer's, too
    return Place("cuda", torch.bfloat16, FLUX_DEV, ((512, 512), (512, 768)), (1, 4), 512, runs, False)


def machine(place: Place) -> str:
    """Machine, library and date in one line."""
    name = torch.cuda.get_device_name() if place.device == "cuda" else platform.processor() or platform.machine()
    return f"{name}, torch {torch.__version__}, {datetime.date.today().isoformat()}"


def measure(place: Place, only: re.Pattern[str]) -> Iterator[dict[str, Any]]:
    """All rows whose name, size and batch `only` finds, each as soon as it is measured."""
    rate = matrix_rate(place)
    print(f"\n| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|", flush=True)
    peers: dict[tuple[str, str, int], float] = {}
    for what, peer, (width, height), batch, way in ways(place):
        row: dict[str, Any] = {"what": what, "size": f"{width}x{height}", "batch": batch}
        if not only.search(f"{what} {row['size']} {batch}"):
            continue
        row |= guarded(place, way)
        seconds = row.get(TIMED)
        if seconds:
            peers[what, row["size"], batch] = seconds
            if slower := peers.get((peer, row["size"], batch)):
                row["ratio"] = slower / seconds
            if "tflop" in row:
                row["utilisation"] = row["tflop"] / seconds / rate
        yield row


Way = tuple[str, str, tuple[int, int], int, Callable[[], dict[str, Any]]]  # name, its peer's, size, batch, measuring


def ways(place: Place) -> Iterator[Way]:
    """What is measured, peers before those that are compared with them."""
    alone = place.settings().model_copy(update={"semantic_guidance": SemanticGuidanceSettings()})  # as the peer does
    for size in place.sizes:
        for batch in place.batches:
            for checkpointing in (False, True):
                how = ", checkpointing" if checkpointing else ""
                peer = f"diffusers recipe{how}"
                settings = alone.model_copy(update={"gradient_checkpointing": checkpointing})
                yield peer, "", size, batch, partial(peer_step, place, settings, size, batch)
                for compiled in (False, True):
                    chosen = settings.model_copy(update={"compile_blocks": compiled})
                    what = f"this{', compiled' if compiled else ''}{how}"
                    yield what, peer, size, batch, partial(own_step, place, chosen, size, batch)
    largest = place.sizes[-1]
    for profile in ("flux-dev", "flux-dev-24gb"):
        chosen, nf4 = place.settings(profile), load_profile(profile).quantization == "nf4"
        yield f"profile {profile}", "", largest, 1, partial(own_step, place, chosen, largest, 1, nf4)
    for compiled in (False, True):
        for adapted in (False, True):
            what = f"picture, {'adapter' if adapted else 'base'}{', compiled' if compiled else ''}"
            yield what, "", place.sizes[0], 1, partial(picture, place, adapted, compiled)


def guarded(place: Place, way: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A row's figures, or why there are none; memory is freed and its peak taken either way."""
    free(place)
    try:
        found = way()
    except torch.OutOfMemoryError:
        found = {"fault": "out of memory"}
    except Exception as error:  # on a rented GPU one row that fails must not cost the others
        traceback.print_exc()
        found = {"fault": f"{type(error).__name__}, see above"}
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
    """Times, arithmetic and first losses of the product's step; the arithmetic is left out where it is guided, too."""
    transformer = quantised(place) if nf4 else random_transformer(place)
    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    guided = settings.semantic_guidance.weight > 0
    texts = [example.text for example in random_examples(place, size, 4)]
    guidance = GuidanceTexts(tuple(texts[:2]), tuple(texts[2:])) if guided else None
    # The self-test lets inductor write C++ once, for the blocks without checkpointing; of the others it sees the graph
    traced = place.self_test and settings.compile_blocks and settings.gradient_checkpointing
    given = settings.model_copy(update={"compile_blocks": False}) if traced else settings
    learner = Learner(transformer, scheduler, given, TOTAL, place.dtype, guidance=guidance)
    if traced:
        compile_repeated_blocks(transformer, "aot_eager")
    examples = random_examples(place, size, batch)
    found = timed(place, lambda number: learner.step(number, 0, [examples])["loss"])
    return found if guided else found | {"tflop": step_flops(place, settings, size, batch) / 1e12}


def peer_step(place: Place, settings: TrainingSettings, size: tuple[int, int], batch: int) -> dict[str, Any]:
    """The same of the official recipe. In the self-test it gets the product's guidance, noise and noise levels."""
    transformer = random_transformer(place)
    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    if settings.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    transformer.add_adapter(gaussian_lora(settings.init_r))
    transformer.train()
    trained = [p for p in transformer.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, betas=(0.9, 0.999), weight_decay=1e-4, eps=1e-8)
    examples = random_examples(place, size, batch)
    latents = torch.stack([example.latent for example in examples]).to(place.dtype)
    texts = {
        "encoder_hidden_states": torch.stack([example.text.tensors["prompt_embeds"] for example in examples]),
        "pooled_projections": torch.stack([example.text.tensors["pooled_prompt_embeds"] for example in examples]),
        "txt_ids": torch.zeros(place.text_tokens, 3, device=place.device, dtype=place.dtype),
    }

    def step(number: int) -> float:
        if place.self_test:
            noise, timesteps, sigmas = products_noise(settings, latents, scheduler, number)
        else:
            noise, timesteps, sigmas = recipes_noise(latents, scheduler)
        guidance = settings.guidance_scale if place.self_test else 3.5
        predicted = recipes_prediction(
            place, transformer, (1 - sigmas) * latents + sigmas * noise, timesteps, guidance, texts
        )
        loss = (predicted.float() - (noise - latents).float()).square().reshape(batch, -1).mean(1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.item())  # the script shows it in every step, too

    return timed(place, step) | {"tflop": step_flops(place, settings, size, batch) / 1e12}


def gaussian_lora(rank: int) -> Any:
    """The recipe's LoRA, on the product's layers."""
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=FAMILY.adapted_layers)


def recipes_noise(latents: torch.Tensor, scheduler: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise, timesteps and noise levels as the recipe draws them: unshifted, each level looked up in the schedule."""
    noise = torch.randn_like(latents)
    known = scheduler.timesteps.to(latents.device)
    drawn = compute_density_for_timestep_sampling("none", len(latents), 0.0, 1.0, 1.29)
    timesteps = scheduler.timesteps[(drawn * scheduler.config.num_train_timesteps).long()].to(latents.device)
    places = [(known == timestep).nonzero().item() for timestep in timesteps]
    sigmas = scheduler.sigmas.to(latents.device, latents.dtype)[places]
    return noise, timesteps, sigmas.view(-1, 1, 1, 1)


def products_noise(
    settings: TrainingSettings, latents: torch.Tensor, scheduler: Any, number: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same three as the product draws them in a step, so that losses can be compared."""
    generator = step_generator(settings.seed, number, 0)
    shift = FAMILY.shift(scheduler, FAMILY.tokens(*latents.shape[2:]))
    sigmas = sigmas_for(len(latents), shift, settings.timestep_sampling, generator)
    noise = torch.randn(latents.shape, generator=generator)
    return noise, 1000 * sigmas, sigmas.view(-1, 1, 1, 1)


def recipes_prediction(
    place: Place, transformer: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: float, texts: dict[str, Any]
) -> torch.Tensor:
    """The velocity, packed and unpacked around the call as the recipe does it."""
    batch, channels, height, width = noisy.shape
    with torch.autocast(place.device, place.dtype, enabled=place.dtype == torch.bfloat16):
        packed = transformer(
            hidden_states=FluxPipeline._pack_latents(noisy, batch, channels, height, width),
            timestep=timesteps / 1000,
            guidance=torch.tensor([guidance], device=place.device).expand(batch),
            img_ids=FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, place.device, place.dtype),
            return_dict=False,
            **texts,
        )[0]
    return FluxPipeline._unpack_latents(packed, 8 * height, 8 * width, vae_scale_factor=8)


def picture(place: Place, adapted: bool, compiled: bool) -> dict[str, Any]:
    """Times of a picture of 28 steps (2 in the self-test), base or adapter, on one transformer."""
    width, height = place.sizes[0]
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER), vae=random_vae(place), text_encoder=None,
        tokenizer=None, text_encoder_2=None, tokenizer_2=None, transformer=random_transformer(place),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    settings = place.settings().model_copy(update={"gradient_checkpointing": False})
    learner = Learner(pipe.transformer, pipe.scheduler, settings, TOTAL, place.dtype)
    for group in learner.stacks.groups:
        if group.e is not None:
            group.e.data.fill_(30.0 if place.self_test else 1.0)  # at zero it would leave the picture as it is
    if compiled:
        # What C++ is made of a drawing block on the CPU, and that it draws the same, tests/test_sampling.py sees
        compile_blocks(pipe, "aot_eager" if place.self_test else "inductor")
    text = random_examples(place, place.sizes[0], 1)[0].text
    steps = 2 if place.self_test else 28

    def draw(number: int) -> float:
        return float(
            draw_embedded(pipe, [text], [number], width, height, steps, DrawingSettings(guidance_scale=3.5))[0].mean()
        )

    with learner.finished(adalora.scale(settings)) if adapted else learner.stacks.off():
        found = timed(place, draw, warm_up=2)
    return {"means" if name == "losses" else name: value for name, value in found.items()}


def timed(place: Place, step: Callable[[int], float], warm_up: int = 5) -> dict[str, Any]:
    """Median and mean of steps after those that warm up (and compile), and what the first three gave."""
    given, times = [], []
    for number in range(FIRST, FIRST + warm_up + place.runs):
        synchronise(place)
        began = time.perf_counter()
        given.append(step(number))
        synchronise(place)
        times.append(time.perf_counter() - began)
    counted = times[warm_up:]
    return {TIMED: statistics.median(counted), "mean": statistics.mean(counted), "losses": given[:3]}


def synchronise(place: Place) -> None:
    """Wait for the GPU."""
    if place.device == "cuda":
        torch.cuda.synchronize()


def matrix_rate(place: Place) -> float:
    """TFLOP a second of a large square matrix product: the median of 20 times ten products."""
    side = 256 if place.self_test else 8192
    a, b = (torch.randn(side, side, device=place.device, dtype=place.dtype) for _ in range(2))
    c = torch.empty_like(a)
    times = []
    for _ in range(20):
        synchronise(place)
        began = time.perf_counter()
        for _ in range(10):
            torch.mm(a, b, out=c)
        synchronise(place)
        times.append(time.perf_counter() - began)
    rate = 10 * 2 * side**3 / statistics.median(times) / 1e12
    print(f"matrix product of {side} x {side}: {rate:.3g} TFLOP/s", flush=True)
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
    """FLUX with random weights, made on the device in its dtype: no copy elsewhere, no conversion."""
    with made_on(place):
        return FluxTransformer2DModel(**place.config).requires_grad_(False).eval()


@contextmanager
def made_on(place: Place) -> Iterator[None]:
    """Make modules on the device, in its dtype, with the same random weights every time."""
    torch.manual_seed(0)
    torch.set_default_dtype(place.dtype)
    try:
        with torch.device(place.device):
            yield
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
    with made_on(place):
        return AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=(8, 8, 8, 8) if place.self_test else (128, 256, 512, 512),
            layers_per_block=1 if place.self_test else 2, norm_num_groups=4 if place.self_test else 32,
            latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
            use_post_quant_conv=False,
        ).eval()  # fmt: skip


def random_examples(place: Place, size: tuple[int, int], batch: int) -> list[Example]:
    """Cached latents and embeddings."""
    chance = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=chance).to(place.device)

    joint, pooled = place.config["joint_attention_dim"], place.config["pooled_projection_dim"]
    return [
        Example(
            normal(place.config["in_channels"] // 4, size[1] // 8, size[0] // 8),
            TextEmbedding(
                {
                    "prompt_embeds": normal(place.text_tokens, joint).to(place.dtype),
                    "pooled_prompt_embeds": normal(pooled).to(place.dtype),
                }
            ),
        )
        for _ in range(batch)
    ]


def line(row: dict[str, Any]) -> str:
    """A row of the table."""

    def shown(name: str, form: str, factor: float = 1.0) -> str:
        return format(factor * row[name], form) if name in row else ""

    losses = " ".join(f"{loss:.4f}" for loss in row.get("losses", ()))
    cells = (
        row["what"], row["size"], str(row["batch"]), row.get("fault") or shown(TIMED, ".4f"), shown("mean", ".4f"),
        shown("tflop", ".3g"), shown("utilisation", ".0f", 100), shown("peak", ".1f"), shown("ratio", ".2f"), losses,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def faults_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What is wrong with a self-test's rows: figures that are missing, values that should agree and do not."""
    faults = []
    for row in rows:
        name = f"{row['what']} {row['size']} batch {row['batch']}"
        figures = [row.get(TIMED, math.nan), row.get("mean", math.nan), *row.get("losses", ()), *row.get("means", ())]
        if not all(math.isfinite(figure) for figure in figures):
            faults.append(f"{name}: a figure is missing or not finite ({row.get('fault', 'no fault seen')})")
    good = {(row["what"], row["size"], row["batch"]): row for row in rows if TIMED in row}
    for (what, size, batch), row in good.items():
        name = f"{what} {size} batch {batch}"
        eager = good.get((what.replace(", compiled", ""), size, batch), row)
        faults += [f"{name}: compiled, {kind}" for kind in ("losses", "means") if not same(row, eager, kind)]
        peer = good.get((re.sub("this(, compiled)?", "diffusers recipe", what), size, batch), row)
        if row.get("losses") and abs(row["losses"][0] - peer["losses"][0]) > 1e-4:
            faults.append(f"{name}: first loss {row['losses'][0]}, the peer's {peer['losses'][0]}")
        base = good.get((what.replace("adapter", "base"), size, batch), row)
        if base is not row and same(row, base, "means"):
            faults.append(f"{name}: the adapter changes nothing")
    return faults


def same(row: dict[str, Any], other: dict[str, Any], kind: str) -> bool:
    """Whether two rows agree: losses to 1e-4, pictures' means to a hundredth of a level."""
    within = 1e-4 if kind == "losses" else 1e-2
    return all(abs(a - b) <= within for a, b in zip(row.get(kind, ()), other.get(kind, ()), strict=True))


if __name__ == "__main__":
    main()
