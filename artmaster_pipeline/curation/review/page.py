"""The page of the review, as HTML: served by `server`, or written to a folder to be read from disk."""

import shutil
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from artmaster_pipeline.curation.review.pictures import picture
from artmaster_pipeline.curation.review.works import Work
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import check_folder, write_text
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.settings import CROP_SIZES, Home, load_painter
from artmaster_pipeline.templates import html_templates
from artmaster_pipeline.yaml_text import read_yaml

_PACKAGE = "artmaster_pipeline.curation.review"
_FILES = ("review.css", "review.js")


def page(home: Home, painter: str, works: Sequence[Work], *, who: str = "", read_only: bool = False) -> str:
    """The page of all works. Its pictures lie in pictures/ and thumbnails/ beside it, by the scans' ids."""
    words = _words()
    return str(
        html_templates(_PACKAGE, "site")
        .get_template("review.html.jinja")
        .render(
            painter=load_painter(home, painter).name,
            words={key: said["en"] for key, said in words.items()},
            read_only=read_only,
            data={
                "painter": painter,
                "who": who,
                "read_only": read_only,
                "sizes": CROP_SIZES,
                "works": [work.as_told() for work in works],
                "words": words,
            },
        )
    )


def write_page(home: Home, painter: str, works: Sequence[Work], folder: Path, progress: Progress = SILENT) -> Path:
    """Write the page and its pictures into a folder, to be opened from disk; nothing can be decided there."""
    check_folder(folder)
    for name in ("pictures", "thumbnails"):
        (folder / name).mkdir(exist_ok=True)
    for name in _FILES:
        write_text(folder / name, (resources.files(_PACKAGE) / "site" / name).read_text(encoding="utf-8"))
    with progress.task(f"Pictures of {painter}", len(works)) as advance:
        for work in works:
            name = f"{work.scan.id}.jpg"
            try:
                shutil.copyfile(picture(home, work), folder / "pictures" / name)
            except BadInput as bad:
                progress.say(f"{work.scan.path}: {bad.reason}. {bad.remedy}.")
            thumbnail = home.register(painter) / "thumbnails" / name
            if thumbnail.is_file():
                shutil.copyfile(thumbnail, folder / "thumbnails" / name)
            advance(note=work.scan.path)
    write_text(folder / "index.html", page(home, painter, works, read_only=True))
    return folder / "index.html"


@cache
def _words() -> dict[str, dict[str, str]]:
    text = (resources.files(_PACKAGE) / "site" / "words.yaml").read_text(encoding="utf-8")
    return dict[str, Any](read_yaml(text, quick=True))
