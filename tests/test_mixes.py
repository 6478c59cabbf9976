"""Mixes: what a person may say, what is refused and how, and what is drawn of it on a tiny FLUX."""

from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_painters import A, B, C, halves, three_experts, write_mixes

from artmaster_pipeline.adapters.withdrawn import marks_of
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, NotPublished, WrongUse
from artmaster_pipeline.experts.drawing import mix_pictures
from artmaster_pipeline.experts.factors import FACTORS
from artmaster_pipeline.experts.gating import by_prompt, has_gate, region
from artmaster_pipeline.experts.learned import LearnedShares
from artmaster_pipeline.experts.mixes import BANDS, Mix, interpolation, parse_mix, read_mixes
from artmaster_pipeline.experts.resolving import resolve
from artmaster_pipeline.experts.style_space import Chart, Point, by_weights, chart_svg
from artmaster_pipeline.lineage import picture_lineage
from artmaster_pipeline.pictures import read_facts, read_rgb
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawals import WithdrawnScan, append, new_line


def parsed(words: str = "", **said: object) -> Mix:
    faults: list[str] = []
    mix = parse_mix(words, faults=faults, **said)
    assert not faults
    assert mix is not None
    return mix


def faults_of(words: str = "", **said: object) -> list[str]:
    faults: list[str] = []
    parse_mix(words, faults=faults, **said)
    return faults


# --- what a person may say


def test_each_factor_has_its_painter() -> None:
    mix = parsed(f"composition={A} colour={B} brush={C}")
    assert mix.painters == (A, B, C)
    assert mix.gate == "person"
    assert mix.shares[B] == {"composition": 0, "colour": 1, "brush": 0}
    assert mix.in_words() == f"composition={A} colour={B} brush={C}"


def test_a_factor_may_be_shared_and_a_painter_may_have_several() -> None:
    mix = parsed(f"composition={A} colour={A}:0.25+{B}:0.75 brush={B}")
    assert mix.shares == {
        A: {"composition": 1, "colour": 0.25, "brush": 0},
        B: {"composition": 0, "colour": 0.75, "brush": 1},
    }
    assert mix.by_weight == (B, A)
    assert parsed(mix.in_words()) == mix


def test_painters_have_shares_of_the_whole_and_thirds_may_be_rounded() -> None:
    mix = parsed(f"{A}=0.33 {B}=0.33 {C}=0.33")
    assert sum(mix.weight(painter) for painter in mix.painters) == pytest.approx(1, abs=1e-12)
    assert parsed(f"{A}=0.2 {B}=0.8").by_weight == (B, A)


def test_shares_may_go_by_noise_bands_the_noisiest_first() -> None:
    mix = parsed(f"{A}=1,0.6,0.2,0 {B}=0,0.4,0.8,1")
    assert mix.bands == {A: (1, 0.6, 0.2, 0), B: (0, 0.4, 0.8, 1)}
    assert not mix.shares
    assert parsed(mix.in_words()) == mix


def test_an_adapter_may_be_named_and_shares_may_be_free() -> None:
    assert parsed(f"{A}@0123456789abcdef=0.5 {B}=0.5").adapters == {A: "0123456789abcdef"}
    assert parsed(f"{A}=0.9 {B}=0.9", convex=False).shares[B]["brush"] == 0.9


def test_the_person_goes_before_regions_and_those_before_gates() -> None:
    maps = {A: "a.png", B: "b.png"}
    assert parsed(f"{A}=0.5 {B}=0.5", regions=maps).gate == "person"
    assert parsed(regions=maps).gate == "region"
    assert parsed(painters=[A, B], gate="learned").gate == "learned"
    assert parsed(painters=[A, B]).gate == "uniform"


def test_a_way_from_one_painter_to_another_has_equal_steps() -> None:
    faults: list[str] = []
    steps = interpolation(A, B, 9, faults=faults)
    assert not faults
    assert [step.weight(B) for step in steps] == [n / 8 for n in range(9)]
    assert all(step.painters == (A, B) for step in steps)


@settings(max_examples=40)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=8), st.integers(0, 2))
def test_whatever_adds_up_is_convex_in_every_factor(weights: list[float], form: int) -> None:
    whole = sum(weights)
    named = {f"painter-{n}": weight / whole for n, weight in enumerate(weights)}
    if form == 0:
        words = " ".join(f"{name}={share!r}" for name, share in named.items())
    elif form == 1:
        words = " ".join(f"{name}={','.join([repr(share)] * BANDS)}" for name, share in named.items())
    else:
        shared = "+".join(f"{name}:{share!r}" for name, share in named.items())
        words = " ".join(f"{factor}={shared}" for factor in FACTORS)
    mix = parsed(words)
    columns = list(zip(*mix.bands.values(), strict=True)) or [
        [of[factor] for of in mix.shares.values()] for factor in FACTORS
    ]
    assert all(sum(column) == pytest.approx(1, abs=1e-9) for column in columns)


# --- what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"composition={A} colour={B}", ["nobody has brush"]),
        (f"composition={A} colour={A}:0.5+{B}:0.4 brush={B}", ["colour adds up to 0.9 instead of 1"]),
        (f"{A}=0.5 {B}=0.6", ["the shares add up to 1.1"]),
        (f"{A}=0.5 {A}=0.5", [f"{A} is named twice", "alone is no mix"]),
        (f"{A}=-1 {B}=2", ["negative"]),
        (f"{A}=1,0,0 {B}=0,1,1", ["give one share, or 4"]),
        (f"{A}=1,1,1,1 {B}=0,0,0,0.5", ["in noise band 4 add up to 1.5"]),
        (f"{A}=half {B}=0.5", ["'half' is no number"]),
        (f"{A}=nan {B}=inf", ["'nan' is no number", "'inf' is no number"]),
        (f"{A}=1", [f"artmaster generate {A}"]),
        (" ".join(f"p-{n}={1 / 9}" for n in range(9)), ["9 experts in one mix: 8 are the most"]),
        (f"composition={A} colour={B} brush={B} {C}=0.5", ["in one mix: say the one or the other"]),
        (f"composition={A} composition={B} colour={A} brush={B}", ["composition is said twice"]),
        (f"Composition={A} ../{B}=1", ["neither a factor", "neither a factor"]),
        (f"{A}@x=0.5 {B}=0.5", ["after the @ belongs"]),
        (f"composition={A}@{'0' * 16} colour={A}@{'1' * 16} brush={B}", ["two adapters"]),
        ("", ["it names nobody"]),
        (f"colour={A}+{B} composition={A} brush={B}", ["each needs a share"]),
    ],
)
def test_what_is_wrong_is_said_each_with_its_way_out(words: str, said: list[str]) -> None:
    faults = faults_of(words)
    assert all(any(part in fault for fault in faults) for part in said), faults


def test_what_does_not_go_together_is_said() -> None:
    assert faults_of(f"{A}=0 {B}=0", convex=False) == ["nobody has any part in it"]
    assert "more than 1" in faults_of(f"{A}=2,0,0,0 {B}=0,1,1,1", convex=False)[0]
    assert faults_of(f"{A}=1,0,0,0 {B}=0,0,0,0.5", convex=False) == []  # where nobody is, the base draws
    assert "leave out --gate" in faults_of(f"{A}=0.5 {B}=0.5", gate="learned")[0]
    assert "did you mean" in faults_of(f"{A}=0.5 {B}=0.5", strengths={"a-paintr": 1.0})[0]
    assert "between 0 and 1.5" in faults_of(f"{A}=0.5 {B}=0.5", strengths={A: 3.0})[0]
    assert f"{C} would be nowhere" in faults_of(painters=[A, B, C], regions={A: "a.png", B: "b.png"})[0]


@settings(max_examples=60)
@given(st.text(st.sampled_from("ab-@=:+,. 01\n\x1b%{"), max_size=40))
def test_no_words_break_the_parser(words: str) -> None:
    faults: list[str] = []
    mix = parse_mix(words, faults=faults)
    assert faults or mix is not None


def test_a_file_of_mixes_is_refused_once_with_all_faults_of_all_mixes(home: Home) -> None:
    home.root.mkdir()
    assert read_mixes(home) == ()
    good = {"mix": f"{A}=0.5 {B}=0.5", "prompts": ["a river"]}
    write_mixes(
        home,
        fine=good,
        Wrong_Name=good,
        twice={"mix": f"{A}=1 {A}=0.3", "promts": ["x"]},
        empty=None,
        strip={"from": A, "prompts": ["x"], "gate": "learned"},
        silent={"painters": [A, B]},
        outside={"regions": {A: "/a.png", B: "x/../../b.png"}, "prompts": ["x"]},
        odd={**good, "seeds": ["x"], "size": "1x1"},
    )
    with pytest.raises(WrongUse) as error:
        read_mixes(home)
    for part in (
        *("Wrong-Name: its name", "did you mean 'prompts'", "empty: say below it", "from and to belong together"),
        *("from and to stand alone", "silent: it asks for no", "odd: seeds.0", "odd: size", "b.png, lies outside"),
    ):
        assert part in str(error.value)
    assert "fine" not in str(error.value)
    write_mixes(home, fine=good, way={"from": A, "to": B, "steps": 3, "prompts": ["x"]}, three=_of_three())
    fine, three, way = read_mixes(home)
    assert (fine.partition, three.partition) == (f"{A}--{B}", f"{A}--{B}--{C}")
    assert [step.weight(B) for step in way.steps] == [0, 0.5, 1]
    assert fine.id != way.id
    for broken in ("- a list", "a: [", "\xff"):
        (home.root / "mixes.yaml").write_bytes(broken.encode("latin-1"))
        with pytest.raises(WrongUse, match=r"mixes\.yaml"):
            read_mixes(home)


def _of_three() -> dict:
    return {"painters": [A, B, C], "prompts": ["a river"], "gate": "uniform"}


# --- what it means in a data home


@pytest.fixture(scope="module")
def painters(shared, trained) -> tuple[Home, tuple[Adapter, ...]]:
    """Three painters with an adapter each, on the tiny FLUX; look, but do not write."""
    from artmaster_pipeline.records import MANIFEST, read_manifest

    there, profile, adapter = trained
    home = Home(shared("three-experts", lambda folder: three_experts(Home(folder), there, profile, adapter)))
    return home, tuple(read_manifest(home.adapters(painter) / MANIFEST, Adapter)[0] for painter in (A, B, C))


def test_all_that_is_wrong_with_a_mix_is_one_error(painters, tmp_path: Path) -> None:
    from small_archive import copied

    home = copied(painters[0], Home(tmp_path / "home"))
    other = home.adapters(B) / painters[1][1].id / "adapter.json"
    manifest = home.adapters(B) / "manifest.jsonl"
    text = other.read_text(encoding="utf-8").replace(painters[1][1].base_revision, "f" * 16)
    for file in (other, manifest):
        file.unlink()
        file.write_text(text + "\n", encoding="utf-8")
    mix = parsed(f"nobody=0.2 {A}@{'0' * 16}=0.3 {B}=0.3 {C}=0.2", regions={B: "none.png"})
    with pytest.raises(WrongUse) as error:
        resolve(home, mix, faults=["one more fault"])
    said = str(error.value)
    for part in (
        "one more fault",
        "no painter 'nobody'",
        f"no adapter '{'0' * 16}'",
        "different base models",
        "none.png",
    ):
        assert part in said, said
    with pytest.raises(WrongUse, match="is 512x768: draw it at 512x512"):
        resolve(home, parsed(f"{A}=0.5 {C}=0.5", regions={A: str(halves(tmp_path, 512, 768)["left"])}))


def test_a_withdrawn_work_keeps_its_expert_out_of_every_mix(painters, tmp_path: Path) -> None:
    from small_archive import copied

    home, adapters = copied(painters[0], Home(tmp_path / "home")), painters[1]
    mix = parsed(f"composition={A} colour={B} brush={C}")
    resolve(home, mix)
    work = WithdrawnScan(sha256=adapters[1].scan_sha256s[0])
    append(home, new_line("withdrawn", [work], [B], "The owner asks for it", "somebody"))
    assert marks_of(home, adapters[1])
    with pytest.raises(HoldsWithdrawn, match="The owner asks for it"):
        resolve(home, mix)
    resolve(home, parsed(f"{A}=0.5 {C}=0.5"))


def test_what_was_not_judged_or_published_is_not_mixed_for_publishing(painters) -> None:
    with pytest.raises(NotPublished) as error:
        resolve(painters[0], parsed(f"{A}=0.5 {B}=0.5"), publishing=True)
    assert str(error.value).count("has not been judged") == 2
    assert str(error.value).count("is not published: artmaster publish") == 2


def test_each_painter_hears_its_own_trigger_as_loud_as_its_part_is(painters) -> None:
    resolved = resolve(painters[0], parsed(f"{A}=0.2 {B}=0.5 {C}=0.3"))
    heard = dict(resolved.heard("a  river"))
    assert heard == pytest.approx({f"{A} style, a river": 0.2, f"{B} style, a river": 0.5, f"{C} style, a river": 0.3})
    said = dict(resolved.heard(f"a river, {C} style"))
    assert set(said) == {f"{A} style, a river, {C} style", f"{B} style, a river, {C} style", f"a river, {C} style"}
    assert resolved.identity() != resolve(painters[0], parsed(f"{A}=0.5 {B}=0.2 {C}=0.3")).identity()


def test_the_learned_gate_shares_a_prompt_out_and_is_asked_for_where_it_is_missing(painters, monkeypatch) -> None:
    from artmaster_pipeline.experts import learned

    home, adapters = painters
    resolved = resolve(home, parsed(painters=[A, B, C], gate="learned"))
    assert not has_gate(home, resolved)
    with pytest.raises(ArtMasterError, match=f"Teach one: artmaster experts gate {A} {B} {C}"):
        by_prompt(home, resolved, "a river")
    bands = {A: (0.0, 0.0, 0.0, 0.0), B: (0.9, 0.7, 0.5, 0.3), C: (0.1, 0.3, 0.5, 0.7)}  # from no noise on
    weights = {painter: sum(of) / 4 for painter, of in bands.items()}
    answer = LearnedShares(weights, bands, 0.0, True, (), "B paints rivers.")
    monkeypatch.setattr(learned, "learned_shares", lambda *_, **__: answer)
    shared, why = by_prompt(home, resolved, "a river")
    assert why == "B paints rivers."
    assert shared.mix.bands[B] == (0.3, 0.5, 0.7, 0.9)
    assert shared.drew == adapters[1:]  # the gate gave A nothing
    assert dict(shared.heard("a river")) == pytest.approx({f"{B} style, a river": 0.6, f"{C} style, a river": 0.4})
    assert shared.record()["gate"] == "learned"
    assert shared.identity() != resolved.identity()


# --- what is drawn


def test_a_mix_is_drawn_once_and_says_who_has_which_part(painters, tmp_path: Path) -> None:
    home, adapters = painters
    resolved = resolve(home, parsed(f"composition={A} colour={B} brush={C}"))
    files = mix_pictures(home, "a river", [resolved], 2, 7, out=tmp_path)
    before = [file.stat().st_mtime_ns for file in files]
    assert mix_pictures(home, "a river", [resolved], 2, 7, out=tmp_path) == files
    assert [file.stat().st_mtime_ns for file in files] == before
    facts = read_facts(files[0])
    assert facts["adapter"] == ", ".join(adapter.id for adapter in adapters)
    assert facts["gates"]["shares"][B] == {"composition": 0, "colour": 1, "brush": 0}
    assert facts["gates"]["adapters"] == {adapter.painter: adapter.id for adapter in adapters}
    assert not np.array_equal(read_rgb(files[0]), read_rgb(files[1]))
    answer = picture_lineage(home, files[0])
    assert {state.painter for state in answer.adapters} == {A, B, C}
    works = {work.scan.sha256 for work in answer.artworks}
    assert works == {sha256 for adapter in adapters for sha256 in adapter.scan_sha256s}
    assert answer.says["mix"] == f"composition={A} colour={B} brush={C}"


def test_one_share_of_one_is_that_painter_and_a_strip_ends_in_both(painters, tmp_path: Path) -> None:
    from artmaster_pipeline.generation import generate
    from artmaster_pipeline.settings import painter_profile

    home, adapters = painters
    faults: list[str] = []
    steps = [resolve(home, step) for step in interpolation(A, B, 3, faults=faults)]
    *files, strip = mix_pictures(home, "a river", steps, 1, 3, out=tmp_path)
    assert len(files) == 3
    rows = [read_rgb(file) for file in files]
    assert np.array_equal(read_rgb(strip), np.concatenate(rows, 1))
    assert read_facts(files[0])["adapter"] == adapters[0].id
    assert read_facts(files[1])["adapter"] == f"{adapters[0].id}, {adapters[1].id}"
    (alone,) = generate(home, A, painter_profile(home, A), "a river", 1, 3, out=tmp_path / "alone")
    assert np.abs(read_rgb(alone).astype(int) - rows[0]).max() <= 1  # drawn in a batch, by another code path
    assert not np.array_equal(rows[0], rows[2])


def test_a_region_leaves_the_rest_to_the_others(painters, tmp_path: Path) -> None:
    home, _ = painters
    maps = halves(tmp_path)
    grid = region(maps["left"], (4, 6))
    assert grid == ((1.0, 1.0, 1.0, 0.0, 0.0, 0.0),) * 4
    one = resolve(home, parsed(regions={A: str(maps["left"]), B: str(maps["right"])}))
    other = resolve(home, parsed(regions={A: str(maps["right"]), B: str(maps["left"])}))
    assert one.identity() != other.identity()
    pictures = [read_rgb(mix_pictures(home, "a river", [each], out=tmp_path / "out")[0]) for each in (one, other)]
    assert not np.array_equal(*pictures)


def test_the_mean_of_prompts_adds_the_same_words_whatever_the_triggers_length():
    import torch

    from artmaster_pipeline.base_models import TextEmbedding
    from artmaster_pipeline.experts.drawing import mean_text

    prompt, pad = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 8)
    short, long = torch.ones(1, 8), -torch.ones(3, 8)
    texts = [torch.cat([trigger, prompt, pad])[:10] for trigger in (short, long)]
    heard = [TextEmbedding({"words": text, "pooled": text[0]}) for text in texts]
    for weights in ((0.7, 0.3), (0.3, 0.7)):
        mean = mean_text(list(zip(heard, weights, strict=True))).tensors
        for word in prompt:  # each stands in the mean as it is
            assert min((row - word).norm() for row in mean["words"]) < 1e-6
        assert torch.allclose(mean["pooled"], weights[0] * short[0] + weights[1] * long[0])
    assert mean_text([(heard[1], 1.0)]) is heard[1]


# --- where experts stand


def test_the_same_change_has_one_place_whatever_its_rank_and_a_larger_one_lies_farther(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    dice, home = np.random.default_rng(0), Home(tmp_path)
    down, up = (dice.normal(size=shape).astype(np.float32) for shape in ((2, 6), (5, 2)))
    files = {
        "one": {"to_q": (down, up)},
        "same": {"to_q": (np.vstack([down, down]), np.hstack([up / 2, up / 2]))},
        "other": {"to_q": (-down, up)},
        "further": {"to_q": (-3 * down, up), "to_k": (down, up)},
    }
    adapters = []
    for name, layers in files.items():
        tensors = {f"transformer.{layer}.lora_A.weight": pair[0] for layer, pair in layers.items()}
        tensors |= {f"transformer.{layer}.lora_B.weight": pair[1] for layer, pair in layers.items()}
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "adapter.safetensors")
        adapters.append(SimpleNamespace(painter=name, path=name))
    chart = by_weights(home, adapters)  # type: ignore[arg-type]
    places = {point.label: np.array([point.x, point.y]) for point in chart.points}

    def apart(name: str) -> float:
        return float(np.linalg.norm(places["one"] - places[name]))

    assert apart("same") == pytest.approx(0, abs=1e-4)
    assert 0 < apart("other") < apart("further")
    assert sum(chart.explained) <= 1 + 1e-9


def test_a_chart_is_a_picture_of_its_own_whatever_the_names() -> None:
    points = (Point(0, 0, "<b>&", "<b>&"), Point(1, 1, "x" * 99, "x" * 99), Point(0.5, 0, "<b>&"))
    svg = chart_svg(Chart(points, (0.7, 0.2)), 'a "title" <x>')
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<b>&" in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 3
