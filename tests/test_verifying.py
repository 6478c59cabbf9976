"""`artmaster lineage verify`: what was changed, removed, added, swapped or edited is found; what was not is not."""

import json
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from published_gallery import PROFILE
from sharing import Shared, linked_copy, unlinked
from small_archive import PAINTER, evaluated, small_archive
from typer.testing import CliRunner

from artmaster_pipeline import proof, versioning, withdrawals
from artmaster_pipeline.adapters.ledger import ledger_of
from artmaster_pipeline.adapters.tensor_file import read_words, write_tensors
from artmaster_pipeline.cli import app
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.evaluation import decide
from artmaster_pipeline.evaluation.verdicts import append_verdict
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.lineage import verify
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.publishing.credentials import make_keys
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    AdapterSnapshot,
    Crop,
    Quarantined,
    Sample,
    Scan,
    TrainingFacts,
    TrainingImage,
    Verdict,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawal import restore_artwork, withdraw_artwork
from artmaster_pipeline.withdrawals import in_force

WORKS = 3


def archive(home: Home) -> Home:
    """A small archive with a file of every kind, as the rooms leave it: crops and masks, ledger, verdict, site."""
    with working_on(home, PAINTER):
        small_archive(home, works=WORKS, held_out=1)
        _cut(home)
        _retrain(home)
        evaluated(home, 2)
        (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
        (home.evaluation(PAINTER) / adapter.id / "verdict.json").unlink()
        append_verdict(
            home,
            PAINTER,
            Verdict(adapter_id=adapter.id, publish=True, by="figures", reasons=("It is his hand.",), figures={}),
        )
    publish_gallery(home, PAINTER, PROFILE)
    return home


def _cut(home: Home) -> None:
    """The crops, with masks, that the small archive's training pictures name."""
    folder = home.crops(PAINTER)
    crops = []
    for image in read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage):
        path, mask = f"images/{image.id}.png", f"masks/{image.id}.png"
        for name in (path, mask):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(home.training_set(PAINTER) / image.path, folder / name)
        said = {"painter": PAINTER, "scan_id": image.scan_id, "scan_sha256": image.scan_sha256, "path": path}
        box = {"left": 0, "top": 0, "right": image.width, "bottom": image.height, "width": image.width}
        said |= {"sha256": image.sha256, "mask_path": mask, "height": image.height, "id": image.crop_id}
        crops.append(Crop(**said, **box, source_scale=1.0, subject_share=1.0))
    write_manifest(folder / MANIFEST, crops)


def _retrain(home: Home) -> None:
    """Give the adapter weights that can be read, with a ledger, and a snapshot with crops and facts."""
    import torch

    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    folder = home.root / adapter.path
    tensors = {"transformer.x.lora_A.weight": torch.arange(64.0).reshape(4, 16)}
    write_tensors(tensors, ledger_of(home, adapter).words(), folder / "adapter.safetensors")
    adapter = adapter.model_copy(update={"sha256": sha256_of(folder / "adapter.safetensors")})
    rows = read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)
    snapshot = AdapterSnapshot(
        scans=read_manifest(home.register(PAINTER) / MANIFEST, Scan),
        crops=read_manifest(home.crops(PAINTER) / MANIFEST, Crop),
        training_images=rows,
        training=TrainingFacts(software={}, shown={rows[0].id: 3}, quarantined=(), without_crops=()),
    )
    (folder / "lineage.json").write_text(snapshot.model_dump_json(), encoding="utf-8")
    (folder / "adapter.json").write_text(adapter.model_dump_json(), encoding="utf-8")
    (folder / "log.jsonl").write_text('{"step": 1}\n')
    write_manifest(home.adapters(PAINTER) / MANIFEST, [adapter])


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked here is what stands in files, hundreds of times; `test_durability` checks the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def whole(shared: Shared) -> Home:
    """Such an archive; look, but do not write."""
    return Home(shared("verified", lambda folder: archive(Home(folder))))


@pytest.fixture
def home(whole: Home, tmp_path: Path) -> Home:
    """A copy of it."""
    return Home(linked_copy(whole.root, tmp_path / "home"))


def adapter_of(home: Home) -> tuple[Adapter, Path]:
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    return adapter, home.root / adapter.path


def found(home: Home, *args: str) -> dict[str, set[str]]:
    """What was found, by file."""
    said: dict[str, set[str]] = {}
    for finding in verify(home, *args).findings:
        said.setdefault(finding.file, set()).add(finding.what)
    return said


def named_files(home: Home) -> list[str]:
    """Every file that must not change: of the product's folders, the scans, and the chain itself."""
    there = [f.relative_to(home.root).as_posix() for f in sorted(home.root.rglob("*")) if f.is_file()]
    of_persons = ("scans/some-painter/painter.yaml",)
    others = (".cache", ".keys", "gallery/.versions/.gitignore")
    return [f for f in there if not f.startswith(others) and f not in of_persons and "lock" not in f]


# --- what is as it was written


def test_an_archive_that_nobody_touched_is_whole_and_says_so_in_one_line(home: Home) -> None:
    answer = verify(home)
    assert answer.findings == ()
    assert sum(answer.checked.values()) >= len([f for f in named_files(home) if not f.startswith("proof")])
    said = CliRunner().invoke(app, ["lineage", "verify", "--home", str(home.root)])
    assert (said.exit_code, len(said.stdout.splitlines())) == (0, 1)
    assert "all is as it was written" in said.stdout
    adapter, _ = adapter_of(home)
    assert found(home, adapter.id) == {}


def test_a_finding_is_told_with_file_reason_and_way_out_and_exit_code_1(home: Home) -> None:
    scan = read_manifest(home.register(PAINTER) / MANIFEST, Scan)[0]
    unlinked(home.scans(PAINTER) / scan.path).write_bytes(b"another")
    said = CliRunner().invoke(app, ["lineage", "verify", "--home", str(home.root)])
    assert said.exit_code == 1
    assert f"scans/{PAINTER}/{scan.path}" in said.stdout.replace("\n", "")
    as_json = CliRunner().invoke(app, ["lineage", "verify", "--json", "--home", str(home.root)])
    (finding,) = json.loads(as_json.stdout)["findings"]
    assert (finding["what"], finding["told_by"]) == ("changed", [f"register/{PAINTER}/manifest.jsonl"])
    assert f"artmaster run {PAINTER}" in finding["way_out"]


# --- what is not


@pytest.fixture(scope="module")
def all_kinds(whole: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An archive with a file of every kind that a data home can hold, bytes that only DVC names among them."""
    home = Home(linked_copy(whole.root, tmp_path_factory.mktemp("kinds") / "home"))
    adapter, folder = adapter_of(home)
    (scan, *_) = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    with working_on(home, PAINTER):
        left_out = Quarantined(
            id="q", painter=PAINTER, path="torn.jpg", sha256="", reason="It is torn", remedy="Scan it anew"
        )
        write_manifest(home.register(PAINTER) / "quarantine.jsonl", [left_out])
        (folder / "README.md").write_text("# A style\n")
        (home.evaluation(PAINTER) / adapter.id / "report.html").write_text("<!doctype html>")
        (home.register(PAINTER) / "withdrawn.jsonl").write_text("\n")
        decide(home, PAINTER, adapter.id, "publish", "It is his hand.")
    apart = withdrawals.WithdrawnScan(sha256="f" * 64)
    withdrawals.append(home, withdrawals.new_line("withdrawn", [apart], [], "The heirs asked", "Ms Li"))
    with working_on(home, proof.HOUSE):
        (home.root / "withdrawals" / "ab").mkdir(parents=True)
        (home.root / "withdrawals" / "ab" / "report.json").write_text("{}")
    (home.scans(PAINTER) / "artworks.csv").write_text(f"file,title\n{scan.path},Mountain\n")
    versioning.commit_stage(home, "raw_scans", PAINTER)
    assert found(home) == {}
    return home


def kinds_of(home: Home) -> dict[str, list[str]]:
    """The files that must not change, by what they are: their paths without ids and numbers. DVC's own are DVC's."""
    kinds: dict[str, list[str]] = {}
    ours = rf"(register|crops|training_set|adapters|evaluation|gallery|proof|withdrawals|scans/{PAINTER})[/.](?!\.)"
    for name in [*named_files(home), f"scans/{PAINTER}/painter.yaml"]:
        if re.match(ours, name) and not name.endswith(".dvc") and (home.root / name).stat().st_size:
            kinds.setdefault(re.sub(r"[0-9a-f]{16}|\b\d+\b", "*", name), []).append(name)
    return kinds


@given(data=st.data())
@rules(max_examples=2, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_a_changed_bit_of_a_file_of_any_kind_is_found_and_the_file_named(all_kinds: Home, data) -> None:
    kinds = kinds_of(all_kinds)
    assert len(kinds) > 50
    for kind, names in kinds.items():
        file = all_kinds.root / data.draw(st.sampled_from(names), kind)
        content = bytearray(file.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        aside = file.rename(all_kinds.root.with_name("aside"))
        file.write_bytes(content)
        findings = found(all_kinds)
        aside.replace(file)
        assert file.relative_to(all_kinds.root).as_posix() in findings, (kind, bit, findings)
    assert found(all_kinds) == {}


def test_every_removed_file_is_found(home: Home, tmp_path: Path) -> None:
    for name in named_files(home):
        aside = tmp_path / "aside"
        (home.root / name).rename(aside)
        findings = found(home)
        assert findings, name
        assert "missing" in findings.get(name, ()) or name.startswith("proof/"), (name, findings)
        aside.rename(home.root / name)
    assert found(home) == {}


def test_a_painter_s_file_that_changed_places_with_the_house_s_is_found_as_swapped(home: Home) -> None:
    own, house = f"gallery/{PAINTER}/index.html", "gallery/index.html"
    (home.root / own).rename(home.root / "aside")
    (home.root / house).rename(home.root / own)
    (home.root / "aside").rename(home.root / house)
    findings = found(home)
    assert "swapped" in findings[own] and "swapped" in findings[house], findings


@given(data=st.data())
@rules(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_swapped_files_are_found_as_swapped(whole: Home, tmp_path_factory: pytest.TempPathFactory, data) -> None:
    hashes = {name: sha256_of(whole.root / name) for name in named_files(whole) if not name.startswith("proof/")}
    one = data.draw(st.sampled_from(sorted(hashes)))
    others = [name for name in hashes if hashes[name] != hashes[one]]
    alike = [name for name in others if Path(name).suffix == Path(one).suffix]
    other = data.draw(st.sampled_from(sorted(alike or others)))
    home = Home(linked_copy(whole.root, tmp_path_factory.mktemp("swaps") / "home"))
    (home.root / one).rename(home.root / "aside")
    (home.root / other).rename(home.root / one)
    (home.root / "aside").rename(home.root / other)
    findings = found(home)
    assert "swapped" in findings[one], findings
    assert "swapped" in findings[other], findings
    shutil.rmtree(home.root)


@pytest.mark.parametrize(
    "name",
    [
        f"crops/{PAINTER}/images/more.png",
        f"register/{PAINTER}/thumbnails/more.jpg",
        f"gallery/{PAINTER}/more.html",
        f"adapters/{PAINTER}/more.safetensors",
        f"evaluation/{PAINTER}/more/panel.json",
    ],
)
def test_an_added_file_is_found(home: Home, name: str) -> None:
    (home.root / name).parent.mkdir(exist_ok=True)
    (home.root / name).write_text("{}")
    assert found(home) == {name: {"added"}}


def _without_ledger(home: Home) -> None:
    import torch

    _, folder = adapter_of(home)
    file = folder / "adapter.safetensors"
    words = {name: text for name, text in read_words(file).items() if name != "artmaster.ledger"}
    file.unlink()
    write_tensors({"transformer.x.lora_A.weight": torch.arange(64.0).reshape(4, 16)}, words, file)


def _of_another_work(home: Home) -> None:
    _, folder = adapter_of(home)
    file = folder / "lineage.json"
    snapshot = AdapterSnapshot.model_validate_json(file.read_text())
    less = snapshot.model_copy(update={"scans": snapshot.scans[1:]})
    file.write_text(less.model_dump_json())


@pytest.mark.parametrize(
    ("edit", "file", "what"),
    [
        (_without_ledger, "adapter.safetensors", {"changed", "edited"}),
        (_of_another_work, "lineage.json", {"changed", "names nothing"}),
        (lambda home: (adapter_of(home)[1] / "lineage.json").unlink(), "lineage.json", {"missing", "edited"}),
        (lambda home: (adapter_of(home)[1] / "adapter.json").unlink(), "adapter.json", {"missing"}),
    ],
)
def test_an_adapter_whose_ledger_or_snapshot_was_removed_or_edited_is_found(
    home: Home, edit: Callable[[Home], None], file: str, what: set[str]
) -> None:
    adapter, _ = adapter_of(home)
    edit(home)
    assert found(home)[f"{adapter.path}/{file}"] == what


def test_without_a_chain_the_records_contradict_one_another(home: Home) -> None:
    shutil.rmtree(home.root / "proof")
    assert found(home) == {}
    adapter, folder = adapter_of(home)
    _without_ledger(home)
    edited = adapter.model_copy(update={"sha256": sha256_of(folder / "adapter.safetensors")})
    (folder / "adapter.json").write_text(edited.model_dump_json())
    findings = found(home)
    assert findings[f"{adapter.path}/adapter.safetensors"] == {"edited"}  # the ledger was taken out
    assert findings[f"adapters/{PAINTER}/manifest.jsonl"] == {"edited"}  # it says something else than adapter.json


@pytest.mark.parametrize("what", ["crops", "training_set", "evaluation"])
def test_a_record_that_names_records_that_are_not_there_is_found(home: Home, what: str) -> None:
    manifest = home.root / what / PAINTER / MANIFEST
    with working_on(home, PAINTER):  # the product itself wrote it: the chain agrees
        if what == "evaluation":
            rows = read_manifest(manifest, Sample)
            write_manifest(manifest, [row.model_copy(update={"adapter_ids": ("e" * 16,)}) for row in rows])
        else:
            before = home.root / {"crops": "register", "training_set": "crops"}[what] / PAINTER / MANIFEST
            rows = read_manifest(before, Scan if what == "crops" else Crop)
            write_manifest(before, rows[1:])
    assert "names nothing" in found(home)[manifest.relative_to(home.root).as_posix()]


def test_a_path_that_leads_out_of_its_folder_is_told_and_not_read(home: Home) -> None:
    manifest = home.crops(PAINTER) / MANIFEST
    rows = read_manifest(manifest, Crop)
    write_manifest(manifest, [rows[0].model_copy(update={"path": "../../../secret"}), *rows[1:]])
    assert "edited" in found(home)[f"crops/{PAINTER}/manifest.jsonl"]


def withdrawn(home: Home, scan: Scan, action: withdrawals.Action = "withdrawn") -> None:
    """Add a line about a scan to the ledger of withdrawals, as `artmaster withdraw` begins."""
    scans = [withdrawals.WithdrawnScan(sha256=scan.sha256)]
    withdrawals.append(home, withdrawals.new_line(action, scans, [PAINTER], "The heirs asked for it", "Ms Li"))


def test_works_that_were_withdrawn_may_be_gone_and_no_others(home: Home) -> None:
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    crops = [
        crop for crop in read_manifest(home.crops(PAINTER) / MANIFEST, Crop) if crop.scan_sha256 == scans[0].sha256
    ]
    gone = [home.scans(PAINTER) / scans[0].path, *(home.crops(PAINTER) / crop.path for crop in crops)]
    for file in gone:
        file.unlink()
    assert len(found(home)) == len(gone)
    withdrawn(home, scans[0])
    assert found(home) == {}
    (home.scans(PAINTER) / scans[1].path).unlink()
    assert found(home) == {f"scans/{PAINTER}/{scans[1].path}": {"missing"}}
    withdrawn(home, scans[0], "restored")
    assert len(found(home)) == len(gone) + 1


@pytest.mark.parametrize("chained", [True, False])
def test_withdrawing_and_restoring_leave_a_whole_home_and_hide_no_edit(home: Home, chained: bool) -> None:
    scan = read_manifest(home.register(PAINTER) / MANIFEST, Scan)[0]
    mask = next(
        crop.mask_path
        for crop in read_manifest(home.crops(PAINTER) / MANIFEST, Crop)
        if crop.scan_sha256 != scan.sha256
    )
    report, _ = withdraw_artwork(home, scan.sha256, "The heirs asked for it", now=True)
    assert report.galleries_down
    if not chained:  # a home from before the chain
        shutil.rmtree(home.root / "proof")
    assert found(home) == {}
    unlinked(home.crops(PAINTER) / mask).write_bytes(b"x")
    if chained:
        assert found(home) == {f"crops/{PAINTER}/{mask}": {"changed"}}
        restore_artwork(home, scan.sha256)
        assert found(home) == {f"crops/{PAINTER}/{mask}": {"changed"}}
    (home.root / "withdrawals.jsonl").unlink()
    assert (found(home).get("withdrawals.jsonl") == {"missing"}) == chained


@pytest.mark.parametrize("lost", [1, 2])
def test_a_ledger_of_withdrawals_that_lost_lines_lets_nothing_pass(home: Home, lost: int) -> None:
    """Each line that is left can be read, so only what was written of it says that there were more."""
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    withdrawn(home, scans[0])
    withdrawn(home, scans[1])
    ledger = home.root / "withdrawals.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:-lost]))
    with pytest.raises(ArtMasterError, match=r"has lost lines.* from git or a backup"):
        in_force(home)
    with pytest.raises(ArtMasterError, match="has lost lines"):
        withdrawn(home, scans[1], "restored")
    assert found(home) == {"withdrawals.jsonl": {"changed"}}
    ledger.write_text("".join(lines))
    assert in_force(home).keys() == {scans[0].sha256, scans[1].sha256}
    assert found(home) == {}


def test_an_earlier_ledger_of_withdrawals_passes_with_the_chain_of_its_time(home: Home) -> None:
    """As after a checkout of an earlier commit, which has both; and lines of another machine may follow."""
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    withdrawn(home, scans[0])
    ledger = home.root / "withdrawals.jsonl"
    before = ledger.read_text()
    shutil.copytree(home.root / "proof", home.root / "proof of then")
    withdrawn(home, scans[1])
    after = ledger.read_text()
    ledger.write_text(before)
    shutil.rmtree(home.root / "proof")
    (home.root / "proof of then").rename(home.root / "proof")
    assert in_force(home).keys() == {scans[0].sha256}
    assert found(home) == {}
    ledger.write_text(after)
    assert in_force(home).keys() == {scans[0].sha256, scans[1].sha256}


def test_a_line_that_was_taken_out_of_the_ledger_of_withdrawals_stays_told(home: Home) -> None:
    """Where nothing says any more how it was written the product adds its next line, and vouches for what is there."""
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    withdrawn(home, scans[0])
    withdrawn(home, scans[1])
    ledger = home.root / "withdrawals.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[1:]))
    assert found(home) == {"withdrawals.jsonl": {"changed"}}
    (home.root / "proof" / "files" / ".house.sha256").unlink()
    withdrawn(home, scans[1], "restored")
    assert "edited" in found(home)["withdrawals.jsonl"]
    ledger.write_text("{\n")
    assert found(home)["withdrawals.jsonl"] == {"changed", "edited"}


# --- DVC


def test_dvc_names_what_the_chain_does_not(home: Home) -> None:
    for stage in ("raw_scans", "curated_crops", "training_set", "style_adapter", "evaluation_grid", "sample_gallery"):
        versioning.commit_stage(home, stage, PAINTER)
    shutil.rmtree(home.root / "proof")
    assert found(home) == {}
    mask = next((home.crops(PAINTER) / "masks").iterdir())
    name = mask.relative_to(home.root).as_posix()
    content = mask.read_bytes()
    unlinked(mask).write_bytes(content[:-1])
    assert found(home) == {name: {"changed"}}
    mask.write_bytes(content)
    (home.scans(PAINTER) / "painter.yaml").write_text("name: Somebody else\n")
    assert found(home) == {f"scans/{PAINTER}/painter.yaml": {"changed"}}


def test_a_folder_is_compared_as_a_whole_where_dvc_s_list_is_not_there(home: Home) -> None:
    versioning.commit_stage(home, "curated_crops", PAINTER)
    shutil.rmtree(home.root / "proof")
    shutil.rmtree(home.root / ".dvc" / "cache")
    assert found(home) == {}
    mask = next((home.crops(PAINTER) / "masks").iterdir())
    unlinked(mask).write_bytes(b"x")
    assert found(home) == {f"crops/{PAINTER}": {"changed"}}


def test_what_the_product_wrote_after_the_last_commit_is_no_finding(home: Home) -> None:
    versioning.commit_stage(home, "evaluation_grid", PAINTER)
    adapter, _ = adapter_of(home)
    decide(home, PAINTER, adapter.id, "reject", "A seal is everywhere.")
    answer = verify(home)
    assert answer.findings == ()
    decisions = home.evaluation(PAINTER) / "decisions.jsonl"
    decisions.write_text(decisions.read_text().replace("reject", "publish"))
    assert found(home) == {f"evaluation/{PAINTER}/decisions.jsonl": {"changed"}}


def test_a_torn_dvc_lock_is_told(home: Home) -> None:
    versioning.commit_stage(home, "curated_crops", PAINTER)
    (home.root / "dvc.lock").write_text("stages: [")
    assert found(home) == {"dvc.lock": {"edited"}}


# --- the chain


def ledger(home: Home) -> Path:
    return home.root / "proof" / "ledger.jsonl"


def more_lines(home: Home, count: int = 3) -> None:
    """Let the product write a few more lines."""
    for number in range(count):
        with working_on(home, PAINTER):
            (home.adapters(PAINTER) / f"note-{number}.txt").write_text(str(number))


@given(place=st.integers(0, 3), how=st.sampled_from(["edited", "removed", "repeated", "put in", "swapped"]))
@rules(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_edit_of_any_line_is_found(
    whole: Home, tmp_path_factory: pytest.TempPathFactory, place: int, how: str
) -> None:
    home = Home(linked_copy(whole.root, tmp_path_factory.mktemp("lines") / "home"))
    more_lines(home)
    lines = ledger(home).read_text().splitlines()
    place = min(place, len(lines) - 1)
    if how == "edited":
        lines[place] = lines[place].replace('"at":"20', '"at":"19')
    elif how == "removed":
        del lines[place]
        place = min(place, len(lines) - 2)
    elif how == "swapped":
        lines[place], lines[place - 1] = lines[place - 1], lines[place]
    else:
        lines.insert(place, lines[place if how == "repeated" else 0])
    ledger(home).write_text("".join(f"{line}\n" for line in lines))
    removed_last = how == "removed" and len(lines) == place + 2 and proof.read_chain(home).faults == ()
    assert removed_last or "proof/ledger.jsonl" in found(home), (place, how)
    shutil.rmtree(home.root)


def test_a_line_that_a_kill_left_half_written_is_completed_and_told(home: Home) -> None:
    more_lines(home)
    text = ledger(home).read_text()
    last = text.splitlines()[-1]
    for left in (1, 10, len(last), len(last) + 1):  # up to the whole line
        ledger(home).write_text(text[:-left])
        answer = verify(home)
        assert answer.findings == ()
        assert ["half-written" in note for note in answer.notes] == [True]
        assert ledger(home).read_text() == text
    ledger(home).write_text(text[:-10] + "x")
    assert found(home)
    more_lines(home, 5)  # whoever writes next does not hide it
    assert any(name.startswith("proof/") for name in found(home))


def test_a_removed_chain_is_found_by_its_lists_and_a_removed_head_by_the_chain(home: Home) -> None:
    (home.root / "proof" / "head.json").unlink()
    assert found(home) == {"proof/head.json": {"edited"}}
    ledger(home).unlink()
    assert "proof/ledger.jsonl" in found(home)


def test_an_edited_list_stays_told_after_the_next_run_has_written_it_anew(home: Home) -> None:
    file = proof.listing_file(home, PAINTER)
    mask = next((home.crops(PAINTER) / "masks").iterdir())
    old = sha256_of(mask)
    unlinked(mask).write_bytes(b"x")
    file.write_text(
        file.read_text().replace(
            f"{old}  {mask.relative_to(home.root)}", f"{sha256_of(mask)}  {mask.relative_to(home.root)}"
        )
    )
    path = file.relative_to(home.root).as_posix()
    assert path in found(home)
    more_lines(home)
    assert path in found(home)


def test_what_was_edited_between_two_runs_is_not_taken_for_the_product_s_own(home: Home) -> None:
    adapter, folder = adapter_of(home)
    record = folder / "adapter.json"
    record.write_text(record.read_text().replace('"steps":400', '"steps":401'))
    more_lines(home)
    assert "changed" in found(home)[f"{adapter.path}/adapter.json"]


def test_an_earlier_state_of_a_record_is_told_as_such(home: Home) -> None:
    manifest = home.crops(PAINTER) / MANIFEST
    before = manifest.read_bytes()
    with working_on(home, PAINTER):
        write_manifest(manifest, read_manifest(manifest, Crop)[1:])
    manifest.write_bytes(before)
    says = [f.says for f in verify(home).findings if f.file == f"crops/{PAINTER}/manifest.jsonl"]
    assert any("as it was on" in each for each in says)


def test_a_home_of_before_begins_its_chain_with_a_line_that_says_so(home: Home) -> None:
    shutil.rmtree(home.root / "proof")
    answer = verify(home)
    assert (answer.findings, answer.chain.lines) == ((), 0)
    assert "no chain yet" in answer.limits[0]
    more_lines(home, 1)
    (line,) = proof.read_chain(home).lines
    assert line.begins
    assert (
        line.found
        == len([f for f in named_files(home) if not f.startswith(("scans", "proof", "gallery/index"))])
        - len(line.records)
        - 1
    )
    answer = verify(home)
    assert answer.findings == ()
    assert any("older than the chain" in limit for limit in answer.limits)
    manifest = home.crops(PAINTER) / MANIFEST  # records are known from the first line on
    write_manifest(manifest, read_manifest(manifest, Crop)[1:])
    assert "changed" in found(home)[f"crops/{PAINTER}/manifest.jsonl"]
    crop = read_manifest(manifest, Crop)[0]  # and pictures by their records
    unlinked(home.crops(PAINTER) / crop.path).write_bytes(b"x")
    assert "changed" in found(home)[f"crops/{PAINTER}/{crop.path}"]


def test_a_head_that_was_kept_elsewhere_tells_a_home_that_was_put_back(home: Home) -> None:
    head = verify(home).chain.head
    earlier = Home(shutil.copytree(home.root, home.root.with_name("earlier")))
    more_lines(home)
    later = verify(home).chain.head
    assert found(home, "", head) == found(home, "", later) == found(earlier, "", head) == {}
    assert found(earlier, "", later) == {"proof/ledger.jsonl": {"edited"}}


def _kill_in_the_middle(home: Home) -> None:
    with working_on(home, PAINTER):
        (home.crops(PAINTER) / "masks" / "late.png").write_bytes(b"late")
        os._exit(9)


def test_the_work_of_a_run_that_was_killed_is_noted_by_the_next(home: Home) -> None:
    if (child := os.fork()) == 0:
        _kill_in_the_middle(home)
    os.waitpid(child, 0)
    answer = verify(home)
    assert answer.findings == ()
    assert any("was stopped" in note for note in answer.notes)
    assert proof.read_chain(home).lines[-1].after_a_kill


def _write_lines(root: Path, painter: str, count: int) -> None:
    home = Home(root)
    for number in range(count):
        with working_on(home, painter):
            (home.crops(painter)).mkdir(parents=True, exist_ok=True)
            (home.crops(painter) / f"{number}.txt").write_text(str(number))


def test_two_processes_that_write_at_once_leave_a_whole_chain(tmp_path: Path) -> None:
    painters = ["a-painter", "b-painter", "c-painter"]
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(_write_lines, [tmp_path] * 3, painters, [7] * 3))
    chain = proof.read_chain(Home(tmp_path))
    assert chain.faults == ()
    assert sorted(line.painter for line in chain.lines) == sorted(painters * 7)


# --- signed


def test_the_head_is_signed_with_the_house_s_certificate(home: Home) -> None:
    pytest.importorskip("cryptography")
    pytest.importorskip("c2pa")
    assert "not signed" in verify(home).limits[0]
    make_keys(home)
    more_lines(home)
    answer = verify(home)
    assert (answer.findings, answer.chain.signature, answer.chain.signed_since) == ((), "whole", 4)
    assert "signed with the house's certificate since line 4" in answer.limits[0]
    file = home.root / "proof" / "head.json"
    head = json.loads(file.read_text())
    for name, value in (("signed_since", 1), ("signature", "00"), ("signature", head["signature"][:-2] + "00")):
        file.write_text(json.dumps(head | {name: value}))
        assert found(home) == {"proof/head.json": {"edited"}}
    file.write_text(json.dumps(head | {"signature": head["signature"].upper()}, indent=1) + "\n")
    assert found(home) == {"proof/head.json": {"edited"}}  # the same signature otherwise written
    # whoever rewrites the chain without the keys cannot sign it
    file.write_text(json.dumps(head))
    lines = ledger(home).read_text().splitlines()
    lines[-1] = lines[-1].replace('"after_a_kill":false', '"after_a_kill":true')
    ledger(home).write_text("".join(f"{line}\n" for line in lines))
    file.write_text(json.dumps(head | {"line": lines[-1]}))
    assert found(home) == {"proof/head.json": {"edited"}}


# --- what the product itself does is no edit


def test_a_clone_without_the_kept_versions_says_so_and_is_whole(home: Home) -> None:
    versioning.commit_stage(home, "sample_gallery", PAINTER)
    shutil.rmtree(home.root / "gallery" / ".versions")
    answer = verify(home)
    assert answer.findings == ()
    assert any(f"gallery/.versions/{PAINTER}/ is here" in note for note in answer.notes)


def test_a_renamed_and_a_removed_painter_leave_a_whole_home_and_hide_no_edit(home: Home) -> None:
    from artmaster_pipeline.orchestration.painters import remove_painter, rename_painter

    mask = next((home.crops(PAINTER) / "masks").iterdir())
    unlinked(mask).write_bytes(b"x")
    rename_painter(home, PAINTER, "new-name")
    assert found(home) == {f"crops/new-name/masks/{mask.name}": {"changed"}}
    remove_painter(home, "new-name")
    assert found(home) == {}
    assert proof.read_chain(home).faults == ()
