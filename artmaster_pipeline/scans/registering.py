"""The stage raw_scans: every file of a painter's folder is decoded once, identified, described, or quarantined."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.files import clear_partials, inside, sha256_of, writing
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    QUARANTINE,
    Outcome,
    Quarantined,
    Record,
    Scan,
    Withdrawn,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.scans.adding import not_copied
from artmaster_pipeline.scans.artworks import Descriptions, cleaned_title, describe
from artmaster_pipeline.scans.decoding import (
    DECODER,
    Decoded,
    decode,
    held,
    reading,
    reduced,
    thumbnail_bytes,
)
from artmaster_pipeline.scans.deliveries import refused_deliveries
from artmaster_pipeline.scans.hashes import Hashes
from artmaster_pipeline.scans.journal import Journal
from artmaster_pipeline.scans.listing import Entry, Listing, Refusal, is_table, list_folder, one_form, unreadable
from artmaster_pipeline.scans.withdrawn import Seen, find_withdrawn, gone, read_withdrawn, way_back, write_withdrawn
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.threads import usable_cpus

SMALLEST = 64  # pixels; what has a shorter side than this teaches nothing about brushwork
_BLACK = 16  # of 255: what is nowhere brighter shows nothing
_HARMLESS = ("16 bits a channel", "Turned as its EXIF")  # notes on what happens to every file of such a kind
_TOLD = 20  # scans whose notes are printed; the register holds all of them
_THREADS = min(4, len(usable_cpus()))


class Facts(Record):
    """What decoding one file's bytes says, whatever the file is called. `id` = identity(decoder, sha256, suffix)."""

    sha256: str
    width: int = 0
    height: int = 0
    format: str = ""
    colour: str = ""
    notes: tuple[str, ...] = ()
    pixels: str = ""  # sha256 of the decoded sRGB pixels and their shape
    thumbnail: str = ""  # sha256 of the thumbnail's bytes
    reason: str = ""  # why the file cannot be used; empty where it can
    remedy: str = ""


@dataclass(frozen=True)
class _File:
    entry: Entry
    sha256: str
    bytes: int
    fields: dict[str, str]
    in_table: bool


@one_at_a_time
def register_scans(home: Home, painter: str, progress: Progress = SILENT) -> Outcome[Scan]:
    """Write register/<painter>/: the manifest of usable scans, the quarantine, a thumbnail of each scan.

    A file is decoded once for its content; naming or describing it anew does not decode it again. Raises WrongUse
    where there is no such painter and ArtMasterError where no file of theirs can be used.
    """
    settings = load_painter(home, painter)
    register = home.register(painter)
    clear_partials(register)
    clear_partials(_workplace(home))
    listing = list_folder(home.scans(painter))
    described = describe(listing, [row.path for row in read_withdrawn(home, painter) if row.path])
    _check_tables(home, painter, described)
    files, refusals = _identify(home, painter, listing.pictures, described, progress)
    facts, made = _decode_all(home, painter, files, progress)
    withdrawn = _withdrawn(home, painter, files, facts)
    undated = {each.relative for each in described.undated}
    files = [file for file in files if file.entry.relative not in undated and file.entry.relative not in withdrawn]
    first, repeats = _without_repeats(files, facts)
    made |= _mend_thumbnails(register / "thumbnails", first, facts)
    twins = _same_but_for_form(first)
    undated_now = [each for each in described.undated if each.relative not in withdrawn]
    left_out = [*listing.refused, *refusals, *described.unread, *described.partial, *undated_now]
    scans = [_scan(painter, file, facts[_facts_id(file)], twins, settings.rights) for file in first]
    never_copied = (*not_copied(home, painter), *refused_deliveries(home, painter))
    quarantined = _quarantine(painter, files, facts, repeats, left_out, never_copied)
    over = (row.sha256[:16] for row in withdrawn.values() if row.rights_until)  # their files stay, and are compared
    _remove_stale(register / "thumbnails", {f"{name}.jpg" for name in (*(scan.id for scan in scans), *over)})
    rows = [*withdrawn.values(), *gone(home, painter, withdrawn.values())]
    write_withdrawn(home, painter, rows)
    write_manifest(register / QUARANTINE, quarantined)
    write_manifest(register / MANIFEST, scans)
    if not scans:
        raise _nothing_usable(home, painter, quarantined, rows)
    _say(scans, described.faults, (*listing.passed_over_summary(), *_told(withdrawn.values())), progress)
    return Outcome(
        records=read_manifest(register / MANIFEST, Scan),
        manifest=register / MANIFEST,
        made=sum(_facts_id(file) in made for file in first),
        reused=sum(_facts_id(file) not in made for file in first),
        quarantined=read_manifest(register / QUARANTINE, Quarantined),
        figures=_figures(scans, quarantined, described.faults, listing) | ({"withdrawn": len(rows)} if rows else {}),
    )


def _check_tables(home: Home, painter: str, described: Descriptions) -> None:
    """Raise ArtMasterError where a table cannot be read: titles and rights would go missing without a word."""
    tables = [each for each in described.unread if is_table(each.relative)]
    if tables:
        said = "; ".join(f"{home.scans(painter) / each.relative}: {each.reason}. {each.remedy}" for each in tables)
        raise ArtMasterError(f"{said}. Without it what people said of the works would be lost; then run again.")


def _withdrawn(home: Home, painter: str, files: list[_File], facts: dict[str, Facts]) -> dict[str, Withdrawn]:
    """The files that may not be used, by path."""
    thumbnails = home.register(painter) / "thumbnails"
    by_path = {file.entry.relative: file for file in files}
    seen = [
        Seen(path, file.sha256, facts[_facts_id(file)].pixels, file.fields.get("rights_until", ""))
        for path, file in by_path.items()
    ]

    def thumbnail(of: Seen) -> Path:
        _mend_thumbnails(thumbnails, [by_path[of.path]], facts)
        return thumbnails / f"{of.sha256[:16]}.jpg"

    return find_withdrawn(home, painter, seen, thumbnail)


def _told(withdrawn: Iterable[Withdrawn]) -> list[str]:
    """A line for each file that lies there though the ledger has its work as withdrawn."""
    told = [
        f"{row.path} is not used: {row.reason}, withdrawn on {row.since}. {way_back(row.sha256, row.like)}"
        for row in withdrawn
        if not row.rights_until
    ]
    more = len(told) - _TOLD
    return told[:_TOLD] + ([f"{more} more files of withdrawn works are not used."] if more > 0 else [])


def scan_path(home: Home, scan: Scan) -> Path:
    """Where a scan's file is. Raises WrongUse if its path would leave the painter's folder."""
    return inside(home.scans(scan.painter), scan.path)


def _identify(
    home: Home, painter: str, pictures: list[Entry], described: Descriptions, progress: Progress
) -> tuple[list[_File], list[Refusal]]:
    root, hashes = home.scans(painter), Hashes(home, painter)
    files, refusals = [], []
    with progress.task("Reading scans", len(pictures)) as advance:
        for picture in pictures:
            advance(note=picture.relative)
            try:
                inside(root, picture.relative)
                sha256, size = hashes.of(picture.relative, picture.path)
            except WrongUse:
                remedy = "Add its folder with `artmaster painters add`, which copies the picture itself"
                refusals.append(Refusal(picture.relative, "It is a link out of the data home", remedy))
            except OSError as error:
                refusals.append(unreadable(picture.relative, error))
            else:
                fields = described.by_picture.get(picture.relative, {})
                files.append(_File(picture, sha256, size, fields, picture.relative in described.from_table))
    hashes.save()
    return files, refusals


def _decode_all(home: Home, painter: str, files: list[_File], progress: Progress) -> tuple[dict[str, Facts], set[str]]:
    """The facts of every file's content, by facts id, and which of them were found out now."""
    thumbnails = home.register(painter) / "thumbnails"
    journal = Journal(home.cache / "register" / f"{painter}.jsonl", Facts)
    known = {facts.id: facts for facts in journal.read()}
    wanted = {_facts_id(file): file for file in reversed(files)}
    facts = {key: known[key] for key in wanted if key in known}
    missing = {key: wanted[key] for key in sorted(wanted) if key not in known}
    with (
        journal,
        ThreadPoolExecutor(_THREADS) as pool,
        progress.task(f"Decoding scans of {painter}", len(wanted), len(facts)) as advance,
    ):
        running = {pool.submit(_decode, key, file, thumbnails, _workplace(home)): file for key, file in missing.items()}
        for finished in as_completed(running):
            found = finished.result()
            facts[found.id] = found
            journal.add(found)
            advance(note=running[finished].entry.relative)
    journal.replace(facts[key] for key in sorted(facts))
    return facts, set(missing)


def _decode(key: str, file: _File, thumbnails: Path, workplace: Path) -> Facts:
    """Decode every pixel once: for its hash, to find a truncated end or an empty sheet, and for the thumbnail."""
    try:
        decoded = decode(file.entry.path)
        if min(decoded.image.width, decoded.image.height) < SMALLEST:
            raise BadInput(
                f"It is {decoded.image.width} x {decoded.image.height} pixels; the shorter side needs {SMALLEST} to "
                "show any brushwork",
                "Scan the artwork at a higher resolution",
            )
        with reading(file.entry.path), held(decoded.image, workplace) as image:
            small = reduced(image).copy_memory()
            _check_not_empty(small, decoded)
            pixels = _hash_pixels(image)
            jpeg = thumbnail_bytes(small)
    except BadInput as bad:
        return Facts(id=key, sha256=file.sha256, reason=bad.reason, remedy=bad.remedy)
    _write(thumbnails / f"{file.sha256[:16]}.jpg", jpeg)
    return Facts(
        id=key,
        sha256=file.sha256,
        width=decoded.image.width,
        height=decoded.image.height,
        format=decoded.format,
        colour=decoded.colour,
        notes=decoded.notes,
        pixels=pixels,
        thumbnail=hashlib.sha256(jpeg).hexdigest(),
    )


def _check_not_empty(small: Any, decoded: Decoded) -> None:
    """Raise BadInput for a sheet of one colour and for one that is black all over: nothing can be learnt from it."""
    import numpy as np

    stats = small.stats().numpy()
    lowest, highest = stats[1:, 0], stats[1:, 1]
    how = "; ".join(decoded.notes)
    told = f" ({how})" if how else ""
    if np.array_equal(lowest, highest):
        raise BadInput(
            f"All its pixels have one colour{told}",
            "Put the picture itself in its place; if it has an alpha channel or layers, save it without them",
        )
    if highest.max() <= _BLACK:
        raise BadInput(
            f"It is black all over: its brightest value is {highest.max():.0f} of 255{told}",
            "Save it from the scanner's program with its full range of values",
        )


def _hash_pixels(image: Any) -> str:
    """sha256 of the shape and of all pixels, which pass by in strips."""
    import pyvips

    digest = hashlib.sha256(f"{image.width}x{image.height}".encode())

    def take(strip: bytes) -> int:
        digest.update(strip)
        return len(strip)

    target = pyvips.TargetCustom()
    target.on_write(take)
    image.rawsave_target(target)
    return digest.hexdigest()


def _workplace(home: Home) -> Path:
    """Where large decoded scans wait for a moment."""
    return home.cache / "decoded"


def _write(place: Path, content: bytes) -> None:
    with writing(place) as temporary:
        temporary.write_bytes(content)


def _without_repeats(files: list[_File], facts: dict[str, Facts]) -> tuple[list[_File], dict[str, _File]]:
    """The files to keep, one for each picture, and for every other usable file (by path) the one kept instead.

    A file that artworks.csv describes goes before one that it does not, then the path decides.
    """
    kept: dict[str, _File] = {}
    repeats = {}
    for file in sorted(files, key=lambda file: (not file.in_table, file.entry.relative)):
        known = facts[_facts_id(file)]
        if known.reason:
            continue
        if known.pixels in kept:
            repeats[file.entry.relative] = kept[known.pixels]
        else:
            kept[known.pixels] = file
    return sorted(kept.values(), key=lambda file: file.entry.relative), repeats


def _same_but_for_form(files: list[_File]) -> set[str]:
    """The paths that differ from another one in case or Unicode form only."""
    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(one_form(file.entry.relative), []).append(file.entry.relative)
    return {name for group in groups.values() if len(group) > 1 for name in group}


def _scan(painter: str, file: _File, facts: Facts, twins: set[str], rights: str) -> Scan:
    relative = file.entry.relative
    notes = facts.notes
    if relative in twins:
        notes += ("Another scan's name differs from this one's in case or Unicode form only",)
    fields = {"title": cleaned_title(relative), "rights": rights} | file.fields
    return Scan(
        id=file.sha256[:16],
        painter=painter,
        path=relative,
        sha256=file.sha256,
        bytes=file.bytes,
        width=facts.width,
        height=facts.height,
        format=facts.format,
        colour=facts.colour,
        notes=notes,
        **fields,
    )


def _quarantine(
    painter: str,
    files: list[_File],
    facts: dict[str, Facts],
    repeats: dict[str, _File],
    refusals: Iterable[Refusal],
    never_copied: tuple[Quarantined, ...],
) -> list[Quarantined]:
    def row(path: str, reason: str, remedy: str, sha256: str = "", duplicate_of: str = "") -> Quarantined:
        return Quarantined(
            id=identity(path, sha256, reason),
            painter=painter,
            path=path,
            sha256=sha256,
            reason=reason,
            remedy=remedy,
            duplicate_of=duplicate_of,
        )

    rows = [row(refusal.relative, refusal.reason, refusal.remedy) for refusal in refusals]
    for file in files:
        known, relative = facts[_facts_id(file)], file.entry.relative
        if known.reason:
            rows.append(row(relative, known.reason, known.remedy, file.sha256))
        elif relative in repeats:
            kept = repeats[relative]
            same = "bytes" if kept.sha256 == file.sha256 else "pixels"
            reason = f"It has the same {same} as {kept.entry.relative}"
            rows.append(row(relative, reason, "Nothing to do: the picture is used once", file.sha256, kept.sha256[:16]))
    there = {entry.path for entry in rows if not is_table(entry.path)}  # a table has many faults
    return rows + [entry for entry in never_copied if entry.path not in there]


def _nothing_usable(
    home: Home, painter: str, quarantined: list[Quarantined], withdrawn: list[Withdrawn]
) -> ArtMasterError:
    reasons = "; ".join(f"{entry.path!r}: {entry.reason}" for entry in quarantined[:5])
    reasons = "; ".join(filter(None, (reasons, f"{len(withdrawn)} works are withdrawn" if withdrawn else "")))
    more = f" (and {len(quarantined) - 5} more)" if len(quarantined) > 5 else ""
    return ArtMasterError(
        f"{home.scans(painter)} holds no picture that can be used. {reasons or 'It is empty'}{more}. "
        f"Add some with: artmaster painters add {painter} FOLDER_OF_SCANS"
    )


def _say(scans: list[Scan], faults: list[str], passed_over: Iterable[str], progress: Progress) -> None:
    """What a person should see of what was decided: which page was used, what was stretched, what lies unused."""
    for line in (*faults, *passed_over):
        progress.say(line)
    noted = [scan for scan in scans if any(not note.startswith(_HARMLESS) for note in scan.notes)]
    for scan in noted[:_TOLD]:
        progress.say(f"{scan.path}: {'. '.join(note for note in scan.notes if not note.startswith(_HARMLESS))}.")
    if len(noted) > _TOLD:
        progress.say(
            f"... and {len(noted) - _TOLD} more scans with notes: register/{noted[0].painter}/{MANIFEST} has all."
        )


def _figures(scans: list[Scan], quarantined: list[Quarantined], faults: list[str], listing: Listing) -> dict[str, Any]:
    notes = Counter(note for scan in scans for note in scan.notes)
    figures: dict[str, Any] = {
        "scans by format": dict(sorted(Counter(scan.format for scan in scans).items())),
        "megapixels": round(sum(scan.width * scan.height for scan in scans) / 1e6, 1),
        "duplicates": sum(bool(entry.duplicate_of) for entry in quarantined),
        "unusable": sum(not entry.duplicate_of for entry in quarantined),
    }
    optional = {
        "decided while reading": dict(sorted(notes.items())),
        "descriptions": faults,
        "ignored files": listing.ignored,
        "kept by systems for themselves": dict(sorted(listing.passed_over.items())),
    }
    return figures | {name: value for name, value in optional.items() if value}


def _facts_id(file: _File) -> str:
    # The suffix takes part because a note depends on it
    return identity(DECODER, file.sha256, file.entry.path.suffix.lower())


def _mend_thumbnails(thumbnails: Path, files: list[_File], facts: dict[str, Facts]) -> set[str]:
    """Make the thumbnails that are missing or damaged again; gives their facts' ids."""
    made = set()
    for file in files:
        place, key = thumbnails / f"{file.sha256[:16]}.jpg", _facts_id(file)
        if not place.is_file() or sha256_of(place) != facts[key].thumbnail:
            with reading(file.entry.path):
                _write(place, thumbnail_bytes(reduced(decode(file.entry.path).image)))
            made.add(key)
    return made


def _remove_stale(folder: Path, wanted: set[str]) -> None:
    for file in folder.glob("*") if folder.is_dir() else ():
        if file.name not in wanted:
            file.unlink()
