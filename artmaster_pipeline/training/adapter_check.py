"""The proof after a training: the folded LoRA predicts what the live AdaLoRA predicts, and not what the base does."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.records import MANIFEST, Adapter, read_manifest
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.training.adapter_folder import LIVE, LORA
from artmaster_pipeline.training.flow_matching import TextEmbedding, predict_velocity, step_generator

if TYPE_CHECKING:
    import torch

# The largest difference that rounding makes: the live form multiplies in another order than the folded one.
_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
_SIGMA = 0.5
_TEXT_TOKENS = 32


def check_adapter(home: Home, painter: str, profile: Profile) -> dict[str, Any]:
    """Figures of the painter's current adapter: three forward passes of the transformer on one fixed input.

    `folded_difference` is the largest difference of a prediction, live against folded, `tolerance` what it may be in
    the profile's dtype, `effect` the largest difference that the adapter makes to the base. Raises ArtMasterError
    where there is no adapter.
    """
    from artmaster_pipeline.base_models import load_pipeline

    adapters = read_manifest(home.adapters(painter) / MANIFEST, Adapter)
    if not adapters:
        raise ArtMasterError(f"{painter} has no adapter yet: run the stage style_adapter first.")
    pipe = load_pipeline(profile, home, parts=("transformer",))
    figures = live_and_folded(pipe, home.root / adapters[0].path, profile)
    return {**figures, "tolerance": _TOLERANCE[profile.dtype], "total_rank": sum(adapters[0].ranks.values())}


def live_and_folded(pipe: Any, folder: Path, profile: Profile) -> dict[str, float]:
    """`folded_difference` and `effect` of the adapter in `folder` on a pipeline's transformer, which is used up."""
    from artmaster_pipeline.training.adalora import ADAPTER_NAME, load_live

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


def _predict(transformer: Any, profile: Profile) -> "torch.Tensor":
    import torch

    config, dtype = transformer.config, getattr(torch, profile.dtype)
    width, height = profile.size(512, 512)
    generator = step_generator(0, 0)
    # 16 pixels are one token (8 in the VAE, 2 in the packing): for another VAE it is merely another size.
    latents = torch.randn(1, config.in_channels // 4, height // 8, width // 8, generator=generator)
    text = TextEmbedding(
        torch.randn(_TEXT_TOKENS, config.joint_attention_dim, generator=generator),
        torch.randn(config.pooled_projection_dim, generator=generator),
    )
    transformer.eval()
    with torch.inference_mode(), torch.autocast(profile.device, dtype, enabled=dtype == torch.bfloat16):
        sigmas = torch.tensor([_SIGMA], device=profile.device)
        guidance = profile.training.guidance_scale
        return predict_velocity(transformer, latents.to(profile.device), sigmas, [text], guidance, dtype).float().cpu()
