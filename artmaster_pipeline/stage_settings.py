"""What each stage uses of painter.yaml and of the profile, resolved and written down as a file that DVC compares.

`settings/<partition>.yaml` in the data home holds one section per stage, with exactly the values that the stages' table
names. An edited setting so changes the sections of the stages that use it, and no others.
"""

from pathlib import Path
from typing import Any

import yaml

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import Home, Profile, load_painter, painter_profile
from artmaster_pipeline.stages import WHICH, Stage, in_order, kind_of

_HEAD = "# What each stage uses of painter.yaml and the profile. Written by ArtMaster: change those, not this file.\n"


def partition_profile(home: Home, partition: str) -> Profile:
    """The profile that a painter, a set of painters, a canvas or a story is worked on with.

    Raises WrongUse where the painters of one partition are on different profiles.
    """
    profiles = {member: painter_profile(home, member) for member in home.members(partition)}
    first, *others = profiles.values()
    if any(other != first for other in others):
        said = ", ".join(f"{member}: {profile.name}" for member, profile in profiles.items())
        which = WHICH[kind_of(partition)]
        raise WrongUse(f"Painters of one {which} need one profile, but their painter.yaml say {said}.")
    return first


def settings_of(home: Home, partition: str, stage: Stage, profile: Profile | None = None) -> dict[str, Any]:
    """The values that a stage uses: `painter` (of several: by painter), `profile`, `asked`; none that it does not use.

    `profile` is the partition's, where it was read already.
    """
    found: dict[str, Any] = {}
    if stage.painter:
        of = {member: load_painter(home, member) for member in home.members(partition)}
        lines = {member: settings.model_dump(include=set(stage.painter)) for member, settings in of.items()}
        found["painter"] = lines[partition] if kind_of(partition) == "painter" else lines
    if stage.profile:
        profile = profile or partition_profile(home, partition)
        found["profile"] = _chosen(profile.model_dump(mode="json"), stage.profile)
    if asked := stage.asked():
        found["asked"] = asked(home, partition)
    return found


def settings_identity(home: Home, partition: str, stage: Stage) -> str:
    """The identity of the values that a stage uses now."""
    return identity(settings_of(home, partition, stage))


def write_settings(home: Home, partition: str) -> Path:
    """Write settings/<partition>.yaml from painter.yaml and the profile as they are; untouched if nothing changed."""
    profile = partition_profile(home, partition)
    used = {stage.name: settings_of(home, partition, stage, profile) for stage in in_order(kind_of(partition))}
    text = _HEAD + yaml.safe_dump(used, allow_unicode=True, sort_keys=True, width=120)
    file = home.resolved_settings(partition)
    if not file.is_file() or file.read_bytes() != text.encode():
        write_text(file, text)
    return file


def _chosen(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The values of dotted names as a tree; a name after a minus is taken out again."""
    found: dict[str, Any] = {}
    for name in names:
        *above, last = name.removeprefix("-").split(".")
        source, target = values, found
        for part in above:
            source, target = source[part], target.setdefault(part, {})
        if name.startswith("-"):
            target.pop(last, None)  # a later setting is there only where it says something
        else:
            value = source[last]
            target[last] = dict(value) if isinstance(value, dict) else value
    return found
