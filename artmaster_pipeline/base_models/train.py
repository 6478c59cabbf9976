"""Training the miniature: tokenizers and scenes, then the autoencoder, then text encoders and transformer.

Everything that was painted, encoded or learnt so far lies in the output folder's `work/`; `resume` goes on from there.
Budgets are minutes of wall time, so two runs of one seed see the same pictures but not the same number of them.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from artmaster_pipeline.base_models.miniature import save_miniature, untrained_pipeline
from artmaster_pipeline.base_models.sampling import draw
from artmaster_pipeline.base_models.train_autoencoder import Crops, train_autoencoder
from artmaster_pipeline.base_models.train_transformer import encode_shards, train_transformer
from artmaster_pipeline.base_models.training_pictures import paint_shards, paintings
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import writing, writing_folder
from artmaster_pipeline.progress import SILENT, Progress

AUTOENCODER_SHARE = 0.42  # of the minutes
_SHARDS = 60
_SHEET = 12  # pictures on a sample sheet


def train_base(
    out: Path,
    *,
    minutes: float = 60.0,
    corpus: Path | None = None,
    resume: bool = False,
    seed: int = 0,
    device: str = "cpu",
    shards: int = _SHARDS,
    progress: Progress = SILENT,
) -> Path:
    """Train a miniature for `minutes` and write it to `out/miniature`; gives that folder.

    `corpus` is a folder of real paintings that the autoencoder sees beside the scenes. Painting the scenes and
    encoding them is not part of the minutes. Raises WrongUse where `out` holds a training and `resume` is not said.
    """
    work = out / "work"
    if work.exists() and not resume:
        raise WrongUse(f"{work} holds an earlier training: go on with it by --resume, or name another folder.")
    files = paint_shards(work / "pictures", shards, seed, progress)
    real = [pixels for _, pixels in paintings(corpus)] if corpus else []
    pipe = untrained_pipeline(seed).to(device)
    pipe.set_progress_bar_config(disable=True)
    minutes_first = minutes * AUTOENCODER_SHARE
    state = work / "autoencoder.safetensors"
    train_autoencoder(pipe.vae, Crops(files, real), state, minutes_first, seed, progress)
    pipe.vae.eval().requires_grad_(False)
    write_reconstructions(pipe.vae, files[0], work / "sheets" / "autoencoder.png")
    latents = encode_shards(pipe.vae, files, work / "latents", progress)

    def show(label: str) -> None:
        write_samples(pipe, work / "sheets" / f"{label}.png", seed)

    train_transformer(pipe, latents, work / "transformer.safetensors", minutes - minutes_first, seed, progress, show)
    show("final")
    with writing_folder(out / "miniature") as temporary:
        save_miniature(pipe, temporary)
        card = out / "miniature" / "README.md"
        if card.is_file():
            shutil.copy2(card, temporary / "README.md")
    return out / "miniature"


def write_samples(pipe: Any, file: Path, seed: int) -> None:
    """A sheet of pictures for fixed scenes, one style per column."""
    from artmaster_pipeline.sample_painters import STYLES, imagine

    scenes = [imagine(90_000_000 + seed + i, STYLES[i % len(STYLES)]) for i in range(_SHEET)]
    pictures = [draw(pipe, scene.caption(True), i, 128, 128, 12, 3.5, 64) for i, scene in enumerate(scenes)]
    _write_sheet(np.stack(pictures), file, columns=6)


def write_reconstructions(vae: Any, shard: Path, file: Path) -> None:
    """Scenes of a shard above what the autoencoder makes of them."""
    import torch

    from artmaster_pipeline.base_models.train_autoencoder import to_tensor
    from artmaster_pipeline.base_models.training_pictures import read_shard

    pictures = read_shard(shard).pictures[:6, ::2, ::2]
    with torch.no_grad():
        drawn = vae.decode(vae.encode(to_tensor(pictures).to(vae.device)).latent_dist.mode()).sample
    pixels = ((drawn.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    _write_sheet(np.concatenate((pictures, pixels)), file, columns=6)


def _write_sheet(pictures: np.ndarray, file: Path, columns: int) -> None:
    from PIL import Image

    rows = [np.concatenate(pictures[i : i + columns], 1) for i in range(0, len(pictures), columns)]
    with writing(file) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary)
