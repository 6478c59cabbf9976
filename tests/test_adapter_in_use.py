"""The gate decides: until it lets a newer adapter through, the published one is drawn with, exported and shown."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from small_archive import (
    PAINTER,
    add_adapter,
    copied,
    evaluated,
    judged,
    quick_drawing,
    small_profile,
)

from artmaster_pipeline.adapters import current_adapter, read_snapshot
from artmaster_pipeline.adapters.in_use import adapter_in_use
from artmaster_pipeline.errors import NotPublished
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.generation import generate
from artmaster_pipeline.orchestration.checks import from_the_newest_passed_adapter
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing.publish import publish_gallery, put_back
from artmaster_pipeline.publishing.versions import SiteVersions
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawal import withdraw_artwork


@pytest.fixture
def archive(published_archive: Home, home: Home) -> Home:
    """A published painter, in a home of its own."""
    return copied(published_archive, home)


def champion_of(home: Home) -> Adapter:
    adapter = current_adapter(home, PAINTER)
    assert adapter is not None
    return adapter


def challenged(home: Home, **said: Any) -> Adapter:
    """A newer adapter, of the same base where nothing else is said."""
    champion = champion_of(home)
    snapshot = read_snapshot(home, champion)
    return add_adapter(
        home, snapshot.scans, snapshot.training_images, seed=9, **({"base_revision": champion.base_revision} | said)
    )


def checked(home: Home) -> tuple[bool, str]:
    result = from_the_newest_passed_adapter(dg.build_op_context(partition_key=PAINTER), DataHome(root=str(home.root)))
    assert isinstance(result, dg.AssetCheckResult)
    return bool(result.passed), str(result.description)


def test_a_refused_adapter_changes_neither_the_gallery_nor_what_is_drawn_with(
    archive: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_drawing(monkeypatch)
    champion, page = champion_of(archive), archive.gallery(PAINTER) / "index.html"
    before = sha256_of(page)
    drawn = generate(archive, PAINTER, small_profile(), "mist", out=tmp_path)
    challenger = challenged(archive)
    said: list[str] = []
    assert adapter_in_use(archive, PAINTER)[0] == champion  # before anybody has judged it, too
    evaluated(archive)
    judged(archive, publish=False, reasons=("Tone: not clearly nearer.",))
    with pytest.raises(NotPublished, match="What is published stays as it is"):
        publish_gallery(archive, PAINTER, small_profile())
    assert sha256_of(page) == before
    assert generate(archive, PAINTER, small_profile(), "mist", out=tmp_path, progress=Progress(said.append)) == drawn
    assert f"The newer adapter {challenger.id} of {PAINTER} is not published" in said[0]
    assert f"--adapter {challenger.id}" in said[0]
    assert adapter_in_use(archive, PAINTER, adapter_id=challenger.id) == (challenger, "")
    passed, why = checked(archive)
    assert passed
    assert why == (
        f"The newest adapter {challenger.id} did not pass, so the gallery of {champion.id}, which passed, stays."
    )


def test_an_adapter_that_passes_takes_the_place_when_its_gallery_does(archive: Home) -> None:
    champion = champion_of(archive)
    assert checked(archive) == (True, f"The gallery is that of the newest adapter {champion.id}, which passed.")
    challenger = challenged(archive)
    assert checked(archive)[0]
    assert "was not judged yet" in checked(archive)[1]
    evaluated(archive)
    passed, why = checked(archive)
    assert not passed
    assert f"The newest adapter {challenger.id} passed, but the gallery is that of {champion.id}" in why
    publish_gallery(archive, PAINTER, small_profile())
    assert adapter_in_use(archive, PAINTER) == (challenger, "")
    assert checked(archive)[0]
    first = next(v for v in SiteVersions(archive.root / "gallery", PAINTER).versions() if v.adapter_id == champion.id)
    put_back(archive, PAINTER, first.id)
    assert adapter_in_use(archive, PAINTER)[0] == champion
    assert not checked(archive)[0]


def test_a_published_adapter_that_may_or_can_not_draw_stands_in_nobody_s_way(archive: Home) -> None:
    champion = champion_of(archive)
    assert adapter_in_use(archive, PAINTER) == (champion, "")
    challenger = challenged(archive, base_revision="another")
    assert adapter_in_use(archive, PAINTER) == (challenger, "")
    snapshot = read_snapshot(archive, champion)
    images = tuple(i for i in snapshot.training_images if i.scan_sha256 != champion.scan_sha256s[0])
    same_base = add_adapter(archive, snapshot.scans, images, seed=10, base_revision=champion.base_revision)
    assert adapter_in_use(archive, PAINTER)[0] == champion
    withdraw_artwork(archive, champion.scan_sha256s[0], "The lender withdrew it")
    assert adapter_in_use(archive, PAINTER) == (same_base, "")


def test_a_painter_without_a_gallery_draws_with_the_newest(archive: Home) -> None:
    challenger = challenged(archive)
    (archive.gallery(PAINTER) / "manifest.jsonl").unlink()
    assert adapter_in_use(archive, PAINTER) == (challenger, "")
    passed, why = checked(archive)
    assert (passed, why) == (False, "No gallery of an adapter that is here is in place.")
