"""Renaming and removing a painter: folders, records, DVC's names and Dagster's partitions, as one piece of work.

It is written down before it begins and struck out when it is done, and every part of it may be done twice: after a kill
the same command goes on. What was published, and the records that say what is in an adapter, are kept. A canvas or a
story keeps its places whoever is renamed, since its name holds nobody's: its own file names the painter anew.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.filed import FILED
from artmaster_pipeline.files import check_slug, clear_partials, move, to_disk, whole_files, write_text
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.orchestration.assets import PARTITIONS
from artmaster_pipeline.orchestration.instance import open_instance
from artmaster_pipeline.publishing.painters_page import one_publisher, renew_painters_page
from artmaster_pipeline.settings import Home, complete_painter, load_painter, save_painter
from artmaster_pipeline.stages import in_order, kind_of, members

_PUBLISHED = "gallery"
_VERSIONS = "gallery/.versions"
_RECORDS = frozenset({".json", ".jsonl", ".md"})  # what stays of a painter who is removed


def rename_painter(home: Home, old: str, new: str) -> None:
    """Give a painter another slug. Nothing is made anew: what was trained and published stays what it is.

    The published site and its kept versions are moved unchanged, and name the painter as they did. Raises WrongUse
    where there is no such painter or the new name is taken, ArtMasterError while another process works on either.
    """
    check_slug(new)
    command = f"rename {old} {new}"
    with ExitStack() as held:
        beside = {*_beside(home, old), *_beside(home, new)} - {old, new}
        for painter in (old, *sorted(beside), new):  # let go the other way round: what is known of files goes with them
            held.enter_context(working_on(home, painter, wait=False))
        clean = _begun(home, command)
        if clean is None:
            if not _is_known(home, old) and home.scans(new).is_dir() and old in load_painter(home, new).formerly:
                return  # all was done when a kill came
            _check_names(home, old, new)
            clean = _clean_stages(home, old)
            _begin(home, command, (old, new), clean)
        _clear_partials(home, old, new)
        if home.scans(old).is_dir():
            complete_painter(home, old)  # name and trigger were made from the slug: now they are written down
        for source, target in _moves(home, old, new):
            if source.exists() and not target.exists():
                move(source, target)
        for place in _cached(home, old):
            target = place.with_name(new + place.name.removeprefix(old))
            _remove(target)  # of a painter who had the name before: it can be made again
            move(place, target)
        settings = load_painter(home, new)
        formerly = (*(name for name in settings.formerly if name not in {old, new}), old)
        save_painter(home, new, settings.model_copy(update={"formerly": formerly}))
        _rewrite_records(home, old, new)
        _rename_in_files(home, old, new)
        versioning.forget(home, old, instead=new)
        _forget_in_dagster(home, old)
        with one_publisher(home):
            renew_painters_page(home)
        versioning.commit_renamed(home, [each for each in clean if home.stage_folder(each, new).is_dir()], new)
        _finish(home)


def remove_painter(home: Home, painter: str) -> None:
    """Take a painter's scans, pictures and weights out of the home.

    Kept are what is published, with all its versions, and the records of scans, crops, training sets, adapters and
    verdicts: what an adapter was made from can still be answered. DVC's cache keeps the bytes until `dvc gc`. Raises
    WrongUse where there is no such painter, ArtMasterError while another process works on it.
    """
    check_slug(painter)
    with working_on(home, painter, wait=False):
        command = f"remove {painter}"
        if _begun(home, command) is None:
            if not _is_known(home, painter):
                load_painter(home, painter)  # says who is known
            _begin(home, command, (painter,))
        _clear_partials(home, painter)
        versioning.forget(home, painter)
        for stage in in_order("painter"):
            if stage.folder != _PUBLISHED:
                _keep_records_only(home.stage_folder(stage.name, painter))
        for place in _cached(home, painter):
            _remove(place)
        _remove(home.scans(painter))
        _forget_in_dagster(home, painter)
        with one_publisher(home):
            renew_painters_page(home)
        _finish(home)


def _begun(home: Home, command: str) -> tuple[str, ...] | None:
    """The stages that were clean when this command began and was killed; None where it did not begin."""
    left = versioning.left_unfinished(home)
    if left is not None and left.command != command:
        raise WrongUse(f"Finish first what was stopped before its end: artmaster painters {left.command}")
    return left.clean if left else None


def _begin(home: Home, command: str, painters: tuple[str, ...], clean: tuple[str, ...] = ()) -> None:
    left = versioning.Unfinished(command=command, painters=painters, clean=clean)
    write_text(versioning.unfinished(home), left.model_dump_json())


def _finish(home: Home) -> None:
    file = versioning.unfinished(home)
    file.unlink(missing_ok=True)
    to_disk(file.parent)


def _clear_partials(home: Home, *painters: str) -> None:
    """Remove what a kill of the same command left half-written."""
    for painter in painters:
        for stage in in_order("painter"):
            clear_partials(home.stage_folder(stage.name, painter))
        clear_partials(home.root / _VERSIONS / painter)
        clear_partials(home.scans(painter))


def _is_known(home: Home, painter: str) -> bool:
    folders = [home.scans(painter), *(home.stage_folder(stage.name, painter) for stage in in_order("painter"))]
    return any(folder.exists() or folder.is_symlink() for folder in folders)


def _check_names(home: Home, old: str, new: str) -> None:
    """The old name is there, the new one is free; a person may have moved the scans already."""
    moved_by_hand = not home.scans(old).exists() and home.scans(new).is_dir() and _is_known(home, old)
    if not moved_by_hand:
        load_painter(home, old)
    for source, target in _moves(home, old, new):
        if target.exists() and not (moved_by_hand and target == home.scans(new)):
            raise WrongUse(
                f"{new} cannot be the new name of {old}: {target} is there already. Choose another name"
                + (f", or move {target} away." if source.exists() else ".")
            )


def _clean_stages(home: Home, painter: str) -> tuple[str, ...]:
    """The stages whose bytes DVC names as they are: so they are named under the new name, too."""
    if versioning.find_root(home) is None:
        return ()
    stale = versioning.stale_stages(home, painter)
    if not home.scans(painter).exists():  # moved by hand: of raw_scans nothing can be said, of the others much
        return ()
    return tuple(stage.name for stage in in_order("painter") if stage.name not in stale)


def _moves(home: Home, old: str, new: str) -> Iterator[tuple[Path, Path]]:
    """Every place of a painter, and of the sets that it belongs to, with the place that it shall have; scans last."""
    for stage in in_order("painter"):
        yield home.stage_folder(stage.name, old), home.stage_folder(stage.name, new)
    yield home.root / _VERSIONS / old, home.root / _VERSIONS / new
    for stage in in_order("painters"):
        for place in sorted((home.root / stage.folder).glob("*--*")):
            if kind_of(place.name) == "painters" and old in members(place.name):
                yield place, place.with_name(versioning.renamed_set(place.name, old, new))
    for place in _sets_of(home, old):
        yield place, place.with_name(versioning.renamed_set(place.name, old, new))
    yield home.scans(old), home.scans(new)


def _beside(home: Home, painter: str) -> set[str]:
    """The members of all sets that a painter belongs to: with one of them the files of each set are listed."""
    places = [*(home.root / stage.folder for stage in in_order("painters")), home.root / _VERSIONS]
    names = {entry.name for place in places for entry in place.glob("*--*")}
    return {member for name in names if painter in members(name) for member in members(name)}


def _sets_of(home: Home, painter: str) -> list[Path]:
    """The kept versions of the galleries of sets that a painter belongs to."""
    return [place for place in sorted((home.root / _VERSIONS).glob("*--*")) if painter in members(place.name)]


def _cached(home: Home, painter: str) -> list[Path]:
    """What the caches hold under a painter's name; not the locks, which are held now."""
    found = [*home.cache.glob(f"*/{painter}"), *home.cache.glob(f"*/{painter}.json*")]
    return sorted(place for place in found if place.parent.name != "painters")


def _rewrite_records(home: Home, old: str, new: str) -> None:
    """Let the records name the painter anew; published sites are left as they were signed."""
    of_painter = re.compile(r'("painter"\s*:\s*)"([a-z0-9-]+)"')  # or of a set that the painter belongs to
    of_path = re.compile(rf'("path"\s*:\s*"adapters/){re.escape(old)}/')
    places = [home.stage_folder(stage.name, new) for stage in in_order("painter") if stage.folder != _PUBLISHED]
    sets = [place for stage in in_order("painters") for place in (home.root / stage.folder).glob("*--*")]
    places += [place for place in sets if new in members(place.name) and place.parent.name != _PUBLISHED]
    versions = [home.root / _VERSIONS / new, *_sets_of(home, new)]
    places += [*_cached(home, new), *(file for place in versions for file in whole_files(place, "*.json"))]

    def renamed_painter(found: re.Match[str]) -> str:
        name = found[2]
        if old in members(name):
            name = new if name == old else versioning.renamed_set(name, old, new)
        return f'{found[1]}"{name}"'

    for file in sorted(file for place in places for file in ([place] if place.is_file() else place.rglob("*.json*"))):
        if not file.is_file() or file.suffix not in {".json", ".jsonl"}:
            continue
        text = file.read_text(encoding="utf-8")
        renamed = of_path.sub(rf"\g<1>{new}/", of_painter.sub(renamed_painter, text))
        if renamed != text:
            write_text(file, renamed)


def _rename_in_files(home: Home, old: str, new: str) -> None:
    """Let each file of a canvas or a story that names the painter say the new name.

    One that cannot be gone on with word by word stays: whoever paints it is told that there is no such painter.
    """
    for partition in home.filed():
        FILED[kind_of(partition)].rename(home.filed_folder(partition), old, new)


def _keep_records_only(folder: Path) -> None:
    if not folder.is_dir():
        return
    for file in sorted(folder.rglob("*"), reverse=True):
        if file.is_dir() and not file.is_symlink():
            if not any(file.iterdir()):
                file.rmdir()
        elif file.suffix not in _RECORDS:
            file.unlink()


def _remove(place: Path) -> None:
    """Remove a folder or a file; of a link only the link."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _forget_in_dagster(home: Home, painter: str) -> None:
    with open_instance(home) as instance:
        for name in [str(partitions.name) for partitions in PARTITIONS.values()]:
            for key in instance.get_dynamic_partitions(name):
                if painter in versioning.painters_or_none(home, key):
                    instance.delete_dynamic_partition(name, key)
