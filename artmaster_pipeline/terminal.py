r"""The gate to the terminal: whatever is printed passes here, and nothing that passes can steer the terminal.

Names of files, titles, captions and other programs' messages hold what they like: escape sequences that clear the
screen, line breaks that forge a line, marks that turn the direction of reading, bytes of another encoding, characters
that this terminal cannot show. They are shown escaped, as Python writes them (`\x1b`, `\n`, `\u202e`).

`plain` makes one safe line of any text. A `Screen` is rich's console with the gate built in: it takes words literally,
never as markup. `guard_streams` puts the gate before everything else that writes to stdout and stderr (logging,
warnings, other libraries' progress).
"""

import io
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType  # noqa: TID251 - the one place
from rich.segment import Segment
from rich.text import Text

from artmaster_pipeline.errors import ArtMasterError

# What a terminal obeys instead of showing it, or what has no shape: controls, formats (bidi, zero width), surrogates,
# private and unassigned code points, line and paragraph separators. Spaces of other widths are text.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# How tqdm finds the line of a bar below another, and how colorama leaves a terminal: whole writes of libraries' own.
_HARMLESS = re.compile(r"\n*(?:\x1b\[A)+|\x1b\[0m")


def plain(text: object, encoding: str = "utf-8") -> str:
    """`text` as one line that steers no terminal; what `encoding` cannot hold is escaped, too."""
    words = str(text)
    if words.isprintable() and _holds(encoding, words):
        return words
    return "".join(c if _is_safe(c) and _holds(encoding, c) else _escaped(c) for c in words)


def plain_json(value: Any, encoding: str = "utf-8") -> str:
    """`value` as JSON whose strings hold no character that steers a terminal or that `encoding` lacks."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if _holds(encoding, text) and text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or (_is_safe(c) and _holds(encoding, c)) else json.dumps(c)[1:-1] for c in text)


class ReaderGone(Exception):
    """Whoever read the output has stopped reading (`artmaster painters list | head -1`): there is nothing to tell."""


class Screen(Console):
    """rich's console for the product's own output: strings are words, not markup, and one string is one line."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, markup=False, emoji=False, highlight=False)

    def say(self, *parts: str | tuple[str, str], style: str = "", end: str = "\n") -> None:
        """Print one line; a part may come with its style, as ("not published", "bold")."""
        line = Text(style=style, end="")
        for part in parts:
            words, look = part if isinstance(part, tuple) else (part, "")
            line.append(plain(words, self.encoding), look)
        self.print(line, end=end)

    def words(self, text: object) -> Text:
        """`text` as a cell or a title of what rich lays out."""
        return Text(plain(text, self.encoding))

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich prints, but a string is one line of plain words.

        Raises ReaderGone where nobody reads any more, ArtMasterError where the output cannot be written.
        """
        with self._writing():
            super().print(*(self.words(each) if isinstance(each, str) else each for each in objects), **how)

    def json(self, value: Any) -> None:
        """Print `value` as JSON and nothing else; raises as `print` does."""
        with self._writing():
            self.file.write(f"{plain_json(value, self.encoding)}\n")
            self.file.flush()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As rich renders; the last word on every piece of text, tables' and progress bars' included."""
        for segment in super().render(renderable, options):
            yield segment if segment.control or _is_tame(segment.text) else self._tamed(segment)

    def on_broken_pipe(self) -> None:
        """Whoever reads the output has gone: the caller ends the command."""
        raise ReaderGone

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            raise ReaderGone from error
        except OSError as error:
            name, number = ("stderr", 2) if self.stderr else ("stdout", 1)
            with suppress(OSError, ValueError):
                if self.file.fileno() == number:  # Python would try once more at its end, and say so in its own words
                    discard(number)
            raise ArtMasterError(f"{name} cannot be written to ({error.strerror}): choose another place.") from error

    def _tamed(self, segment: Segment) -> Segment:
        return segment._replace(text=_by_line(segment.text, self.encoding))


class _GuardedStream(io.TextIOBase):
    """A text stream behind the gate, for those who print by themselves. Lines and tqdm's bars stay what they are."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._fresh = True  # at the beginning of a line, or on a line that a carriage return has begun

    @property
    def rich_proxied_file(self) -> IO[str]:
        """What rich's consoles write to: they lay out by escape sequences of their own."""
        stream = self._stream
        while inner := getattr(stream, "rich_proxied_file", None):
            stream = inner
        return stream

    def write(self, text: str) -> int:
        if not _HARMLESS.fullmatch(text):
            returned = self._fresh and text.startswith("\r")
            tame = _by_line(text[1:] if returned else text, self.encoding)
            self._stream.write("\r" + tame if returned else tame)
            self._fresh = text.endswith("\n") or returned or (self._fresh and not text)
        else:
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override] # typeshed's is of two minds
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override] # io's own is an attribute
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return getattr(self._stream, "errors", None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard(number: int) -> None:
    """Let what is still to be written to a file descriptor go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def guard_streams() -> None:
    """Put the gate before this process's stdout and stderr; afterwards no character can break a write."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the caller closed it
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        if not isinstance(stream, _GuardedStream):
            setattr(sys, name, _GuardedStream(stream))


@contextmanager
def guarded_stderr() -> Iterator[None]:
    """Put the gate before what stands for stderr at the moment, as rich's bars put themselves in its place."""
    before = sys.stderr
    sys.stderr = cast(Any, _GuardedStream(before))
    try:
        yield
    finally:
        sys.stderr = before


def _is_safe(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) not in _UNSAFE


def _is_tame(text: str) -> bool:
    return text.isprintable() or text == "\n"


def _holds(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeError:
        return False
    except LookupError:  # a stream with an encoding of its own making
        return True
    return True


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _by_line(text: str, encoding: str) -> str:
    return "".join(part if part in "\n\t" else plain(part, encoding) for part in re.split(r"([\n\t])", text))


out = Screen()
err = Screen(stderr=True)
