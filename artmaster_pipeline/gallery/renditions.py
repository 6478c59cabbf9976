"""A published picture in the sizes and formats that the pages ask for.

On the page: WebP at up to three widths, and one JPEG for browsers without it. WebP rather than AVIF: on paintings, AVIF
files of the same size showed no smaller error (mean CIEDE2000) and took two to four times as long to write. In the
viewer: one JPEG at full size, or, for pictures beyond 4096 pixels, a Deep Zoom pyramid of tiles, which a browser can
show without holding the picture whole.
"""

import io
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.gallery.enlarging import sample_facts
from artmaster_pipeline.pictures import write_jpeg, write_webp
from artmaster_pipeline.records import Sample

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_QUALITIES = {320: 80, 640: 80, 960: 70}  # by width in pixels: the last is for dense screens, where errors are smaller
_FALLBACK = 640  # pixels, the width of the JPEG
LARGEST_WHOLE = 4096  # pixels of the longer side that a browser is given in one file
_TILE, _OVERLAP = 510, 1  # pixels: with the overlap on both sides 512
_DETAIL = 1280  # pixels, the greatest width of what the enlargement's slider shows of a picture, at 3:2
_STEP = 8  # pixels of the small picture: the grid on which a detail is looked for


def renditions(record: Sample, file: Path) -> dict[str, bytes]:
    """The page's and the viewer's files of a picture, by their names below the site. `file` holds its full size."""
    image = _opened(file)
    facts = facts_of(record)
    made = {
        name: _webp(_at_width(image, width), facts, _QUALITIES.get(width, 80)) for width, name in _page_files(record)
    }
    made[thumbnail_of(record)] = _jpeg(_at_width(image, min(_FALLBACK, record.width)), facts)
    if record.is_large:
        whole = image.copy()
        whole.thumbnail((LARGEST_WHOLE, LARGEST_WHOLE))
        made[view_of(record)] = _jpeg(whole, facts)
        made |= dict(_tiles(record, file)) if is_tiled(record) else {}
    return made


def thumbnail_of(record: Sample) -> str:
    """The JPEG on the page."""
    return f"thumbnails/{record.id}.jpg"


def view_of(record: Sample) -> str:
    """What a viewer opens: the JPEG of a gallery's own picture, the PNG of a cell of the comparison."""
    return record.path.removesuffix(".png") + ".jpg" if record.is_large else record.path


def srcset_of(record: Sample, folder: str = "") -> str:
    """The srcset attribute of a picture's WebP files; `folder` leads from the page to the site."""
    return ", ".join(f"{folder}{name} {width}w" for width, name in _page_files(record))


def largest_of(record: Sample) -> str:
    """The widest WebP on the page."""
    return _page_files(record)[-1][1]


def is_tiled(record: Sample) -> bool:
    """Whether the picture has a Deep Zoom pyramid."""
    return record.is_large and max(record.width, record.height) > LARGEST_WHOLE


def tile_source(record: Sample) -> dict[str, Any]:
    """The picture as a tile source of OpenSeadragon.

    A pyramid's descriptor stands here in full: read from its own file it would need a request that pages on disk may
    not make.
    """
    if not is_tiled(record):
        return {"type": "image", "url": view_of(record)}
    return {
        "Image": {
            "xmlns": "http://schemas.microsoft.com/deepzoom/2008",
            "Url": f"{_tiles_folder(record)}/",
            "Format": "jpg",
            "Overlap": str(_OVERLAP),
            "TileSize": str(_TILE),
            "Size": {"Width": str(record.width), "Height": str(record.height)},
        }
    }


def detail_files(record: Sample) -> dict[str, str]:
    """The files of a picture's detail before and after enlarging: `before`, `after`, in WebP and as JPEG."""
    return {
        f"{side}_{suffix}": f"details/{record.id}-{side}.{suffix}"
        for side in ("before", "after")
        for suffix in ("webp", "jpg")
    }


def detail_size(record: Sample) -> tuple[int, int]:
    """Width and height of a picture's detail in pixels."""
    width = min(_DETAIL, record.width)
    return width, min(round(width * 2 / 3), record.height)


def details(record: Sample, file: Path, source: Sample, source_file: Path) -> dict[str, bytes]:
    """The busiest detail of an enlarged picture, and the same detail of its source resized by bicubic interpolation.

    Both are of the same size and the same part of the picture, so a slider can lay one over the other.
    """
    from PIL import Image

    after, before = _opened(file), _opened(source_file)
    width, height = detail_size(record)
    left, top = _busiest(before, width / after.width, height / after.height)
    scale = after.width / before.width
    box = (left, top, left + width / scale, top + height / scale)
    resized = before.resize((width, height), Image.Resampling.BICUBIC, box=box)
    corner = round(left * scale), round(top * scale)
    cut = after.crop((*corner, corner[0] + width, corner[1] + height))
    names = detail_files(record)
    made = {}
    for side, image, facts in (("before", resized, facts_of(source)), ("after", cut, facts_of(record))):
        made[names[f"{side}_webp"]] = _webp(image, facts)
        made[names[f"{side}_jpg"]] = _jpeg(image, facts)
    return made


def facts_of(record: Sample) -> dict[str, Any]:
    """What a rendition's file says about itself."""
    if record.column == "original":
        return {"id": record.id, "notice": "Detail of a scanned artwork", "scan_sha256": record.scan_sha256}
    return sample_facts(record) | {"enlarged_by": record.enlarged_by}


def jpeg_of(pixels: "np.ndarray", record: Sample) -> bytes:
    """A JPEG of pixels, uint8 (height, width, 3), of a picture shown otherwise; its file says the same."""
    from PIL import Image

    return _jpeg(Image.fromarray(pixels), facts_of(record))


def _page_files(record: Sample) -> list[tuple[int, str]]:
    widths = [width for width in _QUALITIES if width < record.width]
    if record.width <= max(_QUALITIES):
        widths.append(record.width)
    return [(width, f"thumbnails/{record.id}-{width}.webp") for width in widths]


def _opened(file: Path) -> "Image.Image":
    from PIL import Image

    with Image.open(file) as picture:
        return picture.convert("RGB")


def _at_width(image: "Image.Image", width: int) -> "Image.Image":
    from PIL import Image

    height = max(1, round(image.height * width / image.width))
    return image if image.width == width else image.resize((width, height), Image.Resampling.LANCZOS)


def _jpeg(image: "Image.Image", facts: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    write_jpeg(buffer, image, facts)
    return buffer.getvalue()


def _webp(image: "Image.Image", facts: dict[str, Any], quality: int = 80) -> bytes:
    buffer = io.BytesIO()
    write_webp(buffer, image, facts, quality)
    return buffer.getvalue()


def _tiles_folder(record: Sample) -> str:
    return f"tiles/{record.id}_files"


def _tiles(record: Sample, file: Path) -> Iterator[tuple[str, bytes]]:
    """The pyramid's tiles as libvips writes them; its descriptor and its dated properties are left out."""
    import pyvips

    with tempfile.TemporaryDirectory(prefix="artmaster-") as folder:
        picture = pyvips.Image.new_from_file(str(file), access="sequential")
        picture = picture.flatten() if picture.hasalpha() else picture
        picture.dzsave(
            str(Path(folder) / record.id), tile_size=_TILE, overlap=_OVERLAP, suffix=".jpg[Q=90]", keep="none"
        )
        made = Path(folder) / f"{record.id}_files"
        for tile in sorted(made.glob("*/*.jpg")):
            yield f"{_tiles_folder(record)}/{tile.relative_to(made).as_posix()}", tile.read_bytes()


def _busiest(image: "Image.Image", share_x: float, share_y: float) -> tuple[int, int]:
    """Left and top of the window, of that share of the picture, whose grey values change most from pixel to pixel."""
    import numpy as np

    grey = np.asarray(image.convert("L"), dtype=np.float64)
    change = np.abs(np.diff(grey, axis=0))[:, 1:] + np.abs(np.diff(grey, axis=1))[1:, :]
    total = np.pad(change.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    width, height = math.ceil(change.shape[1] * share_x), math.ceil(change.shape[0] * share_y)
    corners = [
        (_window(total, left, top, width, height), -top, -left)
        for top in range(0, total.shape[0] - height, _STEP)
        for left in range(0, total.shape[1] - width, _STEP)
    ]
    _, top, left = max(corners)
    return -left, -top


def _window(total: "np.ndarray", left: int, top: int, width: int, height: int) -> float:
    right, bottom = left + width, top + height
    return float(total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left])
