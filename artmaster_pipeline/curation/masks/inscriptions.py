"""Inscriptions: lines of writing, which a text detector proposes and their strokes confirm, joined to blocks.

A signature of two or three small characters is too little for the detector. By custom a seal follows it, so the
detector looks again, at a larger scale, around the seals that no writing was seen above.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.masks.regions import Region, outline_of
from artmaster_pipeline.curation.masks.text_detector import writing_likelihood

_LIKELY = 0.3  # DBNet's own threshold
_GROWN = 0.75  # the network marks the core of a line; the line is so much of its thickness wider on each side
_JOINED = 1.3  # lines nearer to each other than twice so many thicknesses are one block
_POINTS = 40
_SMALLEST = 12  # pixels of a line's core
# Changes between ink and ground within a line's thickness: characters have two, foliage and waves more, fruit fewer
_CHANGES, _CHANGES_OF_BROAD, _CHANGES_OF_ONE = (0.0, 3.2), (1.4, 2.65), (1.4, 2.2)
_BROAD = 0.05  # of the short side: a line as thick as that, and more so a single spot, must look much like characters
_BELIEVED, _SEEN = 0.8, 30  # mean likelihood and core pixels that a block needs in one of its lines
_SEAL = 56  # pixels of a seal's side where the detector looks again: characters beside it are of its size
_AGAIN = 5  # seals at most, the surest


@dataclass(frozen=True)
class _Line:
    place: tuple[slice, slice]
    core: np.ndarray  # bool, of the size of `place`
    thickness: float
    score: float


def look_again(rgb: np.ndarray, writing: np.ndarray, seals: list[Region]) -> np.ndarray:
    """The likelihood of writing with what a second look around seals finds, at the scale of their characters."""
    seen = writing > _LIKELY
    writing = writing.copy()
    unexplained = [seal for seal in seals if not seen[_near(seal, seen.shape, (-1, 1), (-3.5, -0.6))].any()]
    for seal in sorted(unexplained, key=lambda each: -each.score)[:_AGAIN]:
        place = _near(seal, seen.shape, (-2.5, 2.5), (-5, 1))
        times = min(3.0, max(1.5, _SEAL / _side(seal)))
        writing[place] = np.maximum(writing[place], writing_likelihood(rgb[place], times))
    return writing


def _side(seal: Region) -> float:
    across, down = zip(*seal.outline, strict=True)
    return max(4.0, ((max(across) - min(across)) * (max(down) - min(down))) ** 0.5)


def _near(
    seal: Region, shape: tuple[int, ...], across: tuple[float, float], down: tuple[float, float]
) -> tuple[slice, slice]:
    """The place from and to so many of a seal's sides right of and below its middle, as far as the picture reaches."""
    x, y = ((max(ends) + min(ends)) / 2 for ends in zip(*seal.outline, strict=True))
    rows, columns = (
        slice(*(min(length, max(0, round(middle + times * _side(seal)))) for times in reach))
        for middle, reach, length in ((y, down, shape[0]), (x, across, shape[1]))
    )
    return rows, columns


def find_inscriptions(lightness: np.ndarray, writing: np.ndarray, stamped: np.ndarray) -> list[Region]:
    """The blocks of writing, from CIELAB's lightness and the likelihood of writing; `stamped` is where seals are."""
    from scipy import ndimage

    lines = [line for line in _lines(writing) if _is_written(lightness, line) and not _in_a_seal(line, stamped)]
    certainty = np.zeros(writing.shape, np.float32)
    for line in lines:
        _grow(certainty, line)
    if not lines:
        return []
    thickness = float(np.median([line.thickness for line in lines]))
    labels, _ = ndimage.label(_closed(certainty > 0, max(2, round(_JOINED * thickness))))
    found = []
    believed = {labels[_middle(line)] for line in lines if line.score >= _BELIEVED and line.core.sum() >= _SEEN}
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        piece = labels[place] == number
        score = round(float(certainty[place][piece].max()), 3)
        if number in believed:
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
    least, most = _CHANGES
    if line.thickness > _BROAD * min(lightness.shape):
        least, most = _CHANGES_OF_ONE if line.core.sum() < 2.2 * line.thickness**2 else _CHANGES_OF_BROAD
    return contrast >= 1.5 and least <= changes <= most


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


def _closed(mask: np.ndarray, radius: int) -> np.ndarray:
    """Morphological closing by a square."""
    from scipy import ndimage

    side = 2 * radius + 1
    grown = ndimage.maximum_filter(np.pad(mask.view(np.uint8), radius), side)
    closed: np.ndarray = ndimage.minimum_filter(grown, side)[radius:-radius, radius:-radius].view(bool)
    return closed
