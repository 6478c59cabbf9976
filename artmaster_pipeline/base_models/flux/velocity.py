"""What FLUX's transformer is asked, outside a pipeline: clean latents, text embeddings, one prediction of velocity.

x_t = (1 - sigma) z + sigma eps with z = (vae latent - shift) * scale; the model predicts eps - z
(https://arxiv.org/abs/2403.03206).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from PIL import Image


@dataclass(frozen=True)
class TextEmbedding:
    """A caption as the transformer takes it: T5's tokens (tokens x features) and CLIP's pooled vector."""

    prompt_embeds: "torch.Tensor"
    pooled_prompt_embeds: "torch.Tensor"


def clean_latent(pipe: Any, picture: "Image.Image", width: int, height: int) -> "torch.Tensor":
    """A picture's latent z at `width` x `height` of the model's pixels: fp32, (channels, height / 8, width / 8)."""
    pixels = pipe.image_processor.preprocess(picture.convert("RGB"), height=height, width=width)
    vae = pipe.vae
    mode = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode().float()
    return ((mode - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor)[0]


def embed_text(pipe: Any, text: str, device: str, max_sequence_length: int) -> TextEmbedding:
    """A text's embedding in the encoders' dtype, on `device`."""
    embeds, pooled, _ = pipe.encode_prompt(
        prompt=text, prompt_2=None, device=device, max_sequence_length=max_sequence_length
    )
    return TextEmbedding(embeds[0], pooled[0])


def predict_velocity(
    transformer: Any,
    noisy: "torch.Tensor",
    sigmas: "torch.Tensor",
    texts: list[TextEmbedding],
    guidance_scale: float,
    dtype: "torch.dtype",
) -> "torch.Tensor":
    """The model's velocity for latents (batch, channels, height, width), in the same shape.

    `dtype` is the base weights' (asked of a wrapped or quantised model it would not be it). The model gets sigma
    itself as its timestep (diffusers' pipeline passes timestep / 1000).
    """
    import torch
    from diffusers import FluxPipeline

    batch, channels, height, width = noisy.shape
    device = noisy.device
    guidance = None
    if transformer.config.guidance_embeds:
        guidance = torch.full((batch,), guidance_scale, device=device, dtype=torch.float32)
    prompt_embeds = torch.stack([text.prompt_embeds for text in texts]).to(device, dtype)
    packed = transformer(
        hidden_states=FluxPipeline._pack_latents(noisy, batch, channels, height, width).to(dtype),
        timestep=sigmas.to(device, dtype),
        guidance=guidance,
        pooled_projections=torch.stack([text.pooled_prompt_embeds for text in texts]).to(device, dtype),
        encoder_hidden_states=prompt_embeds,
        txt_ids=torch.zeros(prompt_embeds.shape[1], 3, device=device, dtype=dtype),
        img_ids=FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, device, dtype),
        return_dict=False,
    )[0]
    # vae_scale_factor 1: _unpack_latents then counts in latent pixels instead of picture pixels
    return FluxPipeline._unpack_latents(packed, height, width, vae_scale_factor=1)
