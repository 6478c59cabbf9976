"""Whether everything that the records name is there as it was written, and nobody edited the records since.

Every file is hashed anew and compared with whoever names its hash: the manifests, the adapter's own record, the
versions of a gallery, DVC where the home is versioned, and the chain (`artmaster_pipeline.proof`), which also tells an
edited record. Records are compared with one another. Neither Dagster nor DVC is asked.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from artmaster_pipeline import proof
from artmaster_pipeline.adapters.finding import any_adapter
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.house import can_sign
from artmaster_pipeline.lineage.answers import Answer
from artmaster_pipeline.lineage.claims import CHAIN, Claims, Finding, What, digests_of, where_bytes_belong
from artmaster_pipeline.lineage.expected import Expected, expected
from artmaster_pipeline.lineage.named_files import Named, adapters_ever, records_of
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import REPORTS, VERSIONS_FOLDER, WITHDRAWALS, Adapter
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import KINDS, in_order, is_filed, kind_of
from artmaster_pipeline.versioning import (
    RecordedFolder,
    Unreadable,
    cached_bytes,
    find_root,
    is_passed_over,
    left_unfinished,
    passed_over,
    recorded_folders,
    unfinished,
)
from artmaster_pipeline.withdrawals import beginnings


class ChainState(Answer):
    """The chain as it stands."""

    lines: int
    head: str  # hash of the newest line; write it down elsewhere and ask for it with --head
    signature: str  # whole, broken, not checked, none
    signed_since: int  # the line; 0: not signed
    begun: str  # when the first line was written, ISO 8601; empty: there is none
    unhashed: int  # files that were there before, of which the chain knows the names alone


class Verification(Answer):
    """What was checked, and what is not as it was written."""

    adapter_id: str  # empty: the whole data home
    checked: dict[str, int]  # files by the first folder of their path
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]  # what a person should know and nobody has to mend, one sentence each
    chain: ChainState
    limits: tuple[str, ...]  # what all this does not prove, one sentence each

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify(home: Home, adapter_id: str = "", head: str = "", progress: Progress = SILENT) -> Verification:
    """Check all files and records of a data home; with `adapter_id` those that an adapter was made from and drew.

    `head` is the hash of a line that was the newest once: it must be in the chain. A painter who is being worked on is
    waited for. Raises WrongUse where there is no such adapter, or the home has nothing to check.
    """
    adapter = _adapter(home, adapter_id) if adapter_id else None
    painters = [adapter.painter] if adapter else _painters(home)
    if not painters:
        raise WrongUse(f"{home.root} has no painters, so there is nothing to verify: name a data home with --home.")
    found = _Found(home, adapters_ever(home))
    versioned = _versioned(home, found)
    torn = proof.read_chain(home).torn  # what a kill left is completed before anything is compared with it
    with _held(home, proof.HOUSE, progress):
        found.explained = _explained(found)
        _check_house(found)
    for painter in painters:
        with _held(home, painter, progress):
            _check_painter(
                found, painter, adapter, [each for each in versioned if _is_of(each.folder, painter)], progress
            )
    _tell_differing(found)
    found.tell_unfinished(adapter)
    chain = proof.read_chain(home)
    found.chain_faults(chain, head, [*painters, proof.HOUSE])
    return Verification(
        adapter_id=adapter_id,
        checked=dict(sorted(found.checked.items())),
        findings=tuple(found.findings),
        notes=(*found.notes, *([torn] if torn else [])),
        chain=_state(chain),
        limits=_limits(home, chain),
    )


@dataclass(frozen=True)
class _Differing:
    """The files of a painter, or of the house, that are not as they were written."""

    claims: Claims
    changed: list[str]
    missing: list[str]
    added: list[str]


@dataclass
class _Found:
    """What the checks have found so far."""

    home: Home
    adapters: set[str]  # the ids of those that there are, or were
    explained: Expected = field(default_factory=Expected)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    differing: list[_Differing] = field(default_factory=list)

    def add(self, what: What, file: str, says: str, told_by: tuple[str, ...], way_out: str = "") -> None:
        self.findings.append(_finding(what, file, says, told_by, way_out))

    def tell_unfinished(self, adapter: Adapter | None) -> None:
        """A renaming or removal that a kill stopped stands for all that is on its way and not where a record has it.

        What the chain's own files say is told nevertheless. When it is finished, all is told again.
        """
        left = left_unfinished(self.home)
        if left is None or (adapter and not left.concerns(adapter.painter)):
            return
        self.findings = [each for each in self.findings if not left.concerns(_partition(each.file))]
        says = f"`artmaster painters {left.command}` was stopped before its end: its files were not compared"
        journal = unfinished(self.home).relative_to(self.home.root).as_posix()
        self.add("unfinished", journal, says, (), left.way_out)

    def chain_faults(self, chain: proof.Chain, head: str, painters: list[str]) -> None:
        """What is wrong with the chain itself."""
        for fault in chain.faults:
            self.add("edited", fault.file, f"Line {fault.line}: {fault.says}" if fault.line else fault.says, (CHAIN,))
        for line in chain.lines:
            if line.list_edited and line.painter in painters:
                says = (
                    f"Before line {line.number} ({line.at}) somebody edited this list: what was written before is not "
                    "proven by later lists"
                )
                self.add("edited", f"proof/files/{line.painter}.sha256", says, (CHAIN,))
        if head and not any(len(head) >= 16 and known.startswith(head.lower()) for known in chain.hashes):
            says = f"No line has the hash {head}: the chain was written anew, or put back to an earlier state"
            self.add("edited", "proof/ledger.jsonl", says, ("--head",))
        kills = [line.number for line in chain.lines if line.after_a_kill and line.painter in painters]
        if kills:
            said = ", ".join(map(str, kills))
            self.notes.append(
                f"Written down by the next run, since the one that wrote was stopped: line {said} of the chain."
            )


def _finding(what: What, file: str, says: str, told_by: tuple[str, ...], way_out: str = "") -> Finding:
    return Finding(what=what, file=file, says=says, told_by=told_by, way_out=way_out or _way_out(file))


def _adapter(home: Home, adapter_id: str) -> Adapter:
    adapter = any_adapter(home, adapter_id)
    if adapter is None:
        raise WrongUse(
            f"There is no adapter {adapter_id!r} in {home.root}. Ask for the whole home: artmaster lineage verify"
        )
    return adapter


def _painters(home: Home) -> list[str]:
    """Whoever has scans, a stage's folder, or a list in the chain: painters, then canvases and stories."""
    found = set(home.painters())
    lists = (home.root / "proof" / "files").glob("[!.]*.sha256")
    found |= {name for file in lists if (name := file.name.removesuffix(".sha256")) != proof.HOUSE}
    for stage in in_order():
        places = (home.root / stage.folder).glob("*/")
        found |= {place.name for place in places if not place.name.startswith(".") and "--" not in place.name}
    # the files of a canvas or a story are listed with it alone, and not with any of its painters
    return sorted(found, key=lambda name: (KINDS.index(kind_of(name)), name))


@contextmanager
def _held(home: Home, painter: str, progress: Progress) -> Iterator[None]:
    """Hold a painter for the block; where the home may only be read nobody works on it."""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(working_on(home, painter, progress))
        yield


def _is_of(folder: str, painter: str) -> bool:
    name = folder.rsplit("/", 1)[-1]
    return name == painter or name.startswith(f"{painter}--")


def _versioned(home: Home, found: _Found) -> tuple[RecordedFolder, ...]:
    try:
        return recorded_folders(home)
    except Unreadable as error:
        is_below = error.file.is_relative_to(home.root)
        path = error.file.relative_to(home.root).as_posix() if is_below else str(error.file)
        found.add("edited", path, "It cannot be read, so nobody can say which bytes DVC named", (path,), error.remedy)
        return ()


def _explained(found: _Found) -> Expected:
    try:
        return expected(found.home)
    except ArtMasterError as error:
        found.add("edited", WITHDRAWALS, "It cannot be read as the ledger of withdrawals", (WITHDRAWALS,), str(error))
        return Expected()


def _check_house(found: _Found) -> None:
    """What belongs to no painter is as the chain has it, and the ledger of withdrawals was only ever added to."""
    listing = _listing(found, proof.HOUSE) or {}
    elsewhere = _elsewhere(found, listing, (f"{REPORTS}/", "gallery/"))
    claims = Claims(found.home.root)
    for path, sha256 in listing.items():
        if path not in elsewhere:
            claims.add(path, sha256, CHAIN)
    there = set(proof.files_there(found.home, proof.HOUSE))
    missing = [path for path in claims.of if path not in there]
    changed = [path for path in claims.of if path in there and claims.against(path)]
    found.checked.update(path.split("/", 1)[0] for path in claims.of)
    added = sorted(there - claims.of.keys()) if listing else []
    found.differing.append(_Differing(claims, changed, missing, added))
    if WITHDRAWALS in there and WITHDRAWALS not in changed and (dropped := _was_dropped(found.home)):
        says = f"It does not begin as it was on {dropped}: lines to which the product only adds were edited or removed"
        found.add("edited", WITHDRAWALS, says, (CHAIN,))


def _was_dropped(home: Home) -> str:
    """When the ledger of withdrawals was written as something that it does not begin with any more; empty: never."""
    states = beginnings((home.root / WITHDRAWALS).read_bytes())
    written = [(line.at, line.records.get(WITHDRAWALS)) for line in proof.read_chain(home, mend=False).lines]
    return next((at for at, sha256 in written if sha256 and sha256 not in states), "")


def _check_painter(
    found: _Found, painter: str, adapter: Adapter | None, versioned: list[RecordedFolder], progress: Progress
) -> None:
    home = found.home
    listing = _listing(found, painter)
    said: list[Finding] = []
    named = records_of(
        home, painter, found.adapters, found.explained.gone, lambda *about: said.append(_finding(*about))
    )
    claims = named.claims
    elsewhere = _elsewhere(found, listing or {}, (f"gallery/{VERSIONS_FOLDER}/{painter}/",))
    for path, sha256 in (listing or {}).items():
        if path not in elsewhere:
            claims.add(path, sha256, CHAIN)
    there = {path for path, _ in proof.files_there(home, painter).items()}
    there |= {path for path in claims.of if path not in there and _is_file(home.root / path)}
    for folder in versioned:
        _claim_versioned(found, painter, folder, claims, there, listing or {})
    wanted = _wanted(adapter, named)
    found.findings += [finding for finding in said if wanted(finding.file)]
    missing, changed = [], []
    paths = sorted(path for path in claims.of if wanted(path))
    with progress.task(f"Verifying {painter}", len(paths)) as advance:
        for path in paths:
            if path not in there:
                missing += [path] if _is_missed(found, painter, path, claims, listing) else []
            elif against := claims.against(path):
                changed += [path] if _is_changed(found, path, against, listing) else []
            found.checked[path.split("/", 1)[0]] += 1
            advance()
    added = [
        path
        for path in sorted(there - claims.of.keys())
        if wanted(path) and _is_added(path, listing, named.whole, versioned) and not _is_back(found, path, claims)
    ]
    found.differing.append(_Differing(claims, changed, missing, added))


def _elsewhere(found: _Found, listing: dict[str, str], folders: tuple[str, ...]) -> set[str]:
    """The files of folders that DVC does not bring to another machine, where none of such a folder is here."""
    if find_root(found.home) is None:
        return set()
    elsewhere = set[str]()
    for folder in folders:
        listed = {path for path in listing if path.startswith(folder)}
        if listed and not any(_is_file(found.home.root / path) for path in listed):
            elsewhere |= listed
            found.notes.append(
                f"None of the {len(listed)} files that were written below {folder} is here. On a machine to which DVC "
                "brought the home that is so; on the one that wrote them somebody removed them."
            )
    return elsewhere


def _is_back(found: _Found, path: str, claims: Claims) -> bool:
    """Whether a file that nobody names is a scan of a work that was restored: the next run names it."""
    if not path.startswith("scans/") or not found.explained.back:
        return False
    with suppress(OSError):
        if claims.sha256(path) in found.explained.back:
            found.notes.append(
                f"{path} may be used again since its withdrawal was taken back: artmaster run {path.split('/')[1]}"
            )
            return True
    return False


def _listing(found: _Found, painter: str) -> dict[str, str] | None:
    """The painter's list, if it is the one that the chain names; None where there is none, or it was edited."""
    home = found.home
    file = proof.listing_file(home, painter)
    path = file.relative_to(home.root).as_posix()
    listing, is_named = proof.listing_as_named(home, painter)
    if is_named:
        return listing
    if file.exists():
        found.add("edited", path, "It is not the list that the chain's last line about this painter names", (CHAIN,))
    elif proof.listing_named(home, painter):
        found.add("missing", path, "It is not there", (CHAIN,))
    return None


def _claim_versioned(
    found: _Found,
    painter: str,
    folder: RecordedFolder,
    claims: Claims,
    there: set[str],
    listing: dict[str, str],
) -> None:
    """What DVC says of a folder's files, one by one, or of the folder as a whole where its list is not here."""
    home, told_by = found.home, folder.told_by
    if folder.folder.startswith("scans/"):
        patterns, place = passed_over(home, painter), home.root / folder.folder
        below = [file.relative_to(place).as_posix() for file in place.rglob("*") if _is_file(file)]
        there |= {f"{folder.folder}/{path}" for path in below if not is_passed_over(path, patterns)}
    if folder.files is not None:
        for path, md5 in folder.files.items():
            claims.add(f"{folder.folder}/{path}", md5, told_by, md5=True)
        return
    prefix = f"{folder.folder}/"
    files = {
        path.removeprefix(prefix): digests_of(home.root / path, md5=True)[1]
        for path in there
        if path.startswith(prefix)
    }
    if not folder.is_named(files) and not all(listing.get(f"{prefix}{path}") for path in files):
        says = "As a whole it is not what DVC names; DVC's list of its files is not in the cache"
        found.add("changed", folder.folder, says, (told_by,))


def _wanted(adapter: Adapter | None, named: Named) -> Callable[[str], bool]:
    """Which paths are looked at: all, or what an adapter was made from, its own files, and what shows its pictures."""
    if adapter is None:
        return lambda path: True
    painter, behind = adapter.painter, named.behind.get(adapter.id, set())
    folders = (f"{adapter.path}/", f"evaluation/{painter}/{adapter.id}/", "gallery/")

    def wanted(path: str) -> bool:
        is_record = path.count("/") == 2 and path.endswith(".jsonl")
        return path in behind or path.startswith(folders) or is_record

    return wanted


def _is_missed(found: _Found, painter: str, path: str, claims: Claims, listing: dict[str, str] | None) -> bool:
    """Whether a file that is named and not there should be there."""
    if (claims.scans_behind(path) or _scans_named(found, path, claims)) & found.explained.gone:
        return False
    # The product lists what it keeps: a manifest may name more, of a painter who was removed for example.
    if listing is not None and not path.startswith("scans/"):
        return path in listing
    return not _was_removed(found.home, painter)


def _scans_named(found: _Found, path: str, claims: Claims) -> set[str]:
    """The sha256 of a scan that DVC alone still names, by its cache: a withdrawal strikes the records out first.

    Empty where nothing is withdrawn, or the path is none of a scan's file.
    """
    if not path.startswith("scans/") or not found.explained.gone:
        return set()
    files = [cached_bytes(found.home, claim.digest) for claim in claims.of.get(path, ()) if claim.md5 and claim.digest]
    return {digests_of(file, md5=False)[0] for file in files if file}


def _was_removed(home: Home, painter: str) -> bool:
    """Whether `artmaster painters remove` took the painter's scans away: nothing of DVC's or the house's lists them."""
    if is_filed(painter) or home.scans(painter).exists():
        return False
    names = home.root / "painters.yaml"
    pointer = home.scans(painter).with_name(f"{painter}.dvc")
    return names.is_file() and not pointer.exists() and f"- {painter}\n" not in names.read_text(encoding="utf-8")


def _is_changed(found: _Found, path: str, against: tuple[str, ...], listing: dict[str, str] | None) -> bool:
    """Whether a file that somebody names another hash for was changed; one that the product wrote since was not."""
    vouched = bool(listing and listing.get(path)) and CHAIN not in against
    if vouched and all(teller == "dvc.lock" or teller.endswith("/dvc.lock") for teller in against):
        note = (
            f"What was written last in {'/'.join(path.split('/')[:2])} is not in dvc.lock yet: run that painter again."
        )
        if note not in found.notes:
            found.notes.append(note)
        return False
    return True


def _is_added(path: str, listing: dict[str, str] | None, whole: list[str], versioned: list[RecordedFolder]) -> bool:
    """Whether a file that nobody names was put there by somebody else."""
    if listing is not None or path.startswith(("scans/", *whole)):
        return True
    return any(path.startswith(f"{folder.folder}/") and folder.files is not None for folder in versioned)


def _tell_differing(found: _Found) -> None:
    """Told when all painters and the house were looked at: a file may have changed places with one of another's."""
    belongs: dict[str, str] = {}
    for each in found.differing:
        belongs = {**where_bytes_belong(each.claims, each.changed, each.missing), **belongs}
    history = _history(found.home) if any(each.changed for each in found.differing) else {}
    for each in found.differing:
        _tell(found, each, belongs, history)


def _tell(
    found: _Found, differing: _Differing, belongs: Mapping[str, str], history: Mapping[tuple[str, str], str]
) -> None:
    claims = differing.claims
    for path in differing.changed:
        against = claims.against(path)
        try:
            sha256 = claims.sha256(path)
        except OSError as error:
            found.add("changed", path, f"It cannot be read ({error.strerror})", against)
            continue
        if (other := belongs.get(sha256)) and other != path:
            found.add("swapped", path, f"Its bytes are those of {other}", against)
        elif when := history.get((path, sha256)):
            found.add("changed", path, f"It is as it was on {when}, and was written since", against)
        else:
            found.add("changed", path, "Its bytes are not those that were written", against)
    for path in differing.missing:
        found.add("missing", path, "It is not there", claims.tellers(path))
    for path in differing.added:
        try:
            other = belongs.get(claims.sha256(path), "")
        except OSError:
            other = ""
        says = f"Nothing names it; its bytes are those of {other}" if other else "Nothing names it"
        found.add("added", path, says, ())


def _history(home: Home) -> dict[tuple[str, str], str]:
    """(path, sha256) of records as they were -> when."""
    lines = proof.read_chain(home, mend=False).lines
    return {(path, sha256): line.at for line in lines for path, sha256 in line.records.items() if sha256}


def _partition(path: str) -> str:
    """The painter, or the set, whose file of a stage or of scans a path names; of any other file something else."""
    folder, _, rest = path.partition("/")
    name = rest.removeprefix(f"{VERSIONS_FOLDER}/").split("/", 1)[0]
    return name.removesuffix(".dvc") if folder in {"scans", *(stage.folder for stage in in_order())} else path


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except OSError:
        return False


def _way_out(file: str) -> str:
    folder, _, rest = file.partition("/")
    painter = rest.split("/", 1)[0]
    if folder in (WITHDRAWALS, REPORTS) or (file.endswith(".html") and file.count("/") == 1):
        return "Put it back from git or a backup."
    if folder == "proof":
        return (
            "Put the folder proof/ back from git or a backup, and find out who wrote into it. To begin a new chain "
            "instead, move the folder away and keep it."
        )
    if folder == "scans":
        return (
            f"Put it back from a backup or with `dvc checkout scans/{painter}.dvc`; "
            f"if it is meant to be so: artmaster run {painter}"
        )
    if f"{folder}/{painter}".startswith("gallery/."):
        return "Put it back from a backup."
    return f"Put it back from a backup or with `dvc checkout`; if that is not possible: artmaster run {painter}"


def _state(chain: proof.Chain) -> ChainState:
    return ChainState(
        lines=len(chain.hashes),
        head=chain.head,
        signature=chain.signature,
        signed_since=chain.signed_since if chain.signature == "whole" else 0,
        begun=chain.lines[0].at if chain.lines else "",
        unhashed=_unhashed(chain),
    )


def _unhashed(chain: proof.Chain) -> int:
    return sum(line.found for line in chain.lines)


def _limits(home: Home, chain: proof.Chain) -> tuple[str, ...]:
    return tuple(_told_limits(home, chain))


def _told_limits(home: Home, chain: proof.Chain) -> Iterator[str]:
    if not chain.hashes:
        yield (
            "There is no chain yet, so only hashes that records name were compared: whoever can write in the data home "
            "could change a file and its record together. The chain begins with the next run."
        )
        return
    if chain.signature == "whole":
        since = "" if chain.signed_since == 1 else f" since line {chain.signed_since}"
        yield (
            f"The newest line is signed with the house's certificate{since}: without the keys nobody can write another "
            "chain. Whoever can read the keys can, and whoever can write could put the whole data home back to an "
            "earlier state: keep the head's hash elsewhere and ask with --head."
        )
    elif chain.signature == "not checked":
        yield (
            "The newest line is signed, but that was not checked: it needs the certificate in .keys/ and "
            "pip install 'artmaster-pipeline[credentials]'."
        )
    else:
        yield (
            "The chain is not signed: whoever can write in the data home could change files, records, lists and chain "
            "together so that all of them fit. To sign it: artmaster publish PAINTER --sign. Until then keep the "
            "head's hash elsewhere and ask with --head."
        )
        if can_sign(home):
            yield (
                "The house has keys: they were made after the newest line, cannot be used, or somebody took the "
                "signature away. The next run signs."
            )
    if unhashed := _unhashed(chain):
        yield (
            f"{unhashed} files are older than the chain: of those, only what a record or DVC names a hash for was "
            "compared, and an edit from before the chain cannot be told."
        )
