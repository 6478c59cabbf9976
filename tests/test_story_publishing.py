"""A story's book in the gallery: once it and its painters passed, answered for by shot, gone with a withdrawn work.

The pictures are small ones of `story_makers`; gates, book, signing, versions and taking down are the product's.
"""

from pathlib import Path
from typing import Any

import pytest
from mixed_painters import PROFILE, A, B, three_published
from small_archive import copied
from story_makers import CITY, STORY, add_story, decide_on_story, illustrate, key_of
from story_shots import a_story

from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, NotPublished
from artmaster_pipeline.evaluation.verdicts import last_verdict
from artmaster_pipeline.files import inside
from artmaster_pipeline.lineage import picture_lineage, verify
from artmaster_pipeline.publishing.publish import kept_versions
from artmaster_pipeline.records import MANIFEST, Sample, Verdict, read_manifest
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stories.book import publishing
from artmaster_pipeline.stories.book.publishing import publish_book
from artmaster_pipeline.stories.painting.hand import hand_of
from artmaster_pipeline.withdrawal import withdraw_artwork

MIX = {"mix": f"{A}=0.6 {B}=0.4"}
SHOTS = ("shot-1", "shot-2", "shot-3")
HOSTILE = "<script>alert(1)</script> \u202egnp"


@pytest.fixture(scope="module")
def painters(shared: Any) -> Home:
    """Three painters with published galleries; look, but do not write."""
    return Home(shared("three-published", lambda folder: three_published(Home(folder))))


@pytest.fixture
def home(painters: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of them in which a story by two of them was painted."""
    found = copied(painters, Home(tmp_path / "home"))
    story = a_story(mix=MIX["mix"], name=CITY, title={"en": HOSTILE, "zh": ""})
    add_story(found, hand=MIX, shots=SHOTS)
    monkeypatch.setattr(
        publishing, "hand_at_work", lambda home, *_, publishing: hand_of(home, story, publishing=publishing)
    )
    monkeypatch.setattr(publishing, "current_key", key_of)
    monkeypatch.setattr(publishing, "painted_story", lambda *_: story)
    monkeypatch.setattr(publishing, "choices_of", lambda *_: ())
    monkeypatch.setattr(publishing, "critiques_of", lambda *_: ())
    monkeypatch.setattr(publishing, "illustrated_of", painted_of)
    illustrate(found, STORY, PROFILE)
    return found


def painted_of(home: Home, partition: str, key: str) -> tuple[Sample, ...]:
    rows = read_manifest(home.evaluation(partition) / key / MANIFEST, Sample)
    return tuple(sorted(rows, key=lambda sample: sample.shot))


def passed(home: Home) -> Home:
    """The same after a person let it pass."""
    decide_on_story(home, STORY, "publish", "I looked at every picture", PROFILE)
    return home


def test_a_story_that_did_not_pass_makes_no_book(home: Home) -> None:
    with pytest.raises(NotPublished, match="To overrule: artmaster gate story_city --publish"):
        publish_book(home, STORY, PROFILE)
    assert not home.gallery(STORY).exists()


def test_a_story_that_was_not_painted_makes_no_book(home: Home) -> None:
    key = key_of(home, STORY, PROFILE)
    (home.evaluation(STORY) / key / "verdicts.jsonl").unlink()
    with pytest.raises(ArtMasterError, match="--until illustrated_stories"):
        publish_book(home, STORY, PROFILE)


def test_a_book_is_whole_kept_by_version_and_answered_for_by_shot(home: Home) -> None:
    done = publish_book(passed(home), STORY, PROFILE)
    site = home.gallery(STORY)
    assert [row.shot for row in sorted(done.records, key=lambda row: row.shot)] == list(SHOTS)
    assert {"index.html", "index.zh.html", "book.pdf", "storyboard.json", "provenance.json"} <= {
        file.name for file in site.iterdir()
    }
    pages = "".join(file.read_text("utf-8") for file in site.glob("*.html"))
    assert "<script>alert" not in pages and "\u202e" not in pages
    assert len(kept_versions(home, STORY)) == 1
    adapters = {current_adapter(home, painter).id for painter in (A, B)}
    for row in done.records:
        assert set(row.adapter_ids) == adapters
        found = picture_lineage(home, inside(site, row.path))
        assert found.picture is not None and (found.picture.story, found.picture.shot) == (CITY, row.shot)
        assert {of.scan.path for of in found.artworks} and {state.painter for state in found.adapters} == {A, B}
    assert [str(finding) for finding in verify(home).findings if STORY in finding.file] == []
    assert publish_book(home, STORY, PROFILE).made == 0  # what is there is not enlarged again
    assert len(kept_versions(home, STORY)) == 1


def test_a_painter_who_is_not_published_keeps_the_book_back(home: Home) -> None:
    passed(home)
    adapter = current_adapter(home, B)
    unfit = Verdict(adapter_id=adapter.id, publish=False, by="person", reasons=("The estate said no",), figures={})
    file = home.evaluation(B) / adapter.id / "verdict.json"
    file.unlink()
    file.write_text(unfit.model_dump_json(), encoding="utf-8")
    with pytest.raises(NotPublished, match="The estate said no"):
        publish_book(home, STORY, PROFILE)
    assert last_verdict(home.evaluation(STORY) / key_of(home, STORY, PROFILE)).publish


def test_a_withdrawn_work_of_either_painter_takes_the_book_down(home: Home) -> None:
    publish_book(passed(home), STORY, PROFILE)
    work = current_adapter(home, B).scan_sha256s[0]
    withdraw_artwork(home, work, "The heirs asked for it", now=True)
    assert not (home.gallery(STORY) / "index.html").exists()
    assert not (home.gallery(STORY) / "book.pdf").exists()
    with pytest.raises(HoldsWithdrawn):
        publish_book(home, STORY, PROFILE)
    assert not (home.gallery(STORY) / "index.html").exists()
