"""What the regions that are read from paintings are worth, on boxes that were marked by eye and never fitted.

    python benchmarks/copainting/read_regions.py PAINTINGS [--use held|fit]

`marks.csv` (its boxes of `use` = held; those of `use` = fit made the readout) says what a place shows. Printed are, by
painting and together: the share of marked pixels whose region is of the marked kind; the same of sky, water and blank
taken as one, which paper and silk often cannot tell; what the commonest kind alone would reach; and what a sureness is
worth: how often regions said with it are right, and right where nothing is said to be doubtful.
"""

import sys
from pathlib import Path

import numpy as np
from train_kinds import CALM, marked, marks, opened

from artmaster_pipeline.copainting.signals.regions import DOUBTFUL, regions_of
from artmaster_pipeline.sample_painters.layout import KINDS

BANDS = ((0.0, 0.4), (0.4, 0.5), (0.5, 0.7), (0.7, 1.01))


def main() -> None:
    paintings = Path(sys.argv[1])
    use = sys.argv[sys.argv.index("--use") + 1] if "--use" in sys.argv else "held"
    said, truth, sure, pictures = [], [], [], []
    for number, (name, boxes) in enumerate(marks(use).items()):
        picture = opened(paintings / name)
        found, marks_here = regions_of(picture), marked(picture.shape[:2], boxes)
        kind_of = np.array([-1, *(KINDS.index(region.kind) for region in found.regions)])
        sure_of = np.array([0.0, *(region.sureness for region in found.regions)])
        chosen = marks_here >= 0
        for values, of in ((said, kind_of), (sure, sure_of)):
            values.append(of[found.labels[chosen]])
        truth.append(marks_here[chosen])
        pictures.append(np.full(chosen.sum(), number))
        right, calm = (said[-1] == truth[-1]).mean(), (is_calm(said[-1]) == is_calm(truth[-1])).mean()
        print(f"{name}: {len(found.regions)} regions, right {right:.2f}, calm {calm:.2f}. {found.says}", flush=True)
    report(*(np.concatenate(each) for each in (said, truth, sure, pictures)))


def is_calm(kinds: np.ndarray) -> np.ndarray:
    return np.isin(kinds, [KINDS.index(kind) for kind in CALM])


def report(said: np.ndarray, truth: np.ndarray, sure: np.ndarray, pictures: np.ndarray) -> None:
    weights = 1 / np.bincount(pictures)[pictures]  # each painting counts once
    common = max(np.average(truth == kind, weights=weights) for kind in range(len(KINDS)))
    right, calm = said == truth, is_calm(said) == is_calm(truth)
    print(f"\n{pictures.max() + 1} paintings")
    print(f"right {np.average(right, weights=weights):.3f} (the commonest kind alone: {common:.3f})")
    print(f"sky, water or blank against the rest: {np.average(calm, weights=weights):.3f}")
    for low, high in BANDS:
        chosen = (sure >= low) & (sure < high)
        if chosen.any():
            share = np.average(chosen, weights=weights)
            worth = np.average(right[chosen], weights=weights[chosen])
            print(f"  sureness {low:.1f} to {min(high, 1):.1f}: right {worth:.2f} of {share:.0%}")
    clear = sure >= DOUBTFUL
    print(f"not called doubtful ({np.average(clear, weights=weights):.0%}): "
          f"right {np.average(right[clear], weights=weights[clear]):.3f}, "
          f"calm {np.average(calm[clear], weights=weights[clear]):.3f}")  # fmt: skip
    for number, kind in enumerate(KINDS):
        is_so, are_said = truth == number, said == number
        recall = np.average(right[is_so], weights=weights[is_so]) if is_so.any() else float("nan")
        precision = np.average(right[are_said], weights=weights[are_said]) if are_said.any() else float("nan")
        print(f"  {kind:9} found {recall:.2f}, right when said {precision:.2f}")


if __name__ == "__main__":
    main()
