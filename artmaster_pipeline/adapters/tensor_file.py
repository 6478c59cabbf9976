"""Safetensors that say what they are, and whose bytes depend on tensors and words alone.

Words follow ModelSpec (https://github.com/Stability-AI/ModelSpec) and what kohya's sd-scripts write beside it (`ss_`),
which ComfyUI, Forge and managers of LoRA files read.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import WrongUse

if TYPE_CHECKING:
    import torch

HASH = "modelspec.hash_sha256"
_WORDS = "__metadata__"
_CHUNK = 1 << 20
_LONGEST_HEADER = 100_000_000  # bytes, as in the format's own library


def write_tensors(tensors: "dict[str, torch.Tensor]", words: dict[str, str], file: Path) -> None:
    """Write `tensors` with `words` and the hash of the tensors' bytes that ModelSpec asks for."""
    from safetensors.torch import save_file

    words = {"format": "pt"} | words | {HASH: f"0x{'0' * 64}"}
    save_file(tensors, file, metadata=words)
    file.chmod(0o644)  # safetensors writes for its owner alone
    # The hash is as long as its place, and sorted words as long as those that safetensors put in an order that changes
    # from run to run: so the header can be written anew without moving the tensors.
    with file.open("rb+") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        header[_WORDS] = dict(sorted((words | {HASH: tensors_hash(file)}).items()))
        stream.seek(8)
        stream.write(json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length))


def read_words(file: Path) -> dict[str, str]:
    """What a safetensors file says about itself. Errors: `read_header`."""
    return {name: str(text) for name, text in read_header(file).get(_WORDS, {}).items()}


def read_header(file: Path) -> dict[str, Any]:
    """The header of a safetensors file: every tensor's type, shape and place by its name, and `__metadata__`.

    Needs neither torch nor the tensors. Raises WrongUse where the file cannot be read or is not of that format.
    """
    try:
        with file.open("rb") as stream:
            length, left = int.from_bytes(stream.read(8), "little"), os.fstat(stream.fileno()).st_size - 8
            header = json.loads(stream.read(length)) if 0 < length <= min(left, _LONGEST_HEADER) else None
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get(_WORDS, {}), dict):
        raise WrongUse(f"{file} is no safetensors file, so it is no adapter: name a file that ends in .safetensors.")
    return header


def tensors_hash(file: Path) -> str:
    """ModelSpec's `hash_sha256`: of all tensors' bytes, that is of all that follows the header."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        stream.seek(8 + int.from_bytes(stream.read(8), "little"))
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return f"0x{digest.hexdigest()}"
