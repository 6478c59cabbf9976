"""A withdrawn work is out of everything at once, its bytes go, and what a kill leaves undone the next run does."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import forked
import pytest
from published_gallery import published
from small_archive import PAINTER, add_adapter, evaluated, quick_drawing, small_profile

from artmaster_pipeline import withdrawals
from artmaster_pipeline.adapters.exporting import export_adapter
from artmaster_pipeline.adapters.withdrawn import marks_of
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, WrongUse
from artmaster_pipeline.evaluation import Asked, evaluate
from artmaster_pipeline.evaluation.evaluate import works_of
from artmaster_pipeline.evaluation.withdrawn import evaluation_marks
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.generation import generate
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.publishing.publish import put_back
from artmaster_pipeline.publishing.targets import copy_gallery
from artmaster_pipeline.publishing.versions import SiteVersions, files_of
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    AdapterSnapshot,
    Crop,
    Sample,
    Scan,
    TrainingImage,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.scans.withdrawn import read_withdrawn
from artmaster_pipeline.settings import Home, load_profile
from artmaster_pipeline.withdrawal import (
    due_for_retraining,
    impact_of,
    restore_artwork,
    withdraw_artwork,
)
from artmaster_pipeline.withdrawals import in_force, read_ledger

PROFILE = load_profile("miniature")
REASON = "The heirs asked for it"
OTHER = "other-painter"


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Four works that were trained on, two that judged; evaluated and published. Look, but do not write."""
    home = Home(tmp_path_factory.mktemp("published") / "home")
    published(home, rows=12, works=6, held_out=2)
    crops = [
        Crop(
            id=image.id, painter=PAINTER, scan_id=image.scan_id, scan_sha256=image.scan_sha256,
            path=f"images/{image.id}.png", sha256=image.sha256, mask_path=f"masks/{image.id}.png", width=512,
            height=512, left=0, top=0, right=512, bottom=512, source_scale=1.0, subject_share=1.0,
        )
        for image in images_of(home)
    ]  # fmt: skip
    for crop in crops:
        for path in (crop.path, crop.mask_path):
            (home.crops(PAINTER) / path).parent.mkdir(parents=True, exist_ok=True)
            (home.crops(PAINTER) / path).write_bytes(f"{path} of {crop.id}".encode())
    write_manifest(home.crops(PAINTER) / MANIFEST, crops)
    return home


@pytest.fixture
def archive(published_once: Home, home: Home) -> Home:
    """A copy of it, free to be changed; a real one, since further names of a scan's bytes are told."""
    shutil.copytree(published_once.root, home.root)
    return home


def images_of(home: Home) -> tuple[TrainingImage, ...]:
    return read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)


def adapter_of(home: Home) -> Adapter:
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    return adapter


def trained_on(home: Home) -> str:
    return adapter_of(home).scan_sha256s[0]


def held_out(home: Home) -> str:
    return next(image.scan_sha256 for image in images_of(home) if image.split == "held_out")


def retrained(home: Home) -> Adapter:
    """What a run after the withdrawal makes: an adapter of the training set as it stands, evaluated on it."""
    old = AdapterSnapshot.model_validate_json((home.root / adapter_of(home).path / "lineage.json").read_text())
    images = images_of(home)
    scans = tuple(scan for scan in old.scans if scan.sha256 in {image.scan_sha256 for image in images})
    adapter = add_adapter(home, scans, images, seed=adapter_of(home).seed + 1)
    evaluated(home)
    return adapter


def bytes_of_work(home: Home, sha256: str) -> list[str]:
    """The files of the home that are the scan, or are named as its crops, pictures and thumbnails are."""
    ids = {sha256[:16], *(image.id for image in images_of(home) if image.scan_sha256 == sha256)}
    return [
        name
        for name, found in files_of(home.root).items()
        if found == sha256 or (Path(name).stem in ids and Path(name).suffix != ".jsonl")
    ]


# The ledger


def test_a_withdrawal_is_one_line_that_holds_no_picture_title_or_path(archive: Home) -> None:
    sha256 = trained_on(archive)
    report, _ = withdraw_artwork(archive, sha256[:10].upper(), f"  {REASON}\n ", "Ms Li")
    (line,) = read_ledger(archive)
    assert (line.action, line.sha256s, line.reason, line.by) == ("withdrawn", (sha256,), REASON, "Ms Li")
    assert line == report.line
    text = (archive.root / "withdrawals.jsonl").read_text()
    assert text.count("\n") == 1
    assert "Mountain" not in text
    assert ".jpg" not in text
    assert set(json.loads(text)) == {"id", "action", "scans", "painters", "reason", "by", "at"}


def test_lines_are_only_added_and_the_last_one_decides(archive: Home) -> None:
    sha256 = trained_on(archive)
    withdraw_artwork(archive, sha256, REASON)
    first = (archive.root / "withdrawals.jsonl").read_text()
    withdraw_artwork(archive, sha256, "once more")
    assert (archive.root / "withdrawals.jsonl").read_text() == first
    restore_artwork(archive, sha256[:12], "They agreed after all", "Ms Li")
    text = (archive.root / "withdrawals.jsonl").read_text()
    assert text.startswith(first)
    assert [line.action for line in read_ledger(archive)] == ["withdrawn", "restored"]
    assert in_force(archive) == {}
    assert marks_of(archive, adapter_of(archive)) == ()


@pytest.mark.parametrize("content", ["{", '{"id": "x"}', "<<<<<<< HEAD"])
def test_a_ledger_that_cannot_be_read_lets_nothing_pass(archive: Home, tmp_path: Path, content: str) -> None:
    (archive.root / "withdrawals.jsonl").write_text(f"{content}\n")
    with pytest.raises(ArtMasterError, match=r"withdrawals\.jsonl, line 1, .*from git or a backup"):
        export_adapter(archive, PAINTER, "diffusers", out=tmp_path)
    with pytest.raises(ArtMasterError, match="line 1"):
        withdraw_artwork(archive, trained_on(archive), REASON)


def test_what_cannot_be_meant_is_said(archive: Home) -> None:
    with pytest.raises(WrongUse, match=r"No scan in .* is meant by 'ffffffff'"):
        withdraw_artwork(archive, "ffffffff", REASON)
    with pytest.raises(WrongUse, match="--reason TEXT"):
        withdraw_artwork(archive, trained_on(archive), "  ")
    with pytest.raises(WrongUse, match="names no withdrawn work"):
        restore_artwork(archive, trained_on(archive))
    assert read_ledger(archive) == ()


# Marks


def test_a_marked_adapter_draws_nothing_and_is_neither_exported_evaluated_nor_published(
    archive: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = quick_drawing(monkeypatch)
    adapter, sha256 = adapter_of(archive), trained_on(archive)
    withdraw_artwork(archive, sha256, REASON)
    said = rf"{adapter.id} .*was trained on the work {sha256[:16]}.*{REASON}.*artmaster run.*restore {sha256[:16]}"
    ways: list[Callable[[], object]] = [
        lambda: generate(archive, PAINTER, PROFILE, "mist", out=tmp_path),
        lambda: generate(archive, PAINTER, PROFILE, "mist", adapter_id=adapter.id, out=tmp_path),
        lambda: export_adapter(archive, PAINTER, "kohya", out=tmp_path),
        lambda: evaluate(archive, adapter, small_profile(), Asked()),
        lambda: publish_gallery(archive, PAINTER, PROFILE),
    ]
    for way in ways:
        with pytest.raises(HoldsWithdrawn, match=said):
            way()
    assert drawn == []
    assert list(tmp_path.glob("*.*")) == []


def test_an_adapter_that_was_chosen_by_the_work_is_marked_too(archive: Home) -> None:
    images = images_of(archive)
    chooses = trained_on(archive)
    divided = tuple(i.model_copy(update={"split": "validate"}) if i.scan_sha256 == chooses else i for i in images)
    adapter = add_adapter(archive, read_manifest(archive.register(PAINTER) / MANIFEST, Scan), divided, seed=7)
    assert chooses not in adapter.scan_sha256s
    withdraw_artwork(archive, chooses, REASON)
    assert [mark.part for mark in marks_of(archive, adapter)] == ["validate"]


def test_a_work_that_only_judged_marks_the_evaluation_and_the_gallery_but_not_the_adapter(
    archive: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_drawing(monkeypatch)
    adapter, sha256 = adapter_of(archive), held_out(archive)
    shown = [s for s in read_manifest(archive.evaluation(PAINTER) / MANIFEST, Sample) if s.scan_sha256 == sha256]
    assert shown
    report, _ = withdraw_artwork(archive, sha256, REASON)
    (touched,) = report.impact.adapters
    assert (touched.part, touched.marked, touched.evaluation_marked) == ("held_out", False, True)
    assert marks_of(archive, adapter) == ()
    assert report.impact.retrain == ()
    with pytest.raises(HoldsWithdrawn, match=r"judged by the work .*holds nothing of it, but its evaluation does"):
        publish_gallery(archive, PAINTER, PROFILE)
    assert not archive.gallery(PAINTER).exists()
    assert not [sample for sample in shown if (archive.evaluation(PAINTER) / sample.path).exists()]
    assert not (archive.evaluation(PAINTER) / adapter.id / "grid.png").exists()
    assert sha256 not in {image.scan_sha256 for image in works_of(archive, adapter)}
    # a new evaluation says by whom it was made, and is not marked
    panel = archive.evaluation(PAINTER) / adapter.id / "panel.json"
    panel.write_text(json.dumps(json.loads(panel.read_text()) | {"judged_by": []}))
    assert evaluation_marks(archive, adapter) == ()


def test_a_run_after_it_trains_without_the_work_and_is_published(archive: Home) -> None:
    withdraw_artwork(archive, trained_on(archive), REASON)
    assert set(due_for_retraining(archive)) == {PAINTER}
    adapter = retrained(archive)
    assert marks_of(archive, adapter) == ()
    assert due_for_retraining(archive) == {}
    publish_gallery(archive, PAINTER, PROFILE)
    provenance = json.loads((archive.gallery(PAINTER) / "provenance.json").read_text())
    assert set(provenance["adapters"]) == {adapter.id}


def test_two_painters_with_the_same_bytes_lose_both(archive: Home) -> None:
    sha256 = trained_on(archive)
    scan = next(s for s in read_manifest(archive.register(PAINTER) / MANIFEST, Scan) if s.sha256 == sha256)
    archive.scans(OTHER).mkdir()
    (archive.scans(OTHER) / "theirs.jpg").write_bytes((archive.scans(PAINTER) / scan.path).read_bytes())
    report, _ = withdraw_artwork(archive, sha256, REASON)  # not even registered there
    assert not (archive.scans(OTHER) / "theirs.jpg").exists()
    assert not (archive.scans(PAINTER) / scan.path).exists()
    assert report.is_complete


def test_other_scans_of_the_work_go_with_it_and_are_named(archive: Home) -> None:
    first, second, *_ = adapter_of(archive).scan_sha256s
    manifest = archive.training_set(PAINTER) / MANIFEST
    rows = [
        i.model_copy(update={"group": first}) if i.scan_sha256 in (first, second) else i for i in images_of(archive)
    ]
    write_manifest(manifest, rows)
    impact = impact_of(archive, second)
    assert {(scan.sha256, scan.why) for scan in impact.scans} == {
        (second, "the one that was named"),
        (first, "a scan of the same work, as the training set has it"),
    }
    withdraw_artwork(archive, second, REASON)
    assert set(in_force(archive)) == {first, second}


def test_a_dry_run_changes_nothing(archive: Home) -> None:
    before = files_of(archive.root)
    impact = impact_of(archive, trained_on(archive))
    assert files_of(archive.root) == before
    assert (impact.crops, impact.training_pictures) == (2, 2)
    assert [touched.adapter_id for touched in impact.adapters] == [adapter_of(archive).id]
    assert [gallery.in_place for gallery in impact.galleries] == [True]


# The home is cleared


def test_nothing_that_shows_the_work_stays_in_the_home(archive: Home) -> None:
    sha256 = trained_on(archive)
    for name in ("latents", "text", "looks", "autoencoded"):
        (archive.cache / name).mkdir(parents=True)
        (archive.cache / name / "x").write_bytes(b"x")
    unfinished = archive.cache / "training" / "a1"
    for folder in (unfinished, archive.cache / "tensorboard" / PAINTER / "a1"):
        folder.mkdir(parents=True)
    gone = bytes_of_work(archive, sha256)
    assert {Path(name).parts[0] for name in gone} >= {"scans", "register", "crops", "training_set", "gallery"}
    report, _ = withdraw_artwork(archive, sha256, REASON, now=True)
    assert [name for name in gone if (archive.root / name).exists()] == []
    details, grid = 2, 1  # of the work in the evaluation, which shows it beside what was drawn
    assert report.files_removed == len([name for name in gone if not name.startswith("gallery")]) + details + grid
    assert not any((archive.cache / name).exists() for name in ("latents", "text", "looks", "autoencoded"))
    assert not unfinished.exists()
    for kind, folder in ((Scan, archive.register), (Crop, archive.crops), (TrainingImage, archive.training_set)):
        rows = read_manifest(folder(PAINTER) / MANIFEST, kind)
        assert rows
        assert sha256 not in {getattr(row, "scan_sha256", getattr(row, "sha256", "")) for row in rows}
    (row,) = read_withdrawn(archive, PAINTER)
    assert (row.sha256, row.reason) == (sha256, REASON)


def test_scans_that_lie_behind_a_link_are_left_to_their_owner(archive: Home, tmp_path: Path) -> None:
    archive.scans(PAINTER).rename(tmp_path / "theirs")
    archive.scans(PAINTER).symlink_to(tmp_path / "theirs")
    before = files_of(tmp_path / "theirs")
    report, _ = withdraw_artwork(archive, trained_on(archive), REASON)
    assert files_of(tmp_path / "theirs") == before
    assert not report.is_complete
    assert "lie where their owner keeps them" in report.not_removed[0]


def test_a_file_that_cannot_be_removed_is_named(archive: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refusing(path: Path, *args: object, **kwargs: object) -> None:
        if path.parent.name == "thumbnails":
            raise PermissionError(13, "Permission denied")
        unlink(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "unlink", refusing)
    report, page = withdraw_artwork(archive, trained_on(archive), REASON)
    (said,) = [line for line in report.not_removed if "thumbnails" in line]
    assert "Permission denied. Remove it by hand" in said
    assert "thumbnails" in page.read_text()


class _Killed(BaseException):
    """As SIGKILL: nobody handles it."""


def _changes_counted(monkeypatch: pytest.MonkeyPatch, at: int | None) -> list[str]:
    """Count what changes on the disk; the process ends before change number `at`."""
    seen: list[str] = []
    for name in ("replace", "rename", "unlink", "rmdir"):
        call = getattr(os, name)

        def counted(*args: object, _name: str = name, _call: Callable = call, **kwargs: object) -> object:
            if at is not None and len(seen) >= at:
                raise _Killed
            seen.append(f"{_name} {args[0]}")
            return _call(*args, **kwargs)

        monkeypatch.setattr(os, name, counted)
    return seen


def _state(home: Home) -> dict[str, str]:
    """Every file but those that say when something was done, locks and what waits in caches."""
    passing = ("withdrawals", "proof", ".cache", "gallery/.versions/some-painter/ledger.jsonl")
    return {name: sha for name, sha in files_of(home.root).items() if not name.startswith(passing)}


@pytest.mark.parametrize("share", [0.02, *(n / 16 for n in range(1, 16)), 0.98])
def test_a_withdrawal_that_is_killed_goes_on(
    archive: Home, published_once: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    sha256 = trained_on(archive)
    whole = Home(tmp_path / "whole")
    shutil.copytree(published_once.root, whole.root)
    with monkeypatch.context() as patched:
        changes = _changes_counted(patched, None)
        withdraw_artwork(whole, sha256, REASON, now=True)
    with monkeypatch.context() as patched:
        _changes_counted(patched, int(share * len(changes)))
        with pytest.raises(_Killed):
            withdraw_artwork(archive, sha256, REASON, now=True)
    report, _ = withdraw_artwork(archive, sha256, REASON, now=True)
    assert report.is_complete
    assert report.impact == withdraw_artwork(whole, sha256, REASON)[0].impact  # as it was before anything went
    assert _state(archive) == _state(whole)
    assert len(read_ledger(archive)) == 1
    assert not [file for file in archive.root.rglob(".partial-*") if ".cache" not in file.parts]


# Galleries


def test_a_marked_gallery_stays_until_the_next_publication_or_goes_at_once(archive: Home) -> None:
    report, _ = withdraw_artwork(archive, trained_on(archive), REASON)
    assert len(report.still_published) == 2  # the version and the site in place
    assert (archive.gallery(PAINTER) / "index.html").is_file()
    with pytest.raises(HoldsWithdrawn):
        publish_gallery(archive, PAINTER, PROFILE)
    assert not archive.gallery(PAINTER).exists()
    assert "some-painter/index.html" not in (archive.root / "gallery" / "index.html").read_text()


def test_a_version_that_was_taken_down_keeps_its_records_and_is_not_put_back(archive: Home) -> None:
    (version,) = SiteVersions(archive.root / "gallery", PAINTER).versions()
    report, _ = withdraw_artwork(archive, trained_on(archive), REASON, now=True)
    assert report.galleries_down == (version.id,)
    assert report.still_published == ()
    kept = archive.root / "gallery" / ".versions" / PAINTER / version.id
    assert sorted(file.name for file in kept.iterdir()) == ["manifest.jsonl", "provenance.json"]
    with pytest.raises(HoldsWithdrawn, match=rf"version {version.id} .*{REASON}"):
        put_back(archive, PAINTER, version.id)
    restore_artwork(archive, trained_on(archive))
    with pytest.raises(ArtMasterError, match="missing or changed"):
        put_back(archive, PAINTER, version.id)


def test_after_a_restoration_the_same_gallery_can_be_published_again(archive: Home) -> None:
    sha256 = trained_on(archive)
    withdraw_artwork(archive, sha256, REASON, now=True)
    restore_artwork(archive, sha256)
    with pytest.raises(ArtMasterError, match=r"grid\.png.*run the stage evaluation_grid again"):
        publish_gallery(archive, PAINTER, PROFILE)
    evaluated(archive, rows=12)
    publish_gallery(archive, PAINTER, PROFILE)
    provenance = json.loads((archive.gallery(PAINTER) / "provenance.json").read_text())
    assert sha256 in provenance["adapters"][adapter_of(archive).id]["trained_on"]


def test_copies_go_too_and_one_that_cannot_be_reached_is_tried_again(archive: Home, tmp_path: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    copy_gallery(archive, PAINTER, "memory://web")
    copy_gallery(archive, PAINTER, str(tmp_path / "drive"))
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    report, page = withdraw_artwork(archive, trained_on(archive), REASON, now=True)
    assert not report.is_complete
    assert [said.split(":")[0] for said in report.not_reached] == [str(tmp_path / "drive")]
    assert report.copies_down[0].startswith("memory://web")
    assert [name for name in store.find("/web") if PAINTER in name] == ["/web/some-painter/versions/index.html"] or all(
        name.endswith(("index.html", "index.zh.html")) for name in store.find("/web")
    )
    assert "is not there" in page.read_text()
    (tmp_path / "unplugged").rename(tmp_path / "drive")
    again, _ = withdraw_artwork(archive, trained_on(archive), REASON, now=True)
    assert again.is_complete
    assert not (tmp_path / "drive" / PAINTER).exists()
    assert not list((tmp_path / "drive" / ".versions").rglob("*.html"))
    with pytest.raises(ArtMasterError):
        copy_gallery(archive, PAINTER, "memory://web")


def test_a_site_that_came_without_its_kept_versions_is_taken_down_too(archive: Home, tmp_path: Path) -> None:
    """As in a clone: DVC brings the site in place, and what it was copied as is known by the ledger alone."""
    shutil.rmtree(archive.root / "gallery" / ".versions")
    copy_gallery(archive, PAINTER, str(tmp_path / "drive"))
    impact = impact_of(archive, trained_on(archive))
    assert [(gallery.in_place, gallery.version_id) for gallery in impact.galleries if gallery.in_place] == [(True, "")]
    withdraw_artwork(archive, trained_on(archive), REASON)
    with pytest.raises(HoldsWithdrawn, match="that is in place holds the work"):
        copy_gallery(archive, PAINTER, str(tmp_path / "another drive"))
    report, _ = withdraw_artwork(archive, trained_on(archive), REASON, now=True)
    assert not archive.gallery(PAINTER).exists()
    assert not (tmp_path / "drive" / PAINTER).exists()
    assert report.is_complete
    assert report.still_published == ()


def test_a_copied_site_that_somebody_edited_goes_too(archive: Home, tmp_path: Path) -> None:
    copy_gallery(archive, PAINTER, str(tmp_path / "drive"))
    (tmp_path / "drive" / PAINTER / "index.html").write_text("edited")
    withdraw_artwork(archive, trained_on(archive), REASON, now=True)
    assert not (tmp_path / "drive" / PAINTER).exists()


# Rights that end


def test_an_adapter_is_marked_on_the_day_on_which_rights_end(archive: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime

    manifest, sha256 = archive.register(PAINTER) / MANIFEST, trained_on(archive)
    scans = read_manifest(manifest, Scan)
    write_manifest(
        manifest, [s.model_copy(update={"rights_until": "2030-06-01"}) if s.sha256 == sha256 else s for s in scans]
    )
    for day, marked in (((2030, 5, 31), False), ((2030, 6, 1), True)):
        monkeypatch.setattr(withdrawals, "today", lambda day=day: datetime.date(*day))
        assert bool(marks_of(archive, adapter_of(archive))) == marked
        assert (PAINTER in due_for_retraining(archive)) == marked
    with pytest.raises(HoldsWithdrawn, match=r"whose rights are over since 2030-06-01.*rights_until of artworks\.csv"):
        export_adapter(archive, PAINTER, "diffusers")


# Evaluations after it


def test_a_marked_champion_is_nobody_to_be_compared_with(archive: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither before its gallery is taken down nor after: and nobody has to decide since it is missing."""
    for now in (False, True):
        withdraw_artwork(archive, trained_on(archive), REASON, now=now)
        adapter = retrained(archive)
        drawn = quick_drawing(monkeypatch)
        done = evaluate(archive, adapter, small_profile(), Asked())
        assert done.contest is None
        assert drawn
        assert "compare" not in " ".join(done.verdict.reasons)
        assert evaluation_marks(archive, adapter) == ()
        judged_by = json.loads((archive.evaluation(PAINTER) / adapter.id / "panel.json").read_text())["judged_by"]
        assert judged_by == sorted({i.scan_sha256 for i in images_of(archive) if i.split == "held_out"})


# The command


def test_the_command_says_what_it_did_and_what_is_left(archive: Home, tmp_path: Path) -> None:
    sha256, home = trained_on(archive), str(archive.root)
    copy_gallery(archive, PAINTER, str(tmp_path / "drive"))
    shutil.rmtree(tmp_path / "drive")
    dry = json.loads(forked.artmaster("withdraw", sha256[:9], "--dry-run", "--json", "--home", home).stdout)
    assert dry["sha256"] == sha256
    assert dry["galleries"][0]["copies"] == [str(tmp_path / "drive")]
    hostile = "The heirs\x1b[31m asked"
    done = forked.artmaster("withdraw", sha256[:9], "--reason", hostile, "--now", "--home", home, check=False)
    assert done.returncode == 1  # a copy is not reached
    assert "\x1b" not in done.stdout
    assert f"To be trained anew: artmaster run {PAINTER}" in done.stdout
    assert "Not done: " in done.stdout
    refused = forked.artmaster("generate", PAINTER, "mist", "--home", home, check=False)
    assert refused.returncode == 1
    assert f"artmaster restore {sha256[:16]}" in refused.stderr
    back = forked.artmaster("restore", sha256[:9], "--home", home)
    assert "All marks are gone" in back.stdout
    wrong = forked.artmaster("withdraw", "12345678", "--reason", "x", "--home", home, check=False)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


# The report


def test_the_report_is_escaped_and_says_what_is_out_of_reach(archive: Home) -> None:
    hostile = '<script>alert("x")</script>'
    report, page = withdraw_artwork(archive, trained_on(archive), hostile, hostile)
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert page.parent.parent == archive.root / "withdrawals"
    assert adapter_of(archive).id in text
    assert "exported" in text
    assert json.loads((page.parent / "report.json").read_text())["impact"]["sha256"] == report.impact.sha256


def test_what_a_site_of_another_work_shows_stays(archive: Home) -> None:
    """Only what holds the work goes: an adapter without it, and its gallery, are as they were."""
    withdraw_artwork(archive, trained_on(archive), REASON)
    adapter = retrained(archive)
    publish_gallery(archive, PAINTER, PROFILE)
    before = files_of(archive.gallery(PAINTER))
    other = next(i.scan_sha256 for i in images_of(archive) if i.scan_sha256 not in adapter.scan_sha256s)
    assert other not in in_force(archive)
    assert files_of(archive.gallery(PAINTER)) == before
    assert sha256_of(archive.root / adapter.path / "adapter.safetensors") == adapter.sha256
