"""The proof after a training: the folded LoRA changes every layer as the live adapter does, and changes the base."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.finding import find_adapter, folder_of
from artmaster_pipeline.adapters.folder import LIVE, LORA, live_state
from artmaster_pipeline.adapters.folding import PREFIX
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.training.adalora.injecting import live_scale
from artmaster_pipeline.training.losses.flow_matching import step_generator

if TYPE_CHECKING:
    import torch

# Layers are compared in float64, so that the only rounding is that of the folded file: A E and B scale, each once to
# fp32 (2^-24 of the value). 1e-5 leaves a hundred times that for sums that cancel, and is far below what bf16 rounds.
_TOLERANCE = 1e-5
# A whole prediction in fp32 goes through some 60 layers in another order of multiplications: measured 8e-7. In bf16
# that order alone moves a prediction by more than a wrong layer does, so there it is a figure and no proof.
_PREDICTION_TOLERANCE = 1e-4
_PROBES = 4  # random inputs of every layer; one would do, since a difference that it misses has probability zero
_SIGMA = 0.5
_TEXT_TOKENS = 32


def check_adapter(home: Home, painter: str, profile: Profile) -> dict[str, Any]:
    """Figures of the painter's current adapter: every layer's change, and three predictions of the transformer.

    `weights_difference` compares the folded file with the live state, layer by layer, `folded_difference` the folded
    layers as stock diffusers loads them with that file, whatever the precision of the base; both are shares of a
    layer's largest answer and may be `tolerance`. `prediction_difference` is the largest difference of a prediction in
    the profile's dtype, live against folded, `effect` the largest that the adapter makes to the base. Raises
    ArtMasterError where there is no adapter, the weights differ, or (fp32) the predictions do.
    """
    from artmaster_pipeline.base_models import open_pipeline

    adapter = find_adapter(home, painter)
    folder = folder_of(home, adapter)
    differences = layer_differences(folder)
    worst = max(differences, key=lambda layer: differences[layer], default="")
    by_weights = differences.get(worst, 0.0)
    if by_weights > _TOLERANCE:
        wrong = sum(difference > _TOLERANCE for difference in differences.values())
        raise ArtMasterError(
            f"{folder / LORA} is not what {folder / LIVE} folds to: {wrong} of {len(differences)} layers differ, "
            f"{worst} most ({by_weights:.1e} of its change; {_TOLERANCE:g} is rounding). One of the two was changed: "
            "remove the folder and run the stage style_adapter again."
        )
    with open_pipeline(profile, ("transformer",), home) as pipe:
        figures = {**live_and_folded(pipe, folder, profile), "weights_difference": by_weights}
    if profile.dtype == "float32" and figures["prediction_difference"] > _PREDICTION_TOLERANCE:
        raise ArtMasterError(
            f"With {folder / LORA} the base predicts otherwise than with {folder / LIVE}, by "
            f"{figures['prediction_difference']:.1e} ({_PREDICTION_TOLERANCE:g} is rounding), though their layers "
            "agree: the installed diffusers or peft reads one of them otherwise. Install the locked versions."
        )
    return {**figures, "tolerance": _TOLERANCE, "total_rank": sum(adapter.ranks.values())}


def live_and_folded(pipe: Any, folder: Path, profile: Profile) -> dict[str, float]:
    """The figures of the adapter in `folder` on a pipeline's transformer, which is used up (see `check_adapter`)."""
    from artmaster_pipeline.training.adalora.injecting import ADAPTER_NAME, load_live

    base = _predict(pipe.transformer, profile)
    pipe.load_lora_weights(str(folder), weight_name=LORA, adapter_name=ADAPTER_NAME)
    loaded = loaded_difference(pipe.transformer, folder, ADAPTER_NAME)
    folded = _predict(pipe.transformer, profile)
    pipe.unload_lora_weights()
    load_live(pipe.transformer, folder / LIVE)
    live = _predict(pipe.transformer, profile)
    return {
        "folded_difference": loaded,
        "prediction_difference": (live - folded).abs().max().item(),
        "effect": (folded - base).abs().max().item(),
        "prediction": base.abs().max().item(),
    }


def weights_difference(folder: Path) -> float:
    """The largest of `layer_differences`."""
    return max(layer_differences(folder).values(), default=0.0)


def layer_differences(folder: Path) -> dict[str, float]:
    """Of every layer that the folded file or the live state changes, how far the two changes are apart.

    As the largest difference of the layer's answers to a few random inputs, a share of the largest answer: 0 where they
    are one, 1 where only one of them changes the layer or the shapes do not fit. AdaLoRA and plain LoRA alike.
    """
    from safetensors.torch import load_file

    live, factor = load_file(live_state(folder / LIVE)), live_scale(folder / LIVE)
    wanted = {
        name.removesuffix(".lora_A"): _Change(
            a, live[name.replace(".lora_A", ".lora_B")], factor, live.get(name.replace(".lora_A", ".lora_E"))
        )
        for name, a in live.items()
        if name.endswith(".lora_A")
    }
    given = _folded_changes(load_file(folder / LORA))
    return {layer: _apart(wanted.get(layer), given.get(layer)) for layer in sorted({*wanted, *given})}


def loaded_difference(transformer: Any, folder: Path, name: str) -> float:
    """The largest difference of any layer's change, as loaded on `transformer` under `name` against the folded file.

    The file is brought to the precision in which the layer holds it, so that nothing but a wrong loading differs.
    """
    from safetensors.torch import load_file

    file = _folded_changes(load_file(folder / LORA))
    found = {}
    for path, module in transformer.named_modules():
        if name in getattr(module, "lora_A", ()):
            a, b = module.lora_A[name].weight, module.lora_B[name].weight
            there = file.pop(path, None)
            if there is not None:
                there = _Change(there.a.to(a.dtype), there.b.to(b.dtype), there.scale)
            found[path] = _apart(there, _Change(a.detach().cpu(), b.detach().cpu(), module.scaling[name]))
    missing = [_apart(change, None) for change in file.values()]
    return max([*found.values(), *missing], default=0.0)


@dataclass(frozen=True)
class _Change:
    """What an adapter adds to a layer: scale B diag(E) A, with A (rank, in), B (out, rank) and, live, E (rank, 1)."""

    a: "torch.Tensor"
    b: "torch.Tensor"
    scale: float
    e: "torch.Tensor | None" = None

    def __call__(self, probes: "torch.Tensor") -> "torch.Tensor":
        """The answers to inputs (in, probes), in float64: (out, probes)."""
        inner = self.a.double() @ probes
        if self.e is not None:
            inner = self.e.double().reshape(-1, 1) * inner
        return self.scale * (self.b.double() @ inner)

    @property
    def shape(self) -> tuple[int, int]:
        return self.b.shape[0], self.a.shape[1]


def _folded_changes(tensors: "dict[str, torch.Tensor]") -> dict[str, _Change]:
    """The folded file's layers by their names in the transformer. Raises ArtMasterError for tensors of another form."""
    changes, known = {}, set()
    for name, down in tensors.items():
        if not name.endswith(".lora_A.weight"):
            continue
        layer = name.removesuffix(".lora_A.weight")
        up = tensors.get(f"{layer}.lora_B.weight")
        if up is None or down.ndim != 2 or up.ndim != 2 or up.shape[1] != len(down):
            continue  # named below
        alpha = tensors.get(f"{layer}.alpha")
        scale = 1.0 if alpha is None else float(alpha) / len(down)
        changes[layer.removeprefix(PREFIX)] = _Change(down, up, scale)
        known |= {name, f"{layer}.lora_B.weight", f"{layer}.alpha"}
    strange = sorted(set(tensors) - known)
    if strange:
        raise ArtMasterError(
            f"{LORA} holds {len(strange)} tensors that are no whole pair of a LoRA layer ({', '.join(strange[:3])}): "
            "remove the adapter's folder and run the stage style_adapter again."
        )
    return changes


def _apart(one: _Change | None, other: _Change | None) -> float:
    import torch

    there = [change for change in (one, other) if change is not None]
    if len({change.shape for change in there}) > 1:
        return 1.0
    probes = torch.randn(there[0].shape[1], _PROBES, generator=step_generator(0, 0), dtype=torch.float64)
    answers = [change(probes) for change in there]
    answers += [torch.zeros_like(answers[0])] * (2 - len(answers))
    largest = max(answer.abs().max().item() for answer in answers)
    difference = (answers[0] - answers[1]).abs().max().item()
    if difference == 0:
        return 0.0
    return difference / largest if difference < float("inf") else float("inf")


def _predict(transformer: Any, profile: Profile) -> "torch.Tensor":
    import torch

    config, dtype = transformer.config, getattr(torch, profile.dtype)
    width, height = profile.size(512, 512)
    generator = step_generator(0, 0)
    family = family_for(transformer)
    latents = torch.randn(1, *family.latent_shape(config, width, height), generator=generator)
    shapes = family.text_shapes(config, _TEXT_TOKENS)
    text = TextEmbedding({name: torch.randn(shape, generator=generator) for name, shape in shapes.items()})
    transformer.eval()
    with torch.inference_mode(), torch.autocast(profile.device, dtype, enabled=dtype == torch.bfloat16):
        sigmas = torch.tensor([_SIGMA], device=profile.device)
        guidance = profile.training.guidance_scale
        given = (latents.to(profile.device), sigmas, [text], guidance, dtype)
        return family.predict_velocity(transformer, *given).float().cpu()
