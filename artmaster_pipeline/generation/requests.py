"""What every request for pictures shares, whoever draws them: what is refused, how files are named, what they say."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.withdrawn import check_network_not_withdrawn
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import check_folder, inside
from artmaster_pipeline.pictures import AI_GENERATED, is_whole
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import CROP_SIZES, Home, Profile

if TYPE_CHECKING:
    from artmaster_pipeline.superres.detail import Enlarging

_LONGEST_NAME = 48  # characters of the prompt in a file's name


@dataclass(frozen=True)
class Wanted:
    """A picture to draw and the file it goes to."""

    id: str
    seed: int
    file: Path

    def is_there(self) -> bool:
        """Whether the file is there and whole. Raises WrongUse where something else is in its place."""
        if not self.file.exists():
            return False
        if self.file.is_file() and is_whole(self.file, self.id):
            return True
        raise WrongUse(f"{self.file} exists and is not the picture asked for: move it away or choose another --out.")


def check_request(count: int, size: tuple[int, int], out: Path) -> None:
    """Raise WrongUse for a count, a size or a folder that cannot be."""
    if count < 1:
        raise WrongUse(f"{count} pictures cannot be drawn: ask for one or more.")
    if size not in CROP_SIZES:
        shapes = " or ".join(f"{width}x{height}" for width, height in CROP_SIZES)
        raise WrongUse(f"{size[0]}x{size[1]} is not a size that adapters are trained for: choose {shapes}.")
    check_folder(out)


def how_drawn(
    profile: Profile, drawing: DrawingSettings, size: tuple[int, int], network: Any = None
) -> tuple[Any, ...]:
    """What decides a picture beside its model, prompt and seed, as parts of its id."""
    how: tuple[Any, ...] = (
        profile.size(*size),
        profile.evaluation.num_inference_steps,
        drawing.guidance_scale,
        profile.max_sequence_length,
        (profile.dtype, profile.quantization),
        network.identity if network else "",
    )
    return (*how, further) if (further := drawing.further()) else how


def wanted_files(out: Path, name: str, ids: Iterable[tuple[int, str]]) -> list[Wanted]:
    """Pictures by seed and id, each with its file: NAME-SEED-ID.png."""
    return [Wanted(key, seed, inside(out, f"{name}-{seed}-{key[:8]}.png")) for seed, key in ids]


def file_name(prompt: str, otherwise: str) -> str:
    """The letters and digits of a prompt (of any script) joined by hyphens; `otherwise` where it has none."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", prompt).lower())
    return "-".join(words)[:_LONGEST_NAME].strip("-") or otherwise


def facts_of(
    picture: Wanted,
    adapters: Sequence[Adapter],
    profile: Profile,
    drawing: DrawingSettings,
    prompt: str,
    network: Any = None,
) -> dict[str, Any]:
    """What a picture's file says of itself; `adapters` drew it together."""
    return {
        "id": picture.id,
        "notice": AI_GENERATED,
        "prompt": prompt,
        "seed": picture.seed,
        "adapter": ", ".join(adapter.id for adapter in adapters),
        "base_model": adapters[0].base_model,
        "base_revision": adapters[0].base_revision,
        "num_inference_steps": profile.evaluation.num_inference_steps,
        "guidance_scale": drawing.guidance_scale,
        **drawing.further(),
        **({"enlarged_by": network.name} if network else {}),
    }


def enlarging(
    home: Home,
    painters: Iterable[str],
    profile: Profile,
    size: tuple[int, int],
    wanted: bool,
    long_side: int | None,
    say: Callable[[str], None],
) -> "Enlarging | None":
    """What brings pictures of that training shape to the longer side asked for, or enlarges them in one pass.

    None where neither is wanted, or they have the size, which is said. Raises HoldsWithdrawn where the network was
    refined on a work that may not be used any more.
    """
    from artmaster_pipeline.superres import networks_of

    if not wanted and long_side is None:
        return None
    check_network_not_withdrawn(home, painters, profile.super_resolution)
    by = networks_of(profile, profile.gallery_constraints).to_long_side(profile.size(*size), long_side)
    if by is None:
        say(f"The pictures have {long_side} pixels or more and are left as they are.")
    return by
