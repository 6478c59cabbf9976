"""Where an adapter's factors live: what is lost without a part of it, the fit, the stage that draws and measures."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sharing import linked_copy, unlinked
from training_home import PAINTER

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.experts.factors import FACTORS, BlockGroup, FactorMap
from artmaster_pipeline.experts.map import factor_map_of, map_expert, read_map
from artmaster_pipeline.experts.map.fitting import fit
from artmaster_pipeline.experts.map.knocking_out import BASE, WHOLE, Part, parts_of
from artmaster_pipeline.experts.map.measuring import loss_of
from artmaster_pipeline.experts.records import ExpertMap
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.pictures import read_facts
from artmaster_pipeline.records import MANIFEST, Adapter, read_manifest
from artmaster_pipeline.settings import ExpertMapSettings, ExpertSettings, Home, Profile

GROUPS = (
    BlockGroup(name="double 0-1", blocks="transformer_blocks", first=0, last=1),
    BlockGroup(name="single 0-1", blocks="single_transformer_blocks", first=0, last=1),
)
LAYOUT = FactorMap.flat(GROUPS)
COUNT = 6  # pictures of a part, each of a prompt of its own


def distances(*sets: np.ndarray) -> np.ndarray:
    points = np.concatenate(sets)
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def rows(number: int) -> np.ndarray:
    return np.arange(number * COUNT, (number + 1) * COUNT)


def looks(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Where the base's pictures and the whole adapter's are in a space of 40 features, by prompt."""
    chance = np.random.default_rng(seed)
    base = chance.normal(size=(COUNT, 40))
    return base, base + np.r_[3, np.zeros(39)] + 0.2 * chance.normal(size=(COUNT, 40))


def lost(without: np.ndarray, base: np.ndarray, whole: np.ndarray) -> "tuple[float, float | None, float | None, float]":
    found = loss_of(distances(base, whole, without), rows(0), rows(1), rows(2), range(COUNT))
    return found.lost.value, found.lost.low, found.lost.high, found.moved


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_what_goes_back_along_the_change_is_lost_and_its_interval_holds_it(share: float) -> None:
    base, whole = looks()
    chance = np.random.default_rng(1)
    value, low, high, moved = lost(whole + share * (base - whole) + 0.1 * chance.normal(size=base.shape), base, whole)
    assert value == pytest.approx(share, abs=0.05)
    assert low is not None
    assert high is not None
    assert low < value < high
    assert (low > 0) == (share > 0)
    assert moved == pytest.approx(np.hypot(share, 0.1 * np.sqrt(40) / 3.2), abs=0.05)


def test_another_picture_that_is_no_nearer_to_the_base_has_moved_and_lost_nothing() -> None:
    base, whole = looks()
    aside = np.zeros_like(base)
    aside[:, 1] = 3
    value, low, _, moved = lost(whole + aside, base, whole)
    assert abs(value) < 0.15
    assert low is not None
    assert low < 0
    assert moved > 0.9


def test_of_an_adapter_that_changes_nothing_nothing_can_be_said() -> None:
    base, _ = looks()
    assert lost(base + 1, base, base) == (0.0, None, None, 0.0)


@settings(max_examples=25)
@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=9),
    st.lists(st.floats(0.01, 1), min_size=2, max_size=5),
)
def test_a_table_of_rank_one_is_found_again(by_group: list[float], by_band: list[float]) -> None:
    table = np.outer(by_group, by_band)
    found = fit(table, np.zeros_like(table, dtype=bool))
    assert found.phi == pytest.approx(np.array(by_group) / sum(by_group), abs=1e-5)
    assert found.psi == pytest.approx(np.array(by_band) / sum(by_band), abs=1e-5)
    assert found.explained == pytest.approx(1)


def test_what_says_nothing_or_lies_below_zero_has_no_weight() -> None:
    table = np.array([[0.5, 0.4], [0.9, -0.3]])
    found = fit(table, np.array([[False, False], [True, False]]))
    assert found.phi == (1, 0)
    assert found.psi == pytest.approx((5 / 9, 4 / 9), abs=1e-5)
    assert fit(table, np.ones((2, 2), dtype=bool)) == fit(-np.abs(table), np.zeros((2, 2), dtype=bool))
    silent = fit(table, np.ones((2, 2), dtype=bool))
    assert (silent.phi, silent.psi, silent.explained) == ((0.5, 0.5), (0.5, 0.5), 0)


def test_a_part_is_left_out_there_and_nowhere_else() -> None:
    parts = parts_of(LAYOUT)
    assert parts[:2] == (BASE, WHOLE)
    assert len(parts) == 2 + 2 * 4
    gate = Part((1, 2)).gate("a", LAYOUT)
    for sigma, whole in ((0.1, True), (0.6, False), (0.75, False), (0.76, True)):
        assert gate.at(sigma)["a"].ravel().tolist() == [1, 1 if whole else 0]
        assert WHOLE.gate("a", LAYOUT).at(sigma)["a"].ravel().tolist() == [1, 1]


def quick(profile: Profile) -> Profile:
    """The tiny profile with a map of eight parts and two prompts."""
    how = ExpertMapSettings(prompts=("<b>a pine</b>", "a rock"), block_groups=2, noise_bands=2)
    evaluation = profile.evaluation.model_copy(update={"num_inference_steps": 2, "batch_size": 3})
    return profile.model_copy(update={"experts": ExpertSettings(map=how), "evaluation": evaluation})


@pytest.fixture(scope="module")
def mapped(
    trained: tuple[Home, Profile, Adapter], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, Profile, ExpertMap]:
    """A home with its map; look, but do not write."""
    home = Home(linked_copy(trained[0].root, tmp_path_factory.mktemp("mapped") / "home"))
    profile = quick(trained[1])
    outcome = map_expert(home, PAINTER, profile)
    assert (outcome.made, outcome.reused) == (2 * (2 + 2 * 2), 0)
    (record,) = outcome.records
    return home, profile, record


def test_the_map_names_its_pictures_and_what_was_lost_with_intervals(mapped: tuple[Home, Profile, ExpertMap]) -> None:
    home, _, record = mapped
    folder = home.stage_folder("expert_map", PAINTER)
    assert [group.name for group in record.factor_map.groups] == ["double 0-1", "single 0-1"]
    assert record.factor_map.noise_bands == (0, 0.5, 1)
    parts = [(p.part, p.group, p.band) for p in record.pictures[::2]]
    without = [("without", group, band) for group in (0, 1) for band in (0, 1)]
    assert parts == [("base", 0, 0), ("whole", 0, 0), *without]
    by_part: dict[str, set[str]] = {}
    for picture in record.pictures:
        assert sha256_of(folder / picture.path) == picture.sha256
        by_part.setdefault(f"{picture.part} {picture.group} {picture.band}", set()).add(picture.sha256)
        facts = read_facts(folder / picture.path)
        assert facts["adapter"] == ("" if picture.part == "base" else record.adapter_id)
        assert facts.get("left_out") == (
            record.factor_map.groups[picture.group].name if picture.part == "without" else None
        )
    assert len(set.union(*by_part.values())) == len(record.pictures)  # every part changes every picture
    for factor in FACTORS:
        for group, band in itertools.product((0, 1), (0, 1)):
            value, low, high = (of[factor][group][band] for of in (record.lost, record.low, record.high))
            assert low is None or low <= value
            assert high is None or value <= high
        assert sum(record.factor_map.phi[factor]) == pytest.approx(1, abs=1e-5)
        assert sum(record.factor_map.psi[factor]) == pytest.approx(1, abs=1e-5)
        cells = [(group, band) for group in (0, 1) for band in (0, 1)]
        assert len(record.silent[factor]) == sum(record.says_nothing(factor, *cell) for cell in cells)


def test_the_page_and_the_heat_map_say_it(mapped: tuple[Home, Profile, ExpertMap]) -> None:
    home, _, record = mapped
    folder = home.stage_folder("expert_map", PAINTER) / record.adapter_id
    page = (folder / "map.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;a pine&lt;/b&gt;" in page
    assert "<b>a pine" not in page
    assert page.count('loading="lazy"') == 2 + 2 * 2
    for picture in (record.pictures[0], record.pictures[2]):
        assert picture.path.split("/", 1)[1] in page
    assert f"{record.lost['colour'][0][0]:.2f}" in page
    assert (folder / "map.png").stat().st_size < 100_000


def test_a_map_that_is_there_is_not_made_again_and_is_found_by_its_adapter(
    mapped: tuple[Home, Profile, ExpertMap], trained: tuple[Home, Profile, Adapter]
) -> None:
    home, profile, record = mapped
    outcome = map_expert(home, PAINTER, profile)
    assert (outcome.made, outcome.records) == (0, (record,))
    assert read_map(home, trained[2]) == record
    assert factor_map_of(home, trained[2]) == record.factor_map
    assert factor_map_of(home, trained[2].model_copy(update={"sha256": "0" * 64})) is None


def test_a_map_that_was_interrupted_goes_on_to_the_same_bytes(
    mapped: tuple[Home, Profile, ExpertMap], tmp_path: Path
) -> None:
    made, profile, record = mapped
    home = Home(linked_copy(made.root, tmp_path / "home"))
    folder = home.stage_folder("expert_map", PAINTER)
    manifest = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).unlink()
    torn = unlinked(folder / record.pictures[7].path)
    torn.write_bytes(torn.read_bytes()[:100])
    (folder / record.pictures[0].path).unlink()
    (folder / record.adapter_id / "pictures" / ".partial-x.png").write_bytes(b"half")
    (folder / ("0" * 16)).mkdir()  # of an adapter that is gone
    outcome = map_expert(home, PAINTER, profile)
    assert (outcome.made, outcome.reused) == (2, len(record.pictures) - 2)
    assert (folder / MANIFEST).read_bytes() == manifest
    assert read_manifest(folder / MANIFEST, ExpertMap) == (record,)
    assert sorted(entry.name for entry in folder.iterdir()) == sorted([MANIFEST, record.adapter_id])
    assert not list(folder.rglob(".partial-*"))


def test_another_base_is_refused_before_anything_is_drawn(
    mapped: tuple[Home, Profile, ExpertMap], monkeypatch: pytest.MonkeyPatch
) -> None:
    from artmaster_pipeline import base_models

    home, profile, _ = mapped
    monkeypatch.setattr(base_models, "base_revision", lambda profile, home=None: "f" * 16)
    with pytest.raises(WrongUse, match=f"artmaster run {PAINTER}"):
        map_expert(home, PAINTER, profile)
    assert json.loads((home.stage_folder("expert_map", PAINTER) / MANIFEST).read_text())


def test_the_command_prints_the_tables_and_dagster_shows_the_heat_map(
    mapped: tuple[Home, Profile, ExpertMap], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from artmaster_pipeline.cli.experts import experts_map
    from artmaster_pipeline.orchestration import metadata, run

    home, profile, record = mapped
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(run, "run_painter", lambda home, painter, only: asked.append((painter, only)))
    experts_map(PAINTER, home.root)
    said = capsys.readouterr().out
    assert asked == [(PAINTER, "expert_map")]
    for word in ("double 0-1", "single 0-1", "psi", "1 to 0.5", "0.5 to 0", "In brackets", "map.html"):
        assert word in said
    experts_map(PAINTER, home.root, json=True)
    assert ExpertMap.model_validate_json(capsys.readouterr().out) == record
    shown = metadata.of_stage("expert_map", home, PAINTER, map_expert(home, PAINTER, profile))
    assert shown["heat_map"].value.startswith("![map](data:image/jpeg;base64,")
    assert len(shown["lost without a part"].records) == 3 * (2 + 1)
    assert record.adapter_id in shown["lineage"].value
