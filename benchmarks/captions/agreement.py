"""How far the embedded reader agrees with a person who looked, on the works of works.csv.

    python benchmarks/captions/agreement.py --paintings FOLDER

FOLDER holds a folder for each collection of works.csv, with its MANIFEST.csv (file, title). Measured per collection:
the share of words of its titles that the miniature's and FLUX.1's encoders do not read; and by kind how many works the
reader speaks of, and in how many of those it says what the person saw (or also saw: works.csv names what else a work
may be called). "seen" leaves the titles out: the picture alone.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from artmaster_pipeline.base_models.family import family_by_name
from artmaster_pipeline.base_models.legibility import Legibility, legibility_of
from artmaster_pipeline.dataset.captioners.interface import Facts
from artmaster_pipeline.dataset.captioners.reader import EmbeddedReader
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import load_profile

_WORKS = Path(__file__).parent / "works.csv"
_KINDS = {"subject": ("subject", "also"), "weather": ("air", ""), "composition": ("composition", "composition_also"),
          "time_of_day": ("time_of_day", ""), "season": ("season", "")}  # fmt: skip


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paintings", type=Path, required=True)
    folder = parser.parse_args().paintings
    with _WORKS.open(encoding="utf-8") as file:
        works = list(csv.DictReader(file))
    titles = {name: _titles(folder / name) for name in sorted({work["collection"] for work in works})}
    _say_unread(titles)
    with session():
        reader = EmbeddedReader()
        for title_too in (True, False):
            said = [_read(reader, folder, work, titles if title_too else {}) for work in works]
            _say_agreement("with titles" if title_too else "seen", works, said)


def _titles(folder: Path) -> dict[str, str]:
    with (folder / "MANIFEST.csv").open(encoding="utf-8") as file:
        return {row["file"].rpartition("/")[2]: row["title"] for row in csv.DictReader(file)}


def _say_unread(titles: dict[str, dict[str, str]]) -> None:
    miniature, flux = legibility_of(load_profile("miniature")), family_by_name("black-forest-labs/FLUX.1-dev")
    print("| collection | titles | unread by the miniature | over the limit | unread by FLUX.1 (letters) |")
    print("|---|---|---|---|---|")
    for name, of in titles.items():
        shares = [miniature.unread(title) for title in of.values()] if miniature else []
        letters = [Legibility(flux, {}).unread(title) for title in of.values()] if flux else []
        over = sum(share > load_profile("miniature").max_unread for share in shares)
        print(f"| {name} | {len(of)} | {np.mean(shares):.2f} | {over} | {np.mean(letters):.2f} |")


def _read(reader: EmbeddedReader, folder: Path, work: dict[str, str], titles: dict[str, dict[str, str]]) -> Any:
    with Image.open(folder / work["collection"] / work["file"]) as file:
        file.draft("RGB", (512, 512))
        picture = np.asarray(file.convert("RGB").resize(_small(*file.size), Image.Resampling.LANCZOS))
    title = titles.get(work["collection"], {}).get(work["file"].rpartition("/")[2], "")
    return reader.read(picture, Facts(title=title))


def _small(width: int, height: int) -> tuple[int, int]:
    scale = 256 / min(width, height)
    return round(width * scale), round(height * scale)


def _say_agreement(what: str, works: list[dict[str, str]], said: list[Any]) -> None:
    print(f"\n| {what} | " + " | ".join(_KINDS) + " |\n|---|" + "---|" * len(_KINDS))
    for name in sorted({work["collection"] for work in works}):
        cells = []
        for kind, (column, also) in _KINDS.items():
            pairs = [(w, s) for w, s in zip(works, said, strict=True) if w["collection"] == name and w[column]]
            spoken = [(w, s[kind].word) for w, s in pairs if kind in s]
            right = sum(word == w[column] or (bool(also) and word in w[also].split("|")) for w, word in spoken)
            cells.append(f"{right} of {len(spoken)} said, {len(pairs)} known")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
