"""From a prompt to painters' shares by the learned gate, and in words why."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.experts.factors import FACTORS, NOISE_BANDS, FactorMap
from artmaster_pipeline.experts.learned.learning import STAGE, experts_of
from artmaster_pipeline.experts.learned.network import REGIONS, logits
from artmaster_pipeline.experts.learned.strangers import distances
from artmaster_pipeline.experts.records import ExpertGate
from artmaster_pipeline.files import inside, sha256_of
from artmaster_pipeline.records import MANIFEST, Adapter, read_manifest
from artmaster_pipeline.settings import Home, Profile, load_painter

if TYPE_CHECKING:
    import torch

    from artmaster_pipeline.experts.learned.network import Parameters

_LEVELS = 4  # noise levels within each band at which the gate is asked


@dataclass(frozen=True)
class LearnedShares:
    """How a prompt is shared out among painters; weights of all painters add up to one."""

    weights: dict[str, float]  # over all noise levels
    by_band: dict[str, tuple[float, ...]]  # in each noise band, from no noise on
    nobody: float  # how much the gate would leave to the base; not taken off the weights
    fits: bool  # whether the prompt is like any caption that the gate knows; else all painters get alike
    named: tuple[str, ...]  # the painters that the prompt names
    says: str  # why, as a sentence
    gate_id: str = ""  # empty where the prompt names painters, so that no gate was asked

    def shares(self, factor_map: FactorMap | None = None) -> dict[str, dict[str, float]]:
        """P, painter -> factor -> share: the weights in the bands where the factor lives (none: in all alike)."""
        if factor_map is None:
            return {painter: dict.fromkeys(FACTORS, weight) for painter, weight in self.weights.items()}
        rows = {}
        for painter, weights in self.by_band.items():
            rows[painter] = {
                factor: sum(a * b for a, b in zip(weights, psi, strict=True)) / (sum(psi) or 1.0)
                for factor, psi in factor_map.psi.items()
            }
        return rows


def learned_shares(
    home: Home,
    profile: Profile,
    prompt: str,
    painters: Sequence[str],
    *,
    region: str = "whole",
    noise_bands: Sequence[float] = NOISE_BANDS,
) -> LearnedShares:
    """The painters' shares in a prompt, by the gate that was taught for these painters and their adapters in use.

    A prompt that names painters, by name, slug or trigger word, gets those. One that fits nobody is shared out evenly,
    and `says` tells so. Raises ArtMasterError where there is no gate of these painters, or their adapters are others by
    now; HoldsWithdrawn where a work in one was withdrawn.
    """
    adapters = experts_of(home, painters, profile)
    bands = len(noise_bands) - 1
    if named := named_in(home, prompt, adapters):
        weights = {a.painter: (1 / len(named) if a.painter in named else 0.0) for a in adapters}
        said = f"The prompt names {' and '.join(load_painter(home, each).name for each in named)}."
        return LearnedShares(weights, {p: (w,) * bands for p, w in weights.items()}, 0.0, True, named, said)
    gate, folder = find_gate(home, adapters)
    parameters = read_weights(gate, folder)
    text = _pooled(home, profile, prompt)
    by_band, nobody = _asked(parameters, gate, text, region, noise_bands, [a.painter for a in adapters])
    if stranger := _unread(home, profile, prompt) or _far(gate, float(distances(parameters, text)[0])):
        fits, said = False, f"The prompt fits nobody: {stranger}, so all painters get the same share."
    else:
        fits, said = True, _weighed(home, gate, by_band)
    if not fits:
        by_band = {painter: (1 / len(by_band),) * bands for painter in by_band}
    weights = {painter: sum(of) / bands for painter, of in by_band.items()}
    return LearnedShares(weights, by_band, nobody, fits, (), said, gate.id)


def named_in(home: Home, prompt: str, adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """The painters whose name, slug or trigger word stands in a prompt as whole words."""
    found = []
    for adapter in adapters:
        settings = load_painter(home, adapter.painter)
        names = (settings.name, adapter.painter, adapter.painter.replace("-", " "), adapter.trigger, settings.trigger)
        if any(_says(prompt, name) for name in names):
            found.append(adapter.painter)
    return tuple(found)


def _says(prompt: str, name: str) -> bool:
    words = r"\s+".join(re.escape(word) for word in name.split())
    return bool(re.search(rf"(?<!\w){words}(?!\w)", prompt, re.IGNORECASE))


def find_gate(home: Home, adapters: Sequence[Adapter]) -> tuple[ExpertGate, Path]:
    """The gate of these painters, or the smallest that knows them all, with its partition's folder.

    Raises ArtMasterError as `learned_shares` does.
    """
    wanted = {adapter.painter: adapter.id for adapter in adapters}
    command = f"artmaster experts gate {' '.join(sorted(wanted))}"
    place = home.stage_folder(STAGE, next(iter(wanted))).parent
    gates = [
        (gate, manifest.parent)
        for manifest in sorted(place.glob(f"*/{MANIFEST}"))
        for gate in read_manifest(manifest, ExpertGate)
        if set(wanted) <= set(gate.painters)
    ]
    if not gates:
        raise ArtMasterError(f"No gate has been taught for {', '.join(sorted(wanted))}. Teach one: {command}")
    current = [each for each in gates if wanted.items() <= each[0].taught_with.items()]
    if not current:
        raise ArtMasterError(
            f"The gate of {', '.join(sorted(wanted))} was taught with other adapters than those in use. "
            f"Teach it anew: {command}"
        )
    return min(current, key=lambda each: (len(each[0].painters), each[1].name))


def read_weights(gate: ExpertGate, folder: Path) -> "Parameters":
    """The gate's parameters. Raises ArtMasterError where the file is not what the record says."""
    from safetensors.torch import load_file

    file = inside(folder, gate.path)
    if not file.is_file() or sha256_of(file) != gate.sha256:
        command = f"artmaster experts gate {' '.join(gate.painters)}"
        raise ArtMasterError(f"{file} is missing or not as written. Teach the gate anew: {command}")
    parameters: Parameters = load_file(file)
    return parameters


def _pooled(home: Home, profile: Profile, prompt: str) -> "torch.Tensor":
    """(1, features)."""
    from artmaster_pipeline.base_models import family_of
    from artmaster_pipeline.generation.sampling import embed_texts

    embedding = embed_texts(profile, [prompt], home)[prompt]
    return family_of(profile, home).pooled_text(embedding).float()[None]


def _asked(
    parameters: "Parameters",
    gate: ExpertGate,
    text: "torch.Tensor",
    region: str,
    noise_bands: Sequence[float],
    painters: Sequence[str],
) -> tuple[dict[str, tuple[float, ...]], float]:
    """Painter -> weight by band, adding up to one in each, and nobody's weight over all bands."""
    import torch

    columns = [gate.painters.index(painter) for painter in painters]
    found, nobody = [], []
    for low, high in pairwise(noise_bands):
        sigmas = low + (high - low) * (torch.arange(_LEVELS) + 0.5) / _LEVELS
        regions = torch.full((_LEVELS,), REGIONS.index(region))
        answer = logits(parameters, text.expand(_LEVELS, -1), regions, sigmas)
        found.append((answer[:, columns] / gate.temperature).softmax(1).mean(0).tolist())
        nobody.append(float(answer.softmax(1)[:, -1].mean()))
    by_band = {painter: tuple(row[place] for row in found) for place, painter in enumerate(painters)}
    return by_band, sum(nobody) / len(nobody)


def _unread(home: Home, profile: Profile, prompt: str) -> str:
    """That the base reads too little of a prompt to say whose it is, in words; empty where it reads enough."""
    from artmaster_pipeline.base_models.legibility import legibility_of

    known = legibility_of(profile, home)
    unread = known.unread(prompt) if known else 0.0
    if unread <= profile.max_unread:
        return ""
    return f"the base does not know {unread:.0%} of its words (more than {profile.max_unread:.0%})"


def _far(gate: ExpertGate, distance: float) -> str:
    """That an embedding is farther from what the gate knows than held-out captions are, in words; empty where not."""
    if gate.threshold is None or distance <= gate.threshold:
        return ""
    return (
        f"it is farther ({distance:.1f}) from every painter's captions than all but {gate.settings['rejected']:.0%} of "
        f"the held-out captions are ({gate.threshold:.1f})"
    )


def _weighed(home: Home, gate: ExpertGate, by_band: Mapping[str, tuple[float, ...]]) -> str:
    ordered = sorted(by_band, key=lambda painter: -sum(by_band[painter]))
    shares = ", ".join(
        f"{load_painter(home, painter).name} {sum(by_band[painter]) / len(by_band[painter]):.0%}" for painter in ordered
    )
    unknown = " Whether it fits anybody cannot be said: no captions were held out." if gate.threshold is None else ""
    return f"By the learned gate: {shares}.{unknown}"
