"""Thirty canvases by several painters, beside one pass per painter, a weighted sum, and each painter alone.

    python benchmarks/copainting/canvases.py --home HOME --work DIR [--painters A,B,...] [--canvases 30] [--control]

HOME has a trained adapter of each painter. A canvas' map is the exact layout of a scene of the sample painter (sky and
blank ground are the ground's; rock, water, trees, buildings and figures of 5 % or more are regions, three at most); the
painters take turns, three on a canvas. Prompts say nothing of colours, which are the painters'. Every second canvas
gives its regions prompts of their own. What is measured says `measures.py`, which was fixed first. Pictures lie in DIR,
to be looked at, and are not drawn again.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from measures import Reader, border_energy, described, from_solo
from oracle import one_pass_each, solo, weighted_sum

from artmaster_pipeline.base_models import open_pipeline
from artmaster_pipeline.copainting.canvas import label_map, load
from artmaster_pipeline.copainting.canvas.writing import write
from artmaster_pipeline.copainting.painting.drawing import at_work, draw_batch, prepare, texts_of
from artmaster_pipeline.copainting.painting.hands import Hands, hands_of
from artmaster_pipeline.copainting.painting.structure import signals_of
from artmaster_pipeline.files import inside
from artmaster_pipeline.generation.sampling import embed_texts
from artmaster_pipeline.records import GROUND, MANIFEST, TrainingImage, read_manifest
from artmaster_pipeline.sample_painters.layout import KINDS
from artmaster_pipeline.sample_painters.paintings import paint_with_layout
from artmaster_pipeline.sample_painters.scenes import SUBJECTS, imagine, spoken
from artmaster_pipeline.settings import Home, load_profile

WORDS = {
    "rock": "layered mountains",
    "water": "islands in still water",
    "trees": "a traveller under tall trees",
    "buildings": "a village by a river",
    "figures": "a fishing boat on a lake",
}
LEAST, MOST = 0.05, 3
METHODS = ("canvas", "oracle", "sum")
LIMIT = 1.2  # of energy at borders over that inside


def make_canvas(folder: Path, number: int, painters: list[str], control: bool) -> Path:
    """The canvas of that number; the same every time."""
    dice = np.random.default_rng(number)
    scene = imagine(number, "ink", (SUBJECTS[number % len(SUBJECTS)],))
    size = (512, 512) if number % 3 else (512, 768)
    _, layout = paint_with_layout(scene, 1000 + number, *size)
    share = {kind: float(np.mean(layout == KINDS.index(kind))) for kind in WORDS}
    kinds = sorted((kind for kind in WORDS if share[kind] >= LEAST), key=lambda kind: -share[kind])[:MOST]
    labels = np.zeros(layout.shape, np.uint8)
    who = [painters[place] for place in dice.permutation(len(painters))[:3]]
    regions = []
    for place, kind in enumerate(kinds):
        labels[layout == KINDS.index(kind)] = place + 1
        own = {"prompt": WORDS[kind]} if number % 2 else {}
        regions.append({"id": kind, "label": place + 1, "kind": kind, "painter": who[1 + place % 2]} | own)
    said = {
        "prompt": spoken(scene.subject, scene.season, scene.time_of_day, scene.weather, scene.composition),
        "size": f"{size[0]}x{size[1]}",
        "seeds": [number],
        "ground": {"painter": who[0]},
        "labels": "labels.png",
        "regions": regions,
    }
    if control:
        said["control"] = [{"signal": "labels", "scale": 0.7, "until": 0.8}]
    return folder / "canvas.yaml" if (folder / "canvas.yaml").is_file() else write(folder, said, labels)


class Drawn:
    """Pictures by name in a folder, drawn where they are not there, with the CPU seconds that each took."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "seconds.json"
        self.seconds: dict[str, float] = json.loads(self._file.read_text()) if self._file.is_file() else {}

    def __call__(self, name: str, draw) -> np.ndarray:  # type: ignore[no-untyped-def]
        from PIL import Image

        file = self._folder / f"{name}.png"
        if not file.is_file():
            begun = time.process_time()
            pixels = draw()
            self.seconds[name] = time.process_time() - begun
            self._folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
            self._file.write_text(json.dumps(self.seconds))
        return np.asarray(Image.open(file))


def draw_all(home: Home, hands: Hands, pipe, embedded, folder: Path, rounds: int) -> tuple[dict, Drawn]:  # type: ignore[no-untyped-def]
    drawn, seed = Drawn(folder), hands.canvas.seeds[0]
    prepared = prepare(pipe, home, hands, embedded)
    there = [name for name in hands.resolved if hands.shares[name] > 0]

    def canvas() -> np.ndarray:
        with at_work(pipe, home, hands, prepared):
            return draw_batch(pipe, hands, prepared, [seed])[0]

    found = {}
    for again in range(rounds):
        end = f"-{again}" if again else ""
        found[f"canvas{end}"] = drawn(f"canvas{end}", canvas)
        first = there[0]
        found[f"solo-{first}{end}"] = drawn(
            f"solo-{first}{end}", lambda first=first: solo(pipe, home, hands, prepared, embedded, first, seed)
        )
    for name in there[1:]:
        found[f"solo-{name}"] = drawn(
            f"solo-{name}", lambda name=name: solo(pipe, home, hands, prepared, embedded, name, seed)
        )
    found["oracle"] = drawn("oracle", lambda: one_pass_each(pipe, home, hands, prepared, embedded, seed))
    found["sum"] = drawn("sum", lambda: weighted_sum(pipe, home, hands, prepared, embedded, seed))
    if hands.canvas.control:

        def held() -> np.ndarray:
            with at_work(pipe, home, hands, prepared), signals_of(pipe, home, hands, prepared.whole):
                return draw_batch(pipe, hands, prepared, [seed])[0]

        def base() -> np.ndarray:
            from oracle import drawn as plainly

            with signals_of(pipe, home, hands, prepared.whole):
                return plainly(pipe, hands, prepared, embedded[hands.canvas.prompt], seed, embedded.get(""))

        found["held"] = drawn("held", held)
        found["base"] = drawn("base", base)
    return found, drawn


def works_of(home: Home, painters: list[str], pipe, most: int = 40) -> dict[str, dict[str, list[np.ndarray]]]:  # type: ignore[no-untyped-def]
    """Painter -> "train" and "held_out" -> works at 128 x 128 as the autoencoder gives them back."""
    import torch
    from PIL import Image

    from artmaster_pipeline.base_models import family_for

    family, found = family_for(pipe), {}
    for painter in painters:
        rows = read_manifest(home.training_set(painter) / MANIFEST, TrainingImage)
        found[painter] = {"train": [], "held_out": []}
        for row in rows:
            part = "held_out" if row.split == "held_out" else "train"
            if len(found[painter][part]) >= most:
                continue
            picture = Image.open(inside(home.training_set(painter), row.path)).convert("RGB")
            picture = picture.crop((0, 0, min(picture.size), min(picture.size))).resize(
                (128, 128), Image.Resampling.BOX
            )
            with torch.inference_mode():
                latent = family.encode_picture(pipe, picture, 128, 128)[None]
                decoded = pipe.vae.decode(family.decoder_input(pipe.vae, latent)).sample[0]
            pixels = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            found[painter][part].append(pixels)
    return found


def labels_at(hands: Hands, shape: tuple[int, int]) -> np.ndarray:
    import cv2

    return cv2.resize(label_map(hands.canvas), shape[::-1], interpolation=cv2.INTER_NEAREST)


def median(values: list[float]) -> float:
    return float(np.nanmedian(values)) if values else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--painters", required=True)
    parser.add_argument("--canvases", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--control", action="store_true")
    given = parser.parse_args()
    home, painters = Home(given.home), given.painters.split(",")
    profile = load_profile("miniature", home)
    paths = [make_canvas(given.work / f"{n:02}", n, painters, given.control) for n in range(given.canvases)]
    all_hands = [hands_of(home, load(path, home)) for path in paths]
    texts = set().union(*(texts_of(hands) | {hands.canvas.prompt, ""} for hands in all_hands))
    guided = max((hands.drawing for hands in all_hands), key=lambda drawing: drawing.true_cfg_scale)
    embedded = embed_texts(profile, texts, home, guided)
    rows, times, pictures = [], [], []
    with open_pipeline(profile, ("transformer", "vae"), home) as pipe:
        works = works_of(home, painters, pipe)
        for path, hands in zip(paths, all_hands, strict=True):
            found, drawn = draw_all(home, hands, pipe, embedded, path.parent, given.rounds)
            pictures.append(found)
            first = next(name for name in hands.resolved if hands.shares[name] > 0)
            own = [drawn.seconds[f"canvas{end}"] for end in ("", *(f"-{n}" for n in range(1, given.rounds)))]
            one = [drawn.seconds[f"solo-{first}{end}"] for end in ("", *(f"-{n}" for n in range(1, given.rounds)))]
            times.append((median(own) / median(one), drawn.seconds["oracle"] / median(one)))
            print(path.parent.name, f"{times[-1][0]:.2f} of one pass, oracle {times[-1][1]:.2f}", flush=True)
    whole = np.ones((128, 128), bool)
    reader = Reader.of({p: described(of["train"], [whole] * len(of["train"])) for p, of in works.items()})
    for hands, found in zip(all_hands, pictures, strict=True):
        rows += measured(hands, found, reader, works)
    report(rows, times, all_hands, pictures)
    structure(all_hands, pictures)
    depiction(home, profile, all_hands, given.work, "held" in pictures[0])
    (given.work / "rows.json").write_text(json.dumps(rows))


def measured(hands: Hands, found: dict, reader: Reader, works: dict) -> list[dict]:  # type: ignore[type-arg]
    rows = []
    everyone = list(
        dict.fromkeys(hand.mix.painters[0] for name, hand in hands.resolved.items() if hands.shares[name] > 0)
    )
    for name, hand in hands.resolved.items():
        if hands.shares[name] <= 0:
            continue
        own = hand.mix.painters[0]
        others = [painter for painter in everyone if painter != own]
        labels = labels_at(hands, found["canvas"].shape[:2])
        number = 0 if name == GROUND else hands.binding(name).label  # type: ignore[attr-defined]
        mask = labels == number
        if not mask.any():
            continue
        row = {"canvas": hands.canvas.name, "region": name, "painter": own, "share": float(mask.mean())}
        for method in (*METHODS, f"solo-{name}", *(("held",) if "held" in found else ())):
            key = "solo" if method.startswith("solo") else method
            if others:
                row[f"score {key}"] = reader.score(described([found[method]], [mask])[0], own, others)
            row[f"from solo {key}"] = from_solo(found[method], found[f"solo-{name}"], mask)
        if others:
            square = mask[:128]  # works are square
            of = works[own]["held_out"]
            if square.any() and of:
                row["works right"] = [reader.score(d, own, others) > 0 for d in described(of, [square] * len(of))]
        rows.append(row)
    return rows


def report(rows: list[dict], times: list, all_hands: list[Hands], pictures: list[dict]) -> None:  # type: ignore[type-arg]
    held = ["held"] if "held" in pictures[0] else []
    right = [value for row in rows for value in row.get("works right", [])]
    print(f"the reader is right on held-out works inside the regions: {np.mean(right):.2f} of {len(right)}")
    for key in (*METHODS, "solo", *held):
        scores = [row[f"score {key}"] for row in rows if f"score {key}" in row]
        above = np.mean([score > 0 for score in scores])
        print(f"own minus other, {key}: above 0 in {above:.2f} of {len(scores)} regions, median {median(scores):.3f}")
        print(f"from the painter alone, {key}: median {median([row[f'from solo {key}'] for row in rows]):.2f}")
    for other in ("sum", "oracle"):
        ratios = [row["from solo canvas"] / row[f"from solo {other}"] for row in rows if row[f"from solo {other}"] > 0]
        print(f"from the painter alone, canvas over {other}: median {median(ratios):.2f}")
    both = list(zip(all_hands, pictures, strict=True))
    for key in (*METHODS, *(("held", "base") if held else ())):
        borders(key, [(hands, found[key]) for hands, found in both])
    alone = [(hands, found[f"solo-{name}"]) for hands, found in both for name in hands.resolved if hands.shares[name]]
    borders("one painter alone on the same map", alone)
    own, oracle = ([each[place] for each in times] for place in (0, 1))
    print(f"time over one pass: median {median(own):.2f}, worst {max(own):.2f}; oracle {median(oracle):.2f}")


def structure(all_hands: list[Hands], pictures: list[dict]) -> None:  # type: ignore[type-arg]
    """How well the map is read back from the pictures (`signals.layout_iou`), beside maps moved about."""
    from artmaster_pipeline.copainting.signals import layout_iou

    for key in ("canvas", "held", "base") if "held" in pictures[0] else ("canvas",):
        found = []
        for hands, drawn in zip(all_hands, pictures, strict=True):
            kinds = {region.label: region.kind for region in hands.canvas.regions}
            found.append(layout_iou(drawn[key], labels_at(hands, drawn[key].shape[:2]), kinds))
        mean, chance = np.mean([each.mean for each in found]), np.mean([each.chance for each in found])
        above = np.mean([each.above_chance for each in found])
        print(f"layout read back, {key}: IoU {mean:.3f}, by chance {chance:.3f}, above chance {above:.3f}")


def depiction(home: Home, profile, all_hands: list[Hands], work: Path, held: bool) -> None:  # type: ignore[no-untyped-def]
    """Energy distance on the panel's axis of depiction to the painters' works: canvases, and each painter alone."""
    from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
    from artmaster_pipeline.evaluation.axes.sets import energy

    works = []
    for painter in dict.fromkeys(painter for hands in all_hands for painter in hands.canvas.painters):
        rows = read_manifest(home.training_set(painter) / MANIFEST, TrainingImage)
        works += [inside(home.training_set(painter), row.path) for row in rows][:20]
    sets = {"canvas": ["canvas"], "sum": ["sum"]} | ({"held": ["held"]} if held else {})
    paths, rows_of = list(works), {}
    for key in (*sets, "solo"):
        names = sets.get(key, [])
        files = [work / f"{n:02}" / f"{name}.png" for n in range(len(all_hands)) for name in names]
        if key == "solo":
            files = [file for n in range(len(all_hands)) for file in sorted((work / f"{n:02}").glob("solo-*.png"))]
            files = [file for file in files if not file.stem[-1].isdigit()]
        rows_of[key] = np.arange(len(paths), len(paths) + len(files))
        paths += files
    ours = np.arange(len(works))
    matrix = pairwise_distances(home, profile, paths, ours, axes=("depiction",)).axes["depiction"]
    for key, rows in rows_of.items():
        print(f"depiction, {key}: {energy(matrix, rows, ours):.3f} from the works ({len(rows)} pictures)")


def borders(name: str, drawn: list[tuple[Hands, np.ndarray]]) -> None:
    """A line on the gradient's energy at the borders of maps."""
    energies = [border_energy(picture, labels_at(hands, picture.shape[:2])) for hands, picture in drawn]
    above = sum(energy > LIMIT for energy in energies)
    print(f"border over inside, {name}: median {median(energies):.2f}, above {LIMIT} in {above} of {len(energies)}")


if __name__ == "__main__":
    main()
