"""The pictures of the review: each scan turned upright and reduced, made once and kept in the home's cache."""

from pathlib import Path

from artmaster_pipeline.curation.area.turning import turned
from artmaster_pipeline.curation.review.works import Work
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import sha256_of, writing
from artmaster_pipeline.scans import scan_path
from artmaster_pipeline.scans.decoding import decode, reading
from artmaster_pipeline.settings import Home

_LONG, _SHORT, _MOST = 1600, 720, 8000  # pixels: of the long side; of a scroll's short side, as far as the most allows
_SHRINKS = (8, 4, 2)


def picture(home: Home, work: Work) -> Path:
    """The work's picture, a JPEG of the scan turned upright, to be seen on a page.

    Raises BadInput where the scan's file has changed, is gone or cannot be read.
    """
    scan, skew = work.scan, work.curated.skew
    place = home.cache / "review" / f"{scan.sha256}_{skew:+.3f}.jpg"
    if place.is_file():
        return place
    file = scan_path(home, scan)
    if not file.is_file() or sha256_of(file) != scan.sha256:
        raise BadInput("Its file has changed or gone since it was registered", "Run the stage raw_scans again")
    scale = scale_of(scan.width, scan.height)
    shrink = next((factor for factor in _SHRINKS if factor * scale <= 1 / 1.5), 1)
    with reading(file), writing(place) as temporary:
        small = decode(file, shrink).image.thumbnail_image(
            max(1, round(scan.width * scale)), height=max(1, round(scan.height * scale)), size="force"
        )
        turned(small.copy_memory(), skew).jpegsave(str(temporary), Q=86, keep="none")
    return place


def scale_of(width: int, height: int) -> float:
    """Pixels of the picture per pixel of a scan of that size; a handscroll's is larger, to be looked into."""
    scale = max(_LONG / max(width, height), _SHORT / min(width, height))
    return min(1.0, scale, _MOST / max(width, height))
