"""A book as a folder that a browser opens from disk: one page per language of its labels, both languages side by side.

index.html, index.zh.html    the book; each holds both languages of the story
book.pdf                     the same to print
storyboard.json              the story with its prompts and seeds
provenance.json              every picture, its adapters, the artworks behind them
pictures/, thumbnails/, tiles/, works/, vendor/   as in every gallery
"""

from importlib import resources
from typing import Any

from artmaster_pipeline.gallery.gates import gates_in_words
from artmaster_pipeline.gallery.pages import Contents, picture_files, render, static_files, viewer_layer, works_behind
from artmaster_pipeline.gallery.provenance import provenance_json
from artmaster_pipeline.gallery.words import LANGUAGES, Words
from artmaster_pipeline.records import PROVENANCE
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stories.book.colophon import ROOM, rows_of
from artmaster_pipeline.stories.book.contents import Book
from artmaster_pipeline.stories.book.fonts import font_faces
from artmaster_pipeline.stories.book.lines import is_han
from artmaster_pipeline.stories.book.pdf import pdf_of

PDF, STORYBOARD = "book.pdf", "storyboard.json"
WORDS = tuple(words.of(ROOM) for words in LANGUAGES)


def book_contents(home: Home, book: Book) -> Contents:
    """All files of a book's folder but its manifest. The same book gives the same bytes.

    Raises MissingRequirement where its type is not installed.
    """
    works, experts = works_behind(home, book.provenance, book.painters)
    contents = static_files() | picture_files(plate.picture for plate in book.plates) | works
    records = [plate.record for plate in book.plates]
    contents[PROVENANCE] = provenance_json(book.provenance, records).encode()
    contents[STORYBOARD] = (book.story.model_dump_json(indent=2) + "\n").encode()
    facts = {
        "book": book,
        "experts": experts,
        "gates": {record.id: gates_in_words(record.gates) for record in records},
        "tags": {words.language: words.tag for words in LANGUAGES},
    }
    pages = {t.page("index"): render("book.html", "index", t, facts | _said(book, t)) for t in WORDS}
    seen = "".join(page.decode() for page in pages.values())
    contents["book.css"] = (font_faces(seen) + _asset("book.css")).encode()
    contents["book.js"] = _asset("book.js").encode()
    contents[PDF] = pdf_of(book)
    return contents | pages


def lede_of(book: Book, t: Words) -> Any:
    """What the book is, in a sentence or two."""
    key = "book_lede_mixed" if len(book.painters) > 1 else "book_lede"
    return t(key, pictures=t("plates_n", n=len(book.plates)), painters=book.hands)


def _said(book: Book, t: Words) -> dict[str, Any]:
    """What is said in one language alone."""
    layers = {}
    for plate in book.plates:
        alt = str(t("plate_alt", n=plate.number, prompt=plate.record.prompt).unescape())
        layers[plate.record.id] = [viewer_layer(plate.record, str(t("picture")), alt)]
    return {"lede": lede_of(book, t), "colophon": rows_of(book, t), "layers": layers, "upright": is_han}


def _asset(name: str) -> str:
    return (resources.files(ROOM) / "site" / name).read_text(encoding="utf-8")
