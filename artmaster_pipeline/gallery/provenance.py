"""Where a gallery's pictures come from: the adapter, and the artworks that the adapter was trained on."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from artmaster_pipeline.adapters.ancestry import scans_in
from artmaster_pipeline.adapters.finding import any_adapter, folder_of, read_snapshot
from artmaster_pipeline.adapters.withdrawn import withdrawn_works
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.gallery.gates import gates_said
from artmaster_pipeline.pictures import AI_GENERATED
from artmaster_pipeline.records import MANIFEST, SNAPSHOT, Adapter, Sample, Scan, read_manifest
from artmaster_pipeline.settings import Home


@dataclass(frozen=True)
class Provenance:
    """An adapter with the scans it was trained on, and those that were held out to judge it.

    Trained on counts what is in the weights: the works of adapters that it was started from, too.
    `others` are the same of further adapters that drew some of the pictures with it.
    """

    adapter: Adapter
    trained_on: tuple[Scan, ...]
    held_out: tuple[Scan, ...]
    others: tuple["Provenance", ...] = ()

    def of(self, picture: Sample) -> "tuple[Provenance, ...]":
        """That of every adapter that drew a picture, in the picture's order."""
        known = {each.adapter.id: each for each in (self, *self.others)}
        return tuple(known[adapter_id] for adapter_id in picture.adapter_ids)

    def scan(self, sha256: str) -> Scan | None:
        """The work that a file's sha256 belongs to, among those trained on and held out."""
        return next((scan for scan in (*self.trained_on, *self.held_out) if scan.sha256 == sha256), None)


def read_provenance(home: Home, adapter: Adapter, pictures: Iterable[Sample] = ()) -> Provenance:
    """The adapter's works, by its own snapshot; titles and rights as the register has them today.

    With `pictures`, those of all other adapters that drew them, too. Raises ArtMasterError where an adapter is no
    longer there, or its snapshot does not describe every scan that it names.
    """
    others = {name for picture in pictures for name in picture.adapter_ids} - {adapter.id}
    return replace(_read(home, adapter), others=tuple(_read(home, _known(home, name)) for name in sorted(others)))


def _known(home: Home, adapter_id: str) -> Adapter:
    adapter = any_adapter(home, adapter_id)
    if adapter is None:
        raise ArtMasterError(
            f"A picture was drawn with the adapter {adapter_id}, which is no longer in {home.root}, so nobody can say "
            "what is in it: restore it with `dvc checkout`, or run the stage evaluation_grid again."
        )
    return adapter


def _read(home: Home, adapter: Adapter) -> Provenance:
    snapshot = read_snapshot(home, adapter)
    scans = {each.scan.sha256: each.scan for each in snapshot.inherited}
    scans |= {scan.sha256: scan for scan in snapshot.scans}
    scans |= {
        scan.sha256: scan
        for scan in read_manifest(home.register(adapter.painter) / MANIFEST, Scan)
        if scan.sha256 in scans
    }
    unknown = [sha256 for sha256 in adapter.scan_sha256s if sha256 not in scans]
    if unknown:
        raise ArtMasterError(
            f"{folder_of(home, adapter) / SNAPSHOT} does not describe {len(unknown)} of the adapter's scans "
            f"({', '.join(unknown)}): run style_adapter again."
        )
    trained = set(scans_in(adapter, snapshot))
    judged = {image.scan_sha256 for image in snapshot.training_images if image.split == "held_out"} - trained
    judged -= withdrawn_works(home, adapter.painter).keys()  # a new evaluation is made without them
    return Provenance(
        adapter=adapter,
        trained_on=_in_order(scan for sha256, scan in scans.items() if sha256 in trained),
        held_out=_in_order(scan for sha256, scan in scans.items() if sha256 in judged),
    )


def provenance_json(provenance: Provenance, pictures: Sequence[Sample]) -> str:
    """provenance.json: every published picture -> adapters -> sha256 of the scans. Pictures no model made say so.

    A painted canvas says it for each of its regions, too; a story's picture says its shot.
    """
    all_of_them = (provenance, *provenance.others)
    content = {
        "notice": AI_GENERATED,
        "adapters": {
            adapter.id: {
                "painter": adapter.painter,
                "sha256": adapter.sha256,
                "base_model": adapter.base_model,
                "base_revision": adapter.base_revision,
                "trained_on": sorted(scan.sha256 for scan in trained_on),
                "held_out": sorted(scan.sha256 for scan in held_out),
                **({"started_from": adapter.started_from} if adapter.started_from else {}),
            }
            for adapter, trained_on, held_out in (
                (each.adapter, each.trained_on, each.held_out) for each in all_of_them
            )
        },
        "scans": {scan.sha256: _described(scan) for each in all_of_them for scan in (*each.trained_on, *each.held_out)},
        "pictures": {picture.path: _traced(picture, provenance) for picture in pictures},
    }
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def scans_behind(picture: Sample, provenance: Provenance) -> list[str]:
    """sha256 of every scan that an adapter which drew the picture was trained on, sorted."""
    return sorted({scan.sha256 for each in provenance.of(picture) for scan in each.trained_on})


def _in_order(scans: Any) -> tuple[Scan, ...]:
    """By accession number, its numbers counted as numbers; works without one come last, by title."""

    def place(scan: Scan) -> tuple[Any, ...]:
        number = [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", scan.accession_number)]
        return not scan.accession_number, number, scan.title, scan.path

    return tuple(sorted(scans, key=place))


def _described(scan: Scan) -> dict[str, str]:
    fields = ("path", "title", "accession_number", "date", "rights")
    return {name: value for name in fields if (value := getattr(scan, name))}


def _traced(picture: Sample, provenance: Provenance) -> dict[str, Any]:
    said: dict[str, Any] = {"id": picture.id, "sha256": picture.sha256, "column": picture.column}
    if picture.column == "original":
        return said | {"ai_generated": False, "scan": picture.scan_sha256}
    said |= {"prompt": picture.prompt, "seed": str(picture.seed), **picture.drawing.further()}
    if picture.column == "base":
        return said | {"ai_generated": True, "adapter": None, "adapters": [], "scans": []}
    return said | {
        "ai_generated": True,
        "adapter": picture.drawn_by,
        "adapters": list(picture.adapter_ids),
        "scans": scans_behind(picture, provenance),
        **gates_said(picture),
        **({"regions": _regions(picture, provenance)} if picture.canvas else {}),
    }


def _regions(picture: Sample, provenance: Provenance) -> dict[str, Any]:
    """Of a painted canvas, region by region: the adapters that painted it, and the scans behind those."""
    known = {each.adapter.id: each for each in (provenance, *provenance.others)}
    return {
        region.id: {
            "adapters": list(region.adapter_ids),
            "scans": sorted({scan.sha256 for name in region.adapter_ids for scan in known[name].trained_on}),
        }
        for region in picture.regions
    }
