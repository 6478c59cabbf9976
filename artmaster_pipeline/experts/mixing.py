"""Drawing with several adapters at once, each gated per layer, noise level and image token.

PEFT's layers multiply each adapter's part by `scaling[name]`. Here that is a tensor of the layer's own, a slice of one
buffer for all layers that see the same tokens, and a hook before each pass of the transformer writes the gates into
the buffers: a few operations, and only when the noise band or the shape of the batch has changed. Compiled blocks take
the tensors as inputs, so nothing is compiled again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.adapters.attaching import attach_several, detach
from artmaster_pipeline.base_models.family import family_for
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.experts.gates import Gate

if TYPE_CHECKING:
    import torch

MOST_EXPERTS = 8


@dataclass(frozen=True)
class Expert:
    """A folded adapter in a mix: its name in gates, its folder or file, and the strength that multiplies its gate."""

    name: str
    weights: Path
    strength: float = 1.0


@contextmanager
def mixture(
    pipe: Any, experts: Sequence[Expert], gates: Sequence[Gate] = (), alike: bool = False
) -> Iterator["Mixing"]:
    """The experts on the pipeline, gated as long as this lasts; afterwards the pipeline is exactly the base's.

    `gates` has one gate for each picture of a batch, or one for all; `Mixing.use` changes them. `alike` is for blocks
    that `sampling.compile_blocks` compiles: it fills the adapters up to the same layers and one rank (`attach`). What
    merges adapters into the base's weights raises WrongUse meanwhile. Raises WrongUse for experts that cannot be
    together, and BadInput for a file that is no LoRA of this base, before anything is attached.
    """
    _check(pipe, experts)
    names = {f"expert{number}": expert for number, expert in enumerate(experts)}  # no part of any module's path
    try:
        attach_several(pipe, {name: (expert.weights, expert.strength) for name, expert in names.items()}, alike)
        mixing = Mixing(pipe.transformer, {name: expert.name for name, expert in names.items()})
        if gates:
            mixing.use(gates)
        with mixing.at_work():
            yield mixing
    finally:
        detach(pipe)


def _check(pipe: Any, experts: Sequence[Expert]) -> None:
    names, faults = [expert.name for expert in experts], []
    if not 1 <= len(names) <= MOST_EXPERTS:
        faults.append(f"{len(names)} experts cannot be mixed: name 1 to {MOST_EXPERTS}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        faults.append(f"{', '.join(twice)} is in the mix twice: name each expert once")
    if any(pipe.get_list_adapters().values()):
        faults.append("another adapter is on the pipeline: take it off with `detach` first")
    if faults:
        raise WrongUse("; ".join(faults) + ".")


@dataclass(frozen=True)
class _Slot:
    """An expert's part in one layer."""

    layer: str  # its path in the transformer
    scaling: dict[str, Any]  # the layer's own, by adapter
    name: str  # the adapter's
    expert: int
    scale: float  # what the layer multiplies the expert's part by where its gate is one


@dataclass(frozen=True)
class _Layout:
    """The shape of a pass."""

    batch: int
    text: int  # tokens
    image: int
    regional: bool


@dataclass
class _Buffers:
    """Gates as the layers see them, for one layout."""

    of_kind: "dict[str, torch.Tensor]"  # what layers see -> slots x batch x (tokens x) 1
    slices: "list[torch.Tensor]"  # of all slots, in their order
    shown: tuple[Any, ...] = field(default=())  # the noise bands, one for each picture, that they hold the gates of


class Mixing:
    """Experts that are attached, and the gates that they are drawn with."""

    def __init__(self, transformer: Any, names: Mapping[str, str]) -> None:
        """`names` are the experts' by their adapters' on the transformer."""
        self._transformer = transformer
        self._experts = tuple(names.values())
        self._slots = _slots(transformer, tuple(names))
        self._gates: tuple[Gate, ...] = ()
        self._places: dict[str, tuple[Any, Any]] = {}  # what layers see -> slots' rows in a table of gates, scales
        self._buffers: dict[_Layout, _Buffers] = {}
        self._bound: _Buffers | None = None

    def use(self, gates: Sequence[Gate]) -> None:
        """Draw the next batches with these gates: one for each picture of a batch, or one for all.

        Raises WrongUse for gates of other experts than those attached, and for gates that cannot be in one batch.
        """
        if not gates:
            raise WrongUse("Pictures cannot be mixed without a gate: name one for each, or one for all.")
        for gate in gates:
            if sorted(gate.experts) != sorted(self._experts):
                raise WrongUse(
                    f"The gate is of {', '.join(gate.experts)}, the mix of {', '.join(self._experts)}: "
                    "name the same experts in both."
                )
        if any(gate.factor_map.groups != gates[0].factor_map.groups for gate in gates):
            raise WrongUse("The pictures of a batch have gates of different groups of blocks: draw them apart.")
        if not self._gates or self._gates[0].factor_map.groups != gates[0].factor_map.groups:
            self._places = _places(self._slots, gates[0])
        self._gates = tuple(gates)
        for buffers in self._buffers.values():
            buffers.shown = ()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Gate every pass of the transformer as long as this lasts."""
        hook = self._transformer.register_forward_pre_hook(self._before_pass, with_kwargs=True)
        self._transformer.fuse_lora = _refuse_to_fuse  # hides the class's
        try:
            yield
        finally:
            del self._transformer.fuse_lora
            hook.remove()

    def _before_pass(self, _: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        """Let the layers see the gates of this pass. Its `timestep` is sigma itself, as diffusers calls FLUX."""
        if not self._gates:
            raise WrongUse("Pictures cannot be mixed without a gate: give `mixture` gates, or call `use`.")
        batch, image = given["hidden_states"].shape[:2]
        gates = self._gates_of(batch)
        layout = _Layout(batch, given["encoder_hidden_states"].shape[1], image, any(g.token_grid for g in gates))
        if layout.regional:
            _check_grid(gates, image, given["img_ids"])
        sigmas = given["timestep"].float().reshape(-1).tolist()
        sigmas = sigmas * batch if len(sigmas) == 1 else sigmas
        buffers = self._bind(layout, given["hidden_states"].device)
        bands = tuple(gate.band(sigma) for gate, sigma in zip(gates, sigmas, strict=True))
        if buffers.shown != bands:
            self._fill(buffers, layout, gates, sigmas)
            buffers.shown = bands

    def _gates_of(self, batch: int) -> tuple[Gate, ...]:
        if len(self._gates) not in (1, batch):
            raise WrongUse(
                f"A batch of {batch} pictures has {len(self._gates)} gates: name one for each, or one for all."
            )
        return self._gates * batch if len(self._gates) == 1 else self._gates

    def _bind(self, layout: _Layout, device: Any) -> _Buffers:
        """The buffers of this layout, and the layers' scalings their slices."""
        slots = [slot for of_kind in self._slots.values() for slot in of_kind]
        buffers = self._buffers.get(layout)
        if buffers is None:
            buffers = self._buffers[layout] = self._new_buffers(layout, device)
        if self._bound is not buffers:
            for slot, part in zip(slots, buffers.slices, strict=True):
                slot.scaling[slot.name] = part
            self._bound = buffers
        elif any(slot.scaling.get(slot.name) is not part for slot, part in zip(slots, buffers.slices, strict=True)):
            raise WrongUse("The adapters' strengths were set anew while they are mixed: change the gates instead.")
        return buffers

    def _new_buffers(self, layout: _Layout, device: Any) -> _Buffers:
        import torch

        tokens = {"image": layout.image, "text": 1, "both": layout.text + layout.image}
        of_kind = {}
        with torch.inference_mode(False):  # compiled blocks would tell inference tensors from others
            for kind, slots in self._slots.items():
                shape = (1,) if kind == "vector" else (tokens[kind] if layout.regional else 1, 1)
                dtype = self._transformer.get_submodule(slots[0].layer).lora_B[slots[0].name].weight.dtype
                of_kind[kind] = torch.zeros(len(slots), layout.batch, *shape, device=device, dtype=dtype)
            return _Buffers(of_kind, [part for buffer in of_kind.values() for part in buffer.unbind()])

    def _fill(self, buffers: _Buffers, layout: _Layout, gates: Sequence[Gate], sigmas: Sequence[float]) -> None:
        """Write the gates of these noise levels into the buffers."""
        import torch

        table = torch.from_numpy(self._table(gates, sigmas).astype(np.float32))  # rows x batch x image tokens
        whole = table.mean(-1, keepdim=True)
        seen = {"image": table, "text": whole, "vector": whole[..., 0], "both": table}
        if layout.regional:  # text tokens are nowhere in the picture, so they have the mean
            seen["both"] = torch.cat([whole.expand(-1, -1, layout.text), table], -1)
        for kind, buffer in buffers.of_kind.items():
            rows, scales = (tensor.to(buffer.device) for tensor in self._places[kind])
            values = seen[kind].to(buffer.device).index_select(0, rows).reshape(buffer.shape)
            buffer.copy_(values * scales.reshape(-1, *(1,) * (buffer.ndim - 1)))

    def _table(self, gates: Sequence[Gate], sigmas: Sequence[float]) -> np.ndarray:
        """(Experts times groups) x batch x tokens."""
        found = [gate.at(sigma) for gate, sigma in zip(gates, sigmas, strict=True)]
        tokens = max(gate.shape[-1] for of_picture in found for gate in of_picture.values())
        table = np.array(
            [
                [np.broadcast_to(of_picture[expert], (len(of_picture[expert]), tokens)) for of_picture in found]
                for expert in self._experts
            ]
        )  # experts x batch x groups x tokens
        return table.transpose(0, 2, 1, 3).reshape(-1, len(found), tokens)


def _slots(transformer: Any, names: Sequence[str]) -> dict[str, list[_Slot]]:
    """What layers see -> the experts' parts in them."""
    from peft.tuners.lora import LoraLayer

    family = family_for(transformer)
    found: defaultdict[str, list[_Slot]] = defaultdict(list)
    for layer, module in transformer.named_modules():
        if isinstance(module, LoraLayer):
            found[family.sees(layer)] += [
                _Slot(layer, module.scaling, name, number, float(module.scaling[name]))
                for number, name in enumerate(names)
                if name in module.lora_A
            ]
    return dict(found)


def _places(slots: Mapping[str, Sequence[_Slot]], gate: Gate) -> dict[str, tuple[Any, Any]]:
    """What layers see -> the slots' rows in a table of experts times groups, and their scales."""
    import torch

    groups = len(gate.factor_map.groups)
    return {
        kind: (
            torch.tensor([slot.expert * groups + gate.factor_map.group_of(slot.layer) for slot in of_kind]),
            torch.tensor([slot.scale for slot in of_kind]),
        )
        for kind, of_kind in slots.items()
    }


def _check_grid(gates: Sequence[Gate], image: int, ids: "torch.Tensor") -> None:
    """Raise WrongUse unless the regions are of the picture's size, which its last token's row and column tell."""
    row, column = (int(place) for place in ids.reshape(-1, ids.shape[-1])[-1, 1:3].tolist())
    there = (row + 1, column + 1)
    for grid in {gate.token_grid for gate in gates} - {None, there}:
        raise WrongUse(
            f"A region map of {grid} tokens, rows and columns, is for pictures of another size than {there}."
        )
    if there[0] * there[1] != image:
        raise WrongUse(f"{image} image tokens are no grid of {there}: region maps are for pictures alone.")


def _refuse_to_fuse(*_: Any, **__: Any) -> None:
    raise WrongUse("Gated adapters cannot be fused into the base's weights: their gates change with layer and noise.")
