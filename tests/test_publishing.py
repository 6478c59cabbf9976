"""Publishing: what may be published, the versions that are kept and the way back, copies to other places."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forked
import pytest
import yaml
from sharing import unlinked
from small_archive import PAINTER, add_adapter, copied, evaluated, judged, small_archive

from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, NotPublished, WrongUse
from artmaster_pipeline.evaluation.verdicts import last_verdict
from artmaster_pipeline.files import sha256_of, writing_folder
from artmaster_pipeline.lineage.verifying import verify
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.publishing.publish import allow_again, kept_versions, published_version, put_back
from artmaster_pipeline.publishing.taking_down import take_down
from artmaster_pipeline.publishing.targets import copy_gallery, find_target
from artmaster_pipeline.publishing.versions import SiteVersions, files_of
from artmaster_pipeline.records import MANIFEST, Adapter, AdapterSnapshot, Sample, read_manifest
from artmaster_pipeline.settings import Home, load_painter, load_profile, save_painter
from artmaster_pipeline.withdrawals import WithdrawnScan, append, new_line

PROFILE = load_profile("miniature")


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A small archive whose adapter was judged fit and published; tests look at it and leave it as it is."""
    home = Home(tmp_path_factory.mktemp("published") / "home")
    small_archive(home, works=3, held_out=1)
    evaluated(home)
    publish_gallery(home, PAINTER, PROFILE)
    return home


@pytest.fixture
def published(published_once: Home, home: Home) -> Home:
    """A copy of it, for tests that change it."""
    return copied(published_once, home)


@pytest.fixture
def published_twice(published: Home) -> Home:
    """The same after a second adapter was trained, judged fit and published."""
    new_adapter(published)
    publish_gallery(published, PAINTER, PROFILE)
    return published


def new_adapter(home: Home) -> Adapter:
    """A further adapter, evaluated and judged fit, as the painter's current one."""
    old = current_adapter(home)
    snapshot = AdapterSnapshot.model_validate_json((home.root / old.path / "lineage.json").read_text())
    adapter = add_adapter(home, snapshot.scans, snapshot.training_images, seed=old.seed + 1)
    evaluated(home)
    return adapter


def current_adapter(home: Home) -> Adapter:
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    return adapter


def shelf_of(home: Home) -> SiteVersions:
    return SiteVersions(home.root / "gallery", PAINTER)


def adapter_in_place(home: Home) -> str:
    return read_manifest(home.gallery(PAINTER) / MANIFEST, Sample)[0].evaluated_adapter_id


def rename_painter(home: Home, name: str) -> None:
    save_painter(home, PAINTER, load_painter(home, PAINTER).model_copy(update={"name": name}))


# What may be published


def test_an_adapter_that_was_judged_unfit_is_refused_with_the_reasons(published: Home) -> None:
    before = files_of(published.root / "gallery")
    new_adapter(published)
    judged(published, publish=False, reasons=("Two pictures are near copies of a work.", "Tone fell."))
    with pytest.raises(NotPublished, match=r"near copies of a work\. Tone fell\. .*artmaster gate some-painter"):
        publish_gallery(published, PAINTER, PROFILE)
    assert files_of(published.root / "gallery") == before


def test_an_adapter_that_nobody_judged_is_refused(published: Home) -> None:
    before = files_of(published.root / "gallery")
    adapter = new_adapter(published)
    (published.evaluation(PAINTER) / adapter.id / "verdict.json").unlink()
    with pytest.raises(NotPublished, match="has not been judged: run the stage evaluation_grid"):
        publish_gallery(published, PAINTER, PROFILE)
    assert files_of(published.root / "gallery") == before


def test_a_verdict_on_another_adapter_does_not_count(published: Home) -> None:
    verdict = judged(published)
    adapter = new_adapter(published)
    (published.evaluation(PAINTER) / adapter.id / "verdict.json").write_text(verdict.model_dump_json())
    with pytest.raises(NotPublished, match=verdict.adapter_id):
        publish_gallery(published, PAINTER, PROFILE)


@pytest.mark.parametrize("content", ["", "{", '{"publish": true}', "\udcff"])
def test_a_verdict_that_cannot_be_read_lets_nothing_pass(published: Home, content: str) -> None:
    file = published.evaluation(PAINTER) / current_adapter(published).id / "verdict.json"
    file.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(NotPublished, match=r"verdict\.json"):
        publish_gallery(published, PAINTER, PROFILE)


@pytest.mark.parametrize("content", ["", "{", "\udcff"])
def test_verdicts_that_cannot_be_read_let_nothing_pass_and_nothing_older_be_put_back(
    published: Home, content: str
) -> None:
    folder = published.evaluation(PAINTER) / current_adapter(published).id
    (folder / "verdicts.jsonl").write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(NotPublished, match=r"verdicts\.jsonl cannot be read"):
        publish_gallery(published, PAINTER, PROFILE)
    with pytest.raises(NotPublished, match=r"verdicts\.jsonl cannot be read"):
        put_back(published, PAINTER, shelf_of(published).versions()[0].id)


def test_the_ledger_names_the_verdict_that_let_a_version_be_published(published_once: Home) -> None:
    verdict = last_verdict(published_once.evaluation(PAINTER) / adapter_in_place(published_once))
    assert verdict is not None
    assert shelf_of(published_once).ledger()[0].verdict_id == verdict.id != ""


def test_pictures_that_were_only_measured_are_not_published(published_once: Home) -> None:
    samples = read_manifest(published_once.evaluation(PAINTER) / MANIFEST, Sample)
    records = read_manifest(published_once.gallery(PAINTER) / MANIFEST, Sample)
    assert "panel" in {sample.role for sample in samples}
    assert {record.role for record in records} == {"row"}
    assert "only measured" not in {record.prompt for record in records}


# Versions


def test_the_same_site_is_the_same_version(published: Home) -> None:
    first = publish_gallery(published, PAINTER, PROFILE).figures["version"]
    shutil.rmtree(published.root / "gallery")
    assert publish_gallery(published, PAINTER, PROFILE).figures["version"] == first


def test_every_version_is_kept_and_what_did_not_change_is_kept_once(published: Home) -> None:
    before = files_of(published.gallery(PAINTER))
    rename_painter(published, "Renamed")
    publish_gallery(published, PAINTER, PROFILE)
    old, new = shelf_of(published).versions()
    assert files_of(shelf_of(published).folder / old.id) == old.files == before
    assert files_of(published.gallery(PAINTER)) == new.files != before
    picture = next(name for name in old.files if name.startswith("pictures/"))
    places = [shelf_of(published).folder / version.id / picture for version in (old, new)]
    assert places[0].samefile(places[1])


def test_writing_into_the_site_in_place_does_not_reach_what_is_kept(published: Home) -> None:
    (version,) = shelf_of(published).versions()
    for file in published.gallery(PAINTER).rglob("*.*"):
        unlinked(file).write_bytes(b"overwritten in place")
    assert shelf_of(published).is_kept(version)
    put_back(published, PAINTER, version.id)
    assert files_of(published.gallery(PAINTER)) == version.files


def test_kept_files_are_read_only_and_git_does_not_take_them_up(published_once: Home) -> None:
    files = list(shelf_of(published_once).folder.rglob("*.png"))
    assert files
    assert {file.stat().st_mode & 0o777 for file in files} == {0o444}
    assert (published_once.root / "gallery" / ".versions" / ".gitignore").read_text() == "*\n"


def test_the_versions_are_listed_with_the_one_in_place(published_twice: Home) -> None:
    rows = kept_versions(published_twice, PAINTER)
    assert [row["in place"] for row in rows] in (["", "yes"], ["yes", ""])  # made within one second, they sort by id
    (current,) = (row for row in rows if row["in place"])
    assert current["adapter"] == current_adapter(published_twice).id


def test_an_older_version_can_be_put_back_and_the_ledger_says_so(published_twice: Home) -> None:
    new = adapter_in_place(published_twice)
    old = next(v for v in shelf_of(published_twice).versions() if v.adapter_id != new)
    put_back(published_twice, PAINTER, old.id)
    assert files_of(published_twice.gallery(PAINTER)) == old.files
    entry = shelf_of(published_twice).ledger()[-1]
    assert (entry.action, entry.version_id, entry.adapter_id, entry.instead_of) == (
        "put back",
        old.id,
        old.adapter_id,
        new,
    )


def test_the_stage_does_not_undo_what_a_person_put_back(published_twice: Home) -> None:
    new = adapter_in_place(published_twice)
    old = next(v for v in shelf_of(published_twice).versions() if v.adapter_id != new)
    put_back(published_twice, PAINTER, old.id)
    with pytest.raises(NotPublished, match=f"version {old.id} .* artmaster publish {PAINTER}"):
        publish_gallery(published_twice, PAINTER, PROFILE)
    assert adapter_in_place(published_twice) == old.adapter_id
    allow_again(published_twice, PAINTER)
    publish_gallery(published_twice, PAINTER, PROFILE)
    assert adapter_in_place(published_twice) == new


def test_a_newer_adapter_is_published_though_an_older_site_was_put_back(published_twice: Home) -> None:
    old = next(v for v in shelf_of(published_twice).versions() if v.adapter_id != adapter_in_place(published_twice))
    put_back(published_twice, PAINTER, old.id)
    newest = new_adapter(published_twice)
    publish_gallery(published_twice, PAINTER, PROFILE)
    assert adapter_in_place(published_twice) == newest.id


def test_a_version_whose_adapter_was_judged_unfit_since_is_not_put_back(published_twice: Home) -> None:
    new = adapter_in_place(published_twice)
    old = next(v for v in shelf_of(published_twice).versions() if v.adapter_id != new)
    verdict = judged(published_twice, publish=False, by="person", reasons=("The archive objected.",))
    file = published_twice.evaluation(PAINTER) / old.adapter_id / "verdict.json"
    file.write_text(verdict.model_copy(update={"adapter_id": old.adapter_id}).model_dump_json())
    with pytest.raises(NotPublished, match="a person: The archive objected"):
        put_back(published_twice, PAINTER, old.id)
    assert adapter_in_place(published_twice) == new


@pytest.mark.parametrize("version", ["", "0123456789abcdef", "../../etc", ".gitignore"])
def test_an_unknown_version_is_refused_and_the_known_are_listed(published: Home, version: str) -> None:
    (known,) = shelf_of(published).versions()
    with pytest.raises(WrongUse, match=known.id):
        put_back(published, PAINTER, version)


def test_a_damaged_version_is_not_put_in_place(published_twice: Home) -> None:
    new = adapter_in_place(published_twice)
    old = next(v for v in shelf_of(published_twice).versions() if v.adapter_id != new)
    victim = shelf_of(published_twice).folder / old.id / "index.html"
    victim.chmod(0o644)
    victim.write_text("damaged")
    with pytest.raises(ArtMasterError, match=r"index\.html"):
        put_back(published_twice, PAINTER, old.id)
    assert adapter_in_place(published_twice) == new


@pytest.mark.parametrize("step", ["keep", "put_in_place", "note"])
def test_a_kill_between_the_steps_leaves_the_old_site(
    published: Home, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = files_of(published.gallery(PAINTER))
    new = new_adapter(published)

    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SiteVersions, step, kill)
        with pytest.raises(Killed):
            publish_gallery(published, PAINTER, PROFILE)
    if step == "note":
        assert adapter_in_place(published) == new.id
    else:
        assert files_of(published.gallery(PAINTER)) == before
    publish_gallery(published, PAINTER, PROFILE)
    assert adapter_in_place(published) == new.id
    assert list(published.root.rglob(".partial-*")) == []


def test_a_version_that_was_being_written_when_a_run_was_killed_is_none(published: Home) -> None:
    shelf = shelf_of(published)
    (shelf.folder / ".partial-killed.json").write_text('{"id": "', encoding="utf-8")
    assert len(shelf.versions()) == 1
    assert not [finding for finding in verify(published).findings if "partial" in finding.file]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_two_sites_change_places_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "site"
    place.mkdir()
    (place / "old").touch()

    def rename(*_: Any) -> None:
        raise AssertionError("a moment without a site")

    monkeypatch.setattr(Path, "replace", rename)
    with writing_folder(place) as building:
        (building / "new").touch()
    assert [file.name for file in tmp_path.rglob("*")] == ["site", "new"]


def test_a_site_that_dvc_brought_alone_can_be_copied_from(published: Home, tmp_path: Path) -> None:
    shutil.rmtree(published.root / "gallery" / ".versions")
    version = published_version(published, PAINTER)
    assert version.files == files_of(published.gallery(PAINTER))
    copy_gallery(published, PAINTER, str(tmp_path / "web"))
    assert files_of(tmp_path / "web" / PAINTER) == version.files


def test_a_site_that_was_edited_is_not_copied(published: Home, tmp_path: Path) -> None:
    (published.gallery(PAINTER) / "index.html").write_text("edited")
    with pytest.raises(ArtMasterError, match=f"artmaster publish {PAINTER}"):
        copy_gallery(published, PAINTER, str(tmp_path / "web"))
    assert not (tmp_path / "web").exists()


# Copies to a folder


@pytest.mark.parametrize("as_url", [False, True])
def test_a_copy_in_a_folder_is_the_site_with_a_page_over_it(published_once: Home, tmp_path: Path, as_url: bool) -> None:
    web = tmp_path / "päge web"
    done = copy_gallery(published_once, PAINTER, web.as_uri() if as_url else str(web))
    assert files_of(web / PAINTER) == files_of(published_once.gallery(PAINTER))
    assert f'href="{PAINTER}/' in (web / "index.html").read_text(encoding="utf-8")
    assert (done.where, done.sent) == (str(web / PAINTER / "index.html"), len(done.version.files))
    assert copy_gallery(published_once, PAINTER, str(web)).sent == 0
    assert shelf_of(published_once).ledger()[-1].action == "copied"


def test_a_folder_keeps_the_versions_that_were_copied_there(published: Home, tmp_path: Path) -> None:
    copy_gallery(published, PAINTER, str(tmp_path / "web"))
    new_adapter(published)
    publish_gallery(published, PAINTER, PROFILE)
    copy_gallery(published, PAINTER, str(tmp_path / "web"))
    there = SiteVersions(tmp_path / "web", PAINTER)
    assert {version.id for version in there.versions()} == {v.id for v in shelf_of(published).versions()}
    assert files_of(there.site) == files_of(published.gallery(PAINTER))


def test_a_folder_that_is_not_ours_is_left_as_it_is(published_once: Home, tmp_path: Path) -> None:
    (tmp_path / PAINTER).mkdir()
    (tmp_path / PAINTER / "diary.txt").write_text("mine")
    with pytest.raises(WrongUse, match=r"not a gallery of ArtMaster"):
        copy_gallery(published_once, PAINTER, str(tmp_path))
    assert files_of(tmp_path / PAINTER).keys() == {"diary.txt"}


def test_a_page_that_is_not_ours_is_left_as_it_is_and_that_is_said(published_once: Home, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my museum")
    said: list[str] = []
    copy_gallery(published_once, PAINTER, str(tmp_path), Progress(said.append))
    assert (tmp_path / "index.html").read_text() == "my museum"
    assert any("left as it is" in line for line in said)


@pytest.mark.parametrize("inside", ["", "gallery", "gallery/some-painter", "elsewhere"])
def test_the_data_home_itself_is_no_target(published_once: Home, inside: str) -> None:
    with pytest.raises(WrongUse, match="Choose a folder"):
        find_target(str(published_once.root / inside), published_once)


@pytest.mark.parametrize(
    "url", ["ftp://example.org/x", "https://example.org", "HTTP://x", "data://x", "hf://models/a/b"]
)
def test_an_address_of_another_kind_is_refused_with_those_that_are_known(home: Home, url: str) -> None:
    with pytest.raises(WrongUse, match=r"s3://|hf://spaces/USER/NAME"):
        find_target(url, home)


@pytest.mark.parametrize("url", ["s3://AKIAID:hunter22@bucket/x", "az://box/x?sig=hunter22", "gs://b/x#hunter22"])
def test_a_secret_in_an_address_is_refused_and_not_repeated(home: Home, url: str) -> None:
    with pytest.raises(WrongUse, match="Leave them out") as refusal:
        find_target(url, home)
    assert "hunter22" not in str(refusal.value)


# Copies to an object store


@pytest.fixture
def bucket() -> Iterator[Any]:
    """An empty store in memory."""
    import fsspec

    store = fsspec.filesystem("memory")
    store.store.clear()
    yield store
    store.store.clear()


def objects(store: Any) -> dict[str, bytes]:
    return {name: store.cat_file(name) for name in store.find("/web")}


def test_a_store_holds_the_version_and_pages_that_lead_to_it(published_once: Home, bucket: Any) -> None:
    version = copy_gallery(published_once, PAINTER, "memory://web").version
    there = objects(bucket)
    for name, file in ((n, published_once.gallery(PAINTER) / n) for n in version.files):
        assert there[f"/web/{PAINTER}/versions/{version.id}/{name}"] == file.read_bytes()
    assert f"url=versions/{version.id}/index.html" in there[f"/web/{PAINTER}/index.html"].decode()
    assert "url=../../index.html" in there[f"/web/{PAINTER}/versions/index.html"].decode()
    assert f'href="{PAINTER}/versions/{version.id}/index.html"' in there["/web/index.html"].decode()
    assert json.loads(there[f"/web/{PAINTER}/current.json"])["version"] == version.id


def test_every_picture_on_the_page_over_a_store_is_there(published_once: Home, bucket: Any) -> None:
    copy_gallery(published_once, PAINTER, "memory://web")
    page = bucket.cat_file("/web/index.html").decode()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert pictures
    assert all(bucket.exists(f"/web/{picture}") for picture in pictures)


def test_copying_again_sends_only_what_is_not_there_whole(published_once: Home, bucket: Any) -> None:
    version = copy_gallery(published_once, PAINTER, "memory://web").version
    place = f"/web/{PAINTER}/versions/{version.id}"
    first, second = [name for name in version.files if name.endswith(".png")][:2]
    bucket.rm_file(f"{place}/{first}")
    same_size = b"x" * (published_once.gallery(PAINTER) / second).stat().st_size
    bucket.pipe_file(f"{place}/{second}", same_size)
    done = copy_gallery(published_once, PAINTER, "memory://web")
    assert (done.sent, done.there) == (2, len(version.files) - 2)
    assert bucket.cat_file(f"{place}/{second}") == (published_once.gallery(PAINTER) / second).read_bytes()


def test_a_store_keeps_older_versions(published: Home, bucket: Any) -> None:
    old = copy_gallery(published, PAINTER, "memory://web").version
    new_adapter(published)
    publish_gallery(published, PAINTER, PROFILE)
    new = copy_gallery(published, PAINTER, "memory://web").version
    for version in (old, new):
        assert bucket.exists(f"/web/{PAINTER}/versions/{version.id}/index.html")
    for page in (f"/web/{PAINTER}/index.html", "/web/index.html", "/web/index.zh.html"):
        assert new.id in bucket.cat_file(page).decode()


def test_a_copy_that_is_cut_off_leaves_the_old_site(published: Home, bucket: Any, monkeypatch: Any) -> None:
    old = copy_gallery(published, PAINTER, "memory://web").version
    new_adapter(published)
    publish_gallery(published, PAINTER, PROFILE)
    put, sent = type(bucket).put_file, []

    def cut_off(store: Any, source: str, name: str, **said: Any) -> None:
        sent.append(name)
        if len(sent) > 3:
            raise ConnectionError("the network is gone")
        put(store, source, name, **said)

    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "put_file", cut_off)
        with pytest.raises(ArtMasterError, match=r"the network is gone.*run the command again"):
            copy_gallery(published, PAINTER, "memory://web")
    assert old.id in bucket.cat_file(f"/web/{PAINTER}/index.html").decode()
    assert copy_gallery(published, PAINTER, "memory://web").there == 3


def test_a_file_that_arrives_damaged_stops_the_switch(published_once: Home, bucket: Any, monkeypatch: Any) -> None:
    def damaged(store: Any, source: str, name: str, **_: Any) -> None:
        store.pipe_file(name, Path(source).read_bytes()[:-1])

    monkeypatch.setattr(type(bucket), "put_file", damaged)
    with pytest.raises(ArtMasterError, match="did not arrive as it was sent"):
        copy_gallery(published_once, PAINTER, "memory://web")
    assert not bucket.exists(f"/web/{PAINTER}/index.html")


def test_a_page_in_a_store_that_is_not_ours_is_left_as_it_is(published_once: Home, bucket: Any) -> None:
    bucket.pipe_file("/web/index.html", b"my museum")
    copy_gallery(published_once, PAINTER, "memory://web")
    assert bucket.cat_file("/web/index.html") == b"my museum"


def test_a_store_whose_library_is_missing_names_the_extra(published_once: Home, monkeypatch: Any) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingRequirement, match=r"artmaster-pipeline\[cloud\]"):
        copy_gallery(published_once, PAINTER, "s3://bucket/web")


def test_a_stores_refusal_holds_no_secrets(published_once: Home, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter22hunter22")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("403 for key hunter22hunter22")

    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    with pytest.raises(ArtMasterError, match="credentials") as refusal:
        copy_gallery(published_once, PAINTER, "s3://bucket/web")
    assert "hunter22" not in str(refusal.value)


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """An S3 on this machine, with a bucket."""
    import fsspec

    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    said = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**said, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        store = fsspec.filesystem("s3", skip_instance_cache=True)
        store.mkdir("museum")
        yield store
    server.stop()


def test_s3_is_told_what_each_file_is(published_once: Home, s3: Any) -> None:
    version = copy_gallery(published_once, PAINTER, "s3://museum/web").version
    place = f"museum/web/{PAINTER}/versions/{version.id}"
    types = {name: s3.info(f"{place}/{name}")["ContentType"] for name in version.files}
    assert types["index.html"] == "text/html; charset=utf-8"
    assert types["style.css"] == "text/css; charset=utf-8"
    assert {kind for name, kind in types.items() if name.endswith(".png")} == {"image/png"}
    assert {kind for name, kind in types.items() if name.endswith(".jpg")} == {"image/jpeg"}
    assert s3.info("museum/web/index.html")["ContentType"] == "text/html; charset=utf-8"
    assert copy_gallery(published_once, PAINTER, "s3://museum/web").sent == 0


def test_a_bucket_that_does_not_exist_is_one_sentence(published_once: Home, s3: Any) -> None:
    with pytest.raises(ArtMasterError, match="Check the bucket's name"):
        copy_gallery(published_once, PAINTER, "s3://no-such-bucket/web")


# Copies to a space of the hub


class Hub:
    """The calls of HfApi that are used, answered from a dictionary of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.made: list[dict[str, Any]] = []

    def create_repo(self, name: str, **said: Any) -> None:
        self.made.append({"name": name, **said})

    def list_repo_files(self, name: str, repo_type: str) -> list[str]:
        return sorted(self.files)

    def hf_hub_download(self, name: str, path: str, repo_type: str) -> str:
        file = self.folder / path.replace("/", "-")
        file.write_bytes(self.files[path])
        return str(file)

    def create_commit(self, name: str, operations: list[Any], *, commit_message: str, repo_type: str) -> None:
        from huggingface_hub import CommitOperationDelete

        for operation in operations:
            if isinstance(operation, CommitOperationDelete):
                del self.files[operation.path_in_repo]
            else:
                with operation.as_file() as content:
                    self.files[operation.path_in_repo] = content.read()
        self.commits.append(commit_message)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    answers = Hub(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: answers)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_something")
    return answers


def test_a_space_is_made_and_filled_in_one_commit(published_once: Home, hub: Hub) -> None:
    done = copy_gallery(published_once, PAINTER, "hf://spaces/museum/gallery")
    assert hub.made == [{"name": "museum/gallery", "repo_type": "space", "space_sdk": "static", "exist_ok": True}]
    assert len(hub.commits) == 1
    assert done.version.id in hub.commits[0]
    assert {name for name in hub.files if "/" in name} == {f"{PAINTER}/{name}" for name in done.version.files}
    assert {"index.html", "README.md"} <= set(hub.files)
    front = yaml.safe_load(hub.files["README.md"].decode().split("---")[1])
    assert (front["sdk"], front["title"], front["license"]) == ("static", "gallery", "other")


def test_a_new_commit_takes_out_what_the_site_no_longer_has(published: Home, hub: Hub) -> None:
    copy_gallery(published, PAINTER, "hf://spaces/museum/gallery")
    hub.files["another-painter/manifest.jsonl"] = hub.files[f"{PAINTER}/manifest.jsonl"]
    new_adapter(published)
    publish_gallery(published, PAINTER, PROFILE)
    done = copy_gallery(published, PAINTER, "hf://spaces/museum/gallery/")
    assert {name for name in hub.files if name.startswith(PAINTER)} == {f"{PAINTER}/{n}" for n in done.version.files}
    assert b"another-painter/index.html" in hub.files["index.html"]


def test_a_space_is_cleared_of_a_withdrawn_work_in_one_commit_and_the_others_stay(published: Home, hub: Hub) -> None:
    copy_gallery(published, PAINTER, "hf://spaces/museum/gallery")
    hub.files["another-painter/manifest.jsonl"] = hub.files[f"{PAINTER}/manifest.jsonl"]
    sha256 = current_adapter(published).scan_sha256s[0]
    append(published, new_line("withdrawn", [WithdrawnScan(sha256=sha256)], [PAINTER], "The heirs asked", "me"))
    before = len(hub.commits)
    done = take_down(published, PAINTER)
    assert len(hub.commits) == before + 1
    assert not [name for name in hub.files if name.startswith(f"{PAINTER}/")]
    assert "another-painter/manifest.jsonl" in hub.files
    assert f"{PAINTER}/index.html".encode() not in hub.files["index.html"]
    assert any("history keeps what was removed" in note for note in done.notes)
    assert take_down(published, PAINTER).copies == ()


def test_a_store_forgets_a_withdrawn_work_and_the_pages_that_lead_to_it(published: Home, s3: Any) -> None:
    copy_gallery(published, PAINTER, "s3://museum/cleared")
    sha256 = current_adapter(published).scan_sha256s[0]
    append(published, new_line("withdrawn", [WithdrawnScan(sha256=sha256)], [PAINTER], "The heirs asked", "me"))
    assert "s3://museum/cleared" in {copy.url for copy in take_down(published, PAINTER).copies}
    s3.invalidate_cache()
    left = {name.removeprefix("museum/cleared/") for name in s3.find("museum/cleared")}
    assert {Path(name).name for name in left} <= {"index.html", "index.zh.html"}
    assert f"{PAINTER}/index.html".encode() not in s3.cat_file("museum/cleared/index.html")
    assert SiteVersions(published.root / "gallery", PAINTER).ledger()[-1].action == "taken down"


def test_a_space_that_holds_something_else_is_left_as_it_is(published_once: Home, hub: Hub) -> None:
    hub.files["app.py"] = b"import gradio"
    with pytest.raises(WrongUse, match="not a gallery of ArtMaster"):
        copy_gallery(published_once, PAINTER, "hf://spaces/museum/gallery")
    assert hub.commits == []


def test_without_a_token_the_way_to_one_is_said(published_once: Home, hub: Hub, monkeypatch: Any) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(MissingRequirement, match="hf auth login"):
        copy_gallery(published_once, PAINTER, "hf://spaces/museum/gallery")
    assert hub.made == []


def test_rights_become_the_hubs_licence(published: Home, hub: Hub) -> None:
    settings = load_painter(published, PAINTER).model_copy(update={"rights": 'CC BY 4.0: "quoted"\n---\nsdk: docker'})
    save_painter(published, PAINTER, settings)
    publish_gallery(published, PAINTER, PROFILE)
    copy_gallery(published, PAINTER, "hf://spaces/museum/gallery")
    front = yaml.safe_load(hub.files["README.md"].decode().split("---")[1])
    assert (front["license"], front["sdk"]) == ("cc-by-4.0", "static")


# The command


@pytest.mark.slow
def test_publish_and_put_back_leave_dvc_and_the_site_in_step(published_twice: Home) -> None:
    def artmaster(*words: str) -> subprocess.CompletedProcess[str]:
        return forked.artmaster(*words, "--home", str(published_twice.root), check=False)

    assert artmaster("publish", PAINTER).returncode == 0
    old = next(v for v in shelf_of(published_twice).versions() if v.adapter_id != adapter_in_place(published_twice))
    put = artmaster("publish", PAINTER, "--version", old.id)
    assert put.returncode == 0, put.stderr
    assert adapter_in_place(published_twice) == old.adapter_id
    lock = (published_twice.root / "dvc.lock").read_text()
    assert f"sample_gallery@{PAINTER}" in lock
    held = artmaster("run", PAINTER, "--only", "sample_gallery")
    assert held.returncode == 1
    assert "put the version" in held.stderr.replace("\n", " ")
    assert artmaster("publish", PAINTER).returncode == 0
    assert adapter_in_place(published_twice) == current_adapter(published_twice).id


def test_what_is_copied_is_what_is_in_place(published_once: Home, tmp_path: Path) -> None:
    done = copy_gallery(published_once, PAINTER, str(tmp_path / "web"))
    for name, sha256 in done.version.files.items():
        assert sha256_of(tmp_path / "web" / PAINTER / name) == sha256
