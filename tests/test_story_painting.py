"""A story painted in one hand on a tiny FLUX: noise, anchors, the loop with its author, what is kept and made again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mixed_painters import A, B, three_experts
from small_archive import copied
from story_shots import BELOW, GEESE, TRAVELLER, WritesAnew, a_story

from artmaster_pipeline.base_models import family_for, open_pipeline
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, WrongUse
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import SILENT
from artmaster_pipeline.records import MANIFEST, Sample, read_manifest
from artmaster_pipeline.settings import Home, StorySettings, painter_profile
from artmaster_pipeline.stories import painting
from artmaster_pipeline.stories.painting import rounds, stage
from artmaster_pipeline.stories.painting.anchors import Held, holding, soft_box
from artmaster_pipeline.stories.painting.candidates import Easel, paint_candidates, seeds_of
from artmaster_pipeline.stories.painting.canvases import labels_of
from artmaster_pipeline.stories.painting.critique import faults_of
from artmaster_pipeline.stories.painting.drawing import ToDraw, draw_shots
from artmaster_pipeline.stories.painting.hand import OneHand, hand_of
from artmaster_pipeline.stories.painting.looking import Looks
from artmaster_pipeline.stories.painting.noise import noise_of
from artmaster_pipeline.stories.painting.reading import other_prompts, without_words
from artmaster_pipeline.stories.painting.records import Candidate
from artmaster_pipeline.stories.records import ShotRegion, Story
from artmaster_pipeline.withdrawals import WithdrawnScan, append, new_line

PARTITION = "story_river"


@pytest.fixture(scope="module")
def home(shared, trained) -> Home:
    """Three painters with an adapter each, on the tiny FLUX; look, but do not write."""
    there, profile, adapter = trained
    return Home(shared("three-experts", lambda folder: three_experts(Home(folder), there, profile, adapter)))


@pytest.fixture(scope="module")
def hand(home: Home) -> OneHand:
    return hand_of(home, a_story(A))


@pytest.fixture(scope="module")
def pipe(home: Home, hand: OneHand):
    with open_pipeline(hand.profile, ("transformer", "vae"), home) as loaded:
        yield loaded


@pytest.fixture
def own(home: Home, tmp_path: Path) -> Home:
    """A copy of the home in which A and B have a story each to paint."""
    found = copied(home, Home(tmp_path / "home"))
    for name in ("river", "lake"):
        found.story(name).mkdir(parents=True)
        (found.story(name) / "wish.yaml").write_text(f"text: a journey\npainter: {A}\n", encoding="utf-8")
    return found


def easel_of(home: Home, folder: Path, story: Story | None = None, **settings: Any) -> Easel:
    said = StorySettings(**{"candidates": 2, "revisions": 0} | settings)
    return Easel(home, folder, hand_of(home, story or a_story(A)), said, SILENT)


def test_all_shots_have_one_hand(home: Home) -> None:
    hand = hand_of(home, a_story(mix=f"{A}=0.6 {B}=0.4"))
    assert hand.painters == (A, B)
    assert [text for text, _ in hand.heard("a pine")] == [f"{A} style, a pine", f"{B} style, a pine"]
    assert hand.identity != hand_of(home, a_story(A)).identity


def test_a_mix_that_nobody_can_draw_is_one_error(home: Home) -> None:
    with pytest.raises(WrongUse, match="nobody-known"):
        hand_of(home, a_story("nobody-known"))


def test_a_withdrawn_work_keeps_the_story_from_being_painted(own: Home) -> None:
    adapter = hand_of(own, a_story(A)).adapters[0]
    append(own, new_line("withdrawn", [WithdrawnScan(sha256=adapter.scan_sha256s[0])], [A], "The heirs asked", "me"))
    with pytest.raises(HoldsWithdrawn, match=A):
        hand_of(own, a_story(A))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_shared_noise_is_noise_of_the_share_that_was_asked_for(pipe: Any, hand: OneHand, share: float) -> None:
    """Over many pictures: standard normal, and alike by the share; one seed is one noise."""
    import torch

    size = hand.profile.size(512, 768)
    noises = [noise_of(pipe, hand.profile, size, seed, 7, share).flatten() for seed in range(60)]
    rows = torch.stack(noises)
    assert abs(float(rows.var()) - 1) < 0.1
    among = torch.corrcoef(rows)[np.triu_indices(60, 1)]
    assert float(among.mean()) == pytest.approx(share, abs=0.06)
    assert torch.equal(noises[3], noise_of(pipe, hand.profile, size, 3, 7, share).flatten())


def test_a_square_picture_shares_the_upper_part_of_a_tall_ones_noise(pipe: Any, hand: OneHand) -> None:

    tall, square = hand.profile.size(512, 768), hand.profile.size(512, 512)
    whole = noise_of(pipe, hand.profile, tall, 1, 7, 0.999)
    part = noise_of(pipe, hand.profile, square, 1, 7, 0.999)
    assert float((whole[:, : part.shape[1]] - part).abs().mean()) < 0.1


def test_without_shared_noise_pictures_are_what_the_painter_draws(home: Home, hand: OneHand, tmp_path: Path) -> None:
    """The same as a story of one shot as `artmaster mix` draws it: latents are handed over only where they differ."""
    from artmaster_pipeline.experts.drawing import draw_mixed, drawing_by

    (ours,) = draw_shots(home, hand, [ToDraw("a pine", (512, 512), (3,))])
    size = hand.profile.size(512, 512)
    (theirs,) = draw_mixed(home, hand.profile, [drawing_by(hand.resolved, "a pine", 3, size, hand.knowledge)])
    assert np.array_equal(ours, theirs)
    (shared,) = draw_shots(home, hand, [ToDraw("a pine", (512, 512), (3,), 1, 0.5)])
    assert not np.array_equal(ours, shared)


def test_a_figures_place_is_one_inside_and_soft_at_its_border() -> None:
    mask = soft_box((0.25, 0.25, 0.75, 1.0), 16, 16)
    assert mask[8, 8] == 1
    assert mask[0].max() == mask[:, 0].max() == 0
    assert mask[15, 8] == 1  # it touches the lower edge
    assert 0 < mask[8, 4] < 1


def test_a_held_figure_is_the_panels_in_the_noise_and_free_below(pipe: Any, hand: OneHand) -> None:
    """After a step above the level the place holds the panel's latents with the noise that belongs there."""
    import torch

    size, family = hand.profile.size(512, 512), family_for(pipe)
    panel = np.full((64, 64, 3), 200, np.uint8)
    noise = noise_of(pipe, hand.profile, size, 1, 2, 0.0)
    after = holding(pipe, [Held(panel, (0.0, 0.0, 1.0, 1.0))], size, [noise], until=0.5)
    latents = torch.zeros_like(family.packed(noise))
    pipe.scheduler.set_timesteps(sigmas=[1.0, 0.8, 0.2], mu=0.0)
    sigma = float(pipe.scheduler.sigmas[1])
    held = after(pipe, 0, None, {"latents": latents})["latents"]
    kept = held - sigma * family.packed(noise)
    assert float(kept.std()) < 0.5 * float(held.std())  # what is left without the noise is the plain panel
    free = after(pipe, 1, None, {"latents": latents})["latents"]
    assert torch.equal(free, latents)


def test_the_smaller_place_lies_above_the_larger() -> None:
    regions = (
        ShotRegion(id="geese", of="geese", box=(0.4, 0.4, 0.6, 0.6)),
        ShotRegion(id="lake", of="lake", box=(0, 0, 1, 1)),
    )
    labels = labels_of(regions, (512, 768))
    assert labels.shape == (768, 512)
    assert labels[384, 256] == 1
    assert labels[10, 10] == 2


def test_the_first_candidate_has_the_shots_own_seed() -> None:
    shot = a_story(A).shots[0]
    seeds = seeds_of(shot, 4)
    assert seeds[0] == shot.seed
    assert len(set(seeds)) == 4
    assert seeds_of(shot, 2) == seeds[:2]


def test_candidates_are_painted_once_and_an_edit_paints_one_shot(home: Home, tmp_path: Path) -> None:
    easel, story = easel_of(home, tmp_path), a_story(A)
    drawn, made = paint_candidates(easel, story, story.shots)
    assert (made, {name: len(of) for name, of in drawn.items()}) == (6, {"shot-1": 2, "shot-2": 2, "shot-3": 2})
    assert read_rgb(tmp_path / drawn["shot-1"][0].path).shape[:2] == hand_of(home, story).profile.size(512, 768)[::-1]
    assert paint_candidates(easel, story, story.shots) == (drawn, 0)
    told_anew = story.shots[1].model_copy(update={"narration": story.shots[0].plot})
    edited = story.shots[2].model_copy(update={"setting": "a pagoda on a hill"})
    other = story.model_copy(update={"shots": (story.shots[0], told_anew, edited)})
    again, made = paint_candidates(easel, other, other.shots)
    assert made == 2
    assert (again["shot-1"], again["shot-2"]) == (drawn["shot-1"], drawn["shot-2"])
    (tmp_path / drawn["shot-1"][1].path).unlink()
    assert paint_candidates(easel, story, story.shots[:1])[1] == 1


def test_a_recurring_figure_is_painted_once_for_all_its_shots(home: Home, tmp_path: Path) -> None:
    easel, story = easel_of(home, tmp_path, anchor_until=0.5, candidates=1), a_story(A)
    drawn, made = paint_candidates(easel, story, story.shots)
    assert made == 3 + 1  # the traveller's panel: the geese are in one shot alone
    free, _ = paint_candidates(easel_of(home, tmp_path, candidates=1), story, story.shots)
    assert free["shot-3"] == drawn["shot-3"]  # nobody is held there
    held, unheld = (read_rgb(tmp_path / of["shot-1"][0].path).astype(int) for of in (drawn, free))
    apart = np.abs(held - unheld).mean(-1)
    height, width = apart.shape
    left, top, right, bottom = (round(s * e) for s, e in zip(BELOW, (width, height, width, height), strict=True))
    assert apart[top:bottom, left:right].mean() > apart[: height // 4].mean()


def test_a_prompt_without_a_figure_says_the_rest() -> None:
    prompt = f"{TRAVELLER}, layered mountains in autumn, wet black ink"
    assert without_words(prompt, TRAVELLER) == "layered mountains in autumn, wet black ink"
    assert without_words(f"{GEESE} in autumn, mist", GEESE) == "in autumn, mist"
    assert without_words(prompt, "") == prompt


def test_a_picture_is_told_apart_from_the_storys_other_prompts_first() -> None:
    assert other_prompts("a", ["a", "b", "c"], ["far", "b"]) == ("b", "c", "far")
    many = [f"shot {number}" for number in range(30)]
    assert len(other_prompts("shot 3", many, ["far"])) <= 8


def candidate(**changed: Any) -> Candidate:
    said = {"id": "a", "path": "a.png", "sha256": "", "seed": 1, "distance": 1.0, "likeness": 1.0, "margin": 0.2}
    return Candidate(**said | {"adherence": 1.0, "score": 1.0} | changed)


def test_every_fault_of_a_picture_is_a_sentence_of_its_own() -> None:
    story, none = a_story(A), np.zeros(0)
    looks = Looks(np.ones(1), np.linspace(0.8, 1.2, 50), np.ones(1), none, ("hiroshige",), np.zeros((1, 1)), 0.5)
    assert faults_of(story, story.shots[0], candidate(there={"traveller": True}), looks) == ()
    bad = candidate(there={"traveller": False}, distance=1.5, margin=-0.1, nearest_other="monet", adherence=0.2)
    faults = faults_of(story, story.shots[0], bad, looks)
    assert [
        part in fault for part, fault in zip(("traveller", "1.50", "another painter", "words"), faults, strict=True)
    ] == [True] * 4
    assert not any("monet" in fault for fault in faults)  # an author may be a service elsewhere


@pytest.fixture
def misses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Shots in which something is missed as long as they are named here."""
    named: list[str] = []
    real = rounds.faults_of

    def faults(story: Story, shot: Any, *rest: Any) -> tuple[str, ...]:
        new = shot not in a_story(A).shots
        return ("Nobody is seen.",) if shot.id in named and not new else () if named else real(story, shot, *rest)

    monkeypatch.setattr(rounds, "faults_of", faults)
    return named


def test_a_shot_that_misses_something_is_written_and_painted_anew(own: Home, misses: list) -> None:
    misses.append("shot-2")
    author, story = WritesAnew(), a_story(A)
    told = rounds.tell(easel_of(own, own.evaluation(PARTITION), revisions=3), story, lambda: author)
    assert author.asked == [("shot-2", ("Nobody is seen.",))]
    assert told.story.shots[1].setting != story.shots[1].setting
    assert (told.story.shots[0], told.story.shots[2]) == (story.shots[0], story.shots[2])
    assert [choice.round for choice in told.choices] == [0, 1, 0]
    first = next(critique for critique in told.critiques if critique.shot == "shot-2")
    assert (first.faults, first.asked, first.kept) == (("Nobody is seen.",), "template", False)
    assert first.revised is not None
    again = rounds.tell(easel_of(own, own.evaluation(PARTITION), revisions=3), story, lambda: author)
    assert (len(author.asked), again.made) == (1, 0)  # what was written is on the disk
    assert again.choices == told.choices


def test_words_that_make_nothing_better_are_not_kept(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def faults(_: Story, shot: Any, *rest: Any) -> tuple[str, ...]:
        return ("It is a blot.",) * (1 + (shot not in a_story(A).shots))

    monkeypatch.setattr(rounds, "faults_of", faults)
    author, story = WritesAnew(), a_story(A)
    told = rounds.tell(easel_of(own, own.evaluation(PARTITION), revisions=3, candidates=1), story, lambda: author)
    assert told.story.shots == story.shots
    assert len(author.asked) == 3  # each once: a shot that new words did not make better is not asked about again
    assert all(choice.round == 0 for choice in told.choices)


def test_an_author_who_fails_leaves_the_pictures_as_they_are(own: Home, misses: list) -> None:
    def nobody() -> Any:
        raise ArtMasterError("The endpoint does not answer.")

    misses.append("shot-1")
    told = rounds.tell(easel_of(own, own.evaluation(PARTITION), revisions=2, candidates=1), a_story(A), nobody)
    said = [critique for critique in told.critiques if critique.shot == "shot-1"]
    assert "does not answer" in said[0].says
    assert len(told.choices) == 3


def test_the_stage_keeps_pictures_choices_and_the_story_as_it_was_painted(
    own: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = a_story(A)
    monkeypatch.setattr(stage, "story_of", lambda *_: story)
    profile = painter_profile(own, A)
    done = painting.illustrate(own, PARTITION, profile)
    assert done.figures["may be published"] == "no"  # no works: a person has to decide
    key, root = painting.current_key(own, PARTITION, profile), own.evaluation(PARTITION)
    pictures = painting.illustrated_of(own, PARTITION, key)
    assert [(sample.story, sample.shot) for sample in pictures] == [("river", f"shot-{n}") for n in (1, 2, 3)]
    assert [place["of"] for place in pictures[1].gates["places"]] == ["geese", "traveller"]
    assert painting.painted_story(own, PARTITION, key) == story
    choices = painting.choices_of(own, PARTITION, key)
    assert [len(choice.candidates) for choice in choices] == [profile.stories.candidates] * 3
    assert read_manifest(root / MANIFEST, Sample) == done.records
    assert len(done.records) == 2 * 3  # the base beside each
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*.png")}
    again = painting.illustrate(own, PARTITION, profile)
    assert (again.records, again.made) == (done.records, 0)
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*.png")} == before
    verdict = painting.decide_on_story(own, PARTITION, "publish", "I looked at every picture", profile)
    assert verdict.publish


def test_after_an_edit_one_shot_is_painted_and_nothing_old_stays(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    story, profile = a_story(A), painter_profile(own, A)
    monkeypatch.setattr(stage, "story_of", lambda *_: story)
    first = painting.illustrate(own, PARTITION, profile)
    edited = story.shots[2].model_copy(update={"setting": "a pagoda on a hill"})
    story = story.model_copy(update={"shots": (*story.shots[:2], edited)})
    second = painting.illustrate(own, PARTITION, profile)
    same = {sample.shot for sample in first.records} & {"shot-1", "shot-2"}
    ids = {(s.shot, s.column): s.id for s in first.records}
    assert all(ids[s.shot, s.column] == s.id for s in second.records if s.shot in same)
    candidates = {file.stem for file in (own.evaluation(PARTITION) / "candidates").iterdir()}
    keys = [folder.name for folder in own.evaluation(PARTITION).iterdir() if (folder / "choices.jsonl").is_file()]
    told = json.loads((own.evaluation(PARTITION) / keys[-1] / "consistency.json").read_text())
    assert "adherence" in told
    assert len(candidates) == 3 * profile.stories.candidates


@pytest.mark.parametrize("where", ["candidates.write_png", "rounds.read_pictures", "stage.write_panel"])
def test_a_run_that_was_stopped_goes_on_where_it_was(own: Home, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Stopped at the third picture, before reading, before judging: what was painted is not painted again."""
    profile, story = painter_profile(own, A), a_story(A)
    monkeypatch.setattr(stage, "story_of", lambda *_: story)
    module, name = where.split(".")
    real, calls = getattr(globals_of(module), name), []

    def stops(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == (3 if module == "candidates" else 1):
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as stopping:
        stopping.setattr(globals_of(module), name, stops)
        with pytest.raises(KeyboardInterrupt):
            painting.illustrate(own, PARTITION, profile)
    there = {file: file.stat().st_mtime_ns for file in own.evaluation(PARTITION).rglob("candidates/*.png")}
    assert len(there) == (2 if module == "candidates" else 3 * profile.stories.candidates)
    done = painting.illustrate(own, PARTITION, profile)
    assert {file: file.stat().st_mtime_ns for file in there} == there
    assert len(done.records) == 6


def globals_of(module: str) -> Any:
    """A module of the painting room."""
    from importlib import import_module

    return import_module(f"artmaster_pipeline.stories.painting.{module}")
