"""Which picture is this? Known by its words, its pixels or its looks; a picture from elsewhere is not known."""

import json
from pathlib import Path

import pytest
from forked import artmaster
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sharing import linked_copy
from small_archive import PAINTER, small_archive

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.gallery.enlarging import sample_facts
from artmaster_pipeline.lineage import picture_lineage
from artmaster_pipeline.pictures import write_jpeg, write_png
from artmaster_pipeline.records import MANIFEST, Adapter, Sample, read_manifest, write_manifest
from artmaster_pipeline.sample_painters import write_scans
from artmaster_pipeline.settings import Home

COUNT = 6


@pytest.fixture(scope="module")
def paintings_here(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    """Pictures that show something: the last is for nobody's evaluation."""
    folder = tmp_path_factory.mktemp("painted")
    write_scans(folder, "ink", COUNT + 1, seed=3)
    files = sorted(file for file in folder.iterdir() if file.suffix in {".jpg", ".png", ".tif"})
    pictures = [Image.open(file).convert("RGB") for file in files]
    return [picture.resize((256, 256 * picture.height // picture.width)) for picture in pictures]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, paintings_here: list[Image.Image]) -> Home:
    """An archive whose adapter has drawn all but the last of them, and the base one of those."""
    import numpy as np

    home = Home(tmp_path_factory.mktemp("recognising") / "home")
    adapter = small_archive(home)
    samples = []
    for seed, picture in enumerate(paintings_here[:COUNT]):
        drew = (adapter.id,) if seed else ()
        sample = Sample(
            id=f"{seed:016x}", painter=PAINTER, column="adapter" if drew else "base", adapter_ids=drew,
            evaluated_adapter_id=adapter.id, base_model="miniature", base_revision="b" * 16, prompt=f"picture {seed}",
            seed=seed, width=picture.width, height=picture.height, num_inference_steps=2, guidance_scale=3.5,
            path=f"{adapter.id}/samples/{seed:016x}.png", sha256="",
        )  # fmt: skip
        file = home.evaluation(PAINTER) / sample.path
        write_png(file, np.asarray(picture), sample_facts(sample))
        samples.append(sample.model_copy(update={"sha256": sha256_of(file)}))
    write_manifest(home.evaluation(PAINTER) / MANIFEST, samples)
    return home


def drawn(archive: Home, seed: int = 2) -> Path:
    (sample,) = (s for s in read_manifest(archive.evaluation(PAINTER) / MANIFEST, Sample) if s.seed == seed)
    return archive.evaluation(PAINTER) / sample.path


def adapter_of(archive: Home) -> Adapter:
    (adapter,) = read_manifest(archive.adapters(PAINTER) / MANIFEST, Adapter)
    return adapter


def test_a_picture_is_known_by_its_own_words_and_leads_to_the_scans(archive: Home) -> None:
    adapter, answer = adapter_of(archive), picture_lineage(archive, drawn(archive))
    assert answer.recognised_by == "metadata"
    assert answer.certainty.startswith("Certain")
    assert (answer.picture.seed, [state.adapter_id for state in answer.adapters]) == (2, [adapter.id])
    assert {work.scan.sha256 for work in answer.artworks} == set(adapter.scan_sha256s)
    assert answer.is_answered


def test_without_its_words_it_is_known_by_its_pixels_in_whatever_format_keeps_them(
    archive: Home, tmp_path: Path
) -> None:
    for name in ("x.png", "x.webp", "x.tif"):
        Image.open(drawn(archive)).convert("RGB").save(
            tmp_path / name, **({"lossless": True} if "webp" in name else {})
        )
        answer = picture_lineage(archive, tmp_path / name)
        assert (answer.recognised_by, answer.picture.seed, answer.likeness) == ("pixels", 2, None)


def half(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)


def cropped(picture: Image.Image) -> Image.Image:
    x, y = round(0.05 * picture.width), round(0.05 * picture.height)
    return picture.crop((x, y, picture.width - x, picture.height - y))


@pytest.mark.parametrize("seed", range(1, COUNT))
@pytest.mark.parametrize("change", [lambda p: p, half, cropped, lambda p: cropped(half(p))])
def test_saved_again_halved_or_cropped_it_is_known_by_what_it_looks_like(
    archive: Home, tmp_path: Path, seed: int, change
) -> None:
    change(Image.open(drawn(archive, seed)).convert("RGB")).save(tmp_path / "x.jpg", quality=75)
    answer = picture_lineage(archive, tmp_path / "x.jpg")
    assert (answer.recognised_by, answer.picture.seed) == ("likeness", seed)
    assert answer.likeness >= 0.4
    assert f"{answer.likeness:.2f}" in answer.certainty
    assert len(answer.artworks) == len(adapter_of(archive).scan_sha256s)


def test_another_picture_is_not_recognised(archive: Home, tmp_path: Path, paintings_here: list[Image.Image]) -> None:
    for number, other in enumerate((paintings_here[-1], Image.new("RGB", (64, 64), "white"))):
        other.save(tmp_path / f"{number}.png")
        answer = picture_lineage(archive, tmp_path / f"{number}.png")
        assert (answer.recognised_by, answer.picture, answer.artworks) == ("", None, ())
        assert not answer.is_answered


def test_a_picture_of_the_base_alone_has_no_artwork_behind_it(archive: Home) -> None:
    answer = picture_lineage(archive, drawn(archive, 0))
    assert answer.is_answered
    assert (answer.adapters, answer.artworks, answer.picture.column) == ((), (), "base")


def test_words_of_another_picture_are_not_believed(
    archive: Home, tmp_path: Path, paintings_here: list[Image.Image]
) -> None:
    text = Image.open(drawn(archive)).text["artmaster"]
    info = PngInfo()
    info.add_itxt("artmaster", text)
    paintings_here[-1].save(tmp_path / "stranger.png", pnginfo=info)
    answer = picture_lineage(archive, tmp_path / "stranger.png")
    assert answer.recognised_by == "hint"
    assert not answer.is_answered
    paintings_here[4].save(tmp_path / "sister.png", pnginfo=info)
    answer = picture_lineage(archive, tmp_path / "sister.png")
    assert (answer.recognised_by, answer.picture.seed) == ("pixels", 4)


def test_words_that_only_claim_are_told_from_a_picture_that_is_here(
    archive: Home, tmp_path: Path, paintings_here: list[Image.Image]
) -> None:
    said = json.loads(Image.open(drawn(archive)).text["artmaster"])
    facts = {name: value for name, value in said.items() if not name.endswith("sha256")}  # as if it were written here
    write_jpeg(tmp_path / "copy.jpg", paintings_here[2], facts)
    answer = picture_lineage(archive, tmp_path / "copy.jpg")
    assert answer.recognised_by == "metadata"
    assert answer.likeness > 0.8
    write_jpeg(tmp_path / "forged.jpg", paintings_here[-1], facts)
    answer = picture_lineage(archive, tmp_path / "forged.jpg")
    assert (answer.recognised_by, answer.picture) == ("metadata", None)
    assert "anyone can write" in answer.certainty


def test_an_adapter_that_this_home_does_not_know_is_named_as_such(
    archive: Home, tmp_path: Path, paintings_here: list[Image.Image]
) -> None:
    write_jpeg(tmp_path / "x.jpg", paintings_here[-1], {"id": "e" * 16, "adapter": "f" * 16})
    answer = picture_lineage(archive, tmp_path / "x.jpg")
    assert answer.unknown_adapters == ("f" * 16,)
    assert not answer.is_answered


def test_pictures_of_another_origin_that_look_the_same_are_named(archive: Home, tmp_path: Path) -> None:
    home = Home(linked_copy(archive.root, tmp_path / "home"))
    rows = read_manifest(home.evaluation(PAINTER) / MANIFEST, Sample)
    twin = rows[2].model_copy(update={"id": "f" * 16, "adapter_ids": ("d" * 16,)})
    write_manifest(home.evaluation(PAINTER) / MANIFEST, [*rows, twin])
    Image.open(drawn(archive)).convert("RGB").save(tmp_path / "x.jpg", quality=70)
    answer = picture_lineage(home, tmp_path / "x.jpg")
    assert answer.picture.id in {rows[2].id, twin.id}
    assert [alike.picture.id for alike in answer.alike] == [({rows[2].id, twin.id} - {answer.picture.id}).pop()]


def test_a_memory_that_is_torn_or_of_files_that_are_gone_is_made_anew(archive: Home, tmp_path: Path) -> None:
    home = Home(linked_copy(archive.root, tmp_path / "home"))
    Image.open(drawn(archive)).convert("RGB").save(tmp_path / "x.jpg")
    for torn in ("", "[]", '{"method": 1, "pictures": 3}'):
        (home.cache / "lineage").mkdir(parents=True, exist_ok=True)
        (home.cache / "lineage" / "pictures.json").write_text(torn)
        assert picture_lineage(home, tmp_path / "x.jpg").picture.seed == 2
    drawn(home).unlink()
    assert picture_lineage(home, tmp_path / "x.jpg").recognised_by == ""


def test_what_is_no_picture_is_said(archive: Home, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(WrongUse, match="no picture"):
        picture_lineage(archive, tmp_path / "x.png")
    with pytest.raises(WrongUse, match="cannot be read"):
        picture_lineage(archive, tmp_path / "absent.png")


def test_the_command_answers_in_words_json_and_by_its_exit_code(
    archive: Home, tmp_path: Path, paintings_here: list[Image.Image]
) -> None:
    said = artmaster("lineage", "picture", str(drawn(archive)), "--home", str(archive.root))
    assert adapter_of(archive).id in said.stdout
    assert "Artworks behind it: 3" in said.stdout
    paintings_here[-1].save(tmp_path / "x\x1b[2J.png")
    stranger = artmaster(
        "lineage", "picture", str(tmp_path / "x\x1b[2J.png"), "--json", "--home", str(archive.root), check=False
    )
    assert stranger.returncode == 1
    assert json.loads(stranger.stdout)["recognised_by"] == ""
