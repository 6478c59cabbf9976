"""The sensor for new scans, with Dagster's own context, and deliveries from stores in memory: what asks for a run."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import made_scans
import pytest
from small_archive import PAINTER

from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse
from artmaster_pipeline.orchestration import watching
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import QUARANTINE, Quarantined, read_manifest
from artmaster_pipeline.scans import hashes, register_scans, remote
from artmaster_pipeline.scans.deliveries import RECORDS, Fetched, fetch_deliveries
from artmaster_pipeline.scans.remote import read_deliveries
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stores import open_store
from artmaster_pipeline.withdrawal import restore_artwork, withdraw_artwork

INBOX = "memory://inbox"


class Watch:
    """The sensor as the daemon runs it, a minute between ticks: each gets the last one's cursor, runs are started."""

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self.home, self.instance, self.cursor = home, instance, None
        self.keys: set[str | None] = set()
        self.minutes = 0
        self.said = ""

    def tick(self) -> list[str | None]:
        """The painters whom this evaluation starts a run for: Dagster runs no key twice."""
        self.minutes += 1
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"data_home": DataHome(root=str(self.home.root))},
            definitions=build_defs(),
        ) as context:
            result = watching.new_scans(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        self.said = str(result.skip_reason.skip_message if result.skip_reason else "")
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions("painter", list(request.partition_keys))
        started = [r for r in result.run_requests or () if r.run_key not in self.keys]
        self.keys |= {request.run_key for request in started}
        return [request.partition_key for request in started]

    def ticks(self, count: int = 3) -> list[str | None]:
        """The painters of several evaluations."""
        return [painter for _ in range(count) for painter in self.tick()]


@pytest.fixture
def watch(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        watch = Watch(home, instance)
        clock = hashes.now_ns
        for module in (hashes, watching):
            monkeypatch.setattr(module, "now_ns", lambda: clock() + watch.minutes * 60_000_000_000)
        yield watch


@pytest.fixture
def store(home: Home) -> Iterator[Any]:
    """An empty store in memory, which the home has its deliveries from."""
    import fsspec

    found = fsspec.filesystem("memory")
    found.store.clear()
    deliver_from(home, INBOX)
    yield found
    found.store.clear()


def deliver_from(home: Home, *urls: str) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    (home.root / remote.DELIVERIES).write_text("".join(f"- {url}\n" for url in urls), encoding="utf-8")


def put(home: Home, painter: str, name: str, content: bytes) -> Path:
    file = home.scans(painter) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def picture(tmp_path: Path, seed: int) -> bytes:
    return made_scans.write(tmp_path / f"made{seed}.png", seed).read_bytes()


def test_an_empty_home_asks_for_nothing(watch: Watch) -> None:
    assert watch.tick() == []


def test_a_file_that_grows_asks_for_nothing_until_it_rests(home: Home, watch: Watch) -> None:
    for size in range(1, 5):
        put(home, "new-painter", "a.jpg", b"x" * size)
        assert watch.tick() == []
        assert "waiting until nothing changes" in watch.said
    assert [watch.tick(), watch.tick()] == [["new-painter"], []]
    assert watch.instance.get_dynamic_partitions("painter") == ["new-painter"]


def test_two_evaluations_at_one_moment_settle_nothing(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    watch.tick()
    watch.minutes -= 1
    assert watch.tick() == []
    assert watch.tick() == ["p"]


def test_each_painter_gets_one_run_however_many_scans_came(home: Home, watch: Watch) -> None:
    for number in range(300):
        put(home, "p", f"{number}.jpg", b"%d" % number)
        put(home, "q", f"{number}.jpg", b"q%d" % number)
    assert watch.ticks() == ["p", "q"]
    for number in range(300, 400):
        put(home, "p", f"{number}.jpg", b"%d" % number)
    assert watch.ticks() == ["p"]


def test_what_is_renamed_touched_saved_again_or_doubled_asks_for_nothing(home: Home, watch: Watch) -> None:
    file = put(home, "p", "a.jpg", b"1")
    text = put(home, "p", "a.txt", b"mountains")
    put(home, "p", "b.jpg", b"2")
    put(home, "p", "artworks.csv", b"file,title\n")
    assert watch.ticks() == ["p"]
    os.utime(file, (1, 1))
    assert watch.ticks() == []
    file.unlink()
    put(home, "p", "a.jpg", b"1")
    assert watch.ticks() == []
    file.rename(file.with_name("c.jpg"))
    text.rename(text.with_name("c.txt"))
    (home.scans("p") / "b.jpg").rename(home.scans("p") / "d.jpg")
    put(home, "p", "sub/e.jpg", b"2")
    put(home, "p", "alone.txt", b"of no picture")
    for name in ("#recycle/b.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "._a.jpg", "Thumbs.db", "painter.yaml"):
        put(home, "p", name, b"x")
    assert watch.ticks() == []


def test_what_is_said_of_a_picture_asks(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    put(home, "p", "b.jpg", b"2")
    assert watch.ticks() == ["p"]
    text = put(home, "p", "a.txt", b"mountains")
    assert watch.ticks() == ["p"]
    text.write_bytes(b"mountains in mist")
    assert watch.ticks() == ["p"]
    text.rename(text.with_name("b.txt"))  # it speaks of the other picture now
    assert watch.ticks() == ["p"]
    for name in ("artworks.csv", "captions.csv", "decisions.csv"):
        put(home, "p", name, b"file\n")
        assert watch.ticks() == ["p"], name


def test_a_changed_scan_a_removed_one_and_one_that_is_back_ask_each(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    put(home, "q", "a.jpg", b"2")
    assert watch.ticks() == ["p", "q"]
    for content in (b"3", b"1", b"3", b"1"):
        put(home, "p", "a.jpg", content)
        assert watch.ticks() == ["p"]
    put(home, "p", "b.jpg", b"4")
    assert watch.ticks() == ["p"]
    (home.scans("p") / "b.jpg").unlink()
    assert watch.ticks() == ["p"]


def test_a_tick_over_unchanged_files_opens_none_of_them(home: Home, watch: Watch) -> None:
    for number in range(50):
        put(home, "p", f"{number}.tif", b"%d" % number)
    opened: list[str] = []
    listening = True

    def hook(event: str, arguments: tuple) -> None:
        if listening and event == "open" and str(home.scans("p")) in str(arguments[0]):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)  # cannot be taken away again; `listening` ends it
    assert watch.ticks() == ["p"]
    assert len(opened) == 50
    opened.clear()
    assert watch.ticks() == []
    put(home, "p", "50.tif", b"new")
    watch.ticks()
    watch_memory(home).unlink()
    watch.ticks()
    listening = False
    assert [Path(file).name for file in opened] == ["50.tif", "50.tif"]  # written, then hashed


def watch_memory(home: Home) -> Path:
    return home.cache / "watching.json"


def test_a_lost_cursor_asks_at_most_once_and_a_lost_cache_for_nothing(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    assert watch.ticks() == ["p"]
    for file in (watch_memory(home), home.cache / "hashes" / "p.json"):
        file.write_text("damaged", encoding="utf-8")
    assert watch.ticks() == []
    watch.cursor = None
    assert watch.ticks() == []  # nothing is registered yet, so the request is the first one again
    put(home, "p", "b.jpg", b"2")
    watch.cursor = None
    watch_memory(home).unlink()
    assert watch.ticks() == ["p"]


@pytest.mark.parametrize(
    "before", [{"by": "listing", "seen": {"p": "0"}, "asked": {"p": "0"}}, {"seen": {}, "asked": {}}]
)
def test_the_cursor_of_an_older_version_is_left_behind(home: Home, watch: Watch, before: dict) -> None:
    put(home, "p", "a.jpg", b"1")
    watch.cursor = json.dumps(before)
    assert watch.ticks() == ["p"]


def test_a_tick_without_time_goes_on_at_the_next_one(home: Home, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        put(home, "p", f"{number}.jpg", b"%d" % number)
    monkeypatch.setattr(watching, "_HASHING", -1.0)  # one file a tick is hashed all the same
    watch.tick()
    for read in (1, 2):
        assert watch.tick() == []
        assert f"p: {read} of 3 files are read" in watch.said
    assert watch.tick() == ["p"]


def test_the_cursor_names_painters_and_not_files(home: Home, watch: Watch) -> None:
    for painter in range(20):
        for number in range(50):
            put(home, f"painter-{painter}", f"{number}.jpg", b"%d" % number)
    assert len(watch.ticks()) == 20
    assert len(watch.cursor or "") < 20 * 100


def test_what_cannot_be_read_stops_nothing_and_links_are_followed(home: Home, watch: Watch, tmp_path: Path) -> None:
    put(home, "p", "a.jpg", b"1")
    (home.scans("p") / "b.jpg").symlink_to("nowhere")
    os.mkfifo(home.scans("p") / "c.jpg")
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "a.jpg").write_bytes(b"1")
    home.scans("q").symlink_to(tmp_path / "drive")
    assert watch.ticks() == ["p", "q"]


def test_the_register_and_the_sensor_share_their_hashes(home: Home, watch: Watch) -> None:
    for seed in (1, 2):
        made_scans.write(home.scans("p") / f"{seed}.png", seed)
    watch.minutes = 1
    register_scans(home, "p")
    known = json.loads((home.cache / "hashes" / "p.json").read_text())
    assert {row[-1] for row in known.values()} == {scan.sha256 for scan in register_scans(home, "p").records}
    assert watch.ticks() == ["p"]


# Deliveries


def test_a_delivery_of_a_new_painter_makes_a_partition_and_its_run_brings_the_files(
    home: Home, watch: Watch, store: Any, tmp_path: Path
) -> None:
    store.pipe("/inbox/new-painter/a.png", picture(tmp_path, 1))
    store.pipe("/inbox/new-painter/sub/b.png", picture(tmp_path, 2))
    store.pipe("/inbox/Not A Slug/a.png", b"x")
    assert watch.tick() == []
    assert "'Not A Slug' is passed over" in watch.said
    assert watch.tick() == ["new-painter"]
    assert not home.scans("new-painter").exists()  # a tick fetches nothing
    fetched = fetch_deliveries(home, "new-painter")
    assert sorted(fetched.new) == ["a.png", "sub/b.png"]
    assert len(register_scans(home, "new-painter").records) == 2
    assert watch.ticks() == []  # what the run brought asks for no other one
    assert fetch_deliveries(home, "new-painter") == Fetched(notes=fetched.notes)
    store.pipe("/inbox/new-painter/c.png", picture(tmp_path, 3))
    assert watch.ticks() == ["new-painter"]


def test_a_delivery_that_grows_is_waited_for(watch: Watch, store: Any) -> None:
    for size in (1, 2, 3):
        store.pipe("/inbox/p/a.png", b"x" * size)
        assert watch.tick() == []
    assert watch.tick() == ["p"]


def test_an_unreachable_store_is_said_and_scans_are_watched(home: Home, watch: Watch, store: Any) -> None:
    store.pipe("/inbox/p/a.png", b"1")
    assert watch.ticks() == ["p"]
    put(home, "q", "a.jpg", b"1")
    store.store.clear()
    watch.tick()
    assert "memory://inbox: there is nothing of that name" in watch.said
    assert watch.tick() == ["q"]
    store.pipe("/inbox/p/a.png", b"1")
    deliver_from(home, "ftp://x/y")
    assert watch.ticks() == []
    assert "ftp:// addresses are not known" in watch.said


def test_files_of_the_home_are_never_overwritten_but_by_successors_of_the_delivery_s_own(
    home: Home, store: Any, tmp_path: Path
) -> None:
    one, two, three = (picture(tmp_path, seed) for seed in (1, 2, 3))
    own = put(home, "p", "own.png", one)
    store.pipe("/inbox/p/own.png", two)
    store.pipe("/inbox/p/theirs.png", one)
    store.pipe("/inbox/p/edited.png", one)
    fetched = fetch_deliveries(home, "p")
    assert [row.path for row in fetched.refused] == ["own.png"]
    assert "did not come from this delivery" in fetched.refused[0].reason
    edited = put(home, "p", "edited.png", two)
    for name in ("theirs", "edited"):
        store.pipe(f"/inbox/p/{name}.png", three)
    fetched = fetch_deliveries(home, "p")
    assert fetched.changed == ["theirs.png"]
    assert [row.path for row in fetched.refused] == ["edited.png"]
    assert [own.read_bytes(), edited.read_bytes()] == [one, two]
    register_scans(home, "p")
    kept = {row.path for row in read_manifest(home.register("p") / QUARANTINE, Quarantined)}
    assert {"own.png", "edited.png"} <= kept
    own.unlink()
    assert fetch_deliveries(home, "p").new == ["own.png"]


def test_unsafe_names_leave_nothing_outside_and_are_quarantined(home: Home, store: Any, tmp_path: Path) -> None:
    put(home, "p", "own.png", picture(tmp_path, 1))
    (home.scans("p") / "link").symlink_to(tmp_path)
    content = picture(tmp_path, 2)
    names = ("../x.png", "a/../../x.png", "a//b.png", "/etc/x.png", "a\nb.png", "a\\..\\b.png", "link/x.png", "..x.png")
    before = sorted(tmp_path.rglob("*.png"))
    for name in names:
        store.pipe("/inbox/seed.png", content)
        store.store[f"/inbox/p/{name}"] = store.store["/inbox/seed.png"]
    fetched = fetch_deliveries(home, "p")
    assert not fetched.new
    assert len(fetched.refused) + len(fetched.failed) == len(names)
    assert sorted(tmp_path.rglob("*.png")) == before
    assert all(name.isprintable() for name in [row.path for row in fetched.refused])
    register_scans(home, "p")


def test_a_file_that_changes_while_it_is_fetched_comes_once_it_is_whole(
    home: Home, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = picture(tmp_path, 1)
    store.pipe("/inbox/p/half.png", whole[:100])
    store.pipe("/inbox/p/whole.png", picture(tmp_path, 2))
    get_file = type(store).get_file

    def growing(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        if path.endswith("half.png"):
            self.pipe(path, whole)
        return get_file(self, path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "get_file", growing)
        fetched = fetch_deliveries(home, "p")
    assert fetched.new == ["whole.png"]
    assert [name for name, _ in fetched.failed] == ["half.png"]
    assert sorted(file.name for file in home.scans("p").iterdir()) == [RECORDS, "whole.png"]
    assert fetch_deliveries(home, "p").new == ["half.png"]
    assert (home.scans("p") / "half.png").read_bytes() == whole


def test_a_store_that_goes_away_is_given_up_after_some_files(
    home: Home, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        store.pipe(f"/inbox/p/{number}.png", b"%d" % number)
    monkeypatch.setenv("MY_SECRET_KEY", "hunter22hunter22")

    def gone(*_: Any, **__: Any) -> None:
        raise ConnectionError("hunter22hunter22 was refused")

    monkeypatch.setattr(type(store), "get_file", gone)
    fetched = fetch_deliveries(home, "p")
    assert [name for name, _ in fetched.failed] == ["0.png", "1.png", "2.png", "6 more files"]
    assert "hunter22" not in str(fetched)


def test_a_withdrawn_work_is_refused_until_it_is_restored(home: Home, store: Any, tmp_path: Path) -> None:
    for seed in (1, 2):
        store.pipe(f"/inbox/{PAINTER}/{seed}.png", picture(tmp_path, seed))
    fetch_deliveries(home, PAINTER)
    scans = {scan.path: scan for scan in register_scans(home, PAINTER).records}
    withdraw_artwork(home, scans["1.png"].sha256, "The lender withdrew it")
    store.pipe(f"/inbox/{PAINTER}/again.png", picture(tmp_path, 1))
    fetched = fetch_deliveries(home, PAINTER)
    assert [row.path for row in fetched.refused] == ["again.png"]
    assert "withdrawn" in fetched.refused[0].reason
    assert fetch_deliveries(home, PAINTER).refused == []
    restore_artwork(home, scans["1.png"].sha256)
    assert fetch_deliveries(home, PAINTER).new == ["again.png"]


def test_a_rename_at_a_store_with_checksums_fetches_nothing(
    home: Home, watch: Watch, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = type(store).find

    def with_checksums(self: Any, path: str, **kwargs: Any) -> dict[str, Any]:
        found = find(self, path, **kwargs)
        return {name: info | {"ETag": f'"{hash(self.cat_file(name)):x}-2"'} for name, info in found.items()}

    monkeypatch.setattr(type(store), "find", with_checksums)
    store.pipe("/inbox/p/a.png", picture(tmp_path, 1))
    store.pipe("/inbox/p/a.txt", b"mountains")
    assert watch.ticks() == ["p"]
    assert len(fetch_deliveries(home, "p").new) == 2
    for name in ("a.png", "a.txt"):
        store.mv(f"/inbox/p/{name}", f"/inbox/p/{name.replace('a', 'b', 1)}")
    assert watch.ticks() == []
    monkeypatch.setattr(type(store), "get_file", None)
    assert sorted(fetch_deliveries(home, "p").renamed) == ["b.png", "b.txt"]
    assert (home.scans("p") / "b.png").read_bytes() == picture(tmp_path, 1)
    assert watch.ticks() == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("https://x/y", "https:// addresses are not known"),
        ("scans", "write file:///folder"),
        ("s3://KEY:hunter22@bucket/x", "Leave them out"),
        ("sftp://me:hunter22@host/x", "Leave them out"),
        ("abfs://box/x?sig=hunter22", "Leave them out"),
        ("file://host/x", "three slashes"),
    ],
)
def test_a_wrong_address_is_told_without_its_secret(home: Home, line: str, said: str) -> None:
    deliver_from(home, "s3://bucket/x", "sftp://me@host/x", line)
    with pytest.raises(WrongUse, match=said) as raised:
        read_deliveries(home)
    assert "hunter22" not in str(raised.value)
    assert str(home.root / remote.DELIVERIES) in str(raised.value)


def test_a_delivery_is_not_the_home_itself_and_the_file_is_a_list(home: Home) -> None:
    for place in (home.root.parent, home.root, home.root / "scans"):
        deliver_from(home, f"file://{place}")
        with pytest.raises(WrongUse, match="the data home lies in that folder"):
            read_deliveries(home)
    for text in ("a: b", "- [", "- 1"):
        (home.root / remote.DELIVERIES).write_text(text, encoding="utf-8")
        with pytest.raises(WrongUse, match=r"deliveries\.yaml"):
            read_deliveries(home)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("paramiko")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    for url, extra in (("sftp://host/x", "sftp"), ("gs://x/y", "cloud")):
        with pytest.raises(MissingRequirement, match=rf"artmaster-pipeline\[{extra}\]"):
            open_store(url)


def test_a_folder_of_this_machine_delivers_too(home: Home, tmp_path: Path) -> None:
    made_scans.write(tmp_path / "out" / "p" / "a.png", 1)
    (tmp_path / "out" / "p" / "film.mov").write_bytes(b"x")
    (tmp_path / "out" / "p" / "b.heic").write_bytes(b"x")
    deliver_from(home, f"file://{tmp_path / 'out'}")
    fetched = fetch_deliveries(home, "p")
    assert fetched.new == ["a.png"]
    assert [row.path for row in fetched.refused] == ["b.heic"]
    assert ["film.mov" in note for note in fetched.notes] == [True]


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    home: Home, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pipe("/inbox/p/a.png", b"1" * 100)
    usage = type("Usage", (), {"free": 99, "total": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(ArtMasterError, match="No space left"):
        fetch_deliveries(home, "p")
    assert not home.scans("p").exists()
