"""What curation is worth to an adapter: crops and masks of several data homes, trained alike and judged alike.

    python benchmarks/curation/ablation.py --work DIR --painter SLUG --home before=DIR --home chosen=DIR ...

Every home holds the same scans of the painter up to the stage training_set. In each an adapter is trained with the
profile `miniature`, the same seeds and steps, at full strength; where its masks leave anything out, a second one that
learns seals and inscriptions, too. No validation work chooses anything. Each adapter is then measured by the
evaluation's panel against the held-out works of every home in turn, since each cuts them in its own way: an arm that
wins only before its own crops has won nothing. Every result is written to DIR/runs.jsonl when it is there and not made
again; the table is printed from there, as means over the seeds.
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

from artmaster_pipeline.axes import AXES
from artmaster_pipeline.evaluation import Asked, evaluate
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import MANIFEST, Adapter, TrainingImage, read_manifest
from artmaster_pipeline.settings import EvaluationSettings, Home, Profile, TrainingSettings, load_profile
from artmaster_pipeline.training import train_adapter

MARKS = {"left out": True, "learned": False}


def main() -> None:
    """Train and measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--painter", required=True)
    parser.add_argument("--home", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, help="optimizer steps (default: the profile's)")
    parser.add_argument("--unmasked", action="append", default=[], metavar="NAME", help="home without such masks")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    homes = {name: Home(Path(folder).resolve()) for name, folder in (pair.split("=", 1) for pair in options.home)}
    parts = {name: held_out(home, options.painter) for name, home in homes.items()}
    if len(set(parts.values())) > 1:
        raise SystemExit("The homes hold out different works: nothing could be compared.")
    runs = options.work / "runs.jsonl"
    for seed in range(options.seeds):
        for name, home in homes.items():
            for marks in MARKS if name not in options.unmasked else ("learned",):
                arm = {"crops": name, "marks": marks, "seed": seed}
                todo = [judge for judge in homes if arm | {"judge": judge} not in [of(run) for run in read(runs)]]
                profile = profile_of(seed, options.steps, leave_out=MARKS[marks])
                for judge in todo:
                    adapter = train_adapter(home, options.painter, profile, Progress(bar=True)).records[0]
                    found = arm | {"judge": judge} | measure(home, homes[judge], adapter, profile)
                    with runs.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(found) + "\n")
    print(table(read(runs)))


def held_out(home: Home, painter: str) -> frozenset[str]:
    """The scans that judge."""
    rows = read_manifest(home.training_set(painter) / MANIFEST, TrainingImage)
    return frozenset(row.work for row in rows if row.split == "held_out")


def profile_of(seed: int, steps: int | None, *, leave_out: bool) -> Profile:
    """The miniature's profile at full strength, without earlier states, with few further pictures."""
    profile = load_profile("miniature")
    training = profile.training.model_dump() | {"seed": seed, "checkpoints": 0, "leave_out_marks": leave_out}
    training["validation"] = profile.training.validation.model_dump() | {"samples": 0}
    if steps:
        training["max_steps"] = steps
    evaluation = profile.evaluation.model_dump() | {"rows": 3, "strengths": (), "far_samples": 1}
    return profile.model_copy(
        update={
            "training": TrainingSettings.model_validate(training),
            "evaluation": EvaluationSettings.model_validate(evaluation),
        }
    )


def measure(home: Home, judge: Home, adapter: Adapter, profile: Profile) -> dict[str, Any]:
    """An adapter of `home` before the held-out works as `judge` cuts them."""
    target = judge.root / adapter.path
    if not target.exists():
        shutil.copytree(home.root / adapter.path, target)
    panel = evaluate(judge, adapter, profile, Asked(), Progress(bar=True)).panel
    return {
        "adapter": adapter.id,
        "axes": {axis: panel["axes"][axis]["score"] for axis in AXES},
        "drift": panel["drift"]["loss"],
        "consistency": panel["consistency"]["ratio"],
    }


def of(run: dict[str, Any]) -> dict[str, Any]:
    """Which run it is."""
    return {key: run[key] for key in ("crops", "marks", "seed", "judge")}


def read(runs: Path) -> list[dict[str, Any]]:
    """All runs that are written down."""
    return [json.loads(line) for line in runs.read_text(encoding="utf-8").splitlines()] if runs.exists() else []


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: a line for each arm and judge; a score is 0 for the base and 1 for the painter's own works."""
    lines = [f"| crops | marks | judged by | seeds | {' | '.join(AXES)} |", "|---|---|---|---|" + "---|" * len(AXES)]
    arms = dict.fromkeys((run["crops"], run["marks"], run["judge"]) for run in runs)
    for arm in arms:
        own = [run for run in runs if (run["crops"], run["marks"], run["judge"]) == arm]
        scores = [[run["axes"][axis] for run in own if run["axes"][axis] is not None] for axis in AXES]
        cells = [f"{statistics.mean(values):.2f}" if values else "no room" for values in scores]
        lines.append(f"| {' | '.join(arm)} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
