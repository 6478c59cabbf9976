"""Refined networks as files: made from scans, and saying which scans they were made from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.files import sha256_of, writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.sessions import session
from artmaster_pipeline.superres.networks import DEFAULT_NETWORK, load_descriptor
from artmaster_pipeline.superres.refining import SIDE, STEPS, refine
from artmaster_pipeline.superres.upscaling.likeness import read_large, shorter_side
from artmaster_pipeline.superres.upscaling.naming import Job, jobs_for

_SUFFIX = ".safetensors"
_MADE_FROM = "artmaster.refined"  # in the file's metadata: JSON
_MOST = 100  # pictures: what more show of a painter's strokes is the same


@dataclass(frozen=True)
class RefinedFile:
    """A refined network, ready to be named as `super_resolution` or `--network`."""

    path: Path
    network: str  # which was refined
    scans: tuple[str, ...]  # sha256 of the files that it was refined on, and judged by
    left: tuple[tuple[Path, str], ...]  # files that were not used, each with the reason
    lpips: tuple[float, float]  # before and after, to pictures that were held out
    texture: tuple[float, float]  # deviation of band strengths there, in dB


@session()
def refine_network(
    inputs: Sequence[Path | str],
    out: Path | str,
    *,
    network: str = DEFAULT_NETWORK,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> RefinedFile:
    """Refine a network on a painter's large scans, files and folders, and write it to `out`, a .safetensors file.

    The file names the scans by their sha256, so that what was made by a withdrawn work is known. Raises WrongUse where
    `out` is there or no .safetensors, where there are too few large scans, or for a network that is not refined;
    ArtMasterError where it came no nearer to scans that were held out: nothing is written then.
    """
    target = Path(out)
    if target.suffix.lower() != _SUFFIX or target.exists():
        why = "is there already" if target.exists() else f"does not end in {_SUFFIX}"
        raise WrongUse(f"{target} {why}: name a new {_SUFFIX} file for the refined network.")
    descriptor = load_descriptor(network)
    least = SIDE * int(descriptor.scale)
    used, left, pictures = list[Path](), list[tuple[Path, str]](), list[np.ndarray]()
    for job in jobs_for([Path(each) for each in inputs], target, _SUFFIX):
        try:
            pictures.append(_large(job, least, len(used)))
            used.append(job.source)
        except BadInput as error:
            left.append((job.source, error.reason))
    refined = refine(descriptor, pictures, steps=steps, seed=seed, progress=progress)
    scans = tuple(sorted({sha256_of(file) for file in used}))
    said = {"network": network, "scans": scans, "steps": steps, "seed": seed, "lpips": refined.lpips}
    from safetensors.torch import save_file

    with writing(target) as temporary:
        save_file(refined.tensors, temporary, {_MADE_FROM: json.dumps(said)})
    return RefinedFile(target, network, scans, tuple(left), refined.lpips, refined.texture)


def _large(job: Job, least: int, used: int) -> np.ndarray:
    """The picture, if it is to be used. Raises BadInput with the reason where not."""
    if used == _MOST:
        raise BadInput(f"{_MOST} others are enough", "")
    if job.problem:
        raise BadInput(job.problem, "Put it right, or take it out")
    if shorter_side(job.source) < least:
        raise BadInput(f"its shorter side has fewer than {least} pixels", "Give a larger scan")
    pixels = read_large(job.source)
    if min(pixels.shape[:2]) < least:
        raise BadInput(f"it is too long and narrow: {pixels.shape[1]}x{pixels.shape[0]} as it is used", "")
    return pixels


def made_from(name_or_path: str) -> frozenset[str]:
    """The sha256 of the scans that a network was refined on; none for one that this product did not refine."""
    file = Path(name_or_path)
    if file.suffix.lower() != _SUFFIX or not file.is_file():
        return frozenset()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return frozenset(json.loads((opened.metadata() or {}).get(_MADE_FROM, "{}")).get("scans", ()))
    except (SafetensorError, ValueError, AttributeError, TypeError) as error:
        raise BadInput(f"{file} does not say what it was made from", "Refine the network again") from error
