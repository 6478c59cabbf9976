"""Works that are changed: outside the mask every sample stays as it is in the file, whatever the file is.

Painted on a tiny FLUX of random weights: what is made is noise, which shows best where it must not be.
"""

import functools
import inspect
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvips  # noqa: TID253 - a test may
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from made_scans import painting
from PIL import Image, ImageCms
from sharing import linked_copy
from training_home import PAINTER

from artmaster_pipeline.copainting.editing import Edited, Wish, edit, making
from artmaster_pipeline.copainting.editing import hands as hands_module
from artmaster_pipeline.copainting.editing.joining import in_grain, in_tone, laid, opacity
from artmaster_pipeline.copainting.editing.records import read_record
from artmaster_pipeline.copainting.editing.rights import forbids_changes
from artmaster_pipeline.copainting.editing.windows import finished, widest_feather, windows_over, within
from artmaster_pipeline.copainting.editing.writing import with_facts
from artmaster_pipeline.edits import Checked, check_edit, facts_in, mask_file, record_file
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, MissingRequirement, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.lineage.recognising import picture_lineage
from artmaster_pipeline.publishing.credentials import check_credentials, make_keys
from artmaster_pipeline.publishing.verify import verify_picture
from artmaster_pipeline.records import MANIFEST, Adapter, Scan, identity, read_manifest, write_manifest
from artmaster_pipeline.scans.recognition import fingerprint_of
from artmaster_pipeline.settings import ControlSettings, Home, Profile
from artmaster_pipeline.withdrawals import WithdrawnScan, append, new_line

WIDTH, HEIGHT = 240, 200
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    b' e:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture" dc:source="A shelf mark"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
Edits = Callable[..., tuple[Path, Edited]]


@pytest.fixture
def place(trained: tuple[Home, Profile, Adapter], tmp_path: Path) -> Home:
    """A home with a trained painter, of this test's own."""
    return Home(linked_copy(trained[0].root, tmp_path / "home"))


@pytest.fixture
def profile(trained: tuple[Home, Profile, Adapter]) -> Profile:
    """Two steps: what is made is of no matter."""
    return trained[1].model_copy(
        update={"evaluation": trained[1].evaluation.model_copy(update={"num_inference_steps": 2})}
    )


@pytest.fixture
def edits(place: Home, profile: Profile, tmp_path: Path) -> Edits:
    """`edits(kind, picture, ...)` gives the one file that comes of it, and its record."""

    def make(kind: Any, picture: Path, **more: Any) -> tuple[Path, Edited]:
        ((file, record),) = edit(
            place, Wish(kind, picture, PAINTER, **({"out": tmp_path / "out", "prompt": "a boat"} | more)), profile
        )
        return file, record

    return make


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A round hole of 80 pixels."""
    return written_mask(tmp_path / "mask.png", round_hole())


def round_hole() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(x - 120, y - 100) < 40


def written_mask(file: Path, paint: np.ndarray) -> Path:
    Image.fromarray(paint.astype(np.uint8) * 255).save(file)
    return file


def work(file: Path, bits: int = 8, kind: str = "srgb", seed: int = 3, **how: Any) -> Path:
    """A painting as a file, with a profile and words."""
    values = painting(seed, WIDTH, HEIGHT).astype(np.uint16)
    if bits == 16:  # values that no 8 bits hold
        values = values * 257 + np.random.default_rng(seed).integers(-120, 120, values.shape).astype(np.int16)
    image = pyvips.Image.new_from_array(values.astype(np.uint16 if bits == 16 else np.uint8))
    image = image.copy(interpretation="rgb16" if bits == 16 else "srgb", xres=11.811, yres=11.811)
    if kind == "grey":
        image = image.extract_band(1).copy(interpretation="grey16" if bits == 16 else "b-w")
    if kind == "cmyk":
        image = image.icc_transform("cmyk", input_profile="srgb")
    elif kind == "srgb":
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", SRGB)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", XMP)
    image.write_to_file(str(file), **how)
    return file


def samples(file: Path) -> np.ndarray:
    """What the file decodes to, upright, height x width x bands."""
    image = pyvips.Image.new_from_file(str(file), revalidate=True).autorot()
    found = np.asarray(image.numpy())
    return found if found.ndim == 3 else found[..., None]


KINDS = {
    "an 8-bit PNG": ("work.png", {}),
    "a 16-bit PNG": ("work.png", {"bits": 16}),
    "an 8-bit TIFF": ("work.tif", {}),
    "a 16-bit TIFF": ("work.tif", {"bits": 16}),
    "a tiled 16-bit TIFF": ("work.tif", {"bits": 16, "tile": True}),
    "a grey TIFF of 16 bits": ("work.tif", {"bits": 16, "kind": "grey"}),
    "a grey PNG": ("work.png", {"kind": "grey"}),
    "a JPEG": ("work.jpg", {"Q": 90}),
    "a JPEG in CMYK": ("work.jpg", {"Q": 90, "kind": "cmyk"}),
    "a TIFF in CMYK": ("work.tif", {"kind": "cmyk"}),
    "a WebP": ("work.webp", {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_outside_the_mask_not_one_byte_changes(name: str, edits: Edits, mask: Path, tmp_path: Path) -> None:
    file, how = KINDS[name]
    source = work(tmp_path / file, **how)
    out, record = edits("repaint", source, mask=mask)
    before, after = samples(source), samples(out)
    hole = round_hole()
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    assert np.array_equal(after[~hole], before[~hole])
    assert (after[hole] != before[hole]).any(axis=1).mean() > 0.9
    assert record.share == pytest.approx(hole.mean(), abs=1e-6)
    assert np.array_equal(np.asarray(Image.open(mask_file(out)).convert("L")) > 0, hole)
    profiles = [pyvips.Image.new_from_file(str(each)) for each in (source, out)]
    fields = [each.get("icc-profile-data") if each.get_typeof("icc-profile-data") else None for each in profiles]
    assert fields[0] == fields[1]
    if "WebP" not in name:  # of which libvips tells no resolution
        assert profiles[1].xres == pytest.approx(profiles[0].xres, rel=1e-3)
    assert out.suffix == (".tif" if source.suffix == ".tif" or "CMYK" in name else ".png")


def test_a_transparent_work_stays_so(edits: Edits, mask: Path, tmp_path: Path) -> None:
    veil = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    source = tmp_path / "work.png"
    Image.fromarray(np.dstack([painting(3, WIDTH, HEIGHT), veil])).save(source)
    out, _ = edits("repaint", source, mask=mask)
    before, after = samples(source), samples(out)
    assert np.array_equal(before[~round_hole()], after[~round_hole()])
    assert np.array_equal(before[..., 3], after[..., 3])


def test_a_work_on_its_side_is_turned_upright(edits: Edits, mask: Path, tmp_path: Path) -> None:
    turned = Image.fromarray(painting(3, WIDTH, HEIGHT)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    turned.save(tmp_path / "work.jpg", exif=exif, quality=92)
    out, _ = edits("repaint", tmp_path / "work.jpg", mask=mask)
    before, after = samples(tmp_path / "work.jpg"), samples(out)
    assert before.shape == after.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(before[~round_hole()], after[~round_hole()])


def test_a_mask_larger_than_any_window_is_painted_in_several(edits: Edits, tmp_path: Path) -> None:
    paint = np.zeros((HEIGHT, WIDTH), bool)
    paint[20:180, 15:220] = True
    source = work(tmp_path / "work.png")
    out, record = edits("repaint", source, mask=written_mask(tmp_path / "m.png", paint), window=96)
    before, after = samples(source), samples(out)
    assert record.windows > 3
    assert np.array_equal(before[~paint], after[~paint])
    assert (before[paint] != after[paint]).any(axis=1).mean() > 0.9


def test_the_work_lies_untouched_in_the_longer_scroll(edits: Edits, tmp_path: Path) -> None:
    source = work(tmp_path / "work.tif", bits=16)
    out, record = edits("outpaint", source, left=90, right=300)
    before, after = samples(source), samples(out)
    assert after.shape == (HEIGHT, 90 + WIDTH + 300, 3)
    assert after.dtype == np.uint16
    assert np.array_equal(after[:, 90 : 90 + WIDTH], before)
    assert record.boxes == ((0, 0, 90, HEIGHT), (90 + WIDTH, 0, 90 + WIDTH + 300, HEIGHT))
    assert record.offset == (90, 0)
    made = np.asarray(Image.open(mask_file(out)).convert("L")) > 0
    assert made[:, :90].all() and made[:, 90 + WIDTH :].all() and not made[:, 90 : 90 + WIDTH].any()


def test_no_seam_shows_where_windows_and_the_work_meet(
    edits: Edits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "open_painting", lambda *_, **__: nullcontext(SimpleNamespace(paint=_another_tone)))
    source = work(tmp_path / "work.png")
    out, record = edits("outpaint", source, right=500)
    steps = (np.diff(samples(out).astype(float), axis=1) ** 2).mean(axis=(0, 2))
    windows = windows_over(record.boxes[0], (record.width, HEIGHT), record.window, min(record.window) // 2, 2)
    borders = [window.keeps[0] for window in windows][1:]
    assert len(borders) > 2
    # beside each border lies what one window made alone; behind it two fade into each other, which has less contrast
    inside = np.mean([steps[border - 20 : border - 5].mean() for border in borders])
    assert np.mean([steps[border - 4 : border + 4].mean() for border in borders]) <= 1.2 * inside
    joint = steps[WIDTH - 1]  # the first of what was added is the mirror image of the work's last
    assert joint <= 1.2 * steps[: WIDTH - 1].mean()


def _another_tone(picture: np.ndarray, _: np.ndarray, seed: int, **__: Any) -> np.ndarray:
    """Noise of the same contrast in every window, about a tone of its own."""
    chance = np.random.default_rng(seed)
    values = chance.uniform(90, 170) + chance.normal(0, 20, picture.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def test_of_a_long_scroll_only_windows_are_in_memory(
    edits: Edits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.tile(painting(3, 400, 300), (1, 40, 1))
    source, paint = tmp_path / "scroll.jpg", np.zeros(values.shape[:2], bool)
    Image.fromarray(values).save(source, quality=90)
    paint[100:180, 15_000:15_100] = True
    hole = written_mask(tmp_path / "m.png", paint)
    monkeypatch.setattr(making, "open_painting", lambda *_, **__: nullcontext(SimpleNamespace(paint=_upside_down)))
    tracemalloc.start()
    out, _ = edits("repaint", source, mask=hole)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < values.nbytes / 2
    before, after = samples(source), samples(out)
    assert np.array_equal(before[~paint], after[~paint])
    assert not np.array_equal(before[paint], after[paint])


def _upside_down(picture: np.ndarray, *_: Any, **__: Any) -> np.ndarray:
    return picture[::-1]


def test_a_region_alone_gets_another_style(edits: Edits, mask: Path, tmp_path: Path) -> None:
    source = work(tmp_path / "work.png")
    out, record = edits("restyle", source, mask=mask, keep=0.5)
    assert np.array_equal(samples(source)[~round_hole()], samples(out)[~round_hole()])
    assert record.edge_f_score is not None and 0 <= record.edge_f_score <= 1


def test_a_network_holds_a_restyled_work_to_its_edges(
    place: Home, profile: Profile, tiny_flux: Path, tmp_path: Path
) -> None:
    held = profile.model_copy(update={"control": ControlSettings(model=str(a_network(tiny_flux, tmp_path / "net")))})
    wish = Wish("restyle", work(tmp_path / "work.png"), PAINTER, keep=0.0, control=True, out=tmp_path / "out")
    ((file, record),) = edit(place, wish, held)
    ((free, other),) = edit(place, replace(wish, control=False), held)
    assert (record.control, other.control) == ("edges", "")
    assert record.id != other.id
    assert not np.array_equal(samples(file), samples(free))
    with pytest.raises(MissingRequirement, match="names no ControlNet"):
        edit(place, wish, profile.model_copy(update={"control": None}))


def a_network(flux: Path, folder: Path) -> Path:
    """A ControlNet for the tiny FLUX, which adds something in every block and is told no mode."""
    import torch
    from diffusers import FluxControlNetModel, FluxTransformer2DModel

    torch.manual_seed(5)
    config = dict(FluxTransformer2DModel.load_config(flux / "transformer")) | {"num_layers": 1, "num_single_layers": 1}
    known = inspect.signature(FluxControlNetModel.__init__).parameters
    made = FluxControlNetModel(**{name: value for name, value in config.items() if name in known})
    for block in (*made.controlnet_blocks, *made.controlnet_single_blocks, made.controlnet_x_embedder):
        torch.nn.init.normal_(block.weight, std=0.3)
    made.save_pretrained(folder)
    return folder


def test_the_more_is_kept_the_nearer_a_restyled_work_is_to_the_work(edits: Edits, tmp_path: Path) -> None:
    source = work(tmp_path / "work.png")
    far = [
        np.abs(samples(edits("restyle", source, keep=keep)[0]).astype(float) - samples(source)).mean()
        for keep in (0.0, 0.5)
    ]
    assert far[1] < far[0]


def test_the_same_wish_gives_the_same_file_and_is_not_made_again(
    edits: Edits, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = work(tmp_path / "work.png")
    out, record = edits("repaint", source, mask=mask)
    content = out.read_bytes()
    again, other = edits("repaint", source, mask=mask, out=tmp_path / "elsewhere")
    assert again.read_bytes() == content
    assert (other.id, again.name) == (record.id, out.name)
    monkeypatch.setattr(hands_module.Painting, "paint", None)
    assert edits("repaint", source, mask=mask) == (out, record)
    assert check_edit(out) == Checked(True, ())


def test_a_killed_edit_goes_on_where_it_was(edits: Edits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = work(tmp_path / "work.png")
    wish = functools.partial(edits, "outpaint", source, right=400)
    whole, _ = wish(out=tmp_path / "unbroken")
    painted = []

    def counted(self: Any, *args: Any, **more: Any) -> np.ndarray:
        painted.append(args[2])
        if len(painted) == 2:
            raise KeyboardInterrupt
        return paint(self, *args, **more)

    paint = hands_module.Painting.paint
    monkeypatch.setattr(hands_module.Painting, "paint", counted)
    with pytest.raises(KeyboardInterrupt):
        wish()
    assert not list((tmp_path / "out").glob("*"))
    out, record = wish()
    assert out.read_bytes() == whole.read_bytes()
    assert len(painted) == record.windows + 1  # the one in which it was stopped is the only one painted twice


def test_file_record_and_mask_say_what_was_made(edits: Edits, mask: Path, tmp_path: Path) -> None:
    source = work(tmp_path / "work.tif", bits=16)
    out, record = edits("repaint", source, mask=mask)
    said = facts_in(out)
    assert said["source_sha256"] == sha256_of(source) == record.source_sha256
    assert said["boxes"] == [list(box) for box in record.boxes] == [[81, 61, 160, 140]]
    assert said["mask"] == mask_file(out).name
    assert read_record(out) == record
    assert record.mask_sha256 == sha256_of(mask_file(out))
    xmp = bytes(pyvips.Image.new_from_file(str(out)).get("xmp-data")).decode()
    assert "A shelf mark" in xmp  # the work's own words stay
    assert "compositeWithTrainedAlgorithmicMedia" in xmp
    assert "digitalCapture" not in xmp
    assert record.rights == "unknown"
    mask_file(out).unlink()
    out.write_bytes(out.read_bytes()[:-1])
    assert len(check_edit(out).findings) == 2


@pytest.mark.parametrize("name", ["work.png", "work.tif"])
def test_whoever_asks_what_an_edited_picture_is_is_told(
    edits: Edits, place: Home, mask: Path, tmp_path: Path, name: str
) -> None:
    out, record = edits("repaint", work(tmp_path / name), mask=mask)
    told = verify_picture(out, place)
    assert (told.state, told.findings) == ("intact", ())
    assert told.says["adapter"] == record.adapter_id
    assert told.says["scan_sha256"] == record.source_sha256
    assert mask_file(out).name in told.says["edited"]
    assert told.artworks
    lineage = picture_lineage(place, out)
    assert lineage.recognised_by == "metadata"
    assert [each.adapter_id for each in lineage.adapters] == [record.adapter_id]
    mask_file(out).unlink()
    assert "is gone" in verify_picture(out, place).findings[0]
    record_file(out).rename(tmp_path / "record.json")
    alone = verify_picture(out, place)
    assert alone.state == "unproven"
    assert "may have been changed" in alone.findings[0]
    (tmp_path / "record.json").rename(record_file(out))
    painted_over = pyvips.Image.new_from_file(str(out), memory=True)
    painted_over.draw_rect([0] * painted_over.bands, 0, 0, 9, 9, fill=True).write_to_file(str(out))
    assert verify_picture(out, place).state == "changed"


def test_credentials_name_the_work_and_the_region(edits: Edits, place: Home, mask: Path, tmp_path: Path) -> None:
    import c2pa

    for name in ("work.png", "work.tif"):
        out, record = edits("repaint", work(tmp_path / name), mask=mask, sign=True)
        assert record.signed
        with out.open("rb") as file:
            said = json.loads(c2pa.Reader(f"image/{'png' if name.endswith('png') else 'tiff'}", file).json())
        manifest = said["manifests"][said["active_manifest"]]
        (actions,) = (each["data"]["actions"] for each in manifest["assertions"] if "actions" in each["label"])
        assert [each["action"] for each in actions] == ["c2pa.opened", "c2pa.edited"]
        assert actions[1]["digitalSourceType"].endswith("compositeWithTrainedAlgorithmicMedia")
        shape = actions[1]["changes"][0]["region"][0]["shape"]
        assert (shape["origin"], shape["width"], shape["height"]) == ({"x": 81.0, "y": 61.0}, 79.0, 79.0)
        parents = [each for each in manifest["ingredients"] if each["relationship"] == "parentOf"]
        assert [each["title"] for each in parents] == [name]
        faults = [each["code"] for each in said.get("validation_status", ()) if "untrusted" not in each["code"]]
        assert faults == []
    (png,) = (tmp_path / "out").glob("*.png.mask.png")
    png = png.with_name(png.name.removesuffix(".mask.png"))
    assert check_credentials(png.read_bytes(), place).state == "house"
    assert np.array_equal(samples(png)[~round_hole()], samples(tmp_path / "work.png")[~round_hole()])


def test_a_house_with_keys_signs_unless_told_not_to(edits: Edits, place: Home, mask: Path, tmp_path: Path) -> None:
    make_keys(place)
    source = work(tmp_path / "work.png")
    assert edits("repaint", source, mask=mask)[1].signed
    assert not edits("repaint", source, mask=mask, seed=1, sign=False)[1].signed


def registered(place: Home, file: Path, rights: str, **more: Any) -> Scan:
    """Let the register know the work in a file, with those rights."""
    sha256 = sha256_of(file)
    scan = Scan(
        id=sha256[:16], painter=PAINTER, path=file.name, sha256=sha256, bytes=1, width=WIDTH, height=HEIGHT,
        format="PNG", colour="sRGB", title="A boat", rights=rights, **more,
    )  # fmt: skip
    manifest = place.register(PAINTER) / MANIFEST
    write_manifest(manifest, [*read_manifest(manifest, Scan), scan])
    thumbnail = place.register(PAINTER) / "thumbnails" / f"{scan.id}.jpg"
    Image.open(file).convert("RGB").save(thumbnail)
    return scan


def test_a_work_whose_rights_forbid_changes_is_refused(edits: Edits, place: Home, mask: Path, tmp_path: Path) -> None:
    source = work(tmp_path / "work.png")
    registered(place, source, "CC BY-NC-ND 4.0")
    with pytest.raises(ArtMasterError, match=r"A boat.*forbid changes \(CC BY-NC-ND 4\.0\)"):
        edits("repaint", source, mask=mask)
    copy = tmp_path / "copy.jpg"  # and in other bytes
    Image.open(source).save(copy, quality=80)
    with pytest.raises(ArtMasterError, match="looks like 'A boat'"):
        edits("outpaint", copy, left=64)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_work_that_may_be_changed_says_so_in_its_record(
    edits: Edits, place: Home, mask: Path, tmp_path: Path
) -> None:
    source = work(tmp_path / "work.png")
    registered(place, source, "CC0")
    assert edits("repaint", source, mask=mask)[1].rights == "CC0"


def test_a_withdrawn_work_is_not_changed(edits: Edits, place: Home, mask: Path, tmp_path: Path) -> None:
    source = work(tmp_path / "work.png", seed=11)
    kept = WithdrawnScan(sha256=sha256_of(source), fingerprint=fingerprint_of(source))
    append(place, new_line("withdrawn", [kept], [PAINTER], "the heirs object", "me"))
    with pytest.raises(HoldsWithdrawn, match="the heirs object"):
        edits("repaint", source, mask=mask)
    smaller = tmp_path / "smaller.png"
    Image.open(source).resize((WIDTH * 3 // 4, HEIGHT * 3 // 4)).save(smaller)
    with pytest.raises(HoldsWithdrawn, match="shows the work"):
        edits("outpaint", smaller, left=64)


def test_a_work_whose_rights_have_ended_is_not_changed(edits: Edits, place: Home, mask: Path, tmp_path: Path) -> None:
    source = work(tmp_path / "work.png", seed=12)
    registered(place, source, "CC0", rights_until="2020-01-01")
    with pytest.raises(HoldsWithdrawn, match="ended on 2020-01-01"):
        edits("repaint", source, mask=mask)


@pytest.mark.parametrize(
    ("statement", "forbids"),
    [
        ("https://creativecommons.org/licenses/by-nd/4.0/", True),
        ("https://creativecommons.org/licenses/by-nc-nd/4.0/", True),
        ("CC BY-ND 4.0", True),
        ("Attribution-NoDerivatives", True),
        ("All rights reserved", True),
        ("http://rightsstatements.org/vocab/InC/1.0/", True),
        ("http://rightsstatements.org/vocab/InC-EDU/1.0/", True),
        ("In copyright", True),
        ("版权所有", True),
        ("", False),
        ("CC BY-SA 4.0", False),
        ("CC BY-NC 4.0", False),
        ("public domain", False),
        ("No longer in copyright", False),
        ("not in copyright", False),
        ("http://rightsstatements.org/vocab/NoC-US/1.0/", False),
        ("http://rightsstatements.org/vocab/CNE/1.0/", False),
        ("© Museum, CC BY 4.0", False),
    ],
)
def test_what_rights_say_of_changes(statement: str, forbids: bool) -> None:
    assert forbids_changes(statement) is forbids


def test_all_that_is_wrong_is_said_at_once(edits: Edits, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.fromarray(painting(1, 40, 60)).save(small)
    coloured = tmp_path / "mask.png"
    Image.fromarray(painting(1, 60, 60)).save(coloured)
    with pytest.raises(WrongUse) as said:
        edits(
            "repaint", small, mask=coloured, count=0, window=8, feather=0, adapter_id="nobody", out=tmp_path / "a.jpg"
        )
    text = str(said.value)
    for part in ("0 pictures", "--window 8", "--feather 0", "a.jpg", "40x60 pixels", "has colours", "no adapter"):
        assert part in text


def masks_that_are_wrong() -> Iterator[tuple[str, Callable[[Path], Path], str]]:
    grey = np.full((HEIGHT, WIDTH), 255, np.uint8)
    yield "black", lambda file: written_mask(file, grey == 0), "black all over"
    yield "white", lambda file: written_mask(file, grey > 0), "white all over"
    yield (
        "another shape",
        lambda file: written_mask(file, np.eye(90, 100) > 0),
        "is 100x90 pixels and the picture 240x200",
    )

    def saved(image: Image.Image, name: str = "m.png") -> Callable[[Path], Path]:
        def save(file: Path) -> Path:
            image.save(file.with_name(name))
            return file.with_name(name)

        return save

    hole = round_hole().astype(np.uint8) * 255
    yield "transparent", saved(Image.fromarray(np.dstack([hole, hole, hole, hole]))), "transparent in part"
    yield "a JPEG", saved(Image.fromarray(hole), "m.jpg"), "no PNG or TIFF"
    yield "in CMYK", saved(Image.fromarray(hole).convert("CMYK"), "m.tif"), "CMYK"
    yield "no picture", lambda file: Path(file.write_text("x") and str(file)), "no JPEG, PNG, TIFF or WebP"
    yield "absent", lambda file: file.with_name("nothing.png"), "cannot be read"


@pytest.mark.parametrize(("make", "says"), [pytest.param(m, s, id=n) for n, m, s in masks_that_are_wrong()])
def test_a_mask_that_cannot_be_used_is_refused(
    make: Callable[[Path], Path], says: str, edits: Edits, tmp_path: Path
) -> None:
    with pytest.raises(WrongUse, match=says):
        edits("repaint", work(tmp_path / "work.png"), mask=make(tmp_path / "mask.png"))


def test_a_torn_mask_is_refused(edits: Edits, mask: Path, tmp_path: Path) -> None:
    mask.write_bytes(mask.read_bytes()[: mask.stat().st_size // 2])
    with pytest.raises(WrongUse, match="cannot be read to its end"):
        edits("repaint", work(tmp_path / "work.png"), mask=mask)


def test_a_mask_of_the_shape_at_another_size_will_do(edits: Edits, tmp_path: Path) -> None:
    half = round_hole()[::2, ::2]
    source = work(tmp_path / "work.png")
    out, _ = edits("repaint", source, mask=written_mask(tmp_path / "m.png", half))
    paint = np.repeat(np.repeat(half, 2, axis=0), 2, axis=1)
    assert np.array_equal(samples(source)[~paint], samples(out)[~paint])


def test_the_work_and_other_pictures_are_never_written_over(edits: Edits, mask: Path, tmp_path: Path) -> None:
    source = work(tmp_path / "work.png")
    with pytest.raises(WrongUse, match="is the work itself"):
        edits("repaint", source, mask=mask, out=source)
    other = work(tmp_path / "other.png", seed=5)
    with pytest.raises(WrongUse, match="is not the picture asked for"):
        edits("repaint", source, mask=mask, out=other)


def test_a_picture_torn_in_the_middle_leaves_nothing_behind(edits: Edits, mask: Path, tmp_path: Path) -> None:
    source = work(tmp_path / "work.png")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(ArtMasterError, match="to its end"):
        edits("repaint", source, mask=mask)
    assert not list((tmp_path / "out").glob("*"))


@rules(max_examples=60)
@given(st.data())
def test_laying_never_touches_what_is_not_painted(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from([np.uint8, np.uint16]))
    ground, made = (
        chance.integers(0, np.iinfo(kind).max, (height, width, data.draw(st.sampled_from([3]))), kind, endpoint=True)
        for _ in range(2)
    )
    paint = chance.random((height, width)) < data.draw(st.floats(0, 1))
    share = opacity(paint, data.draw(st.floats(0.5, 30)))
    result = laid(ground, made, share)
    assert result.dtype == kind
    assert (share[~paint] == 0).all()
    assert np.array_equal(result[~paint], ground[~paint])
    assert (result >= np.minimum(ground, made)).all() and (result <= np.maximum(ground, made)).all()
    assert np.array_equal(result[share == 1], made[share == 1])


@given(
    st.integers(1, 900), st.integers(1, 900), st.integers(0, 900), st.integers(0, 900),
    st.integers(64, 300), st.sampled_from([2, 4]), st.sampled_from(["left", "right"]),
)  # fmt: skip
def test_each_pixel_is_kept_from_one_window_that_sees_it(
    width: int, height: int, left: int, top: int, size: int, part: int, grows: Any
) -> None:
    sheet = (left + width + 50, top + height + 20)
    area = (left, top, left + width, top + height)
    windows = windows_over(area, sheet, (size, size), size // 8, part, grows)
    kept = np.zeros(sheet[::-1], int)
    for number, window in enumerate(windows):
        kept[window.keeps[1] : window.keeps[3], window.keeps[0] : window.keeps[2]] += 1
        assert window.box[0] <= window.keeps[0] and window.keeps[2] <= window.box[2]
        assert window.box[1] <= window.keeps[1] and window.keeps[3] <= window.box[3]
        done = finished(window, windows[:number])
        if number and done.any():  # what is painted anew of a neighbour's reaches farther than any feather
            assert not done.all()
    assert (kept[top : top + height, left : left + width] == 1).all()
    assert kept.sum() == width * height
    assert widest_feather((size, size), part) <= size // part


def test_the_ground_keeps_its_tone_at_the_joint() -> None:
    around = np.full((64, 64, 3), (214, 200, 170), np.uint8)
    made = np.full((64, 64, 3), (226, 220, 200), np.uint8)
    known = np.zeros((64, 64), bool)
    known[:, :24] = True
    moved = in_tone(made, around, known)
    assert np.abs(moved[:, 24:].astype(int) - around[:, 24:]).max() <= 1
    assert np.array_equal(moved[:, :24], made[:, :24])
    assert np.array_equal(in_tone(made, around, np.zeros((64, 64), bool)), made)


def test_on_dark_silk_nothing_is_painted_in_the_tone_of_white_paper() -> None:
    chance = np.random.default_rng(0)
    silk = np.array([104, 88, 52])
    around = np.rint(silk * chance.uniform(0.4, 1, (64, 64, 1))).astype(np.uint8)  # ink on it is of its hue
    made = np.rint(chance.uniform(20, 235, (64, 64, 1)) + np.zeros(3)).astype(np.uint8)
    known = np.zeros((64, 64), bool)
    known[:, :24] = True
    lightest = np.percentile(in_tone(made, around, known)[~known], 96, axis=0)
    assert np.abs(lightest - silk).max() < 20
    colourful = chance.integers(0, 105, (64, 64, 3)).astype(np.uint8)  # says nothing of a ground
    assert np.percentile(in_tone(made, colourful, known)[~known], 96, axis=0).min() > 150


def test_what_was_enlarged_gets_the_grain_of_the_ground() -> None:
    chance = np.random.default_rng(0)
    around = np.clip(np.rint(200 + chance.normal(0, 6, (200, 200, 1)) + np.zeros(3)), 0, 255).astype(np.uint8)
    known = np.zeros((200, 200), bool)
    known[:, :100] = True
    smooth = np.full((200, 200, 3), 200, np.uint8)
    grained = in_grain(smooth, around, known, 4.0, 1)
    assert grained.std() == pytest.approx(around.std(), rel=0.15)
    assert np.array_equal(in_grain(smooth, around, known, 4.0, 1), grained)
    assert np.array_equal(in_grain(smooth, around, known, 1.0, 1), smooth)


def test_an_xmp_packet_keeps_its_words_and_one_source_type() -> None:
    once, kept = with_facts(XMP, '{"a": "<&>"}')
    twice, _ = with_facts(once, '{"b": 1}')
    assert kept
    assert b"A shelf mark" in twice
    assert twice.count(b"DigitalSourceType>http") == twice.count(b"<artmaster:edit>") == 1
    for broken in (b"no packet", b'<!DOCTYPE x [<!ENTITY a "b">]><rdf:RDF></rdf:RDF>', b"<rdf:RDF>"):
        made, kept = with_facts(broken, "{}")
        assert not kept
        assert b"compositeWithTrainedAlgorithmicMedia" in made


def test_a_box_lies_in_an_array_only_as_far_as_it_reaches() -> None:
    assert within((-5, 2, 4, 30), (0, 0, 10, 10), (10, 10)) == (slice(2, 30), slice(0, 4))
    assert np.zeros((10, 10))[within((20, 20, 30, 30), (0, 0, 10, 10), (10, 10))].size == 0
    assert np.zeros((10, 10))[within((-9, -9, -3, -3), (0, 0, 10, 10), (10, 10))].size == 0


def test_the_record_lies_beside_the_picture(tmp_path: Path) -> None:
    assert record_file(tmp_path / "a.tif").name == "a.tif.json"
    assert identity("edited") == identity("edited")
