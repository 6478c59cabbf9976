"""What a picture's structure is: lines, depth, regions, layouts that a person drew, and what the readings agree on."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from artmaster_pipeline.copainting.signals import (
    SOURCES,
    coloured,
    edge_agreement,
    edge_f_score,
    layout_iou,
    read_regions,
    read_signal,
    read_signal_file,
    regions_of,
    write_signal,
)
from artmaster_pipeline.copainting.signals.networks import kind_of_name
from artmaster_pipeline.copainting.signals.regions import ward
from artmaster_pipeline.errors import BadInput, MissingRequirement, WrongUse
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS, KINDS


def landscape(width: int = 320, height: int = 256) -> np.ndarray:
    """A plain sky over a textured dark hill over a smooth blue lake."""
    chance = np.random.default_rng(0)
    picture = np.zeros((height, width, 3), np.float64)
    y, x = np.mgrid[:height, :width]
    picture[:] = (225, 222, 214)
    hill = (y > height * 0.4 - 0.12 * height * np.sin(x / width * 6)) & (y <= height * 0.7)
    picture[hill] = chance.normal(90, 38, (height, width, 1))[hill]
    picture[y > height * 0.7] = (60, 100, 170)
    return np.clip(picture, 0, 255).astype(np.uint8)


def hill_map(width: int = 320, height: int = 256) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.uint8)
    labels[(y > height * 0.4 - 0.12 * height * np.sin(x / width * 6)) & (y <= height * 0.7)] = 1
    labels[y > height * 0.7] = 2
    return labels


def layout(width: int = 400, height: int = 300) -> Image.Image:
    """A person's layout in the kinds' colours: sky over water, a rock at the left, a house at the right."""
    image = Image.new("RGB", (width, height), KIND_COLOURS["sky"])
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.6, width, height), fill=KIND_COLOURS["water"])
    draw.ellipse((width * 0.1, height * 0.25, width * 0.4, height * 0.75), fill=KIND_COLOURS["rock"])
    draw.rectangle((width * 0.65, height * 0.45, width * 0.85, height * 0.62), fill=KIND_COLOURS["buildings"])
    return image


def kinds(found) -> set[str]:
    return {region.kind for region in found.regions}


@pytest.mark.parametrize("kind", ["edges", "soft-line", "sketch", "depth"])
def test_a_signal_has_the_pictures_size_and_says_how_sure_it_is(kind):
    picture = landscape(330, 250)
    signal = read_signal(kind, picture)
    assert signal.pixels.shape == picture.shape and signal.pixels.dtype == np.uint8
    assert 0 <= signal.sureness <= 1 and signal.says
    assert (signal.kind, signal.by) == (kind, SOURCES[kind][0])


@pytest.mark.parametrize("kind", ["edges", "soft-line", "sketch", "depth"])
def test_the_same_picture_gives_the_same_signal(kind):
    assert np.array_equal(read_signal(kind, landscape()).pixels, read_signal(kind, landscape()).pixels)


@pytest.mark.parametrize(("kind", "empty"), [("edges", 0), ("soft-line", 0), ("sketch", 255)])
def test_a_blank_sheet_has_no_lines(kind, empty):
    signal = read_signal(kind, np.full((200, 200, 3), 236, np.uint8))
    assert (signal.pixels == empty).mean() > 0.99


def test_edges_follow_outlines_at_two_sizes():
    """Widths grow with the picture, so that a painting's small and large scans give the same lines."""
    image = layout()
    small, large = (np.asarray(image.resize(size)) for size in ((400, 300), (800, 600)))
    edges = [read_signal("edges", each).pixels[..., 0] > 0 for each in (small, large)]
    halved = edges[1].reshape(300, 2, 400, 2).any((1, 3))
    assert edge_agreement(small, small).f == 1
    assert 0.8 < edges[0].sum() / halved.sum() < 1.25


def test_an_unsure_picture_has_less_sure_edges():
    soft = np.random.default_rng(1).normal(128, 14, (256, 256, 3)).clip(0, 255).astype(np.uint8)
    assert read_signal("edges", np.asarray(layout())).sureness > read_signal("edges", soft).sureness


def test_the_landscape_proxy_puts_the_dark_and_low_near_and_the_pale_and_high_far():
    near = read_signal("depth", landscape()).pixels[..., 0].astype(float)
    assert near[:40].mean() < 60 < near[130:170].mean()
    assert near[220:].mean() > near[:40].mean() + 60
    says = read_signal("depth", landscape()).says
    assert "proxy" in says and "paint over" in says


def test_the_depth_of_an_empty_sheet_is_not_sure():
    assert read_signal("depth", np.full((128, 128, 3), 230, np.uint8)).sureness == 0


def test_a_signal_nobody_can_read_is_one_error_with_the_list():
    with pytest.raises(WrongUse, match=r"edges, soft-line, sketch, depth, segmentation"):
        read_signal("pose", landscape())
    with pytest.raises(WrongUse, match="canny, hed"):
        read_signal("edges", landscape(), "midas")
    with pytest.raises(WrongUse, match="32 are needed"):
        read_signal("edges", np.zeros((20, 90, 3), np.uint8))


@pytest.mark.parametrize(
    ("kind", "source", "instead"),
    [("edges", "hed", "canny"), ("depth", "depth-anything", "landscape-proxy"),
     ("segmentation", "mask2former", "superpixels")],
)  # fmt: skip
def test_where_a_hub_model_is_missing_one_message_says_what_to_use_instead(tmp_path, kind, source, instead):
    with pytest.raises(MissingRequirement) as refused:
        read_signal(kind, landscape(), f"{source}={tmp_path}")
    assert f"Use the source {instead} instead" in str(refused.value)
    assert source in str(refused.value)


def test_a_hub_model_that_is_not_in_the_cache_names_the_way_out(monkeypatch, tmp_path):
    from huggingface_hub import constants

    from artmaster_pipeline.base_models import hub

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    hub._newest_commit.cache_clear()
    for kind, source in (("edges", "hed"), ("depth", "depth-anything")):
        with pytest.raises(MissingRequirement, match="instead, which needs no model"):
            read_signal(kind, landscape(), source)
    hub._newest_commit.cache_clear()


def test_hed_reads_weights_of_its_layout(tmp_path):
    import torch

    torch.manual_seed(0)
    weights = {"norm": torch.zeros(1, 3, 1, 1)}
    channels = 3
    for block, layers in enumerate((2, 2, 3, 3, 3), 1):
        for layer in range(layers):
            weights[f"block{block}.convs.{layer}.weight"] = torch.randn(4, channels, 3, 3) * 0.1
            weights[f"block{block}.convs.{layer}.bias"] = torch.zeros(4)
            channels = 4
        weights[f"block{block}.projection.weight"] = torch.randn(1, 4, 1, 1) * 0.1
        weights[f"block{block}.projection.bias"] = torch.zeros(1)
    torch.save(weights, tmp_path / "ControlNetHED.pth")
    signal = read_signal("edges", landscape(), f"hed={tmp_path}")
    assert (signal.by, signal.pixels.shape) == ("hed", landscape().shape)
    assert read_signal("soft-line", landscape(), f"hed={tmp_path}").kind == "soft-line"


def test_hed_builds_nothing_but_tensors_from_its_file(tmp_path):
    """A file that would run code when it is unpickled is refused."""
    import torch

    class Bad:
        def __reduce__(self):
            return Path.write_text, (tmp_path / "ran", "it ran")

    torch.save({"norm": Bad()}, tmp_path / "ControlNetHED.pth")
    with pytest.raises(MissingRequirement, match="canny"):
        read_signal("edges", landscape(), f"hed={tmp_path}")
    assert not (tmp_path / "ran").exists()


def test_depth_anything_reads_from_a_folder(tmp_path):
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[4, 4, 4, 4], fusion_hidden_size=8,
        head_hidden_size=4, reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path)
    size = {"height": 56, "width": 56}
    DPTImageProcessor(size=size, ensure_multiple_of=14, keep_aspect_ratio=False).save_pretrained(tmp_path)
    signal = read_signal("depth", landscape(), f"depth-anything={tmp_path}")
    assert (signal.by, signal.pixels.shape) == ("depth-anything", landscape().shape)
    assert "paint over" in signal.says


def test_mask2former_reads_from_a_folder(tmp_path):
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessor,
        SwinConfig,
    )

    backbone = SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=5,
        id2label={0: "sky", 1: "tree", 2: "water"}, label2id={"sky": 0, "tree": 1, "water": 2},
    )  # fmt: skip
    Mask2FormerForUniversalSegmentation(config).save_pretrained(tmp_path)
    Mask2FormerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    found = read_regions(landscape(), f"mask2former={tmp_path}")
    assert found.by == "mask2former" and found.labels.shape == (256, 320)
    assert kinds(found) <= {"sky", "trees", "water"}


def test_names_of_classes_become_kinds():
    said = {"sky": "sky", "river": "water", "mountain": "rock", "palm tree": "trees", "person": "figures",
            "house": "buildings", "seat": "other", "clouds": "sky", "sea": "water", "car": "other"}  # fmt: skip
    assert {name: kind_of_name(name) for name in said} == said


def test_every_pixel_of_a_picture_is_in_one_of_at_most_twelve_regions():
    found = regions_of(landscape())
    assert found.labels.shape == (256, 320) and found.labels.dtype == np.uint8
    assert sorted(np.unique(found.labels)) == [region.label for region in found.regions]
    assert 2 <= len(found.regions) <= 12
    assert sum(region.share for region in found.regions) == pytest.approx(1, abs=1e-3)
    assert all(region.kind in KINDS and 0 <= region.sureness <= 1 for region in found.regions)


def test_regions_keep_to_what_can_be_seen():
    """The lake and the hill of a plain landscape are not in one region."""
    found = regions_of(landscape())
    truth = hill_map()
    for region in found.regions:
        inside = np.bincount(truth[found.labels == region.label], minlength=3)
        assert inside.max() / inside.sum() > 0.8


def test_fewer_regions_where_fewer_are_asked_for():
    assert len(regions_of(landscape(), most=2).regions) <= 2
    with pytest.raises(WrongUse, match="1 to 12"):
        regions_of(landscape(), most=13)
    with pytest.raises(WrongUse, match=r"0 regions.*; the picture has 10 x 200"):
        regions_of(np.zeros((200, 10, 3), np.uint8), most=0)


def test_what_is_doubtful_says_so():
    noise = np.random.default_rng(2).integers(0, 255, (128, 128, 3)).astype(np.uint8)
    found = regions_of(noise)
    assert any(region.sureness < 0.5 for region in found.regions)
    assert "Doubtful" in found.says


def test_a_segmentation_is_the_regions_in_their_kinds_colours():
    signal = read_signal("segmentation", landscape())
    allowed = {KIND_COLOURS[kind] for kind in KINDS}
    assert {tuple(colour) for colour in np.unique(signal.pixels.reshape(-1, 3), axis=0).tolist()} <= allowed
    assert read_signal("labels", np.asarray(layout()), "drawn").by == "flat-colours"


def test_merging_joins_what_is_alike_and_touches():
    features = np.array([[0.0], [0.1], [5.0], [5.1], [0.05]])
    touch = np.zeros((5, 5), bool)
    for one, other in ((0, 1), (1, 2), (2, 3), (3, 4)):
        touch[one, other] = touch[other, one] = True
    found = ward(features, np.full(5, 0.2), touch, 5, 0.01, 0.0)
    assert found[0] == found[1] != found[2] == found[3]
    assert found[4] not in (found[0], found[3])  # as the first two, but it does not touch them
    assert len(set(ward(features, np.full(5, 0.2), touch, 2, 0.01, 0.0))) == 2


def test_a_drawn_layout_in_the_kinds_colours_is_read_exactly():
    found = regions_of(np.asarray(layout()), drawn=True)
    assert kinds(found) == {"sky", "water", "rock", "buildings"} and len(found.regions) == 4
    assert all(region.sureness > 0.95 for region in found.regions)
    assert (coloured(found) == np.asarray(layout())).all(2).mean() > 0.99


@pytest.mark.parametrize("quality", [40, 75])
def test_a_drawn_layout_survives_jpeg_and_soft_edges(tmp_path, quality):
    soft = layout(800, 600).resize((400, 300), Image.Resampling.LANCZOS)
    soft.save(tmp_path / "layout.jpg", quality=quality)
    found = regions_of(np.asarray(Image.open(tmp_path / "layout.jpg")), drawn=True)
    assert kinds(found) == {"sky", "water", "rock", "buildings"} and len(found.regions) == 4
    assert (coloured(found) == np.asarray(layout())).all(2).mean() > 0.97


def test_colours_of_nobodys_table_are_regions_of_the_kind_other():
    image = Image.new("RGB", (300, 300), (255, 0, 255))
    ImageDraw.Draw(image).rectangle((0, 150, 300, 300), fill=(0, 255, 255))
    found = regions_of(np.asarray(image), drawn=True)
    assert [region.kind for region in found.regions] == ["other", "other"]
    assert (found.labels[:140] == 1).all() and (found.labels[160:] == 2).all()


def sketch(gap: int = 0) -> Image.Image:
    """A mountain and a moon in ink outlines on white."""
    image = Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(image)
    draw.line([(60, 350), (200, 120), (340, 350), (60 + gap, 350)], fill="black", width=3)
    draw.ellipse((280, 30, 360, 110), outline="black", width=3)
    return image


@pytest.mark.parametrize("gap", [0, 6])
def test_what_closed_outlines_hold_is_a_region_and_the_paper_is_none(gap):
    found = regions_of(np.asarray(sketch(gap)), drawn=True)
    assert found.by == "outlines" and len(found.regions) == 2
    assert found.labels[5, 5] == 0
    assert found.labels[70, 320] == 1 and found.labels[300, 200] == 2
    assert kinds(found) == {"other"} and "kind in canvas.yaml" in found.says


def test_a_line_from_side_to_side_parts_the_sheet():
    image = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(image).line([(0, 90), (150, 110), (300, 80)], fill="black", width=4)
    found = regions_of(np.asarray(image), drawn=True)
    assert len(found.regions) == 2 and found.labels[5, 5] == 1 and found.labels[195, 5] == 2


def test_an_outline_that_hardly_closes_is_less_sure():
    whole, open_ = (regions_of(np.asarray(sketch(gap)), drawn=True).regions for gap in (0, 12))
    assert min(region.sureness for region in whole) > 0.9
    assert min(region.sureness for region in open_) < 0.5


def test_no_layout_is_an_error_that_says_how_to_draw_one():
    with pytest.raises(BadInput, match=r"neither|No outline"):
        regions_of(np.full((200, 200, 3), 255, np.uint8), drawn=True)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    with pytest.raises(BadInput, match="flat colours"):
        regions_of(noise, drawn=True)


def test_more_pieces_than_regions_are_joined_by_colour():
    image = Image.new("RGB", (420, 420), KIND_COLOURS["blank"])
    draw = ImageDraw.Draw(image)
    for row in range(4):
        for column in range(4):
            draw.rectangle((column * 100 + 20, row * 100 + 20, column * 100 + 80, row * 100 + 80),
                           fill=KIND_COLOURS["rock" if row % 2 else "trees"])  # fmt: skip
    found = regions_of(np.asarray(image), drawn=True)
    assert kinds(found) == {"blank", "rock", "trees"} and len(found.regions) == 3
    assert "one region" in found.says


def test_a_signal_file_is_read_back_as_it_was(tmp_path):
    signal = read_signal("depth", landscape())
    write_signal(tmp_path / "depth.png", signal)
    again = read_signal_file(tmp_path / "depth.png", "depth", (320, 256))
    assert np.array_equal(again.pixels, signal.pixels)
    assert (again.by, again.says) == (signal.by, signal.says)
    assert again.sureness == pytest.approx(signal.sureness, abs=1e-3)


def test_a_signal_that_a_person_painted_over_is_the_persons(tmp_path):
    write_signal(tmp_path / "depth.png", read_signal("depth", landscape()))
    image = Image.open(tmp_path / "depth.png").convert("RGB")
    ImageDraw.Draw(image).rectangle((0, 0, 80, 80), fill="white")
    image.save(tmp_path / "edited.png")
    again = read_signal_file(tmp_path / "edited.png", "depth")
    assert (again.by, again.sureness) == ("a person", 1.0)
    assert (again.pixels[:80, :80] == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16"])
def test_a_signal_of_another_program_may_be_of_any_plain_mode(tmp_path, mode):
    image = Image.fromarray(np.full((64, 64), 30000, np.uint16)) if mode == "I;16" else layout(64, 64).convert(mode)
    image.save(tmp_path / "edges.png")
    assert read_signal_file(tmp_path / "edges.png", "edges").pixels.shape == (64, 64, 3)


def png(width: int, height: int) -> bytes:
    """The head of a PNG that claims a size, and nothing behind it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def idat() -> bytes:
    """A picture's data that holds next to nothing."""
    data = zlib.compress(b"\0" * 1000)
    chunk = b"IDAT" + data
    return struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize("size", [(100_000, 100_000), (10_000, 10_000), (1, 5_000_000)])
def test_a_signal_that_claims_to_be_huge_is_refused_by_its_header(tmp_path, size):
    file = tmp_path / "huge.png"
    file.write_bytes(png(*size) + idat())
    with pytest.raises(BadInput, match=r"huge\.png"):
        read_signal_file(file, "edges", (512, 512))


def test_files_that_are_no_signal_are_one_error_each(tmp_path):
    layout().save(tmp_path / "jpeg.png", "JPEG")
    (tmp_path / "cut.png").write_bytes(png(64, 64) + idat()[:30])
    layout(64, 64).save(tmp_path / "moving.png", save_all=True, append_images=[sketch().resize((64, 64))])
    write_signal(tmp_path / "depth.png", read_signal("depth", landscape()))
    for name, kind, said in (
        ("jpeg.png", "edges", "no PNG"),
        ("cut.png", "edges", "damaged|no PNG"),
        ("moving.png", "edges", "moves"),
        ("absent.png", "edges", "no such file"),
        ("depth.png", "edges", "the signal depth, and edges is asked for"),
    ):
        with pytest.raises(BadInput, match=said):
            read_signal_file(tmp_path / name, kind)
    with pytest.raises(BadInput, match=r"320 x 256 pixels, and 512 x 512.*; it says that it is the signal depth"):
        read_signal_file(tmp_path / "depth.png", "edges", (512, 512))


def test_a_layout_is_read_back_from_a_picture_that_has_it_and_not_from_one_that_has_not():
    agreement = layout_iou(landscape(), hill_map(), {0: "sky", 1: "rock", 2: "water"})
    assert agreement.mean > 0.85 and set(agreement.each) == {0, 1, 2}
    assert agreement.chance < 0.7 and agreement.above_chance > 0.7
    moved = layout_iou(landscape(), np.roll(hill_map(), 128, 0), {0: "sky", 1: "rock", 2: "water"})
    assert moved.mean < agreement.mean - 0.3


def test_a_picture_of_noise_agrees_with_no_layout():
    noise = np.random.default_rng(3).integers(0, 255, (256, 320, 3)).astype(np.uint8)
    agreement = layout_iou(noise, hill_map(), {0: "sky", 1: "rock", 2: "water"})
    assert abs(agreement.above_chance) < 0.15


def test_regions_of_one_kind_need_not_be_told_apart():
    labels = hill_map()
    labels[(labels == 1) & (np.arange(320)[None, :] > 160)] = 3
    agreement = layout_iou(landscape(), labels, {0: "sky", 1: "rock", 2: "water", 3: "rock"})
    assert agreement.each[1] == agreement.each[3]
    assert agreement.mean > 0.7


def test_a_map_of_another_size_is_refused():
    with pytest.raises(WrongUse, match="bring the map"):
        layout_iou(landscape(), hill_map(100, 100), {})


def test_edges_agree_with_themselves_and_not_with_others():
    source = np.asarray(layout(512, 384))
    assert edge_f_score(source, source) == 1
    brighter = np.clip(source.astype(int) + 20, 0, 255).astype(np.uint8)
    assert edge_f_score(source, brighter) > 0.9
    other = np.asarray(sketch().resize((512, 384)))
    assert edge_f_score(source, other) < 0.4


def test_the_tolerance_decides_what_still_agrees():
    source = np.asarray(layout(512, 384))
    moved = np.roll(source, 6, axis=1)
    assert edge_f_score(source, moved, 2) < 0.7 < edge_f_score(source, moved, 7)


def test_dense_edges_agree_by_chance_and_the_score_says_so():
    noise = [np.random.default_rng(n).integers(0, 255, (128, 128, 3)).astype(np.uint8) for n in (0, 1)]
    agreement = edge_agreement(*noise)
    assert agreement.chance > 0.8 and abs(agreement.f - agreement.chance) < 0.1


def test_pictures_of_two_sizes_have_no_edge_score():
    with pytest.raises(WrongUse, match="bring them to one size"):
        edge_f_score(landscape(), landscape(100, 100))


def test_pictures_without_edges_agree():
    blank = np.full((128, 128, 3), 200, np.uint8)
    assert edge_f_score(blank, blank) == 1
    assert edge_f_score(blank, np.asarray(layout(128, 128))) == 0
