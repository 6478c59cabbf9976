"""The miniature: FLUX.1's own classes at about a thousandth of its size, saved in diffusers' folder layout.

Stock `FluxPipeline.from_pretrained` loads the folder. Block names, guidance embedding and scheduler are FLUX.1-dev's,
so what is written for one runs on the other. 512x512 stands for 128x128 here: 64 packed latent tokens for FLUX's 1024,
which is why the scheduler's sequence lengths are FLUX's divided by 16 and its shifts are the same.
"""

from pathlib import Path
from typing import Any, Literal, get_args

from artmaster_pipeline.base_models.miniature.vocabulary import clip_tokenizer, t5_tokenizer
from artmaster_pipeline.errors import MissingRequirement

SHIPPED = Path(__file__).parent / "weights"
CONTROL = "controlnet"  # the folder of the ControlNet beside a miniature's parts
LATENT_CHANNELS = 16
ControlMode = Literal["labels", "edges", "soft-line", "sketch", "depth"]
CONTROL_MODES: tuple[ControlMode, ...] = get_args(ControlMode)  # a signal's place here is its control_mode

TRANSFORMER: dict[str, Any] = {
    "patch_size": 1,
    "in_channels": 4 * LATENT_CHANNELS,
    "num_layers": 2,
    "num_single_layers": 4,
    "attention_head_dim": 48,
    "num_attention_heads": 4,
    "joint_attention_dim": 128,
    "pooled_projection_dim": 128,
    "guidance_embeds": True,
    "axes_dims_rope": (8, 20, 20),
}
# The ControlNet begins as the transformer's double blocks; it is asked for one of its modes, as FLUX's union nets are.
CONTROLNET: dict[str, Any] = {**TRANSFORMER, "num_single_layers": 0, "num_mode": len(CONTROL_MODES)}
AUTOENCODER: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (16, 48, 96, 128),
    "layers_per_block": 1,
    "latent_channels": LATENT_CHANNELS,
    "norm_num_groups": 4,
    "sample_size": 128,
    "scaling_factor": 1.0,
    "shift_factor": 0.0,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "mid_block_add_attention": False,
}
CLIP: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
    "projection_dim": 128,
}
T5: dict[str, Any] = {
    "d_model": 128,
    "d_kv": 32,
    "d_ff": 384,
    "num_layers": 2,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "dropout_rate": 0.0,
    "tie_word_embeddings": False,
}
SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 16,
    "max_image_seq_len": 256,
}


def miniature_folder() -> Path:
    """The folder of the trained miniature, which ships with the package."""
    if not (SHIPPED / "model_index.json").is_file():
        raise MissingRequirement(
            f"{SHIPPED} is not there: this installation lacks the package's data. Install it again."
        )
    return SHIPPED


def build_miniature(folder: Path, seed: int = 0) -> None:
    """Write an untrained miniature into `folder`; the same weights for the same seed."""
    save_miniature(untrained_pipeline(seed), folder)


def untrained_pipeline(seed: int = 0, words: tuple[str, ...] = ()) -> Any:
    """A `FluxPipeline` of fresh weights in fp32, whose tokenizers know `words` besides the painters' vocabulary."""
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    tokenizer, tokenizer_2 = clip_tokenizer(words), t5_tokenizer(words)
    clip_config = CLIPTextConfig(
        **CLIP,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    t5_config = T5Config(
        **T5,
        vocab_size=len(tokenizer_2),
        pad_token_id=tokenizer_2.pad_token_id,
        eos_token_id=tokenizer_2.eos_token_id,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        pipe = FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER),
            vae=AutoencoderKL(**AUTOENCODER),
            text_encoder=CLIPTextModel(clip_config),
            tokenizer=tokenizer,
            text_encoder_2=T5EncoderModel(t5_config),
            tokenizer_2=tokenizer_2,
            transformer=FluxTransformer2DModel(**TRANSFORMER),
        )
    for part in (pipe.vae, pipe.text_encoder, pipe.text_encoder_2, pipe.transformer):
        part.eval()
    return pipe


def save_miniature(pipe: Any, folder: Path) -> None:
    """Write a pipeline as a diffusers folder of fp16 safetensors; the pipeline keeps its own dtype."""
    import copy

    import torch

    quiet_libraries()
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    for name, part in parts.items():
        if isinstance(part, torch.nn.Module):
            parts[name] = copy.deepcopy(part).to(torch.float16)
    type(pipe)(**parts).save_pretrained(folder)


def control_folder() -> Path:
    """The folder of the miniature's ControlNet, which ships with the package."""
    return miniature_folder() / CONTROL


def save_control(net: Any, folder: Path) -> None:
    """Write a ControlNet as a diffusers folder of fp16 safetensors; the net keeps its own dtype."""
    import copy

    import torch

    quiet_libraries()
    copy.deepcopy(net).to(torch.float16).save_pretrained(folder)


def quiet_libraries() -> None:
    """Keep the libraries' loading bars and per-picture warnings off: this product shows its own progress."""
    import logging

    # bitsandbytes, where it is installed, warns on every machine without CUDA that a kernel cannot be fetched
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    # Prompts beyond max_sequence_length are cut, as the profile says; the libraries warn of it picture by picture.
    for name in ("diffusers", "transformers.tokenization_utils_base"):
        logging.getLogger(name).setLevel(logging.ERROR)
