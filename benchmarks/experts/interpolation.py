"""From one painter to another in nine steps: do the pictures leave the one and come to the other evenly?

    python benchmarks/experts/interpolation.py --home HOME --painters A,B,C --work DIR [--prompts 8]

For every pair of painters and every prompt `artmaster mix --from A --to B` is drawn with one seed. Each step's pictures
are compared with the painters' training pictures on the panel's axes (`pairwise_distances`): the distance to a painter
is the energy distance of the step's pictures to those works, and the score to A is the share of the way from what B
alone has to what A alone has. Spearman's correlation of the steps' numbers with the scores to A and to B says whether
they fall and rise; the lowest share of prompts' subjects that the embedded reader finds, and the smallest spread of a
step's pictures beside that of the ends, whether the middle collapses.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from factors import WORKS, neutral_prompts, works_of
from PIL import Image
from scipy.stats import spearmanr

from artmaster_pipeline.axes import Axis
from artmaster_pipeline.dataset.captioners.reader import load_reader, subject_in
from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.experts.drawing import mix_pictures
from artmaster_pipeline.experts.mixes import STRIP_STEPS, interpolation
from artmaster_pipeline.experts.resolving import resolve
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.settings import Home, load_profile

SHOWN: tuple[Axis, ...] = ("style", "tone", "brushwork", "composition")


def main() -> None:
    """Draw what is missing and print a row for each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--painters", type=lambda text: text.split(","), required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=8)
    options = parser.parse_args()
    home, progress = Home(options.home.resolve()), Progress(bar=True)
    prompts = neutral_prompts(options.prompts)
    heads = [f"{axis}: to A, to B" for axis in SHOWN]
    print(f"| A to B | {' | '.join(heads)} | subjects read, ends and lowest | spread, lowest of the ends' |")
    print("|---|" + "---|" * (len(heads) + 2), flush=True)
    for start, end in itertools.combinations(options.painters, 2):
        print(row(home, start, end, prompts, options.work / f"{start}-{end}", progress), flush=True)


def row(home: Home, start: str, end: str, prompts: Sequence[str], out: Path, progress: Progress) -> str:
    """A pair's figures."""
    faults: list[str] = []
    steps = [resolve(home, mix, faults=faults) for mix in interpolation(start, end, STRIP_STEPS, faults=faults)]
    out.mkdir(parents=True, exist_ok=True)
    drawn = [mix_pictures(home, prompt, steps, out=out, progress=progress)[:STRIP_STEPS] for prompt in prompts]
    by_step = [[files[step] for files in drawn] for step in range(STRIP_STEPS)]
    works = [works_of(home, painter)[:WORKS] for painter in (start, end)]
    files = [*itertools.chain(*works, *by_step)]
    ends = np.cumsum([0, *map(len, works), *map(len, by_step)])
    rows = [np.arange(low, high) for low, high in itertools.pairwise(ends)]
    train = np.concatenate(rows[:2])
    matrices = pairwise_distances(home, load_profile("miniature"), files, train, progress, axes=SHOWN).axes
    cells = []
    for axis in SHOWN:
        far = np.array([[sets.energy(matrices[axis], step, own) for own in rows[:2]] for step in rows[2:]])
        to_start = (far[-1, 0] - far[:, 0]) / (far[-1, 0] - far[0, 0])
        to_end = (far[0, 1] - far[:, 1]) / (far[0, 1] - far[-1, 1])
        # A score says nothing where the other painter's pictures are as near
        said = [
            f"{spearmanr(np.arange(STRIP_STEPS), score).statistic:+.2f}" if room > 0 else "no way to go"
            for score, room in ((to_start, far[-1, 0] - far[0, 0]), (to_end, far[0, 1] - far[-1, 1]))
        ]
        cells.append(", ".join(said))
    wanted = [subject_in(prompt) for prompt in prompts]
    reader = load_reader()
    read = [
        np.mean([a == b for a, b in zip(reader.subjects([np.asarray(Image.open(f)) for f in of]), wanted, strict=True)])
        for of in by_step
    ]
    spreads = [sets.spread(matrices["style"], step) for step in rows[2:]]
    cells += [f"{read[0]:.2f}, {read[-1]:.2f}; {min(read):.2f}", f"{min(spreads) / min(spreads[0], spreads[-1]):.2f}"]
    return f"| {start} to {end} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
