"""Does a training that starts from the last adapter get further, or get there sooner, than one from the base alone?

    python benchmarks/training/warm_start.py --work DIR --scans FOLDER [--seeds 2] [--steps N]

An archive that grows: an adapter is trained on the first four fifths of the scans, by name; then the others arrive, and
on all of them adapters are trained from the base alone and from that first adapter, for all of the profile's steps and
for shares of them. What is compared is the validation panel's score and the loss, on works that none of the trainings
saw, read at the same steps; with --loss-only the panel, whose pictures take most of the time, is not asked. Every run
is written to DIR/runs.jsonl when it is done, and not done again.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from artmaster_pipeline.adapters.folder import VALIDATION_LOSS, VALIDATION_PANEL, WATCH, read_watch
from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.evaluation import validation_panel
from artmaster_pipeline.files import sha256_of, write_text
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
    parser.add_argument("--loss-only", action="store_true")
    parser.add_argument("--steps", type=int, default=400, help="of a whole training")
    options = parser.parse_args()
    home, progress = Home(options.work.resolve() / "home"), Progress(bar=True)
    runs = options.work / "runs.jsonl"
    deliveries = delivered(options.scans, options.work / "deliveries")
    first = {seed: options.work / f"first-{seed}.json" for seed in range(options.seeds)}
    for number, folder in enumerate(deliveries):
        if number == 0 and all(file.is_file() for file in first.values()):
            continue  # the rest has been delivered since
        prepare(home, folder, options.steps, progress)
        for seed, file in first.items() if number == 0 else ():
            (adapter,) = train_adapter(home, PAINTER, profile_of(seed, options.steps), progress).records
            write_text(file, adapter.model_dump_json())
    firsts = {seed: Adapter.model_validate_json(file.read_text()) for seed, file in first.items()}
    for seed in range(options.seeds):
        for start, share in ((FRESH, 1.0), *(("the first adapter", share) for share in SHARES)):
            if not any((run["seed"], run["start"], run["share"]) == (seed, start, share) for run in read(runs)):
                profile = profile_of(seed, options.steps, None if start == FRESH else share)
                found = trained(home, firsts[seed], list(firsts.values()), profile, options.loss_only, progress)
                with runs.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"seed": seed, "start": start, "share": share} | found) + "\n")
    print(table(read(runs)))


def prepare(home: Home, folder: Path, steps: int, progress: Progress) -> None:
    """From a delivery of scans to the training set."""
    add_scans(home, PAINTER, folder, progress=progress)
    register_scans(home, PAINTER, progress)
    crop_scans(home, PAINTER, progress)
    build_training_set(home, PAINTER, profile_of(0, steps), progress)


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


def trained(
    home: Home, first: Adapter, firsts: list[Adapter], profile: Profile, loss_only: bool, progress: Progress
) -> dict[str, Any]:
    """The panel's score and the loss on the validation works, by step; `first` is the last adapter again before.

    `firsts` are those of all seeds; what other runs made is taken away, their figures being written down.
    """
    write_manifest(home.adapters(PAINTER) / MANIFEST, [first])
    for other in home.adapters(PAINTER).iterdir():  # what the same pictures and settings have given is not made again
        if other.is_dir() and other.name not in {run.id for run in firsts}:
            shutil.rmtree(other)
    adapter = train_adapter(home, PAINTER, profile, progress, None if loss_only else validation_panel).records[0]
    if adapter.started_from != (first.id if profile.training.warm_start else ""):
        raise SystemExit(
            f"The training started from {adapter.started_from or 'the base'}, which is not what was asked."
        )
    rows = read_watch(home.root / adapter.path / WATCH)
    return {
        "scores": {str(row["step"]): row["score"] for row in rows if row["what"] == VALIDATION_PANEL},
        "losses": {str(row["step"]): row["loss"] for row in rows if row["what"] == VALIDATION_LOSS},
    }


def read(runs: Path) -> list[dict[str, Any]]:
    """All runs that are written down."""
    return [json.loads(line) for line in runs.read_text(encoding="utf-8").splitlines()] if runs.exists() else []


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: medians over the seeds, and when each run first was as good as the fresh one of its seed in the end."""
    figures = [name for name in ("scores", "losses") if all(run[name] for run in runs)]
    lines = []
    for name in figures:
        ends = {run["seed"]: last(run[name]) for run in runs if run["start"] == FRESH}
        steps = sorted({step for run in runs for step in run[name]}, key=int)
        heads = [
            "starts from",
            *(f"step {step}" for step in steps),
            "as good as the fresh training in the end, from step",
        ]
        lines += ["", f"{name}:", "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
        for start, share in sorted(
            {(r["start"], r["share"]) for r in runs}, key=lambda kind: (kind[0] != FRESH, -kind[1])
        ):
            of = [run for run in runs if (run["start"], run["share"]) == (start, share)]
            cells = [median(run[name].get(step) for run in of) for step in steps]
            reached = [first_at(run[name], ends[run["seed"]], name == "losses") for run in of]
            lines.append(f"| {' | '.join([start, *cells, ', '.join(reached)])} |")
    return "\n".join(lines)


def median(values: Iterable[float | None]) -> str:
    """The median of the values that are there, in words."""
    found = [value for value in values if value is not None]
    return f"{statistics.median(found):.4f}" if found else ""


def last(by_step: dict[str, float]) -> float:
    """The figure of the last step."""
    return by_step[max(by_step, key=int)]


def first_at(by_step: dict[str, float], wanted: float, lower: bool) -> str:
    """The first step that was read and is as good; `lower` figures are the better ones."""
    steps = [int(step) for step, found in by_step.items() if (found <= wanted if lower else found >= wanted)]
    return str(min(steps)) if steps else "never"


if __name__ == "__main__":
    main()
