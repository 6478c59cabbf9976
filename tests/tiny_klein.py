"""A second family of base models: FLUX.2 [klein], built of diffusers' own classes at a tiny size, with random weights.

Nothing in the product knows of it: the tests register its descriptor, as a folder in `base_models/` would.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from artmaster_pipeline.base_models.family import Base, Family, Licence, TextEmbedding
from artmaster_pipeline.drawing_settings import DrawingSettings

NAME = "black-forest-labs/FLUX.2-klein-base-4B"
_ATTENTION = r"attn\.(?:to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"


class Flux2Klein(Family):
    """FLUX.2 [klein]: fused linears in its single blocks, Qwen3's hidden states, classifier-free guidance."""

    name = "flux-2-klein"
    pipeline_class = "Flux2KleinPipeline"
    transformer_class = "Flux2Transformer2DModel"
    autoencoder_class = "AutoencoderKLFlux2"
    text_encoders = ("text_encoder",)
    quantized = ("text_encoder", "transformer")
    adapted_layers = (
        rf"transformer_blocks\.\d+\.(?:{_ATTENTION}|ff(?:_context)?\.linear_(?:in|out))"
        r"|single_transformer_blocks\.\d+\.attn\.(?:to_qkv_mlp_proj|to_out)"
    )
    layer_kinds: ClassVar = {"double": r"transformer_blocks\.", "single": r"single_transformer_blocks\."}
    pixels_per_token = 16
    scripts = ("Latn", "Hani")
    tags = ("flux2",)
    bases: ClassVar = {NAME: Base(NAME, "FLUX.2 [klein] Base 4B", Licence("apache-2.0"), "flux-2-klein-base-4b")}
    alphas = False

    def latent_shape(self, config: Mapping[str, Any], width: int, height: int) -> tuple[int, int, int]:
        return config["in_channels"], height // 16, width // 16

    def tokens(self, rows: int, columns: int) -> int:
        return rows * columns

    def text_shapes(self, config: Mapping[str, Any], tokens: int) -> dict[str, tuple[int, ...]]:
        return {"prompt_embeds": (tokens, config["joint_attention_dim"])}

    def encode_picture(self, pipe: Any, picture: Any, width: int, height: int) -> Any:
        pixels = pipe.image_processor.preprocess(picture.convert("RGB"), height=height, width=width)
        mode = pipe.vae.encode(pixels.to(pipe.vae.device, pipe.vae.dtype)).latent_dist.mode().float()
        mean, deviation = _statistics(pipe.vae)
        return ((_pipeline()._patchify_latents(mode) - mean) / deviation)[0]

    def decoder_input(self, vae: Any, latents: Any) -> Any:
        mean, deviation = _statistics(vae)
        return _pipeline()._unpatchify_latents(latents * deviation + mean)

    def encode_text(self, pipe: Any, text: str, device: str, max_sequence_length: int) -> TextEmbedding:
        embeds, _ = pipe.encode_prompt(prompt=text, device=device, max_sequence_length=max_sequence_length)
        return TextEmbedding({"prompt_embeds": embeds[0]})

    def predict_velocity(
        self,
        transformer: Any,
        noisy: Any,
        sigmas: Any,
        texts: Sequence[TextEmbedding],
        guidance_scale: float,
        dtype: Any,
    ) -> Any:
        batch, channels, rows, columns = noisy.shape
        given = self.conditioning(texts, None, noisy.device, dtype)["prompt_embeds"]
        packed = transformer(
            hidden_states=_pipeline()._pack_latents(noisy).to(dtype),
            timestep=sigmas.to(noisy.device, dtype),
            guidance=None,
            encoder_hidden_states=given,
            txt_ids=_pipeline()._prepare_text_ids(given).to(noisy.device),
            img_ids=_pipeline()._prepare_latent_ids(noisy).to(noisy.device),
            return_dict=False,
        )[0]
        return packed.permute(0, 2, 1).reshape(batch, channels, rows, columns)

    def shift(self, scheduler: Any, tokens: int) -> float:
        from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

        return math.exp(compute_empirical_mu(tokens, 50))

    def negative_prompt(self, drawing: DrawingSettings) -> str | None:
        return "" if drawing.guidance_scale > 1 else None


def save_tiny_klein(folder: Path) -> Path:
    """Write the whole pipeline in diffusers' folder layout; the same bytes every time."""
    import torch
    from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
    from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    words = {token: n for n, token in enumerate([*(chr(n) for n in range(33, 127)), "Ġ", "<|endoftext|>"])}
    tokenizer = Qwen2TokenizerFast(vocab=words, merges=[], pad_token="<|endoftext|>", eos_token="<|endoftext|>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    qwen = Qwen3Config(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=27, num_attention_heads=1,
        num_key_value_heads=1, head_dim=16,
    )  # fmt: skip
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4, latent_channels=4, sample_size=64,
        use_quant_conv=False, use_post_quant_conv=False, mid_block_add_attention=False,
    )  # fmt: skip
    transformer = Flux2Transformer2DModel(
        in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=48, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    pipe = _pipeline()(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=vae, text_encoder=Qwen3ForCausalLM(qwen), tokenizer=tokenizer, transformer=transformer,
    )  # fmt: skip
    pipe.save_pretrained(folder)
    return folder


def _pipeline() -> Any:
    from diffusers import Flux2KleinPipeline

    return Flux2KleinPipeline


def _statistics(vae: Any) -> Any:
    """Mean and deviation of the patchified latents, by which the model's own are normalised."""
    import torch

    deviation = torch.sqrt(vae.bn.running_var + vae.config.batch_norm_eps)
    return vae.bn.running_mean.view(1, -1, 1, 1), deviation.view(1, -1, 1, 1)
