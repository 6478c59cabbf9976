"""Stories in the house: whose they are, planned, versioned, judged, answered for, renamed with, and taken down."""

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import story_makers
import yaml
from mixed_painters import PROFILE, A, B, C, three_published
from sharing import unlinked
from small_archive import copied
from story_makers import CITY, HAND, SHOTS, STORY, add_story, decide_on_story, lend, story_text
from typer.testing import CliRunner

from artmaster_pipeline import canvases, stages, story_folders, versioning
from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.cli.app import app
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, WrongUse
from artmaster_pipeline.gallery.gates import gates_said
from artmaster_pipeline.lineage import artwork_lineage, picture_lineage, verify
from artmaster_pipeline.lineage.words import artwork_tables, picture_facts
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.orchestration.automation import new_of
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import open_instance
from artmaster_pipeline.orchestration.painters import remove_painter, rename_painter
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.orchestration.run import run_painter
from artmaster_pipeline.publishing.publish import kept_versions, published_version
from artmaster_pipeline.publishing.taking_down import painters_behind, sets_with
from artmaster_pipeline.publishing.targets import copy_gallery
from artmaster_pipeline.publishing.verify import verify_picture
from artmaster_pipeline.records import Sample
from artmaster_pipeline.settings import Home, default_painter, load_painter, save_painter
from artmaster_pipeline.stage_settings import partition_profile, settings_of
from artmaster_pipeline.stages import Step, check_partition, inputs_of, kind_of, stage_named, steps_towards
from artmaster_pipeline.story_folders import painters_named, rename_hand, stories_in, what_is_said
from artmaster_pipeline.withdrawal import impact_of, withdraw_artwork

MIX = {"mix": f"composition={A} colour={B}:0.7+{C}:0.3 brush={C}"}


@pytest.fixture
def city(home: Home) -> Home:
    """Three painters and a story in the hand of the first; no pictures."""
    for painter in (A, B, C):
        home.scans(painter).mkdir(parents=True)
        save_painter(home, painter, default_painter(painter))
    add_story(home)
    return home


@pytest.fixture(scope="module")
def painters(shared: Any) -> Home:
    """Three painters with published galleries; look, but do not write."""
    return Home(shared("three-published", lambda folder: three_published(Home(folder))))


@pytest.fixture(scope="module")
def site(shared: Any, painters: Home) -> Home:
    """The same after a story in the first painter's hand was painted and its book published; look, but do not write."""

    def make(folder: Path) -> None:
        folder.rmdir()  # which the copy makes
        home = copied(painters, Home(folder))
        add_story(home)
        story_makers.make_storyboards(home, STORY, PROFILE)
        story_makers.illustrate(home, STORY, PROFILE)
        decide_on_story(home, STORY, "publish", "A person read it", PROFILE)
        story_makers.publish_book(home, STORY, PROFILE)

    return Home(shared("story-published", make))


# What a story is, and whose


def test_a_partition_says_by_its_name_that_it_is_a_story() -> None:
    assert stages.story_of(CITY) == STORY
    assert (kind_of(STORY), kind_of("story"), kind_of("story-city"), kind_of("story-city--b")) == (
        *("story", "painter"),
        *("painter", "painters"),
    )
    assert stages.story_named(STORY) == stages.source_named(STORY) == CITY
    assert stages.in_words(STORY) == "the story city"
    assert check_partition(STORY) == STORY
    for wrong in ("story_", "story_A", "story_../x", "story_a--b", "story_story_a"):
        with pytest.raises(WrongUse):
            check_partition(wrong)
    with pytest.raises(WrongUse, match="is no story: write story_NAME, the name of its folder in stories/"):
        stages.story_named("canvas_city")
    with pytest.raises(ValueError, match="ask the data home"):
        stages.members(STORY)


def test_a_story_named_like_a_canvas_is_another_partition(city: Home) -> None:
    canvas = city.canvas(CITY)
    canvas.mkdir(parents=True)
    (canvas / "canvas.yaml").write_text(f"ground: {{painter: {B}}}\n", encoding="utf-8")
    assert city.filed() == ("canvas_city", STORY)
    assert (city.canvases(), city.stories()) == (("canvas_city",), (STORY,))
    assert (city.members("canvas_city"), city.members(STORY)) == ((B,), (A,))
    assert city.gallery("canvas_city") != city.gallery(STORY)
    with working_on(city, "canvas_city"), working_on(city, STORY):
        pass
    versioning.prepare(city, "canvas_city")
    versioning.prepare(city, STORY)
    listed = yaml.safe_load((city.root / "painters.yaml").read_text(encoding="utf-8"))
    assert listed == {"painters": [A, B], "canvases": ["canvas_city"], "stories": [STORY]}


def test_a_painter_may_be_called_story_city_beside_the_story_city(city: Home) -> None:
    city.scans("story-city").mkdir()
    save_painter(city, "story-city", default_painter("story-city"))
    assert city.members("story-city") == ("story-city",)
    assert city.members(STORY) == (A,)
    assert "story-city" in city.painters()
    assert {step.partition for step in steps_towards("story-city", home=city)} == {"story-city"}


def test_a_story_is_a_folder_with_a_wish_a_storyboard_or_both(tmp_path: Path) -> None:
    for name in ("wished", "told", "both", "neither", "Not A Slug"):
        (tmp_path / name).mkdir()
    for name in ("wished", "both", "Not A Slug"):
        (tmp_path / name / "wish.yaml").write_text(f"text: a city\npainter: {A}\n", encoding="utf-8")
    for name in ("told", "both"):
        (tmp_path / name / "story.yaml").write_text(story_text({"painter": B}), encoding="utf-8")
    assert stories_in(tmp_path) == ("both", "told", "wished")
    assert stories_in(tmp_path / "nowhere") == ()
    with pytest.raises(WrongUse, match=r"neither story\.yaml nor wish\.yaml"):
        painters_named(tmp_path / "neither")
    assert [painters_named(tmp_path / name) for name in ("wished", "told", "both")] == [(A,), (B,), (B,)]
    assert [list(what_is_said(tmp_path / name)) for name in ("wished", "told", "both")] == [
        *(["wish.yaml"], ["story.yaml"], ["story.yaml"]),
    ]


def test_a_mix_names_its_painters(city: Home) -> None:
    add_story(city, hand=MIX)
    assert city.members(STORY) == (A, B, C)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("style_contract: [", "cannot be read"),
        ("- a list\n", "'name: value' lines"),
        ("title: &t [1]\nplot: *t\n", "write out what is meant"),
        ("title: A\ntitle: B\n", "said twice"),
        ("style_contract: {medium: ink}\n", "names no painter"),
        (f"style_contract: {{painter: {A}}}\nplot: {'x' * 300_000}\n", "256 KiB"),
    ],
)
def test_a_broken_storyboard_is_never_passed_over_for_the_wish(city: Home, text: str, why: str) -> None:
    folder = city.story(CITY)
    (folder / "wish.yaml").write_text(f"text: a city\npainter: {B}\n", encoding="utf-8")
    (folder / "story.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(WrongUse, match=why):
        city.members(STORY)


def test_a_broken_storyboard_stands_in_no_other_partitions_way(city: Home) -> None:
    versioning.prepare(city, STORY)
    (city.story(CITY) / "wish.yaml").write_text(f"text: a city\npainter: {A}\n", encoding="utf-8")
    (city.story(CITY) / "story.yaml").write_text("style_contract: [", encoding="utf-8")
    add_story(city, "other", {"painter": B})
    for partition in (A, B, "story_other"):
        versioning.prepare(city, partition)
    with working_on(city, A), working_on(city, STORY):  # its site can be taken down
        pass
    stages_ = yaml.safe_load((city.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert "storyboards--story_other" in stages_
    assert f"storyboards--{STORY}" not in stages_
    assert STORY in yaml.safe_load((city.root / "painters.yaml").read_text(encoding="utf-8"))["stories"]
    with pytest.raises(WrongUse, match=r"story\.yaml cannot be read"):
        versioning.prepare(city, STORY)
    add_story(city)
    versioning.prepare(city, A)
    stages_ = yaml.safe_load((city.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert f"storyboards--{STORY}" in stages_


def test_a_story_whose_painter_was_removed_says_who_is_missing(city: Home) -> None:
    versioning.prepare(city, STORY)
    shutil.rmtree(city.scans(A))
    with pytest.raises(WrongUse, match=f"no painter '{A}'"):
        run_painter(city, STORY)
    versioning.prepare(city, B)
    assert "stories" not in yaml.safe_load((city.root / "painters.yaml").read_text(encoding="utf-8"))


# Its stages


def test_the_stages_of_a_story_read_those_of_its_painters(city: Home) -> None:
    add_story(city, hand=MIX)
    assert {str(step) for step in inputs_of(Step("storyboards", STORY), city)} == {
        f"training_set of {painter}" for painter in (A, B, C)
    }
    assert not any(step.stage == "sample_gallery" for step in steps_towards(STORY, "illustrated_stories", city))
    read = inputs_of(Step("story_books", STORY), city)
    assert {Step("storyboards", STORY), Step("illustrated_stories", STORY), Step("raw_scans", C)} <= set(read)
    steps = steps_towards(STORY, home=city)
    assert steps[-1] == Step("story_books", STORY)
    assert Step("sample_gallery", B) in steps
    with pytest.raises(WrongUse, match="it is one of stories"):
        steps_towards(A, "story_books", city)
    assert stages.judging_stage(STORY) == "illustrated_stories"
    assert stages.publishing_stage(STORY) == "story_books"


def test_a_storys_settings_hold_those_of_its_painters(city: Home) -> None:
    add_story(city, hand=MIX)
    asked = settings_of(city, STORY, stage_named("illustrated_stories"))
    assert set(asked["painter"]) == {A, B, C}
    assert asked["profile"]["stories"]["candidates"] > 0
    nobody = dict.fromkeys((A, B, C), "")
    assert asked["asked"] == {"known": {}, "published": nobody}  # which a publication changes
    save_painter(city, B, load_painter(city, B).model_copy(update={"profile": "flux-dev"}))
    with pytest.raises(WrongUse, match="Painters of one story need one profile"):
        partition_profile(city, STORY)


def test_dvc_names_the_stages_of_a_story_with_its_folder_and_its_painters(city: Home) -> None:
    versioning.prepare(city, STORY)
    written = yaml.safe_load((city.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in ("storyboards", "illustrated_stories", "story_books"):
        assert "stories/city" in written[f"{stage}--{STORY}"]["deps"]  # what is told, a book alone shows
    painted = written[f"illustrated_stories--{STORY}"]
    assert painted["cmd"].startswith(f"artmaster run {STORY} --only illustrated_stories")
    assert {f"adapters/{A}", f"storyboards/{STORY}"} <= set(painted["deps"])
    assert f"adapters/{B}" not in painted["deps"]
    assert painted["outs"] == [{f"illustrated_stories/{STORY}": {"persist": True}}]
    assert "stories/city" in written[f"settings--{STORY}"]["deps"]


def test_a_story_asks_for_a_run_once_it_is_written_and_again_when_it_is_edited(city: Home) -> None:
    cursor = None
    resources = {"data_home": DataHome(root=str(city.root))}

    def tick() -> list[str]:
        nonlocal cursor
        with (
            open_instance(city) as instance,
            dg.build_sensor_context(
                instance=instance, resources=resources, definitions=build_defs(), cursor=cursor
            ) as context,
        ):
            result = new_of("story")(context)
            cursor = result.cursor
            return [str(request.partition_key) for request in result.run_requests or ()]

    assert tick() == []  # somebody may be writing it
    assert (tick(), tick()) == ([STORY], [])
    file = city.story(CITY) / "story.yaml"
    file.write_text(f"# a comment\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
    assert (tick(), tick()) == ([], [])
    add_story(city, shots=("shot-1",))
    (city.story("wished")).mkdir()
    (city.story("wished") / "wish.yaml").write_text(f"text: a city\npainter: {B}\n", encoding="utf-8")
    assert (tick(), tick(), tick()) == ([], [STORY, "story_wished"], [])
    (city.story("wished") / "wish.yaml").write_text("text: [", encoding="utf-8")
    assert (tick(), tick()) == ([], [])


# A painter's other name


def test_a_painter_is_named_anew_in_wish_and_story_and_nowhere_else(city: Home) -> None:
    folder = city.story(CITY)
    (folder / "wish.yaml").write_text(f"# of {A}\ntext: a city by {A}\npainter: '{A}'  # {A}\n", encoding="utf-8")
    before = (folder / "story.yaml").read_text(encoding="utf-8")
    assert rename_hand(folder, A, "z-painter")
    said = (folder / "wish.yaml").read_text(encoding="utf-8")
    assert said == f"# of {A}\ntext: a city by {A}\npainter: 'z-painter'  # {A}\n"
    after = (folder / "story.yaml").read_text(encoding="utf-8")
    assert after == before.replace(f"painter: {A}", "painter: z-painter")
    assert f"a city by {A}" in after


def test_a_mix_over_several_lines_is_renamed_within(city: Home) -> None:
    folder = city.story(CITY)
    text = f"style_contract:\n  mix: >-\n    {A}=0.5\n    {B}=0.5  \nplot: 'mix: {A}=1'\n"
    (folder / "story.yaml").write_text(text, encoding="utf-8")
    assert rename_hand(folder, A, "z-painter")
    assert (folder / "story.yaml").read_text(encoding="utf-8") == text.replace(f"    {A}=0.5", "    z-painter=0.5")


def test_a_file_that_cannot_be_read_is_left_as_it_is_and_the_other_renamed(city: Home) -> None:
    folder = city.story(CITY)
    (folder / "wish.yaml").write_text("painter: [", encoding="utf-8")
    assert not rename_hand(folder, A, "z-painter")
    assert (folder / "wish.yaml").read_text(encoding="utf-8") == "painter: ["
    assert city.members(STORY) == ("z-painter",)


def test_a_story_and_a_canvas_are_read_by_the_same_rules(tmp_path: Path) -> None:
    for module, name in ((canvases, "canvas.yaml"), (story_folders, "story.yaml")):
        (tmp_path / name).write_text("a: &x 1\nb: *x\n", encoding="utf-8")
        with pytest.raises(WrongUse, match="refers to another part of itself"):
            module.painters_named(tmp_path)


# Its pictures' records


def test_a_picture_of_a_story_names_it_and_other_records_keep_their_bytes() -> None:
    plain: dict[str, Any] = {
        **{"id": "0" * 16, "painter": A, "column": "adapter", "base_model": "m", "base_revision": "r"},
        **{"prompt": "a city", "seed": 1, "width": 8, "height": 8, "num_inference_steps": 1, "guidance_scale": 1.0},
        **{"path": "p.png", "sha256": "0" * 64},
    }
    assert not {"story", "shot"} & set(Sample(**plain).model_dump())
    told = Sample(**plain, story=CITY, shot="shot-2")
    assert gates_said(told) == {"story": CITY, "shot": "shot-2"}
    assert gates_said(told.model_copy(update={"gates": {"gate": "fixed"}}))["gates"] == {"gate": "fixed"}


# Run, judged, published


def test_dagster_makes_the_stages_of_a_story_and_dvc_names_them(
    painters: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(painters, Home(tmp_path / "home"))
    lend(monkeypatch)
    add_story(home)
    for stage in ("storyboards", "illustrated_stories"):
        assert run_painter(home, STORY, only=stage).made == (stage,)
    with pytest.raises(ArtMasterError, match="a person has to decide"):
        run_painter(home, STORY, only="story_books")
    runner = CliRunner()
    assert runner.invoke(app, ["gate", STORY, "--home", str(home.root)]).exit_code == 0
    args = ["gate", STORY, "--publish", "--reason", "I read it", "--home", str(home.root), "--json"]
    assert json.loads(runner.invoke(app, args).stdout)["publish"]
    assert versioning.stale_stages(home, STORY) == ("story_books",)
    assert run_painter(home, STORY, only="story_books").made == ("story_books",)
    assert versioning.stale_stages(home, STORY) == ()
    assert (home.gallery(STORY) / "book.pdf").is_file()
    add_story(home, shots=SHOTS[:2])
    assert versioning.stale_stages(home, STORY) == ("storyboards", "illustrated_stories", "story_books")
    add_story(home)
    assert versioning.stale_stages(home, STORY) == ()


# Answered for


def test_a_books_picture_leads_to_story_shot_adapters_and_works(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    adapter = current_adapter(home, A)
    assert adapter is not None
    for picture in sorted((home.gallery(STORY) / "pictures").glob("*.png")):
        answer = picture_lineage(home, picture)
        facts = dict(picture_facts(answer))
        assert answer.picture is not None
        assert (answer.picture.story, answer.picture.shot) == (CITY, facts["Shot"])
        assert facts["Story"] == CITY
        assert [state.adapter_id for state in answer.adapters] == [adapter.id]
        assert {of.scan.sha256 for of in answer.artworks} == set(adapter.scan_sha256s)
        assert answer.is_answered
        assert verify_picture(picture, home).says["shot"] == facts["Shot"]
    tables = dict(artwork_tables(artwork_lineage(home, adapter.scan_sha256s[0])))
    shots = {row.get("story, shot") for row in tables["Published pictures"]}
    assert {f"{CITY}, {shot}" for shot in SHOTS} <= shots
    said = json.loads((home.gallery(STORY) / "provenance.json").read_text(encoding="utf-8"))["pictures"]
    assert {of["shot"] for of in said.values()} == set(SHOTS)
    assert all(of["scans"] == sorted(adapter.scan_sha256s) for of in said.values())
    page = (home.root / "gallery" / "index.html").read_text(encoding="utf-8")
    assert f"{STORY}/index.html" in page
    assert f"{CITY} ({load_painter(home, A).name})" in page


def test_verify_knows_the_files_of_a_story_and_finds_what_was_changed(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    whole = verify(home)
    before = {finding.file for finding in whole.findings}
    assert not any(STORY in file for file in before)
    assert whole.checked["illustrated_stories"] > 3
    (picture, *_) = sorted((home.evaluation(STORY)).glob("*/samples/*.png"))
    unlinked(picture).write_bytes(picture.read_bytes()[:-1])
    book = unlinked(home.gallery(STORY) / "book.pdf")
    book.write_bytes(b"%PDF-1.7 another")
    (home.stage_folder("storyboards", STORY) / "stray.yaml").write_bytes(b"x")
    found = {finding.file for finding in verify(home).findings} - before
    stray = f"storyboards/{STORY}/stray.yaml"
    assert found == {picture.relative_to(home.root).as_posix(), f"gallery/{STORY}/book.pdf", stray}


# Withdrawn


def test_a_withdrawn_work_of_its_painter_takes_the_book_down(
    site: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(site, Home(tmp_path / "home"))
    copy_gallery(home, STORY, str(tmp_path / "elsewhere"))
    adapter = current_adapter(home, A)
    assert adapter is not None
    work = adapter.scan_sha256s[0]
    impact = impact_of(home, work)
    assert [(of.story, of.shots, of.pictures) for of in impact.stories] == [(CITY, SHOTS, 3)]
    assert STORY in {gallery.painter for gallery in impact.galleries}
    report, page = withdraw_artwork(home, work, "The owner asks for it", now=True)
    assert not home.gallery(STORY).exists()
    for left in ("index.html", "book.pdf"):
        assert not (tmp_path / "elsewhere" / STORY / left).exists()
        assert not list((home.root / "gallery" / ".versions" / STORY).rglob(left))
    assert not any(STORY in said for said in report.still_published)
    assert f"<td>{CITY}</td><td>shot-1, shot-2, shot-10</td><td>3</td>" in page.read_text(encoding="utf-8")
    assert f"{STORY}/index.html" not in (home.root / "gallery" / "index.html").read_text(encoding="utf-8")
    for make in (story_makers.illustrate, story_makers.publish_book):
        with pytest.raises(HoldsWithdrawn, match="The owner asks for it"):
            make(home, STORY, PROFILE)


def test_a_work_of_another_painter_leaves_the_book_in_place(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    adapter = current_adapter(home, B)
    assert adapter is not None
    assert impact_of(home, adapter.scan_sha256s[0]).stories == ()
    withdraw_artwork(home, adapter.scan_sha256s[0], "The owner asks for it", now=True)
    assert (home.gallery(STORY) / "book.pdf").is_file()


def test_whom_the_story_names_by_now_does_not_hide_what_is_published(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    add_story(home, hand={"painter": B})
    assert (home.members(STORY), painters_behind(home, STORY)) == ((B,), (A,))
    assert STORY in sets_with(home, A)
    shutil.rmtree(home.story(CITY))
    adapter = current_adapter(home, A)
    assert adapter is not None
    withdraw_artwork(home, adapter.scan_sha256s[0], "No longer free", now=True)
    assert not home.gallery(STORY).exists()


def test_a_painter_who_is_renamed_stays_the_storys(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    rename_painter(home, A, "z-painter")
    assert home.members(STORY) == ("z-painter",)
    assert published_version(home, STORY).painter == STORY
    (picture, *_) = sorted((home.gallery(STORY) / "pictures").glob("*.png"))
    assert {state.painter for state in picture_lineage(home, picture).adapters} == {"z-painter"}
    assert not any(STORY in finding.file for finding in verify(home).findings)
    assert story_makers.illustrate(home, STORY, PROFILE).made == 0  # nothing is painted again


def test_a_painter_who_is_removed_leaves_the_book_published_and_answered_for(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    versioning.prepare(home, STORY)
    remove_painter(home, A)
    assert len(kept_versions(home, STORY)) == 1
    (picture, *_) = sorted((home.gallery(STORY) / "pictures").glob("*.png"))
    assert picture_lineage(home, picture).artworks
    assert "stories" not in yaml.safe_load((home.root / "painters.yaml").read_text(encoding="utf-8"))
    assert home.members(STORY) == tuple(HAND.values())  # the file stays as a person wrote it
