"""Where lines of Chinese and of Latin text may break: a small part of Unicode's annex 14 and of GB/T 15834."""

import re
from collections.abc import Callable

_HAN = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
_PIECES = re.compile(rf"\s+|[{_HAN}]|[^\s{_HAN}]+")
_NOT_FIRST = frozenset("，。、；：？！…—·）》〉」』】〕〗”’％‰℃～,.;:?!)]}%ー々")
_NOT_LAST = frozenset("（《〈「『【〔〖“‘([{￥$")


def lines_of(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """The text in lines of at most `width`, as `measure` gives the widths of pieces of it.

    A line neither begins with a closing mark nor ends with an opening one; a word that is wider than a line is cut.
    """
    lines, line, room = [], "", width
    for piece in _unbroken(text):
        for part in _fitting(piece, width, measure):
            wide = measure(part)
            if line and wide > room and not part.isspace():
                lines.append(line.rstrip())
                line, room = "", width
            if line or not part.isspace():
                line += part
                room -= wide
    return [*lines, line.rstrip()] if line.strip() else lines


def is_han(text: str) -> bool:
    """Whether a text is written in Chinese characters and their marks alone, so that it can stand upright."""
    return bool(text) and all(re.match(rf"[{_HAN}…—·“”‘’]", char) for char in text)


def _unbroken(text: str) -> list[str]:
    """The pieces of a text between which a line may break."""
    pieces: list[str] = []
    for piece in _PIECES.findall(text):
        joins = pieces and not pieces[-1].isspace() and not piece.isspace()
        if joins and (piece[0] in _NOT_FIRST or pieces[-1][-1] in _NOT_LAST):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces


def _fitting(piece: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """The piece, or its parts where it is wider than a line."""
    if len(piece) == 1 or measure(piece) <= width:
        return [piece]
    parts, part = [], ""
    for char in piece:
        if part and measure(part + char) > width:
            parts.append(part)
            part = ""
        part += char
    return [*parts, part]
