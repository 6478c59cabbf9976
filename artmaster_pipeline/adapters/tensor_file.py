"""Safetensors that say what they are, and whose bytes depend on tensors and words alone.

Words follow ModelSpec (https://github.com/Stability-AI/ModelSpec) and what kohya's sd-scripts write beside it (`ss_`),
which ComfyUI, Forge and managers of LoRA files read.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

HASH = "modelspec.hash_sha256"
_CHUNK = 1 << 20


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
        header["__metadata__"] = dict(sorted((words | {HASH: tensors_hash(file)}).items()))
        stream.seek(8)
        stream.write(json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length))


def read_words(file: Path) -> dict[str, str]:
    """What a safetensors file says about itself."""
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return dict(opened.metadata() or {})


def tensors_hash(file: Path) -> str:
    """ModelSpec's `hash_sha256`: of all tensors' bytes, that is of all that follows the header."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        stream.seek(8 + int.from_bytes(stream.read(8), "little"))
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return f"0x{digest.hexdigest()}"
