"""The boundary: what files, disks, networks, DVC and Dagster do is told in one message, and a bug leaves a file."""

import errno
import importlib
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import forked
import made_scans
import pytest
import sqlalchemy.exc
import typer
import yaml
from filelock import FileLock, Timeout

from artmaster_pipeline.cli import serving
from artmaster_pipeline.errors import ArtMasterError, Interrupted, WrongUse
from artmaster_pipeline.faults import disk_full, in_product_words, in_words
from artmaster_pipeline.files import check_folder
from artmaster_pipeline.scans import add_scans
from artmaster_pipeline.settings import Home

REPOSITORY = Path(__file__).parents[1]
cli_app = importlib.import_module("artmaster_pipeline.cli.app")  # the package has its program under that name


def os_error(number: int, name: str | None = "/data/x.jpg") -> OSError:
    return OSError(number, os.strerror(number), name)


@pytest.mark.parametrize(
    "number",
    [
        errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR,
        errno.ENOTEMPTY,
        errno.ENAMETOOLONG, errno.EINVAL, errno.EIO, errno.ELOOP, errno.EBUSY, errno.EFBIG, errno.EXDEV, errno.ENOTSUP,
        errno.ENOLCK, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EILSEQ, errno.ETXTBSY, 9999,
    ],
)  # fmt: skip
def test_what_the_system_refuses_names_the_file_and_a_way_out(number: int) -> None:
    told = in_words(os_error(number))
    assert told is not None
    assert str(told).startswith("/data/x.jpg: ")
    assert "run the same command again" in str(told)


def test_a_full_disk_names_the_disk_and_what_is_free_on_it_whoever_says_so(tmp_path: Path) -> None:
    class SafetensorError(Exception):
        pass

    class DvcException(Exception):
        __module__ = "dvc.exceptions"

    wrapped = DvcException("failed to commit")
    wrapped.__cause__ = os_error(errno.ENOSPC, None)
    own = ArtMasterError("DVC could not record the stage")
    own.__cause__ = os_error(errno.ENOSPC, str(tmp_path / "no" / "file"))
    for error in (
        os_error(errno.ENOSPC, str(tmp_path / "x")),
        os_error(errno.EDQUOT, None),
        sqlite3.OperationalError("database or disk is full"),
        sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
        SafetensorError('Error while serializing: IoError(Os { code: 28, message: "No space left on device" })'),
        wrapped,
        own,
    ):
        told = str(in_words(error, tmp_path))
        assert told.startswith("No space left on device: the disk that holds /")
        assert " free" in told
        assert "Make room there" in told
    assert "free, and 1 GB are needed" in str(disk_full(tmp_path, needed=1_234_567_890))
    assert in_words(disk_full(tmp_path, needed=5)).args == disk_full(tmp_path, needed=5).args  # type: ignore[union-attr]


class DagsterInvalidInvocationError(Exception):
    __module__ = "dagster._core.errors"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "ulimit"),
        (OSError(errno.EADDRINUSE, "Address in use"), "port is taken"),
        (MemoryError(), "no memory left"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "no memory left"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Check the network"),
        (Timeout("/home/.cache/x.lock"), "x.lock"),
        (sqlite3.OperationalError("database is locked"), "another process writes"),
        (sqlite3.DatabaseError("database disk image is malformed"), "Move that folder away"),
        (sqlite3.DatabaseError("file is not a database"), "Move that folder away"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "this user may write"),
        (sqlite3.OperationalError("unable to open database file"), "the folder is there"),
        (yaml.YAMLError("bad"), "cannot be read as YAML"),
        (DagsterInvalidInvocationError("Received partition p that is not in the definition"), "deleted"),
    ],
)
def test_each_kind_of_fault_has_its_words(error: Exception, words: str, tmp_path: Path) -> None:
    told = str(in_words(error, tmp_path))
    assert words in told
    assert "\n" not in told


def test_a_damaged_file_is_named_though_the_error_names_none(tmp_path: Path) -> None:
    from artmaster_pipeline.records import Scan, read_manifest

    manifest = tmp_path / "manifest.jsonl"
    for content in (b"\xff\xfe broken", b"{}\n", b"not json\n", b"\0\0\0"):
        manifest.write_bytes(content)
        with pytest.raises(ArtMasterError, match=r"manifest\.jsonl"), in_product_words():
            read_manifest(manifest, Scan)


def test_a_fault_of_the_code_is_not_excused() -> None:
    for error in (
        KeyError("x"),
        TypeError("x"),
        ZeroDivisionError(),
        AssertionError(),
        UnicodeEncodeError("a", "b", 0, 1, "c"),
    ):
        assert in_words(error) is None
    with pytest.raises(KeyError), in_product_words():
        try:
            raise os_error(errno.ENOENT)
        except OSError:
            {}["a bug while a missing file is dealt with"]


def answered(monkeypatch: pytest.MonkeyPatch, home: Home, error: BaseException | None) -> int:
    program = typer.Typer(cls=cli_app._Commands)

    @program.callback()
    def everywhere() -> None: ...

    @program.command()
    def work() -> None:
        if error:
            raise error

    monkeypatch.setattr(cli_app, "app", program)
    monkeypatch.setattr(sys, "argv", ["artmaster", "work"])
    monkeypatch.setenv("ARTMASTER_HOME", str(home.root))
    return cli_app._answered()


def test_a_bug_is_one_message_and_its_traceback_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home")
    home.root.mkdir()
    assert answered(monkeypatch, home, ZeroDivisionError("a\nb \x1b[2J")) == 1
    said = capsys.readouterr().err
    (report,) = (home.cache / "faults").iterdir()
    assert said.count("\n") == 1
    assert "a fault of ArtMaster" in said
    assert str(report) in said
    assert "Traceback" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("error", "code"),
    [(None, 0), (KeyboardInterrupt(), 130), (Interrupted(), 130), (os_error(errno.EACCES), 1), (typer.Exit(3), 3)],
)
def test_exit_codes(
    error: BaseException | None,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert answered(monkeypatch, Home(tmp_path), error) == code
    said = capsys.readouterr().err
    assert said.count("\n") == (0 if code in (0, 3) else 1)
    assert ("finished is kept" in said) == (code in (130, 1))


def artmaster(*words: str, before: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return forked.run(f"{before}\n{forked.COMMAND}", "artmaster", *words, env={**os.environ, **(env or {})})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for seed in range(2):
        made_scans.write(tmp_path / "archive" / f"{seed}.png", seed)
    return tmp_path / "archive"


@pytest.mark.skipif(sys.platform == "win32", reason="file names of bytes are POSIX")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp936", "utf-8"])
def test_hostile_names_pass_through_every_command_line_whatever_the_encoding(
    tmp_path: Path, archive: Path, encoding: str
) -> None:
    folder = os.fsencode(tmp_path / "archive")
    for name in (
        b"\x1b[2Jclear.png",
        b"forged\nartmaster: all is well.png",
        b"\xff\xfe.png",
        "黄山 é \u202e.txt".encode(),
    ):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes((archive / "0.png").read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", "from artmaster_pipeline.cli import main; main()", "painters", "add", "x", str(archive)],
        capture_output=True,
        check=False,
        env={
            **os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": encoding, "LC_ALL": "C",
            "ARTMASTER_HOME": str(tmp_path / "home"),
        },
    )  # fmt: skip
    said = (done.stdout + done.stderr).decode(encoding)
    assert "Traceback" not in said
    assert all(c.isprintable() or c == "\n" for c in said)
    assert not any(line.startswith("artmaster: all is well") for line in said.splitlines())
    assert "\\x1b[2Jclear.png" in said


def test_a_closed_pipe_and_a_full_output_end_a_command_quietly(tmp_path: Path, archive: Path) -> None:
    home = str(tmp_path / "home")
    add_scans(Home(Path(home)), "x", archive)
    command = f"{sys.executable} -c 'from artmaster_pipeline.cli import main; main()' painters list --home {home}"
    for redirection, code, said in (
        (">/dev/full", 1, "stdout cannot be written to"),
        ("--json >/dev/full", 1, "stdout cannot be written to"),
        (">&-", 0, ""),
        ("2>&- ", 0, ""),
    ):
        done = subprocess.run(
            f"{command} {redirection}", shell=True, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        assert (done.returncode, done.stderr.count("\n")) == (code, 1 if said else 0), done.stderr
        assert said in done.stderr
    program = "from artmaster_pipeline.cli import main; main()"
    reading = subprocess.Popen(
        [sys.executable, "-c", program, "painters", "list", "--home", home],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert reading.stdout
    reading.stdout.close()
    assert reading.stderr
    assert reading.stderr.read() == b""
    assert reading.wait() == 141


def test_wrong_use_is_one_line(tmp_path: Path) -> None:
    for words in (["nonsense\x1b[2J"], ["run"], ["run", "x", "--bogus"], ["ui", "--port", "70000"], ["run", "A\nB"]):
        done = artmaster(*words, env={"ARTMASTER_HOME": str(tmp_path)})
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("artmaster: ")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs to be root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_too_small_is_told_before_anything_is_copied(small_disk: Path, archive: Path) -> None:
    with (archive / "0.png").open("ab") as file:
        file.truncate(20_000_000)
    done = artmaster("painters", "add", "x", str(archive), "--home", str(small_disk / "home"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "are needed" in done.stderr
    assert str(small_disk) in done.stderr
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("left", [0, 40_000, 200_000])
def test_a_disk_that_fills_up_in_a_run_is_one_message_and_nothing_half_written(
    small_disk: Path, archive: Path, left: int
) -> None:
    home = Home(small_disk / "home")
    add_scans(home, "x", archive)
    free = shutil.disk_usage(small_disk).free
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * max(0, free - left - 4096))
    command = ("run", "x", "--until", "raw_scans", "--home", str(home.root))
    # What others write while a run works is known by no forecast
    unforeseen = "from artmaster_pipeline.orchestration import assets; assets.check_needs = lambda *_, **__: None"
    done = artmaster(*command, before=unforeseen)
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("artmaster:")]
    assert done.returncode == 1
    assert len(said) == 1
    assert str(small_disk) in said[0]
    assert "No space left on device" in said[0]
    assert not list(home.root.rglob(".partial-*"))
    assert [line for line in done.stderr.splitlines() if "Errno" in line] == []
    if left == 0:
        filler.unlink()
        foreseen = artmaster(*command)
        assert foreseen.returncode == 1
        assert "Nothing was begun" in foreseen.stderr
        assert f"Free some space on the disk of {home.root}" in foreseen.stderr
        done = artmaster(*command, before=unforeseen)
        assert done.returncode == 0, done.stderr


def test_json_manifests_of_a_home_stay_readable(tmp_path: Path, archive: Path) -> None:
    add_scans(Home(tmp_path / "home"), "x", archive)
    done = artmaster("painters", "list", "--json", "--home", str(tmp_path / "home"), env={"PYTHONIOENCODING": "ascii"})
    assert json.loads(done.stdout)[0]["painter"] == "x"


def test_a_place_for_results_is_looked_at_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    check_folder(tmp_path / "new" / "deep")
    assert (tmp_path / "new" / "deep").is_dir()
    for place, why in (
        ("file", "is a file"),
        ("file/below", "is a file"),
        ("link", "a link to something"),
        ("link/x", "link"),
    ):
        with pytest.raises(WrongUse, match=why) as raised:
            check_folder(tmp_path / place)
        assert "--out" in str(raised.value)
    with pytest.raises(WrongUse, match="cannot be written in"):
        check_folder(Path("/proc/artmaster"))
    with pytest.raises(WrongUse, match="cannot be written in"):
        check_folder(tmp_path / ("x" * 300))


def test_the_ui_ends_where_its_port_is_taken_and_names_a_free_one(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = artmaster("ui", "--port", str(port), "--home", str(tmp_path / "home"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Port {port} is taken" in done.stderr
    assert "http://" not in done.stdout + done.stderr
    assert not (tmp_path / "home").exists()


def test_what_serves_listens_on_this_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Started(Exception):
        pass

    def start(command: list[str], **_: object) -> None:
        raise Started(*command)

    monkeypatch.setattr(subprocess, "Popen", start)
    Home(tmp_path).cache.mkdir()
    with pytest.raises(Started) as server:
        serving._serve(Home(tmp_path), 3000)
    words = server.value.args
    assert words[words.index("-h") + 1] == "127.0.0.1"
    assert words.count("-h") == 1
    # TensorBoard, which a person starts, keeps to localhost unless it is told otherwise: no page tells it to.
    for page in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")):
        assert not re.search(r"tensorboard .*(--bind_all|--host)|http\.server", page.read_text(encoding="utf-8")), page
    for file in (REPOSITORY / "artmaster_pipeline").rglob("*.py"):
        assert "0.0.0.0" not in file.read_text(encoding="utf-8"), file


def test_a_data_home_is_a_folder_with_a_plain_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place, why in ((tmp_path / "file", "is a file"), (tmp_path / "a\nb", "control character")):
        with pytest.raises(WrongUse, match=why):
            Home.find(place)


def test_a_second_ui_of_a_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    with FileLock(tmp_path / ".cache" / "ui.lock"):
        done = artmaster("ui", "--port", "38521", "--home", str(tmp_path))
    assert done.returncode == 1
    assert "Another `artmaster ui`" in done.stderr


MEANWHILE = {
    "the painter's scans": "shutil.rmtree(home.root / 'scans' / 'x')",
    "the stage's folder": "shutil.rmtree(home.root / 'register')",
    "the data home": "shutil.rmtree(home.root)",
    "Dagster's storage": "shutil.rmtree(home.dagster)",
    "the working folder": "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
    "the partition": (
        "from artmaster_pipeline.orchestration.instance import open_instance\n"
        "            with open_instance(home) as instance: instance.delete_dynamic_partition('painter', 'x')"
    ),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_is_taken_away_while_a_run_decodes_is_one_message(what: str, tmp_path: Path, archive: Path) -> None:
    home = tmp_path / "home"
    add_scans(Home(home), "x", archive)
    program = f"""
import os, shutil, sys
from contextlib import contextmanager
from pathlib import Path
from artmaster_pipeline import progress
from artmaster_pipeline.settings import Home
whole, home, done = progress.Progress.task, Home(Path({str(home)!r})), []

@contextmanager
def task(self, description, total, before=0):
    with whole(self, description, total, before) as advance:
        if description.startswith("Decoding") and not done:
            done.append(1)
            {MEANWHILE[what]}
        yield advance

progress.Progress.task = task
{forked.COMMAND}
"""
    words = "artmaster", "run", "x", "--until", "raw_scans", "--home", str(home)
    done = forked.run(program, *words, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("artmaster:")]
    if done.returncode:
        assert len(said) == 1, done.stderr
        assert "a fault of ArtMaster" not in said[0], said
    if what in ("the data home", "the partition"):
        add_scans(Home(home), "x", archive)
        done = artmaster("run", "x", "--until", "raw_scans", "--home", str(home))
        assert done.returncode == 0, done.stderr


def test_a_step_fails_in_dagsters_pages_with_the_sentence_that_the_terminal_shows(
    tmp_path: Path, archive: Path
) -> None:
    from artmaster_pipeline.orchestration.instance import open_instance
    from artmaster_pipeline.orchestration.run import run_painter

    home = Home(tmp_path / "home")
    add_scans(home, "x", archive)
    (home.scans("x") / "artworks.csv").write_bytes(b"\xff\xfe\x1b[2J")
    with pytest.raises(ArtMasterError, match=r"artworks\.csv") as raised:
        run_painter(home, "x", until="raw_scans")
    with open_instance(home) as instance:
        (run,) = instance.get_runs()
        failures = [
            log.dagster_event.step_failure_data
            for log in instance.all_logs(run.run_id)
            if log.dagster_event and log.dagster_event.is_step_failure
        ]
    assert [failure.user_failure_data.description for failure in failures] == [str(raised.value)]
