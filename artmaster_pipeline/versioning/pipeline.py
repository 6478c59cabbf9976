"""dvc.yaml: the stages' table as DVC reads it, and painters.yaml: the painters, sets, canvases and stories of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.filed import FILED
from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import MIXES_FILE
from artmaster_pipeline.settings import PAINTER_FILE, Home
from artmaster_pipeline.stages import (
    KINDS,
    Kind,
    Stage,
    Step,
    in_order,
    inputs_of,
    is_filed,
    kind_of,
    members,
    source_named,
)
from artmaster_pipeline.yaml_text import read_yaml

PAINTERS_FILE = "painters.yaml"
SETTINGS = "settings"  # the stage that resolves what the others use; its folder, too
# What the kinds of partitions are called in painters.yaml; those with a file of their own as their folder is.
_LISTS: dict[Kind, str] = {"painter": "painters", "painters": "sets"}
_LISTS |= {kind: of.folder for kind, of in FILED.items()}
_ASKED = "on_request"  # there, too: the partitions of each stage that is made on request
_HEAD = (
    "# The stages of every painter in the data home, the same as Dagster's assets; written from the product's table.\n"
    "# `artmaster run` commits each stage once its asset is made; `dvc repro` runs stale ones through Dagster.\n"
)


def stage_name(stage: str, partition: str) -> str:
    """What DVC calls a stage of a painter, of a set, of a canvas or of a story."""
    return f"{stage}@{partition}" if kind_of(partition) == "painter" else f"{stage}--{partition}"


def pipeline_text(home: str, sets: Sequence[str] = (), filed: Mapping[str, Sequence[str]] | None = None) -> str:
    """The dvc.yaml of a data home at `home`, relative to the file's folder; stages over several painters written out.

    `filed` are the partitions of canvases and stories, each with its painters.
    """
    return text_of(pipeline(home, sets, filed=filed))


def pipeline(
    home: str,
    sets: Sequence[str] = (),
    asked: Mapping[str, Sequence[str]] | None = None,
    filed: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """What that dvc.yaml says; stages on request stand there for the partitions that were `asked` for alone."""
    asked = asked or {}
    known = _Known({partition: tuple(painters) for partition, painters in (filed or {}).items()})
    prefix = "" if home == "." else f"{home}/"  # DVC compares paths as written: "./scans" would never equal "scans"
    stages: dict[str, Any] = {
        SETTINGS: {"foreach": "${painters}", "do": _settings(prefix, "${item}", ("${item}",))},
    }
    for stage in in_order("painter"):
        if painters := list(asked.get(stage.name, ())) if stage.on_request else "${painters}":
            stages[stage.name] = {"foreach": painters, "do": _painter_stage(prefix, stage)}
    for partition in (*sets, *known.filed):
        stages[stage_name(SETTINGS, partition)] = _settings(prefix, partition, known.members(partition))
        for stage in in_order(kind_of(partition)):
            if not stage.on_request or partition in asked.get(stage.name, ()):
                stages[stage_name(stage.name, partition)] = _stage_of_several(prefix, stage, partition, known)
    return {"vars": [{"home": home}, prefix + PAINTERS_FILE], "stages": stages}


@dataclass(frozen=True)
class _Known:
    """Who is in each partition: of a canvas or a story by what its file said when this was asked for."""

    filed: Mapping[str, tuple[str, ...]]

    def members(self, partition: str) -> tuple[str, ...]:
        return self.filed[partition] if partition in self.filed else members(partition)


def text_of(content: dict[str, Any]) -> str:
    """A dvc.yaml's content as its text."""
    return _HEAD + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


def is_ours(name: str) -> bool:
    """Whether a stage of a dvc.yaml is one that the table writes, now or for a set that has gone."""
    known = {SETTINGS, *(stage.name for stage in in_order())}
    return name.split("--", maxsplit=1)[0] in known


def _painter_stage(prefix: str, stage: Stage) -> dict[str, Any]:
    folders = [*stage.sources, *(entry.folder for entry in in_order("painter") if entry.name in stage.after)]
    return _definition(prefix, stage, "${item}", [f"{folder}/${{item}}" for folder in folders])


def _stage_of_several(prefix: str, stage: Stage, partition: str, known: _Known) -> dict[str, Any]:
    folders = {entry.name: entry.folder for entry in in_order()}
    own = (source_named(partition),) if is_filed(partition) else known.members(partition)
    read = [f"{folder}/{name}" for folder in stage.sources for name in own]
    read += [f"{folders[step.stage]}/{step.partition}" for step in inputs_of(Step(stage.name, partition), known)]
    return _definition(prefix, stage, partition, read)


def _definition(prefix: str, stage: Stage, partition: str, read: list[str]) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "cmd": f"artmaster run {partition} --only {stage.name} --home ${{home}}",
        "deps": [prefix + folder for folder in read],
    }
    if stage.painter or stage.profile:
        definition["params"] = [{f"{prefix}{SETTINGS}/{partition}.yaml": [stage.name]}]
    definition["outs"] = [{f"{prefix}{stage.folder}/{partition}": {"persist": True}}]
    return definition


def _settings(prefix: str, partition: str, painters: Sequence[str]) -> dict[str, Any]:
    read = [*(f"{prefix}scans/{painter}/{PAINTER_FILE}" for painter in painters), f"{prefix}profiles"]
    if kind_of(partition) == "painters" and any(stage.asks for stage in in_order("painters")):
        read.append(prefix + MIXES_FILE)
    if is_filed(partition):
        read.append(f"{prefix}{FILED[kind_of(partition)].folder}/{source_named(partition)}")
    return {
        "cmd": f"artmaster painters settings {partition} --home ${{home}}",
        "deps": read,
        "outs": [{f"{prefix}{SETTINGS}/{partition}.yaml": {"cache": False, "persist": True}}],
    }


def listed(home: Home) -> dict[Kind, list[str]]:
    """The painters, the sets, the canvases and the stories that the home's dvc.yaml is written for."""
    return _read_lists(home)[0]


def asked_for(home: Home) -> dict[str, list[str]]:
    """The partitions of each stage on request that somebody has asked for."""
    return _read_lists(home)[1]


def _read_lists(home: Home) -> tuple[dict[Kind, list[str]], dict[str, list[str]]]:
    file = home.root / PAINTERS_FILE
    if not file.exists():
        return {kind: [] for kind in KINDS}, {}
    try:
        content = read_yaml(file.read_text(encoding="utf-8")) or {}
        found = {kind: list(content.get(_LISTS[kind]) or ()) for kind in KINDS}
        asked = {str(stage): list(those) for stage, those in (content.get(_ASKED) or {}).items()}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise ArtMasterError(
            f"{file} cannot be read: it lists the painters of the home under `painters:`, one `- slug` each. Mend it, "
            "or move it away: ArtMaster writes it anew, and every `artmaster run PAINTER` lists its painter again."
        ) from error
    as_text = {stage: [str(each) for each in those] for stage, those in asked.items()}
    return {kind: [str(each) for each in those] for kind, those in found.items()}, as_text


def write_listed(home: Home, lists: dict[Kind, list[str]], asked: Mapping[str, Sequence[str]]) -> None:
    """Write painters.yaml, without what was `asked` of partitions that are gone; untouched if nothing changed."""
    content: dict[str, Any] = {_LISTS["painter"]: sorted(set(lists["painter"]))}
    for kind in KINDS[1:]:
        if lists[kind]:
            content[_LISTS[kind]] = sorted(set(lists[kind]))
    there = {each for those in lists.values() for each in those}
    if still := {stage: kept for stage, those in asked.items() if (kept := sorted(there.intersection(those)))}:
        content[_ASKED] = still
    file, text = home.root / PAINTERS_FILE, yaml.safe_dump(content)
    if not file.is_file() or file.read_bytes() != text.encode():
        write_text(file, text)
