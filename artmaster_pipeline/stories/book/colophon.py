"""The last page of a book: who wrote it, where its text went, whose hand it is painted in, and what it is set in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from artmaster_pipeline import __version__
from artmaster_pipeline.gallery.words import Words
from artmaster_pipeline.stories.book.contents import Book
from artmaster_pipeline.stories.records import Authorship

ROOM = "artmaster_pipeline.stories.book"  # whose sentences a book's pages are said in


@dataclass(frozen=True)
class Row:
    """A line of the colophon."""

    label: str
    values: tuple[Any, ...]  # texts, or HTML of the page's language
    kind: Literal["plain", "said", "english", "code"] = "plain"  # whose words: ours, anybody's, English, no language


def rows_of(book: Book, t: Words) -> tuple[Row, ...]:
    """The colophon in one language."""
    return tuple(_rows(book, t))


def _rows(book: Book, t: Words) -> Iterator[Row]:
    story, by, style = book.story, book.story.authorship, book.story.style_contract
    yield Row(t("asked_for"), (story.wish.text,), "said")
    yield Row(t("written_by"), (_written(by, t), *([t("by_hand")] if by.by_hand else [])))
    if by.weights_sha256:
        yield Row(t("model_file"), (by.weights_sha256,), "code")
    yield Row(t("where_sent"), (t("sent_to", endpoint=by.endpoint) if by.endpoint else t("sent_nowhere"),))
    if by.repairs:
        yield Row(t("repairs"), by.repairs, "english")
    else:
        yield Row(t("repairs"), (t("repairs_none"),))
    yield Row(t("one_hand"), (book.hands,), "said")
    if style.mix:
        yield Row(t("mixed"), (style.mix,), "english")
    yield Row(t("medium"), (style.medium,), "english")
    if style.palette:
        yield Row(t("palette"), (", ".join(style.palette),), "english")
    if style.forbidden:
        yield Row(t("forbidden"), (", ".join(style.forbidden),), "english")
    yield Row(t("base_model"), tuple(dict.fromkeys(plate.record.base_model for plate in book.plates)), "english")
    yield Row(t("distance"), (t("distances_note"),))
    yield Row(t("fonts_used"), (t("fonts_said"),))
    yield Row(t("made_with"), (f"ArtMaster {__version__}",), "english")


def _written(by: Authorship, t: Words) -> Any:
    kinds = {"template": "by_template", "local": "by_local"}
    key = "by_endpoint" if by.endpoint else kinds.get(by.author, "by_other")
    return t(key, author=by.author, model=by.model or by.author)
