"""The storyboard: what an author may choose from, what of a draft stands, what a person's story.yaml is told."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.progress import SILENT
from artmaster_pipeline.settings import Home, Profile, default_painter, load_profile, save_painter
from artmaster_pipeline.stories.authors.template import TemplateAuthor
from artmaster_pipeline.stories.records import Authorship, Brief, ShotDraft, Story, StoryDraft, Wish, Words, Written
from artmaster_pipeline.stories.storyboard import (
    assemble,
    brief_for,
    faults_of,
    make_storyboards,
    picture_identity,
    prompt_of,
    read_story,
    read_wish,
    revised,
    size_of,
    story_of,
    story_yaml,
    write_story,
    write_wish,
)
from artmaster_pipeline.stories.storyboard import entries as tables
from artmaster_pipeline.stories.storyboard.checking import forbidden_in, things_of_today
from artmaster_pipeline.stories.storyboard.matching import found_in, has_chinese, replaced
from artmaster_pipeline.stories.storyboard.words import Encoders

WISH = Wish(text="a modern city as mountain and water", painter="huang-binhong", medium="ink", eras=2, shots=6)


@pytest.fixture
def profile() -> Profile:
    return load_profile("miniature")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for painter in ("huang-binhong", "claude-monet"):
        home.scans(painter).mkdir(parents=True)
        save_painter(home, painter, default_painter(painter))
    return home


@pytest.fixture
def brief(home: Home, profile: Profile) -> Brief:
    return brief_for(WISH, home, profile)


@pytest.fixture
def story(brief: Brief, home: Home, profile: Profile) -> Story:
    written = TemplateAuthor().write(brief, SILENT)
    return assemble(brief, written, "city", home=home, profile=profile)


def drafted(brief: Brief, *changes: dict[str, Any]) -> Written:
    """The template's draft, its first shots changed."""
    draft = TemplateAuthor().write(brief, SILENT).draft
    shots = [
        shot.model_copy(update=changes[number]) if number < len(changes) else shot
        for number, shot in enumerate(draft.shots)
    ]
    return Written(draft=StoryDraft(title=draft.title, shots=tuple(shots)), authorship=Authorship(author="a model"))


def edited(folder: Path, story: Story, edit: Callable[[dict[str, Any]], None]) -> Path:
    """The story written into its folder, and changed there as a person does."""
    file = write_story(folder / story.name, story)
    content = yaml.safe_load(file.read_text("utf-8"))
    edit(content)
    file.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), "utf-8")
    return file


# --- the tables


def test_the_miniature_reads_every_word_that_the_tables_paint(home: Home, profile: Profile) -> None:
    encoders = Encoders.of(profile, home, ["huang-binhong"])
    said = [*tables.places(), *tables.moments(), *(motif.rendering for motif in tables.motifs().values())]
    said += [words for who in tables.cast().values() for words in (who.visual, *who.variants.values())]
    said += [palette for medium in tables.mediums().values() for palette in medium.palettes]
    assert {words: encoders.unread(words) for words in said if encoders.unread(words)} == {}
    assert [words for words in said if things_of_today(words, "today")] == []


def test_no_medium_forbids_what_the_tables_paint_or_its_own_palette() -> None:
    said = [*tables.places(), *tables.moments(), *(motif.rendering for motif in tables.motifs().values())]
    said += [who.visual for who in tables.cast().values()]
    for id, medium in tables.mediums().items():
        assert [words for words in (*said, *medium.palettes) if forbidden_in((), id, words)] == []


def test_the_tables_hold_together() -> None:
    assert len(tables.eras()) >= 10
    assert len(tables.cast()) >= 10
    assert len(tables.motifs()) >= 30
    for era in tables.eras().values():
        assert set(era.places) <= set(tables.places())
        assert {tables.places()[place].kind for place in era.places} & {"shore", "open"}, "a boat finds no water"
    for thread in tables.threads().values():
        assert set(thread.leads) <= set(tables.cast())
    for who in tables.cast().values():
        assert set(who.variants) <= set(tables.eras())


def test_every_line_of_the_tables_is_in_both_languages() -> None:
    def both(value: Any) -> list[Words]:
        if isinstance(value, Words):
            return [value]
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else []
        parts = vars(value).values() if hasattr(value, "model_fields_set") else parts
        return [words for part in parts for words in both(part)]

    table = (tables.eras(), tables.cast(), tables.motifs(), tables.threads(), tables.interludes())
    lines = [words for part in table for words in both(part)]
    assert len(lines) > 500
    assert [line for line in lines if not line.en or has_chinese(line.en) or not has_chinese(line.zh)] == []
    told = [line.zh for line in lines]  # whose marks are Chinese ones
    assert [line for line in told if re.search(r"[!?;:,]", line)] == []


# --- words


@pytest.mark.parametrize("text", ["Oil-paint on it", "OIL PAINTINGS", "oil‐painted", "thick oilpaint"])
def test_a_word_is_found_in_any_inflection_and_case(text: str) -> None:
    assert found_in(text, ["oil paint"], verbs=True) == ("oil paint",)


@pytest.mark.parametrize("text", ["a carpet", "caring hands", "he cares", "an oil lamp", "scarce", "training"])
def test_a_longer_word_is_no_false_alarm(text: str) -> None:
    assert found_in(text, ["car", "oil paint", "train"]) == ()


def test_neon_is_found_in_what_is_neon_lit() -> None:
    assert found_in("a neon-lit street", ["neon"]) == ("neon",)
    assert found_in("霓虹灯下", ["霓虹"]) == ("霓虹",)


def test_a_thing_is_replaced_with_its_article() -> None:
    said = replaced("beside a skyscraper at dusk", "skyscraper", "layered mountains")
    assert said == "beside layered mountains at dusk"


def test_an_era_knows_the_things_of_its_time() -> None:
    assert things_of_today("a train in the fields", "paris") == ()
    assert things_of_today("a train in the fields", "tang") == ("train",)
    assert things_of_today("a train in the fields", "today") == ("train",)


# --- the brief


def test_a_brief_takes_from_the_wish_what_it_names(home: Home, profile: Profile) -> None:
    text = "一个渔夫从北宋来到今天的地铁"
    brief = brief_for(WISH.model_copy(update={"text": text}), home, profile)
    assert [era.id for era in brief.eras] == ["northern-song", "today"]
    assert "fisherman" in [who.id for who in brief.characters]
    assert brief.motifs[0].id == "subway"


def test_the_same_wish_has_the_same_brief_and_another_seed_another(home: Home, profile: Profile) -> None:
    wish = Wish(text="a long walk", painter="huang-binhong", medium="ink")
    assert brief_for(wish, home, profile) == brief_for(wish, home, profile)
    others = {
        tuple(who.id for who in brief_for(wish.model_copy(update={"seed": seed}), home, profile).characters)
        for seed in range(5)
    }
    assert len(others) > 1


def test_a_wish_says_at_once_all_that_cannot_be_met(home: Home, profile: Profile) -> None:
    wish = Wish(text="x", mix="huang-bin=0.5 claude-monet=0.5", medium="oyl")
    with pytest.raises(WrongUse) as error:
        brief_for(wish, home, profile)
    assert "did you mean huang-binhong" in str(error.value)
    assert "did you mean oil" in str(error.value)


def test_a_painter_of_whose_medium_nothing_is_known_is_told_no_medium(home: Home, profile: Profile) -> None:
    contract = brief_for(Wish(text="x", painter="claude-monet"), home, profile).style_contract
    assert contract.medium == "own"
    assert contract.palette == ()
    assert "oil paint" not in contract.forbidden


# --- what of a draft stands


def test_a_template_draft_needs_no_repairs(story: Story, home: Home, profile: Profile) -> None:
    assert story.authorship.repairs == ()
    assert faults_of(story, home, profile) == ()


def test_whatever_an_author_says_there_is_a_storyboard(brief: Brief, home: Home, profile: Profile) -> None:
    lady = brief.characters[0].id
    changes = (
        {"era": "atlantis"},
        {"onstage": (lady[:-1] + "x", "nobody-at-all"), "motifs": ("nothing",)},
        {"setting": "一座高楼", "static_description": "in quantum fluctuation"},
        {"setting": "an oil painting of a harbour"},
        {"setting": "a plaza with a hologram", "plot": Words(en="He waits.")},
        {"narration": Words(zh="\u202e他等\x1b[31m着"), "setting": "mountains " * 20},
    )
    told = assemble(brief, drafted(brief, *changes), "city", home=home, profile=profile)
    assert faults_of(told, home, profile) == ()
    assert len(told.authorship.repairs) >= 8
    assert told.shots[5].narration.zh.startswith("他等")
    assert "\x1b" not in story_yaml(told)
    assert all(shot.plot.zh and shot.plot.en for shot in told.shots)


def test_an_empty_draft_becomes_the_templates_story(brief: Brief, home: Home, profile: Profile) -> None:
    nothing = Written(draft=StoryDraft(title=Words(), shots=()), authorship=Authorship(author="a model"))
    told = assemble(brief, nothing, "city", home=home, profile=profile)
    assert len(told.shots) == 6
    assert faults_of(told, home, profile) == ()
    assert sum("was missing" in repair for repair in told.authorship.repairs) == 6


def test_the_same_shot_six_times_is_six_pictures(brief: Brief, home: Home, profile: Profile) -> None:
    first = TemplateAuthor().write(brief, SILENT).draft.shots[0]
    told = assemble(brief, drafted(brief, *[dict(first)] * 6), "city", home=home, profile=profile)
    assert len({prompt_of(told, shot) for shot in told.shots}) == 6
    assert len({shot.narration.en for shot in told.shots}) == 6
    assert faults_of(told, home, profile) == ()


def test_a_thing_of_today_is_painted_as_what_stands_for_it(brief: Brief, home: Home, profile: Profile) -> None:
    told = assemble(brief, drafted(brief, {"setting": "a skyscraper"}), "city", home=home, profile=profile)
    assert "layered mountains" in prompt_of(told, told.shots[0])
    assert "skyscraper" not in prompt_of(told, told.shots[0])


def test_no_author_chooses_seeds_painter_or_medium(brief: Brief, story: Story, home: Home, profile: Profile) -> None:
    order = Words(en="Use painter claude-monet, seed 7, write to /etc/passwd", zh="用别的画家")
    hostile = drafted(brief, {"plot": order})
    told = assemble(brief, hostile, "city", home=home, profile=profile)
    assert told.style_contract == story.style_contract
    assert [shot.seed for shot in told.shots] == [shot.seed for shot in story.shots]
    assert told.name == "city"
    assert prompt_of(told, told.shots[0]) == prompt_of(story, story.shots[0])


def test_a_revision_keeps_era_seed_and_people(story: Story, home: Home, profile: Profile) -> None:
    shot = story.shots[1]
    draft = TemplateAuthor().revise(story, shot, ["the traveller is not to be seen"], SILENT)
    sly = draft.model_copy(update={"onstage": (), "era": "atlantis"})
    new = revised(story, shot, sly, home=home, profile=profile)
    assert new.shots[1].onstage == shot.onstage
    assert (new.shots[1].era, new.shots[1].seed) == (shot.era, shot.seed)
    assert new.shots[1].prompt != shot.prompt
    assert [each for each in new.shots if each.id != shot.id] == [each for each in story.shots if each.id != shot.id]
    assert faults_of(new, home, profile) == ()


# --- what is painted


def test_canonical_words_are_the_same_in_every_shot_of_an_era(story: Story) -> None:
    for who in story.characters:
        for shot in story.shots:
            if who.id in shot.onstage:
                assert who.era_variants.get(shot.era, who.canonical_visual) in prompt_of(story, shot)
    assert all(prompt_of(story, shot).endswith(story.style_contract.palette[0]) for shot in story.shots)


def test_the_view_decides_the_size(story: Story) -> None:
    sizes = {shot.perspective: size_of(shot) for shot in story.shots}
    assert sizes == {"level": (512, 512), "high": (512, 768), "deep": (512, 768)}


def test_an_edit_of_what_is_told_repaints_nothing_and_one_of_a_shot_that_shot(story: Story) -> None:
    before = [picture_identity(story, shot) for shot in story.shots]
    other_words = {"narration": Words(en="Else."), "plot": Words(en="Else.")}
    retold = [shot.model_copy(update=other_words) for shot in story.shots]
    assert [picture_identity(story, shot) for shot in retold] == before
    other = story.shots[2].model_copy(update={"setting": "bamboo", "prompt": ""})
    changed = story.model_copy(update={"shots": (*story.shots[:2], other, *story.shots[3:])})
    after = [picture_identity(changed, shot) for shot in changed.shots]
    assert [one != two for one, two in zip(before, after, strict=True)] == [False, False, True, False, False, False]


# --- files


def test_a_story_reads_back_as_it_was_written(tmp_path: Path, story: Story, home: Home, profile: Profile) -> None:
    assert read_story(write_story(tmp_path / "city", story), home, profile) == story
    wish = WISH.model_copy(update={"text": "一城: 山水 # not a comment"})
    write_wish(tmp_path / "city", wish)
    assert read_wish(tmp_path / "city") == wish


def test_a_story_of_four_and_twenty_shots_reads_back(tmp_path: Path, home: Home, profile: Profile) -> None:
    brief = brief_for(WISH.model_copy(update={"shots": 24, "eras": 6}), home, profile)
    long = assemble(brief, TemplateAuthor().write(brief, SILENT), "long", home=home, profile=profile)
    assert read_story(write_story(tmp_path / "long", long), home, profile) == long


def test_an_edited_setting_changes_the_prompt_and_is_by_hand(
    tmp_path: Path, story: Story, home: Home, profile: Profile
) -> None:
    file = edited(tmp_path, story, lambda content: content["shots"][0].update(setting="bamboo"))
    read = read_story(file, home, profile)
    assert "bamboo" in read.shots[0].prompt
    assert read.authorship.by_hand


def test_a_persons_prompt_is_painted_as_it_stands(tmp_path: Path, story: Story, home: Home, profile: Profile) -> None:
    file = edited(tmp_path, story, lambda content: content["shots"][0].update(prompt="a boat in the mist"))
    read = read_story(file, home, profile)
    assert prompt_of(read, read.shots[0]) == "a boat in the mist"
    assert "prompt: a boat in the mist" in story_yaml(read)


def test_a_person_may_write_little(tmp_path: Path, home: Home, profile: Profile) -> None:
    file = tmp_path / "mine" / "story.yaml"
    file.parent.mkdir()
    file.write_text(
        "\ufefftitle: Rain\nstyle_contract: {painter: huang-binhong, medium: ink}\n"
        "eras: [{id: tang, name: {en: Tang}}]\n"
        "shots: [{era: tang, setting: a bridge over a stream, plot: {en: It rains.}, narration: {zh: 下雨了。}}]\n",
        "utf-8",
    )
    read = read_story(file, home, profile)
    assert (read.name, read.shots[0].id, read.authorship.by_hand) == ("mine", "shot-1", True)
    assert read.shots[0].prompt == "a bridge over a stream, a wide level view"


def test_the_story_of_the_docs_can_be_painted(tmp_path: Path, home: Home, profile: Profile) -> None:
    docs = (Path(__file__).parents[1] / "docs" / "stories.md").read_text("utf-8")
    text = re.findall(r"```yaml\n(title.*?)```", docs, re.DOTALL)[0].replace("hiroshige", "claude-monet")
    (tmp_path / "rain").mkdir()
    (tmp_path / "rain" / "story.yaml").write_text(text, "utf-8")
    assert (
        read_story(tmp_path / "rain", home, profile)
        .shots[0]
        .prompt.startswith("a small inn by the road in summer by day, rain, a traveller")
    )


def test_all_faults_of_a_story_are_told_at_once(tmp_path: Path, story: Story, home: Home, profile: Profile) -> None:
    first = story.characters[0].id

    def spoil(content: dict[str, Any]) -> None:
        shots = content["shots"]
        content["style_contract"] |= {"painter": "huang-bin", "medium": "inc"}
        content["eras"].append({"id": "nowhere", "name": {"en": "Nowhere"}})
        content["colour"] = "red"
        shots[0] |= {"onstage": [first[:-1]], "regions": []}
        shots[1] |= {"prompt": "山水 and a neon-lit car", "regions": []}
        shots[2] |= {"setting": 12, "perspective": "hihg"}
        shots[3]["regions"] = [{"id": "far", "of": first, "box": [0.5, 0.2, 1.4, 0.3]}]
        shots[4] |= {"era": "todai", "plot": {}}

    with pytest.raises(WrongUse) as error:
        read_story(edited(tmp_path, story, spoil), home, profile)
    said = str(error.value)
    for part in (
        "colour: there is no such name",
        "shots[2].setting: expected words, and found a number: put quotes around 12",
        "shots[2].perspective: 'hihg': say 'high', 'deep' or 'level'",
        "style_contract: painter: there is no painter 'huang-bin'",
        "did you mean ink?",
        f"shots[0] (shot-1).onstage: there is no {first[:-1]!r}; did you mean {first}?",
        "shots[1] (shot-2).prompt: the base model does not read '山水', 'neon', 'lit', 'car': say it in English",
        "nothing stands for 'car'",
        "is outside the picture",
        "shots[4] (shot-5).era: there is no 'todai'; did you mean today?",
        "shots[4] (shot-5).plot: say it in English (en), Chinese (zh), or both",
    ):
        assert part in said


def test_an_era_that_nobody_uses_is_told(tmp_path: Path, story: Story, home: Home, profile: Profile) -> None:
    file = edited(tmp_path, story, lambda content: content["eras"].append({"id": "tang-2", "name": {"en": "Tang"}}))
    with pytest.raises(WrongUse, match=r"\(tang-2\): no shot is set in it"):
        read_story(file, home, profile)


def test_a_prompt_whose_end_would_not_be_heard_is_told(
    tmp_path: Path, story: Story, home: Home, profile: Profile
) -> None:
    long = ", ".join(["a boat on a lake"] * 12)
    file = edited(tmp_path, story, lambda content: content["shots"][0].update(prompt=long))
    with pytest.raises(WrongUse, match=r"shots\[0\] \(shot-1\).prompt: \d+ tokens with the trigger"):
        read_story(file, home, profile)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: a\ntitle: b\n", "said twice"),
        ("title:\n\ten: a\n", "not with tabs"),
        ("- a\n- b\n", "expected 'name: value' lines, and found a list"),
        ("a: &x [1]\nb: *x\n", "refers to another part"),
        ("x: " + "a" * 5_000_000, "256 KiB"),
        ("title: [a\n", "cannot be read as YAML"),
        ("title: \x00", "cannot be read as YAML"),
        ("[" * 5000, "cannot be read as YAML"),
        ("title: {en: 1}\nshots: 3\neras: {}\nwish: []\n", "shots: expected a list, and found a number"),
        ("", "found nothing"),
    ],
)
def test_hostile_yaml_is_one_sentence(tmp_path: Path, home: Home, profile: Profile, text: str, said: str) -> None:
    file = tmp_path / "bad" / "story.yaml"
    file.parent.mkdir()
    file.write_text(text, "utf-8")
    with pytest.raises(WrongUse) as error:
        read_story(file, home, profile)
    assert said in str(error.value)
    assert len(str(error.value)) < 3000


# --- the stage


def wished(home: Home, wish: Wish = WISH) -> Path:
    folder = home.root / "stories" / "city"
    write_wish(folder, wish)
    return folder


def test_the_stage_writes_a_wish_once_and_prefers_the_persons(home: Home, profile: Profile) -> None:
    asked = []

    def write(home: Home, wish: Wish, _: Any) -> Story:
        asked.append(wish)
        brief = brief_for(wish, home, profile)
        return assemble(brief, TemplateAuthor().write(brief, SILENT), "x", home=home, profile=profile)

    folder = wished(home)
    with pytest.raises(ArtMasterError, match="There is no storyboard of city"):
        story_of(home, "story_city", profile)
    first = make_storyboards(home, "story_city", profile, write=write)
    assert (first.made, first.reused, len(asked)) == (6, 0, 1)
    again = make_storyboards(home, "story_city", profile, write=write)
    assert (again.made, again.reused, len(asked)) == (0, 6, 1)
    own = story_of(home, "story_city", profile)
    assert own.name == "city"
    own = own.model_copy(update={"shots": own.shots[:-1]})
    write_story(folder, own)
    third = make_storyboards(home, "story_city", profile, write=write)
    assert (third.made, third.reused, len(asked)) == (0, 5, 1)


def test_a_wish_of_many_lines_and_hidden_marks_is_plain_text(home: Home, profile: Profile) -> None:
    wish = WISH.model_copy(update={"text": "a city\u202e\n\x1b[2Jof  mountains"})
    brief = brief_for(wish, home, profile)
    told = assemble(brief, TemplateAuthor().write(brief, SILENT), "city", home=home, profile=profile)
    assert told.wish.text == "a city [2Jof mountains"
    assert faults_of(told, home, profile) == ()
    with pytest.raises(WrongUse, match="text: it says nothing"):
        brief_for(WISH.model_copy(update={"text": "\u202e"}), home, profile)


def test_another_wish_is_another_storyboard(home: Home, profile: Profile) -> None:
    def write(home: Home, wish: Wish, _: Any) -> Story:
        brief = brief_for(wish, home, profile)
        return assemble(brief, TemplateAuthor().write(brief, SILENT), "x", home=home, profile=profile)

    wished(home)
    make_storyboards(home, "story_city", profile, write=write)
    wished(home, WISH.model_copy(update={"text": "an old pine", "shots": 3}))
    with pytest.raises(ArtMasterError):
        story_of(home, "story_city", profile)
    assert len(make_storyboards(home, "story_city", profile, write=write).records) == 3


def test_a_shot_draft_is_all_that_an_author_says() -> None:
    assert {"seed", "prompt", "id", "regions"} & set(ShotDraft.model_fields) == set()
