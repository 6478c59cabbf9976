"""Latents and text embeddings, encoded once and kept by content, so that a picture can never meet another's caption.

Each lies in a safetensors file of the data home's cache, named after what it was made from: the picture's sha256, the
caption's words, the base model's revision and the sizes. The encoders are loaded only if something is missing, and
are gone again before the transformer is loaded.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.velocity import TextEmbedding, clean_latent, embed_text
from artmaster_pipeline.files import inside, writing
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import TrainingImage, identity
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import torch

_LATENT_FORM = 1  # raise when what a cached latent means changes
_TEXT_FORM = 1


def latents_of(
    home: Home, painter: str, profile: Profile, revision: str, images: Iterable[TrainingImage], progress: Progress
) -> "dict[str, torch.Tensor]":
    """Image id -> its latent, z = (mode - shift) * scale, fp32, (channels, height, width), on the CPU."""
    folder = home.training_set(painter)
    wanted = {image.id: (image, _latent_file(home, profile, revision, image)) for image in images}
    missing = {file: image for image, file in wanted.values() if not file.exists()}

    def encode_all(pipe: Any, write: Callable[[Path, dict], None]) -> None:
        for file, image in missing.items():
            write(file, {"latent": _encode_picture(pipe, inside(folder, image.path), profile, image)})

    _encode("Latents", home, profile, ("vae",), len(missing), encode_all, progress)
    return {image_id: _read(file)["latent"] for image_id, (_, file) in wanted.items()}


def texts_of(
    home: Home, profile: Profile, revision: str, captions: Iterable[str], progress: Progress
) -> dict[str, TextEmbedding]:
    """Caption -> its embedding, in the profile's dtype, on the CPU."""
    wanted = {caption: _text_file(home, profile, revision, caption) for caption in sorted(set(captions))}
    missing = {caption: file for caption, file in wanted.items() if not file.exists()}

    def encode_all(pipe: Any, write: Callable[[Path, dict], None]) -> None:
        for caption, file in missing.items():
            text = embed_text(pipe, caption, profile.device, profile.max_sequence_length)
            write(file, {"prompt_embeds": text.prompt_embeds, "pooled_prompt_embeds": text.pooled_prompt_embeds})

    parts = ("text_encoder", "text_encoder_2")
    _encode("Text embeddings", home, profile, parts, len(missing), encode_all, progress)
    return {caption: TextEmbedding(**_read(file)) for caption, file in wanted.items()}


def _encode(
    description: str,
    home: Home,
    profile: Profile,
    parts: tuple[str, ...],
    count: int,
    encode_all: Callable[[Any, Callable[[Path, dict], None]], None],
    progress: Progress,
) -> None:
    """Load the encoders, let `encode_all` write its files with them, and free them again."""
    if not count:
        return
    import torch
    from safetensors.torch import save_file

    from artmaster_pipeline.base_models import load_pipeline

    pipe = load_pipeline(profile, parts=parts)
    with progress.task(description, count) as advance, torch.inference_mode():

        def write(file: Path, tensors: "dict[str, torch.Tensor]") -> None:
            with writing(file) as temporary:
                save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)
            advance()

        encode_all(pipe, write)
    del pipe
    free_memory()


def free_memory() -> None:
    """Give back what freed models held, on the GPU too."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _encode_picture(pipe: Any, file: Path, profile: Profile, image: TrainingImage) -> "torch.Tensor":
    from PIL import Image

    with Image.open(file) as picture:
        return clean_latent(pipe, picture, *profile.size(image.width, image.height))


def _latent_file(home: Home, profile: Profile, revision: str, image: TrainingImage) -> Path:
    size = profile.size(image.width, image.height)
    key = identity("latent", _LATENT_FORM, image.sha256, revision, size, profile.dtype)
    return home.cache / "latents" / f"{key}.safetensors"


def _text_file(home: Home, profile: Profile, revision: str, caption: str) -> Path:
    # A quantised T5 gives other embeddings than the full one.
    encoder = [revision, profile.dtype, profile.quantization]
    key = identity("text", _TEXT_FORM, caption, encoder, profile.max_sequence_length)
    return home.cache / "text" / f"{key}.safetensors"


def _read(file: Path) -> "dict[str, torch.Tensor]":
    from safetensors.torch import load_file

    return load_file(file)
