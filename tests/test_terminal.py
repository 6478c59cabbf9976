"""The gate to the terminal: no name, title or message steers it, and no encoding breaks it."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artmaster_pipeline.cli.serving import without_traces
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.terminal import Screen, _GuardedStream, plain, plain_json

STEERING = {
    "\x1b[2Jclear": "\\x1b[2Jclear",
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "a\nartmaster: all is well": "a\\nartmaster: all is well",
    "a\rb\tc\x00d\x7f": "a\\rb\\tc\\x00d\\x7f",
    "\x9b2J": "\\x9b2J",
    "gpj.\u202egnp": "gpj.\\u202egnp",
    "zero\u200bwidth\ufeff": "zero\\u200bwidth\\ufeff",
    "one\u2028two\u2029three\x85": "one\\u2028two\\u2029three\\x85",
    "tag\U000e0041": "tag\\U000e0041",
    "byte\udce9": "byte\\xe9",
    "lone\ud83d": "lone\\ud83d",
}


@pytest.mark.parametrize(("name", "shown"), STEERING.items())
def test_what_steers_a_terminal_is_shown_escaped(name: str, shown: str) -> None:
    assert plain(name) == shown


def test_what_archives_write_stays_as_it_is() -> None:
    for title in ("黄山 云海", "题\u3000款", "Crête d'été\u00a0!", "[bold]x[/bold]", "C:\\temp\\new.jpg", ":smile:"):
        assert plain(title) == title


@given(st.text(), st.sampled_from(["utf-8", "ascii", "latin-1", "cp936", "cp1252", "koi8-r"]))
def test_no_text_leaves_the_gate_with_a_line_break_or_a_character_that_the_terminal_lacks(
    text: str, encoding: str
) -> None:
    shown = plain(text, encoding)
    shown.encode(encoding)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u2029\u202e" for c in shown)
    assert plain(shown, encoding) == shown


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_says_the_same_in_any_encoding_without_a_control_character(value: object) -> None:
    for encoding in ("utf-8", "ascii", "cp936"):
        said = plain_json(value, encoding)
        said.encode(encoding)
        assert json.loads(said) == value
        assert all(plain(line) == line for line in said.split("\n"))


def printed(monkeypatch: pytest.MonkeyPatch, encoding: str) -> tuple[Screen, io.BytesIO]:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    return Screen(), raw


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp936"])
def test_tables_and_lines_hold_hostile_names_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    from artmaster_pipeline.cli import printing

    screen, raw = printed(monkeypatch, encoding)
    monkeypatch.setattr(printing, "out", screen)
    for name in (*STEERING, "黄山 é [red]x[/red] :smile:"):
        screen.say(name, (name, "bold"), style="dim")
        screen.print(name)
        printing.print_table(name, [{name: name, "b": name}])
        printing.print_json({name: name})
    said = raw.getvalue().decode(encoding)
    assert all(c == "\n" or c.isprintable() or c == "\u3000" for c in said)
    assert "artmaster: all is well" not in said.splitlines()
    assert "[red]x[/red] :smile:" in said
    assert ("黄山" in said) == (encoding in ("utf-8", "cp936"))


def test_a_progress_bar_shows_names_escaped_and_so_does_what_others_print_meanwhile() -> None:
    program = """
import sys
from artmaster_pipeline.terminal import guard_streams
from artmaster_pipeline.progress import terminal_progress
guard_streams()
with terminal_progress().task("Copying [red]\\x1b[2J", 2) as advance:
    advance(note="x")
    print("warning: \\x1b[31m\\x1b[8mhidden\\rforged", file=sys.stderr)
    advance(note="\\x1b]0;owned\\x07\\nforged \\u202e [bold]n[/bold] \\udce9")
"""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "250"}
    child = subprocess.Popen([sys.executable, "-c", program], stderr=slave, env=environment)
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux says so when the other side has closed
            break
        if not piece:
            break
        said += piece
    assert child.wait() == 0
    for steering in (b"\x1b[2J", b"\x1b]0;", b"\x1b[8m", b"hidden\rforged", "\u202e".encode()):
        assert steering not in said
    for shown in (b"\\x1b]0;owned\\x07\\nforged \\u202e [bold]n[/bold] \\xe9", b"\\x1b[8mhidden\\rforged", b"[red]"):
        assert shown in said, said


def test_others_prints_keep_their_lines_and_their_bars() -> None:
    raw = io.StringIO()
    stream = _GuardedStream(raw)
    for piece in ("\r 10 %", "\r 20 %", "\n", "\x1b[A", "a\tb\n", "name: ", "\rforged\n", "x\x1b[2J\n", "\x1b[0m"):
        stream.write(piece)
    assert raw.getvalue() == "\r 10 %\r 20 %\n\x1b[Aa\tb\nname: \\rforged\nx\\x1b[2J\n\x1b[0m"


def test_lines_of_a_log_are_one_line_each() -> None:
    said: list[str] = []
    Progress(said.append).say("a\nb \x1b[2J")
    assert said == ["a\\nb \\x1b[2J"]


def test_a_servers_tracebacks_stay_in_its_log() -> None:
    said = [
        "serving",
        "Traceback (most recent call last):",
        '  File "x.py", line 1',
        "    boom",
        "OSError: [Errno 28] No space left on device",
        "",
        "Stack Trace:",
        "  File x",
        "after",
    ]
    assert list(without_traces(said)) == ["serving", "OSError: [Errno 28] No space left on device", "", "after"]
