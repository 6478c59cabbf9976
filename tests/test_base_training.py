"""Training the miniature: what it learns from, that it goes on after a stop, that stock diffusers loads the result."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artmaster_pipeline.base_models.miniature.first_weights import (
    begin_as_block_transform,
    principal_components,
)
from artmaster_pipeline.base_models.miniature.train import train_base
from artmaster_pipeline.base_models.miniature.training_pictures import (
    UNTAUGHT_STYLE,
    caption_of,
    crop_shards,
    paint_shards,
    paintings,
    read_shard,
    taught_scene,
)
from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.sample_painters import paint


@pytest.fixture(scope="module")
def short() -> pytest.MonkeyPatch:
    """A training of a few steps on a few pictures."""
    with pytest.MonkeyPatch.context() as patch:
        room = "artmaster_pipeline.base_models.miniature"
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

    patch.setattr("artmaster_pipeline.base_models.miniature.training_pictures.ProcessPoolExecutor", Pool)
    patch.setattr("os.nice", lambda _: 0)


def test_a_shard_is_a_function_of_its_number_and_seed(short: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paint_here(short)
    first = paint_shards(tmp_path / "a", 1, 3)[0]
    again = paint_shards(tmp_path / "b", 1, 3)[0]
    assert first.read_bytes() == again.read_bytes()
    shard = read_shard(first)
    assert shard.pictures.shape == (6, 256, 256, 3)
    assert len(shard.captions) == 6
    assert all(named.endswith(plain) for plain, named in shard.captions)


def test_the_base_is_taught_more_subjects_than_an_archives_painter_has_and_one_style_fewer() -> None:
    scenes = [taught_scene(seed) for seed in range(400)]
    assert UNTAUGHT_STYLE not in {scene.style for scene in scenes}
    assert len({scene.style for scene in scenes}) == 5
    assert {"a vase of flowers on a terrace", "a lady under a parasol"} <= {scene.subject for scene in scenes}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twelve large one-coloured pictures and a manifest that names the artist and the title of the first."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (2000, 1000), (200, 40, 20 * number)).save(folder / f"{number:02d}.jpg")
    rows = "file,artist,title\n00.jpg,Claude Monet (1840-1926),Water Lily Pond\n"
    (folder / "MANIFEST.csv").write_text(rows, encoding="utf-8")
    return folder


def test_every_tenth_painting_is_held_out_and_the_others_come_reduced_with_their_artist(corpus: Path) -> None:
    shown = list(paintings(corpus))
    assert [painting.name for painting in paintings(corpus, held_out=True)] == ["05.jpg"]
    assert len(shown) == 11
    assert shown[0].pixels.shape == (384, 768, 3)
    known = [(painting.artist, painting.title) for painting in shown[:2]]
    assert known == [("Claude Monet", "Water Lily Pond"), ("", "")]


def test_paintings_that_cannot_be_read_are_named_together(corpus: Path, tmp_path: Path) -> None:
    for name in ("02.jpg", "07.jpg"):
        (corpus / name).write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"02\.jpg.*07\.jpg"):
        list(paintings(corpus))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no pictures"):
        list(paintings(tmp_path / "empty"))


def test_crops_of_paintings_are_made_once_and_say_what_can_be_measured(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    files = crop_shards(tmp_path / "pictures", [corpus], 0)
    assert [read_shard(file).pictures.shape[1:3] for file in files] == [(256, 256), (384, 256)]
    before = [file.stat().st_mtime_ns for file in files]
    assert crop_shards(tmp_path / "pictures", [], 0) == files
    assert [file.stat().st_mtime_ns for file in files] == before
    plain, named = read_shard(files[0]).captions[0]
    assert named.startswith("a painting by Claude Monet, ")
    assert plain.startswith("a painting, ")
    assert crop_shards(tmp_path, [], 0) == []


def test_what_a_title_names_is_said_of_crops_that_show_most_of_the_picture(corpus: Path, tmp_path: Path) -> None:
    asked: list[tuple[tuple[int, ...], str]] = []

    def describe(picture: np.ndarray, title: str) -> str:
        asked.append((picture.shape, title))
        return f"{title or 'something'}, seen wide and level"

    files = crop_shards(tmp_path, [corpus], 0, describe=describe)
    titles = [title for _, title in asked[:8]]
    assert set(titles) == {"Water Lily Pond", ""}  # of eight crops some show the most of it
    assert {title for _, title in asked[8:88]} == {""}
    plain, named = zip(*read_shard(files[0]).captions[:8], strict=True)
    assert plain[0].startswith(f"{titles[0] or 'something'}, seen wide and level, a painting, ")
    assert all(", a painting by Claude Monet, " in caption for caption in named)
    assert {shape for shape, _ in asked} == {(256, 256, 3), (384, 256, 3)}


def test_a_caption_tells_dark_from_bright_and_blue_from_red() -> None:
    def flat(*colour: int) -> np.ndarray:
        return np.full((64, 64, 3), colour, np.uint8)

    assert caption_of("", "", flat(20, 20, 60))[1] == "an old painting, dark, vivid colours, blue"
    assert caption_of("", "", flat(240, 200, 190))[1] == "an old painting, bright, soft colours, orange"
    assert "grey" in caption_of("", "", flat(128, 128, 128))[1]


def test_the_encoder_gives_the_principal_components_of_blocks() -> None:
    import torch
    from diffusers import AutoencoderKL

    from artmaster_pipeline.base_models.miniature.model import AUTOENCODER, LATENT_CHANNELS

    scenes = [paint(taught_scene(seed), seed, 64, 64) for seed in range(40)]
    pictures = np.stack(scenes).astype(np.float32) / 127.5 - 1
    mean, components, gains = principal_components(pictures, LATENT_CHANNELS)
    vae = AutoencoderKL(**AUTOENCODER)
    begin_as_block_transform(vae, mean, components, gains)
    with torch.no_grad():
        latents = vae.encode(torch.from_numpy(pictures).permute(0, 3, 1, 2)).latent_dist.mode().numpy()
    blocks = pictures.reshape(40, 8, 8, 8, 8, 3).transpose(0, 1, 3, 2, 4, 5)
    wanted = np.einsum("nijyxc,kyxc->nkij", blocks - mean, components) * gains[:, None, None]
    for latent, expected in zip(latents.swapaxes(0, 1), wanted.swapaxes(0, 1), strict=True):
        assert np.corrcoef(latent.ravel(), expected.ravel())[0, 1] > 0.997  # SiLU bends a little
        assert latent.std() == pytest.approx(expected.std(), rel=0.06)


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


@pytest.mark.slow
def test_a_training_begins_with_the_weights_of_another_and_keeps_its_words(
    trained: Path, short: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    paint_here(short)
    first = trained / "miniature"
    train_base(tmp_path, minutes=1e-9, shards=1, part="transformer", start=first, seed=5)  # one step, at a low rate
    for part, name in (("transformer", "diffusion_pytorch_model"), ("text_encoder", "model")):
        began, ended = (load_file(folder / part / f"{name}.safetensors") for folder in (first, tmp_path / "miniature"))
        assert all(value.float().allclose(began[key].float(), atol=2e-3) for key, value in ended.items())
        assert any(not value.equal(began[key]) for key, value in ended.items())
    words = [(folder / "miniature" / "tokenizer_2" / "tokenizer.json").read_bytes() for folder in (trained, tmp_path)]
    assert words[0] == words[1]


def test_a_folder_without_a_miniature_to_begin_with_is_told_before_anything_is_painted(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    with pytest.raises(BadInput, match=r"model_index\.json"):
        train_base(tmp_path / "out", minutes=0.1, shards=1, start=tmp_path / "start")
    assert not (tmp_path / "out" / "work" / "pictures").exists()
