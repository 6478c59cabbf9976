"""Does a training that starts from the last adapter get further, or get there sooner, than one from the base alone?

    python benchmarks/training/warm_start.py --work DIR --scans FOLDER [--seeds 2] [--steps N]

An archive that grows: an adapter is trained on the first four fifths of the scans, by name; then the others arrive, and
on all of them adapters are trained from the base alone and from that first adapter, for all of the profile's steps and
for shares of them. What is compared is the validation panel's score, on works that none of the trainings saw, read
at the same steps. Every run is written to DIR/runs.jsonl when it is done, and not done again.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from artmaster_pipeline.adapters.folder import VALIDATION_PANEL, WATCH, read_watch
from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.evaluation import validation_panel
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import MANIFEST, Adapter, write_manifest
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.settings import Home, Profile, TrainingSettings, load_profile
from artmaster_pipeline.training import train_adapter

PAINTER = "growing"
FIRST = 0.8  # of the scans
FRESH = "the base alone"
SHARES = (1.0, 0.5)  # of the steps, from the first adapter
READ_EVERY = 50  # steps
PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")


def main() -> None:
    """Train and read what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=400, help="of a whole training")
    options = parser.parse_args()
    home, progress = Home(options.work.resolve() / "home"), Progress(bar=True)
    runs = options.work / "runs.jsonl"
    deliveries = delivered(options.scans, options.work / "deliveries")
    first = {}
    for number, folder in enumerate(deliveries):
        add_scans(home, PAINTER, folder, progress=progress)
        register_scans(home, PAINTER, progress)
        crop_scans(home, PAINTER, progress)
        build_training_set(home, PAINTER, profile_of(0, options.steps), progress)
        for seed in range(options.seeds) if number == 0 else ():
            first[seed] = train_adapter(home, PAINTER, profile_of(seed, options.steps), progress).records[0]
    for seed in range(options.seeds):
        for start, share in ((FRESH, 1.0), *(("the first adapter", share) for share in SHARES)):
            if not any((run["seed"], run["start"], run["share"]) == (seed, start, share) for run in read(runs)):
                found = trained(
                    home, first[seed], profile_of(seed, options.steps, None if start == FRESH else share), progress
                )
                with runs.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"seed": seed, "start": start, "share": share} | found) + "\n")
    print(table(read(runs)))


def delivered(scans: Path, folder: Path) -> tuple[Path, Path]:
    """Two folders of links: the first part of the scans, and the rest."""
    files = sorted(file for file in scans.rglob("*") if file.suffix.lower() in PICTURES)
    cut = round(len(files) * FIRST)
    for name, part in (("first", files[:cut]), ("rest", files[cut:])):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in part:
            link = folder / name / f"{sha256_of(file)[:8]}-{file.name}"
            if not link.exists():
                link.symlink_to(file.resolve())
    return folder / "first", folder / "rest"


def profile_of(seed: int, steps: int, share: float | None = None) -> Profile:
    """The miniature's profile, with a fifth of the works for validation; from the last adapter where a share is given.

    The panel reads every 50 steps, and no way of drawing is chosen: all are drawn as the profile says.
    """
    profile = load_profile("miniature")
    further: dict[str, Any] = {
        "seed": seed,
        "max_steps": steps,
        "checkpoints": round(steps * (share or 1) / READ_EVERY) - 1,
    }
    further |= {"warm_start": True, "warm_start_share": share} if share else {}
    training = profile.training.model_dump() | further
    training["validation"] = profile.training.validation.model_dump() | {"samples": 0, "drawings": ()}
    return profile.model_copy(
        update={"validate_share": 0.2, "training": TrainingSettings.model_validate(training)},
    )


def trained(home: Home, first: Adapter, profile: Profile, progress: Progress) -> dict[str, Any]:
    """The panel's score by step; the painter's last adapter is `first` again when the training begins."""
    write_manifest(home.adapters(PAINTER) / MANIFEST, [first])
    adapter = train_adapter(home, PAINTER, profile, progress, validation_panel).records[0]
    if adapter.started_from != (first.id if profile.training.warm_start else ""):
        raise SystemExit(
            f"The training started from {adapter.started_from or 'the base'}, which is not what was asked."
        )
    rows = [r for r in read_watch(home.root / adapter.path / WATCH) if r["what"] == VALIDATION_PANEL]
    return {"scores": {str(row["step"]): row["score"] for row in rows}}


def read(runs: Path) -> list[dict[str, Any]]:
    """All runs that are written down."""
    return [json.loads(line) for line in runs.read_text(encoding="utf-8").splitlines()] if runs.exists() else []


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: medians over the seeds, and when each run first reached what the fresh one of its seed ended at."""
    ends = {run["seed"]: last(run) for run in runs if run["start"] == FRESH}
    lines = [
        "| starts from | steps | last score | best score | reached the fresh training's last score |",
        "|" + "---|" * 5,
    ]
    for start, share in sorted(
        {(run["start"], run["share"]) for run in runs}, key=lambda kind: (kind[0] != FRESH, -kind[1])
    ):
        of = [run for run in runs if (run["start"], run["share"]) == (start, share)]
        reached = [str(first_at(run, ends[run["seed"]]) or "never") for run in of]
        best = statistics.median(max(run["scores"].values()) for run in of)
        steps = max(int(step) for run in of for step in run["scores"])
        end = statistics.median(map(last, of))
        lines.append(f"| {start} | {steps} | {end:.2f} | {best:.2f} | {', '.join(reached)} |")
    return "\n".join(lines)


def last(run: dict[str, Any]) -> float:
    """The score of a run's last step."""
    return float(run["scores"][max(run["scores"], key=int)])


def first_at(run: dict[str, Any], score: float) -> int:
    """The first step that was read with at least that score; 0 where none was."""
    return min((int(step) for step, found in run["scores"].items() if found >= score), default=0)


if __name__ == "__main__":
    main()
