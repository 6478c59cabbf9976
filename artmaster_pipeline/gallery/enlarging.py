"""Enlarging samples for the gallery, each once: what was published or finished before a kill is taken up again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.adapters.withdrawn import check_network_not_withdrawn
from artmaster_pipeline.dataset.own_pictures import like_the_painters, trained_on
from artmaster_pipeline.files import inside, sha256_of
from artmaster_pipeline.gallery.gates import gates_said
from artmaster_pipeline.pictures import AI_GENERATED, is_whole, read_rgb, write_png
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import MANIFEST, Sample, identity, read_manifest
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile

_VERSION = 1  # part of an enlarged picture's id: raise it when enlarging does something else


@dataclass(frozen=True)
class Picture:
    """A published picture: its record, and where its file lies until the site is put together."""

    record: Sample
    file: Path


@session()
def enlarge_samples(
    home: Home, painter: str, profile: Profile, samples: Sequence[Sample], progress: Progress
) -> tuple[tuple[Picture, ...], int, dict[str, Any]]:
    """The samples at the gallery's size in their order, how many of them were made now, and figures on how.

    `painter` may be a set, a canvas or a story: texture and grain are then those of all its painters' large training
    pictures. A sample that has the size is taken as it is. A new picture lies in the data home's cache until it is
    published, so a kill loses at most the one in work.
    """
    from artmaster_pipeline.superres import networks_of

    painters = home.members(painter)
    check_network_not_withdrawn(home, painters, profile.super_resolution)
    constraints = profile.gallery_constraints
    like, figures = like_the_painters(trained_on(home, painters), constraints, progress.say)
    networks, long_side = networks_of(profile, constraints, like), profile.gallery_long_side
    how = {s.id: networks.to_long_side((s.width, s.height), long_side) for s in samples}
    if left := sum(by is None for by in how.values()):
        figures["pictures left as they are"] = left
        progress.say(f"{left} of {len(samples)} pictures have {long_side} pixels or more and are left as they are.")
    published = {row.id: row for row in read_manifest(home.gallery(painter) / MANIFEST, Sample)}
    wanted = [(sample, enlarged_id(sample, by.identity if (by := how[sample.id]) else "")) for sample in samples]
    found = {new_id: file for _, new_id in wanted if (file := _find(home, painter, new_id, published))}
    made = len(wanted) - len(found)
    with progress.task("sample gallery", len(wanted), len(found)) as advance:
        for sample, new_id in wanted:
            if new_id not in found:
                found[new_id] = unpublished_pictures(home, painter) / f"{new_id}.png"
                pixels, facts = read_rgb(inside(home.evaluation(painter), sample.path)), sample_facts(sample)
                facts |= {"id": new_id, "enlarged_from": sample.id}
                if (by := how[sample.id]) is not None:
                    pixels, facts = by.enlarge(pixels), facts | {"enlarged_by": by.name}
                write_png(found[new_id], pixels, facts)
                advance(note=f"seed {sample.seed}")
    names = {sample_id: by.name if by else "" for sample_id, by in how.items()}
    pictures = (Picture(_record(s, new_id, names[s.id], found[new_id]), found[new_id]) for s, new_id in wanted)
    return tuple(pictures), made, figures


def enlarged_id(sample: Sample, network_identity: str) -> str:
    """The id of `sample` after a network has enlarged it."""
    return identity("enlarged", sample.id, sample.sha256, network_identity, _VERSION)


def sample_facts(sample: Sample) -> dict[str, Any]:
    """What a generated picture's file says about itself."""
    return {
        "id": sample.id,
        "notice": AI_GENERATED,
        "prompt": sample.prompt,
        "seed": sample.seed,
        "adapter": sample.drawn_by,
        "base_model": sample.base_model,
        "base_revision": sample.base_revision,
        "num_inference_steps": sample.num_inference_steps,
        "guidance_scale": sample.guidance_scale,
        **sample.drawing.further(),
        **gates_said(sample),
    }


def unpublished_pictures(home: Home, painter: str) -> Path:
    """Where enlarged pictures lie until the site they belong to is published."""
    return home.cache / "gallery" / painter


def _find(home: Home, painter: str, new_id: str, published: dict[str, Sample]) -> Path | None:
    if (row := published.get(new_id)) is not None:
        file = inside(home.gallery(painter), row.path)
        if file.is_file() and sha256_of(file) == row.sha256:
            return file
    file = unpublished_pictures(home, painter) / f"{new_id}.png"
    return file if file.is_file() and is_whole(file, new_id) else None


def _record(sample: Sample, new_id: str, network: str, file: Path) -> Sample:
    from PIL import Image

    with Image.open(file) as image:
        width, height = image.size
    changed = {
        "id": new_id,
        "width": width,
        "height": height,
        "path": f"pictures/{new_id}.png",
        "sha256": sha256_of(file),
        "enlarged_by": network,
        "enlarged_from": sample.id,
    }
    return Sample.model_validate(sample.model_dump() | changed)
