"""Inscriptions: lines of writing, which a text detector proposes and their strokes confirm, joined to blocks."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.masks.regions import Region, outline_of

_LIKELY = 0.3  # DBNet's own threshold
_GROWN = 0.75  # the network marks the core of a line; the line is so much of its thickness wider on each side
_JOINED = 1.0  # lines nearer to each other than so many thicknesses are one block
_POINTS = 40


@dataclass(frozen=True)
class _Line:
    place: tuple[slice, slice]
    core: np.ndarray  # bool, of the size of `place`
    thickness: float
    score: float


def find_inscriptions(lab: np.ndarray, writing: np.ndarray, seals: np.ndarray) -> list[Region]:
    """The blocks of writing, from the likelihood of writing at each pixel; `seals` is true where seals are."""
    from scipy import ndimage

    lines = [line for line in _lines(writing) if _is_written(lab[..., 0], line) and not _in_a_seal(line, seals)]
    if not lines:
        return []
    certainty = np.zeros(writing.shape, np.float32)
    for line in lines:
        _grow(certainty, line)
    gap = max(2, round(_JOINED * float(np.median([line.thickness for line in lines])) / 2))
    joined = _closed(certainty > 0, gap)
    labels, _ = ndimage.label(joined)
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        piece = labels[place] == number
        score = float(certainty[place][piece].max())
        found.append(Region("inscription", outline_of(piece, _POINTS, place[1].start, place[0].start), round(score, 3)))
    return found


def _lines(writing: np.ndarray) -> list[_Line]:
    from scipy import ndimage

    labels, _ = ndimage.label(writing > _LIKELY)
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        core = labels[place] == number
        if core.sum() < 12:
            continue
        thickness = 2 * float(ndimage.distance_transform_edt(np.pad(core, 1)).max())
        found.append(_Line(place, core, thickness, float(writing[place][core].mean())))
    return found


def _is_written(lightness: np.ndarray, line: _Line) -> bool:
    """Whether strokes alternate with their ground as in characters: one to three times in a line's thickness."""
    from scipy import ndimage

    margin = round(_GROWN * line.thickness) + 1
    wide = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in line.place)
    light = lightness[wide]
    around = np.pad(line.core, margin)[
        margin - (line.place[0].start - wide[0].start) :, margin - (line.place[1].start - wide[1].start) :
    ][: light.shape[0], : light.shape[1]]
    near = ndimage.distance_transform_edt(~around) <= 0.6 * line.thickness
    detail = light - ndimage.uniform_filter(light, max(3, int(1.6 * line.thickness)))
    contrast = float(detail[near].std())
    ink = detail < -0.5 * contrast
    across, down = ink[:, 1:] != ink[:, :-1], ink[1:] != ink[:-1]
    changes = line.thickness * float(across[near[:, 1:]].mean() + down[near[1:]].mean()) / 2
    short = min(lightness.shape)
    thick = line.thickness / short
    long = line.core.sum() / line.thickness**2
    return changes <= 3.2 and contrast >= 1.5 and not (thick > 0.05 and long < 2.2 and changes > 2.2)


def _in_a_seal(line: _Line, seals: np.ndarray) -> bool:
    return bool(seals[line.place][line.core].mean() > 0.5)


def _grow(certainty: np.ndarray, line: _Line) -> None:
    from scipy import ndimage

    margin = round(_GROWN * line.thickness) + 2
    wide = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in line.place)
    place = certainty[wide]
    core = np.zeros(place.shape, bool)
    top, left = line.place[0].start - wide[0].start, line.place[1].start - wide[1].start
    core[top : top + line.core.shape[0], left : left + line.core.shape[1]] = line.core
    near = ndimage.distance_transform_edt(~core) <= margin - 1
    place[near] = np.maximum(place[near], line.score)


def _closed(mask: np.ndarray, radius: int) -> np.ndarray:
    from scipy import ndimage

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], radius + 1)
    grown = ndimage.distance_transform_edt(~part) <= radius
    shut = ndimage.distance_transform_edt(grown) > radius
    closed = mask.copy()
    closed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] |= shut[
        radius + 1 : -radius - 1, radius + 1 : -radius - 1
    ]
    return closed
