"""A small archive after its gallery was published, for tests that look at the site: as usual, hostile, or large."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_archive import PAINTER, evaluated, painted, small_archive

from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.gallery.enlarging import Picture, enlarged_id, sample_facts
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.publishing import publish, publish_gallery
from artmaster_pipeline.records import MANIFEST, Adapter, Sample, read_manifest
from artmaster_pipeline.settings import Home, load_painter, load_profile, save_painter

PROFILE = load_profile("miniature")
ARABIC, HEBREW = "منظر طبيعي مع جبل", "נוף עם הר"
LONG_WORD = "Donaudampfschifffahrtsgesellschaft" * 8
HOSTILE = (
    """<script>alert("x")</script> '" onload=alert(1) {{ 7*7 }} {0} & <img src=http://example.org/x.png> """
    f"{ARABIC} {HEBREW} {LONG_WORD}"
)
AXES = {
    "tone": {"score": 0.78, "score_interval": [0.66, 0.9]},
    "brushwork": {"score": -0.42, "score_interval": [-0.8, 0.1]},
    "composition": {"score": None, "score_interval": [None, None]},
}


def published(home: Home, rows: int = 4, **archive: Any) -> Home:
    """Fill `home` with a small archive, evaluated on `rows` prompts, and publish it."""
    small_archive(home, **archive)
    evaluated(home, rows)
    measured(home, axes=AXES, memorisation={"suspects": 0, "pictures": rows})
    publish_gallery(home, PAINTER, PROFILE)
    return home


def hostile(home: Home) -> Home:
    """The same, with titles, captions, rights and the painter's name that try to be HTML or to break the layout."""
    small_archive(home, works=3, held_out=1, title=HOSTILE, accession_number=HOSTILE, date=HOSTILE, rights=HOSTILE)
    save_painter(
        home, PAINTER, load_painter(home, PAINTER).model_copy(update={"name": HOSTILE[:200], "rights": HOSTILE})
    )
    evaluated(home, 3)
    measured(home, reading=HOSTILE)
    publish_gallery(home, PAINTER, PROFILE)
    return home


def large(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The same, with pictures of FLUX.1's size after enlarging, and one beyond what a browser is given whole."""
    small_archive(home, works=4, held_out=2)
    evaluated(home, 4)
    monkeypatch.setattr(publish, "enlarge_samples", _blown_up)
    publish_gallery(home, PAINTER, PROFILE)
    return home


def measured(home: Home, **figures: Any) -> None:
    """Put `figures` into the panel of the painter's current adapter."""
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    file = home.evaluation(PAINTER) / adapter.id / "panel.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | figures), encoding="utf-8")


def _blown_up(home: Home, painter: str, _profile: Any, samples: Any, _progress: Any) -> tuple[Any, int, dict[str, Any]]:
    sizes = [(2048, 3072), (2048, 2048), (4224, 1408)]
    pictures = []
    for place, sample in enumerate(sorted(samples, key=lambda sample: sample.seed)):
        width, height = sizes[place % len(sizes)]
        key = enlarged_id(sample, "blown-up")
        file = home.cache / f"{key}.png"
        pixels = Image.fromarray(painted(place, width // 2, height // 2, (40, 60, 50))).resize((width, height))
        write_png(file, _array(pixels), sample_facts(sample) | {"id": key})
        changed = {"id": key, "path": f"pictures/{key}.png", "sha256": sha256_of(file), "width": width}
        changed |= {"height": height, "enlarged_by": "blown-up", "enlarged_from": sample.id}
        pictures.append(Picture(Sample.model_validate(sample.model_dump() | changed), file))
    return tuple(pictures), len(pictures), {}


def _array(image: Image.Image) -> Any:
    import numpy as np

    return np.asarray(image)


def files_below(folder: Path) -> dict[str, bytes]:
    """The files of a folder by POSIX path."""
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
