"""Notifications: what goes out to a webhook and by e-mail, what never does, and that none of it stops a run."""

import ipaddress
import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from small_archive import PAINTER, small_archive

from artmaster_pipeline.cli.withdrawing import withdraw
from artmaster_pipeline.notifications import BASE, FROM, SMTP, TO, WEBHOOK, Notice, link_to, tell
from artmaster_pipeline.orchestration import metadata
from artmaster_pipeline.orchestration.assets import PAINTERS
from artmaster_pipeline.orchestration.notifying import notices_of, tell_of_failures
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import QUARANTINE, Adapter, Quarantined, write_manifest
from artmaster_pipeline.settings import Home

SECRET = "s3cret-pass"
NOTICE = Notice(event="run failed", painter="p", title="p: run 1 failed", text="Out of memory.", link="https://x/r")
FORGED = "p\r\nBcc: all@example.org\r\n\r\nForged\x1b[2J\u202e"


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (WEBHOOK, SMTP, TO, FROM, BASE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")


class Hook:
    """A webhook on this machine: what it was sent, and the statuses with which it answers, the last one for ever."""

    def __init__(self, address: str) -> None:
        self.address, self.answers, self.bodies = address, [200], list[dict[str, Any]]()


@pytest.fixture(scope="module")
def listening() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(hook.answers.pop(0) if len(hook.answers) > 1 else hook.answers[0])
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Hook(f"http://127.0.0.1:{server.server_port}/hooks/{SECRET}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield hook
        server.shutdown()


@pytest.fixture
def hook(listening: Hook, monkeypatch: pytest.MonkeyPatch) -> Hook:
    listening.answers, listening.bodies = [200], []
    monkeypatch.setenv(WEBHOOK, listening.address)
    return listening


class PostOffice:
    """An SMTP server as far as a client asks: no TLS, a login that it takes, answers for whole letters."""

    def __init__(self) -> None:
        self.said, self.letters, self.answers = list[str](), list[EmailMessage](), [b"250 taken"]


def speaking(office: PostOffice) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                verb = line.split()[0].upper().decode()
                office.said.append(line.decode().strip())
                if verb == "DATA":
                    self.wfile.write(b"354 go on\r\n")
                    read = iter(self.rfile.readline, b".\r\n")
                    office.letters.append(message_from_bytes(b"".join(read), policy=policy.default))
                    self.wfile.write(
                        (office.answers.pop(0) if len(office.answers) > 1 else office.answers[0]) + b"\r\n"
                    )
                elif verb == "QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    answers = {"EHLO": b"250-here\r\n250 AUTH PLAIN", "AUTH": b"235 come in"}
                    self.wfile.write(answers.get(verb, b"250 fine") + b"\r\n")

    return Handler


@contextmanager
def opened(office: PostOffice, host: str, safe: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port at which a post office is spoken to, all of it encrypted where `safe` says how."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def get_request(self) -> Any:
            connection, address = super().get_request()
            return (safe.wrap_socket(connection, server_side=True) if safe else connection), address

    with Server((host, 0), speaking(office)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def office(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostOffice]:
    office, host = PostOffice(), getattr(request, "param", "127.0.0.1")
    with opened(office, host) as port:
        monkeypatch.setenv(SMTP, f"smtp://someone:{SECRET}@{host}:{port}")
        monkeypatch.setenv(TO, "Anna <anna@example.org>, ben@example.org")
        yield office


def own_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, both in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    here, now = ipaddress.ip_address("127.0.0.1"), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(here)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "own.pem"
    file.write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def told(*notices: Notice) -> tuple[list[str], list[float]]:
    """Send notices; gives what was logged and how long was waited for, without waiting."""
    log: list[str] = []
    waits: list[float] = []
    tell(notices, log.append, waits.append)
    assert not any(SECRET in line for line in log)
    return log, waits


def test_nothing_is_sent_where_nothing_is_configured() -> None:
    assert told(NOTICE) == ([], [])


def test_a_webhook_gets_one_line_of_json_that_chats_and_programs_read(hook: Hook) -> None:
    assert told(NOTICE) == ([], [])
    assert hook.bodies == [
        {
            "event": "run failed",
            "painter": "p",
            "title": "p: run 1 failed",
            "details": "Out of memory.",
            "link": "https://x/r",
            "text": "p: run 1 failed\nOut of memory.\nhttps://x/r",
        }
    ]


def test_an_e_mail_goes_to_all_who_are_named(office: PostOffice) -> None:
    assert told(NOTICE) == ([], [])
    (letter,) = office.letters
    assert letter["Subject"] == "ArtMaster: p: run 1 failed"
    assert (letter["To"], letter["From"]) == ("anna@example.org, ben@example.org", "anna@example.org")
    assert letter.get_content().splitlines() == ["p: run 1 failed", "Out of memory.", "https://x/r"]
    assert [line for line in office.said if line.lower().startswith("rcpt")] == [
        "rcpt TO:<anna@example.org>", "rcpt TO:<ben@example.org>",
    ]  # fmt: skip


def test_no_name_adds_a_header_or_a_line(office: PostOffice, hook: Hook) -> None:
    notice = NOTICE.model_copy(update={"title": FORGED, "text": FORGED, "painter": FORGED})
    assert told(notice) == ([], [])
    (letter,) = office.letters
    assert "Bcc" not in letter
    assert r"p\r\nBcc: all@example.org" in letter["Subject"]
    assert len(letter.get_content().splitlines()) == 3
    assert not any("all@" in line for line in office.said if line.lower().startswith("rcpt"))
    assert len(hook.bodies[0]["text"].splitlines()) == 3


def test_a_certificate_is_asked_for_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office, certificate = PostOffice(), own_certificate(tmp_path)
    safe = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    safe.load_cert_chain(certificate)
    monkeypatch.setenv(TO, "anna@example.org")
    with opened(office, "127.0.0.1", safe) as port:
        monkeypatch.setenv(SMTP, f"smtps://someone:{SECRET}@127.0.0.1:{port}")
        (line,), waits = told(NOTICE)
        assert line.startswith("Not told by e-mail: ")
        assert (office.said, waits) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # now somebody vouches for it
        assert told(NOTICE) == ([], [])
    assert [letter["To"] for letter in office.letters] == ["anna@example.org"]


@pytest.mark.parametrize("office", ["127.0.0.2"], indirect=True)
def test_no_password_goes_to_another_machine_without_encryption(office: PostOffice) -> None:
    (line,), waits = told(NOTICE)
    assert line.startswith("Not told by e-mail: ")
    assert (office.letters, waits) == ([], [])
    assert not any(line.upper().startswith("AUTH") for line in office.said)


def test_what_may_pass_is_tried_again_and_what_cannot_is_not(hook: Hook, office: PostOffice) -> None:
    hook.answers, office.answers = [503, 429, 200], [b"451 later", b"250 taken"]
    assert told(NOTICE) == ([], [1.0, 3.0, 1.0])
    assert len(hook.bodies) == 3
    hook.answers, office.answers = [404], [b"554 never"]
    log, waits = told(NOTICE, NOTICE)
    assert waits == []
    assert log == [
        "Not told by webhook: the other side answered 404. What was to be told: p: run 1 failed",
        "Not told by e-mail: the post office answered 554. What was to be told: p: run 1 failed",
    ]
    assert len(hook.bodies) == 4  # the second notice is not tried there


def test_an_answer_that_leads_elsewhere_is_not_followed(hook: Hook) -> None:
    hook.answers = [307]
    assert "the other side answered 307" in told(NOTICE)[0][0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (WEBHOOK, f"file:///etc/{SECRET}", f"{WEBHOOK} is no https:// address"),
        (WEBHOOK, f"https://127.0.0.1:1/{SECRET}\r\nX: y", "InvalidURL"),
        (WEBHOOK, f"http://127.0.0.1:1/{SECRET}", "Connection refused"),
        (SMTP, f"https://user:{SECRET}@host", f"{SMTP} is no smtps:// or smtp:// address"),
        (SMTP, f"smtp://user:{SECRET}@127.0.0.1:1", f"{TO} names no e-mail addresses"),
    ],
)
def test_wrong_settings_are_named_without_what_they_hold(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    (line,), _ = told(NOTICE)
    assert said in line


def test_links_go_below_the_address_at_which_the_home_is_served(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    report = home.root / "evaluation" / "p" / "ab cd" / "report.html"
    assert link_to(home, report) == report.as_uri()
    monkeypatch.setenv(BASE, "https://museum.example/artmaster/")
    assert link_to(home, report) == "https://museum.example/artmaster/evaluation/p/ab%20cd/report.html"


# Of runs


def ran(home: Home, work: Callable[[], Iterator[Any]]) -> tuple[Notice, ...]:
    """What is told of a run of the asset raw_scans and the gate's check, whose work gives events."""
    spec = dg.AssetCheckSpec("fit_to_publish", asset="raw_scans", blocking=True)

    @dg.asset(name="raw_scans", partitions_def=PAINTERS, check_specs=[spec])
    def made() -> Iterator[Any]:
        yield from work()

    instance = INSTANCES[home.root]
    done = dg.materialize([made], instance=instance, partition_key="p", raise_on_error=False)
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    return notices_of(home, instance, run)


INSTANCES: dict[Path, dg.DagsterInstance] = {}


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("painter", ["p"])
        INSTANCES[home.root] = instance
        yield instance


def judged_as(home: Home, passed: bool) -> Iterator[Any]:
    report = home.evaluation("p") / "ab12" / "report.html"
    yield dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(
                check_name="fit_to_publish",
                passed=passed,
                description="Tone: not clearly nearer.",
                metadata={"report": dg.MetadataValue.path(str(report))},
            )
        ]
    )


@pytest.mark.usefixtures("instance")
@pytest.mark.parametrize(("passed", "event"), [(True, "adapter passed"), (False, "adapter refused")])
def test_the_gate_s_verdict_is_told_with_the_report_and_is_no_failure(home: Home, passed: bool, event: str) -> None:
    (notice,) = ran(home, lambda: judged_as(home, passed))
    assert (notice.event, notice.painter) == (event, "p")
    assert "the adapter ab12" in notice.title
    assert notice.link == (home.evaluation("p") / "ab12" / "report.html").as_uri()
    assert ("What was published before stays." in notice.text) != passed


@pytest.mark.usefixtures("instance")
def test_a_failed_run_is_told_with_its_sentence(home: Home) -> None:
    def fails() -> Iterator[Any]:
        yield from ()
        raise dg.Failure("No space left on device", allow_retries=False)

    (notice,) = ran(home, fails)
    assert notice.event == "run failed"
    assert "No space left on device" in notice.text


def left_out(home: Home, *names: str) -> Iterator[Any]:
    rows = [
        Quarantined(id=name, painter="p", path=name, reason="It cannot be decoded", remedy="Scan it again")
        for name in names
    ]
    same = Quarantined(id="same", painter="p", path="same.jpg", reason="Same bytes", remedy="", duplicate_of="x")
    write_manifest(home.register("p") / QUARANTINE, [*rows, same])
    passed = dg.AssetCheckResult(check_name="fit_to_publish", passed=True)
    table = {"quarantine": metadata.quarantine_table([*rows, same])}
    yield dg.MaterializeResult(metadata=table, check_results=[passed])


@pytest.mark.usefixtures("instance")
def test_files_that_cannot_be_used_are_told_once(home: Home) -> None:
    def of(*names: str) -> list[Notice]:
        found = ran(home, lambda: left_out(home, *names))
        return [notice for notice in found if notice.event == "delivery with bad files"]

    (notice,) = of("torn.jpg")
    assert notice.title == "p: 1 file could not be used"
    assert notice.text == "'torn.jpg': It cannot be decoded. Scan it again"
    assert of("torn.jpg") == []
    (notice,) = of("torn.jpg", *(f"{n}.tif" for n in range(7)))
    assert notice.title == "p: 7 files could not be used"
    assert "and 2 more" in notice.text


def test_a_sensor_whose_message_goes_nowhere_ends_well(home: Home, instance: dg.DagsterInstance, hook: Hook) -> None:
    hook.answers = [410]

    @dg.job
    def broken() -> None:
        @dg.op
        def fails() -> None:
            raise dg.Failure("gone")

        fails()

    done = broken.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = [event for event in done.all_events if event.is_run_failure]
    with dg.build_run_status_sensor_context(
        sensor_name="tell_of_failures",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=done.dagster_run,
        resources={"data_home": DataHome(root=str(home.root))},
    ) as context:
        tell_of_failures(context)
    assert [body["event"] for body in hook.bodies] == ["run failed"]


def test_a_withdrawal_is_told_and_its_reason_with_it(
    home: Home, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter: Adapter = small_archive(home, works=3, held_out=1)
    withdraw(adapter.scan_sha256s[0], reason="The lender asked", by="Anna", home=home.root)
    (body,) = hook.bodies
    assert (body["event"], body["painter"]) == ("work withdrawn", PAINTER)
    assert body["details"] == "By Anna: The lender asked."
    assert body["link"].endswith("/report.html")
    assert "Not told" not in capsys.readouterr().err
