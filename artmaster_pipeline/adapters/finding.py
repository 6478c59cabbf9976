"""Finding an adapter: a painter's current one, one by its id, or all that the data home still has."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.files import check_slug, inside
from artmaster_pipeline.records import ADAPTER_RECORD, MANIFEST, SNAPSHOT, Adapter, AdapterSnapshot, read_manifest
from artmaster_pipeline.settings import Home, Profile, load_painter

_ID = re.compile(r"[0-9a-f]{16}")


def find_adapter(home: Home, painter: str, profile: Profile | None = None, adapter_id: str | None = None) -> Adapter:
    """The painter's current adapter, or the one with that id; with a profile, only if it fits that profile's base.

    Raises WrongUse for an unknown painter, an id that is not one of the painter's (the message lists those) and an
    adapter of another base model, ArtMasterError where the painter has none yet, BadInput where its record is damaged.
    """
    load_painter(home, painter)  # says who is known where the name is wrong
    adapter = current_adapter(home, painter) if adapter_id is None else read_adapter(home, painter, adapter_id)
    if adapter is None and adapter_id is None:
        raise ArtMasterError(
            f"{painter} has no adapter yet. Make one with: artmaster run {painter} --until style_adapter"
        )
    if adapter is None:
        known = ", ".join(known_adapters(home, painter)) or f"none yet; make one with: artmaster run {painter}"
        raise WrongUse(f"{painter} has no adapter {adapter_id!r}. Known adapters: {known}.")
    if profile is not None and adapter.base_model != profile.base_model:
        raise WrongUse(
            f"The adapter {adapter.id} of {painter} was trained on {adapter.base_model}, but the profile "
            f"{profile.name} uses {profile.base_model}: choose the profile {adapter.profile}, another adapter, or "
            "train with this profile first."
        )
    return adapter


def current_adapter(home: Home, painter: str) -> Adapter | None:
    """The adapter that the stage style_adapter gave last; None before the first."""
    return next(iter(read_manifest(home.adapters(painter) / MANIFEST, Adapter)), None)


def read_adapter(home: Home, painter: str, adapter_id: str) -> Adapter | None:
    """The record of a painter's adapter that is still there, current or not. Raises BadInput for a damaged one."""
    if not _ID.fullmatch(adapter_id):
        return None
    file = home.adapters(painter) / adapter_id / ADAPTER_RECORD
    return _read(file) if file.is_file() else None


def known_adapters(home: Home, painter: str) -> tuple[str, ...]:
    """The ids of the painter's adapters that are still there, sorted."""
    return tuple(file.parent.name for file in _records(home.adapters(painter)))


def all_adapters(home: Home) -> Iterator[Adapter]:
    """Every adapter of the data home, painter by painter, also of painters whose scans are gone."""
    for folder in sorted((home.root / "adapters").glob("*/")):
        yield from (_read(file) for file in _records(folder))


def any_adapter(home: Home, adapter_id: str) -> Adapter | None:
    """The adapter with that id, whoever's it is; None where the data home has none of it."""
    if not _ID.fullmatch(adapter_id):
        return None
    return next(
        (_read(file) for file in sorted((home.root / "adapters").glob(f"*/{adapter_id}/{ADAPTER_RECORD}"))), None
    )


def folder_of(home: Home, adapter: Adapter) -> Path:
    """The adapter's folder."""
    check_slug(adapter.painter)
    return inside(home.root, adapter.path)


def read_snapshot(home: Home, adapter: Adapter) -> AdapterSnapshot:
    """The records that the adapter was made from. Raises BadInput where they are not there or damaged."""
    file = folder_of(home, adapter) / SNAPSHOT
    remedy = f"Restore it with `dvc checkout`, or run the stage style_adapter of {adapter.painter} again."
    if not file.is_file():
        raise BadInput(f"{file} is missing, so nobody can say what is in the adapter", remedy)
    try:
        return AdapterSnapshot.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read, so nobody can say what is in the adapter", remedy) from error


def _records(folder: Path) -> list[Path]:
    """adapter.json of every finished adapter below a painter's folder; what a killed run left has another name."""
    return [file for file in sorted(folder.glob(f"*/{ADAPTER_RECORD}")) if _ID.fullmatch(file.parent.name)]


def _read(file: Path) -> Adapter:
    try:
        return Adapter.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{file} is no adapter's record",
            "Restore it with `dvc checkout`, or remove that adapter's folder and run the stage style_adapter again.",
        ) from error
