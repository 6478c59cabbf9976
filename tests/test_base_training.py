"""Training the miniature: what it learns from, that it goes on after a stop, that stock diffusers loads the result."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artmaster_pipeline.base_models import train_base
from artmaster_pipeline.base_models.training_pictures import paint_shards, paintings, read_shard
from artmaster_pipeline.errors import WrongUse


@pytest.fixture(scope="module")
def short() -> pytest.MonkeyPatch:
    """A training of a few steps on a few pictures."""
    with pytest.MonkeyPatch.context() as patch:
        room = "artmaster_pipeline.base_models"
        patch.setattr(f"{room}.training_pictures.PER_SHARD", 6)
        patch.setattr(f"{room}.train_autoencoder.BATCH", 2)
        patch.setattr(f"{room}.train_transformer.BATCH", 2)
        patch.setattr(f"{room}.train._SHEET", 1)
        yield patch


@pytest.fixture(scope="module")
def trained(short: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base")
    paint_here(short)
    train_base(out, minutes=0.1, shards=1)
    return out


def paint_here(patch: pytest.MonkeyPatch) -> None:
    """Paint in this process: a new one would not know the test's smaller shards."""

    class Pool:
        map = staticmethod(map)

        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None: ...

    patch.setattr("artmaster_pipeline.base_models.training_pictures.ProcessPoolExecutor", Pool)
    patch.setattr("os.nice", lambda _: 0)


def test_a_shard_is_a_function_of_its_number_and_seed(short: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paint_here(short)
    first = paint_shards(tmp_path / "a", 1, 3)[0]
    again = paint_shards(tmp_path / "b", 1, 3)[0]
    assert first.read_bytes() == again.read_bytes()
    shard = read_shard(first)
    assert shard.pictures.shape == (6, 256, 256, 3)
    assert len(shard.captions) == len(shard.styles) == 6
    assert all(named.endswith(plain) for plain, named in shard.captions)


def test_paintings_come_reduced_and_unreadable_files_are_left_out(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1000), (200, 40, 40)).save(tmp_path / "large.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("words")
    found = dict(paintings(tmp_path))
    assert list(found) == ["large.jpg"]
    assert found["large.jpg"].shape == (384, 768, 3)


@pytest.mark.slow
def test_what_was_trained_is_a_stock_pipeline(trained: Path) -> None:
    from diffusers import FluxPipeline

    pipe = FluxPipeline.from_pretrained(trained / "miniature")
    assert pipe.transformer.config.guidance_embeds
    assert np.isfinite([value.float().sum().item() for value in pipe.vae.state_dict().values()]).all()
    assert (trained / "work" / "sheets" / "final.png").is_file()


@pytest.mark.slow
def test_a_training_is_not_begun_over_by_accident_and_goes_on_when_asked(
    trained: Path, short: pytest.MonkeyPatch
) -> None:
    from artmaster_pipeline.progress import Progress

    with pytest.raises(WrongUse, match="--resume"):
        train_base(trained, minutes=0.1, shards=1)
    lines: list[str] = []
    train_base(trained, minutes=0.15, shards=1, resume=True, progress=Progress(lines.append, every_seconds=0))
    steps = [int(line.split("step ")[1].split(",")[0]) for line in lines if "step " in line]
    assert steps
    assert min(steps) > 0
