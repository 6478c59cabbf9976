"""Latents and text embeddings, encoded once and kept by content, so that a picture can never meet another's caption.

Each lies in a safetensors file of the data home's cache, named after what it was made from: the picture's sha256, the
caption's words, the base model's revision and the sizes. All runs and painters share them. The file says inside what
it was made from and what its tensors' sha256 is, and both are checked whenever it is read; what is damaged or lies
under another's name is encoded anew. The encoders are loaded only if something is missing, and are gone again before
the transformer is loaded.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.base_models.hub import family_of
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import inside, writing
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import TrainingImage, identity
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

_LATENT_FORM = 1  # raise when what a cached latent means changes
_TEXT_FORM = 1
_PROOF = "artmaster"  # the one metadata entry: safetensors writes several in no fixed order
_NAMED = 3  # files named in the log: a whole cache may have gone bad


def latents_of(
    home: Home, painter: str, profile: Profile, revision: str, images: Iterable[TrainingImage], progress: Progress
) -> "dict[str, torch.Tensor]":
    """Image id -> its latent, z = (mode - shift) * scale, fp32, (channels, height, width), on the CPU."""
    folder = home.training_set(painter)
    wanted = {image.id: (image, _latent_file(home, profile, revision, image)) for image in images}
    pictures = {file: image for image, file in wanted.values()}

    def encode(pipe: Any, file: Path) -> "Tensors":
        image = pictures[file]
        return {"latent": _encode_picture(pipe, inside(folder, image.path), profile, image)}

    held = _held("Latents", home, profile, ("vae",), pictures, encode, progress)
    return {image_id: held[file]["latent"] for image_id, (_, file) in wanted.items()}


def texts_of(
    home: Home, profile: Profile, revision: str, captions: Iterable[str], progress: Progress
) -> dict[str, TextEmbedding]:
    """Caption -> its embedding, in the profile's dtype, on the CPU."""
    wanted = {caption: _text_file(home, profile, revision, caption) for caption in sorted(set(captions))}
    words = {file: caption for caption, file in wanted.items()}

    def encode(pipe: Any, file: Path) -> "Tensors":
        text = family_for(pipe).encode_text(pipe, words[file], profile.device, profile.max_sequence_length)
        return dict(text.tensors)

    held = _held("Text embeddings", home, profile, family_of(profile, home).text_encoders, words, encode, progress)
    return {caption: TextEmbedding(held[file]) for caption, file in wanted.items()}


def write_checked(file: Path, tensors: "Tensors") -> None:
    """Write tensors, whole or not at all, with their sha256 and the hash of what they were made from: `file`'s name."""
    from safetensors.torch import save_file

    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    proof = json.dumps({"key": file.stem, "sha256": _sha256_of(ready)})
    with writing(file) as temporary:
        save_file(ready, temporary, metadata={_PROOF: proof})


def read_checked(file: Path) -> "Tensors":
    """The tensors of a file by `write_checked`, on the CPU. Raises BadInput where it is damaged or another's."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    remedy = "Delete the file; it is encoded anew."
    try:
        # Read, not mapped: what happens to the file later must not reach into a training, or end it by SIGBUS.
        content = file.read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        proof = json.loads(header["__metadata__"][_PROOF])
        key, sha256 = proof["key"], proof["sha256"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file} cannot be read ({type(error).__name__}: {error})", remedy) from error
    if key != file.stem:
        raise BadInput(f"{file} was made from something else than its name says", remedy)
    if sha256 != _sha256_of(tensors):
        raise BadInput(f"{file} does not hold what was written", remedy)
    return tensors


def _sha256_of(tensors: "Tensors") -> str:
    """Over names, types, shapes and bytes, since a damaged header may give the same bytes another meaning."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _held(
    description: str,
    home: Home,
    profile: Profile,
    parts: tuple[str, ...],
    files: Iterable[Path],
    encode: "Callable[[Any, Path], Tensors]",
    progress: Progress,
) -> "dict[Path, Tensors]":
    """What the files hold; those that are missing or cannot be used are written first, with `parts` of the pipeline."""
    held: dict[Path, Tensors] = {}
    missing, unfit = [], []
    for file in files:
        try:
            held[file] = read_checked(file)
        except BadInput as error:
            missing.append(file)
            unfit += [error.reason] if file.exists() else []
    if unfit:
        more = f", and {len(unfit) - _NAMED} more" if len(unfit) > _NAMED else ""
        progress.say(f"{description}: not used but encoded anew: {'; '.join(unfit[:_NAMED])}{more}.")
    if missing:
        _encode(description, home, profile, parts, missing, encode, progress)
    return held | {file: read_checked(file) for file in missing}


def _encode(
    description: str,
    home: Home,
    profile: Profile,
    parts: tuple[str, ...],
    files: list[Path],
    encode: "Callable[[Any, Path], Tensors]",
    progress: Progress,
) -> None:
    """Load the encoders, write the files with them, and free them again."""
    import torch

    from artmaster_pipeline.base_models import open_pipeline

    with (
        open_pipeline(profile, parts, home) as pipe,
        progress.task(description, len(files)) as advance,
        torch.inference_mode(),
    ):
        for file in files:
            write_checked(file, encode(pipe, file))
            advance()


def _encode_picture(pipe: Any, file: Path, profile: Profile, image: TrainingImage) -> "torch.Tensor":
    from PIL import Image

    with Image.open(file) as picture:
        latent: torch.Tensor = family_for(pipe).encode_picture(pipe, picture, *profile.size(image.width, image.height))
        return latent


def _latent_file(home: Home, profile: Profile, revision: str, image: TrainingImage) -> Path:
    size = profile.size(image.width, image.height)
    key = identity("latent", _LATENT_FORM, image.sha256, revision, size, profile.dtype)
    return home.cache / "latents" / f"{key}.safetensors"


def _text_file(home: Home, profile: Profile, revision: str, caption: str) -> Path:
    # A quantised T5 gives other embeddings than the full one.
    encoder = [revision, profile.dtype, profile.quantization]
    key = identity("text", _TEXT_FORM, caption, encoder, profile.max_sequence_length)
    return home.cache / "text" / f"{key}.safetensors"
