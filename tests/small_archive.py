"""A data home as the rooms before evaluation leave it, in small: scans, thumbnails, a training set, an adapter.

The pictures are drawn here; the adapter's folder holds its records and no weights worth loading. `quick_drawing` gives
the words of base_models a painter that answers in milliseconds, for tests that are about records and pages.
"""

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sharing import linked_copy

from artmaster_pipeline import adapters, base_models
from artmaster_pipeline.evaluation.axes import autoencoding
from artmaster_pipeline.evaluation.panel import drift
from artmaster_pipeline.generation import sampling
from artmaster_pipeline.pictures import AI_GENERATED, write_png
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    AdapterSnapshot,
    Sample,
    Scan,
    TrainingImage,
    Verdict,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home, PainterSettings, Profile, load_profile, save_painter

PAINTER = "some-painter"
TRIGGER = "somepainter style"
FAR_PROMPTS = ("a bowl of fruit", "a bird on a branch")


def small_profile(**evaluation: Any) -> Profile:
    """The miniature with an evaluation of few pictures."""
    profile = load_profile("miniature")
    plain = {"guidance_scale": 1.5, "true_cfg_scale": None, "adapter_in_unguided": None, "strength": None}
    few = {"samples": 4, "far_prompts": FAR_PROMPTS, "far_samples": 1, "strengths": (), **plain, **evaluation}
    return profile.model_copy(update={"evaluation": profile.evaluation.model_copy(update=few)})


def painted(seed: int, width: int, height: int, ink: tuple[int, int, int]) -> np.ndarray:
    """Strokes of one ink on paper, their direction given by the seed: uint8 (height, width, 3)."""
    rows, columns = np.mgrid[0:height, 0:width]
    strokes = 0.5 + 0.5 * np.sin((rows * np.cos(seed * 0.7) + columns * np.sin(seed * 0.7)) / 3.0)
    paper = np.array([228, 218, 198])
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    mixed = paper * (1 - strokes[..., None]) + np.array(ink) * strokes[..., None] + noise
    return np.clip(mixed, 0, 255).astype(np.uint8)


def small_archive(home: Home, works: int = 5, held_out: int = 2, **scan_fields: Any) -> Adapter:
    """Fill `home` with a painter of `works` works, the last `held_out` of them not trained on; gives the adapter."""
    home.scans(PAINTER).mkdir(parents=True)
    save_painter(home, PAINTER, PainterSettings(name="Some Painter", trigger=TRIGGER, rights="In the public domain"))
    scans, images = [], []
    for work in range(works):
        scan = _scan(home, work, **scan_fields)
        scans.append(scan)
        for width, height in ((512, 512), (512, 768)):
            images.append(
                _training_image(home, scan, width, height, "train" if work < works - held_out else "held_out")
            )
    write_manifest(home.register(PAINTER) / MANIFEST, scans)
    write_manifest(home.training_set(PAINTER) / MANIFEST, images)
    return add_adapter(home, tuple(scans), tuple(images), seed=0)


def add_adapter(
    home: Home,
    scans: tuple[Scan, ...],
    images: tuple[TrainingImage, ...],
    seed: int,
    weights: bytes = b"",
    base_revision: str = "b" * 16,
) -> Adapter:
    """Write an adapter's folder and make it the painter's current one."""
    train = [image for image in images if image.split == "train"]
    key = identity("adapter", seed, [image.id for image in train])
    folder = home.adapters(PAINTER) / key
    folder.mkdir(parents=True)
    weights = weights or f"weights {seed}".encode()
    (folder / "adapter.safetensors").write_bytes(weights)
    adapter = Adapter(
        id=key,
        painter=PAINTER,
        path=f"adapters/{PAINTER}/{key}",
        sha256=hashlib.sha256(weights).hexdigest(),
        profile="miniature",
        base_model="miniature",
        base_revision=base_revision,
        trigger=TRIGGER,
        training_set_hash="c" * 64,
        training_image_ids=tuple(image.id for image in train),
        scan_sha256s=tuple(sorted({image.scan_sha256 for image in train})),
        seed=seed,
        steps=400,
        settings={"learning_rate": 1e-3},
        ranks={"transformer_blocks.0.attn.to_q": 8, "transformer_blocks.0.attn.to_k": 5},
        final_loss=0.42,
    )
    snapshot = AdapterSnapshot(scans=scans, crops=(), training_images=images)
    (folder / "lineage.json").write_text(snapshot.model_dump_json(), encoding="utf-8")
    (folder / "adapter.json").write_text(adapter.model_dump_json(), encoding="utf-8")
    write_manifest(home.adapters(PAINTER) / MANIFEST, [adapter])
    return adapter


def evaluated(home: Home, rows: int = 2, prompt: str = "") -> tuple[Sample, ...]:
    """Let the painter's current adapter be evaluated and judged fit, its pictures drawn here; gives the samples.

    Beside the grid's cells there is one further picture, of those that are only measured.
    """
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    images = read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)[:rows]
    samples = [
        _sample(home, adapter, image, seed, column, prompt or image.caption)
        for seed, image in enumerate(images)
        for column in ("original", "base", "adapter")
    ]
    samples.append(_sample(home, adapter, images[0], rows, "adapter", "only measured", role="panel"))
    folder = home.evaluation(PAINTER) / adapter.id
    write_png(folder / "grid.png", painted(0, 64, 64, (0, 0, 0)), {"id": "grid", "notice": AI_GENERATED})
    panel = {"axes": {}, "memorisation": {"suspects": 0}, "counts": {"prompts": rows}, "reading": "Two small pictures."}
    (folder / "panel.json").write_text(json.dumps(panel), encoding="utf-8")
    write_manifest(home.evaluation(PAINTER) / MANIFEST, samples)
    judged(home)
    return tuple(samples)


def judged(home: Home, *, publish: bool = True, by: Any = "figures", reasons: tuple[str, ...] = ()) -> Verdict:
    """Write the verdict on the painter's current adapter, as the gate or a person would give it."""
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    verdict = Verdict(adapter_id=adapter.id, publish=publish, by=by, reasons=reasons, figures={})
    folder = home.evaluation(PAINTER) / adapter.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_text(verdict.model_dump_json(), encoding="utf-8")
    return verdict


def quick_drawing(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    """Let base models and adapters answer at once; gives the list of what is drawn (prompt, seed, with an adapter?)."""
    drawn: list[tuple[str, int, bool]] = []

    class Pipe:
        vae_scale_factor = 8
        adapter: Path | None = None
        transformer = SimpleNamespace(device=SimpleNamespace(type="cpu"))

    def draw(pipe: Pipe, texts: list[str], seeds: list[int], width: int, height: int, *_: Any) -> list[np.ndarray]:
        drawn.extend((text, seed, pipe.adapter is not None) for text, seed in zip(texts, seeds, strict=True))
        ink = (60, 70, 60) if pipe.adapter else (200, 60, 160)
        return [painted(seed + 1, width, height, ink) for seed in seeds]

    def attach(pipe: Pipe, folder_or_file: Path, strength: float = 1.0, alike: bool = False) -> None:
        folder = folder_or_file if folder_or_file.is_dir() else folder_or_file.parent
        assert (folder / "adapter.safetensors").is_file()
        pipe.adapter = folder

    answers: dict[str, Callable[..., Any]] = {
        "open_pipeline": lambda profile, parts=None, home=None: nullcontext(Pipe()),
        "base_revision": lambda profile, home=None: "b" * 16,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(base_models, name, answer)
    monkeypatch.setattr(adapters, "attach", attach)
    # A text stands for its own embedding.
    monkeypatch.setattr(sampling, "embed_texts", lambda profile, texts, *_: {text: text for text in texts})
    monkeypatch.setattr(sampling, "negative_of", lambda *_: None)
    monkeypatch.setattr(sampling, "draw_embedded", draw)
    monkeypatch.setattr(autoencoding, "open_round_trip", lambda profile, home: nullcontext(lambda pixels: pixels))
    # Every picture shows what its prompt says, as far as anyone can tell.
    monkeypatch.setattr(
        drift,
        "open_readers",
        lambda *_: nullcontext(lambda strength: lambda picture, prompts: -np.arange(len(prompts))),
    )
    return drawn


def copied(home: Home, to: Home) -> Home:
    """A copy of a data home, for a test that changes it; pictures and weights are hard links (`sharing`)."""
    linked_copy(home.root, to.root)
    return to


def _sample(
    home: Home, adapter: Adapter, image: TrainingImage, seed: int, column: Any, prompt: str, role: Any = "row"
) -> Sample:
    key = identity(adapter.id, column, prompt, seed)
    path = f"{adapter.id}/samples/{key}.png"
    facts = {"id": key, "notice": AI_GENERATED, "prompt": prompt, "seed": seed, "adapter": adapter.id}
    if column == "original":
        facts = {"id": key, "notice": "Detail of a scanned artwork", "scan_sha256": image.scan_sha256}
    inks = {"original": (60, 70, 60), "base": (200, 60, 160), "adapter": (50, 60, 50 + adapter.seed)}
    write_png(home.evaluation(PAINTER) / path, painted(seed, 64, 64, inks[column]), facts)
    return Sample(
        id=key,
        painter=PAINTER,
        column=column,
        adapter_ids=(adapter.id,) if column == "adapter" else (),
        evaluated_adapter_id=adapter.id,
        base_model=adapter.base_model,
        base_revision=adapter.base_revision,
        prompt=prompt,
        seed=seed,
        width=64,
        height=64,
        num_inference_steps=2,
        guidance_scale=3.5,
        path=path,
        sha256=hashlib.sha256((home.evaluation(PAINTER) / path).read_bytes()).hexdigest(),
        scan_sha256=image.scan_sha256 if column == "original" else "",
        role=role,
    )


def _scan(home: Home, work: int, **fields: Any) -> Scan:
    picture = Image.fromarray(painted(work, 600, 900, (50, 60 + 10 * work, 50)))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    (home.scans(PAINTER) / f"{work}.jpg").write_bytes(buffer.getvalue())
    thumbnails = home.register(PAINTER) / "thumbnails"
    thumbnails.mkdir(parents=True, exist_ok=True)
    picture.resize((200, 300)).save(thumbnails / f"{sha256[:16]}.jpg")
    described = {"title": f"Mountain {work}", "accession_number": f"1960.{work}", "date": "1952", **fields}
    return Scan(
        id=sha256[:16],
        painter=PAINTER,
        path=f"{work}.jpg",
        sha256=sha256,
        bytes=len(buffer.getvalue()),
        width=600,
        height=900,
        format="JPEG",
        colour="sRGB",
        **described,
    )


def _training_image(home: Home, scan: Scan, width: int, height: int, split: Any) -> TrainingImage:
    key = identity(scan.sha256, width, height)
    file = home.training_set(PAINTER) / "images" / f"{key}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(home.scans(PAINTER) / scan.path) as picture:
        picture.resize((width, height)).save(file, compress_level=1)
    return TrainingImage(
        id=key,
        painter=PAINTER,
        crop_id=key,
        scan_id=scan.id,
        scan_sha256=scan.sha256,
        path=f"images/{key}.png",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        width=width,
        height=height,
        caption=f"{TRIGGER}, {scan.title}",
        caption_source="artworks.csv",
        split=split,
    )
