"""What DVC keeps of a withdrawn work: no checkout brings it back, a purge leaves nothing, a restoration uses it."""

import shutil
from pathlib import Path

import pytest
import yaml
from forked import DVC, dvc, run
from published_gallery import published
from small_archive import PAINTER

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import HoldsWithdrawn
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.lineage import verify
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.records import MANIFEST, Adapter, Scan, TrainingImage, read_manifest
from artmaster_pipeline.settings import Home, load_profile
from artmaster_pipeline.stages import STAGES
from artmaster_pipeline.withdrawal import restore_artwork, withdraw_artwork

REASON = "The heirs asked for it"


def told(home: Home) -> set[tuple[str, str]]:
    """What verify finds, and in which file; not that the small archive has no crops, and weights that are a stub."""
    stubs = ("training_set/some-painter/manifest.jsonl", "lineage.json", "adapter.safetensors")
    found = {(finding.what, finding.file) for finding in verify(home).findings}
    return {(what, file) for what, file in found if what not in ("names nothing", "edited") or not file.endswith(stubs)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A published painter whose stages are committed, and pushed to a remote that is a folder beside the home."""
    folder = tmp_path_factory.mktemp("built")
    home = Home(folder / "home")
    published(home, rows=12, works=6, held_out=2)
    crops = home.crops(PAINTER) / MANIFEST
    crops.parent.mkdir(parents=True)
    crops.write_text("")
    for stage in STAGES:
        versioning.commit_stage(home, stage, PAINTER)
    dvc(home.root, "remote", "add", "--local", "-d", "away", str(folder / "away"))
    dvc(home.root, "push")
    return home


@pytest.fixture
def archive(built: Home, tmp_path: Path) -> Home:
    """A copy of home and remote, free to be changed."""
    shutil.copytree(built.root.parent, tmp_path / "all")
    home = Home(tmp_path / "all" / "home")
    dvc(home.root, "remote", "modify", "--local", "away", "url", str(tmp_path / "all" / "away"))
    return home


def trained_on(home: Home) -> str:
    return read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)[0].scan_sha256s[0]


def scan_of(home: Home, sha256: str) -> Scan:
    return next(s for s in read_manifest(home.register(PAINTER) / MANIFEST, Scan) if s.sha256 == sha256)


def hashes_of_work(home: Home, sha256: str) -> set[str]:
    """The scan, its thumbnail and its training pictures by sha256."""
    images = read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)
    thumbnail = home.register(PAINTER) / "thumbnails" / f"{sha256[:16]}.jpg"
    return {sha256, sha256_of(thumbnail), *(image.sha256 for image in images if image.scan_sha256 == sha256)}


def kept(folder: Path) -> set[str]:
    return {sha256_of(file) for file in folder.rglob("*") if file.is_file()}


def checked_out(home: Home) -> None:
    """Let DVC bring back all that it can; it says which output it has nothing of: the gallery that was taken down."""
    done = run(DVC, "dvc", "checkout", "--force", cwd=home.root)
    said = done.stderr.partition("failed for following targets:")[2].partition("Is your")[0].split()
    assert said == [f"gallery/{PAINTER}"]


def cache_of(home: Home) -> Path:
    return home.root / ".dvc" / "cache"


def test_no_checkout_brings_the_work_back(archive: Home) -> None:
    sha256 = trained_on(archive)
    before = hashes_of_work(archive, sha256)
    report, _ = withdraw_artwork(archive, sha256, REASON)
    assert "DVC's cache has" in report.in_dvc
    with pytest.raises(HoldsWithdrawn):
        publish_gallery(archive, PAINTER, load_profile("miniature"))
    checked_out(archive)
    there = {sha256_of(file) for file in archive.root.rglob("*") if file.is_file() and ".dvc" not in file.parts}
    assert there.isdisjoint(before)
    assert not archive.gallery(PAINTER).exists()
    named = yaml.safe_load((archive.root / "dvc.lock").read_text())["stages"]
    assert f"sample_gallery@{PAINTER}" not in named
    assert f"raw_scans@{PAINTER}" in named


def test_a_purge_takes_the_bytes_out_of_cache_and_remote_and_leaves_the_others(archive: Home) -> None:
    sha256 = trained_on(archive)
    before, away = hashes_of_work(archive, sha256), archive.root.parent / "away"
    others = kept(cache_of(archive)) - before
    assert before <= kept(cache_of(archive))
    assert before <= kept(away)
    report, _ = withdraw_artwork(archive, sha256, REASON, purge=True)
    assert report.is_complete
    assert report.purged
    assert before.isdisjoint(kept(cache_of(archive)))
    assert before.isdisjoint(kept(away))
    assert len(others - kept(cache_of(archive))) <= 8  # details and the grid that showed it in the evaluation
    assert told(archive) == set()
    checked_out(archive)  # everything else is whole
    assert told(archive) == set()
    dvc(archive.root, "push")
    restored = restore_artwork(archive, sha256)
    assert restored.missing == (sha256,)


def test_a_purge_may_follow_later_even_where_nothing_was_written_down(archive: Home) -> None:
    sha256 = trained_on(archive)
    before = hashes_of_work(archive, sha256)
    withdraw_artwork(archive, sha256, REASON)
    shutil.rmtree(archive.cache)
    report, _ = withdraw_artwork(archive, sha256[:12], "", purge=True)
    assert report.purged
    assert before.isdisjoint(kept(cache_of(archive)))


def test_a_remote_that_cannot_be_reached_is_named(archive: Home) -> None:
    away = archive.root.parent / "away"
    shutil.rmtree(away)
    away.write_text("no folder any more")
    report, _ = withdraw_artwork(archive, trained_on(archive), REASON, purge=True)
    assert not report.is_complete
    assert not report.purged
    assert any("The DVC remote away was not purged" in said for said in report.not_removed)


def test_a_restoration_brings_the_scan_back_from_the_cache(archive: Home) -> None:
    sha256 = trained_on(archive)
    scan = scan_of(archive, sha256)
    withdraw_artwork(archive, sha256, REASON)
    assert not (archive.scans(PAINTER) / scan.path).exists()
    assert told(archive) == set()
    restored = restore_artwork(archive, sha256[:8], "They agreed")
    assert restored.missing == ()
    assert [(each.painter, each.path) for each in restored.back] == [(PAINTER, scan.path)]
    assert sha256_of(archive.scans(PAINTER) / scan.path) == sha256
    assert restored.queued == (PAINTER,)  # its register leaves out what may be used again
    assert told(archive) == set()
    assert [note for note in verify(archive).notes if note.startswith(f"scans/{PAINTER}/{scan.path} may be used again")]
    (archive.scans(PAINTER) / "another.jpg").write_bytes(b"of somebody")
    assert told(archive) == {("added", f"scans/{PAINTER}/another.jpg")}


def test_bytes_that_dvc_links_into_the_home_are_not_counted_as_elsewhere(archive: Home, tmp_path: Path) -> None:
    sha256 = trained_on(archive)
    place = archive.scans(PAINTER) / scan_of(archive, sha256).path
    (cached,) = (file for file in cache_of(archive).rglob("*") if file.is_file() and sha256_of(file) == sha256)
    place.unlink()
    place.hardlink_to(cached)
    assert withdraw_artwork(archive, sha256, REASON)[0].is_complete
    assert sha256_of(cached) == sha256  # untouched until a purge


def test_bytes_with_a_further_name_on_the_disk_are_told(archive: Home, tmp_path: Path) -> None:
    sha256 = trained_on(archive)
    place = archive.scans(PAINTER) / scan_of(archive, sha256).path
    (tmp_path / "kept by somebody.jpg").hardlink_to(place)
    report, _ = withdraw_artwork(archive, sha256, REASON)
    assert not place.exists()
    assert any("find -inum" in said for said in report.not_removed)


def test_a_withdrawal_that_was_killed_before_dvc_knew_of_it_is_committed_by_the_next(
    archive: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = trained_on(archive)
    before = hashes_of_work(archive, sha256)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(versioning, "commit_stage", killed)
        with pytest.raises(KeyboardInterrupt):
            withdraw_artwork(archive, sha256, REASON)
    report, _ = withdraw_artwork(archive, sha256, "", purge=True)
    assert report.purged
    assert before.isdisjoint(kept(cache_of(archive)))
