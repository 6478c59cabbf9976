"""The label map of a canvas, put together from the map and the masks that it names, and what is wrong with them."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from artmaster_pipeline.copainting.canvas.maps import Size, read_labels, read_mask


@dataclass(frozen=True)
class Place:
    """Where a region is said to be: a label of the map, or a mask of its own; `number` is what it has in the whole."""

    id: str
    number: int
    mask: str = ""


def laid_out(
    folder: Path, map_file: str, places: Iterable[Place], size: Size | None, faults: list[str]
) -> np.ndarray | None:
    """The whole label map, uint8 (height, width), where no fault was found; else what is wrong is added to `faults`.

    Without a `size` files are judged by their frames alone.
    """
    places, found = tuple(places), len(faults)
    by_label = {place.number: place.id for place in places if not place.mask}
    labels = _labels_of(folder, map_file, by_label, size, faults) if map_file else None
    masks = {}
    for place in places:
        if place.mask and (mask := _mask_of(folder, place, size, faults)) is not None:
            masks[place.number] = mask
    regions = {} if labels is None else {number: labels == number for number in by_label}
    _check_overlaps(regions | masks, {place.number: place.id for place in places}, faults)
    if len(faults) > found or size is None:
        return None
    whole = np.zeros(size[::-1], np.uint8) if labels is None else labels.copy()
    for place in places:
        if place.mask:
            whole[masks[place.number]] = place.number
    return whole


def sha256_of_labels(labels: np.ndarray) -> str:
    """The sha256 of a label map's shape and pixels, whatever file it is from."""
    return hashlib.sha256(str(labels.shape).encode() + labels.tobytes()).hexdigest()


def _labels_of(
    folder: Path, name: str, by_label: Mapping[int, str], size: Size | None, faults: list[str]
) -> np.ndarray | None:
    wrong: list[str] = []
    labels = read_labels(folder, name, size, wrong)
    if labels is not None:
        counts = np.bincount(labels.reshape(-1), minlength=256)
        strangers = [label for label in range(1, 256) if counts[label] and label not in by_label]
        if strangers:
            wrong.append(
                f"no region has its label{'s' * (len(strangers) > 1)} {_runs(strangers)} "
                f"({counts[strangers].sum() / labels.size:.1%} of the canvas): bind each to a region, or paint it 0"
            )
        wrong += [
            f"the label {number} of {id} has no pixel in it: paint it, or take the region out"
            for number, id in by_label.items()
            if not counts[number]
        ]
    faults += [f"labels: {name}: {fault}" for fault in wrong]
    return labels


def _mask_of(folder: Path, place: Place, size: Size | None, faults: list[str]) -> np.ndarray | None:
    wrong: list[str] = []
    mask = read_mask(folder, place.mask, size, wrong)
    if mask is not None and not mask.any():
        wrong.append("it is empty: paint the region white, or take it out")
    faults += [f"the mask of {place.id}, {place.mask}: {fault}" for fault in wrong]
    return mask


def _check_overlaps(regions: Mapping[int, np.ndarray], names: Mapping[int, str], faults: list[str]) -> None:
    packed = {number: np.packbits(region) for number, region in regions.items()}
    pixels = {number: int(np.bitwise_count(bits).sum()) for number, bits in packed.items()}
    for one, other in combinations(packed, 2):
        if shared := int(np.bitwise_count(packed[one] & packed[other]).sum()):
            share, smaller = shared / regions[one].size, shared / min(pixels[one], pixels[other])
            faults.append(
                f"{names[one]} and {names[other]} overlap in {shared:,} pixels, {share:.1%} of the canvas and "
                f"{smaller:.0%} of the smaller one: give each pixel to one of them"
            )


def _runs(numbers: list[int]) -> str:
    """Numbers in ascending order, those in a row as 3-7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
