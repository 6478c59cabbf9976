"""The type of a book: Noto Serif SC and Noto Sans SC, of which every book carries what it needs.

The fonts come as files in a package of their own, under the SIL Open Font License; neither name is reserved, so that a
subset may bear it. A page holds a subset as WOFF2 within its style sheet, since a browser may refuse to read a font's
file beside a page that lies on a disk; a PDF embeds its own subset. For the few letters that the font lacks (Latin
Extended, Arabic, Hebrew), the PDF has DejaVu Sans, which comes with matplotlib.
"""

import base64
import io
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from artmaster_pipeline.errors import MissingRequirement

_PACKAGE = "pylopdf_fonts_zh_cn"
_REQUIRED = "pylopdf-fonts-zh-cn==0.1.1"
SERIF, SANS = "NotoSerifSC-Regular.otf", "NotoSansSC-Regular.otf"
# How the style sheet calls its two halves: with Chinese characters apart, labels in the system's sans have them, too.
LATIN_FAMILY, HAN_FAMILY = "Book Serif", "Book Han"
_HAN_RANGES = ((0x2E80, 0xA4CF), (0xF900, 0xFAFF), (0xFE10, 0xFE4F), (0xFF00, 0xFFEF), (0x20000, 0x3FFFF))


def font_file(name: str) -> Path:
    """Where a font of the package lies. Raises MissingRequirement where it is not installed."""
    found = find_spec(_PACKAGE)
    places = [Path(place) / name for place in (found.submodule_search_locations or ())] if found else []
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise MissingRequirement(
            f"A book's type comes with the package {_REQUIRED.split('=', maxsplit=1)[0]}, which is not installed: "
            f"pip install '{_REQUIRED}'"
        )
    return file


def other_letters() -> Path:
    """The font for letters that the book's own lacks."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def without_type(text: str) -> str:
    """The characters of a text that no font of a PDF has, each once, sorted."""
    known = _letters_of(font_file(SERIF)) | _letters_of(other_letters())
    return "".join(sorted(char for char in set(text) if ord(char) not in known and char.isprintable()))


def font_faces(text: str) -> str:
    """The style sheet's rules that hold the serif font, as far as a text needs it; the same text gives the same."""
    characters = {ord(char) for char in text if char.isprintable()}
    han = {code for code in characters if any(first <= code <= last for first, last in _HAN_RANGES)}
    of_han = ", ".join(f"U+{first:X}-{last:X}" for first, last in _HAN_RANGES)
    return _face(LATIN_FAMILY, frozenset(characters - han)) + _face(HAN_FAMILY, frozenset(han), of_han)


@cache
def _face(family: str, characters: frozenset[int], ranges: str = "") -> str:
    packed = base64.b64encode(_woff2(sorted(characters))).decode()
    of = f"unicode-range: {ranges}; " if ranges else ""
    return (
        f'@font-face {{ font-family: "{family}"; font-display: block; {of}'
        f'src: url("data:font/woff2;base64,{packed}") format("woff2"); }}\n'
    )


def _woff2(characters: Iterable[int]) -> bytes:
    """A subset of the serif font with its kerning, ligatures, proportional and vertical forms, and its licence."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    options = subset.Options(flavor="woff2", name_IDs=["*"], hinting=False)
    options.layout_features = ["kern", "liga", "calt", "ccmp", "locl", "mark", "mkmk", "pwid", "vert", "vkrn"]
    font = TTFont(font_file(SERIF), recalcTimestamp=False)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=list(characters))
    chosen.subset(font)
    font.flavor = "woff2"
    buffer = io.BytesIO()
    font.save(buffer)
    return buffer.getvalue()


@cache
def _letters_of(file: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont

    return frozenset(TTFont(file, lazy=True).getBestCmap())
