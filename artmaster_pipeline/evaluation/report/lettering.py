"""Setting captions in fonts that have their characters; what no font here has is left out, never drawn as a box.

matplotlib brings DejaVu, which has Latin, Greek and Cyrillic. For other scripts the machine's own fonts are searched,
well-known Chinese and Japanese families first.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

OMITTED = "…"
_EAST_ASIAN = re.compile(
    r"noto.?(sans|serif).?cjk|source.?han|wqy|wenquanyi|pingfang|hiragino|songti|heiti|kaiti|"
    r"msyh|simsun|simhei|simkai|yugoth|msgothic|uming|ukai|droidsansfallback|unifont|arialuni",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Lettering:
    """The fonts at hand for a set of texts."""

    serif: Path
    sans: Path
    others: tuple[Path, ...]  # fonts of this machine with characters that the first two lack

    def font(self, text: str, size: int, *, sans: bool = False) -> Any:
        """A PIL font of `size` pixels that has all characters of `text`, which `readable` has gone over before."""
        from PIL import ImageFont

        first = self.sans if sans else self.serif
        path = next((font for font in (first, *self.others) if not _missing(font, text)), first)
        return ImageFont.truetype(str(path), size)

    def readable(self, text: str) -> str:
        """`text` on one line, with a single `…` for each run of characters that no one font here can set with it."""
        text = " ".join(text.split())
        if any(not _missing(font, text) for font in (self.serif, *self.others)):
            return text
        missing = _missing(self.serif, text)
        kept = "".join(OMITTED if character in missing else character for character in text)
        return re.sub(f"{OMITTED}+", OMITTED, kept)


def find_lettering(texts: Iterable[str]) -> Lettering:
    """The fonts for `texts`: DejaVu, and where that is not enough, fonts of this machine that have what is missing."""
    import matplotlib
    from matplotlib.font_manager import findSystemFonts

    shipped = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    serif = shipped / "DejaVuSerif.ttf"
    missing = _missing(serif, "".join(texts))
    others: list[Path] = []
    if missing:
        found = sorted((Path(font) for font in findSystemFonts()), key=lambda font: (not _east_asian(font), str(font)))
        others = [font for font in found if _east_asian(font) and len(_missing(font, missing)) < len(missing)]
    return Lettering(serif, shipped / "DejaVuSans.ttf", tuple(others))


def _east_asian(font: Path) -> bool:
    return bool(_EAST_ASIAN.search(font.name))


def _missing(font: Path, text: str) -> str:
    characters = _characters(font)
    return "".join(sorted({c for c in text if ord(c) not in characters and not c.isspace()}))


@cache
def _characters(font: Path) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(font)).get_charmap())
    except (OSError, RuntimeError):  # not a font that FreeType can open
        return frozenset()
