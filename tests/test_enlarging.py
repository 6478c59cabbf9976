"""What is enlarged on the way to a training set and a gallery, by how much, like whose pictures, and what stops it."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from PIL import Image
from training_home import PAINTER, fill_home, tiny_profile

from artmaster_pipeline.dataset import build_training_set, own_pictures
from artmaster_pipeline.dataset.own_pictures import OwnPicture, like_the_painters, trained_on
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.gallery.enlarging import enlarge_samples
from artmaster_pipeline.generation.requests import enlarging
from artmaster_pipeline.orchestration.checks import true_to_the_scans
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.pictures import read_facts, read_rgb
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import MANIFEST, Crop, Outcome, Sample, TrainingImage, read_manifest, write_manifest
from artmaster_pipeline.settings import CONSTRAINTS, Home, Profile, load_profile
from artmaster_pipeline.superres import load_networks, networks_of, restore_detail, upscale

FAMILY = "realesr-animevideov3"
SIDE = 128
SMALL, SOFT, SHARP_BUT_SMALL = 0, 1, 2  # works whose crops are enlarged; all others are large


def profile(**changes: Any) -> Profile:
    return tiny_profile(Path("unused"), **({"super_resolution": FAMILY} | changes))


def painted(seed: int, side: int, grain: float) -> np.ndarray:
    """Strokes on paper."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    ink = np.sin(columns / 5 + 3 * np.sin(rows / 17 + seed)) > 0.6
    paper = np.stack([210 - rows / 9, 190 + columns / 20, 160 + 0 * rows], axis=-1)
    shown = np.where(ink[..., None], 60, paper) + chance.normal(0, grain, (side, side, 1))
    return shown.clip(0, 255).astype(np.uint8)


def cut(home: Home, works: int = 12) -> Home:
    """A home with one crop of 128 x 128 pixels of each work; of those with odd numbers the paper is grainy."""
    fill_home(home, works)
    scans, crops = {}, []
    for crop in read_manifest(home.crops(PAINTER) / MANIFEST, Crop):
        scans.setdefault(crop.scan_id, crop)
    by_number = sorted(scans.values(), key=lambda crop: int(Path(crop.path).stem.split("-")[0]))
    for number, crop in enumerate(by_number):
        side, scale, effective = {
            SMALL: (66, 0.5156, 1.0),
            SOFT: (SIDE, 1.5, 0.2),
            SHARP_BUT_SMALL: (122, 0.9531, 0.9),
        }.get(number, (SIDE, 1.8, 0.95))
        file = home.crops(PAINTER) / crop.path
        Image.fromarray(painted(number, side, 12.0 * (number % 2))).save(file)
        crops.append(
            crop.model_copy(
                update={
                    **{"width": SIDE, "height": SIDE, "right": side, "bottom": side, "sha256": sha256_of(file)},
                    **{"source_scale": scale, "effective_scale": effective},
                }
            )
        )
    write_manifest(home.crops(PAINTER) / MANIFEST, crops)
    return home


def build(home: Home, **changes: Any) -> Outcome[TrainingImage]:
    return build_training_set(home, PAINTER, profile(**changes))


def by_number(home: Home, rows: tuple[TrainingImage, ...]) -> dict[int, TrainingImage]:
    crops = {crop.id: crop for crop in read_manifest(home.crops(PAINTER) / MANIFEST, Crop)}
    return {int(Path(crops[row.crop_id].path).stem.split("-")[0]): row for row in rows}


def checked(home: Home) -> dg.AssetCheckResult:
    return true_to_the_scans(dg.build_op_context(partition_key=PAINTER), DataHome(root=str(home.root)))


@pytest.mark.parametrize(
    ("source_scale", "effective_scale", "lacks"),
    [
        (1.0, 1.0, False),
        (1.0, 0.85, False),  # sharp scans are measured at that
        (1.0, 0.84, True),
        (1.1, 0.8, False),  # soft, and scanned larger than is needed
        (3.0, 0.3, False),
        (3.0, 0.25, True),
        (0.99, 1.0, True),  # fewer pixels than the shape
    ],
)
def test_a_crop_lacks_detail_by_its_pixels_and_by_how_sharp_they_are(source_scale, effective_scale, lacks):
    crop = Crop.model_construct(source_scale=source_scale, effective_scale=effective_scale)
    assert crop.lacks_detail == lacks


def test_a_family_gives_the_smallest_scale_that_suffices_in_the_fewest_passes():
    networks = load_networks(FAMILY)
    factors = (1.05, 2.2, 2.3, 3.3, 3.4, 4.4, 4.5, 9.9, 17.0)
    assert [networks.suited(factor).scale for factor in factors] == [2, 2, 3, 3, 4, 4, 3, 3, 4]
    assert networks.largest().name == f"{FAMILY}-x4"
    assert networks.to_long_side((64, 96), 96) is None
    by = networks.to_long_side((64, 96), 200)
    assert by is not None and (by.size, by.name) == ((133, 200), f"{FAMILY}-x2")
    assert by.identity != networks.to_long_side((64, 96), 202).identity != by.network.identity
    with pytest.raises(WrongUse, match=f"{FAMILY}, {FAMILY}-x2, .*x4plus"):
        load_networks("realesrgan")


def test_a_crop_is_enlarged_where_its_scan_shows_too_little_and_the_record_says_why(home: Home):
    outcome = build(cut(home))
    crops = {crop.id: crop for crop in read_manifest(home.crops(PAINTER) / MANIFEST, Crop)}
    rows = by_number(home, outcome.records)
    for number, row in rows.items():
        if number not in (SMALL, SOFT, SHARP_BUT_SMALL):
            assert (row.enlarged_by, row.enlarged_times, row.sha256) == ("", 1, crops[row.crop_id].sha256)
            assert (row.detail, row.reason) == (1.71, "its scan shows 1.7 pixels for each of the picture's")
    said = {n: (rows[n].enlarged_by[-2:], rows[n].enlarged_times, rows[n].reason) for n in (SMALL, SOFT, 2)}
    assert said == {
        SMALL: ("x2", 2, "its scan shows 0.52 of the pixels: enlarged 2 times"),
        SOFT: (
            *("x4", 4),
            "its scan shows 0.3 of the pixels, since it is soft: "
            "reduced to 38x38, which holds that, and enlarged 4 times",
        ),
        SHARP_BUT_SMALL: ("x2", 2, "its scan shows 0.86 of the pixels: enlarged 2 times"),
    }
    assert checked(home).passed and not any(row.drift for row in rows.values())
    large = [row for row in rows.values() if row.split == "train" and not row.enlarged_by]
    assert outcome.figures["texture and grain"] == f"measured on {len(large)} large pictures"
    like, _ = like_the_painters(trained_on(home, [PAINTER]), CONSTRAINTS, SILENT.say)  # as the gallery asks
    assert len(like) == len(large)
    crisp = Image.open(home.crops(PAINTER) / crops[rows[SOFT].crop_id].path).resize((38, 38), Image.Resampling.LANCZOS)
    drawn = restore_detail(np.asarray(crisp), (SIDE, SIDE), networks_of(profile(), CONSTRAINTS, like).suited(SIDE / 38))
    assert (read_rgb(home.training_set(PAINTER) / rows[SOFT].path) == drawn).all()
    again = build(home)
    assert (again.made, again.records) == (0, outcome.records)


def leave_out(home: Home, *ids: str) -> None:
    file = home.crops(PAINTER) / MANIFEST
    write_manifest(file, [crop for crop in read_manifest(file, Crop) if crop.id not in ids])


def test_works_that_are_withdrawn_or_held_out_give_no_texture(home: Home):
    first = by_number(home, build(cut(home)).records)
    enlarged = {number: first[number].id for number in (SMALL, SOFT, SHARP_BUT_SMALL)}
    leave_out(home, *(row.crop_id for row in first.values() if row.split != "train" and not row.enlarged_by))
    second = by_number(home, build(home).records)
    assert {number: second[number].id for number in enlarged if number in second} == enlarged
    grainy = [row for number, row in second.items() if number % 2 and not row.enlarged_by]
    assert len(grainy) > 1
    leave_out(home, *(row.crop_id for row in grainy))
    third = by_number(home, build(home).records)
    assert not {row.id for row in third.values() if row.enlarged_by} & set(enlarged.values())
    few = [row.crop_id for row in third.values() if not row.enlarged_by][3:]
    leave_out(home, *few)
    said: list[str] = []
    outcome = build_training_set(home, PAINTER, profile(), Progress(said.append))
    assert outcome.figures["texture and grain"].startswith("what paintings have in common: 3 large pictures")
    assert any("what paintings have in common" in line for line in said)


def test_of_many_pictures_each_work_gives_one_first_and_no_painter_more_than_16(tmp_path: Path):
    file = tmp_path / "large.png"
    Image.fromarray(painted(0, 300, 0.0)).save(file)
    pictures = [OwnPicture(f"{n:02d}", f"work {n % 7}", file, sha256_of(file)) for n in range(21)]
    spread = own_pictures._spread(reversed(pictures))
    assert [each.crop_id for each in spread[:7]] == ["00", "01", "02", "03", "04", "05", "06"]
    like, figures = like_the_painters([pictures, pictures[:3]], CONSTRAINTS, SILENT.say)
    assert len(like) == 19 and all(each.shape == (256, 256, 3) for each in like)
    assert figures == {"texture and grain": "measured on 19 large pictures"}
    assert like_the_painters([pictures], ["colour"], SILENT.say) == ((), {})
    file.write_bytes(b"changed")
    with pytest.raises(ArtMasterError, match=r"large.png is missing or was changed"):
        like_the_painters([pictures], CONSTRAINTS, SILENT.say)


@pytest.fixture
def reddening(tmp_path: Path) -> str:
    """A network that draws well and adds a tenth of red."""
    from safetensors.torch import save_file

    from artmaster_pipeline.superres.ncnn_weights import read_shipped

    weights = dict(read_shipped(f"{FAMILY}-x2").state_dict)
    last = [name for name in weights if name.endswith("bias")][-1]
    weights[last] = weights[last].clone()
    weights[last][:4] += 0.1  # the four pixels that each pixel becomes
    file = tmp_path / "reddening.safetensors"
    save_file({name: value.contiguous() for name, value in weights.items()}, file)
    return str(file)


def test_a_training_set_in_other_colours_than_its_scans_is_stopped(home: Home, reddening: str):
    cut(home)
    build(home, super_resolution=reddening, super_resolution_constraints=[])
    result = checked(home)
    drifted = [row for row in read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage) if row.drift]
    assert not result.passed and len(drifted) == 3
    assert result.description is not None
    for row in drifted:
        assert row.path in result.description and row.drift in result.description
    assert "its colours went" in result.description and "super_resolution_constraints" in result.description
    assert not build(home, super_resolution=reddening, super_resolution_constraints=[]).made  # and still stopped
    assert not checked(home).passed
    build(home, super_resolution=reddening)
    assert checked(home).passed


@pytest.mark.parametrize("folder", ["hiroshige", "huang-binhong"])
def test_real_paintings_are_not_stopped(paintings: Path, home: Home, folder: str):
    cut(home)
    files = sorted(file for file in (paintings / folder).rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
    crops = []
    for crop, file in zip(
        read_manifest(home.crops(PAINTER) / MANIFEST, Crop), files[:: len(files) // 12], strict=False
    ):
        with Image.open(file) as image:
            left, top, side = image.width // 3, image.height // 3, crop.pixels[0]
            image.convert("RGB").crop((left, top, left + side, top + side)).save(home.crops(PAINTER) / crop.path)
        crops.append(crop.model_copy(update={"sha256": sha256_of(home.crops(PAINTER) / crop.path)}))
    write_manifest(home.crops(PAINTER) / MANIFEST, crops)
    assert build(home).figures["enlarged pictures"] == 3
    assert checked(home).passed


def sample(home: Home, number: int, width: int, height: int) -> Sample:
    path = f"adapter/{number}.png"
    file = home.evaluation(PAINTER) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(painted(number, max(width, height), 0.0)[:height, :width]).save(file)
    return Sample(
        id=f"{number:016x}", painter=PAINTER, column="adapter", adapter_ids=("a" * 16,), base_model="miniature",
        base_revision="r", prompt="boats", seed=number, width=width, height=height, num_inference_steps=2,
        guidance_scale=1.0, path=path, sha256=sha256_of(file),
    )  # fmt: skip


def test_a_gallery_has_the_size_that_the_profile_asks_for_and_leaves_what_has_it(home: Home):
    samples = [sample(home, 1, 32, 48), sample(home, 2, 100, 60)]
    said: list[str] = []
    sized = profile(gallery_long_side=100)
    shown, made, figures = enlarge_samples(home, PAINTER, sized, samples, Progress(said.append))
    assert made == 2 and figures["pictures left as they are"] == 1
    assert any("1 of 2 pictures have 100 pixels or more and are left" in line for line in said)
    small, large = (picture.record for picture in shown)
    assert (small.width, small.height, small.enlarged_by) == (67, 100, f"{FAMILY}-x2")
    assert (large.width, large.height, large.enlarged_by, large.enlarged_from) == (100, 60, "", samples[1].id)
    assert small.is_large and large.is_large and not samples[0].is_large
    assert (read_rgb(shown[1].file) == read_rgb(home.evaluation(PAINTER) / samples[1].path)).all()
    assert "enlarged_by" not in read_facts(shown[1].file)
    assert enlarge_samples(home, PAINTER, sized, samples, SILENT)[1] == 0
    four_times, *_ = enlarge_samples(home, PAINTER, profile(), samples[:1], SILENT)
    assert (four_times[0].record.width, four_times[0].record.height) == (128, 192)


def test_a_gallery_does_not_bring_back_the_hatching_of_single_pixels(home: Home):
    one = sample(home, 1, 48, 48)
    file = home.evaluation(PAINTER) / one.path
    hatched = read_rgb(file).astype(int)
    hatched[::2, ::2] -= 24
    hatched[1::2, 1::2] -= 24
    Image.fromarray(np.clip(hatched, 0, 255).astype(np.uint8)).save(file)
    one = one.model_copy(update={"sha256": sha256_of(file)})
    back = profile(gallery_constraints=["colour", "texture", "grain", "back-projection"])
    large = [read_rgb(enlarge_samples(home, PAINTER, each, [one], SILENT)[0][0].file) for each in (profile(), back)]
    ours, theirs = (each.mean(-1).reshape(48, 4, 48, 4).mean((1, 3)) for each in large)
    assert hatching(ours) < 0.5 * hatching(theirs)


def hatching(light: np.ndarray) -> float:
    """How far pixels that share corners are from those that share sides."""
    return float(abs(light[::2, ::2] + light[1::2, 1::2] - light[::2, 1::2] - light[1::2, ::2]).mean())


def test_pictures_on_request_get_the_size_that_is_asked_for(tmp_path: Path):
    said: list[str] = []
    asked = Home(tmp_path), [PAINTER], profile(), (512, 768)  # 64 x 96 pixels of this base
    assert enlarging(*asked, False, None, said.append) is None and not said
    assert enlarging(*asked, True, None, said.append).name == f"{FAMILY}-x4"
    by = enlarging(*asked, False, 250, said.append)
    assert (by.size, by.name) == ((167, 250), f"{FAMILY}-x3")
    assert enlarging(*asked, True, 96, said.append) is None
    assert said == ["The pictures have 96 pixels or more and are left as they are."]


def test_a_family_enlarges_files_by_the_scale_that_suffices(tmp_path: Path):
    for name, side in (("a", 30), ("b", 20)):
        Image.fromarray(painted(1, side, 0.0)).save(tmp_path / f"{name}.png")
    done = upscale([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out", size=(60, 60), network=FAMILY)
    assert [(each.width, each.network[-2:]) for each in done.pictures] == [(60, "x2"), (60, "x3")]


def test_the_embedded_profile_enlarges_by_the_smallest_scale():
    assert load_profile("miniature").super_resolution == FAMILY
