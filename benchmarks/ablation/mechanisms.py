"""What each mechanism of the trainer does: plain LoRA, AdaLoRA, and AdaLoRA with stages, constraint and guidance.

    python benchmarks/ablation/mechanisms.py --work DIR --scans huang-binhong=FOLDER --scans NAME=FOLDER ...

Each painter's scans go through the product's own rooms once, with the profile `miniature`. Then every variant is
trained with every seed, for the same steps, at full strength, and its last state is measured by the evaluation's panel
on the held-out works: nothing is chosen on them. Every run is written to DIR/runs.jsonl when it is done, and not done
again; the tables are printed from there, as means over the seeds and the standard deviation of one run.
"""

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from artmaster_pipeline.axes import AXES
from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.evaluation import Asked, evaluate
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.settings import EvaluationSettings, Home, Profile, TrainingSettings, load_profile
from artmaster_pipeline.training import train_adapter

STAGES = (
    {"name": "tone-and-composition", "share": 0.6, "sigmas": (0.5, 1.0)},
    {"name": "brushwork", "share": 0.4, "sigmas": (0.0, 0.6), "sizes": ("512x512",)},
)
CONSTRAINT = {"weight": 2.0, "max_sigma": 0.4}
GUIDANCE = {"weight": 1.0, "direction_weight": 1.0, "every": 2}
OFF: dict[str, Any] = {
    "adapter": "adalora",
    "stages": (),
    "style_constraint": {"weight": 0.0},
    "semantic_guidance": {"weight": 0.0, "direction_weight": 0.0},
    "strength": 1.0,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain LoRA": {"adapter": "lora"},
    "AdaLoRA": {},
    "AdaLoRA + stages": {"stages": STAGES},
    "AdaLoRA + constraint": {"style_constraint": CONSTRAINT},
    "AdaLoRA + guidance": {"semantic_guidance": GUIDANCE},
}


def main() -> None:
    """Train and measure what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scans", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="optimizer steps (default: the profile's)")
    options = parser.parse_args()
    home, progress = Home(options.work.resolve() / "home"), Progress(bar=True)
    runs = options.work / "runs.jsonl"
    painters = dict(pair.split("=", 1) for pair in options.scans)
    for painter, folder in painters.items():
        prepare(home, painter, Path(folder), progress)
    for seed in range(options.seeds):
        for painter in painters:
            for variant in VARIANTS:
                if not done(runs, painter, variant, seed):
                    found = run(home, painter, variant, seed, options.steps, progress)
                    with runs.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(found) + "\n")
    for painter in painters:
        print(f"\n### {painter}\n\n{table(rows(runs, painter))}")


def prepare(home: Home, painter: str, folder: Path, progress: Progress) -> None:
    """From a folder of scans to the training set."""
    add_scans(home, painter, folder, progress=progress)
    register_scans(home, painter, progress)
    crop_scans(home, painter, progress)
    build_training_set(home, painter, load_profile("miniature"), progress)


def run(home: Home, painter: str, variant: str, seed: int, steps: int | None, progress: Progress) -> dict[str, Any]:
    """Train one variant with one seed and measure it."""
    profile = profile_of(variant, seed, steps)
    adapter = train_adapter(home, painter, profile, progress).records[0]
    measured = evaluate(home, adapter, profile, Asked(), progress).panel
    return {
        "painter": painter,
        "variant": variant,
        "seed": seed,
        "axes": {axis: measured["axes"][axis] for axis in AXES},
        "drift": measured["drift"],
        "consistency": measured["consistency"]["ratio"],
        "suspects": measured["memorisation"]["suspects"],
        "parameters": parameters(home, adapter),
    }


def profile_of(variant: str, seed: int, steps: int | None) -> Profile:
    """The miniature's profile with one variant's mechanisms, without earlier states, with few further pictures."""
    profile = load_profile("miniature")
    training = profile.training.model_dump() | OFF | VARIANTS[variant] | {"seed": seed, "checkpoints": 0}
    training["semantic_guidance"] = profile.training.semantic_guidance.model_dump() | training["semantic_guidance"]
    if not training["stages"]:
        training["stages"] = ()
    training["validation"] = profile.training.validation.model_dump() | {"samples": 0}
    if steps:
        training["max_steps"] = steps
    evaluation = profile.evaluation.model_dump() | {"rows": 1, "strengths": (), "far_samples": 1}
    return profile.model_copy(
        update={
            "training": TrainingSettings.model_validate(training),
            "evaluation": EvaluationSettings.model_validate(evaluation),
        }
    )


def parameters(home: Home, adapter: Adapter) -> int:
    """Numbers in the finished adapter's A and B."""
    from safetensors import safe_open

    with safe_open(home.root / adapter.path / "adapter.safetensors", "pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys() if ".lora_" in name]  # noqa: SIM118
    return sum(a * b for a, b in shapes)


def done(runs: Path, painter: str, variant: str, seed: int) -> bool:
    """Whether a run is already written down."""
    return any((r["painter"], r["variant"], r["seed"]) == (painter, variant, seed) for r in read(runs))


def read(runs: Path) -> list[dict[str, Any]]:
    """All runs that are written down."""
    return [json.loads(line) for line in runs.read_text(encoding="utf-8").splitlines()] if runs.exists() else []


def rows(runs: Path, painter: str) -> list[dict[str, Any]]:
    """A painter's runs."""
    return [run for run in read(runs) if run["painter"] == painter]


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line for each variant."""
    lines = [
        "| variant | tone | brushwork | composition | whole style | consistency | loss of adherence | suspects | "
        "parameters |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for variant in VARIANTS:
        of = [run for run in runs if run["variant"] == variant]
        if of:
            lines.append(f"| {variant} | {' | '.join(cells(of))} |")
    return "\n".join(lines)


def cells(runs: Sequence[dict[str, Any]]) -> list[str]:
    """The figures of one variant over its seeds."""
    axes = [
        spread(run["axes"][axis]["score"] for run in runs if run["axes"][axis]["score"] is not None) for axis in AXES
    ]
    return [
        *axes,
        spread(run["consistency"] for run in runs),
        spread(run["drift"]["loss"] for run in runs),
        str(sum(run["suspects"] for run in runs)),
        f"{statistics.mean(run['parameters'] for run in runs) / 1000:.0f} k",
    ]


def spread(values: Iterable[float]) -> str:
    """Mean and standard deviation of one run."""
    found = list(values)
    if len(found) < 2:
        return " ".join(f"{value:.2f}" for value in found) or "no room"
    return f"{statistics.mean(found):.2f} ± {statistics.stdev(found):.2f}"


if __name__ == "__main__":
    main()
