"""Does the miniature's ControlNet hold a picture to its structure? Prints the figures of the model card.

    python benchmarks/copainting/control.py --scenes 40 --sheet sheet.png

Each held-out scene is drawn by the base three times from one noise: freely, held by its layout ("labels") and held by
its edges. Told by the numbers are

- thumbnail: correlation of lightness, averaged over 16 x 16 fields, with the painted scene;
- by regions: the share of the variance of Lab that the true layout's kinds explain (of regions of 1 % or more);
- edges: F-score of Canny's edges (100, 200) with the painted scene's, within 2 pixels;
- subject: how often the base finds, among the 17 subjects, what was asked for (denoising error, Li et al. 2023).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

SIGNALS = ("labels", "edges")
FIRST_SEED = 95_000_000
SIZES = ((128, 128), (128, 192))
BATCH, STEPS, TRUE_GUIDANCE, SIGMAS = 10, 20, 2.5, (0.55, 0.75, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--scale", type=float, default=1.0, help="controlnet_conditioning_scale")
    parser.add_argument("--until", type=float, default=1.0, help="control_guidance_end")
    parser.add_argument("--net", type=Path, help="another ControlNet's folder than the one that ships")
    parser.add_argument("--sheet", type=Path, help="a PNG to write: condition, without, with, painted scene")
    parser.add_argument("--no-subject", action="store_true", help="leave the slow figure out")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    pipe = open_pipe(given.net)
    scenes = [held_out(number) for number in range(given.scenes)]
    drawn: dict[str, list[np.ndarray]] = {"without": draw(pipe, scenes, "", 0.0, 1.0)}
    for signal in SIGNALS:
        drawn[signal] = draw(pipe, scenes, signal, given.scale, given.until)
    drawn["painted"] = [scene["picture"] for scene in scenes]
    if given.sheet:
        write_sheet(given.sheet, scenes, drawn)
    for name, figures in FIGURES.items():
        if name == "subject" and given.no_subject:
            continue
        for way, pictures in drawn.items():
            values = np.array([figures(pipe, scene, picture) for scene, picture in zip(scenes, pictures, strict=True)])
            low, high = interval(values)
            print(f"{name:10} {way:8} {values.mean():6.3f} [{low:.3f}, {high:.3f}]", flush=True)


def open_pipe(net: Path | None) -> Any:
    """The miniature with its ControlNet, as stock diffusers loads them."""
    import torch
    from diffusers import FluxControlNetModel, FluxControlNetPipeline

    from artmaster_pipeline.base_models.miniature.model import SHIPPED, control_folder, quiet_libraries

    quiet_libraries()
    control = FluxControlNetModel.from_pretrained(net or control_folder(), torch_dtype=torch.float32)
    pipe = FluxControlNetPipeline.from_pretrained(SHIPPED, controlnet=control, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def held_out(number: int) -> dict[str, Any]:
    """A scene that no training saw, every fourth upright: its caption, picture, layout and signals."""
    from artmaster_pipeline.base_models.miniature.control_pictures import canny, label_colours
    from artmaster_pipeline.base_models.miniature.training_pictures import halved, taught_scene
    from artmaster_pipeline.sample_painters import paint_with_layout

    width, height = SIZES[number % 4 == 3]
    seed = FIRST_SEED + number
    scene = taught_scene(seed)
    picture, kinds = paint_with_layout(scene, seed, 2 * width, 2 * height)
    picture, kinds = halved(picture[None])[0], kinds[::2, ::2]
    return {
        "seed": seed,
        "scene": scene,
        "picture": picture,
        "kinds": kinds,
        "labels": label_colours(kinds),
        "edges": canny(picture),
    }


def draw(pipe: Any, scenes: list[dict[str, Any]], signal: str, scale: float, until: float) -> list[np.ndarray]:
    """The scenes' captions drawn as the profile draws, each from its own noise: uint8 (height, width, 3)."""
    sizes = [scene["picture"].shape for scene in scenes]
    drawn: dict[int, np.ndarray] = {}
    for size in dict.fromkeys(sizes):
        numbers = [number for number, each in enumerate(sizes) if each == size]
        for few in (numbers[i : i + BATCH] for i in range(0, len(numbers), BATCH)):
            pictures = _draw([scenes[number] for number in few], pipe, signal, scale, until)
            drawn |= dict(zip(few, pictures, strict=True))
    return [drawn[number] for number in range(len(scenes))]


def _draw(scenes: list[dict[str, Any]], pipe: Any, signal: str, scale: float, until: float) -> np.ndarray:
    import torch
    from PIL import Image

    from artmaster_pipeline.base_models.miniature.model import CONTROL_MODES
    from artmaster_pipeline.base_models.miniature.vocabulary import TEXT_TOKENS

    height, width = scenes[0]["picture"].shape[:2]
    seeds = [torch.Generator().manual_seed(scene["seed"]) for scene in scenes]
    noise = torch.cat([torch.randn(1, 16, height // 8, width // 8, generator=seed) for seed in seeds])
    shown = [scene[signal] if signal else np.zeros_like(scene["picture"]) for scene in scenes]
    drawn = pipe(
        [scene["scene"].caption(name_style=True) for scene in scenes],
        negative_prompt=[""] * len(scenes),
        true_cfg_scale=TRUE_GUIDANCE,
        guidance_scale=1.0,
        width=width,
        height=height,
        num_inference_steps=STEPS,
        latents=pipe._pack_latents(noise, len(scenes), 16, height // 8, width // 8),
        control_image=[Image.fromarray(each) for each in shown],
        control_mode=CONTROL_MODES.index(signal) if signal else 0,
        controlnet_conditioning_scale=scale,
        control_guidance_end=until,
        max_sequence_length=TEXT_TOKENS,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images
    return np.round(np.clip(drawn, 0, 1) * 255).astype(np.uint8)


def thumbnail(_: Any, scene: dict[str, Any], picture: np.ndarray) -> float:
    from skimage.color import rgb2lab

    small = [blocks(rgb2lab(each)[..., 0]).ravel() for each in (scene["picture"], picture)]
    return float(np.corrcoef(*small)[0, 1])


def blocks(plane: np.ndarray) -> np.ndarray:
    """The means of 8 x 8 pixels."""
    height, width = plane.shape
    return plane.reshape(height // 8, 8, width // 8, 8).mean((1, 3))


def by_regions(_: Any, scene: dict[str, Any], picture: np.ndarray) -> float:
    from skimage.color import rgb2lab

    lab, kinds = rgb2lab(picture).reshape(-1, 3), scene["kinds"].ravel()
    large = [kind for kind in np.unique(kinds) if (kinds == kind).mean() >= 0.01]
    lab, kinds = lab[np.isin(kinds, large)], kinds[np.isin(kinds, large)]
    within = sum(float(((lab[kinds == kind] - lab[kinds == kind].mean(0)) ** 2).sum()) for kind in large)
    return 1 - within / max(float(((lab - lab.mean(0)) ** 2).sum()), 1e-9)


def edge_f(_: Any, scene: dict[str, Any], picture: np.ndarray) -> float:
    import cv2

    from artmaster_pipeline.base_models.miniature.control_pictures import canny

    wanted, found = scene["edges"][..., 0] > 0, canny(picture)[..., 0] > 0
    if not wanted.any() or not found.any():
        return float(wanted.any() == found.any())
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    near = [cv2.dilate(each.astype(np.uint8), disc) > 0 for each in (wanted, found)]
    precision, recall = float(near[0][found].mean()), float(near[1][wanted].mean())
    return 2 * precision * recall / max(precision + recall, 1e-9)


def subject(pipe: Any, scene: dict[str, Any], picture: np.ndarray) -> float:
    from dataclasses import replace

    import torch

    from artmaster_pipeline.base_models.miniature.train_transformer import encode_pictures, velocity
    from artmaster_pipeline.base_models.miniature.training_pictures import TAUGHT_SUBJECTS
    from artmaster_pipeline.base_models.miniature.vocabulary import TEXT_TOKENS

    captions = [replace(scene["scene"], subject=each).caption(name_style=True) for each in TAUGHT_SUBJECTS]
    count = len(captions)
    errors = torch.zeros(count)
    with torch.no_grad():
        clean = encode_pictures(pipe.vae, picture[None])
        for number, sigma in enumerate(SIGMAS):
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(number))
            noisy = ((1 - sigma) * clean + sigma * noise).expand(count, -1, -1, -1)
            parts = {name: getattr(pipe, name) for name in ("text_encoder", "text_encoder_2", "transformer")}
            said = velocity(parts, pipe, noisy, torch.full((count,), sigma), captions, TEXT_TOKENS, torch.ones(count))
            errors += (said - (noise - clean)).pow(2).mean((1, 2, 3))
    return float(TAUGHT_SUBJECTS[int(errors.argmin())] == scene["scene"].subject)


FIGURES = {"thumbnail": thumbnail, "by regions": by_regions, "edges": edge_f, "subject": subject}


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean."""
    dice = np.random.default_rng(0)
    means = values[dice.integers(len(values), size=(2000, len(values)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def write_sheet(file: Path, scenes: list[dict[str, Any]], drawn: dict[str, list[np.ndarray]]) -> None:
    """Square scenes, two in a row: labels, without, with labels, edges, with edges, painted."""
    from PIL import Image

    rows = [
        np.concatenate(
            (
                scene["labels"],
                drawn["without"][i],
                drawn["labels"][i],
                scene["edges"],
                drawn["edges"][i],
                scene["picture"],
            ),
            axis=1,
        )
        for i, scene in enumerate(scenes)
        if scene["picture"].shape[0] == scene["picture"].shape[1]
    ]
    pairs = [np.concatenate(rows[i : i + 2], axis=1) for i in range(0, len(rows) - 1, 2)]
    Image.fromarray(np.concatenate(pairs)).save(file)


if __name__ == "__main__":
    main()
