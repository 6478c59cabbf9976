"""The main job from end to end, as a user starts it: the same records by every way in and after every kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import pytest
from few_steps import PROFILE
from sharing import Shared, linked_copy
from test_bad_files import write_oddities
from test_bad_files import write_pictures as write_odd_pictures

from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage
from artmaster_pipeline.records import MANIFEST, Adapter, Quarantined, Sample, Scan, manifest_hash, read_manifest
from artmaster_pipeline.sample_painters import write_scans
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import STAGES

BIN = Path(sys.executable).parent
PAINTER = "test-painter"
DAGSTER = "from dagster._cli import main; main()"
KILL_AT = 2  # the kill comes at the second picture, step or sample of a stage


def artmaster(home: Home, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own, as a person runs it."""
    return forked.artmaster(*words, "--home", str(home.root), env=environment(home), check=check)


def environment(home: Home) -> dict[str, str]:
    return {
        **os.environ,
        "ARTMASTER_HOME": str(home.root),
        "DAGSTER_HOME": str(home.dagster),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }


pytestmark = pytest.mark.spread


@pytest.fixture(scope="session")
def originals(shared: Shared) -> Path:
    return shared("originals", lambda folder: write_scans(folder, "ink", 5, seed=3))


def new_home(folder: Path, originals: Path) -> Home:
    """A data home with one painter, before anything has been made."""
    home = Home(folder)
    (home.root / "profiles").mkdir(parents=True)
    (home.root / "profiles" / "tiny.yaml").write_text(PROFILE)
    artmaster(home, "painters", "add", PAINTER, str(originals), "--name", "A Tester")
    (home.scans(PAINTER) / "text.jpg").write_text("not a picture")
    return home


@pytest.fixture(scope="session")
def finished(shared: Shared, originals: Path) -> Home:
    """A data home after one unbroken run."""

    def run(folder: Path) -> None:
        artmaster(new_home(folder, originals), "run", PAINTER, "--profile", "tiny")

    return Home(shared("finished", run))


@pytest.fixture
def copied(finished: Home, tmp_path: Path) -> Home:
    """The finished data home again, free to be changed."""
    return Home(linked_copy(finished.root, tmp_path / "home"))


def identities(home: Home) -> dict[str, str]:
    """The hash of every stage's manifest."""
    return {stage: manifest_hash(home.stage_folder(stage, PAINTER) / MANIFEST) for stage in STAGES}


@pytest.mark.slow
def test_scans_go_in_and_a_gallery_comes_out(finished: Home) -> None:
    scans = read_manifest(finished.register(PAINTER) / MANIFEST, Scan)
    samples = read_manifest(finished.gallery(PAINTER) / MANIFEST, Sample)
    assert len(scans) == 5
    for sample in samples:
        assert sha256_of(finished.gallery(PAINTER) / sample.path) == sample.sha256
    enlarged = [sample for sample in samples if sample.enlarged_from]
    assert {(s.column, s.enlarged_by) for s in enlarged} == {("adapter", "realesr-animevideov3-x4")}
    assert all(max(sample.width, sample.height) >= 512 for sample in enlarged)
    assert (finished.gallery(PAINTER) / "index.html").is_file()


@pytest.mark.slow
def test_a_second_run_does_nothing(copied: Home) -> None:
    before = identities(copied)
    said = artmaster(copied, "run", PAINTER).stdout
    assert "everything is up to date" in said
    assert identities(copied) == before


@pytest.mark.slow
def test_the_run_after_a_withdrawal_makes_all_of_it_without_the_work(finished: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.root, home.root, symlinks=True)
    (before,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    sha256 = before.scan_sha256s[0]
    artmaster(home, "withdraw", sha256[:12], "--reason", "The lender withdrew it", "--now", "--purge")
    assert not [file for file in home.root.rglob("*") if file.is_file() and sha256_of(file) == sha256]
    assert not home.gallery(PAINTER).exists()
    said = artmaster(home, "run", PAINTER).stdout
    assert "made raw_scans, curated_crops, training_set, style_adapter, evaluation_grid, sample_gallery" in said
    assert "The lender withdrew it" in said
    (after,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    assert after.id != before.id
    assert sha256 not in {
        *after.scan_sha256s,
        *(scan.sha256 for scan in read_manifest(home.register(PAINTER) / MANIFEST, Scan)),
    }
    assert sha256 not in (home.gallery(PAINTER) / "provenance.json").read_text()
    assert "everything is up to date" in artmaster(home, "run", PAINTER).stdout
    assert "up to date" in forked.dvc(home.root, "status", env=environment(home))


@pytest.mark.slow
def test_lineage_names_exactly_the_scans_in_an_adapter(finished: Home) -> None:
    (adapter,) = read_manifest(finished.adapters(PAINTER) / MANIFEST, Adapter)
    said = json.loads(artmaster(finished, "lineage", "adapter", adapter.id, "--json").stdout)
    files = {sha256_of(path) for path in finished.scans(PAINTER).iterdir() if path.suffix in {".jpg", ".png", ".tif"}}
    trained = {scan["sha256"] for scan in said["artworks"]}
    held_out = {scan["sha256"] for scan in said["held_out"]}
    assert trained == set(adapter.scan_sha256s)
    assert held_out
    assert trained | held_out == files - {sha256_of(finished.scans(PAINTER) / "text.jpg")}
    assert not trained & held_out


@pytest.mark.slow
def test_an_artwork_knows_its_adapters_and_published_pictures(finished: Home) -> None:
    (adapter,) = read_manifest(finished.adapters(PAINTER) / MANIFEST, Adapter)
    gallery = read_manifest(finished.gallery(PAINTER) / MANIFEST, Sample)
    published = {sample.id for sample in gallery if sample.column == "adapter"}
    answer = artwork_lineage(finished, adapter.scan_sha256s[0][:12])
    assert [use.adapter_id for use in answer.adapters if use.part == "train"] == [adapter.id]
    assert {sample.id for sample in answer.published} == published
    (held_out, *_) = adapter_lineage(finished, adapter.id).held_out
    assert artwork_lineage(finished, held_out.sha256).published == ()


@pytest.mark.slow
def test_every_way_of_materialising_gives_the_same_records(copied: Home) -> None:
    before = identities(copied)
    for stage in STAGES[2:]:
        shutil.rmtree(copied.stage_folder(stage, PAINTER))
    shutil.rmtree(copied.cache / "latents", ignore_errors=True)
    # those over several painters and those of stories have partitions of their own
    below = "key:training_set+ and not group:experts and not group:stories"
    words = ["asset", "materialize", "-m", "artmaster_pipeline.definitions", "--select", below, "--partition", PAINTER]
    forked.run(DAGSTER, "dagster", *words, env=environment(copied), check=True)
    assert identities(copied) == before
    assert "everything is up to date" in artmaster(copied, "run", PAINTER).stdout


@pytest.mark.slow
def test_a_refused_adapter_is_no_crash_and_a_person_may_overrule(copied: Home) -> None:
    published = identities(copied)["sample_gallery"]
    profile = copied.root / "profiles" / "tiny.yaml"
    strict = PROFILE.replace("better_than_base: []", "better_than_base: [tone]").replace("max_steps: 8", "max_steps: 6")
    profile.write_text(strict)
    refused = artmaster(copied, "run", PAINTER)
    said = " ".join(refused.stdout.split())
    assert "not published" in said
    assert "Tone: not measured" in said  # 5 works: one is held out, and one has no variety to compare with
    assert "report.html" in said
    assert "Traceback" not in refused.stderr
    assert identities(copied)["sample_gallery"] == published  # the first adapter's gallery stays
    again = artmaster(copied, "run", PAINTER)
    assert "not published" in again.stdout
    assert "made" not in again.stdout
    (adapter,) = read_manifest(copied.adapters(PAINTER) / MANIFEST, Adapter)
    nothing_said = artmaster(copied, "gate", PAINTER, "--adapter", adapter.id, "--publish", check=False)
    assert (nothing_said.returncode, "--reason" in nothing_said.stderr) == (2, True)
    artmaster(copied, "gate", PAINTER, "--adapter", adapter.id, "--publish", "--reason", "Shown to the estate")
    assert "made sample_gallery" in artmaster(copied, "run", PAINTER).stdout
    gallery = read_manifest(copied.gallery(PAINTER) / MANIFEST, Sample)
    assert {sample.evaluated_adapter_id for sample in gallery} == {adapter.id}
    kept = json.loads(artmaster(copied, "gate", PAINTER, "--json").stdout)
    assert kept["by"] == "person"
    assert "Shown to the estate" in kept["reasons"][0]
    assert "Tone: not measured" in kept["failed"][0]
    assert "up to date" in dvc(copied, "status")


@pytest.mark.slow
def test_two_adapters_are_compared_on_the_same_prompts_and_seeds(copied: Home) -> None:
    (first,) = read_manifest(copied.adapters(PAINTER) / MANIFEST, Adapter)
    (copied.root / "profiles" / "tiny.yaml").write_text(PROFILE.replace("max_steps: 8", "max_steps: 6"))
    artmaster(copied, "run", PAINTER, "--until", "style_adapter")
    said = json.loads(artmaster(copied, "evaluate", PAINTER, "--against", first.id, "--json").stdout)
    assert said["against"]["champion_id"] == first.id
    (second,) = read_manifest(copied.adapters(PAINTER) / MANIFEST, Adapter)
    folder = copied.evaluation(PAINTER) / second.id
    assert (folder / f"grid-against-{first.id}.png").is_file()
    more = artmaster(copied, "evaluate", PAINTER, "--adapter", first.id, "--strengths", "0,0.5,1", "--checkpoints")
    older = copied.evaluation(PAINTER) / first.id
    assert {"grid-strengths.png", "grid-checkpoints.png", "report.html"} <= {file.name for file in older.iterdir()}
    assert f"{first.id}" in more.stdout
    unknown = artmaster(copied, "evaluate", PAINTER, "--adapter", "0123", check=False)
    assert (unknown.returncode, "Known adapters" in " ".join(unknown.stderr.split())) == (2, True)


@pytest.mark.slow
def test_a_renamed_painter_is_not_trained_again(copied: Home) -> None:
    (before,) = read_manifest(copied.adapters(PAINTER) / MANIFEST, Adapter)
    weights = sha256_of(copied.root / before.path / "adapter.safetensors")
    picture = next(s for s in read_manifest(copied.gallery(PAINTER) / MANIFEST, Sample) if s.enlarged_by)
    assert "is renamed now" in artmaster(copied, "painters", "rename", PAINTER, "renamed", "--yes").stdout
    assert "up to date" in dvc(copied, "status")
    artmaster(copied, "run", "renamed")
    (after,) = read_manifest(copied.adapters("renamed") / MANIFEST, Adapter)
    assert (after.id, after.painter, sha256_of(copied.root / after.path / "adapter.safetensors")) == (
        before.id,
        "renamed",
        weights,
    )
    assert "up to date" in dvc(copied, "status")
    assert {scan.painter for scan in adapter_lineage(copied, after.id).artworks} == {"renamed"}
    version = next(copied.root.glob(f"gallery/.versions/renamed/*/{picture.path}"))
    assert "renamed" in artmaster(copied, "verify", str(version)).stdout


@pytest.mark.slow
def test_dvc_repro_runs_the_stale_stages_through_dagster(copied: Home) -> None:
    before = identities(copied)
    assert "up to date" in dvc(copied, "status")
    shutil.rmtree(copied.gallery(PAINTER))
    dvc(copied, "repro")
    assert identities(copied) == before
    assert "up to date" in dvc(copied, "status")


def dvc(home: Home, *words: str) -> str:
    return forked.dvc(home.root, *words, env=environment(home))


@pytest.fixture(scope="session")
def killed_in_every_stage(shared: Shared, finished: Home) -> tuple[Home, dict[str, Any]]:
    """A data home made by six runs that were killed, each in the next stage, and a seventh; and what each left."""

    def run(folder: Path) -> None:
        home, left = Home(linked_copy(finished.root, folder / "home")), {}
        for stage in STAGES:
            shutil.rmtree(home.stage_folder(stage, PAINTER))
        shutil.rmtree(home.cache / "latents", ignore_errors=True)
        for stage in STAGES:
            killed = run_and_kill(home, stage)
            made = [other for other in STAGES if (home.stage_folder(other, PAINTER) / MANIFEST).exists()]
            left[stage] = {"returncode": killed.returncode, "stderr": killed.stderr, "made": made}
        artmaster(home, "run", PAINTER)
        left["again"] = artmaster(home, "run", PAINTER).stdout
        (folder / "left.json").write_text(json.dumps(left))

    folder = shared("killed", run)
    return Home(folder / "home"), json.loads((folder / "left.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_in_any_stage_loses_nothing(
    stage: str, killed_in_every_stage: tuple[Home, dict[str, Any]], finished: Home
) -> None:
    home, left = killed_in_every_stage
    assert left[stage]["returncode"] == -signal.SIGKILL, left[stage]["stderr"]
    assert left[stage]["made"] == list(STAGES[: STAGES.index(stage)])
    assert identities(home)[stage] == identities(finished)[stage]
    assert not list(home.root.rglob(".partial-*"))
    assert "everything is up to date" in left["again"]


def run_and_kill(home: Home, stage: str, by: str = "SIGKILL") -> subprocess.CompletedProcess[str]:
    """`artmaster run`, which gets the signal `by` in the middle of a stage."""
    program = f"""
import os, signal, sys
from contextlib import contextmanager
from artmaster_pipeline import progress
from artmaster_pipeline.orchestration import resources
whole = progress.Progress.task
told = resources.DataHome.progress
now = []
def progress_of(self, context):
    now.append(context.asset_key.to_user_string())
    return told(self, context)
@contextmanager
def task(self, description, total, done=0):
    with whole(self, description, total, done) as advance:
        count = 0
        def killing(steps=1, note=""):
            nonlocal count
            count += steps
            advance(steps, note)
            if now and now[-1] == {stage!r} and count >= min({KILL_AT}, total):
                os.kill(os.getpid(), signal.{by})
        yield killing
resources.DataHome.progress = progress_of
progress.Progress.task = task
from artmaster_pipeline import cli
cli.main()
"""
    return forked.run(program, "artmaster", "run", PAINTER, "--home", str(home.root), env=environment(home))


@pytest.mark.slow
def test_an_interrupt_is_told_in_one_message_and_the_next_run_goes_on(copied: Home, finished: Home) -> None:
    shutil.rmtree(copied.stage_folder("style_adapter", PAINTER))
    stopped = run_and_kill(copied, "style_adapter", "SIGINT")
    assert stopped.returncode == 130
    assert "What was finished is kept" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    artmaster(copied, "run", PAINTER)
    assert identities(copied) == identities(finished)


@pytest.mark.slow
def test_two_runs_at_once_give_the_same_as_one(copied: Home, finished: Home) -> None:
    for stage in STAGES[3:]:
        shutil.rmtree(copied.stage_folder(stage, PAINTER))
    words = "artmaster", "run", PAINTER, "--home", str(copied.root)
    runs = [forked.start(forked.COMMAND, *words, env=environment(copied)) for _ in range(2)]
    assert [run.wait().returncode for run in runs] == [0, 0]
    assert identities(copied) == identities(finished)


@pytest.mark.slow
def test_odd_files_dropped_by_hand_stop_neither_dagster_nor_dvc(home: Home) -> None:
    folder = home.scans(PAINTER)
    folder.mkdir(parents=True)
    write_odd_pictures(folder)
    write_oddities(folder)
    said = artmaster(home, "run", PAINTER, "--until", "curated_crops")
    assert "Left out" in said.stdout
    left_out = read_manifest(home.register(PAINTER) / "quarantine.jsonl", Quarantined)
    assert {"broken-link.jpg", "pipe.jpg", "empty.jpg", "truncated.jpg"} <= {entry.path for entry in left_out}
    assert all(entry.reason and entry.remedy for entry in left_out)
    assert "everything is up to date" in artmaster(home, "run", PAINTER, "--until", "curated_crops").stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("run", "nobody"), 2, "artmaster painters add nobody"),
        (("run", "../x"), 2, "cannot name a painter"),
        (("run", PAINTER, "--profile", "nope"), 2, "Choose one of"),
        (("run", PAINTER, "--until", "nope"), 2, "The stages are"),
        (("run", PAINTER, "--nope"), 2, "No such option"),
        (("lineage", "adapter", "0123"), 2, "There is no adapter"),
        (("evaluate", PAINTER, "--strengths", "a lot"), 2, "numbers with commas"),
        (("evaluate", PAINTER, "--strengths", "3"), 2, "between 0"),
        (("evaluate", PAINTER), 1, "has no adapter yet"),
        (("gate", PAINTER, "--publish", "--reject"), 2, "cannot both be meant"),
        (("lineage", "artwork", "xyz"), 2, "No artwork"),
        (("lineage", "artwork", "00000000"), 2, "No artwork"),
        (("generate", PAINTER, "a hill", "--size", "1x1"), 2, "choose one of"),
        (("painters", "add", "p", "/nowhere/at/all"), 2, "/nowhere/at/all"),
    ],
)
def test_wrong_use_is_told_in_one_message(home: Home, words: tuple[str, ...], code: int, says: str) -> None:
    home.scans(PAINTER).mkdir(parents=True)
    done = artmaster(home, *words, check=False)
    assert done.returncode == code
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_json_is_all_that_stdout_holds(home: Home) -> None:
    assert json.loads(artmaster(home, "painters", "list", "--json").stdout) == []
