"""The proof after a training: the folded LoRA predicts what the live AdaLoRA predicts, and not what the base does."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.finding import find_adapter, folder_of
from artmaster_pipeline.adapters.folder import LIVE, LORA, live_state
from artmaster_pipeline.adapters.folding import PREFIX
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.training.adalora.injecting import live_scale
from artmaster_pipeline.training.losses.flow_matching import step_generator

if TYPE_CHECKING:
    import torch

# What rounding may do, since the live form multiplies in another order than the folded one: in fp32 an absolute bound,
# in bf16 (8 bits of mantissa, some 60 blocks one after the other) a share of the prediction's largest value.
_FP32_TOLERANCE = 1e-4
_BF16_TOLERANCE = 0.05
_WEIGHTS_TOLERANCE = 1e-4  # of each layer's largest answer, always in fp32
_SIGMA = 0.5
_TEXT_TOKENS = 32


def check_adapter(home: Home, painter: str, profile: Profile) -> dict[str, Any]:
    """Figures of the painter's current adapter: three forward passes of the transformer on one fixed input.

    `folded_difference` is the largest difference of a prediction, live against folded, `tolerance` what it may be in
    the profile's dtype, `effect` the largest difference that the adapter makes to the base; `weights_difference`
    compares the layers themselves. Raises ArtMasterError where there is no adapter or the weights differ.
    """
    from artmaster_pipeline.base_models import open_pipeline

    adapter = find_adapter(home, painter)
    folder = folder_of(home, adapter)
    by_weights = weights_difference(folder)
    if by_weights > _WEIGHTS_TOLERANCE:
        raise ArtMasterError(
            f"{folder / LORA} is not what {folder / LIVE} folds to (they differ by {by_weights:.1e}): one of them was "
            "changed. Remove the folder and run the stage style_adapter again."
        )
    with open_pipeline(profile, ("transformer",), home) as pipe:
        figures = {**live_and_folded(pipe, folder, profile), "weights_difference": by_weights}
    tolerance = _FP32_TOLERANCE if profile.dtype == "float32" else _BF16_TOLERANCE * figures["prediction"]
    return {**figures, "tolerance": tolerance, "total_rank": sum(adapter.ranks.values())}


def live_and_folded(pipe: Any, folder: Path, profile: Profile) -> dict[str, float]:
    """`folded_difference` and `effect` of the adapter in `folder` on a pipeline's transformer, which is used up."""
    from artmaster_pipeline.training.adalora.injecting import ADAPTER_NAME, load_live

    base = _predict(pipe.transformer, profile)
    pipe.load_lora_weights(str(folder), weight_name=LORA, adapter_name=ADAPTER_NAME)
    folded = _predict(pipe.transformer, profile)
    pipe.unload_lora_weights()
    load_live(pipe.transformer, folder / LIVE)
    live = _predict(pipe.transformer, profile)
    return {
        "folded_difference": (live - folded).abs().max().item(),
        "effect": (folded - base).abs().max().item(),
        "prediction": base.abs().max().item(),
    }


def weights_difference(folder: Path) -> float:
    """The largest difference, folded against live, of any layer's answer to one random input, as a share of its size.

    In fp32 and layer by layer, so that it also shows what bf16 would hide in a whole prediction.
    """
    import torch
    from safetensors.torch import load_file

    live, folded = load_file(live_state(folder / LIVE)), load_file(folder / LORA)
    factor = live_scale(folder / LIVE)
    worst = 0.0
    for name in sorted(name for name in live if name.endswith(".lora_E")):
        a, b, e = (live[f"{name[:-1]}{part}"] for part in "ABE")
        probe = torch.randn(a.shape[1], generator=step_generator(0, 0))
        wanted = factor * (b @ (e.flatten() * (a @ probe)))
        layer = f"{PREFIX}{name.removesuffix('.lora_E')}"
        given = torch.zeros_like(wanted)
        if f"{layer}.lora_A.weight" in folded:
            down, up = folded[f"{layer}.lora_A.weight"], folded[f"{layer}.lora_B.weight"]
            given = (folded.get(f"{layer}.alpha", len(down)) / len(down)) * (up @ (down @ probe))
        largest = max(wanted.abs().max().item(), given.abs().max().item())
        if largest > 0:
            worst = max(worst, (wanted - given).abs().max().item() / largest)
    return worst


def _predict(transformer: Any, profile: Profile) -> "torch.Tensor":
    import torch

    config, dtype = transformer.config, getattr(torch, profile.dtype)
    width, height = profile.size(512, 512)
    generator = step_generator(0, 0)
    family = family_for(transformer)
    latents = torch.randn(1, *family.latent_shape(config, width, height), generator=generator)
    shapes = family.text_shapes(config, _TEXT_TOKENS)
    text = TextEmbedding({name: torch.randn(shape, generator=generator) for name, shape in shapes.items()})
    transformer.eval()
    with torch.inference_mode(), torch.autocast(profile.device, dtype, enabled=dtype == torch.bfloat16):
        sigmas = torch.tensor([_SIGMA], device=profile.device)
        guidance = profile.training.guidance_scale
        given = (latents.to(profile.device), sigmas, [text], guidance, dtype)
        return family.predict_velocity(transformer, *given).float().cpu()
