"""A folded LoRA that is not what its live state folds to is found out, in AdaLoRA and plain LoRA, in any precision."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from artmaster_pipeline.adapters.folder import CONFIG, LIVE, LORA, STATE
from artmaster_pipeline.adapters.folding import fold
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.training import adapter_check
from artmaster_pipeline.training.adapter_check import check_adapter, layer_differences, loaded_difference

if TYPE_CHECKING:
    import torch

SCALE = 0.7
Tensors = dict[str, "torch.Tensor"]
LAYERS = {"blocks.0.to_q": (12, 12), "blocks.0.to_out": (12, 20), "blocks.1.to_q": (12, 12)}  # inputs, outputs


@pytest.fixture(params=["adalora", "lora"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An adapter as a training leaves it, of random numbers; AdaLoRA has pruned some rows and one whole layer."""
    import torch
    from safetensors.torch import save_file

    dice = torch.Generator().manual_seed(1)
    live: Tensors = {}
    for layer, (inputs, outputs) in LAYERS.items():
        live[f"{layer}.lora_A"] = torch.randn(4, inputs, generator=dice)
        live[f"{layer}.lora_B"] = torch.randn(outputs, 4, generator=dice)
        if request.param == "adalora":
            live[f"{layer}.lora_E"] = torch.randn(4, 1, generator=dice) * torch.tensor([[1.0], [0.0], [1.0], [1.0]])
    if request.param == "adalora":
        live |= {"blocks.1.to_k.lora_A": torch.randn(4, 12, generator=dice), "blocks.1.to_k.lora_E": torch.zeros(4, 1)}
        live |= {"blocks.1.to_k.lora_B": torch.randn(12, 4, generator=dice)}
    (tmp_path / LIVE).mkdir()
    save_file(live, tmp_path / LIVE / STATE)
    (tmp_path / LIVE / CONFIG).write_text(json.dumps({"scale": SCALE}), encoding="utf-8")
    save_file(fold(live, SCALE), tmp_path / LORA)
    return tmp_path


def change(folder: Path, altered: Callable[[Tensors], Tensors]) -> None:
    from safetensors.torch import load_file, save_file

    save_file({name: t.contiguous() for name, t in altered(load_file(folder / LORA)).items()}, folder / LORA)


def seven_times(tensors: Tensors) -> Tensors:
    return {name: 7 * t if name.endswith("lora_B.weight") else t for name, t in tensors.items()}


def hardly_stronger(tensors: Tensors) -> Tensors:
    return {name: 1.0001 * t if name.endswith("lora_B.weight") else t for name, t in tensors.items()}


def other_alphas(tensors: Tensors) -> Tensors:
    return {name: 7 * t if name.endswith("alpha") else t for name, t in tensors.items()}


def one_layer_missing(tensors: Tensors) -> Tensors:
    return {name: t for name, t in tensors.items() if "blocks.1.to_q" not in name}


def one_layer_more(tensors: Tensors) -> Tensors:
    return tensors | {
        name.replace("blocks.0.to_q", "blocks.7.to_q"): t.clone() for name, t in tensors.items() if "0.to_q" in name
    }


def one_sign_flipped(tensors: Tensors) -> Tensors:
    name = "transformer.blocks.0.to_out.lora_A.weight"
    return tensors | {name: -tensors[name]}


def a_transposed_pair(tensors: Tensors) -> Tensors:
    """B A becomes its transpose: nothing but the numbers shows it in a square layer."""
    a, b = (f"transformer.blocks.0.to_q.lora_{part}.weight" for part in "AB")
    return tensors | {a: tensors[b].T, b: tensors[a].T}


def a_transposed_pair_of_other_shape(tensors: Tensors) -> Tensors:
    a, b = (f"transformer.blocks.0.to_out.lora_{part}.weight" for part in "AB")
    return tensors | {a: tensors[b].T, b: tensors[a].T}


def layers_exchanged(tensors: Tensors) -> Tensors:
    a, b = (f"transformer.blocks.{n}.to_q.lora_B.weight" for n in (0, 1))
    return tensors | {a: tensors[b], b: tensors[a]}


def not_a_number(tensors: Tensors) -> Tensors:
    name = "transformer.blocks.0.to_q.lora_B.weight"
    return tensors | {name: tensors[name] * float("nan")}


FAULTS = (
    seven_times,
    hardly_stronger,
    other_alphas,
    one_layer_missing,
    one_layer_more,
    one_sign_flipped,
    a_transposed_pair,
    a_transposed_pair_of_other_shape,
    layers_exchanged,
    not_a_number,
)


def check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check_adapter`, as far as the weights; the base is not opened."""
    monkeypatch.setattr(adapter_check, "find_adapter", lambda *_: SimpleNamespace(ranks={}))
    monkeypatch.setattr(adapter_check, "folder_of", lambda *_: folder)
    check_adapter(None, "some-painter", SimpleNamespace(dtype="bfloat16"))  # type: ignore[arg-type]


def test_what_folding_gives_agrees_in_every_layer(folder: Path) -> None:
    differences = layer_differences(folder)
    assert set(differences) >= set(LAYERS)
    assert max(differences.values()) < 1e-6


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folded_file_that_is_not_the_live_state_is_refused(
    folder: Path, fault: Callable[[Tensors], Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, fault)
    with pytest.raises(ArtMasterError, match="is not what"):
        check(folder, monkeypatch)


def test_the_worst_layer_is_named_and_how_wrong_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(folder, one_sign_flipped)
    assert layer_differences(folder)["blocks.0.to_out"] == pytest.approx(2)
    with pytest.raises(ArtMasterError, match=r"1 of \d layers differ, blocks\.0\.to_out most"):
        check(folder, monkeypatch)


def test_a_half_pair_is_named(folder: Path) -> None:
    change(folder, lambda tensors: {n: t for n, t in tensors.items() if n != "transformer.blocks.0.to_q.lora_B.weight"})
    with pytest.raises(ArtMasterError, match=r"no whole pair .*blocks\.0\.to_q"):
        layer_differences(folder)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_a_program_loads_is_compared_with_the_file_in_its_own_precision(folder: Path, dtype: str) -> None:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(folder / LORA)

    def loaded(layer: str, scaling: float = 1.0) -> tuple[str, SimpleNamespace]:
        a, b = (tensors[f"transformer.{layer}.lora_{part}.weight"].to(getattr(torch, dtype)) for part in "AB")
        held = {"lora_A": {"x": SimpleNamespace(weight=a)}, "lora_B": {"x": SimpleNamespace(weight=b)}}
        return layer, SimpleNamespace(**held, scaling={"x": scaling})

    def of(*modules: tuple[str, SimpleNamespace]) -> SimpleNamespace:
        return SimpleNamespace(named_modules=lambda: modules)

    whole = [loaded(layer) for layer in LAYERS]
    assert loaded_difference(of(*whole), folder, "x") == 0
    assert loaded_difference(of(*whole[1:]), folder, "x") == 1  # one was not loaded
    assert loaded_difference(of(loaded("blocks.0.to_q", 7.0), *whole[1:]), folder, "x") == pytest.approx(6 / 7)
