"""FLUX.1 as a family: which layers an adapter changes, what the transformer is asked, how others call its parts.

x_t = (1 - sigma) z + sigma eps with z = (vae latent - shift) * scale; the model predicts eps - z
(https://arxiv.org/abs/2403.03206).
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from artmaster_pipeline.base_models.family import Family, KohyaNames, TextEmbedding
from artmaster_pipeline.base_models.flux.bases import FLUX_DEV, MINIATURE
from artmaster_pipeline.drawing_settings import DrawingSettings

if TYPE_CHECKING:
    import torch
    from PIL import Image

_PACKED = 2  # latent pixels of a token along one side
_VAE = 8  # picture pixels of a latent pixel

_DOUBLE = r"attn\.(?:to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)|ff(?:_context)?\.net\.(?:0\.proj|2)"
_SINGLE = r"attn\.to_[qkv]|proj_mlp|proj_out"

# As sd-scripts' networks/convert_flux_lora.py and ComfyUI's flux_to_diffusers have them.
KOHYA_NAMES = KohyaNames(
    prefix="lora_unet_",
    blocks={"transformer_blocks": "double_blocks", "single_transformer_blocks": "single_blocks"},
    fused={
        "transformer_blocks": {
            "img_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
            "img_attn_proj": ("attn.to_out.0",),
            "img_mlp_0": ("ff.net.0.proj",),
            "img_mlp_2": ("ff.net.2",),
            "txt_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
            "txt_attn_proj": ("attn.to_add_out",),
            "txt_mlp_0": ("ff_context.net.0.proj",),
            "txt_mlp_2": ("ff_context.net.2",),
        },
        "single_transformer_blocks": {
            "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
            "linear2": ("proj_out",),
        },
    },
    wider={"proj_mlp": 4},
    implementation="https://github.com/black-forest-labs/flux",
    network_module="networks.lora_flux",
)


class Flux1(Family):
    """FLUX.1: double and single blocks, CLIP's pooled vector and T5's tokens, guidance as an embedding."""

    name = "flux-1"
    pipeline_class = "FluxPipeline"
    forms: ClassVar = {"picture": "FluxImg2ImgPipeline", "repaint": "FluxInpaintPipeline"}
    transformer_class = "FluxTransformer2DModel"
    autoencoder_class = "AutoencoderKL"
    text_encoders = ("text_encoder", "text_encoder_2")
    quantized = ("text_encoder_2", "transformer")
    # All attention and MLP linears of both kinds of blocks; neither embedders nor modulations nor the last layer.
    adapted_layers = rf"transformer_blocks\.\d+\.(?:{_DOUBLE})|single_transformer_blocks\.\d+\.(?:{_SINGLE})"
    layer_kinds: ClassVar = {
        "double": r"transformer_blocks\.",
        "single": r"single_transformer_blocks\.",
        "attention": r".*\.attn\.",
        "feed_forward": r".*\.(?:ff|ff_context)\.|single_transformer_blocks\.\d+\.proj_(?:mlp|out)$",
    }
    pixels_per_token = _VAE * _PACKED
    scripts = ("Latn",)  # T5's vocabulary has no character of another; CLIP falls to bytes that it never learnt
    tags = ("flux",)
    bases: ClassVar = {base.name: base for base in (FLUX_DEV, MINIATURE)}
    kohya = KOHYA_NAMES

    def latent_shape(self, config: Mapping[str, Any], width: int, height: int) -> tuple[int, int, int]:
        """Sixteen channels where FLUX.1 has 64 packed ones; 8 picture pixels to a latent pixel."""
        return config["in_channels"] // _PACKED**2, height // _VAE, width // _VAE

    def tokens(self, rows: int, columns: int) -> int:
        """Four latent pixels to a token."""
        return (rows // _PACKED) * (columns // _PACKED)

    def text_shapes(self, config: Mapping[str, Any], tokens: int) -> dict[str, tuple[int, ...]]:
        """T5's tokens (tokens x features) and CLIP's pooled vector."""
        return {
            "prompt_embeds": (tokens, config["joint_attention_dim"]),
            "pooled_prompt_embeds": (config["pooled_projection_dim"],),
        }

    def encode_picture(self, pipe: Any, picture: "Image.Image", width: int, height: int) -> "torch.Tensor":
        """The posterior's mode, moved and scaled: z = (mode - shift) * scale."""
        pixels = pipe.image_processor.preprocess(picture.convert("RGB"), height=height, width=width)
        vae = pipe.vae
        mode: torch.Tensor = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode().float()
        return ((mode - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor)[0]

    def decoder_input(self, vae: Any, latents: "torch.Tensor") -> "torch.Tensor":
        """The latents without scale and shift."""
        return latents / vae.config.scaling_factor + (vae.config.shift_factor or 0.0)

    def encode_text(self, pipe: Any, text: str, device: str, max_sequence_length: int) -> TextEmbedding:
        """Both encoders are given the whole text."""
        embeds, pooled, _ = pipe.encode_prompt(
            prompt=text, prompt_2=None, device=device, max_sequence_length=max_sequence_length
        )
        words = pipe.tokenizer_2(text, truncation=True, max_length=max_sequence_length).input_ids
        return TextEmbedding({"prompt_embeds": embeds[0], "pooled_prompt_embeds": pooled[0]}, len(words))

    def packed(self, latent: "torch.Tensor") -> "torch.Tensor":
        """Two by two latent pixels to a token."""
        from diffusers import FluxPipeline

        tokens: torch.Tensor = FluxPipeline._pack_latents(latent[None], 1, *latent.shape)
        return tokens

    def text_arguments(self, conditioning: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
        """T5's tokens and CLIP's pooled vector."""
        return super().text_arguments(conditioning) | {"pooled_projections": conditioning["pooled_prompt_embeds"]}

    def pooled_text(self, embedding: TextEmbedding) -> "torch.Tensor":
        """CLIP's pooled vector."""
        return embedding.tensors["pooled_prompt_embeds"]

    def predict_velocity(
        self,
        transformer: Any,
        noisy: "torch.Tensor",
        sigmas: "torch.Tensor",
        texts: Sequence[TextEmbedding],
        guidance_scale: float,
        dtype: "torch.dtype",
    ) -> "torch.Tensor":
        """The model gets sigma itself as its timestep (diffusers' pipeline passes timestep / 1000)."""
        import torch
        from diffusers import FluxPipeline

        batch, channels, height, width = noisy.shape
        device = noisy.device
        guidance = None
        if transformer.config.guidance_embeds:
            guidance = torch.full((batch,), guidance_scale, device=device, dtype=torch.float32)
        given = self.conditioning(texts, None, device, dtype)
        packed = transformer(
            hidden_states=FluxPipeline._pack_latents(noisy, batch, channels, height, width).to(dtype),
            timestep=sigmas.to(device, dtype),
            guidance=guidance,
            pooled_projections=given["pooled_prompt_embeds"],
            encoder_hidden_states=given["prompt_embeds"],
            txt_ids=torch.zeros(given["prompt_embeds"].shape[1], 3, device=device, dtype=dtype),
            img_ids=FluxPipeline._prepare_latent_image_ids(batch, height // _PACKED, width // _PACKED, device, dtype),
            return_dict=False,
        )[0]
        # vae_scale_factor 1: _unpack_latents then counts in latent pixels instead of picture pixels
        unpacked: torch.Tensor = FluxPipeline._unpack_latents(packed, height, width, vae_scale_factor=1)
        return unpacked

    def shift(self, scheduler: Any, tokens: int) -> float:
        """The exponential of a line in the number of tokens: 1.88 at 512x512 (1024 tokens), 2.05 at 512x768."""
        from diffusers.pipelines.flux.pipeline_flux import calculate_shift

        config = scheduler.config
        if not config.use_dynamic_shifting:
            return float(config.shift)
        ends = (config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift)
        return math.exp(calculate_shift(tokens, *ends))

    def negative_prompt(self, drawing: DrawingSettings) -> str | None:
        """The empty one, where true classifier-free guidance is on; the embedded guidance needs none."""
        return "" if drawing.true_cfg_scale > 1 else None

    def guidance_arguments(self, drawing: DrawingSettings) -> dict[str, Any]:
        """The embedded guidance, and the true one, which takes a second pass in every step."""
        true = {"true_cfg_scale": drawing.true_cfg_scale} if drawing.true_cfg_scale > 1 else {}
        return {"guidance_scale": drawing.guidance_scale, **true}


FAMILY = Flux1()
