"""The bases of the FLUX.1 family that are known by name."""

from artmaster_pipeline.base_models.family import Base, Licence

FLUX_DEV = Base(
    name="black-forest-labs/FLUX.1-dev",
    title="FLUX.1 [dev]",
    licence=Licence(
        "other",
        "flux-1-dev-non-commercial-license",
        "https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md",
    ),
    architecture="flux-1-dev",
    version="flux1",
    disk=40 * 2**30,  # 34 GB of files
    encoder_numbers=(4630.7e6, 131.6e6 + 123.1e6),  # T5-XXL's linear layers; its words and CLIP-L
    configurations={
        "transformer": {
            "attention_head_dim": 128,
            "axes_dims_rope": (16, 56, 56),
            "guidance_embeds": True,
            "in_channels": 64,
            "joint_attention_dim": 4096,
            "num_attention_heads": 24,
            "num_layers": 19,
            "num_single_layers": 38,
            "patch_size": 1,
            "pooled_projection_dim": 768,
        },
        "vae": {
            "block_out_channels": (128, 256, 512, 512),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "latent_channels": 16,
            "layers_per_block": 2,
            "scaling_factor": 0.3611,
            "shift_factor": 0.1159,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "use_post_quant_conv": False,
            "use_quant_conv": False,
        },
    },
)

# Its name in profiles; `hub.find_source` knows the folder that ships with the package.
MINIATURE = Base(
    name="miniature",
    title="the miniature FLUX of ArtMaster",
    licence=Licence("apache-2.0"),
    architecture="miniature",
    public=False,
)
