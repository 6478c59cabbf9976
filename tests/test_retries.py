"""Retries: what a network or a hub says that may pass is waited out, a refusal and a fault of the code are not."""

import errno
import http.client
import importlib
import socket
import ssl
import urllib.error
from collections.abc import Callable
from email.message import Message
from typing import Any

import dagster as dg
import httpx2
import made_scans
import pytest

from artmaster_pipeline.base_models.hub import hub_refusals
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement
from artmaster_pipeline.faults import can_pass, in_product_words
from artmaster_pipeline.orchestration import assets as orchestrated
from artmaster_pipeline.orchestration import failures
from artmaster_pipeline.orchestration.failures import RETRIES, Tries, one_sentence, told_by_the_run
from artmaster_pipeline.orchestration.run import run_painter
from artmaster_pipeline.settings import Home

hub = importlib.import_module("huggingface_hub.errors")


def caused(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


def of_s3(status: int) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError({"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": str(status)}}, "PutObject")


def of_the_web(status: int) -> Exception:
    return urllib.error.HTTPError("https://x", status, "said", Message(), None)


def of_the_hub(status: int) -> Exception:
    request = httpx2.Request("GET", "https://huggingface.co/x")
    return hub.HfHubHTTPError("said", response=httpx2.Response(status, request=request))


PASSING = [
    ConnectionResetError(errno.ECONNRESET, "reset"),
    TimeoutError(errno.ETIMEDOUT, "timed out"),
    httpx2.ConnectTimeout("slow"),
    httpx2.RemoteProtocolError("gone"),
    urllib.error.URLError(ConnectionRefusedError(errno.ECONNREFUSED, "refused")),
    urllib.error.URLError(socket.gaierror(socket.EAI_AGAIN, "later")),
    http.client.IncompleteRead(b""),
    urllib.error.URLError(ssl.SSLEOFError("the other side hung up")),
    *(of(status) for of in (of_s3, of_the_web, of_the_hub) for status in (429, 500, 503)),
    caused(hub.LocalEntryNotFoundError("x"), httpx2.ConnectError("unreachable")),
    caused(ArtMasterError("in the product's words"), of_the_web(502)),
]
STAYING = [
    *(of(status) for of in (of_s3, of_the_web, of_the_hub) for status in (400, 401, 403, 404, 410)),
    hub.LocalEntryNotFoundError("not in the cache, and outgoing traffic is off"),
    caused(hub.LocalEntryNotFoundError("x"), hub.OfflineModeIsEnabled("off")),
    urllib.error.URLError(socket.gaierror(socket.EAI_NONAME, "nobody knows it")),
    urllib.error.URLError(ssl.SSLCertVerificationError("self-signed")),
    caused(ConnectionError("x"), of_the_web(403)),
    caused(httpx2.ConnectError("x"), ssl.SSLCertVerificationError("of another name")),
    BrokenPipeError(),
    FileNotFoundError(errno.ENOENT, "x"),
    OSError(errno.ENOSPC, "full"),
    MemoryError(),
    KeyError("x"),
    ArtMasterError("a work was withdrawn"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_a_network_says_may_pass(error: BaseException) -> None:
    assert can_pass(error)


@pytest.mark.parametrize("error", STAYING, ids=repr)
def test_a_refusal_a_wrong_name_and_a_fault_stay(error: BaseException) -> None:
    assert not can_pass(error)


@pytest.mark.parametrize(("status", "passes"), [(503, True), (404, False), (403, False)])
def test_what_the_hub_refuses_is_classified_through_the_product_s_own_words(status: int, passes: bool) -> None:
    with pytest.raises(MissingRequirement) as raised, in_product_words(), hub_refusals("some/model"):
        raise of_the_hub(status)
    assert can_pass(raised.value) == passes


def ran(home: Home, works: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str], list[int]]:
    """Run an asset whose work is `works(how often it was tried before)`; gives the result, what was said, the tries."""
    monkeypatch.setattr(failures, "RETRIES", dg.RetryPolicy(max_retries=RETRIES.max_retries, delay=0))
    said: list[str] = []
    tried: list[int] = []

    @dg.asset
    def asked(context: dg.AssetExecutionContext) -> None:
        before = context.op_execution_context.retry_number
        with one_sentence(home, Tries(lambda: before, said.append)):
            tried.append(before)
            works(before)

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([asked], instance=instance, raise_on_error=False)
    return done, said, tried


def test_a_fault_that_passes_is_tried_again_and_said_to_be(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def works(before: int) -> None:
        if before < 2:
            raise ConnectionResetError("reset by peer")

    done, said, tried = ran(home, works, monkeypatch)
    assert done.success
    assert tried == [0, 1, 2]
    assert [line.endswith(f"tried again in 0 s ({n} of 3).") for n, line in enumerate(said, 1)] == [True, True]
    assert all("reset by peer" in line for line in said)


def test_what_does_not_pass_ends_with_its_own_sentence(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def always(_before: int) -> None:
        raise ConnectionResetError("reset by peer")

    done, said, tried = ran(home, always, monkeypatch)
    assert not done.success
    assert (tried, len(said)) == ([0, 1, 2, 3], 3)
    failure = done.failure_data_for_node("asked")
    assert "reset by peer" in failure.user_failure_data.description


@pytest.mark.parametrize("error", [of_the_hub(403), ArtMasterError("no"), ZeroDivisionError()], ids=repr)
def test_what_cannot_pass_is_tried_once(home: Home, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def works(_before: int) -> None:
        raise error

    done, said, tried = ran(home, works, monkeypatch)
    assert not done.success
    assert (tried, said) == ([0], [])


def test_the_waits_grow_and_are_not_the_same_for_all() -> None:
    waits = [[float(RETRIES.calculate_delay(n)) for _ in range(20)] for n in (1, 2, 3)]
    assert [min(w) < mean < max(w) for w, mean in zip(waits, (30, 90, 210), strict=True)] == [True] * 3
    assert max(waits[2]) <= 420


def test_the_last_try_tells_the_terminal_the_same(home: Home) -> None:
    with (
        pytest.raises(ArtMasterError, match="reset by peer"),
        told_by_the_run(home),
        one_sentence(home, Tries(lambda: RETRIES.max_retries, print)),
    ):
        raise ConnectionResetError("reset by peer")


def test_a_run_on_the_terminal_says_that_it_tries_again_and_ends_well(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    monkeypatch.setattr(failures, "RETRIES", dg.RetryPolicy(max_retries=3, delay=0))
    for seed in range(2):
        made_scans.write(home.scans("p") / f"{seed}.png", seed)
    tried: list[int] = []
    made = orchestrated.make

    def at_the_second(*args: Any) -> Any:
        tried.append(1)
        if len(tried) == 1:
            raise ConnectionResetError("reset by peer")
        return made(*args)

    monkeypatch.setattr(orchestrated, "make", at_the_second)
    assert run_painter(home, "p", until="raw_scans").made == ("raw_scans",)
    assert len(tried) == 2
    assert "reset by peer" in (said := capsys.readouterr().err)
    assert "tried again in 0 s (1 of 3)." in said
