"""Measure a miniature: does it listen, does it paint, is it multi-style, is it quick, has it copied anything.

    python benchmarks/miniature/measure.py --paintings FOLDER --work DIR [--model FOLDER]

Prints the tables of the model card and writes contact sheets to `--work`, where the painted pictures and the reader
(reader.py) are kept as well; a folder `pictures` of a training may lie there and is used. `--paintings` are the
corpora that the model was trained with: every tenth painting of them was held out.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from reader import ATTRIBUTES, JUDGED, Reader, accuracy, labelled, labels_of, mean_judged, read, train_reader
from scipy.ndimage import laplace
from skimage.color import deltaE_ciede2000, rgb2lab

from artmaster_pipeline.base_models import load_pipeline
from artmaster_pipeline.base_models.miniature.train_autoencoder import to_tensor
from artmaster_pipeline.base_models.miniature.train_transformer import draw_sigmas, velocity
from artmaster_pipeline.base_models.miniature.training_pictures import (
    PER_SHARD,
    Painting,
    caption_of,
    paintings,
    read_shard,
    taught_scene,
)
from artmaster_pipeline.base_models.vgg import Vgg, load_vgg
from artmaster_pipeline.drawing_settings import drawing_of
from artmaster_pipeline.generation import draw
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.sample_painters import Scene
from artmaster_pipeline.settings import load_profile

SIZE = 128
UNSEEN_SEED = 9  # of the shards that no training and no reader learnt from
FIRST_PROMPT = 91_000_000
PROMPTS = 160
PROFILE = load_profile("miniature")


def main() -> None:
    """Print the tables, section by section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="miniature")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, nargs="*", default=[])
    parser.add_argument("--shards", type=int, default=72, help="of painted scenes, as many as the training had")
    parser.add_argument("--seed", type=int, default=0, help="of the training's scenes")
    parser.add_argument("--epochs", type=int, default=6, help="of the reader")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    pipe = load_pipeline(PROFILE.model_copy(update={"base_model": options.model}))
    vgg = load_vgg()
    progress = Progress(bar=True)
    unseen, unseen_scenes = labelled(options.work / "pictures", range(2), UNSEEN_SEED, progress)
    real = list(held_out(options.paintings))
    autoencoder(pipe.vae, unseen[0][:48], real, vgg, options.work)
    print(f"\nFlow-matching loss on scenes: {loss(pipe, unseen[0], [s.caption(True) for s in unseen_scenes[0]])}")
    if real:
        middles = np.stack([_middle(painting.pixels) for painting in real])
        said = [caption_of("", painting.artist, middle)[0] for painting, middle in zip(real, middles, strict=True)]
        print(f"On held-out paintings: {loss(pipe, middles, said)}")
    reader = load_reader(options.work, options.shards, options.seed, options.epochs, progress)
    scenes = fresh_scenes(options.shards, options.seed)
    began = time.perf_counter()
    drawn = np.stack([picture(pipe, scene.caption(True), i) for i, scene in enumerate(scenes)])
    print(f"\n{len(drawn)} samples, {(time.perf_counter() - began) / len(drawn):.2f} s each")
    listening(reader, drawn, scenes, np.concatenate(unseen[:1]), unseen_scenes[0])
    styles(pipe, reader, scenes[:80])
    kernel_distances(vgg, drawn, np.concatenate([part for part in unseen if part.shape[1] == SIZE]))
    sheet(drawn[:32], options.work / "prompts.png", 8)
    (options.work / "prompts.txt").write_text("\n".join(scene.caption(True) for scene in scenes[:32]) + "\n")
    nearest(drawn[:24], options.work, options.shards, options.seed)
    speed(pipe)


def kernel_distances(vgg: Vgg, drawn: np.ndarray, renders: np.ndarray) -> None:
    """Print how far samples are from renders that no training saw, and those from each other."""
    seen, held_back = vgg.deepest_means(drawn), vgg.deepest_means(renders)
    mean, low, high = kid(seen, held_back, np.random.default_rng(0))
    print(
        f"\nKernel distance (VGG16, x1000) of samples to held-out renders: {1000 * mean:.1f} "
        f"[{1000 * low:.1f}, {1000 * high:.1f}]"
    )
    order = np.random.default_rng(1).permutation(len(renders))
    halves = held_back[order[: len(order) // 2]], held_back[order[len(order) // 2 :]]
    print(f"Renders to other renders: {1000 * kid(*halves, np.random.default_rng(0))[0]:.1f}")


def kid(a: np.ndarray, b: np.ndarray, dice: np.random.Generator, subsets: int = 100) -> tuple[float, float, float]:
    """Kernel distance of two sets of features: mean and 95 % interval over subsets of half the smaller set.

    The unbiased squared MMD with the cubic kernel of https://arxiv.org/abs/1801.01401.
    """
    from torchmetrics.image.kid import poly_mmd

    size = min(len(a), len(b)) // 2
    one, other = (torch.from_numpy(side.astype(np.float64)) for side in (a, b))
    found = [
        float(poly_mmd(one[dice.choice(len(a), size, replace=False)], other[dice.choice(len(b), size, replace=False)]))
        for _ in range(subsets)
    ]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(np.mean(found)), float(low), float(high)


def picture(pipe: Any, prompt: str, seed: int, height: int = SIZE) -> np.ndarray:
    """A picture as the profile draws it."""
    steps, words = PROFILE.evaluation.num_inference_steps, PROFILE.max_sequence_length
    return draw(pipe, prompt, seed, SIZE, height, steps, drawing_of(None, PROFILE), words)


def fresh_scenes(shards: int, seed: int) -> list[Scene]:
    """Scenes whose sentences are in no caption of the training, nor in one of the first."""
    starts = {0, seed * 10_000_000}
    known = {taught_scene(start + i).caption(True) for start in starts for i in range(shards * PER_SHARD)}
    wanted = (taught_scene(FIRST_PROMPT + i) for i in range(10 * PROMPTS))
    return [scene for scene in wanted if scene.caption(True) not in known][:PROMPTS]


def load_reader(work: Path, shards: int, seed: int, epochs: int, progress: Progress) -> Reader:
    """The reader that `work` holds, or one that is trained now."""
    from safetensors.torch import load_file, save_file

    file, model = work / "reader.safetensors", Reader()
    if not file.exists():
        numbers = [number for number in range(shards) if number % 4 != 3]  # the squares
        found = [labelled(work / "pictures", range(number, number + 1), seed, progress) for number in numbers]
        trained = train_reader([f[0][0] for f in found], [f[1][0] for f in found], epochs, progress)
        save_file({name: value.contiguous() for name, value in trained.state_dict().items()}, file)
    model.load_state_dict(load_file(file))
    return model.eval()


def held_out(corpora: list[Path]) -> Iterator[Painting]:
    """The paintings that the training never saw."""
    for corpus in corpora:
        yield from paintings(corpus, held_out=True)


def autoencoder(vae: Any, scenes: np.ndarray, real: list[Painting], vgg: Vgg, work: Path) -> None:
    """Print what a round trip leaves; write originals above reconstructions."""
    print("| autoencoder | PSNR, dB | CIEDE2000 | Laplacian energy | LPIPS (VGG16) |\n|---|---|---|---|---|")
    kinds = {"scenes": scenes}
    if real:
        kinds["paintings"] = np.stack([_middle(painting.pixels) for painting in real])
    for name, originals in kinds.items():
        back = round_trip(vae, originals)
        error = ((originals / 255.0 - back / 255.0) ** 2).mean((1, 2, 3))
        colour = [deltaE_ciede2000(rgb2lab(a), rgb2lab(b)).mean() for a, b in zip(originals, back, strict=True)]
        fine = [_detail(b) / _detail(a) for a, b in zip(originals, back, strict=True)]
        print(
            f"| {len(originals)} held-out {name} | {(-10 * np.log10(error)).mean():.2f} | {np.mean(colour):.2f} "
            f"| {np.mean(fine):.2f} | {vgg.lpips(originals, back).mean():.3f} |"
        )
        rows = [part[i : i + 8] for i in range(0, min(16, len(originals)), 8) for part in (originals, back)]
        sheet(np.concatenate([row for row in rows if len(row) == 8]), work / f"autoencoder-{name}.png", 8)


def loss(pipe: Any, pictures: np.ndarray, captions: list[str], draws: int = 4) -> str:
    """Mean and standard error of the flow-matching loss without guidance; the same noise for every model."""
    generator, found = torch.Generator().manual_seed(0), []
    models = {name: getattr(pipe, name) for name in ("text_encoder", "text_encoder_2", "transformer")}
    with torch.inference_mode():
        for first in range(0, len(pictures), 16):
            clean = pipe.vae.encode(to_tensor(pictures[first : first + 16])).latent_dist.mode()
            words = captions[first : first + 16]
            for _ in range(draws):
                noise = torch.randn(clean.shape, generator=generator)
                sigmas = draw_sigmas(pipe.scheduler, clean, generator)
                noisy = (1 - sigmas.view(-1, 1, 1, 1)) * clean + sigmas.view(-1, 1, 1, 1) * noise
                said = velocity(models, pipe, noisy, sigmas, words, PROFILE.max_sequence_length, torch.ones(len(words)))
                found.append((said - (noise - clean)).square().mean((1, 2, 3)))
    each = torch.cat(found)
    return f"{each.mean():.3f} ± {each.std() / len(each) ** 0.5:.3f} ({len(pictures)} pictures, {draws} draws each)"


def round_trip(vae: Any, pictures: np.ndarray) -> np.ndarray:
    """Encode and decode uint8 pictures."""
    with torch.inference_mode():
        tensor = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
        back = vae.decode(vae.encode(tensor).latent_dist.mode()).sample.clamp(-1, 1)
    return ((back + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def _middle(pixels: np.ndarray) -> np.ndarray:
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def _detail(picture: np.ndarray) -> float:
    return float((laplace(picture.astype(float).mean(-1)) ** 2).mean())


def listening(reader: Reader, drawn: np.ndarray, asked: list[Scene], painted: np.ndarray, shown: list[Scene]) -> None:
    """Print how often each attribute of the prompt is read from the sample, and from a painted scene."""
    samples, renders = accuracy(reader, drawn, asked), accuracy(reader, painted, shown)
    print("\n| attribute | samples | painted scenes | chance |\n|---|---|---|---|")
    chances = {}
    for name in ATTRIBUTES:
        counts = np.bincount(labels_of(asked)[name].numpy())
        chances[name] = counts.max() / counts.sum()
        print(f"| {name} | {samples[name]:.2f} | {renders[name]:.2f} | {chances[name]:.2f} |")
    means = " | ".join(f"**{mean_judged(scores):.2f}**" for scores in (samples, renders, chances))
    print(f"| **mean of {', '.join(JUDGED)}** | {means} |")


def styles(pipe: Any, reader: Reader, scenes: list[Scene]) -> None:
    """Print which styles samples have where the prompt names neither style nor palette."""
    prompts = [scene.caption().rsplit(", ", 1)[0] for scene in scenes]
    drawn = np.stack([picture(pipe, prompt, 1000 + i) for i, prompt in enumerate(prompts)])
    said = read(reader, drawn)["style"]
    shares = np.bincount(said.argmax(1), minlength=said.shape[1]) / len(said)
    spread = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
    unsure = -(said * np.log2(said + 1e-12)).sum(1).mean()
    names = ", ".join(f"{name} {share:.2f}" for name, share in zip(ATTRIBUTES["style"], shares, strict=True))
    print(
        f"\nNo style in the prompt ({len(drawn)} samples): {names}; entropy {spread:.2f} of "
        f"{np.log2(len(shares)):.2f} bits, of a single sample {unsure:.2f} bits"
    )


def nearest(drawn: np.ndarray, work: Path, shards: int, seed: int) -> None:
    """Write each sample above the two training pictures nearest to it in a 16x16 thumbnail, mirrors included."""
    kept: list[np.ndarray] = []
    thumbs: list[np.ndarray] = []
    for number in range(shards):
        if number % 4 != 3:
            pictures = read_shard(work / "pictures" / f"shard-{seed}-{number:04d}.safetensors").pictures
            small = pictures.reshape(len(pictures), SIZE, 2, SIZE, 2, 3).mean((2, 4), dtype=np.float32).astype(np.uint8)
            for side in (small, small[:, :, ::-1]):
                kept.append(side)
                thumbs.append(_thumbs(side))
    every, places = np.concatenate(thumbs), np.cumsum([0, *(len(part) for part in kept)])
    columns, gaps = [], []
    for sample, thumb in zip(drawn, _thumbs(drawn), strict=True):
        far = ((every - thumb) ** 2).mean(1)
        best = far.argsort()[:2]
        gaps.append(far[best[0]] ** 0.5)
        found = [kept[int(np.searchsorted(places, b, "right")) - 1] for b in best]
        starts = [places[int(np.searchsorted(places, b, "right")) - 1] for b in best]
        columns.append(np.concatenate([sample, *(part[b - s] for part, b, s in zip(found, best, starts, strict=True))]))
    rows = [np.concatenate(columns[i : i + 12], 1) for i in range(0, len(columns) - 11, 12)]
    Image.fromarray(np.concatenate(rows)).save(work / "nearest.png")
    others = every[np.random.default_rng(0).choice(len(every), 200, replace=False)]
    own = [np.partition(((every - thumb) ** 2).mean(1), 1)[1] ** 0.5 for thumb in others]
    print(
        f"\nNearest training picture of a sample: {np.median(gaps):.1f} levels away (least {min(gaps):.1f}); "
        f"of a training picture itself: {np.median(own):.1f} (least {min(own):.1f})"
    )


def _thumbs(pictures: np.ndarray) -> np.ndarray:
    fields = pictures.reshape(len(pictures), 16, SIZE // 16, 16, SIZE // 16, 3).mean((2, 4), dtype=np.float32)
    return fields.reshape(len(pictures), -1)


def speed(pipe: Any, runs: int = 5) -> None:
    """Print the median seconds of four pictures and the parts' shares."""
    prompt, spent = "an ink wash painting of bamboo in spring by day", {"text": 0.0, "transformer": 0.0, "decoder": 0.0}
    steps = PROFILE.evaluation.num_inference_steps

    def timed(name: str, function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = function(*given, **named)
            spent[name] += time.perf_counter() - began
            return result

        return call

    parts = {
        "text": (pipe, "encode_prompt"),
        "transformer": (pipe.transformer, "forward"),
        "decoder": (pipe.vae, "decode"),
    }
    own = {name: getattr(*place) for name, place in parts.items()}
    for name, (place, method) in parts.items():
        setattr(place, method, timed(name, own[name]))
    totals = []
    for run in range(runs + 1):
        if run == 1:
            spent |= dict.fromkeys(spent, 0.0)
        began = time.perf_counter()
        for seed in range(4):
            picture(pipe, prompt, seed)
        totals.append(time.perf_counter() - began)
    for name, (place, method) in parts.items():
        setattr(place, method, own[name])
    whole = sum(totals[1:])
    shares = ", ".join(f"{name} {100 * seconds / whole:.0f} %" for name, seconds in spent.items())
    print(
        f"\nFour pictures of {steps} steps on {torch.get_num_threads()} threads: "
        f"{statistics.median(totals[1:]):.2f} s (median of {runs}); {shares}"
    )


def sheet(pictures: np.ndarray, file: Path, columns: int) -> None:
    """Pictures in rows."""
    rows = [np.concatenate(pictures[i : i + columns], 1) for i in range(0, len(pictures) - columns + 1, columns)]
    Image.fromarray(np.concatenate(rows)).save(file)


if __name__ == "__main__":
    main()
