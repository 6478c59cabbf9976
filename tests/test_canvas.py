"""Canvases: what a canvas.yaml may say, what is refused and how, how regions reach the tokens, how they are seen."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from artmaster_pipeline.canvases import FOLDER as CANVASES
from artmaster_pipeline.cli.app import app
from artmaster_pipeline.copainting.canvas import (
    control_picture,
    find_canvas,
    label_map,
    label_picture,
    load,
    preview,
    token_masks,
    write,
)
from artmaster_pipeline.copainting.canvas.finding import name_of
from artmaster_pipeline.copainting.canvas.first import first_canvas
from artmaster_pipeline.copainting.canvas.fitting import fitted, size_for
from artmaster_pipeline.copainting.canvas.writing import as_yaml
from artmaster_pipeline.copainting.records import Canvas
from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.records import GROUND
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS
from artmaster_pipeline.settings import Home

A, B, C = "huang-binhong", "hiroshige", "claude-monet"
SIZE = 512


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A data home that knows three painters."""
    for painter in (A, B, C):
        (tmp_path / "home" / "scans" / painter).mkdir(parents=True)
    return Home(tmp_path / "home")


@pytest.fixture
def folder(home: Home) -> Path:
    """The folder of a canvas in it: rock at the left, trees at the right, nothing above them."""
    place = home.root / CANVASES / "two-halves"
    place.mkdir(parents=True)
    Image.fromarray(two_halves()).save(place / "labels.png")
    return place


def two_halves() -> np.ndarray:
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[192:, :256], labels[192:, 256:] = 1, 2
    return labels


def said(**others: Any) -> dict[str, Any]:
    """What canvas.yaml says of the two halves."""
    canvas = {
        "prompt": "a village by a river in autumn",
        "ground": {"painter": B},
        "labels": "labels.png",
        "regions": [
            {"id": "rock", "label": 1, "kind": "rock", "painter": A},
            {"id": "trees", "label": 2, "kind": "trees", "painter": C},
        ],
    }
    return canvas | others


def loaded(folder: Path, home: Home, **others: Any) -> Canvas:
    (folder / "canvas.yaml").write_text(yaml.safe_dump(said(**others)), encoding="utf-8")
    return load(folder / "canvas.yaml", home)


def refusal(folder: Path, home: Home, **others: Any) -> str:
    with pytest.raises(WrongUse) as refused:
        loaded(folder, home, **others)
    return str(refused.value)


def mask(folder: Path, name: str, rows: slice, columns: slice = slice(None), size: int = SIZE) -> str:
    pixels = np.zeros((size, size), np.uint8)
    pixels[rows, columns] = 255
    Image.fromarray(pixels).save(folder / name)
    return name


def region(id: str, **others: Any) -> dict[str, Any]:
    return {"id": id, "painter": A} | others


# --- what a canvas may say


def test_a_canvas_binds_regions_to_hands(folder: Path, home: Home) -> None:
    mask(folder, "sky.png", slice(0, 128))
    rock = region("rock", label=1, kind="rock", factors={"brush": 1, "colour": 0.5}, prompt="layered\n mountains",
                  strength=0.8, feather_px=24, sigma_range=[0, 0.5])  # fmt: skip
    sky = {"id": "sky", "mask": "sky.png", "kind": "sky", "mix": f"{B}=0.7 {C}=0.3", "strength": 0.5}
    trees = region("trees", label=2, painter=f"{C}@0123456789abcdef")
    canvas = loaded(folder, home, regions=[rock, sky, trees], seeds=[3, 4], control=[{"signal": "labels"}])
    assert canvas.name == "two-halves"
    assert (canvas.size, canvas.seeds, canvas.painters) == ((512, 512), (3, 4), (B, A, C))
    first, second, third = canvas.regions
    assert first.factors == {"brush": 1, "colour": 0.5}
    assert (first.prompt, first.strength, first.feather_px) == ("layered mountains", 0.8, 24)
    assert (first.sigma_range, third.sigma_range) == ((0, 0.5), (0, 1))
    assert second.mix is not None
    assert second.mix.in_words() == f"{B}=0.7 {C}=0.3"
    assert second.mix.strengths == {B: 0.5, C: 0.5}
    assert (third.painters, third.adapter) == ((C,), "0123456789abcdef")
    assert [each.label for each in canvas.regions] == [1, 3, 2]  # a mask has the first number that is free
    assert (label_map(canvas)[:128] == 3).all()
    assert "folder" not in canvas.said()


def test_the_manuals_canvas_can_be_read(folder: Path, home: Home) -> None:
    manual = (Path(__file__).parent.parent / "docs" / "copainting.md").read_text(encoding="utf-8")
    (folder / "canvas.yaml").write_text(manual.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    Image.fromarray(two_halves().repeat(2, axis=0)[:768]).save(folder / "labels.png")
    Image.new("L", (512, 768)).save(folder / "edges.png")
    sky = np.zeros((768, 512), np.uint8)
    sky[:100] = 255
    Image.fromarray(sky).save(folder / "sky.png")
    assert [each.id for each in load(folder, home).regions] == ["rock", "water", "sky"]


def test_masks_alone_make_a_canvas_and_black_and_white_is_one_label(folder: Path, home: Home) -> None:
    mask(folder, "left.png", slice(None), slice(0, 200))
    by_mask = loaded(folder, home, labels="", regions=[region("left", mask="left.png")])
    assert (label_map(by_mask)[:, :200] == 1).all()
    assert not label_map(by_mask)[:, 200:].any()
    Image.open(folder / "left.png").convert("1").save(folder / "labels.png")
    by_label = loaded(folder, home, regions=[region("left", label=1)])
    assert by_label.labels_sha256 == by_mask.labels_sha256  # of what is where, not of files


def test_a_palettes_indices_are_the_labels_however_few_bits_they_have(folder: Path, home: Home) -> None:
    plain = loaded(folder, home).labels_sha256
    image = Image.fromarray(two_halves(), "L")
    image.putpalette([*range(9)])
    for bits in (2, 4, 8):
        image.save(folder / "labels.png", bits=bits)
        assert loaded(folder, home).labels_sha256 == plain


def test_a_canvas_is_found_by_file_folder_or_name(folder: Path, home: Home) -> None:
    loaded(folder, home)
    assert home.canvases() == ("canvas_two-halves",)
    for words in ("two-halves", str(folder), str(folder / "canvas.yaml")):
        assert load(find_canvas(words, home), home).name == "two-halves"
    with pytest.raises(WrongUse, match="Did you mean two-halves"):
        find_canvas("two-halfs", home)
    with pytest.raises(WrongUse, match="is neither a canvas"):
        find_canvas("x" * 5000, home)
    assert name_of(Path("/tmp/Été à la mer")) == "ete-a-la-mer"
    assert name_of(Path("/tmp/山水")) == "canvas"


def test_a_map_that_changes_after_reading_is_not_painted(folder: Path, home: Home) -> None:
    mask(folder, "edges.png", slice(3, 9))
    canvas = loaded(folder, home, control=[{"signal": "edges", "file": "edges.png"}, {"signal": "labels"}])
    edges, labels = (control_picture(canvas, each) for each in canvas.control)
    assert edges.shape == labels.shape == (SIZE, SIZE, 3)
    assert edges[5].min() == 255
    assert (labels[-1, 0] == KIND_COLOURS["rock"]).all()
    mask(folder, "edges.png", slice(3, 10))
    with pytest.raises(WrongUse, match=r"edges.png was changed"):
        control_picture(canvas, canvas.control[0])
    Image.fromarray(two_halves().T).save(folder / "labels.png")
    with pytest.raises(WrongUse, match="was changed after it was read"):
        label_map(canvas)
    (folder / "labels.png").unlink()
    with pytest.raises(WrongUse, match="was changed after it was read"):
        token_masks(canvas, 8, 8)


# --- what is refused


def test_one_error_names_every_fault(folder: Path, home: Home) -> None:
    mask(folder, "top.png", slice(0, 250))
    mask(folder, "empty.png", slice(0, 0))
    mask(folder, "small.png", slice(0, 20), slice(0, 20))
    mask(folder, "other-size.png", slice(0, 9), size=256)
    labels = two_halves()
    labels[500:, 500:] = 9
    Image.fromarray(labels).save(folder / "labels.png")
    said_of = refusal(
        folder,
        home,
        prompt="",
        seeds=[1, 1],
        titel="x",
        ground={"mix": f"{A}=0.5 {B}=0.6", "strength": 2},
        control=[{"signal": "edges"}, {"signal": "depth", "file": "no.png"}, {"signal": "depths"}],
        regions=[
            region("rock", label=1, painter="hiroshig"),
            region("rock", label=2, kind="rok", strength="much"),
            region("sky", mask="top.png", factors={"color": 1}),
            region("nothing", mask="empty.png", feather_px=-1),
            region("dot", mask="small.png", sigma_range=[1, 0]),
            region("half", mask="other-size.png"),
            region("lost", label=7),
            region("both", label=1, mask="top.png"),
            {"id": "Nobody", "label": 300},
            "words",
        ],
    )
    for part in (
        "prompt: say what the picture shows", "seeds: one of them is named twice", "titel: there is no such setting",
        "ground: strength: Input should be less than or equal to 1.5", "ground: mix: the shares add up to 1.1",
        "control 1: file: name the PNG of the signal edges", "control 2: no.png: there is no such file",
        "control 3: signal: Input should be 'edges'", "did you mean hiroshige?", "2 regions have the id rock",
        "region 2 (rock): kind: Input should be", "region 2 (rock): strength: Input should be a valid number",
        "'color' is no factor; did you mean colour?", "the mask of nothing, empty.png: it is empty",
        "region 4 (nothing): feather_px: Input should be greater", "sigma_range: say two noise levels",
        "the mask of half, other-size.png: it is 256x256, and the canvas 512x512", "the label 7 of lost has no pixel",
        "region 8 (both): say label: NUMBER (of the label map) or mask", "labels.png: no region has its label 9",
        "rock and sky overlap in 14,848 pixels, 5.7% of the canvas and 18% of the smaller one",
        "sky and dot overlap in 400 pixels, 0.2% of the canvas and 100%", "id: use lower-case letters",
        "region 9 (Nobody): say painter: NAME, or mix", "label: Input should be less than or equal to 255",
        "region 10: expected 'name: value' lines, and found words",
    ):  # fmt: skip
        assert part in said_of, f"{part}\n{said_of}"
    assert said_of.count("(26)") == 1


@pytest.mark.parametrize(
    ("others", "part"),
    [
        ({"size": "500x512"}, "size: '500x512': say WIDTHxHEIGHT, each from 256 to 2048 and a multiple of 64"),
        ({"size": "512x4096"}, "a multiple of 64"),
        ({"size": 512}, "size: Input should be a valid string"),
        ({"seeds": []}, "name one or more"),
        ({"seeds": [True]}, "valid integer"),
        ({"seeds": list(range(17))}, "at most 16"),
        ({"ground": None}, "ground: expected 'name: value' lines, and found nothing"),
        ({"ground": {}}, "ground: say painter"),
        ({"ground": {"painter": A, "mix": f"{A}=0.5 {B}=0.5"}}, "ground: say painter"),
        ({"ground": {"painter": f"{A}@12"}}, "after the @ belongs an adapter's id"),
        ({"ground": {"painter": "../x"}}, "'../x' is no painter's slug"),
        ({"ground": {"painter": "rembrandt"}}, f"known: {C}, {B}, {A}"),
        ({"regions": []}, "regions: list one or more"),
        ({"regions": {"id": "a"}}, "regions: expected a list"),
        ({"regions": [region("ground", label=1)]}, "ground is what no region covers"),
        ({"regions": [region("a", label=True)]}, "label: Input should be a valid integer"),
        ({"regions": [region("a", label=1), region("b", label=1)]}, "2 regions have the label 1"),
        ({"regions": [region("a", label=1, lable=2)]}, "lable: there is no such setting; did you mean 'label'?"),
        ({"regions": [region("a", label=1, feather_px=float("inf"))]}, "feather_px: Input should be"),
        ({"regions": [region("a", label=1, prompt="a\x07b")]}, "a character that no text has"),
        ({"regions": [region(f"a-{n}", label=n) for n in range(1, 14)]}, "regions: 13 of them, and 12 are the most"),
        ({"regions": [region("a")]}, "say label: NUMBER (of the label map) or mask"),
        ({"labels": ""}, "labels: name the PNG"),
        ({"labels": "no.png"}, "labels: no.png: there is no such file"),
        ({"control": [{"signal": "labels"}, {"signal": "labels"}]}, "labels is said twice"),
        ({"control": [{"signal": "labels", "until": 0}]}, "until: Input should be greater than 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(folder: Path, home: Home, others: dict[str, Any], part: str) -> None:
    assert part in refusal(folder, home, **others)


def test_an_expert_is_one_adapter_and_eight_are_the_most(folder: Path, home: Home) -> None:
    for number in range(9):
        (home.root / "scans" / f"p-{number}").mkdir()
    mix = " ".join(f"p-{number}={1 / 8}" for number in range(8))
    assert "9 painters on one canvas: 8 are the most" in refusal(
        folder, home, ground={"mix": mix}, regions=[region("a", label=1), region("b", label=2)]
    )
    two = [region("a", label=1, painter=f"{A}@{'0' * 16}"), region("b", label=2, painter=f"{A}@{'1' * 16}")]
    assert f"two adapters of {A} are named" in refusal(folder, home, regions=two)


def test_a_region_is_at_least_a_token_of_the_painters_profile(folder: Path, home: Home) -> None:
    """16 pixels of the model: of the miniature 64 of the canvas."""
    mask(folder, "a.png", slice(0, 64), slice(0, 63))
    assert "a has 4,032 pixels, less than one token of the model (64x64)" in refusal(
        folder, home, labels="", regions=[region("a", mask="a.png")]
    )
    mask(folder, "a.png", slice(0, 64), slice(0, 64))
    assert loaded(folder, home, labels="", regions=[region("a", mask="a.png")]).regions


# --- maps and files from anybody


def png(
    width: int, height: int, bits: int, colour: int, pixels: bytes | None = None, *more: tuple[bytes, bytes]
) -> bytes:
    """A PNG with just these claims; `more` are chunks before its pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if pixels is None:
        pixels = bytes((1 + -(-width * bits * channels // 8)) * height)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))]
    chunks += [(b"PLTE", bytes(range(48)))] if colour == 3 else []
    chunks += [*more, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def jpeg() -> bytes:
    import io

    file = io.BytesIO()
    Image.new("L", (SIZE, SIZE)).save(file, "JPEG")
    return file.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "100 megapixels": (lambda: png(10_000, 10_000, 8, 0), "it is 10000x10000, and the canvas 512x512"),
    "a header that lies": (lambda: png(2**31 - 1, 2**31 - 1, 8, 0, b"\0" * 99), "it is 2147483647x2147483647"),
    "a million labels": (lambda: png(SIZE, SIZE, 16, 0), "it has 16 bits a pixel, room for 65,536 labels"),
    "colours": (lambda: png(SIZE, SIZE, 8, 2), "it has colours of 8 bits"),
    "grey and alpha": (lambda: png(SIZE, SIZE, 8, 4), "it has grey with transparency of 8 bits"),
    "colours and alpha": (lambda: png(SIZE, SIZE, 8, 6), "it has colours with transparency of 8 bits"),
    "hidden palette": (lambda: png(SIZE, SIZE, 8, 3, None, (b"tRNS", bytes(3))), "parts of it are transparent"),
    "hidden grey": (lambda: png(SIZE, SIZE, 8, 0, None, (b"tRNS", bytes(2))), "parts of it are transparent"),
    "few greys": (lambda: png(SIZE, SIZE, 4, 0), "it is grey of 4 bits"),
    "no such depth": (lambda: png(SIZE, SIZE, 3, 3), "it cannot be decoded"),
    "animation": (lambda: png(SIZE, SIZE, 8, 0, None, (b"acTL", bytes(8))), "it is an animation"),
    "a JPEG": (jpeg, "it is a JPEG, whatever its name says"),
    "nothing": (lambda: b"", "it is no PNG"),
    "a head alone": (lambda: png(SIZE, SIZE, 8, 0)[:33], "it is broken off"),
    "broken off": (lambda: png(SIZE, SIZE, 8, 0)[:-30], "it is no whole PNG"),
    "a wrong checksum": (lambda: png(SIZE, SIZE, 8, 0).replace(b"IDAT", b"IDaT"), "a part's checksum is wrong"),
    "too few rows": (lambda: png(SIZE, SIZE, 8, 0, bytes(9)), "it cannot be decoded"),
    "pixels that grow": (lambda: png(SIZE, SIZE, 8, 0, bytes(2**28)), "no pixel in it"),
    "words that grow": (
        lambda: png(SIZE, SIZE, 8, 0, None, *[(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))] * 8),
        "no pixel in it",
    ),
    "many parts": (lambda: png(SIZE, SIZE, 8, 0, None, *[(b"teXt", b"")] * 30_000), "more than 20,000 parts"),
    "a large file": (lambda: png(SIZE, SIZE, 8, 0, None, (b"teXt", bytes(2**25))), "more than 16 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_map_is_refused_for_what_it_is(name: str, folder: Path, home: Home) -> None:
    make, part = HOSTILE[name]
    (folder / "labels.png").write_bytes(make())
    assert part in refusal(folder, home)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a process's peak of memory")
def test_hostile_maps_are_refused_in_bounded_memory(folder: Path, home: Home) -> None:
    """As a label map, as a mask and as a signal, in no more than the largest file that is read at all, a few times."""
    regions = [region("a", label=1), region("b", mask="b.png")]
    refusal(folder, home, labels="no.png")  # what is imported once
    for name, (make, _) in HOSTILE.items():
        content = make()
        for file in ("labels.png", "b.png", "c.png"):
            (folder / file).write_bytes(content)
        del content
        Path("/proc/self/clear_refs").write_text("5")
        before = peak()
        refusal(folder, home, regions=regions, control=[{"signal": "edges", "file": "c.png"}])
        assert peak() - before < 64_000, name


def peak() -> int:
    """Kilobytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def test_a_mask_is_black_and_white_or_grey(folder: Path, home: Home) -> None:
    for colour, bits in ((3, 8), (2, 8), (6, 8), (0, 16)):
        (folder / "a.png").write_bytes(png(SIZE, SIZE, bits, colour))
        assert "white where the region is" in refusal(folder, home, labels="", regions=[region("a", mask="a.png")])


BOMB = "a: &a [x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (BOMB.encode(), "it refers to another part of itself"),
        (b"ground: &g {painter: x}\nregions: [*g]\n", "write out what is meant"),
        (b"prompt: a\nprompt: b\n", "'prompt' is said twice in one place"),
        (b"ground: {painter: a, painter: b}\n", "'painter' is said twice"),
        (b"[" * 60_000, "cannot be read as YAML"),
        (b"prompt: !!python/object/apply:os.system [ls]\n", "cannot be read as YAML"),
        (b"prompt: \xff\n", "cannot be read as YAML"),
        (b"- a\n- b\n", "expected 'name: value' lines"),
        (b"", "expected 'name: value' lines"),
        (b"{1: 2, ? [a] : b}\n", "cannot be read as YAML"),
        (b"#" * 70_000, "more than 64 KiB"),
    ],
)
def test_a_hostile_canvas_yaml_is_one_error(content: bytes, part: str, folder: Path, home: Home) -> None:
    (folder / "canvas.yaml").write_bytes(content)
    with pytest.raises(WrongUse, match=r"canvas\.yaml") as refused:
        load(folder, home)
    assert part in str(refused.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates()
    | st.sampled_from(["labels.png", A, f"{A}=1", f"{A}=0.5 {B}=0.5", "512x512", "rock", "labels", ".", "../x"]),
    lambda part: st.lists(part, max_size=4)
    | st.dictionaries(st.sampled_from([*said(), "id", "label", "mask", "painter", "mix", "signal", "file", "factors",
                                       "feather_px", "sigma_range", "strength", "kind", "brush", "x"]) | st.integers(),
                      part, max_size=6),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from([*said(), "size", "seeds", "control"]), ANYTHING))
def test_whatever_a_canvas_yaml_says_is_a_canvas_or_one_error(content: dict[str, Any]) -> None:
    with TemporaryDirectory() as place:
        home, folder = Home(Path(place)), Path(place, "canvases", "a")
        for each in (folder, home.root / "scans" / A, home.root / "scans" / B):
            each.mkdir(parents=True)
        Image.fromarray(two_halves()).save(folder / "labels.png")
        (folder / "canvas.yaml").write_text(yaml.safe_dump(said() | content), encoding="utf-8")
        try:
            assert load(folder, home).regions
        except WrongUse as error:
            assert "canvas.yaml" in str(error)


@settings(max_examples=50)
@given(st.integers(8, 400), st.integers(0, 255), st.booleans())
def test_a_damaged_map_is_never_read_as_another(at: int, byte: int, cut: bool) -> None:
    with TemporaryDirectory() as place:
        home, folder = Home(Path(place)), Path(place, "a")
        for each in (folder, *(home.root / "scans" / painter for painter in (A, B, C))):
            each.mkdir(parents=True)
        whole = loaded_map(folder, home, two_halves())
        content = bytearray((folder / "labels.png").read_bytes())
        at = at % len(content)
        content[at] = byte
        (folder / "labels.png").write_bytes(content[:at] if cut else content)
        try:
            assert load(folder, home).labels_sha256 == whole
        except WrongUse as error:
            assert "labels.png" in str(error)


def loaded_map(folder: Path, home: Home, labels: np.ndarray) -> str:
    Image.fromarray(labels).save(folder / "labels.png")
    return loaded(folder, home).labels_sha256


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a process's peak of memory")
def test_a_hundred_megabytes_of_yaml_are_not_read(folder: Path, home: Home) -> None:
    with (folder / "canvas.yaml").open("wb") as file:
        file.write(BOMB.encode())
        file.truncate(100_000_000)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    with pytest.raises(WrongUse, match="more than 64 KiB"):
        load(folder, home)
    assert peak() - before < 8_000


def test_no_file_outside_the_canvas_folder_is_read(folder: Path, home: Home, tmp_path: Path) -> None:
    Image.fromarray(two_halves()).save(tmp_path / "outside.png")
    (folder / "linked.png").symlink_to(tmp_path / "outside.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "inside.png").symlink_to(folder / "labels.png")
    os.mkfifo(folder / "pipe.png")
    assert "it lies outside" in refusal(folder, home, labels="linked.png")
    assert "it lies outside" in refusal(folder, home, labels="../../../outside.png")
    assert "it lies outside" in refusal(folder, home, labels=str(tmp_path / "outside.png"))
    assert "by its place on this machine" in refusal(folder, home, labels=str(folder / "labels.png"))
    for name in ("pipe.png", ".", "loop.png", "a\0b", "x" * 5000):
        assert "labels: " in refusal(folder, home, labels=name)
    assert loaded(folder, home, labels="inside.png").regions
    (folder / "canvas.yaml").rename(tmp_path / "canvas.yaml")
    (folder / "canvas.yaml").symlink_to(tmp_path / "canvas.yaml")
    with pytest.raises(WrongUse, match="it lies outside"):
        load(folder / "canvas.yaml", home)
    with pytest.raises(WrongUse, match="give the file that name"):
        load(folder / "labels.png", home)


# --- regions on the tokens


@settings(max_examples=30)
@given(data=st.data())
def test_soft_regions_are_together_one_everywhere(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the map, the widths of its borders and the grid of tokens."""
    width, height = data.draw(st.sampled_from([(256, 256), (256, 320), (512, 256)]))
    count = data.draw(st.integers(1, 5))
    dice = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    cells = dice.integers(0, count + 1, (dice.integers(1, 9), dice.integers(1, 9)), dtype=np.uint8)
    cells.flat[: min(count, cells.size)] = np.arange(1, min(count, cells.size) + 1)
    labels = np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.NEAREST))
    feathers = data.draw(st.lists(st.sampled_from([0, 0.3, 16, 24.5, 512]), min_size=count, max_size=count))
    canvas = bound(tmp_path_factory.mktemp("canvas"), labels, feathers)
    masks = token_masks(canvas, data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40)))
    assert list(masks) == [GROUND, *(each.id for each in canvas.regions)]
    whole = np.sum(list(masks.values()), axis=0)
    assert np.abs(whole - 1).max() < 1e-9
    assert min(mask.min() for mask in masks.values()) >= 0
    assert max(mask.max() for mask in masks.values()) <= 1


def bound(folder: Path, labels: np.ndarray, feathers: list[float]) -> Canvas:
    """A canvas of a label map whose regions have soft borders of these widths, whatever their sizes."""
    regions = [
        {"id": f"r-{number}", "label": number, "painters": (A,), "feather_px": feathers[number - 1]}
        for number in np.unique(labels[labels > 0]).tolist()
    ]
    write(folder, said(size=f"{labels.shape[1]}x{labels.shape[0]}", regions=[{"id": each["id"], "label": each["label"],
          "painter": A} for each in regions]), labels)  # fmt: skip
    from artmaster_pipeline.copainting.canvas.layout import sha256_of_labels

    return Canvas.model_validate(
        {"name": "a", "folder": str(folder), "size": labels.shape[::-1], "prompt": "a", "seeds": (0,),
         "ground": {"painters": (B,)}, "regions": regions, "labels_sha256": sha256_of_labels(labels)}
    )  # fmt: skip


def test_a_border_is_as_wide_as_the_region_says(tmp_path: Path) -> None:
    labels = np.zeros((256, 512), np.uint8)
    labels[:, :256] = 1
    norm = NormalDist()
    (mask,) = (masks["r-1"] for masks in [token_masks(bound(tmp_path, labels, [64]), 1, 512)])
    sigma = 64 / (2 * norm.inv_cdf(0.95))
    expected = [norm.cdf((255.5 - pixel) / sigma) for pixel in range(512)]
    assert np.abs(mask[0] - expected).max() < 1e-3
    assert mask[0, 256 - 32 : 256 + 32].min() > 0.05
    assert mask[0, : 256 - 33].min() > 0.95
    assert mask[0, 256 + 33 :].max() < 0.05


def test_a_hard_border_gives_each_token_the_area_that_lies_in_it(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    labels = dice.integers(0, 3, (256, 320), dtype=np.uint8)
    masks = token_masks(bound(tmp_path, labels, [0, 0]), 16, 20)
    for number, mask in enumerate(masks.values()):
        assert np.allclose(mask, (labels == number).reshape(16, 16, 20, 16).mean(axis=(1, 3)), atol=1e-12)


def test_no_ground_comes_between_two_regions_that_touch(tmp_path: Path) -> None:
    masks = token_masks(bound(tmp_path, np.where(two_halves() == 0, 1, two_halves()), [8, 64]), 64, 64)
    assert masks[GROUND].max() == 0
    assert (masks["r-1"][40, :30] > 0.95).all()  # of two widths the narrower holds


# --- how it is seen


def test_a_map_is_shown_in_the_colours_of_its_kinds(folder: Path, home: Home) -> None:
    picture = label_picture(loaded(folder, home))
    assert (picture[0, 0] == KIND_COLOURS["other"]).all()
    assert (picture[-1, 0] == KIND_COLOURS["rock"]).all()
    assert (picture[-1, -1] == KIND_COLOURS["trees"]).all()


def test_a_preview_tints_the_regions_leaves_the_ground_and_names_everyone(folder: Path, home: Home) -> None:
    canvas = loaded(folder, home)
    white = np.full((300, 300, 3), 255, np.uint8)
    sheet = preview(canvas, white)
    assert sheet.shape == (1024 + 64, 32 * 3 + 1024 + 520, 3)
    assert (sheet[100, 100] == 255).all()
    tint = np.rint(0.6 * 255 + 0.4 * np.array(KIND_COLOURS["rock"]))
    assert (np.abs(sheet[900, 100] - tint) <= 1).all()
    assert (sheet[32 + 384, 300] == 255).all()  # a white line between the ground and the rock
    assert np.array_equal(preview(canvas, white), sheet)
    legend = np.s_[:, 32 * 2 + 1024 :]
    another = preview(loaded(folder, home, ground={"painter": A}), white)
    assert not np.array_equal(another[legend], sheet[legend])
    assert np.array_equal(another[:, : 32 + 1024], sheet[:, : 32 + 1024])
    alone = preview(canvas, None)
    assert (alone[900, 100] == KIND_COLOURS["rock"]).all()
    with pytest.raises(WrongUse, match="The picture is 300x200 and the canvas 512x512"):
        preview(canvas, white[:200])


def test_twelve_regions_of_any_kind_and_prompt_have_room(tmp_path: Path, home: Home) -> None:
    labels = np.repeat(np.arange(1, 13, dtype=np.uint8), 64 * 256).reshape(768, 256)
    regions = [region(f"r-{n}", label=n, prompt="山水 " + "layered mountains " * 40) for n in range(1, 13)]
    for turned in (labels, labels.T.copy()):
        size = f"{turned.shape[1]}x{turned.shape[0]}"
        path = write(tmp_path / size, said(size=size, regions=regions, prompt="words " * 300), turned)
        sheet = preview(load(path, home), None)
        assert (sheet[-20:] == (250, 248, 243)).all()  # nothing reaches the edge
        assert (sheet[:, -20:] == (250, 248, 243)).all()


# --- a first canvas


def test_what_is_written_is_read_again_and_replaces_nothing(tmp_path: Path, home: Home) -> None:
    path = write(tmp_path / "new", said(), two_halves())
    assert path == tmp_path / "new" / "canvas.yaml"
    assert np.array_equal(label_map(load(path, home)), two_halves())
    with Image.open(path.with_name("labels.png")) as image:
        assert image.mode == "P"
        colours = np.asarray(image.convert("RGB"))
    assert (colours[-1, 0] == KIND_COLOURS["rock"]).all()
    assert (colours[-1, -1] == KIND_COLOURS["trees"]).all()
    with pytest.raises(WrongUse, match=r"has a canvas.yaml and a labels.png already"):
        write(tmp_path / "new", said(), two_halves())
    write(tmp_path / "new", said(prompt="another"), two_halves(), overwrite=True)
    assert load(path, home).prompt == "another"


def test_canvas_yaml_says_beside_each_line_what_it_is() -> None:
    regions = [region("rock", label=1, prompt="rocks: tall, #grey 'old'"), region("rock-2", label=2, prompt="山")]
    canvas = said(regions=regions, seeds=[0, 1])
    text = as_yaml(canvas)
    assert yaml.safe_load(text) == canvas
    lines = text.splitlines()
    assert sum("#" in line for line in lines) > 12
    assert any(line.startswith("# control: [{signal: labels") for line in lines)
    assert yaml.safe_load(text.replace("    # strength", "    strength"))["regions"][0]["strength"] == 0.8


def test_painters_are_dealt_out_by_kind_the_largest_first() -> None:
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[:200], labels[200:300, :256], labels[200:300, 256:], labels[300:400], labels[400:406] = 5, 9, 7, 3, 4
    kinds: dict[int, Any] = {5: "sky", 9: "rock", 7: "trees", 3: "rock", 4: "water"}
    first = first_canvas(labels, kinds, [A, B], token=64)
    regions = first.canvas_yaml["regions"]
    assert [each["id"] for each in regions] == ["rock", "sky", "trees", "rock-2"]
    assert {each["id"]: each["painter"] for each in regions} == {"sky": A, "rock": B, "rock-2": B, "trees": A}
    assert first.canvas_yaml["ground"] == {"painter": A}
    assert first.canvas_yaml["prompt"] == "a landscape with open sky, layered mountains and trees"
    assert (first.labels[:200] == 5).all()  # labels stay
    assert not first.labels[400:].any()  # the water has fewer pixels than a token: it is the ground's
    assert "1 region too small" in first.notes[0]


def test_a_ground_that_is_named_gets_what_is_nothing_in_particular_unless_that_is_all() -> None:
    labels = two_halves()
    first = first_canvas(labels, {1: "rock", 2: "blank"}, [A, B], ground=C)
    assert [region["id"] for region in first.canvas_yaml["regions"]] == ["rock"]
    assert not first.labels[labels == 2].any()
    assert any(C in note for note in first.notes)
    alone = first_canvas(labels, {1: "other", 2: "blank"}, [A, B], ground=C)
    assert len(alone.canvas_yaml["regions"]) == 2
    assert len(first_canvas(labels, {1: "rock", 2: "blank"}, [A, B]).canvas_yaml["regions"]) == 2


def test_with_more_painters_than_kinds_they_are_dealt_out_by_region() -> None:
    first = first_canvas(two_halves(), {1: "rock", 2: "rock"}, [A, B, C], ground=C, prompt="two  rocks")
    assert [each["painter"] for each in first.canvas_yaml["regions"]] == [A, B]
    assert first.canvas_yaml["ground"] == {"painter": C}
    assert first.canvas_yaml["prompt"] == "two rocks"
    assert not first.notes
    alone = first_canvas(np.ones((SIZE, SIZE), np.uint8), {1: "other"}, [A, B, C])
    assert alone.canvas_yaml["prompt"] == "a landscape"
    assert "prompt" not in alone.canvas_yaml["regions"][0]
    assert alone.notes == (
        f"There are fewer regions than painters: {B}, {C} got none.",
        f"The regions cover the whole canvas: what you take out of them, {A} paints as the ground.",
    )
    with pytest.raises(WrongUse, match="No region was found of 64x64 pixels"):
        first_canvas(np.zeros((SIZE, SIZE), np.uint8), {1: "rock"}, [A], token=64)


@given(st.integers(100, 5000), st.integers(100, 5000))
def test_a_canvas_has_its_pictures_shape_as_near_as_sides_of_64_pixels_allow(width: int, height: int) -> None:
    found = size_for(width, height)
    assert all(256 <= side <= 2048 and side % 64 == 0 for side in found)
    if 1 / 6 <= width / height <= 6:
        assert abs(np.log(found[0] / found[1] / (width / height))) < 0.15
    assert size_for(1000, 1000) == (512, 512)
    assert size_for(1000, 1490) == (512, 768)
    assert size_for(300, 3000) == (256, 2048)


def test_a_picture_is_brought_to_the_canvas_shape_by_its_middle(tmp_path: Path) -> None:
    pixels = np.zeros((400, 1000, 3), np.uint8)
    pixels[:, 300:700] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    size, picture, lost = fitted(tmp_path / "a.png", (512, 512))
    assert (size, picture.shape) == ((512, 512), (512, 512, 3))
    assert lost == pytest.approx(0.6)
    assert picture[:, 8:-8].min() > 190
    _, exact, _ = fitted(tmp_path / "a.png", (512, 512), exact_colours=True)
    assert exact.shape == (400, 400, 3)
    with pytest.raises(WrongUse, match="There is no picture"):
        fitted(tmp_path / "b.png")
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(BadInput):
        fitted(tmp_path / "b.png")


# --- the commands


def command(*words: object, home: Home) -> str:
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["copaint", *map(str, words), "--home", str(home.root)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_a_canvas_is_previewed_over_a_picture(folder: Path, home: Home, tmp_path: Path) -> None:
    loaded(folder, home)
    Image.new("RGB", (900, 600), "white").save(tmp_path / "picture.png")
    seen = tmp_path / "seen.png"
    said_of = command("preview", "two-halves", "--over", tmp_path / "picture.png", "--out", seen, home=home)
    assert "33% of the picture lies outside of the canvas' shape." in said_of
    over = read_rgb(seen)
    assert (over[100, 100] == 255).all()
    command("preview", folder, "--out", seen, home=home)  # its own sheet is replaced
    assert (read_rgb(seen)[100, 100] == KIND_COLOURS["other"]).all()
    with pytest.raises(WrongUse, match="exists and is no such sheet"):
        command("preview", folder, "--out", tmp_path / "picture.png", home=home)
    with pytest.raises(WrongUse, match=r"ends in .png"):
        command("preview", folder, "--out", tmp_path / "seen.jpg", home=home)


def test_copaint_with_a_canvas_paints_it(home: Home) -> None:
    """`copaint CANVAS` is `copaint paint CANVAS`, whether options or the canvas come first."""
    for words in (["no-canvas"], ["paint", "no-canvas"], ["--seed", "3", "no-canvas"]):
        with pytest.raises(WrongUse, match="no-canvas is neither a"):
            command(*words, home=home)


def test_a_first_canvas_is_written_from_a_layout_drawn_by_hand(home: Home, tmp_path: Path) -> None:
    pytest.importorskip("artmaster_pipeline.copainting.signals.regions")
    drawn = np.full((768, 512, 3), KIND_COLOURS["sky"], np.uint8)
    drawn[300:] = KIND_COLOURS["rock"]
    drawn[500:, 200:] = KIND_COLOURS["water"]
    Image.fromarray(drawn).save(tmp_path / "layout.png")
    new = ("new", "--from", tmp_path / "layout.png", "--sketch", "--painters", f"{A},{B}", "--ground", C)
    command(*new, "--out", tmp_path / "made", "--control", "labels,edges", home=home)
    canvas = load(tmp_path / "made", home)
    assert canvas.size == (512, 768)
    assert {each.kind for each in canvas.regions} == {"sky", "rock", "water"}
    assert [control.signal for control in canvas.control] == ["edges", "labels"]
    right = [np.abs(label_picture(canvas).astype(int) - drawn).max(axis=2) < 9]
    assert np.mean(right) > 0.97
    with pytest.raises(WrongUse, match="already"):
        command(*new, "--out", tmp_path / "made", home=home)


def test_nothing_is_written_for_painters_that_are_not_there(home: Home, tmp_path: Path) -> None:
    pytest.importorskip("artmaster_pipeline.copainting.signals.regions")
    Image.new("RGB", (512, 512)).save(tmp_path / "a.png")
    with pytest.raises(ArtMasterError, match="did you mean hiroshige"):
        command("new", "--from", tmp_path / "a.png", "--painters", "hiroshig", "--out", tmp_path / "made", home=home)
    with pytest.raises(WrongUse, match="--control edge: choose from"):
        command("new", "--from", tmp_path / "a.png", "--painters", A, "--control", "edge", "--out", tmp_path / "made",
                home=home)  # fmt: skip
    assert not (tmp_path / "made").exists()
