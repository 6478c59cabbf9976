"""From a mix to the gates of its pictures: shares by a person or by the learned gate, regions, the experts' maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.base_models.family import family_for
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.experts.factors import FACTORS, FactorMap, block_groups
from artmaster_pipeline.experts.gates import Gate
from artmaster_pipeline.experts.mixing import Expert
from artmaster_pipeline.experts.resolving import Resolved
from artmaster_pipeline.records import Adapter, identity
from artmaster_pipeline.settings import Home

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Knowledge:
    """What the house knows of experts beside their weights: where the factors live of those that were mapped."""

    maps: Mapping[str, FactorMap]  # painter -> its expert's

    @property
    def identity(self) -> str:
        """Part of the id of each picture that is drawn by it; empty where nothing is known."""
        if not self.maps:
            return ""
        return identity("factor maps", {name: of.model_dump(mode="json") for name, of in sorted(self.maps.items())})

    def map_for(self, transformer: Any) -> FactorMap:
        """The map of a mix: the mean of the experts' that have one, the flat one where none has."""
        if self.maps:
            return FactorMap.mean([self.maps[painter] for painter in sorted(self.maps)])
        return FactorMap.flat(block_groups(transformer))


def knowledge_of(home: Home, adapters: Sequence[Adapter]) -> Knowledge:
    """The factor maps of these adapters, of those that have been mapped (`artmaster experts map`)."""
    from artmaster_pipeline.experts.map import factor_map_of

    maps = {adapter.painter: factor_map_of(home, adapter) for adapter in adapters}
    return Knowledge({painter: found for painter, found in maps.items() if found is not None})


def unmapped(resolved: Resolved, knowledge: Knowledge) -> str:
    """A sentence where shares differ by factor and nobody knows where factors live; empty otherwise."""
    shares = resolved.mix.shares.values()
    if knowledge.maps or all(len(set(of.values())) == 1 for of in shares):
        return ""
    who = " and ".join(f"artmaster experts map {painter}" for painter in resolved.mix.painters)
    return (
        "None of these experts was mapped, so factors weigh alike everywhere, and each painter has the mean of its "
        f"shares. To find where composition, colour and brush live: {who}"
    )


def by_prompt(home: Home, resolved: Resolved, prompt: str) -> tuple[Resolved, str]:
    """The mix for a prompt, as the learned gate shares it out, and why; any other mix as it is.

    Raises ArtMasterError where no gate was taught for these painters and adapters.
    """
    if resolved.mix.gate != "learned":
        return resolved, ""
    from artmaster_pipeline.experts.learned import learned_shares

    found = learned_shares(home, resolved.profile, prompt, resolved.mix.painters)
    bands = {painter: tuple(reversed(found.by_band[painter])) for painter in resolved.mix.painters}
    mix = resolved.mix.model_copy(update={"bands": bands})
    return replace(resolved, mix=mix), found.says


def gate_id(home: Home, resolved: Resolved) -> str:
    """The id of the learned gate that shares prompts out in a mix; empty where the mix asks none. Raises as above."""
    if resolved.mix.gate != "learned":
        return ""
    from artmaster_pipeline.experts.learned.sharing_out import find_gate

    return find_gate(home, resolved.adapters)[0].id


def has_gate(home: Home, resolved: Resolved) -> bool:
    """Whether a gate was taught for these painters and adapters."""
    try:
        return bool(gate_id(home, replace(resolved, mix=resolved.mix.model_copy(update={"gate": "learned"}))))
    except ArtMasterError:
        return False


def experts_of(home: Home, resolved: Resolved) -> tuple[Expert, ...]:
    """The experts as `mixture` takes them, under their painters' names."""
    return tuple(
        Expert(chosen.adapter.painter, folder_of(home, chosen.adapter), chosen.strength) for chosen in resolved.experts
    )


def gate_of(
    home: Home,
    resolved: Resolved,
    factor_map: FactorMap,
    tokens: tuple[int, int],
) -> Gate:
    """The gate of a picture with so many rows and columns of image tokens.

    Shares are the person's, else equal ones; regions and noise bands, the learned gate's too, say where and when an
    expert is there.
    """
    mix = resolved.mix
    alike = dict.fromkeys(FACTORS, 1 / len(mix.painters))
    return Gate(
        shares=mix.shares or dict.fromkeys(mix.painters, alike),
        factor_map=factor_map,
        regions={painter: region(home.root / path, tokens) for painter, path in mix.regions.items()},
        bands={painter: tuple(reversed(of)) for painter, of in mix.bands.items()},  # a gate's begin where noise ends
        convex=mix.convex,
    )


def token_grid(pipe: Any, width: int, height: int) -> tuple[int, int]:
    """Rows and columns of image tokens of a picture of so many of the model's pixels."""
    grid = family_for(pipe).pixels_per_token
    return height // grid, width // grid


def region(file: Path, tokens: tuple[int, int]) -> tuple[tuple[float, ...], ...]:
    """A map of a region at the tokens' resolution, 0 (black) to 1 (white): the mean over each token's part of it.

    Where the PNG is transparent it counts as black.
    """
    values = _grey(file, tokens)
    return tuple(tuple(round(float(value), 4) for value in row) for row in values)


def _grey(file: Path, tokens: tuple[int, int]) -> "np.ndarray":
    import numpy as np
    from PIL import Image

    rows, columns = tokens
    with Image.open(file, formats=["PNG"]) as image:
        flat = Image.new("RGBA", image.size, (0, 0, 0, 255))
        flat.alpha_composite(image.convert("RGBA"))
        small = flat.convert("L").resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255
