"""A book as a PDF: title page, a page for each era, a page for each picture, and where everything comes from.

It is written by fpdf2: a browser would have to be installed where books are made, and writes other bytes each time;
reportlab does not embed fonts with PostScript outlines, which Noto's are. HarfBuzz sets the lines, with kerning,
ligatures, and text from right to left. What is embedded is a subset of the type (`fonts`). The same book gives the same
bytes: a PDF's date is left at a fixed day.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.gallery.gates import gates_in_words
from artmaster_pipeline.gallery.pages import work_name
from artmaster_pipeline.gallery.renditions import jpeg_of
from artmaster_pipeline.gallery.words import CHINESE, ENGLISH
from artmaster_pipeline.gallery.words import Words as Labels
from artmaster_pipeline.pictures import AI_GENERATED, pixels_hash
from artmaster_pipeline.stories.book.colophon import ROOM, rows_of
from artmaster_pipeline.stories.book.contents import Book, Chapter, Plate
from artmaster_pipeline.stories.book.fonts import SANS, SERIF, font_file, other_letters
from artmaster_pipeline.stories.book.lines import is_han, lines_of
from artmaster_pipeline.stories.records import Shot, Words

if TYPE_CHECKING:
    import numpy as np

EN, ZH = ENGLISH.of(ROOM), CHINESE.of(ROOM)
_WIDTH, _HEIGHT = 210.0, 297.0  # A4, in mm, as all lengths here
_LEFT, _TOP, _FOOT = 27.0, 26.0, 20.0
_INNER = _WIDTH - 2 * _LEFT
_GUTTER = 12.0
_COLUMN = (_INNER - _GUTTER) / 2
_TALLEST, _WIDEST = 178.0, _INNER  # a picture
_LARGEST = 2048  # pixels of its longer side: 300 a inch and more
_POINT = 25.4 / 72
_LAST = 5.0  # the height of the last line of a column
_MOST_WORDS, _FULL = 140.0, 235.0  # the most that words take of a picture's page, and of one without a picture
_TOLD, _PLOT = 12.0, 9.5  # points: the line below a picture, and what happens
_INK, _QUIET, _LINE, _SEAL = (30, 27, 24), (98, 90, 81), (221, 214, 202), (151, 48, 31)
# How what stands between lines is written from top to bottom (Unicode's vertical forms).
_UPRIGHT = str.maketrans(
    "，、。：；！？（）《》〈〉「」『』【】…—“”‘’", "︐︑︒︓︔︕︖︵︶︽︾︿﹀﹁﹂﹃﹄︻︼︙︱﹃﹄﹁﹂"
)


def pdf_of(book: Book) -> bytes:
    """The book as a PDF of A4 pages, with an outline by era and picture, its type embedded."""
    pages = _Pages(book)
    _title_page(pages, book)
    for chapter in book.chapters:
        _era_page(pages, chapter)
        for plate in chapter.plates:
            _plate_page(pages, plate)
    _tables(pages, book)
    _colophon(pages, book)
    _provenance(pages, book)
    _works(pages, book)
    return pages.bytes()


def plain(t: Labels, key: str, **values: Any) -> str:
    """A sentence of the tables as plain text."""
    return str(t(key, **values).unescape())


class _Pages:
    """Lines of text and pictures put on pages; places are in mm from the page's left upper corner."""

    def __init__(self, book: Book) -> None:
        from fpdf import FPDF

        self.pdf = pdf = FPDF(unit="mm", format=(_WIDTH, _HEIGHT))
        pdf.creation_date = datetime(2000, 1, 1, tzinfo=UTC)
        pdf.set_auto_page_break(False)
        for family, file in (("serif", font_file(SERIF)), ("sans", font_file(SANS)), ("other", other_letters())):
            pdf.add_font(family, "", file)
        pdf.set_fallback_fonts(["other"], exact_match=False)
        self.titles = [text for text in (book.story.title.en, book.story.title.zh) if text]
        self.proof = f"{plain(EN, 'proof')} · {plain(ZH, 'proof')}" if book.proof else ""
        self.y = _TOP
        _describe(pdf, book, " · ".join(self.titles))

    def bytes(self) -> "bytes":
        return bytes(self.pdf.output())

    def page(self, *, quiet: bool = False) -> None:
        """Begin a page; a quiet one has no foot."""
        self.pdf.add_page()
        self.y = _TOP
        if self.proof:
            self.line(self.proof, _LEFT, 14, size=8, family="sans", colour=_SEAL)
        if not quiet:
            self.line(str(self.pdf.page_no()), _LEFT, _HEIGHT - 14, size=8, family="sans", colour=_QUIET)

    def ask_for(self, height: float) -> None:
        """Begin a new page where this one has no room of that height left."""
        if self.y + height > _HEIGHT - _FOOT - 4:
            self.page()

    def type(self, family: str, size: float, language: str, colour: tuple[int, int, int]) -> None:
        """Set in a face and a size in points. English has narrow quotation marks, Chinese those of a full square."""
        features = {"kern": True, "liga": True} | ({} if language == "zh" else {"pwid": True})
        self.pdf.set_text_shaping(True, features=features)
        self.pdf.set_font(family, size=size)
        self.pdf.set_text_color(*colour)

    def lines(self, text: str, width: float, *, size: float, family: str = "serif", language: str = "en") -> list[str]:
        """The text in lines of that width."""
        self.type(family, size, language, _INK)
        return lines_of(text, width, self.pdf.get_string_width)

    def line(self, text: str, x: float, y: float, *, size: float, family: str = "serif", **how: Any) -> None:
        """One line with its upper edge at `y`."""
        self.type(family, size, how.get("language", "en"), how.get("colour", _INK))
        self.pdf.set_xy(x, y)
        self.pdf.cell(
            w=how.get("width", 0), h=size * _POINT, text=text, align=how.get("align", "L"), link=how.get("link", "")
        )

    def block(
        self, text: str, x: float, y: float, width: float, *, size: float, leading: float = 1.45, **how: Any
    ) -> float:
        """A paragraph; gives where it ends."""
        chosen = {name: how[name] for name in ("family", "language") if name in how}
        for line in self.lines(text, width, size=size, **chosen):
            self.line(line, x, y, size=size, **how)
            y += size * _POINT * leading
        return y

    def flow(self, text: str, x: float, width: float, *, size: float, leading: float = 1.45, **how: Any) -> None:
        """A paragraph at the place in work, over as many pages as it takes."""
        chosen = {name: how[name] for name in ("family", "language") if name in how}
        for line in self.lines(text, width, size=size, **chosen):
            self.ask_for(size * _POINT)
            self.line(line, x, self.y, size=size, **how)
            self.y += size * _POINT * leading

    def upright(self, text: str, x: float, y: float, size: float) -> None:
        """Chinese from top to bottom, its column centred on `x`."""
        self.type("serif", size, "zh", _INK)
        step = size * _POINT
        for place, char in enumerate(text.translate(_UPRIGHT)):
            self.pdf.set_xy(x - step / 2, y + place * step * 1.18)
            self.pdf.cell(w=step, h=step, text=char, align="C")

    def rule(self, y: float, x: float = _LEFT, width: float = _INNER) -> None:
        """A thin line across."""
        self.pdf.set_draw_color(*_LINE)
        self.pdf.set_line_width(0.2)
        self.pdf.line(x, y, x + width, y)

    def heading(self, key: str, level: int = 0) -> None:
        """A title of the back matter in both languages."""
        self.ask_for(40)
        self.pdf.start_section(f"{plain(EN, key)} · {plain(ZH, key)}", level=level)
        self.line(plain(EN, key), _LEFT, self.y, size=17)
        self.line(plain(ZH, key), _LEFT, self.y + 0.6, size=14, language="zh", width=_INNER, align="R", colour=_QUIET)
        self.y += 12

    def said(self, key: str, **values: Any) -> None:
        """A sentence of ours in both languages, side by side."""
        english, chinese = plain(EN, key, **values), plain(ZH, key, **values)
        self.ask_for(14)
        ends = (
            self.block(english, _LEFT, self.y, _COLUMN, size=9, colour=_QUIET),
            self.block(
                chinese, _LEFT + _COLUMN + _GUTTER, self.y, _COLUMN, size=9, leading=1.6, language="zh", colour=_QUIET
            ),
        )
        self.y = max(ends) + 2


def _describe(pdf: Any, book: Book, title: str) -> None:
    """The document's own facts, those of IPTC for generated media among them."""
    pdf.set_title(title)
    pdf.set_author(f"{AI_GENERATED}, in the manner of {book.hands}")
    pdf.set_subject(plain(EN, "book_lede", pictures=str(EN("plates_n", n=len(book.plates))), painters=book.hands))
    pdf.set_keywords(f"{AI_GENERATED}, trainedAlgorithmicMedia")
    pdf.set_creator("ArtMaster")
    pdf.set_lang("zh-Hans" if book.story.language == "zh" else "en")
    pdf.set_xmp_metadata(
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:CreatorTool="ArtMaster" '
        'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia">'
        f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{AI_GENERATED}</rdf:li></rdf:Alt></dc:description>'
        "</rdf:Description></rdf:RDF>"
    )


def _title_page(pages: _Pages, book: Book) -> None:
    title, story = book.story.title, book.story
    pages.page(quiet=True)
    pages.pdf.start_section(" · ".join(pages.titles) or story.name)
    pages.line(plain(EN, "notice"), _LEFT, _TOP, size=8.5, family="sans", colour=_SEAL)
    pages.line(plain(ZH, "notice"), _LEFT, _TOP + 5, size=8.5, family="sans", language="zh", colour=_SEAL)
    width, y = _INNER, 92.0
    if title.zh and is_han(title.zh) and len(title.zh) <= 12:
        size = 40.0 if len(title.zh) <= 8 else 30.0
        pages.upright(title.zh, _WIDTH - _LEFT - size * _POINT / 2, _TOP + 2, size)
        width = _INNER - size * _POINT - 16
    elif title.zh:
        y = _fitted(pages, title.zh, y, width, (30, 22, 15, 11), "zh") + 6
    if title.en:
        y = _fitted(pages, title.en, y, width, (34, 26, 18, 12), "en")
    y = max(y + 10, 150.0)
    lede = "book_lede_mixed" if len(book.painters) > 1 else "book_lede"
    for t, leading in ((EN, 1.45), (ZH, 1.7)):
        pictures = plain(t, "plates_n", n=len(book.plates))
        how = {"language": t.language, "colour": _QUIET}
        y = (
            pages.block(
                plain(t, lede, pictures=pictures, painters=book.hands), _LEFT, y, 108, size=11, leading=leading, **how
            )
            + 3
        )
    for language in ("en", "zh"):
        if not book.has(language):
            y = pages.block(plain(EN, f"none_{language}"), _LEFT, y, 108, size=9, colour=_QUIET) + 2
    asked = f"{plain(EN, 'asked_for')} · {plain(ZH, 'asked_for')}"
    y = max(y + 10, 232.0)
    pages.rule(y, width=108)
    pages.line(asked, _LEFT, y + 4, size=8, family="sans", colour=_QUIET)
    lines = pages.lines(story.wish.text, 120, size=10, language=story.wish.language)
    for place, line in enumerate(_shortened(lines, 7)):
        pages.line(line, _LEFT, y + 10 + 5 * place, size=10, language=story.wish.language)


def _fitted(pages: _Pages, text: str, y: float, width: float, sizes: Sequence[float], language: str) -> float:
    """A title in the largest of the sizes in which it takes four lines or fewer; gives where it ends."""
    size = next((s for s in sizes if len(pages.lines(text, width, size=s, language=language)) <= 4), sizes[-1])
    return pages.block(text, _LEFT, y, width, size=size, leading=1.2, language=language)


def _era_page(pages: _Pages, chapter: Chapter) -> None:
    name, y = chapter.era.name, 150.0
    pages.page(quiet=True)
    pages.pdf.start_section(" · ".join(filter(None, (name.en, name.zh))) or chapter.era.id, level=0)
    if name.zh and is_han(name.zh) and len(name.zh) <= 14:
        pages.upright(name.zh, _WIDTH - _LEFT - 5, _TOP + 40, 28)
    elif name.zh:
        y = _fitted(pages, name.zh, y, 120, (22, 16, 11), "zh") + 3
    if name.en:
        y = _fitted(pages, name.en, y, 110, (26, 20, 14, 10), "en")
    if chapter.era.years:
        pages.block(chapter.era.years, _LEFT, y + 3, 120, size=10, family="sans", colour=_QUIET)
    pages.rule(146.0, width=24)


def _plate_page(pages: _Pages, plate: Plate) -> None:
    """The picture, as large as the words below it leave room for, and the words side by side."""
    shot, record = plate.shot, plate.record
    pages.page()
    words = [_set(pages, shot, language) for language in ("en", "zh")]
    columns = [of for of in words if of]
    if len(columns) == 1:
        columns = [of for language in ("en", "zh") if (of := _set(pages, shot, language, 110.0))]
    high = min(max((of[-1].y + _LAST for of in columns), default=0.0), _MOST_WORDS)
    pages.pdf.start_section(_outlined(plate), level=1)
    room = min(_TALLEST, _HEIGHT - _FOOT - 18 - _TOP - high - 8)
    scale = min(_WIDEST / record.width, room / record.height)
    across, down = record.width * scale, record.height * scale
    alt = plain(EN, "plate_alt", n=plate.number, prompt=record.prompt)
    pages.pdf.image(io.BytesIO(_jpeg(plate)), x=(_WIDTH - across) / 2, y=_TOP, w=across, h=down, alt_text=alt)
    _put_words(pages, [[each for each in of if each.y + _LAST <= high] for of in columns], _TOP + down + 8)
    facts = f"{plain(EN, 'plate', n=plate.number)} · {plain(EN, shot.perspective)} {plain(ZH, shot.perspective)}"
    facts += f" · {plain(EN, 'seed', seed=record.seed)} · {record.id} · {AI_GENERATED}"
    pages.line(facts, _LEFT, _HEIGHT - 14, size=7.5, family="sans", colour=_QUIET, width=_INNER, align="R")
    left = [[each for each in of if each.y + _LAST > high] for of in columns]
    while any(left):  # words that leave the picture no room go on beyond its page
        pages.page()
        begins = [of[0].y if of else 0.0 for of in left]
        moved = [[replace(each, y=each.y - first) for each in of] for of, first in zip(left, begins, strict=True)]
        _put_words(pages, [[each for each in of if each.y <= _FULL] for of in moved], _TOP)
        left = [[each for each in of if each.y > _FULL] for of in moved]


def _put_words(pages: _Pages, columns: "Sequence[Sequence[_Line]]", top: float) -> None:
    for place, column in enumerate(columns):
        for each in column:
            x = _LEFT + place * (_COLUMN + _GUTTER)
            pages.line(each.text, x, top + each.y, size=each.size, language=each.language, colour=each.colour)


@dataclass(frozen=True)
class _Line:
    """A line of a column of words, its upper edge `y` below the column's."""

    text: str
    y: float
    size: float
    language: str
    colour: tuple[int, int, int]


def _set(pages: _Pages, shot: Shot, language: str, width: float = _COLUMN) -> list[_Line]:
    """What is told of a shot in one language, in lines: the line below the picture, and what happens."""
    found, y = [], 0.0
    for words, size, colour in ((shot.narration, _TOLD, _INK), (shot.plot, _PLOT, _QUIET)):
        for line in pages.lines(getattr(words, language), width, size=size, language=language):
            found.append(_Line(line, y, size, language, colour))
            y += size * _POINT * (1.7 if language == "zh" else 1.45)
        y += 2.2 if found else 0
    return found


def _outlined(plate: Plate) -> str:
    words: Words = plate.shot.narration
    text = words.en or words.zh
    return f"{plate.number}. {text if len(text) <= 60 else text[:59].rstrip() + '…'}" if text else f"{plate.number}."


def _jpeg(plate: Plate) -> bytes:
    from PIL import Image

    with Image.open(plate.picture.file) as image:
        pixels = image.convert("RGB")
        pixels.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    return jpeg_of(_array(pixels), plate.record)


def _array(image: Any) -> "np.ndarray":
    import numpy as np

    return np.asarray(image)


def _tables(pages: _Pages, book: Book) -> None:
    """What stands for things of today, and who recurs."""
    if book.motifs or book.cast:
        pages.page()
    rows = [(thing.modern_thing, thing.traditional_rendering, at) for thing, at in book.motifs]
    people = [(who.name, who.canonical_visual, at) for who, at in book.cast]
    for key, of in (("things", rows), ("cast", people)):
        if of:
            pages.heading(key)
            pages.said(f"{key}_intro")
            for name, words, at in of:
                _pair(pages, name, words, at)
            pages.y += 12


def _pair(pages: _Pages, name: Words, words: str, at: Sequence[Plate]) -> None:
    """A row: a name in both languages, how it is painted, and on which plates."""
    starts, widths = (_LEFT, _LEFT + 45, _LEFT + 76, _LEFT + _INNER - 16), (42.0, 28.0, 62.0, 16.0)
    cells = ((name.en, "en"), (name.zh, "zh"), (words, "en"), (", ".join(str(plate.number) for plate in at), "en"))
    columns = [pages.lines(t, w, size=9.5, language=of) for (t, of), w in zip(cells, widths, strict=True)]
    pages.ask_for(max(map(len, columns)) * 4.9 + 4)
    pages.rule(pages.y - 1.2)
    for (_, language), x, lines in zip(cells, starts, columns, strict=True):
        for number, line in enumerate(lines):
            pages.line(line, x, pages.y + 1 + number * 4.9, size=9.5, language=language)
    pages.y += max(map(len, columns)) * 4.9 + 2.6


def _colophon(pages: _Pages, book: Book) -> None:
    pages.page()
    pages.heading("colophon")
    for english, chinese in zip(rows_of(book, EN), rows_of(book, ZH), strict=True):
        pages.ask_for(14)
        pages.rule(pages.y - 1.2)
        label = f"{_text(english.label)} {_text(chinese.label)}"
        after = pages.block(label, _LEFT, pages.y + 1, 40, size=8, family="sans", language="zh", colour=_QUIET)
        values = [_text(value) for value in english.values]
        if english.kind == "plain":
            values += [text for value in chinese.values if (text := _text(value)) not in values]
        pages.y += 0.6
        family = "sans" if english.kind == "code" else "serif"
        for value in values:
            language = "zh" if any(is_han(char) for char in value[:12]) else "en"
            pages.flow(value, _LEFT + 45, _INNER - 45, size=9.5, family=family, language=language)
        pages.y = max(pages.y, after if pages.y > 40 else pages.y) + 2.4
    pages.y += 4
    pages.said("mixed_not_by" if len(book.painters) > 1 else "book_not_by", painters=book.hands)


def _provenance(pages: _Pages, book: Book) -> None:
    """What each picture was painted from."""
    pages.page()
    pages.heading("plates_title")
    pages.said("plates_intro")
    for plate in book.plates:
        pages.ask_for(34)
        pages.rule(pages.y - 1.2)
        pages.line(plain(EN, "plate", n=plate.number), _LEFT, pages.y + 0.8, size=9.5)
        pages.line(plain(ZH, "plate", n=plate.number), _LEFT, pages.y + 5.6, size=8.5, language="zh", colour=_QUIET)
        for text, family in _facts(plate):
            pages.flow(text, _LEFT + 26, _INNER - 26, size=8.5, family=family, leading=1.4)
        pages.y += 2.6


def _facts(plate: Plate) -> Iterable[tuple[str, str]]:
    record = plate.record
    yield record.prompt, "serif"
    drawn = (
        f"{plain(EN, 'seed', seed=record.seed)}. {record.base_model}, {plain(EN, 'steps')} {record.num_inference_steps}"
    )
    yield f"{drawn}, {plain(EN, 'guidance')} {record.guidance_scale:g}. {record.width} × {record.height}", "serif"
    yield f"{plain(EN, 'adapters_n', n=len(record.adapter_ids))} {', '.join(record.adapter_ids)}", "sans"
    if gates := gates_in_words(record.gates):
        yield gates, "serif"
    if plate.told.candidates:
        yield f"{plain(EN, 'chosen_of', n=plate.told.candidates)}. {plate.told.why}".rstrip(), "serif"
    for each in plate.told.rounds:
        kept = f" ({plain(EN, 'critique_kept')})" if each.kept else ""
        faults = " ".join((*each.faults, each.says)).strip() or plain(EN, "critique_fine")
        yield f"{plain(EN, 'critique_round', n=each.number)}{kept}: {faults}", "serif"
    yield f"{plain(EN, 'pixels_sha')} {pixels_hash(plate.picture.file)}", "sans"


def _works(pages: _Pages, book: Book) -> None:
    """The artworks behind the pictures, by name; a list of hundreds stays a few pages."""
    pages.page()
    pages.heading("artworks")
    pages.said("book_works_list")
    for each in sorted((book.provenance, *book.provenance.others), key=lambda each: each.adapter.painter):
        pages.ask_for(24)
        pages.y += 2
        pages.line(book.painters[each.adapter.painter].name, _LEFT, pages.y, size=12)
        works = f"{plain(EN, 'works_n', n=len(each.trained_on))} · {plain(ZH, 'works_n', n=len(each.trained_on))}"
        pages.line(
            f"{plain(EN, 'adapter')} {each.adapter.id} · {works}",
            _LEFT,
            pages.y + 6.4,
            size=8,
            family="sans",
            colour=_QUIET,
        )
        pages.y += 14
        for work in each.trained_on:
            said = ", ".join(filter(None, (work_name(work), work.date, work.accession_number)))
            lines = pages.lines(said, _INNER - 34, size=8.5)
            pages.ask_for(len(lines) * 4.4)
            pages.line(
                work.sha256[:12],
                _LEFT + _INNER - 30,
                pages.y,
                size=7.5,
                family="sans",
                colour=_QUIET,
                width=30,
                align="R",
            )
            for line in lines:
                pages.ask_for(4.4)
                pages.line(line, _LEFT, pages.y, size=8.5)
                pages.y += 4.4
        pages.y += 6


def _shortened(lines: Sequence[str], most: int) -> list[str]:
    return list(lines) if len(lines) <= most else [*lines[: most - 1], lines[most - 1] + " …"]


def _text(value: Any) -> str:
    return str(value.unescape()) if hasattr(value, "unescape") else str(value)
