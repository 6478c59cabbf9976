"""Names, texts and records that try to get out: no file elsewhere is touched, no page and no terminal is steered.

What Python itself opens, runs and unpickles is watched by an audit hook: a way that nobody thought of is seen, too.
"""

import ast
import contextlib
import csv
import io
import json
import os
import struct
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import made_scans
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel
from small_archive import PAINTER

from artmaster_pipeline.cli.lineage import lineage_file, lineage_picture
from artmaster_pipeline.cli.printing import print_table
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage, page, words
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.records import MANIFEST, Adapter, read_manifest
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.scans.artworks import Table, read_table, written
from artmaster_pipeline.settings import Home, load_painter, save_painter
from artmaster_pipeline.terminal import out
from artmaster_pipeline.withdrawal import report as withdrawal_report
from artmaster_pipeline.withdrawal.impact import Impact, ScanOf
from artmaster_pipeline.withdrawal.withdrawing import Report
from artmaster_pipeline.withdrawals import LedgerLine
from artmaster_pipeline.yaml_text import read_yaml

SECRET = "the-secret-of-the-house"
ATOMS = (
    "../../../../secret.txt", "..", "/etc/passwd", "~/.ssh/id_rsa", "..\\..\\up", "%2e%2e%2f",
    "file:///etc/passwd", "\0", "\n", "\r\n", "forged\nartmaster: all is well", "\x1b[2J",
    "\x1b]8;;http://example.org\x1b\\x\x1b]8;;\x1b\\", "\x1b]0;title\x07", "\x07", "\x9b31m", "\u202egnp.exe",
    "\u2066x\u2069", "\u200b", "\ufeff", "\u2028", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)", "javascript:alert(1)", "</style></title><script>1</script>", "<!--", "]]>",
    "<svg/onload=alert(1)>", "&lt;script&gt;", "{{ 7*7 }}", "{% raw %}", "{0.__class__}", "%s%n", "$(touch x)",
    "`touch x`", "; touch x", "| touch x", "-rf", "--help", "!!python/object/apply:os.system [touch x]", "&a [*a]",
    "=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(1)", "\t=1", "'=1", "-200", "[bold]x[/bold]", "CON", "黄山", "שלום",
    "x" * 300, "\ud800", "\udcff", "Infinity", "null", "\\u0000",
)  # fmt: skip
ANY = st.lists(st.sampled_from(ATOMS) | st.text(max_size=4), min_size=1, max_size=3).map("".join)
UTF8 = ANY.map(lambda text: text.encode("utf-8", "replace").decode())
# A counterexample is put together from ATOMS: it needs no shrinking to be understood.
LOOSE = {"phases": [Phase.explicit, Phase.generate], "suppress_health_check": list(HealthCheck)}
few, some, many = (settings(max_examples=count, **LOOSE) for count in (6, 15, 60))


# What is watched


class Watch:
    """What this process opens, starts and unpickles while it looks. A hook cannot be taken out, so there is one."""

    looking = False

    def __init__(self) -> None:
        self.read: set[Path] = set()
        self.written: set[Path] = set()
        self.started: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, facts: tuple[Any, ...]) -> None:
        if not self.looking:
            return
        if event == "open" and isinstance(facts[0], str | bytes):
            writes = bool((facts[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            (self.written if writes else self.read).add(Path(os.path.realpath(os.fsdecode(facts[0]))))
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pickle.find_class"):
            self.started.append(f"{event} {facts[:2]}")

    @contextlib.contextmanager
    def within(self, *folders: Path) -> Iterator[None]:
        """Let nothing but these folders be written, nothing but them and the installed software be read."""
        self.read, self.written, self.started = set(), set(), []
        self.looking = True
        try:
            yield
        finally:
            self.looking = False
        mine = [folder.resolve() for folder in folders]
        software = [Path(each).resolve() for each in (sys.prefix, sys.base_prefix, *filter(os.path.isabs, sys.path))]
        system = [Path("/usr"), Path("/lib"), Path("/proc"), Path("/sys"), Path("/dev"), Path("/etc/ld.so.cache")]
        system += [Path("/etc/localtime"), Path("/etc/mime.types"), ROOT]
        assert _outside(self.written, [*mine, Path("/dev/null")]) == []
        assert _outside(self.read, [*mine, *software, *system]) == []
        assert self.started == []


def _outside(files: set[Path], folders: list[Path]) -> list[Path]:
    return sorted(
        file for file in files if file.suffix != ".pyc" and not any(file.is_relative_to(each) for each in folders)
    )


watch = Watch()


class Steering(HTMLParser):
    """What a page makes a browser do: scripts, event handlers, links that run, things from elsewhere, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in ("script", "iframe", "object", "embed", "base"):
            self.found.append(f"{tag} {dict(attrs).get('src')}")
        for name, value in attrs:
            address = "".join((value or "").split()).lower()
            runs = name in ("href", "src", "action", "formaction", "xlink:href", "srcset") and (
                address.startswith(("javascript:", "vbscript:", "file:", "data:text", "//"))
            )
            if name.startswith("on") or runs:
                self.found.append(f"{tag} {name}={value}")


def said_by(command: Any, *given_: Any, **named: Any) -> str:
    """What a command prints, or the error's message as it would be printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            command(*given_, **named)
        except ArtMasterError as error:
            out.say(str(error))
        except Exception as error:
            if type(error).__name__ != "Exit":
                raise
    return printed.getvalue()


def is_tame(said: str) -> bool:
    """Whether it is lines of what a terminal shows: no control, no mark of direction, nothing without a shape."""
    steering = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return not any(unicodedata.category(character) in steering for character in said.replace("\n", ""))


def test_the_watch_sees_what_it_looks_for(tmp_path: Path) -> None:
    import pickle  # noqa: TID251 - to see that it is seen
    import subprocess

    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("x")
    for deed in (
        elsewhere.read_text,
        lambda: elsewhere.write_text("y"),
        lambda: pickle.loads(b"cbuiltins\nlen\n."),
        lambda: subprocess.run("true", shell=True, check=True),
    ):
        with pytest.raises(AssertionError), watch.within(tmp_path / "home"):
            deed()
    told = Steering("<a href=' java\nscript:x'><img onerror=x><script>y</script><iframe src=z></iframe>").found
    assert len(told) == 4


# A folder of scans


NAMES = st.lists(
    UTF8.map(lambda text: text.replace("/", "_").replace("\0", "_")[:60] or "_"), min_size=2, max_size=4, unique=True
)
PICTURES = [made_scans.picture(seed, 80, 100).jpegsave_buffer() for seed in range(3)]


def hostile_folder(folder: Path, names: list[str], texts: list[str], secret: Path) -> None:
    deep = folder / (names[-1].strip(".") or "_")
    deep.mkdir()
    for place, name in enumerate(names):
        with contextlib.suppress(OSError):  # a name too long for the disk
            (deep / f"{name}.jpg").write_bytes(PICTURES[place % 3])
            (deep / f"{name}.txt").write_text(
                texts[0], "utf-8", "surrogateescape" if "\ud800" not in texts[0] else "replace"
            )
    (folder / "plain.jpg").write_bytes(PICTURES[0])
    (folder / "plain.txt").symlink_to(secret)
    (folder / "stolen.jpg").symlink_to(secret.with_suffix(".jpg"))
    (folder / "out").symlink_to(secret.parent)
    (deep / "artworks.csv").symlink_to(secret.with_suffix(".csv"))
    os.mkfifo(folder / "pipe.txt")
    os.mkfifo(folder / "pipe.jpg")
    table(folder / "artworks.csv", [*names, "plain", "../secret", str(secret)], texts)


def table(file: Path, names: list[str], texts: list[str]) -> None:
    with file.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "title", "caption", "rights", texts[1].replace("\0", "")])
        rows.writerows([f"{name}.jpg".replace("\0", ""), *(text.replace("\0", "") for text in texts)] for name in names)


@few
@given(NAMES, st.lists(ANY, min_size=4, max_size=4))
def test_a_folder_is_taken_without_a_step_out_of_it(names: list[str], texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder, home, secret = Path(root, "given"), Home(Path(root, "home")), Path(root, "elsewhere", "secret.txt")
        secret.parent.mkdir()
        secret.write_text(SECRET)
        secret.with_suffix(".csv").write_text(f"file,title\nplain.jpg,{SECRET}\n")
        secret.with_suffix(".jpg").write_text(SECRET)
        folder.mkdir()
        hostile_folder(folder, names, texts, secret)
        with watch.within(folder, home.root, secret.with_suffix(".jpg")):  # whose first bytes say that it is none
            added = add_scans(home, "p", folder)
            outcome = register_scans(home, "p")
        assert {"plain.txt", "stolen.jpg", "out", "pipe.jpg"} <= {row.path for row in added.refused}
        for file in (file for file in home.root.rglob("*") if file.is_file() and not file.is_symlink()):
            assert SECRET.encode() not in file.read_bytes(), file
        for scan in outcome.records:
            assert is_tame(
                "".join(out.words(text).plain for text in (scan.title, scan.caption, scan.rights, scan.path))
            )
            assert not any(ord(c) < 32 for c in scan.title + scan.caption + scan.rights)
        rows = [row.model_dump() for row in (*added.refused, *added.faults)]
        assert is_tame(said_by(lambda: print_table("Refused", rows)))


@many
@given(st.lists(ANY.map(lambda text: text.replace("\0", "")), min_size=3, max_size=3))
def test_a_table_that_is_written_holds_no_formula_and_says_the_same_when_read(cells: list[str]) -> None:
    columns = ("file", "title", "memo")
    rows = ({"file": f"{cells[0].strip() or 'x'}.png", "title": cells[1], "memo": cells[2]},)
    text = written(Table(columns, rows, ()))
    for cell in (cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row):
        assert not cell.startswith(("=", "@", "\t", "\r"))
        assert not cell.startswith(("+", "-")) or cell[1:].replace(".", "").replace(",", "").isdecimal()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "artworks.csv")
        file.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        if "\ud800" not in text and "\udcff" not in text:
            (read,) = read_table(file).rows
            assert read == {**rows[0], "file": rows[0]["file"].strip()}


# Settings


TAGS = (
    "!!int x", "!!float x", "!!timestamp x", "!!binary '-'", "!!set x", "!!omap x", "!!python/name:os.system",
    "2001-99-99", "9" * 5000, "!!python/object/new:os.system [touch x]", "[" * 1100, "{" * 1100, "*a", "&a [*a]",
    "<<: 1", "? x", "0b2", "1:99", "!!merge x", "- - x", "!!python/object/apply:subprocess.Popen [[touch, x]]",
    "'\\ud800'", '"\\ud800"', "\t", "...", "---", "%YAML 9.9",
    '"x\\ud800"',
)  # fmt: skip


@many
@given(
    st.sampled_from(["name: {}", "{}", "trigger: x\n{}", "? {}\n: x", "rights: |\n  {}", "rights: {}"]),
    st.sampled_from(TAGS) | ANY,
)
def test_settings_are_read_or_refused_in_one_line_and_make_nothing(form: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        home = Home(Path(root))
        home.scans("p").mkdir(parents=True)
        file = home.scans("p") / "painter.yaml"
        file.write_text(form.replace("{}", text), "utf-8", "replace")
        with watch.within(home.root):
            try:
                settings_ = load_painter(home, "p")
                assert not any(ord(c) < 32 for c in settings_.name + settings_.trigger)
                settings_.rights.encode()
                save_painter(home, "p", settings_)
                assert load_painter(home, "p") == settings_
            except WrongUse as error:
                assert str(file) in str(error)


def test_settings_are_a_file(home: Home) -> None:
    home.scans("p").mkdir(parents=True)
    os.mkfifo(home.scans("p") / "painter.yaml")
    with pytest.raises(WrongUse, match=r"painter\.yaml is a folder, a pipe or a device"):
        load_painter(home, "p")


# Adapters' files and pictures from elsewhere


TENSOR = {"transformer.x.lora_A.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}


@some
@given(ANY, ANY, st.booleans(), NAMES)
def test_an_adapters_file_says_what_it_likes(one: str, other: str, whole: bool, names: list[str]) -> None:
    content: dict[str, Any] = dict.fromkeys(
        ("painter", "painter_name", "trigger", "profile", "base_model", "base_revision", "base_commit", "adapter"), one
    )
    content |= {"form": 1, "rights": [other], "works": [[other, one, other, 0], [one, other, one, 0 if whole else -1]]}
    said = {
        "artmaster.ledger": json.dumps(content),
        "artmaster.adapter": other,
        "modelspec.hash_sha256": one,
        one: other,
    }
    header = json.dumps(TENSOR | {"__metadata__": said}).encode()
    with tempfile.TemporaryDirectory() as root:
        file = Path(root, os.fsdecode(b"\xff" + names[0].encode()[:40]) + ".safetensors")
        file.write_bytes(struct.pack("<Q", len(header)) + header)
        asks_the_file(lineage_file, file, Path(root))


@some
@given(ANY, UTF8, st.sampled_from(["sealed", "foreign", "deep"]), NAMES)
def test_a_picture_says_what_it_likes(one: str, other: str, kind: str, names: list[str]) -> None:
    facts = {
        "id": other,
        "notice": other,
        "prompt": other,
        "seed": other,
        "adapter": other,
        "base_model": other,
        "title": other,
    }
    with tempfile.TemporaryDirectory() as root:
        file = Path(root, os.fsdecode(b"\xff" + names[0].encode()[:40]) + ".png")
        if kind == "sealed":
            write_png(file, made_scans.painting(1, 64, 64), facts)
        else:
            told = PngInfo()
            told.add_itxt(
                "artmaster", json.dumps(facts | {"prompt": one, "adapter": one}) if kind == "foreign" else "[" * 50_000
            )
            Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(file, pnginfo=told)
        asks_the_file(lineage_picture, file, Path(root))


def asks_the_file(command: Any, file: Path, root: Path) -> None:
    with watch.within(root):
        in_words = said_by(command, file, root / "home", False, root / "page.html")
        as_json = said_by(command, file, root / "home", True, None)
    assert is_tame(in_words)
    assert is_tame(as_json)
    json.loads(as_json)
    told = Steering((root / "page.html").read_text("utf-8"))
    assert told.found == []
    assert not told.tags & {"bold", "svg/onload=alert(1)"}


# Pages and words about an archive


TEXTS = frozenset(
    {
        "title",
        "accession_number",
        "date",
        "season",
        "subject",
        "caption",
        "caption_source",
        "rights",
        "prompt",
        "trigger",
    }
    | {"profile", "base_model", "base_revision", "base_commit", "reason", "by", "at", "enlarged_by", "made", "judged"}
    | {"commit", "sha256", "trigger"}
)
PLACES = frozenset({"path", "painter"})


def filled(value: Any, text: str, names: frozenset[str]) -> Any:
    """A record with `text` wherever a person, an archive or another program may have written."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return value.model_copy(
            update={
                name: text if name in names and isinstance(each, str) else filled(each, text, names)
                for name, each in fields.items()
            }
        )
    if isinstance(value, tuple):
        return tuple(filled(each, text, names) for each in value)
    return value


@pytest.fixture(scope="module")
def answers(published_archive: Home) -> tuple[Any, Any]:
    (adapter,) = read_manifest(published_archive.adapters(PAINTER) / MANIFEST, Adapter)
    return adapter_lineage(published_archive, adapter.id), artwork_lineage(published_archive, adapter.scan_sha256s[0])


@some
@given(text=ANY, places=st.booleans())
def test_answers_show_texts_as_texts(
    published_archive: Home, answers: tuple[Any, Any], text: str, places: bool
) -> None:
    names = PLACES if places else TEXTS
    for make, tables, whole in (
        (page.adapter_page, words.adapter_tables, answers[0]),
        (page.artwork_page, words.artwork_tables, answers[1]),
    ):
        answer = filled(whole, text, names)
        with watch.within(published_archive.root):
            try:
                html = make(published_archive, answer)
            except WrongUse:  # a path that leads out, a painter who cannot be one
                assert places
                continue
        assert Steering(html).found == []
        assert Steering(html).tags == Steering(make(published_archive, filled(whole, "plain", names))).tags
        assert is_tame(said_by(lambda tables=tables, answer=answer: [print_table(*each) for each in tables(answer)]))


@some
@given(ANY)
def test_a_withdrawals_page_shows_texts_as_texts(text: str) -> None:
    def made(text: str) -> Steering:
        line = LedgerLine.model_construct(id=text, action="withdrawn", sha256s=(text,), reason=text, by=text, at=text)
        scan = ScanOf(painter=text, path=text, sha256=text, title=text, accession_number=text, why=text)
        impact = Impact(sha256=text, scans=(scan,), crops=1, training_pictures=1, adapters=(), galleries=(), drawn=0,
                        retrain=(text,), out_of_reach=(text,))  # fmt: skip
        lists = dict.fromkeys(
            ("not_removed", "galleries_down", "not_reached", "still_published", "notes", "queued"), (text,)
        )
        html = withdrawal_report.page(Report.model_construct(line=line, impact=impact, in_dvc=text, **lists))
        html.encode()
        return Steering(html)

    assert made(text).found == []
    assert made(text).tags == made("plain").tags


def test_a_gallery_of_hostile_texts_has_the_tags_of_any_other(published_archive: Home, hostile_archive: Home) -> None:
    pages = [file.relative_to(hostile_archive.root) for file in (hostile_archive.root / "gallery").glob("*.html")]
    pages += [file.relative_to(hostile_archive.root) for file in hostile_archive.gallery(PAINTER).glob("*.html")]
    assert len(pages) >= 4
    for file in pages:
        hostile, usual = (
            Steering((home.root / file).read_text("utf-8")) for home in (hostile_archive, published_archive)
        )
        assert set(hostile.found) <= set(usual.found), file


# What the code itself may not call


REFUSED = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads", "marshal.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.safe_load", "tempfile.mktemp", "shelve.open",
    "joblib.load",
}  # fmt: skip


def test_the_code_calls_nothing_that_runs_what_it_reads() -> None:
    faults = []
    for file in sorted((ROOT / "artmaster_pipeline").rglob("*.py")):
        for node in (node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)):
            faults += [f"{file.relative_to(ROOT)}:{node.lineno}: {fault}" for fault in faults_of(node)]
    assert faults == [f"artmaster_pipeline/yaml_text.py:{place_of_loading()}: yaml.load"]


def faults_of(node: ast.Call) -> list[str]:
    called, named = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
    found = [called] if called in REFUSED else []
    if "shell" in named:
        found.append("shell=")
    if called == "torch.load" and named.get("weights_only") != "True":
        found.append("torch.load without weights_only")
    if called in ("np.load", "numpy.load") and named.get("allow_pickle", "False") != "False":
        found.append("a pickle in numpy")
    if named.get("trust_remote_code", "False") != "False":
        found.append("code from the hub")
    return found


def place_of_loading() -> int:
    lines = (ROOT / "artmaster_pipeline" / "yaml_text.py").read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if "yaml.load(" in line)


def test_what_the_code_may_not_call_is_found() -> None:
    for line in (
        "eval(x)",
        "torch.load(f)",
        "yaml.load(t)",
        "run(x, shell=True)",
        "np.load(f, allow_pickle=True)",
        "os.system(x)",
    ):
        (node,) = (node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call))
        assert faults_of(node)
    assert faults_of(ast.parse("torch.load(f, weights_only=True)").body[0].value) == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["2001-99-99", "!!int x", "[" * 1500, "9" * 5000, "!!timestamp x"])
def test_yaml_is_wrong_in_one_way(text: str) -> None:
    import yaml

    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
