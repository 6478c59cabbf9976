"""A FLUX of random weights with FLUX.1-dev's own configuration keys, small enough to train in a second."""

from pathlib import Path

SCHEDULER = {
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 4096,
    "max_shift": 1.15,
    "num_train_timesteps": 1000,
    "shift": 3.0,
    "use_dynamic_shifting": True,
}


def transformer_config(**changes) -> dict:
    """FLUX.1-dev's transformer/config.json, but for the `changes`."""
    return {
        "attention_head_dim": 128,
        "guidance_embeds": True,
        "in_channels": 64,
        "joint_attention_dim": 4096,
        "num_attention_heads": 24,
        "num_layers": 19,
        "num_single_layers": 38,
        "patch_size": 1,
        "pooled_projection_dim": 768,
        "axes_dims_rope": (16, 56, 56),
    } | changes


def tiny_transformer(dtype=None):
    import torch
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(1)
    config = transformer_config(
        attention_head_dim=16,
        num_attention_heads=2,
        num_layers=2,
        num_single_layers=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 6, 6),
    )
    transformer = FluxTransformer2DModel(**config)
    for p in transformer.parameters():  # `to` would warn
        p.data = p.data.to(dtype or p.dtype)
    return transformer


def save_tiny_flux(folder: Path) -> Path:
    """Write the whole pipeline in diffusers' folder layout; the same bytes every time."""
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

    torch.manual_seed(0)
    letters = [chr(n) for n in range(33, 127)]
    clip_words = {
        token: n
        for n, token in enumerate([*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"])
    }
    t5_words = [(token, -1.0) for token in ["<pad>", "</s>", "<unk>", "▁", *letters]]
    clip = CLIPTextConfig(
        vocab_size=len(clip_words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=len(clip_words) - 2,
        eos_token_id=len(clip_words) - 1,
    )
    t5 = T5Config(vocab_size=len(t5_words), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2)
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[8, 8, 8, 8],
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=16,
        sample_size=64,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER),
        vae=vae,
        text_encoder=CLIPTextModel(clip),
        tokenizer=CLIPTokenizer(vocab=clip_words, merges=[], model_max_length=77),
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=T5TokenizerFast(vocab=t5_words, extra_ids=0),
        transformer=tiny_transformer(),
    )
    pipe.save_pretrained(folder)
    return folder
