"""Putting a folded adapter on a pipeline and taking it off, by diffusers' own means, and never without effect."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.folder import LORA
from artmaster_pipeline.errors import BadInput

if TYPE_CHECKING:
    import torch

PREFIX, DOWN, UP, ALPHA = "transformer.", ".lora_A.weight", ".lora_B.weight", ".alpha"
_BLOCK = re.compile(r"(\w+)\.\d+\.(.+)")  # a layer's path: the list of blocks, the block's number, the layer in it


def attach(pipe: Any, folder_or_file: Path, strength: float = 1.0, name: str = "style", alike: bool = False) -> None:
    """Put a LoRA file (or adapter.safetensors of a folder) on the pipeline at `strength`.

    An adapter of that name is replaced. `name` must not be part of a module's path ("attn" would break peft).
    `alike` fills the adapter up with zeros until all blocks have the same layers of one rank: the change is the same to
    the last digits, and `sampling.compile_blocks` compiles one block for all.
    Raises BadInput, and leaves the pipeline as it was, where the file does not exist, is no LoRA or belongs to
    another base model: diffusers skips layers that it does not find, and widens the base's own layers for a LoRA of
    other shapes, so every layer of the file must first be there and fit.
    """
    file, layers = fitting_layers(pipe, folder_or_file)
    if name in {there for names in pipe.get_list_adapters().values() for there in names}:
        pipe.delete_adapters(name)
    if alike:
        from peft.utils.hotswap import prepare_model_for_compiled_hotswap

        tensors = _filled_up(pipe, file, layers)
        pipe.load_lora_weights(tensors, adapter_name=name)
        pipe.set_adapters([name], [float(strength)])
        # pads to one rank; and makes strengths tensors, which compiled blocks take as they come
        rank = max(len(tensor) for key, tensor in tensors.items() if key.endswith(DOWN))
        prepare_model_for_compiled_hotswap(pipe.transformer, target_rank=rank)
    else:
        from safetensors.torch import load_file

        # As tensors, since diffusers goes by the suffix, and states of earlier steps have one that nobody loads.
        pipe.load_lora_weights(load_file(file), adapter_name=name)
        pipe.set_adapters([name], [strength])


def fitting_layers(pipe: Any, folder_or_file: Path) -> tuple[Path, dict[str, tuple[int, int]]]:
    """A LoRA file, and the layers that it is for, all of which the base has: path -> (inputs, outputs).

    Raises BadInput where the file does not exist, is no LoRA or belongs to another base model.
    """
    file = folder_or_file / LORA if folder_or_file.is_dir() else folder_or_file
    layers = _layers_of(file)
    if misfits := [layer for layer, shape in layers.items() if _shape_on(pipe, layer) != shape]:
        raise BadInput(
            f"{file}: {len(misfits)} of its {len(layers)} layers do not fit this base model, "
            f"for example {min(misfits)}",
            "Use the adapter with the profile it was trained for (`artmaster lineage adapter ID` says which).",
        )
    return file, layers


def of_all_blocks(pipe: Any, layers: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """These layers, and those of the same kinds in the other blocks of their lists: path -> (inputs, outputs)."""
    found = dict(layers)
    for layer, shape in layers.items():
        if match := _BLOCK.fullmatch(layer):
            numbers = range(len(getattr(pipe.transformer, match[1])))
            found |= {f"{match[1]}.{number}.{match[2]}": shape for number in numbers}
    return dict(sorted(found.items()))


def detach(pipe: Any) -> None:
    """Take all adapters off; the base model is then exactly what it was."""
    pipe.unload_lora_weights()


def _filled_up(pipe: Any, file: Path, layers: dict[str, tuple[int, int]]) -> "dict[str, torch.Tensor]":
    """The file's tensors, with a rank of zeros for each layer that other blocks of its kind have and it has not."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(file)
    rank = max(len(tensor) for key, tensor in tensors.items() if key.endswith(DOWN))
    for layer, (inputs, outputs) in of_all_blocks(pipe, layers).items():
        if layer not in layers:
            tensors[f"{PREFIX}{layer}{DOWN}"] = torch.zeros(1, inputs)
            tensors[f"{PREFIX}{layer}{UP}"] = torch.zeros(outputs, 1)
            if any(key.endswith(ALPHA) for key in tensors):
                tensors[f"{PREFIX}{layer}{ALPHA}"] = torch.tensor(1.0)
            else:  # then all layers have one rank, by which others scale them
                tensors[f"{PREFIX}{layer}{DOWN}"] = torch.zeros(rank, inputs)
                tensors[f"{PREFIX}{layer}{UP}"] = torch.zeros(outputs, rank)
    return tensors


def _layers_of(file: Path) -> dict[str, tuple[int, int]]:
    """The transformer's layers that a LoRA file is for: path -> (inputs, outputs)."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise BadInput(f"{file} does not exist", "Name an adapter's folder, or a LoRA file in safetensors form.")
    try:
        with safe_open(file, "pt") as tensors:
            shapes = {key: tensors.get_slice(key).get_shape() for key in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise BadInput(f"{file} is no safetensors file: {error}", "Make the adapter again.") from error
    paths = {key.removesuffix(DOWN) for key in shapes if key.startswith(PREFIX) and key.endswith(DOWN)}
    layers = {
        path.removeprefix(PREFIX): (shapes[path + DOWN][1], shapes[path + UP][0])
        for path in paths
        if path + UP in shapes
    }
    known = {path + end for path in paths for end in (DOWN, UP, ALPHA)}
    if not layers or not known.issuperset(shapes):
        raise BadInput(
            f"{file} holds no LoRA of a transformer, or more than that",
            "Name a folded adapter or a LoRA in PEFT's form.",
        )
    return layers


def _shape_on(pipe: Any, layer: str) -> tuple[int, int] | None:
    """Inputs and outputs of the base's linear layer at that path; None where there is none."""
    try:
        module = pipe.transformer.get_submodule(layer)
    except AttributeError:
        return None
    return (module.in_features, module.out_features) if hasattr(module, "in_features") else None
