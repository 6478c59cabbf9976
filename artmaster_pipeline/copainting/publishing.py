"""The stage canvas_gallery: the pictures of a canvas that passed, as a site in gallery/<canvas>/.

It is put together, signed, kept and put in place as a painter's is. Nothing is published unless every expert's own
adapter is, no work that may not be used is in one of them, and the canvas itself was judged fit. The site shows the map
over each picture, and of each region who painted it, with which adapters, from which artworks; of those it shows what
all of the painters let be shown.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline import __version__
from artmaster_pipeline.copainting.mapped import colours_of_regions, mapped, numbers_of
from artmaster_pipeline.copainting.painting.hands import Hands
from artmaster_pipeline.copainting.samples import LABELS, hands_at_work, painted_of
from artmaster_pipeline.experts.judged import check_passed
from artmaster_pipeline.gallery import renditions
from artmaster_pipeline.gallery.enlarging import Picture, enlarge_samples
from artmaster_pipeline.gallery.pages import (
    Contents,
    canvas_in_words,
    picture_files,
    render,
    static_files,
    viewer_layer,
    works_behind,
)
from artmaster_pipeline.gallery.provenance import Provenance, provenance_json, read_provenance
from artmaster_pipeline.gallery.words import LANGUAGES, Words
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.publish import publish_site
from artmaster_pipeline.publishing.signing import Site, unsigned
from artmaster_pipeline.publishing.taking_down import take_down
from artmaster_pipeline.records import MANIFEST, PROVENANCE, Outcome, Region, Sample, read_manifest
from artmaster_pipeline.settings import Home, PainterSettings, Profile, load_painter

if TYPE_CHECKING:
    import numpy as np

MAP = "map.png"
_MAP_SIDE = 1024  # pixels of the longer side of the map alone


@one_at_a_time
def publish_canvas(home: Home, partition: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Publish gallery/<canvas>/ if the canvas passed; gives the records of every picture in the site.

    What shows a withdrawn work is taken down first, whatever comes of the rest. Raises WrongUse where canvas.yaml is
    wrong, HoldsWithdrawn or NotPublished, naming every reason, where an expert or the verdict keeps it back,
    ArtMasterError where it was not painted as it is now; what is published then stays as it is.
    """
    take_down(home, partition, progress)
    hands = hands_at_work(home, partition, publishing=True)
    verdict = check_passed(home, partition, hands.identity(), hands.adapters)
    settings = {adapter.painter: load_painter(home, adapter.painter) for adapter in hands.adapters}
    painted = painted_of(home, partition, hands.identity())
    provenance = read_provenance(home, hands.adapters[0], painted)
    enlarged, made, how = enlarge_samples(home, partition, profile, painted, progress)
    enlarged = tuple(unsigned(home, partition, picture) for picture in enlarged)
    records = tuple(picture.record for picture in enlarged)
    contents = _contents(home, partition, hands, provenance, settings, enlarged)
    version = publish_site(home, Site(partition, "", provenance, contents, records), verdict.id, progress)
    manifest = home.gallery(partition) / MANIFEST
    works = {scan.sha256 for each in (provenance, *provenance.others) for scan in each.trained_on}
    figures = {"pictures": len(records), "artworks behind them": len(works), "version": version.id} | how
    return Outcome(read_manifest(manifest, Sample), manifest, made, len(records) - made, figures=figures)


def _contents(
    home: Home,
    partition: str,
    hands: Hands,
    provenance: Provenance,
    settings: Mapping[str, PainterSettings],
    enlarged: Sequence[Picture],
) -> Contents:
    """All files of the site but its manifest."""
    records = [picture.record for picture in enlarged]
    labels = _labels(home.evaluation(partition) / hands.identity() / LABELS)
    regions = records[0].regions
    contents = static_files() | picture_files(enlarged)
    for picture in enlarged:
        contents[map_over(picture.record)] = renditions.jpeg_of(_over(picture, labels), picture.record)
    width, height = _within(records[0], _MAP_SIDE)
    contents[MAP] = _png(mapped(labels, regions, (width, height), None))
    works, experts = works_behind(home, provenance, settings)
    contents |= works
    contents[PROVENANCE] = provenance_json(provenance, records).encode()
    facts = {
        "canvas": canvas_in_words(hands.canvas.name),
        "prompt": hands.canvas.prompt,
        "painters": [settings[adapter.painter] for adapter in hands.adapters],
        "experts": experts,
        "regions": [_shown(region, regions, experts, settings) for region in regions],
        "pictures": records,
        "map": {"file": MAP, "width": width, "height": height},
        "version": __version__,
    }
    return contents | {t.page("index"): render("canvas.html", "index", t, facts | _seen(t, records)) for t in LANGUAGES}


def map_over(record: Sample) -> str:
    """The file of the map over a picture, below the site."""
    return f"maps/{record.id}.jpg"


def _shown(
    region: Region, regions: Sequence[Region], experts: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """A region as the page's legend shows it."""
    behind = [each for each in experts if each["of"].adapter.id in region.adapter_ids]
    return {
        "region": region,
        "number": numbers_of(regions)[region.id],
        "colour": "#{:02x}{:02x}{:02x}".format(*colours_of_regions(regions)[region.id]),
        "hands": [
            {
                "name": each["name"],
                "slug": each["of"].adapter.painter,
                "adapter": each["of"].adapter.id,
                "strength": region.strengths.get(each["of"].adapter.painter),
                "works": len(each["of"].trained_on),
            }
            for each in behind
        ],
    }


def _seen(t: Words, records: Sequence[Sample]) -> dict[str, Any]:
    """What the viewer lays over one another, by the picture's id: the picture, and its map over it."""

    def layers(record: Sample) -> list[dict[str, Any]]:
        alt, over = (str(t(key, prompt=record.prompt).unescape()) for key in ("picture_alt", "map_over_alt"))
        file = map_over(record)
        return [
            viewer_layer(record, str(t("picture")), alt),
            {"label": str(t("map_over")), "alt": over, "url": file, "source": {"type": "image", "url": file}},
        ]

    return {"layers": {record.id: layers(record) for record in records}}


def _over(picture: Picture, labels: "np.ndarray") -> "np.ndarray":
    """The map over a picture, as large as it, or as a browser is given in one file; over a small one larger."""
    import numpy as np
    from PIL import Image

    longer = max(picture.record.width, picture.record.height)
    size = _within(picture.record, min(max(longer, _MAP_SIDE), renditions.LARGEST_WHOLE))
    shown = Image.fromarray(read_rgb(picture.file)).resize(size, Image.Resampling.LANCZOS)
    return mapped(labels, picture.record.regions, size, np.asarray(shown))


def _within(record: Sample, side: int) -> tuple[int, int]:
    """Width and height of a picture whose longer side has `side` pixels."""
    scale = side / max(record.width, record.height)
    return max(1, round(record.width * scale)), max(1, round(record.height * scale))


def _labels(file: Path) -> "np.ndarray":
    import numpy as np
    from PIL import Image

    with Image.open(file, formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))[..., 0]


def _png(pixels: "np.ndarray") -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
