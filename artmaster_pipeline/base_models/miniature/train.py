"""Training the miniature: pictures, tokenizers and encoder, then the decoder, then text encoders and transformer.

The ControlNet is a part of its own, trained for a miniature that is there.

Everything that was painted, encoded or learnt so far lies in the output folder's `work/`; `resume` goes on from there.
The encoder is set before anything is trained, so decoder and transformer do not wait for each other: `parts` names the
one to train, and two processes may train both at once. Budgets are minutes of wall time, so two runs of one seed see
the same pictures but not the same number of them.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from artmaster_pipeline.base_models.miniature.control_pictures import paint_layouts
from artmaster_pipeline.base_models.miniature.first_weights import (
    begin_as_block_transform,
    principal_components,
)
from artmaster_pipeline.base_models.miniature.model import (
    LATENT_CHANNELS,
    miniature_folder,
    save_control,
    save_miniature,
    untrained_pipeline,
)
from artmaster_pipeline.base_models.miniature.train_autoencoder import Crops, train_decoder
from artmaster_pipeline.base_models.miniature.train_control import train_control
from artmaster_pipeline.base_models.miniature.train_transformer import (
    encode_shards,
    load_average,
    train_transformer,
)
from artmaster_pipeline.base_models.miniature.training_pictures import (
    Describe,
    crop_shards,
    halved,
    paint_shards,
    read_shard,
    taught_scene,
)
from artmaster_pipeline.base_models.miniature.training_state import load_state, save_state, state_facts
from artmaster_pipeline.base_models.miniature.vocabulary import TEXT_TOKENS, caption_words
from artmaster_pipeline.errors import BadInput, MissingRequirement, WrongUse
from artmaster_pipeline.files import check_folder, writing, writing_folder
from artmaster_pipeline.progress import SILENT, Progress

Part = Literal["all", "decoder", "transformer"]
_DECODER_SHARE = 0.3  # of the minutes, where both parts are trained
_SHARDS = 72
_SHEET = 15  # pictures on a sample sheet
_DECODER, _TRANSFORMER, _CONTROL = "decoder.safetensors", "transformer.safetensors", "control.safetensors"
_CONTROL_SHARDS = 16


def train_base(
    out: Path,
    *,
    minutes: float = 60.0,
    corpora: Sequence[Path] = (),
    describe: Describe | None = None,
    start: Path | None = None,
    resume: bool = False,
    part: Part = "all",
    seed: int = 0,
    device: str = "cpu",
    compiled: bool = False,
    shards: int = _SHARDS,
    progress: Progress = SILENT,
) -> Path:
    """Train a miniature for `minutes` and write it to `out/miniature`; gives that folder.

    It begins with the weights of `start`, a miniature's folder, where one is named, and else from nothing. `corpora`
    are folders of real paintings that the model sees beside the scenes; `describe` says what they show. Painting the
    scenes and encoding them is not part of the minutes. The other part is as far as `out` holds it. The transformer is
    compiled on CUDA, and elsewhere if `compiled` says so (it takes minutes, and a C++ compiler). Raises WrongUse where
    `out` holds a training of the part and `resume` is not said, BadInput for pictures that cannot be read or a `start`
    without a model, and MissingRequirement where there is no CUDA.
    """
    _check_device(device)
    check_folder(out)
    work = out / "work"
    states = {"decoder": work / _DECODER, "transformer": work / _TRANSFORMER}
    wanted = tuple(states) if part == "all" else (part,)
    if (begun := [name for name in wanted if states[name].exists()]) and not resume:
        raise WrongUse(
            f"{work} holds an earlier training ({', '.join(begun)}): go on with it by --resume, or name another folder."
        )
    started = _started(work / "start", start)
    painted = paint_shards(work / "pictures", shards, seed, progress)
    cropped = crop_shards(work / "pictures", corpora, seed, progress, describe)
    pipe = started or _begin(work / "beginning.safetensors", painted, cropped, seed)
    for name in ("vae", "text_encoder", "text_encoder_2", "transformer"):
        getattr(pipe, name).to(device)
    pipe.set_progress_bar_config(disable=True)
    share = {"decoder": _DECODER_SHARE, "transformer": 1 - _DECODER_SHARE} if part == "all" else {part: 1.0}
    if "decoder" in wanted:
        train_decoder(pipe.vae, Crops(painted, cropped), states["decoder"], minutes * share["decoder"], seed, progress)
    pipe.vae.eval().requires_grad_(False)
    if "transformer" in wanted:
        latents = encode_shards(pipe.vae, painted, work / "latents", progress)
        latents += encode_shards(pipe.vae, cropped, work / "latents", progress, real=True)

        def show(label: str) -> None:
            _load_decoder(pipe.vae, states["decoder"])
            write_samples(pipe, work / "sheets" / f"{label}.png", seed)

        given = minutes * share["transformer"]
        faster = compiled or device == "cuda"
        train_transformer(pipe, latents, states["transformer"], given, seed, progress, show, faster, started is None)
    return assemble(pipe, out, seed)


def train_base_control(
    out: Path,
    *,
    minutes: float = 40.0,
    start: Path | None = None,
    resume: bool = False,
    seed: int = 0,
    device: str = "cpu",
    shards: int = _CONTROL_SHARDS,
    progress: Progress = SILENT,
) -> Path:
    """Train a ControlNet for the miniature in `start` (the shipped one where none is named) for `minutes`.

    Writes `out/controlnet` and gives that folder; the miniature itself is not changed. Painting and encoding the scenes
    is not part of the minutes. Raises as `train_base` does.
    """
    _check_device(device)
    check_folder(out)
    work = out / "work"
    if (work / _CONTROL).exists() and not resume:
        raise WrongUse(
            f"{work} holds an earlier training (control): go on with it by --resume, or name another folder."
        )
    pipe = _started(work / "start", start or miniature_folder())
    for name in ("vae", "text_encoder", "text_encoder_2", "transformer"):
        getattr(pipe, name).to(device)
    files = paint_layouts(work / "layouts", shards, seed, progress)
    net = train_control(pipe, files, work / _CONTROL, minutes, seed, progress)
    with writing_folder(out / "controlnet") as temporary:
        save_control(net, temporary)
    return out / "controlnet"


def _check_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement(
            "There is no CUDA GPU that PyTorch can use (`nvidia-smi` shows the driver's view): train with --device cpu."
        )


def _started(kept: Path, start: Path | None) -> Any:
    """The pipeline that a training begins with, kept in `kept` so that it goes on with the same; None: from nothing."""
    import torch
    from diffusers import FluxPipeline

    if start is not None and not kept.is_dir():
        if not (start / "model_index.json").is_file():
            raise BadInput(f"{start} holds no model_index.json", "Name the folder of a miniature, as --out ends with.")
        with writing_folder(kept) as temporary:
            shutil.copytree(start, temporary, dirs_exist_ok=True)
    return FluxPipeline.from_pretrained(kept, torch_dtype=torch.float32) if kept.is_dir() else None


def _begin(file: Path, painted: list[Path], cropped: list[Path], seed: int) -> Any:
    """A pipeline whose tokenizers know the captions' words and whose encoder is set from the pictures.

    Both are written to `file`, so that a training that goes on finds the same, whatever else was changed.
    """
    if not file.is_file():
        words = caption_words(named for shard in cropped for _, named in read_shard(shard).captions)
        pipe = untrained_pipeline(seed, words)
        begin_as_block_transform(pipe.vae, *principal_components(_examples(painted, cropped), LATENT_CHANNELS))
        save_state(file, {"vae": pipe.vae}, [], {"words": words})
    pipe = untrained_pipeline(seed, tuple(state_facts(file)["words"]))
    load_state(file, {"vae": pipe.vae}, [])
    return pipe


def assemble(pipe: Any, out: Path, seed: int) -> Path:
    """Write both parts as far as `out/work` holds them to `out/miniature`, with a sheet of each; gives the folder."""
    work = out / "work"
    _load_decoder(pipe.vae, work / _DECODER)
    if (work / _TRANSFORMER).is_file():
        load_average(pipe, work / _TRANSFORMER)
        write_samples(pipe, work / "sheets" / "final.png", seed)
    examples = [
        file
        for file in sorted((work / "pictures").iterdir())
        if file.name.endswith(("-0000.safetensors", "x256.safetensors"))
    ]
    write_reconstructions(pipe.vae, examples, work / "sheets" / "decoder.png")
    with writing_folder(out / "miniature") as temporary:
        save_miniature(pipe, temporary)
        card = out / "miniature" / "README.md"
        if card.is_file():
            shutil.copy2(card, temporary / "README.md")
    return out / "miniature"


def _load_decoder(vae: Any, state: Path) -> None:
    load_state(state, {"vae": vae}, [])


def _examples(painted: list[Path], cropped: list[Path]) -> np.ndarray:
    """Pictures of all kinds at the miniature's size, float in -1..1, scenes and paintings in like numbers."""
    halves = []
    for files, count in ((painted[:1], 240), (cropped[:1], 720)):
        for file in files:
            pictures = read_shard(file).pictures
            halves.append(halved(pictures[:: max(1, len(pictures) // count)]))
    return np.concatenate(halves) / 127.5 - 1


def write_samples(pipe: Any, file: Path, seed: int) -> None:
    """A sheet of pictures for fixed scenes, one style per column."""
    import torch

    scenes = [taught_scene(90_000_000 + seed * 1_000 + i) for i in range(_SHEET)]
    drawn = pipe(
        [scene.caption(True) for scene in scenes],
        width=128,
        height=128,
        num_inference_steps=20,
        guidance_scale=3.5,
        max_sequence_length=TEXT_TOKENS,
        generator=[torch.Generator("cpu").manual_seed(i) for i in range(len(scenes))],
        output_type="np",
    ).images
    _write_sheet(np.round(np.clip(drawn, 0, 1) * 255).astype(np.uint8), file, columns=5)


def write_reconstructions(vae: Any, shards: list[Path], file: Path) -> None:
    """Pictures of square shards above what the autoencoder makes of them."""
    import torch

    from artmaster_pipeline.base_models.miniature.train_autoencoder import to_tensor

    chosen = [read_shard(shard).pictures for shard in shards]
    pictures = np.concatenate([halved(every[:: len(every) // 6][:6]) for every in chosen])
    with torch.no_grad():
        drawn = vae.decode(vae.encode(to_tensor(pictures).to(vae.device)).latent_dist.mode()).sample
    pixels = ((drawn.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    rows = [part[i : i + 6] for i in range(0, len(pictures), 6) for part in (pictures, pixels)]
    _write_sheet(np.concatenate(rows), file, columns=6)


def _write_sheet(pictures: np.ndarray, file: Path, columns: int) -> None:
    from PIL import Image

    rows = [np.concatenate(pictures[i : i + columns], 1) for i in range(0, len(pictures), columns)]
    with writing(file) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary)
