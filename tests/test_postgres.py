"""Dagster's records in PostgreSQL: a real server, in a folder of its own, on a Unix socket alone."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import made_scans
import pytest
from sqlalchemy.engine import make_url

from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse
from artmaster_pipeline.faults import in_product_words
from artmaster_pipeline.orchestration import postgres
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import alive, end_killed_runs, open_instance
from artmaster_pipeline.orchestration.run import run_painter
from artmaster_pipeline.records import MANIFEST, manifest_hash
from artmaster_pipeline.settings import Home

PASSWORD = "p@ss/wörd:%"  # every character that an address must escape
STAGES = ("raw_scans", "curated_crops")


def programs() -> Path:
    """The folder of PostgreSQL's own programs."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which("initdb")
    if not folders and not found:
        pytest.skip("no PostgreSQL is installed here")
    return folders[-1] if folders else Path(str(found)).parent


class Server:
    """A server that listens on a socket in its folder; databases are made by asking for their address."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.folder, self.bin = folder, bin_folder
        # initdb and postgres refuse to run as root: they run as the user that Debian made for them.
        self.user = "postgres" if os.geteuid() == 0 else None

    def do(self, program: str, *words: str) -> None:
        command = [str(self.bin / program), *words]
        done = subprocess.run(
            command,
            user=self.user,
            group=self.user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,  # a pipe would be held open by the server
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        secret = self.folder / "secret"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        data = str(self.folder / "data")
        self.do(
            "initdb", "-D", data, "-U", "artmaster", f"--pwfile={secret}", "-A", "scram-sha-256", "-N", "-E", "UTF8"
        )
        options = (
            f"-c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off -k {self.folder}"
        )
        self.do("pg_ctl", "-D", data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self.do("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def address(self, database: str = "postgres", **query: str) -> str:
        url = make_url("postgresql:///").set(
            username="artmaster", password=PASSWORD, database=database, query={"host": str(self.folder), **query}
        )
        return url.render_as_string(hide_password=False)

    def ask(self, sentence: str, database: str = "postgres") -> None:
        import psycopg2

        connection = psycopg2.connect(self.address(database))
        connection.autocommit = True
        connection.cursor().execute(sentence)
        connection.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    bin_folder = programs()
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("root cannot run PostgreSQL, and there is no user `postgres` here")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path may have 107 characters
    folder.chmod(0o755)
    made = Server(folder, bin_folder)
    try:
        made.start()
        yield made
        made.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "ARTMASTER_HOME", postgres.VARIABLE):
        monkeypatch.setenv(name, "")


def painted_home(folder: Path) -> Home:
    home = Home(folder)
    for seed in range(2):
        made_scans.write(home.scans("p") / f"{seed}.png", seed)
    return home


def state(home: Home) -> dict[str, tuple[str, int]]:
    """Every stage's manifest, and when its newest picture was written."""
    folders = {stage: home.stage_folder(stage, "p") for stage in STAGES}
    newest = {
        stage: max(file.stat().st_mtime_ns for file in folder.rglob("*.*g") if file.is_file())
        for stage, folder in folders.items()
    }
    return {stage: (manifest_hash(folder / MANIFEST), newest[stage]) for stage, folder in folders.items()}


def test_a_home_goes_on_in_postgresql_and_nothing_is_made_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = painted_home(tmp_path / "home")
    assert run_painter(home, "p", until="curated_crops").made == STAGES  # in SQLite files
    before = state(home)
    monkeypatch.setenv(postgres.VARIABLE, server.address())
    assert run_painter(home, "p", until="curated_crops").made == STAGES  # reported anew, from what is there
    assert state(home) == before
    report = run_painter(home, "p", until="curated_crops")
    assert (report.made, report.current, report.run_id) == ((), STAGES, None)
    with open_instance(home) as instance:
        assert {type(part).__module__.partition(".")[0] for part in (
            instance.run_storage, instance.event_log_storage, instance.schedule_storage
        )} == {"dagster_postgres"}  # fmt: skip
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS]
        the_pools_and_sensors_work(home, instance)
    for file in (file for file in home.root.rglob("*") if file.is_file()):
        assert PASSWORD.encode() not in file.read_bytes(), file
        assert b"w%C3%B6rd" not in file.read_bytes(), file
    monkeypatch.setenv(postgres.VARIABLE, "")
    with pytest.raises(WrongUse, match=r"dagster\.yaml keeps .* is not set"):
        open_instance(home)


def the_pools_and_sensors_work(home: Home, instance: dg.DagsterInstance) -> None:
    job = build_defs().resolve_job_def("whole_chain")
    killed, living = (instance.create_run_for_job(job) for _ in range(2))
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("gpu")
    assert storage.claim_concurrency_slot("gpu", killed.run_id, "a").is_claimed
    assert not storage.claim_concurrency_slot("gpu", living.run_id, "a").is_claimed
    (home.cache / "runs" / f"{killed.run_id}.lock").touch()
    with alive(home, instance, living.run_id):
        end_killed_runs(home, instance)
        assert instance.get_run_by_id(killed.run_id).is_failure  # type: ignore[union-attr]
        assert storage.claim_concurrency_slot("gpu", living.run_id, "a").is_claimed
    instance.run_storage.set_cursor_values({"a-sensor": "its cursor"})
    assert instance.run_storage.get_cursor_values({"a-sensor"}) == {"a-sensor": "its cursor"}
    assert instance.all_instigator_state() == []
    assert instance.schedule_storage.has_built_index("schedule_jobs_selector_id")  # type: ignore[union-attr]


def test_two_homes_do_not_mix_in_one_database(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.ask("CREATE DATABASE homes")
    monkeypatch.setenv(postgres.VARIABLE, server.address("homes"))
    first, second = Home(tmp_path / "first"), Home(tmp_path / "second")
    open_instance(first).dispose()
    with pytest.raises(WrongUse, match=f"keeps the records of the data home {first.root}"):
        open_instance(second)
    monkeypatch.setenv(postgres.VARIABLE, server.address("homes", options="-csearch_path=own"))
    with pytest.raises(ArtMasterError, match="no schema"), in_product_words(lambda: second.root):
        open_instance(second)
    server.ask("CREATE SCHEMA own", "homes")
    open_instance(second).dispose()  # a schema of its own is as good as a database
    monkeypatch.setenv(postgres.VARIABLE, server.address("homes"))
    moved = Home(first.root.rename(tmp_path / "moved"))
    open_instance(moved).dispose()
    with pytest.raises(WrongUse, match=f"data home {moved.root}"):
        open_instance(second)


def test_what_is_wrong_with_the_database_is_one_sentence_without_the_password(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"postgresql://me:s3cret@/db?host={tmp_path}"
    told = {}
    for address in (nowhere, "postgres://me:s3cret@h/db", "mysql://me:s3cret@h/db", "postgresql://me:s3c@ret:h:x@/db",
                    "postgresql://me:s3cret@h", "s3cret", "postgresql://me:s3cret@/db?host=/x&port=x"):  # fmt: skip
        monkeypatch.setenv(postgres.VARIABLE, address)
        with pytest.raises(ArtMasterError) as raised:
            open_instance(home)
        told[address] = str(raised.value)
        assert raised.value.__cause__ is None
        assert "s3c" not in told[address]
        assert "\n" not in told[address]
    assert "cannot be used" in told[nowhere]
    assert "Start the server" in told[nowhere]
    assert "postgresql://USER:PASSWORD@HOST" in told["mysql://me:s3cret@h/db"]
    monkeypatch.setenv(postgres.VARIABLE, nowhere)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingRequirement, match=r"artmaster-pipeline\[postgres\]"):
        open_instance(home)
    assert "s3cret" not in (home.dagster / "dagster.yaml").read_text()
