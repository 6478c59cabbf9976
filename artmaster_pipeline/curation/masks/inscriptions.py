"""Inscriptions: lines of writing, which a text detector proposes and their strokes confirm, joined to blocks.

A signature of two or three characters is too little for the detector; it is looked for where it stands by custom, in a
column above a seal.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.masks.regions import Region, outline_of
from artmaster_pipeline.curation.masks.resampling import enlarged, reduced

_LIKELY = 0.3  # DBNet's own threshold
_GROWN = 0.75  # the network marks the core of a line; the line is so much of its thickness wider on each side
_JOINED = 1.3  # lines nearer to each other than twice so many thicknesses are one block
_POINTS = 40
_SMALLEST = 12  # pixels of a line's core
# Changes between ink and ground within a line's thickness: characters have two, foliage and waves more
_CHANGES, _CHANGES_OF_ONE = 3.2, 2.2
_BROAD = 0.05  # of the short side: a single spot as thick as that must look much like a character
_BELIEVED, _SEEN = 0.8, 30  # mean likelihood and core pixels that a block needs in one of its lines
_SIGNED = 0.6  # score of a signature that only its place and its strokes tell


@dataclass(frozen=True)
class _Line:
    place: tuple[slice, slice]
    core: np.ndarray  # bool, of the size of `place`
    thickness: float
    score: float


def find_inscriptions(
    lightness: np.ndarray, writing: np.ndarray, seals: list[Region], stamped: np.ndarray
) -> list[Region]:
    """The blocks of writing, from CIELAB's lightness and the likelihood of writing; `stamped` is where seals are."""
    from scipy import ndimage

    lines = [line for line in _lines(writing) if _is_written(lightness, line) and not _in_a_seal(line, stamped)]
    certainty = np.zeros(writing.shape, np.float32)
    for line in lines:
        _grow(certainty, line)
    for place in _signatures(lightness, seals, (certainty > 0) | stamped):
        certainty[place] = np.maximum(certainty[place], _SIGNED)
    if not certainty.any():
        return []
    thickness = float(np.median([line.thickness for line in lines])) if lines else 0.0
    labels, _ = ndimage.label(_closed(certainty > 0, max(2, round(_JOINED * thickness))))
    found = []
    believed = {labels[_middle(line)] for line in lines if line.score >= _BELIEVED and line.core.sum() >= _SEEN}
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        piece = labels[place] == number
        score = round(float(certainty[place][piece].max()), 3)
        if number in believed or score == _SIGNED:
            found.append(Region("inscription", outline_of(piece, _POINTS, place[1].start, place[0].start), score))
    return found


def _lines(writing: np.ndarray) -> Iterable[_Line]:
    from scipy import ndimage

    labels, _ = ndimage.label(writing > _LIKELY)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        core = labels[place] == number
        if core.sum() >= _SMALLEST:
            thickness = 2 * float(ndimage.distance_transform_edt(np.pad(core, 1)).max())
            yield _Line(place, core, thickness, float(writing[place][core].mean()))


def _middle(line: _Line) -> tuple[int, int]:
    """A pixel of its core."""
    row, column = np.argwhere(line.core)[line.core.sum() // 2]
    return line.place[0].start + int(row), line.place[1].start + int(column)


def _is_written(lightness: np.ndarray, line: _Line) -> bool:
    """Whether strokes alternate with their ground as in characters."""
    from scipy import ndimage

    wide, core = _with_margin(line, round(_GROWN * line.thickness) + 1, lightness.shape)
    near = ndimage.distance_transform_edt(~core) <= 0.6 * line.thickness
    light = lightness[wide]
    detail = light - ndimage.uniform_filter(light, max(3, int(1.6 * line.thickness)))
    contrast = float(detail[near].std())
    ink = detail < -0.5 * contrast
    across, down = ink[:, 1:] != ink[:, :-1], ink[1:] != ink[:-1]
    changes = line.thickness * float(across[near[:, 1:]].mean() + down[near[1:]].mean()) / 2
    broad = line.thickness > _BROAD * min(lightness.shape)
    alone = broad and line.core.sum() < 2.2 * line.thickness**2
    return contrast >= 1.5 and changes <= (_CHANGES_OF_ONE if alone else _CHANGES)


def _in_a_seal(line: _Line, stamped: np.ndarray) -> bool:
    return bool(stamped[line.place][line.core].mean() > 0.5)


def _grow(certainty: np.ndarray, line: _Line) -> None:
    from scipy import ndimage

    margin = round(_GROWN * line.thickness) + 2
    wide, core = _with_margin(line, margin, certainty.shape)
    near = ndimage.distance_transform_edt(~core) <= margin - 1
    place = certainty[wide]
    place[near] = np.maximum(place[near], line.score)


def _with_margin(line: _Line, margin: int, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], np.ndarray]:
    """The line's place and core with a margin, as far as the picture reaches."""
    rows, columns = line.place
    wide = (
        slice(max(0, rows.start - margin), min(shape[0], rows.stop + margin)),
        slice(max(0, columns.start - margin), min(shape[1], columns.stop + margin)),
    )
    core = np.zeros((wide[0].stop - wide[0].start, wide[1].stop - wide[1].start), bool)
    top, left = rows.start - wide[0].start, columns.start - wide[1].start
    core[top : top + line.core.shape[0], left : left + line.core.shape[1]] = line.core
    return wide, core


def _signatures(lightness: np.ndarray, seals: list[Region], taken: np.ndarray) -> Iterable[tuple[slice, slice]]:
    """Places of columns of ink that stand by themselves right above a seal, about as wide as it."""
    coarse = reduced(lightness, min(16, *lightness.shape))
    from scipy import ndimage

    ground = enlarged(ndimage.percentile_filter(coarse, 70, 5, mode="nearest"), lightness.shape)
    ink = (ground - lightness > np.maximum(8, 0.25 * ground)) & ~taken
    for seal in seals:
        across, down = zip(*seal.outline, strict=True)
        side = ((max(across) - min(across)) * (max(down) - min(down))) ** 0.5
        place = _column_above(ink, (max(across) + min(across)) / 2, min(down), side)
        if place is not None:
            yield place


def _column_above(ink: np.ndarray, middle: float, bottom: float, side: float) -> tuple[slice, slice] | None:
    """The column of ink that ends above a seal and has more ink than what is beside it; None where there is none."""
    left, right = round(middle - 0.45 * side), round(middle + 0.45 * side)
    end, gap, aside = max(0, round(bottom)), max(3, round(0.6 * side)), max(2, round(0.3 * side))
    if left < 2 * aside or right + 2 * aside > ink.shape[1] or end < side:
        return None
    empty = ink[max(0, end - round(6 * side)) : end, left:right].mean(axis=1)[::-1] <= 0.03
    gaps = np.flatnonzero(np.convolve(empty, np.ones(gap), "valid") >= gap)
    length = int(gaps[0]) if len(gaps) else len(empty)
    if not 1.2 * side <= length <= 5 * side:
        return None
    rows = slice(end - length, end)
    inside = float(ink[rows, left:right].mean())
    beside = max(
        float(ink[rows, place].mean())
        for place in (slice(left - 2 * aside, left - aside), slice(right + aside, right + 2 * aside))
    )
    return (rows, slice(left, right)) if 0.07 <= inside <= 0.55 and beside <= 0.5 * inside else None


def _closed(mask: np.ndarray, radius: int) -> np.ndarray:
    """Morphological closing by a disc, through distances, of the part of the mask where anything is."""
    from scipy import ndimage

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    grown = ndimage.distance_transform_edt(~np.pad(mask[part], radius + 1)) <= radius
    shut = ndimage.distance_transform_edt(grown) > radius
    closed = mask.copy()
    closed[part] |= shut[radius + 1 : -radius - 1, radius + 1 : -radius - 1]
    return closed
