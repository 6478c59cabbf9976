"""Refining a super-resolution network on a painter's scans: it comes nearer, says what it was made from, or is not."""

from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - a test may
from PIL import Image
from small_archive import PAINTER, small_archive

from artmaster_pipeline.adapters.withdrawn import check_network_not_withdrawn
from artmaster_pipeline.errors import ArtMasterError, BadInput, HoldsWithdrawn, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.settings import Home
from artmaster_pipeline.superres import load_network
from artmaster_pipeline.superres.networks import load_descriptor
from artmaster_pipeline.superres.refined_files import made_from, refine_network
from artmaster_pipeline.superres.refining import lattice, refine
from artmaster_pipeline.withdrawals import WithdrawnScan, append, new_line

COMPACT = "realesr-animevideov3-x4"
RRDB = "realesrgan-x4plus-anime"  # the smaller one


@pytest.fixture(scope="module", autouse=True)
def few_crops():
    """One of each picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("artmaster_pipeline.superres.refining._CROPS", 5)
        yield


def hatched(seed: int, side: int = 400) -> np.ndarray:
    """Fine strokes on grainy paper, which the compact network smooths away."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    strokes = np.sin((rows + columns) / 1.7) * np.sin(columns / (20 + seed)) > 0.3
    picture = np.where(strokes, 60, 190)[..., None] + rng.normal(0, 12, (side, side, 1)) + np.array([10, 0, -15])
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for number in range(5):
        Image.fromarray(hatched(number)).save(folder / f"{number}.png")
    Image.fromarray(hatched(9, 200)).save(folder / "small.png")
    Image.fromarray(np.tile(hatched(9), (1, 10, 1))).save(folder / "scroll.png")
    (folder / "torn.png").write_bytes((folder / "0.png").read_bytes()[:5000])
    return folder


@pytest.fixture(scope="module")
def refined(scans: Path, tmp_path_factory):
    return refine_network([scans], tmp_path_factory.mktemp("out") / "hatcher.safetensors", network=RRDB, steps=8)


def test_a_refined_network_is_nearer_to_scans_that_it_never_saw_and_is_loaded_like_any(refined):
    assert refined.lpips[1] < refined.lpips[0] and refined.texture[1] < refined.texture[0]
    network = load_network(str(refined.path))
    assert (network.name, network.scale) == ("hatcher", 4)
    assert network.identity != load_network(RRDB).identity
    low = hatched(7)[:40, :40]
    assert network.enlarge(low).shape == (160, 160, 3)
    assert (network.enlarge(low) != load_network(RRDB).enlarge(low)).any()


def test_its_file_says_which_scans_it_was_made_from_and_what_was_not_used_is_told(refined, scans: Path):
    used = {sha256_of(scans / f"{number}.png") for number in range(5)}
    assert set(refined.scans) == used == made_from(str(refined.path))
    reasons = {file.name: reason for file, reason in refined.left}
    assert reasons["small.png"] == "its shorter side has fewer than 384 pixels"
    assert reasons["scroll.png"].startswith("it is too long and narrow: 2048x205")
    assert "cannot be read" in reasons["torn.png"]
    assert made_from(COMPACT) == frozenset() == made_from("not/there.safetensors")


def test_the_same_scans_and_seed_give_the_same_network():
    pictures = [hatched(number) for number in range(5)]
    one, other = (refine(load_descriptor(RRDB), pictures, steps=2, seed=3) for _ in range(2))
    assert all((one.tensors[name] == other.tensors[name]).all() for name in one.tensors)


def test_a_network_that_comes_no_nearer_is_not_written(scans: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("artmaster_pipeline.superres.refining._RATE", 0.5)
    with pytest.raises(ArtMasterError, match="came no nearer to the pictures that were held out"):
        refine_network([scans], tmp_path / "worse.safetensors", network=RRDB, steps=2)
    assert not list(tmp_path.iterdir())


def test_a_lattice_is_told_from_strokes_and_grain():
    drawn = torch.from_numpy(hatched(0).transpose(2, 0, 1) / np.float32(255))
    assert lattice(drawn, 4) < 0.05
    drawn[:, ::4, ::4] += 0.2
    assert lattice(drawn, 4) > 0.15


def test_a_network_that_draws_a_lattice_is_not_written(scans: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("artmaster_pipeline.superres.refining._MOST_LATTICE", 0.0)
    with pytest.raises(ArtMasterError, match="learned to draw a lattice"):
        refine_network([scans], tmp_path / "grid.safetensors", network=RRDB, steps=3)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_refined_is_refused_before_work_begins(scans: Path, tmp_path: Path):

    there = tmp_path / "there.safetensors"
    there.write_bytes(b"a person's file")
    cases = (
        ([scans], there, {}, "is there already"),
        ([scans], tmp_path / "out.pth", {}, "does not end in .safetensors"),
        ([scans / "0.png"], tmp_path / "few.safetensors", {}, "5 pictures at least, and there are 1"),
        ([scans], tmp_path / "grid.safetensors", {"network": COMPACT}, "would draw a lattice: choose an ESRGAN"),
        ([scans], tmp_path / "no.safetensors", {"network": "nothing"}, "no super-resolution network 'nothing'"),
    )
    for inputs, out, more, says in cases:
        with pytest.raises(WrongUse, match=says):
            refine_network(inputs, out, **({"network": RRDB} | more))
    assert there.read_bytes() == b"a person's file" and list(tmp_path.iterdir()) == [there]


def test_a_network_made_from_a_withdrawn_work_is_not_used_any_more(refined, tmp_path: Path):
    home = Home(tmp_path)
    small_archive(home)
    network = str(refined.path)
    check_network_not_withdrawn(home, [PAINTER], network)
    append(
        home, new_line("withdrawn", [WithdrawnScan(sha256=refined.scans[0])], [PAINTER], "asked by heirs", "a keeper")
    )
    check_network_not_withdrawn(home, [PAINTER], COMPACT)
    with pytest.raises(
        HoldsWithdrawn, match=r"hatcher\.safetensors was trained on the work .* Refine it again"
    ) as caught:
        check_network_not_withdrawn(home, [PAINTER], network)
    assert "artmaster restore" in str(caught.value)


def test_a_file_whose_words_are_damaged_is_told(refined, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    spoilt = tmp_path / "spoilt.safetensors"
    save_file(load_file(refined.path), spoilt, {"artmaster.refined": "{"})
    with pytest.raises(BadInput, match="does not say what it was made from"):
        made_from(str(spoilt))
