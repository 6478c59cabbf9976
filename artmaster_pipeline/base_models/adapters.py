"""Putting a folded adapter on a pipeline and taking it off, by diffusers' own means, and never without effect."""

from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import BadInput

ADAPTER_FILE = "adapter.safetensors"


def attach(pipe: Any, folder_or_file: Path, strength: float = 1.0, name: str = "style") -> None:
    """Put a LoRA file (or adapter.safetensors of a folder) on the pipeline at `strength`.

    An adapter of that name is replaced. `name` must not be part of a module's path ("attn" would break peft).
    Raises BadInput, and leaves the pipeline as it was, where the file does not exist, is no LoRA or belongs to
    another base model: diffusers skips layers that it does not find, and widens the base's own layers for a LoRA of
    other shapes, so every layer of the file must first be there and fit.
    """
    file = folder_or_file / ADAPTER_FILE if folder_or_file.is_dir() else folder_or_file
    layers = _layers_of(file)
    if misfits := [layer for layer, shape in layers.items() if _shape_on(pipe, layer) != shape]:
        raise BadInput(
            f"{file}: {len(misfits)} of its {len(layers)} layers do not fit this base model, "
            f"for example {min(misfits)}",
            "Use the adapter with the profile it was trained for (`artmaster lineage adapter ID` says which).",
        )
    if name in {there for names in pipe.get_list_adapters().values() for there in names}:
        pipe.delete_adapters(name)
    pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=name)
    pipe.set_adapters([name], [strength])


def detach(pipe: Any) -> None:
    """Take all adapters off; the base model is then exactly what it was."""
    pipe.unload_lora_weights()


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
    down, up = ".lora_A.weight", ".lora_B.weight"
    paths = {key.removesuffix(down) for key in shapes if key.startswith("transformer.") and key.endswith(down)}
    layers = {
        path.removeprefix("transformer."): (shapes[path + down][1], shapes[path + up][0])
        for path in paths
        if path + up in shapes
    }
    known = {path + end for path in paths for end in (down, up, ".alpha")}
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
