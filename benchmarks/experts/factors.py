"""Does "composition of A, colour of B, brush of C" come true? Gates beside the three ways in which adapters are mixed.

    python benchmarks/experts/factors.py --home HOME --painters A,B,C --work DIR [--prompts 30] [--seeds 3]

The painters of the home have an adapter each. For every prompt, whose subject, air and composition are words of the
base itself, the three factors go to the three painters in one of the six orders, in turn. The same prompts, seeds
and drawing settings, the model hearing the mean of the painters' own prompts as in `artmaster mix`, are drawn

- gated by the experts' factor maps (records of `expert_map`; their mean), by no map (every factor weighs a third
  everywhere), and by noise bands alone (composition above 0.75, colour between, brush below 0.5);
- as a plain weighted sum (`set_adapters`), switching per step, and merged (`cat`), which know painters and no factors;
- by each painter alone.

Measured for each picture: which painter's training pictures it is nearest to in tone, brushwork and composition. The
distance is the panel's (mean of the axis' components), as the energy distance of one picture to a painter's works: the
mean distance to them less half their own spread. Right is B, C and A; a third is chance. Two figures say what can be
told in this way: how often a painter's own work, held against the others, is nearest to its painter, and how often a
picture by one expert alone is. Subjects: the share of pictures in which the embedded reader finds the prompt's.

Pictures lie in DIR and are not drawn again; a sheet of each way is written beside them.
"""

import argparse
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from peers import merged, switching, weighted_sum
from PIL import Image

from artmaster_pipeline.adapters import current_adapter
from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.base_models import TextEmbedding, open_pipeline
from artmaster_pipeline.dataset.captioners.reader import load_reader, subject_in
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.experts import FACTORS, Expert, FactorMap, Gate, block_groups, mixture
from artmaster_pipeline.experts.drawing import mean_text
from artmaster_pipeline.experts.factors import AXIS_OF
from artmaster_pipeline.experts.map import factor_map_of
from artmaster_pipeline.generation.sampling import draw_embedded, embed_texts, negative_of
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import MANIFEST, Adapter, TrainingImage, read_manifest
from artmaster_pipeline.sample_painters.scenes import imagine, spoken
from artmaster_pipeline.settings import Home, Profile, load_painter, load_profile

WORKS = 40  # of a painter that pictures are compared with, at most
WEIGHTS = (1 / 3, 1 / 3, 1 / 3)


def main() -> None:
    """Draw what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--painters", type=lambda text: text.split(","), required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    home, progress = Home(options.home.resolve()), Progress(bar=True)
    profile = load_profile("miniature").model_copy(update={"device": options.device})
    bench = Bench(home, profile, options.painters, options.work, options.prompts, options.seeds)
    bench.draw(options.batch, progress)
    print("\n".join(bench.table(progress)))


class Bench:
    """Three painters, the pictures asked for, and where they lie."""

    def __init__(
        self, home: Home, profile: Profile, painters: Sequence[str], work: Path, prompts: int, seeds: int
    ) -> None:
        self.home, self.profile, self.painters, self.work = home, profile, tuple(painters), work
        self.adapters: list[Adapter] = []
        for painter in painters:
            adapter = current_adapter(home, painter)
            if adapter is None:
                raise SystemExit(f"{painter} has no adapter in {home.root}")
            self.adapters.append(adapter)
        drawings = [drawing_of(adapter, profile) for adapter in self.adapters]
        self.strengths = [drawing.strength for drawing in drawings]
        self.how = DrawingSettings(
            guidance_scale=float(np.mean([drawing.guidance_scale for drawing in drawings])),
            true_cfg_scale=float(np.mean([drawing.true_cfg_scale or 1 for drawing in drawings])),
            adapter_in_unguided=all(drawing.adapter_in_unguided for drawing in drawings),
        )
        orders = list(itertools.permutations(self.painters))
        self.asked = [
            (prompt, dict(zip(FACTORS, orders[number % len(orders)], strict=True)), seed)
            for number, prompt in enumerate(neutral_prompts(prompts))
            for seed in range(seeds)
        ]
        self.maps = [found for adapter in self.adapters if (found := factor_map_of(home, adapter))]

    def heard(self, way: str, prompt: str) -> list[str]:
        """What a picture is asked for with: as `artmaster mix`, the mean of each painter's own prompt."""
        alone = way.removeprefix("alone-")
        return [
            f"{load_painter(self.home, painter).trigger}, {prompt}"
            for painter in ([alone] if alone in self.painters else self.painters)
        ]

    def text(self, way: str, prompt: str, embedded: Mapping[str, TextEmbedding]) -> TextEmbedding:
        """Its embedding."""
        texts = self.heard(way, prompt)
        return mean_text([(embedded[text], 1 / len(texts)) for text in texts])

    def file(self, way: str, number: int) -> Path:
        """Where a picture lies."""
        return self.work / way / f"{number:03}.png"

    def ways(self, pipe: Any) -> Iterator[tuple[str, Any]]:
        """Name, and what draws a batch: a context for the numbers of its pictures."""
        experts = [
            Expert(painter, folder_of(self.home, adapter), strength)
            for painter, adapter, strength in zip(self.painters, self.adapters, self.strengths, strict=True)
        ]
        groups = block_groups(pipe.transformer)
        flat = FactorMap.flat(groups)
        bands = flat.model_copy(
            update={
                "psi": {
                    "composition": (0.0, 0.0, 0.0, 1.0),
                    "colour": (0.0, 0.0, 1.0, 0.0),
                    "brush": (1.0, 1.0, 0.0, 0.0),
                }
            }
        )
        maps = {"gates-bands": bands, "gates-flat": flat}
        if self.maps:
            maps = {"gates-map": FactorMap.mean(self.maps)} | maps
        for name, factor_map in maps.items():
            yield name, lambda numbers, of=factor_map: self.gated(pipe, experts, numbers, of)
        yield "weighted-sum", lambda _: weighted_sum(pipe, experts, WEIGHTS)
        yield "switching", lambda _: switching(pipe, experts, WEIGHTS)
        yield "merged", lambda _: merged(pipe, experts, WEIGHTS)
        for expert in experts:
            yield f"alone-{expert.name}", lambda numbers, one=expert: self.alone(pipe, one)

    def gated(self, pipe: Any, experts: Sequence[Expert], numbers: Sequence[int], factor_map: FactorMap) -> Any:
        """Each picture with the gate of its own wish."""
        gates = []
        for number in numbers:
            wish = self.asked[number][1]
            shares = {p: {factor: float(wish[factor] == p) for factor in FACTORS} for p in self.painters}
            gates.append(Gate(shares=shares, factor_map=factor_map))
        return mixture(pipe, experts, gates)

    def alone(self, pipe: Any, expert: Expert) -> AbstractContextManager[Any]:
        """One expert without gates."""
        return weighted_sum(pipe, [expert], (1.0,))

    def draw(self, batch: int, progress: Progress) -> None:
        """All pictures that are missing."""
        texts = {text for prompt, _, _ in self.asked for text in self.heard("", prompt)}
        embedded = embed_texts(self.profile, sorted(texts), self.home, self.how)
        width, height = self.profile.size(512, 512)
        with open_pipeline(self.profile, ("transformer", "vae"), self.home) as pipe:
            negative = negative_of(pipe, embedded, self.how)
            for way, context in self.ways(pipe):
                missing = [n for n in range(len(self.asked)) if not self.file(way, n).exists()]
                with progress.task(way, len(self.asked), len(self.asked) - len(missing)) as advance:
                    for start in range(0, len(missing), batch):
                        numbers = missing[start : start + batch]
                        given = [self.text(way, self.asked[n][0], embedded) for n in numbers]
                        seeds = [1000 * n + self.asked[n][2] for n in numbers]
                        with context(numbers):
                            drawn = draw_embedded(
                                pipe, given, seeds, width, height, self.profile.evaluation.num_inference_steps,
                                self.how, negative,
                            )  # fmt: skip
                        for number, pixels in zip(numbers, drawn, strict=True):
                            self.file(way, number).parent.mkdir(parents=True, exist_ok=True)
                            Image.fromarray(pixels).save(self.file(way, number))
                        advance(len(numbers))

    def table(self, progress: Progress) -> list[str]:
        """Markdown, a row for each way."""
        works = {painter: works_of(self.home, painter)[:WORKS] for painter in self.painters}
        ways = sorted(
            folder.name for folder in self.work.iterdir() if self.file(folder.name, len(self.asked) - 1).exists()
        )
        pictures = {way: [self.file(way, n) for n in range(len(self.asked))] for way in ways}
        files = [file for files in (*works.values(), *pictures.values()) for file in files]
        row_of = {file: row for row, file in enumerate(files)}
        train = np.arange(sum(map(len, works.values())))
        matrices = pairwise_distances(
            self.home, self.profile, files, train, progress, axes=("tone", "brushwork", "composition")
        ).axes
        rows = {painter: np.array([row_of[file] for file in own]) for painter, own in works.items()}
        found: dict[str, dict[str, list[str]]] = {}
        for way, drawn in pictures.items():
            found[way] = {
                f: [self.nearest(matrices[AXIS_OF[f]], row_of[file], rows) for file in drawn] for f in FACTORS
            }
        own = {
            factor: np.mean(
                [self.nearest(matrices[AXIS_OF[factor]], row, rows) == p for p in self.painters for row in rows[p]]
            )
            for factor in FACTORS
        }
        lines = [
            "| way | composition from A | colour from B | brush from C | all three | subject read |",
            "|---|---|---|---|---|---|",
            f"| the painters' own works | {' | '.join(f'{own[factor]:.2f}' for factor in FACTORS)} | | |",
        ]
        subjects = {way: self.subjects(drawn) for way, drawn in pictures.items()}
        rest = {}
        for way in ways:
            alone = way.removeprefix("alone-")
            right = {
                factor: [
                    said == (alone if alone in self.painters else wish[factor])
                    for said, (_, wish, _) in zip(found[way][factor], self.asked, strict=True)
                ]
                for factor in FACTORS
            }
            every = np.mean(np.all(list(right.values()), axis=0))
            shares = {factor: float(np.mean(right[factor])) for factor in FACTORS}
            rest[way] = shares | {"all": float(every), "subject": subjects[way]}
            cells = [*shares.values(), every, subjects[way]]
            lines.append(f"| {way} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
            self.sheet(way, pictures[way])
        (self.work / "figures.json").write_text(
            json.dumps({"own": {k: float(v) for k, v in own.items()}} | rest, indent=1)
        )
        return lines

    def nearest(self, matrix: np.ndarray, row: int, rows: dict[str, np.ndarray]) -> str:
        """The painter whose works a picture is nearest to; a work is not compared with itself."""
        scores = {}
        for painter, own in rows.items():
            others = own[own != row]
            within = matrix[np.ix_(own, own)].sum() / (len(own) * (len(own) - 1))
            scores[painter] = float(matrix[row, others].mean() - within / 2)
        return min(scores, key=lambda painter: scores[painter])

    def subjects(self, drawn: Sequence[Path]) -> float:
        """The share of pictures in which the reader finds the prompt's subject."""
        wanted = [subject_in(prompt) for prompt, _, _ in self.asked]
        said = load_reader().subjects([np.asarray(Image.open(file)) for file in drawn])
        return float(np.mean([a == b for a, b in zip(said, wanted, strict=True)]))

    def sheet(self, way: str, drawn: Sequence[Path]) -> None:
        """The first pictures of the first 24 prompts on one sheet."""
        seeds = len(self.asked) // len({prompt for prompt, _, _ in self.asked})
        chosen = [Image.open(file) for file in drawn[::seeds][:24]]
        width, height = chosen[0].size
        sheet = Image.new("RGB", (6 * width, -(-len(chosen) // 6) * height), "white")
        for number, picture in enumerate(chosen):
            sheet.paste(picture, (number % 6 * width, number // 6 * height))
        sheet.save(self.work / f"{way}.png")


def works_of(home: Home, painter: str) -> list[Path]:
    """A training picture of each of a painter's works."""
    folder = home.training_set(painter)
    by_work: dict[str, Path] = {}
    for image in read_manifest(folder / MANIFEST, TrainingImage):
        if image.split == "train":
            by_work.setdefault(image.work, folder / image.path)
    return list(by_work.values())


def neutral_prompts(count: int) -> list[str]:
    """Prompts in the base's words that say nothing of a style; each once."""
    found: dict[str, None] = {}
    for seed in itertools.count(500):
        scene = imagine(seed, "ink")
        found[spoken(scene.subject, scene.season, scene.time_of_day, scene.weather, scene.composition)] = None
        if len(found) == count:
            return list(found)
    raise AssertionError


if __name__ == "__main__":
    main()
