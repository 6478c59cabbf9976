"""Drawing with several adapters at once, each gated per layer, noise level and image token.

The adapters are attached as one (`joining`), and each of its layers multiplies what is between A and B by the gates of
the experts that the ranks belong to. A hook before each pass of the transformer writes the gates into one buffer for
all layers of a kind and group of blocks, and only when the noise band or the shape of the batch has changed. Compiled
blocks take the gates as inputs, so nothing is compiled again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from artmaster_pipeline.adapters.attaching import detach
from artmaster_pipeline.base_models.family import family_for
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.experts.factors import BlockGroup, FactorMap, group_of
from artmaster_pipeline.experts.joining import joined

if TYPE_CHECKING:
    import torch

MOST_EXPERTS = 8


Hears = Callable[["torch.Tensor"], bool]  # whether the text of a pass is the prompt's


class AnyGate(Protocol):
    """What `mixture` asks of a gate: `gates.Gate` is one, a canvas has another."""

    @property
    def experts(self) -> tuple[str, ...]:
        """The experts' names."""

    @property
    def factor_map(self) -> FactorMap:
        """Which blocks are in which group."""

    @property
    def token_grid(self) -> tuple[int, int] | None:
        """Rows and columns of image tokens; None where all tokens have the same gates."""

    def band(self, sigma: float) -> int:
        """A number for all noise levels at which the gate is the same."""

    def at(self, sigma: float) -> dict[str, np.ndarray]:
        """Expert -> groups x image tokens, or groups x 1."""

    @property
    def text_tokens(self) -> int | None:
        """Of how many text tokens `text_at` speaks; None where text has the mean of the picture's gates."""

    def text_at(self, sigma: float) -> dict[str, np.ndarray]:
        """Expert -> groups x text tokens."""


_NAME = "experts"  # the adapter's on the transformer; no part of any module's path


@dataclass(frozen=True)
class Expert:
    """A folded adapter in a mix: its name in gates, its folder or file, and the strength that multiplies its gate."""

    name: str
    weights: Path
    strength: float = 1.0


@contextmanager
def mixture(
    pipe: Any, experts: Sequence[Expert], gates: Sequence[AnyGate] = (), alike: bool = False
) -> Iterator["Mixing"]:
    """The experts on the pipeline, gated as long as this lasts; afterwards the pipeline is exactly the base's.

    `gates` has one gate for each picture of a batch, or one for all; `Mixing.use` changes them. `alike` is for blocks
    that `sampling.compile_blocks` compiles, as it is of `attach`. What merges adapters into the base's weights raises
    WrongUse meanwhile. Raises WrongUse for experts that cannot be together, and BadInput for a file that is no LoRA of
    this base, before anything is attached.
    """
    _check(pipe, experts)
    together = joined(pipe, [expert.weights for expert in experts], alike)
    try:
        pipe.load_lora_weights(together.tensors, adapter_name=_NAME)
        mixing = Mixing(pipe.transformer, experts, together.ranks)
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
class _Place:
    """What layers have in common that take the same gates: what they see, each expert's ranks, the ranks' dtype."""

    sees: str  # as `Family.sees` says
    ranks: tuple[int, ...]
    dtype: "torch.dtype"


@dataclass(frozen=True)
class _Layout:
    """The shape of a pass."""

    batch: int
    text: int  # tokens
    image: int
    regional: bool
    spoken: bool  # whether text tokens have gates of their own


@dataclass
class _Buffers:
    """Gates as the layers see them, for one layout: place -> its groups x batch x (tokens x) ranks."""

    of_place: "dict[_Place, torch.Tensor]"
    slices: "list[tuple[Any, torch.Tensor]]"  # a layer's A, and its gates: a view of its own, as dynamo wants it
    shown: tuple[int, ...] = field(default=())  # the noise bands, one for each picture, that they hold the gates of


class Mixing:
    """Experts that are attached, and the gates that they are drawn with."""

    def __init__(self, transformer: Any, experts: Sequence[Expert], ranks: Mapping[str, tuple[int, ...]]) -> None:
        """`ranks` says how many of a layer's ranks are each expert's."""
        self._transformer = transformer
        self._experts = tuple(experts)
        self._layers = _gated_layers(transformer, ranks)
        self._gates: tuple[AnyGate, ...] = ()
        self._hears: Hears | None = None
        self._groups: tuple[BlockGroup, ...] = ()
        self._in_groups: dict[str, int] = {}  # layer -> the number of its group of blocks
        self._buffers: dict[_Layout, _Buffers] = {}
        self._bound: _Buffers | None = None

    def use(self, gates: Sequence[AnyGate], hears: "Hears | None" = None) -> None:
        """Draw the next batches with these gates: one for each picture of a batch, or one for all.

        Gates of text tokens hold in the passes whose text `hears` knows as the prompt's; without it in all.

        Raises WrongUse for gates of other experts than those attached, and for gates that cannot be in one batch.
        """
        names = sorted(expert.name for expert in self._experts)
        if not gates:
            raise WrongUse("Pictures cannot be mixed without a gate: name one for each, or one for all.")
        for gate in gates:
            if sorted(gate.experts) != names:
                raise WrongUse(
                    f"The gate is of {', '.join(gate.experts)}, the mix of {', '.join(names)}: "
                    "name the same experts in both."
                )
        if any(gate.factor_map.groups != gates[0].factor_map.groups for gate in gates):
            raise WrongUse("The pictures of a batch have gates of different groups of blocks: draw them apart.")
        self._sort_into_groups(gates[0].factor_map.groups)
        self._gates, self._hears = tuple(gates), hears
        for buffers in self._buffers.values():
            buffers.shown = ()

    def _sort_into_groups(self, groups: Sequence[BlockGroup]) -> None:
        if tuple(groups) != self._groups:
            layers = [layer for of_place in self._layers.values() for layer in of_place]
            self._in_groups = {layer: group_of(layer, groups) for layer in layers}
            self._groups = tuple(groups)
            self._buffers.clear()
            self._bound = None

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
        text = given["encoder_hidden_states"].shape[1]
        gates = self._gates_of(batch)
        spoken = all(gate.text_tokens == text for gate in gates)
        spoken = spoken and (self._hears is None or self._hears(given["encoder_hidden_states"]))
        layout = _Layout(batch, text, image, any(gate.token_grid for gate in gates), spoken)
        if layout.regional:
            _check_grid(gates, image, given["img_ids"])
        sigmas = given["timestep"].float().reshape(-1).tolist()
        sigmas = sigmas * batch if len(sigmas) == 1 else sigmas
        buffers = self._bind(layout, given["hidden_states"].device)
        bands = tuple(gate.band(sigma) for gate, sigma in zip(gates, sigmas, strict=True))
        if buffers.shown != bands:
            spoken_to = self._text_table(gates, sigmas) if spoken else None
            self._fill(buffers, layout, self._table(gates, sigmas), spoken_to)
            buffers.shown = bands

    def _gates_of(self, batch: int) -> tuple[AnyGate, ...]:
        if len(self._gates) not in (1, batch):
            raise WrongUse(
                f"A batch of {batch} pictures has {len(self._gates)} gates: name one for each, or one for all."
            )
        return self._gates * batch if len(self._gates) == 1 else self._gates

    def _bind(self, layout: _Layout, device: Any) -> _Buffers:
        """The buffers of this layout, which the layers take their gates from."""
        buffers = self._buffers.get(layout)
        if buffers is None:
            buffers = self._buffers[layout] = self._new_buffers(layout, device)
        if self._bound is not buffers:
            for down, gates in buffers.slices:
                down.gates = gates
            self._bound = buffers
        return buffers

    def _new_buffers(self, layout: _Layout, device: Any) -> _Buffers:
        import torch

        text = layout.text if layout.spoken else 1
        tokens = {"image": layout.image, "text": text, "both": layout.text + layout.image}
        buffers = _Buffers({}, [])
        with torch.inference_mode(False):  # compiled blocks tell inference tensors from others
            for place, layers in self._layers.items():
                shape = () if place.sees == "vector" else (tokens[place.sees] if layout.regional else 1,)
                groups = self._groups_at(place)
                made = torch.zeros(
                    len(groups), layout.batch, *shape, sum(place.ranks), device=device, dtype=place.dtype
                )
                buffers.of_place[place] = made
                buffers.slices += [(down, made[groups.index(self._in_groups[layer])]) for layer, down in layers.items()]
        return buffers

    def _groups_at(self, place: _Place) -> list[int]:
        return sorted({self._in_groups[layer] for layer in self._layers[place]})

    def _table(self, gates: Sequence[AnyGate], sigmas: Sequence[float]) -> "torch.Tensor":
        """The gates of these noise levels with the experts' strengths: groups x batch x image tokens x experts."""
        return self._as_table([gate.at(sigma) for gate, sigma in zip(gates, sigmas, strict=True)])

    def _text_table(self, gates: Sequence[AnyGate], sigmas: Sequence[float]) -> "torch.Tensor":
        """The same of text tokens: groups x batch x text tokens x experts."""
        return self._as_table([gate.text_at(sigma) for gate, sigma in zip(gates, sigmas, strict=True)])

    def _as_table(self, found: Sequence[Mapping[str, np.ndarray]]) -> "torch.Tensor":
        import torch

        tokens = max(of_expert.shape[-1] for of_picture in found for of_expert in of_picture.values())
        table = np.array(
            [
                [np.broadcast_to(of_picture[expert.name], (len(self._groups), tokens)) for of_picture in found]
                for expert in self._experts
            ]
        )  # experts x batch x groups x tokens
        strengths = np.array([expert.strength for expert in self._experts])
        return torch.from_numpy((table.transpose(2, 1, 3, 0) * strengths).astype(np.float32))

    def _fill(
        self, buffers: _Buffers, layout: _Layout, table: "torch.Tensor", spoken: "torch.Tensor | None" = None
    ) -> None:
        """Write a table of gates into the buffers: of each place's groups and tokens, once for each expert's ranks.

        `spoken` is the table of text tokens, where they have gates of their own.
        """
        import torch

        whole = table.mean(2, keepdim=True)  # text is nowhere in the picture
        text = whole if spoken is None else spoken
        seen = {"image": table, "text": text, "vector": whole[:, :, 0], "both": table}
        if layout.regional:
            seen["both"] = torch.cat([text.expand(-1, -1, layout.text, -1), table], 2)
        device = next(iter(buffers.of_place.values())).device
        seen = {sees: gates.to(device) for sees, gates in seen.items()}
        for place, buffer in buffers.of_place.items():
            owners = [expert for expert, ranks in enumerate(place.ranks) for _ in range(ranks)]
            gates = seen[place.sees].index_select(0, torch.tensor(self._groups_at(place), device=device))
            buffer.copy_(gates.index_select(-1, torch.tensor(owners, device=device)))


def _gated_layers(transformer: Any, ranks: Mapping[str, tuple[int, ...]]) -> dict[_Place, dict[str, Any]]:
    """Make the A of each layer one that takes gates; place -> layer -> its A."""
    family = family_for(transformer)
    found: defaultdict[_Place, dict[str, Any]] = defaultdict(dict)
    for layer, own in ranks.items():
        module = transformer.get_submodule(layer)
        module.scaling[_NAME] = 1.0  # B has it already
        down = _gated_linear()(module.lora_A[_NAME].weight)
        module.lora_A[_NAME] = down
        found[_Place(family.sees(layer), own, down.weight.dtype)][layer] = down
    return dict(found)


@cache
def _gated_linear() -> Any:
    """The class of a linear, of a weight that is there, whose outputs are multiplied by its `gates`."""
    import torch

    class GatedLinear(torch.nn.Linear):
        gates: torch.Tensor

        def __init__(self, weight: torch.nn.Parameter) -> None:
            super().__init__(weight.shape[1], weight.shape[0], bias=False, device="meta")
            self.weight = weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(x, self.weight) * self.gates

    return GatedLinear


def _check_grid(gates: Sequence[AnyGate], image: int, ids: "torch.Tensor") -> None:
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
