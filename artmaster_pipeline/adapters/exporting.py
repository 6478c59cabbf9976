"""Export: a painter's adapter as one file that other programs open.

Two spellings of the same change of weights. `diffusers` keeps the folded LoRA's tensors. `kohya` has the names of
kohya's sd-scripts, which ComfyUI and Forge read too; they follow Black Forest Labs' own FLUX, where q, k and v (in a
single block also the MLP's first layer) are one linear.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from artmaster_pipeline.adapters.describing import DIFFUSERS, words_of
from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.adapters.folder import LORA, made_on
from artmaster_pipeline.adapters.folding import PREFIX
from artmaster_pipeline.adapters.in_use import adapter_in_use
from artmaster_pipeline.adapters.ledger import LEDGER
from artmaster_pipeline.adapters.tensor_file import read_words, write_tensors
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn
from artmaster_pipeline.base_models import describe_base
from artmaster_pipeline.base_models.family import KohyaNames
from artmaster_pipeline.base_models.flux.descriptor import KOHYA_NAMES as FLUX_NAMES
from artmaster_pipeline.base_models.hub import family_here
from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.files import check_folder, sha256_of, writing
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home, load_painter

if TYPE_CHECKING:
    import torch

Format = Literal["diffusers", "kohya"]

SUFFIX = ".safetensors"
_DIFFUSERS_THEN = "Export with --format diffusers."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_DOWN = (_A, ".lora_down.weight")
_ANYONES = re.compile(r"lora[._](A|down)\b")  # a down matrix, however other programs spell it
_LAYER = re.compile(rf"{re.escape(PREFIX)}(\w+)\.(\d+)\.(.+)")  # a list of blocks, the block's number, the layer in it


@dataclass(frozen=True)
class Exported:
    """A file that was written, or was there already with these very bytes."""

    file: Path
    format: Format
    adapter: Adapter
    newer: str = ""  # on a newer adapter that is not published, where there is one

    @property
    def hints(self) -> tuple[str, ...]:
        """How to load the file, a line for each program."""
        name, stem, drawing = self.file.name, self.file.stem, self.adapter.drawing
        strength = drawing.strength if drawing else 1.0
        if not describe_base(self.adapter.base_model).public:
            return ("It fits pipelines of ArtMaster's own load_pipeline alone: no other program has the miniature.",)
        diffusers = f'diffusers: pipe.load_lora_weights({str(self.file.parent)!r}, weight_name="{name}")'
        others = (
            f"ComfyUI: put it into models/loras, choose it in the node LoraLoaderModelOnly, strength {strength}",
            f"Forge: put it into models/Lora, add <lora:{stem}:{strength:g}> to the prompt",
        )
        chosen = (f"It draws best with {drawing.in_words()}.",) if drawing else ()
        if self.format == "diffusers":
            return (diffusers, *others, *chosen)
        return (*others, f'sd-scripts: flux_minimal_inference.py --lora_weights "{name};{strength}"', *chosen)


def export_adapter(
    home: Home,
    painter: str,
    file_format: Format,
    adapter_id: str | None = None,
    out: Path | None = None,
    *,
    uniform_rank: bool = False,
) -> Exported:
    """Write an adapter to one file in `file_format`: the one with that id, else the painter's `adapter_in_use`.

    `out` is the file, or a folder for the default name PAINTER-ID-FORMAT.safetensors; without it the file goes to the
    working folder. `uniform_rank` fills all layers up to one rank, with the same effect, for programs that take no
    other. The same adapter, by a painter of the same name, always gives the same bytes. Raises WrongUse for an
    unknown painter or adapter, a name that does not end in .safetensors, and where a file of that name holds something
    else; ArtMasterError where the painter has no adapter yet; HoldsWithdrawn where a work in it was withdrawn; BadInput
    where the adapter's weights are not there or not those of its record.
    """
    adapter, newer = adapter_in_use(home, painter, adapter_id=adapter_id)
    check_not_withdrawn(home, adapter)
    folder = folder_of(home, adapter)
    name = f"{painter}-{adapter.id}-{file_format}{'-uniform' if uniform_rank else ''}"
    target = _target(out, f"{name}{SUFFIX}")
    tensors = _read(folder / LORA, adapter)
    tensors = to_one_rank(tensors) if uniform_rank else tensors
    names = _kohya_names(adapter, tensors) if file_format == "kohya" else None
    tensors = to_kohya(tensors, names) if names else tensors
    words = words_of(
        adapter,
        load_painter(home, painter).name,
        [len(tensor) for key, tensor in tensors.items() if key.endswith(_DOWN)],
        implementation=names.implementation if names else DIFFUSERS,
        output_name=name,
        date=made_on(folder),
    )
    if ledger := read_words(folder / LORA).get(LEDGER):
        words[LEDGER] = ledger
    if adapter.drawing is not None:
        words["modelspec.usage_hint"] += f"; drawn best with {adapter.drawing.in_words()}"
    check_folder(target.parent)
    if target.is_symlink() and not target.exists():
        raise WrongUse(
            f"{target} is a link to something that is not there: name another file with --out, or remove it."
        )
    with writing(target) as temporary:
        write_tensors(tensors, words | {"artmaster.sha256": adapter.sha256}, temporary)
        if target.exists() and sha256_of(target) != sha256_of(temporary):
            raise WrongUse(f"{target} is there and holds something else: name another file with --out, or remove it.")
    return Exported(target, file_format, adapter, newer)


def holds_lora(names: Iterable[str]) -> bool:
    """Whether tensors of these names are an adapter's, of this product or another."""
    return any(_ANYONES.search(name) for name in names)


def to_one_rank(folded: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """A folded LoRA whose layers all have the largest rank among them: rows and columns of zeros are added.

    alpha becomes that rank, so the change is the same; layers that were left out stay out.
    """
    import torch
    from torch.nn.functional import pad

    rank = max((len(tensor) for key, tensor in folded.items() if key.endswith(_A)), default=0)
    filled = {}
    for key, tensor in folded.items():
        if key.endswith(_A):
            filled[key] = pad(tensor, (0, 0, 0, rank - len(tensor)))
        elif key.endswith(_B):
            filled[key] = pad(tensor, (0, rank - tensor.shape[1])).contiguous()
        else:
            filled[key] = torch.tensor(float(rank))
    return filled


def to_kohya(folded: "dict[str, torch.Tensor]", names: KohyaNames = FLUX_NAMES) -> "dict[str, torch.Tensor]":
    """A folded LoRA (`fold.fold`) in kohya's names: `lora_down.weight`, `lora_up.weight` and `alpha` per linear.

    A fused linear of n parts gets the rank n r, r being the largest rank among them: its down matrix is the parts' A
    below one another, each padded with zero rows to r, and its up matrix is block diagonal in the parts' B. So readers
    that take the parts apart again (diffusers, sd-scripts' converter) find each in its own block. Parts that were left
    out are zero; a linear without any part is left out. alpha is the rank: the change enters with weight 1.
    Raises BadInput for a layer that has no name there.
    """
    import torch

    linears: dict[tuple[str, str, str], dict[str, str]] = {}
    for key in sorted(folded):
        if key.endswith(_A):
            layer = key.removesuffix(_A)
            kind, block, linear, part = _linear_of(layer, names)
            linears.setdefault((kind, block, linear), {})[part] = layer
    converted = {}
    for (kind, block, linear), layers in linears.items():
        down, up = _fuse(folded, names.fused[kind][linear], layers, names)
        name = f"{names.prefix}{names.blocks[kind]}_{block}_{linear}"
        converted[f"{name}.lora_down.weight"] = down
        converted[f"{name}.lora_up.weight"] = up
        converted[f"{name}.alpha"] = torch.tensor(float(len(down)))
    return converted


def _kohya_names(adapter: Adapter, folded: "dict[str, torch.Tensor]") -> KohyaNames:
    """How kohya's scripts call the layers of the adapter's base. Raises BadInput where they have no names for them."""
    family = family_here(adapter.base_model)
    if family is None:  # a hub repository that is not known by name: its layers tell
        return FLUX_NAMES
    if family.kohya is None:
        layer = next(iter(sorted(folded)), "")
        raise BadInput(f"kohya's format has no names for the layers of {family.name} ({layer})", _DIFFUSERS_THEN)
    return family.kohya


def _linear_of(layer: str, names: KohyaNames) -> tuple[str, str, str, str]:
    """Kind of block, its number, kohya's linear and the part of it that a layer of diffusers' is."""
    if match := _LAYER.fullmatch(layer):
        kind, block, part = match.groups()
        for linear, parts in names.fused.get(kind, {}).items():
            if part in parts:
                return kind, block, linear, part
    raise BadInput(
        f"The layer {layer} has no name in kohya's format, which knows the linears in the model's blocks",
        _DIFFUSERS_THEN,
    )


def _fuse(
    folded: "dict[str, torch.Tensor]", parts: tuple[str, ...], layers: dict[str, str], names: KohyaNames
) -> "tuple[torch.Tensor, torch.Tensor]":
    """The down (rank, in) and up (out, rank) matrix of a linear, from those of its parts that are in `layers`."""
    import torch

    matrices = {part: (folded[layer + _A], folded[layer + _B]) for part, layer in layers.items()}
    if len(parts) == 1:
        return matrices[parts[0]]
    rank = max(len(a) for a, _ in matrices.values())
    width = next(iter(matrices.values()))[0].shape[1]
    downs, ups = [], []
    for part in parts:
        outputs = width * names.wider.get(part, 1)
        down, up = torch.zeros(rank, width), torch.zeros(outputs, rank)
        if part in matrices:
            a, b = matrices[part]
            down[: len(a)] = a
            up[:, : len(a)] = b
        downs.append(down)
        ups.append(up)
    return torch.cat(downs), torch.block_diag(*ups)


def _target(out: Path | None, default: str) -> Path:
    if out is None:
        return Path(default)
    if out.is_dir():
        return out / default
    if out.suffix != SUFFIX:
        raise WrongUse(f"--out {out}: name a folder or a file that ends in {SUFFIX}; other programs look for that.")
    return out


def _read(file: Path, adapter: Adapter) -> "dict[str, torch.Tensor]":
    """The tensors of an adapter's folded LoRA, checked against the record."""
    from safetensors.torch import load_file

    way_out = f"Restore it with `dvc checkout`, or make it again with `artmaster run {adapter.painter}`."
    if not file.is_file():
        raise BadInput(f"{file} is not there", way_out)
    if sha256_of(file) != adapter.sha256:
        raise BadInput(f"{file} is not what the record of adapter {adapter.id} says (its sha256 differs)", way_out)
    tensors: dict[str, torch.Tensor] = load_file(file)
    return tensors
