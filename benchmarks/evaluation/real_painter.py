"""One real painter through the chain with the profile `miniature`, and the panel's figures as a table.

    python benchmarks/evaluation/real_painter.py --scans FOLDER --work DIR [--name "Huang Binhong"]

The rooms of the product do all of it, on the works' own file names as captions: register, crop, split, train, draw,
measure, judge. The report is named at the end.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from artmaster_pipeline.axes import AXES
from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.evaluation import current_verdict, evaluate_adapter, validation_panel
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.settings import Home, load_profile
from artmaster_pipeline.training import train_adapter


def main() -> None:
    """Run the chain to the verdict and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--painter", default="real-painter")
    parser.add_argument("--name", default="A real painter")
    options = parser.parse_args()
    home, painter, progress = Home(options.work.resolve()), options.painter, Progress(bar=True)
    profile = load_profile("miniature")
    add_scans(home, painter, options.scans, name=options.name, progress=progress)
    register_scans(home, painter, progress)
    crop_scans(home, painter, progress)
    build_training_set(home, painter, profile, progress)
    began = time.perf_counter()
    train_adapter(home, painter, profile, progress, validation_panel)
    trained = time.perf_counter()
    evaluate_adapter(home, painter, profile, progress)
    measured = time.perf_counter()
    verdict, report = current_verdict(home, painter)
    show(json.loads((report.parent / "panel.json").read_text(encoding="utf-8")))
    print(f"\ntraining {trained - began:.0f} s, evaluation {measured - trained:.0f} s")
    print("may be published" if verdict.publish else "not published", *verdict.reasons, sep="\n- ")
    print(report)


def show(panel: dict[str, Any]) -> None:
    """The panel as Markdown."""
    print(f"\n{panel['counts']}\n\n| axis | score, 95 % | gain over the base, 95 % | p | base | adapter | own works |")
    print("|---|---|---|---|---|---|---|")
    for axis in AXES:
        figures = panel["axes"][axis]
        score = "no room" if figures["score"] is None else f"{figures['score']:.2f} {ends(figures['score_interval'])}"
        distances = " | ".join(f"{figures[name]:.3f}" for name in ("floor", "result", "ceiling"))
        gain = f"{figures['gain']:.2f} {ends(figures['gain_interval'])}"
        print(f"| {axis} | {score} | {gain} | {figures['p']:.4f} | {distances} |")
    consistency, drift, copies = panel["consistency"], panel["drift"], panel["memorisation"]
    print(f"\nconsistency {consistency['ratio']:.2f} {ends(consistency['ratio_interval'])}, {consistency['axes']}")
    print(f"told apart from held-out works {panel['told_apart']}")
    print(f"whole style as far as the base can draw {panel['style_drawable']['score']}")
    print(f"Vendi score {panel['diversity']}")
    print(f"loss of adherence {drift['loss']:.3f} {ends(drift['loss_interval'])}, by strength {drift['by_strength']}")
    print(f"suspects {copies['suspects']} of {copies['pictures']}")


def ends(interval: list[float | None]) -> str:
    """An interval as text."""
    return "[" + ", ".join("open" if end is None else f"{end:.2f}" for end in interval) + "]"


if __name__ == "__main__":
    main()
