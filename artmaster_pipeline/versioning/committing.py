"""What is committed to DVC, and what is stale: one stage of one partition at a time."""

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.filed import FILED
from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import MIXES_FILE
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stage_settings import write_settings
from artmaster_pipeline.stages import Step, chain, in_order, is_filed, kind_of, members, set_of, stage_named
from artmaster_pipeline.versioning.pipeline import (
    SETTINGS,
    asked_for,
    is_ours,
    listed,
    pipeline,
    stage_name,
    text_of,
    write_listed,
)
from artmaster_pipeline.versioning.repository import (
    LOCK_FILE,
    PIPELINE_FILE,
    find_root,
    keep_good_lock,
    make_or_mend,
    one_writer,
    opened,
    patiently,
    read_pipeline,
)
from artmaster_pipeline.yaml_text import read_yaml


def prepare(home: Home, partition: str | None = None, asked: Iterable[Step] = ()) -> Path:
    """Make the data home a DVC repository where it is not yet one, and give `partition` its stages.

    Those that are made on request it has from when one of them is `asked` for.

    Mends what a killed run left half-written, writes dvc.yaml as the stages' table has it, and drops painters whose
    scans are gone from it. Returns the DVC root.
    """
    if _inside_dvc() and (root := find_root(home)):
        return root  # DVC holds its own locks and reads these files now
    check_finished(home, partition)
    with one_writer(home):
        return _prepared(home, partition, asked)


def _prepared(home: Home, partition: str | None, asked: Iterable[Step] = ()) -> Path:
    root = make_or_mend(home)
    _list(home, partition, asked)
    _renew_pipeline(home, root)
    return root


def commit_stage(home: Home, stage: str, partition: str, unreadable: Sequence[str] = ()) -> dict[str, str]:
    """Record the current bytes of a stage in dvc.lock (and, for raw_scans, of the scans in their .dvc file).

    Args:
        home: the data home.
        stage: the stage whose output has just been written.
        partition: the painter's slug, the set's, the canvas' or the story's.
        unreadable: entries below scans/<painter>/ that no tool can hash (broken links and the like); DVC is told to
            pass them over, since their quarantine record already says why they are left out.

    Returns:
        The hashes that dvc.lock now names, path below the DVC root -> md5. Empty inside `dvc repro`, where DVC
        itself commits.

    Raises:
        ArtMasterError: another process holds DVC's lock for longer than a few minutes, or the commit fails.
    """
    if _inside_dvc():
        return {}
    root = prepare(home, partition, [Step(stage, partition)])
    with one_writer(home):
        write_settings_if_there(home, partition)
        if "scans" in stage_named(stage).sources:
            for painter in home.members(partition):
                _ignore(home, painter, unreadable)
                _add_scans(home, root, painter)
        return _commit(home, root, [(SETTINGS, partition), (stage, partition)])


def commit_renamed(home: Home, stages: Sequence[str], painter: str) -> None:
    """Record what was clean under a painter's former name, while the renaming is still written down as unfinished."""
    if not stages:
        return
    with one_writer(home):
        root = _prepared(home, painter)
        write_settings_if_there(home, painter)
        if any("scans" in stage_named(stage).sources for stage in stages):
            _add_scans(home, root, painter)
        _commit(home, root, [(SETTINGS, painter), *((stage, painter) for stage in stages)])


def committed_stages(home: Home, partition: str) -> tuple[str, ...]:
    """The stages of a partition whose bytes dvc.lock names."""
    root = find_root(home)
    lock = root / LOCK_FILE if root else None
    if lock is None or not lock.is_file():
        return ()
    named = (read_yaml(lock.read_text(encoding="utf-8"), quick=True) or {}).get("stages") or {}
    return tuple(s.name for s in in_order(kind_of(partition)) if stage_name(s.name, partition) in named)


def stale_stages(home: Home, partition: str) -> tuple[str, ...]:
    """The stages of a partition whose inputs, settings or output are not what dvc.lock names, in order.

    Those on request count where they were asked for.
    """
    asked = asked_for(home)
    stages = [s for s in in_order(kind_of(partition)) if not s.on_request or partition in asked.get(s.name, ())]
    stale = stale_steps(home, [Step(stage.name, partition) for stage in stages])
    return tuple(stage.name for stage in stages if Step(stage.name, partition) in stale)


def stale_steps(home: Home, steps: Iterable[Step]) -> set[Step]:
    """Those of `steps` whose inputs, settings or output are not what dvc.lock names."""
    steps = list(steps)
    if find_root(home) is None:
        return set(steps)
    with one_writer(home):
        root = prepare(home)
        known, requests = listed(home), asked_for(home)
        asked = [
            step
            for step in steps
            if step.partition in known[kind_of(step.partition)]
            and (not stage_named(step.stage).on_request or step.partition in requests.get(step.stage, ()))
        ]
        if not asked:
            return set(steps)
        partitions = sorted({step.partition for step in asked})
        for partition in partitions:
            write_settings_if_there(home, partition)
        targets = [*((step.stage, step.partition) for step in asked), *((SETTINGS, each) for each in partitions)]
        names = _status(root, targets)
        if names is None:
            return set(steps)
        late = [partition for partition in partitions if stage_name(SETTINGS, partition) in names]
        if late and not _inside_dvc():
            _commit(home, root, [(SETTINGS, partition) for partition in late])
    return {step for step in steps if step not in asked or stage_name(step.stage, step.partition) in names}


def said_of(home: Home, partition: str) -> tuple[str, ...]:
    """What a person should know, before any work, of how the bytes of a painter's scans are kept."""
    return tuple(
        f"{home.scans(painter)} is a link to {home.scans(painter).resolve()}: the scans are read there, and DVC keeps "
        "no copy of them. Keep them safe yourself, or copy them into the home instead of the link."
        for painter in home.members(partition)
        if _is_linked(home, painter)
    )


class Unfinished(BaseModel):
    """A renaming or removal of a painter, written down until it is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str  # after `artmaster painters`
    painters: tuple[str, ...]  # whose places change
    clean: tuple[str, ...] = ()  # the stages that DVC named as they are when it began

    @property
    def way_out(self) -> str:
        """What a person does."""
        return f"Run it again, it goes on from there: artmaster painters {self.command}"

    def concerns(self, partition: str) -> bool:
        """Whether places of a painter, or of a set that it belongs to, change; others' never do."""
        return not is_filed(partition) and not set(self.painters).isdisjoint(members(partition))


def unfinished(home: Home) -> Path:
    """Where a renaming or removal of a painter is written down until it is done."""
    return home.cache / "versioning" / "unfinished.json"


def left_unfinished(home: Home) -> Unfinished | None:
    """The renaming or removal that was stopped before its end, or goes on now; None where there is none."""
    file = unfinished(home)
    return Unfinished.model_validate_json(file.read_bytes()) if file.is_file() else None


def check_finished(home: Home, partition: str | None) -> None:
    """Raise ArtMasterError where a painter of the partition was about to be renamed or removed when a kill came."""
    if not partition or (left := left_unfinished(home)) is None:
        return
    if any(left.concerns(painter) for painter in home.members(partition)):
        raise ArtMasterError(f"`artmaster painters {left.command}` was stopped before its end. {left.way_out}")


def forget(home: Home, painter: str, *, instead: str | None = None) -> None:
    """Take a painter's stages and scans out of what DVC knows; the cache keeps their bytes until `dvc gc`.

    `instead` is the painter who stands in its place from now on, in the sets and in what is passed over, too.
    """
    with one_writer(home):
        root = make_or_mend(home)
        lists, asked = listed(home), asked_for(home)
        gone = [each for each in lists["painters"] if painter in members(each)]
        lists["painters"] = [each for each in lists["painters"] if each not in gone]
        left: list[str] = []
        if not instead:
            filed = [each for kind in FILED for each in lists[kind]]
            left = [each for each in filed if painter in painters_or_none(home, each)]
            lists |= {kind: [each for each in lists[kind] if each not in left] for kind in FILED}
        if instead:
            lists["painters"] += [renamed_set(each, painter, instead) for each in gone]
            renamed = {painter: instead} | {each: renamed_set(each, painter, instead) for each in gone}
            asked = {stage: [renamed.get(each, each) for each in those] for stage, those in asked.items()}
        lists["painter"] = [*(each for each in lists["painter"] if each != painter), *([instead] if instead else [])]
        write_listed(home, lists, asked)
        _drop_from_lock(home, root, [painter, *gone, *left])
        settings = [home.resolved_settings(each) for each in (painter, *gone, *left)]
        for pointer in [home.scans(painter).with_name(f"{painter}.dvc"), *settings]:
            pointer.unlink(missing_ok=True)
        folders = {"scans", *(stage.folder for stage in in_order())}
        for ignored in [home.root / folder / ".gitignore" for folder in sorted(folders)]:
            _drop_lines(ignored, lambda line: line == f"/{painter}")
        _pass_on_ignored(home, painter, instead)
        _renew_pipeline(home, root)


def forget_stage(home: Home, stage: str, partition: str) -> None:
    """Take one stage's bytes out of dvc.lock, so that no checkout brings them back; a later run commits it anew."""
    if _inside_dvc() or stage not in committed_stages(home, partition):
        return
    with one_writer(home):
        _drop_stages(home, make_or_mend(home), [stage_name(stage, partition)])


def renamed_set(partition: str, old: str, new: str) -> str:
    """The set with `new` in the place of `old`."""
    return set_of(new if each == old else each for each in members(partition))


def _drop_from_lock(home: Home, root: Path, partitions: Sequence[str]) -> None:
    stages = [SETTINGS, *(stage.name for stage in in_order())]
    _drop_stages(home, root, [stage_name(stage, partition) for stage in stages for partition in partitions])


def _drop_stages(home: Home, root: Path, names: Sequence[str]) -> None:
    lock = root / LOCK_FILE
    if not lock.is_file():
        return
    content = read_yaml(lock.read_text(encoding="utf-8"), quick=True)
    for name in names:
        content["stages"].pop(name, None)
    write_text(lock, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000))
    keep_good_lock(home, root)


def _drop_lines(file: Path, unwanted: Callable[[str], bool]) -> None:
    if not file.is_file():
        return
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not unwanted(line)]
    if kept != lines:
        write_text(file, "".join(f"{line}\n" for line in kept))


def _pass_on_ignored(home: Home, painter: str, instead: str | None) -> None:
    """What DVC passes over of a painter's scans it passes over under the new name; where there is none, no more."""
    _clear_partials_of_ignored(home)
    file, of_painter = home.root / "scans" / ".dvcignore", f"/{painter}/"
    if instead and file.is_file():
        text = file.read_text(encoding="utf-8")
        passed = re.sub(rf"^{re.escape(of_painter)}", f"/{instead}/", text, flags=re.MULTILINE)
        if passed != text:
            write_text(file, passed)
    _drop_lines(file, lambda line: line.startswith(of_painter))


def write_settings_if_there(home: Home, partition: str) -> None:
    """Resolve the settings of a partition whose painters are all there."""
    if all(home.scans(painter).is_dir() for painter in home.members(partition)):
        write_settings(home, partition)


def _inside_dvc() -> bool:
    return bool(os.environ.get("DVC_STAGE"))


def _target(root: Path, stage: str, partition: str) -> str:
    return f"{root / PIPELINE_FILE}:{stage_name(stage, partition)}"


def _commit(home: Home, root: Path, targets: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Commit stages; gives the hashes of those that keep their bytes."""
    found: dict[str, str] = {}
    with opened(root) as repo:
        for stage, partition in targets:
            if stage == SETTINGS and not home.resolved_settings(partition).is_file():
                continue
            name = _target(root, stage, partition)
            # Relinking removes every file and puts it back from the cache: a kill in between would take it away.
            entries = patiently(partial(repo.commit, name, force=True, relink=False))
            if stage != SETTINGS:
                found |= {str(out): out.hash_info.value for entry in entries for out in entry.outs}
    keep_good_lock(home, root)
    return found


def _status(root: Path, targets: Iterable[tuple[str, str]]) -> set[str] | None:
    """The names of the stages among `targets` that DVC finds changed; None where something cannot be hashed."""
    with opened(root) as repo:
        names = [_target(root, stage, partition) for stage, partition in targets]
        try:
            status = patiently(lambda: repo.status(targets=names))
        except OSError:  # an entry that cannot be hashed appeared in scans/: raw_scans will name it
            return None
    return {str(name).rsplit(":", 1)[-1] for name in status}


def _list(home: Home, partition: str | None, requested: Iterable[Step] = ()) -> None:
    """Keep painters.yaml: `partition` is in it, and nothing whose scans were moved or removed by hand."""
    left = left_unfinished(home)
    lists = {
        kind: [each for each in those if (left and left.concerns(each)) or _is_kept(home, each)]
        for kind, those in listed(home).items()
    }
    if partition:
        lists["painter"] += [painter for painter in home.members(partition) if painter not in lists["painter"]]
        if partition not in (known := lists[kind_of(partition)]):
            known.append(partition)
    if lists["painters"] and not (home.root / MIXES_FILE).exists():
        write_text(home.root / MIXES_FILE, "{}  # no mixes yet: docs/mixing.md says what may stand here\n")
    asked = asked_for(home)
    for step in requested:
        if stage_named(step.stage).on_request:
            asked.setdefault(step.stage, []).append(step.partition)
    write_listed(home, lists, asked)


def _is_kept(home: Home, partition: str) -> bool:
    """Whether a partition that is listed stays so: its painters are there or can be, and a file of its own is."""
    if is_filed(partition) and partition not in home.filed():
        return False
    return all(is_there_or_can_be(home, painter) for painter in painters_or_none(home, partition))


def painters_or_none(home: Home, partition: str) -> tuple[str, ...]:
    """The painters of a partition; none of a canvas or a story whose file is missing or cannot be read."""
    try:
        return home.members(partition)
    except WrongUse:
        return ()


def is_there_or_can_be(home: Home, painter: str) -> bool:
    """Whether a painter's scans are there, or DVC can bring them (a clone before `dvc pull`).

    A home where the painter was worked on and whose scans are gone is none that waits for a pull: somebody moved them.
    """
    try:
        scans = home.scans(painter)
    except WrongUse:
        return False
    if scans.is_dir():
        return True
    return scans.with_name(f"{painter}.dvc").is_file() and not home.register(painter).is_dir()


def _renew_pipeline(home: Home, root: Path) -> None:
    """Write dvc.yaml as the table has it; a person's own stages, plots and the like in it stay.

    A file of the form before settings were resolved becomes one of today's, and what was clean under it stays clean.
    """
    file = root / PIPELINE_FILE
    there = read_pipeline(file) if file.is_file() else {}
    where = "." if root == home.root else home.root.relative_to(root).as_posix()
    lists = listed(home)
    # one whose file cannot be read just now has its stages again once it is mended
    filed = {each: named for kind in FILED for each in lists[kind] if (named := painters_or_none(home, each))}
    wanted = pipeline(where, lists["painters"], asked_for(home), filed)
    own = {name: stage for name, stage in (there.get("stages") or {}).items() if not is_ours(str(name))}
    wanted["stages"] |= own
    wanted["vars"] += [each for each in there.get("vars") or () if each not in wanted["vars"]]
    wanted |= {name: part for name, part in there.items() if name not in wanted}
    if there != wanted:
        if there.get("stages") and SETTINGS not in there["stages"]:
            _note_clean(home, root)
        write_text(file, text_of(wanted))
    _take_over(home, root)


def _note_clean(home: Home, root: Path) -> None:
    """Write down which stages are clean under a dvc.yaml of the older form, before it is replaced."""
    stages = [(stage.name, painter) for painter in listed(home)["painter"] for stage in chain("painter")]
    changed = _status(root, stages) if stages else set()
    clean = [] if changed is None else [list(each) for each in stages if stage_name(*each) not in changed]
    write_text(_noted(home), json.dumps(clean))


def _take_over(home: Home, root: Path) -> None:
    """Commit in today's form what was clean in the older one."""
    if not _noted(home).is_file():
        return
    clean = [(str(stage), str(painter)) for stage, painter in json.loads(_noted(home).read_text(encoding="utf-8"))]
    painters = sorted({painter for _, painter in clean})
    for painter in painters:
        write_settings_if_there(home, painter)
    _commit(home, root, [*((SETTINGS, painter) for painter in painters), *clean])
    _noted(home).unlink()


def _noted(home: Home) -> Path:
    return home.cache / "versioning" / "clean-before.json"


def _is_linked(home: Home, painter: str) -> bool:
    return home.scans(painter).is_symlink() or (home.root / "scans").is_symlink()


def _add_scans(home: Home, root: Path, painter: str) -> None:
    """Let DVC keep the scans' bytes. Scans behind a link stay where they are: DVC adds nothing from there."""
    pointer = home.scans(painter).with_name(f"{painter}.dvc")
    if _is_linked(home, painter):
        pointer.unlink(missing_ok=True)
        return
    with opened(root) as repo:
        patiently(lambda: repo.add(str(home.scans(painter)), relink=False))  # as in `_commit`: never without a scan


def _ignore(home: Home, painter: str, unreadable: Sequence[str]) -> None:
    """Keep scans/.dvcignore: one line for each entry of each painter that cannot be hashed, and for partial copies."""
    file = home.root / "scans" / ".dvcignore"
    _clear_partials_of_ignored(home)
    kept = file.read_text(encoding="utf-8").splitlines() if file.exists() else [".partial-*"]
    kept = [line for line in kept if not line.startswith(f"/{painter}/")]
    lines = kept + [f"/{painter}/{_escape(entry)}" for entry in sorted(unreadable)]
    text = "\n".join(lines) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def _clear_partials_of_ignored(home: Home) -> None:
    for leftover in (home.root / "scans").glob(".partial-*"):  # of a killed run: nothing else is written there
        leftover.unlink()


def _escape(name: str) -> str:
    """A file's name as a gitignore pattern; what such a pattern cannot hold matches any one character."""
    characters = []
    for character in name:
        if character in "\n\r" or 0xD800 <= ord(character) <= 0xDFFF:
            characters.append("?")
        elif character in "*?[]\\! #":
            characters.append("\\" + character)
        else:
            characters.append(character)
    return "".join(characters)
