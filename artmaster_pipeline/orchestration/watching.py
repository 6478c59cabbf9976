"""The sensor for new scans: it watches scans/ and the addresses of deliveries.yaml, and asks for runs by content."""

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import dagster as dg

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import write_text
from artmaster_pipeline.orchestration.assets import PAINTERS
from artmaster_pipeline.orchestration.failures import one_sentence
from artmaster_pipeline.orchestration.jobs import TAKE_IN
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import MANIFEST, identity, manifest_hash
from artmaster_pipeline.scans.content import NOTHING, content_of, list_scans, listing_name
from artmaster_pipeline.scans.deliveries import delivered_hashes, ledger_name, pending, records_reading
from artmaster_pipeline.scans.hashes import now_ns
from artmaster_pipeline.scans.remote import Delivery, list_delivery, read_deliveries
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawals import today

_BY = "content"  # what a cursor's names are made of; cursors of listings are not gone on with
_SCANS = "scans"  # the source that is the painter's folder; the others are addresses
_QUIET = 10_000_000_000  # ns between two equal listings: a network drive may tell an older size for some seconds
_HASHING = 4.0  # seconds of a tick: with the listings it stays below ten, and the daemon gives up after sixty
_LISTING = 20.0  # seconds that a tick waits for a store; a longer listing goes on, and the next tick has it


@dg.sensor(job_name=TAKE_IN, minimum_interval_seconds=60)
def new_scans(context: dg.SensorEvaluationContext, data_home: DataHome) -> dg.SensorResult:
    """New or changed scans, here or in a delivery, ask for one run of their painter; a new folder is a new painter.

    Scans count once two evaluations in a row list the same names, sizes and times, and by content: what is renamed,
    saved again or only touched asks for nothing. A tick hashes for a few seconds, and the next one goes on.
    """
    home = data_home.home
    with one_sentence(home):
        tick = _Tick(home, context.cursor)
        tick.look()
        for line in tick.said:
            context.log.info(line)
        due = tick.due()
        known = set(context.instance.get_dynamic_partitions(str(PAINTERS.name)))
        new = [painter for painter in due if painter not in known]
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"{p}-{key}", partition_key=p) for p, key in due.items()],
            skip_reason=None if due else "; ".join(tick.said) or "No new scans.",
            dynamic_partitions_requests=[PAINTERS.build_add_request(new)] if new else [],
            cursor=tick.cursor(),
        )


class _Tick:
    """One evaluation. `asked` has what each painter's last request was made from: a content's name by source, and the
    request's key; `said` what a person should know of the tick.
    """

    def __init__(self, home: Home, cursor: str | None) -> None:
        self.home = home
        before = json.loads(cursor) if cursor else {}
        self.asked: dict[str, dict[str, str]] = before.get("asked", {}) if before.get("by") == _BY else {}
        self.said: list[str] = []
        self._contents: dict[str, dict[str, str]] = {}
        self._unsettled: set[str] = set()
        self._memory = _Memory(home)
        self._until = time.monotonic() + _HASHING

    def look(self) -> None:
        """Find out what every painter's sources hold now."""
        for painter in self.home.painters():
            self._look_at_scans(painter)
        ledger = ""
        for url in self._urls():
            try:
                delivery = _listed(url)
            except ArtMasterError as error:
                self.said.append(f"{error}; scans/ is watched all the same")
                continue
            self.said += delivery.notes
            ledger = ledger or ledger_name(self.home)
            for painter in delivery.files:
                self._look_at_delivery(delivery, painter, ledger)
        self._memory.save()

    def due(self) -> dict[str, str]:
        """The painters that need a run, and the key of each request; `asked` has them from then on."""
        found = {}
        for painter, contents in sorted(self._contents.items()):
            before = self.asked.get(painter, {})
            now = before | contents
            key = identity(before.get("key") or self._registered(painter), now | {"key": ""})
            if painter in self._unsettled:
                continue
            if any(_is_new(each, before.get(each), now[each]) for each in contents):
                found[painter] = key
                now["key"] = key
            self.asked[painter] = now
        return found

    def cursor(self) -> str:
        """The cursor after this evaluation; painters whose folder was removed are forgotten."""
        kept = {
            painter: asked
            for painter, asked in sorted(self.asked.items())
            if painter in self._contents or os.path.lexists(self.home.scans(painter))
        }
        return json.dumps({"by": _BY, "asked": kept}, separators=(",", ":"))

    def _look_at_scans(self, painter: str) -> None:
        seen = list_scans(self.home, painter)
        if not seen and not records_reading(self.home, painter):
            return
        listing = identity(listing_name(seen), records_reading(self.home, painter))

        def content() -> tuple[str | None, bool]:
            delivered = delivered_hashes(self.home, painter)
            found = content_of(self.home, painter, seen, self._until, delivered)
            if found.name is None:
                self.said.append(f"{painter}: {found.read:,} of {found.files:,} files are read, the next tick goes on")
            return found.name, found.certain

        self._take(painter, _SCANS, listing, content)

    def _look_at_delivery(self, delivery: Delivery, painter: str, ledger: str) -> None:
        files = delivery.files[painter]
        listed = [[file.relative, file.size, file.mark] for file in files]
        listing = identity(listed, records_reading(self.home, painter), ledger, str(today()))

        def waiting() -> tuple[str | None, bool]:
            versions = sorted({file.version for file in pending(self.home, painter, delivery.source, files)})
            # With the day: what could not be fetched is asked for again tomorrow.
            return identity(versions, str(today())) if versions else NOTHING, True

        self._take(painter, delivery.source, listing, waiting)

    def _take(self, painter: str, source: str, listing: str, content: Callable[[], tuple[str | None, bool]]) -> None:
        name = self._memory.content(f"{painter}/{source}", listing, content)
        if name:
            self._contents.setdefault(painter, {})[source] = name
            return
        if source == _SCANS:
            self._unsettled.add(painter)  # a run would read what is half copied
        if not any(line.startswith(f"{painter}: ") for line in self.said):
            self.said.append(f"{painter}: waiting until nothing changes")

    def _urls(self) -> tuple[str, ...]:
        try:
            return read_deliveries(self.home)
        except ArtMasterError as error:
            self.said.append(f"{error} scans/ is watched all the same")
            return ()

    def _registered(self, painter: str) -> str:
        """What a first request's key begins with, so that a lost cursor loses no request: the register as it is."""
        manifest = self.home.register(painter) / MANIFEST
        return manifest_hash(manifest) if manifest.exists() else ""


class _Memory:
    """What each source listed, since when, and the content's name once it is known. A cache: lost, it is made again."""

    def __init__(self, home: Home) -> None:
        self._file = home.cache / "watching.json"
        self._before = self._read()
        self._now: dict[str, list[Any]] = {}

    def content(self, source: str, listing: str, find: Callable[[], tuple[str | None, bool]]) -> str | None:
        """The content's name; None until the listing has stayed as it is for a while and the content is found."""
        before, since, name = self._before.get(source, ["", 0, None])
        if before != listing:
            since, name = now_ns(), None
        elif not name and now_ns() - since >= _QUIET:
            name, certain = find()
            if not certain:  # the same listing may have another content once all can be read
                self._now[source] = [listing, since, None]
                return name
        self._now[source] = [listing, since, name]
        return name

    def save(self) -> None:
        if self._now != self._before:
            write_text(self._file, json.dumps(self._now))

    def _read(self) -> dict[str, list[Any]]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
            return {source: [listing, since, name] for source, (listing, since, name) in known.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


_listings: dict[str, tuple[threading.Thread, list[Any]]] = {}  # those that a tick did not wait for


def _listed(url: str) -> Delivery:
    """What lies at an address, within the time that a tick has for it. Raises ArtMasterError where it does not answer.

    One listing of an address goes on at a time: what it finds after its time, the next tick takes.
    """
    if url not in _listings:
        result: list[Any] = []
        thread = threading.Thread(target=_list_into, args=(url, result), daemon=True)
        thread.start()
        _listings[url] = thread, result
    thread, result = _listings[url]
    thread.join(_LISTING)
    if thread.is_alive():
        raise ArtMasterError(f"{url} has not listed its files within {_LISTING:.0f} seconds: the next tick asks again")
    del _listings[url]
    if isinstance(result[0], Exception):
        raise result[0]
    found: Delivery = result[0]
    return found


def _list_into(url: str, result: list[Any]) -> None:
    try:
        result.append(list_delivery(url))
    except Exception as error:  # raised again where it is waited for
        result.append(error)


def _is_new(source: str, before: str | None, now: str) -> bool:
    if now == NOTHING:  # all of a delivery is here; or the folder's last own scan has gone
        return source == _SCANS and before not in (None, NOTHING)
    return now != before
