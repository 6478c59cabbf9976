"""Pictures that were cut into tiles for a zooming viewer: recognised as one thing, never as works of their own.

Tiles on both sides of a split would let an adapter be judged by what it was trained on. Layouts that only a viewer
writes are told by their names; where names leave it open, the tiles' seams decide: a picture goes on across them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_FOLDER = r"^(?P<folder>(?:.*/)?)"
_COMMA = r"(?:,|%2C)"
_REGION = rf"(?:full|square|pct[:_][\d.]+(?:{_COMMA}[\d.]+){{3}}|\d+(?:{_COMMA}\d+){{3}})"
_SIZE = rf"\^?(?:full|max|pct[:_][\d.]+|!?\d+{_COMMA}\d*|{_COMMA}\d+)"
# What only a tiling program writes. `folder` is the place of the picture that was cut.
_CERTAIN = {
    "IIIF": rf"{_FOLDER}(?P<region>{_REGION})(?P<s>[/_])(?P<size>{_SIZE})(?P=s)!?\d+(?:\.\d+)?(?P=s)"
    r"(?:default|native|colou?r|gr[ae]y|bitonal)\.\w+$",
    "Deep Zoom": r"^(?P<folder>.*_files/)\d+/\d+_\d+\.\w+$",
    "Zoomify": _FOLDER + r"TileGroup\d+/\d+-\d+-\d+\.\w+$",
    "krpano": _FOLDER + r"l(?P<level>\d+)/0*\d+/l(?P=level)_0*\d+_0*\d+\.\w+$",
    "ArcGIS": _FOLDER + r"L\d\d/R[0-9a-f]{8}/C[0-9a-f]{8}\.\w+$",
}
# What may be a grid of tiles, or a folder of works by year, month and number. `z` is the level, `a` and `b` the place.
_PERHAPS = (
    _FOLDER + r"(?P<z>\d+)/(?P<a>\d+)/(?P<b>\d+)\.\w+$",
    _FOLDER + r"(?P<z>\d+)/(?P<a>\d+)[-_](?P<b>\d+)\.\w+$",
    _FOLDER + r"(?P<name>[^/]*?)(?P<z>\d+)[-_](?P<a>\d+)[-_](?P<b>\d+)\.\w+$",
    _FOLDER + r"(?P<name>[^/]*?)(?P<a>\d+)[^\d/]{1,9}(?P<b>\d+)[^\d/]*\.\w+$",
    _FOLDER + r"[^\d/]*(?P<a>\d+)/[^\d/]*(?P<b>\d+)\.\w+$",
)
_WHOLE_SIZES = ("full", "max", "^max")
_FEWEST = 4  # tiles of a grid, in two rows and two columns
_COMPLETE = 0.8  # of the places of a grid
_LARGEST_TILE = 4096  # pixels a side
_SMALLEST_TILE = 3  # pixels a side
_BLANK_EDGE = 4.0  # grey levels of deviation along an edge that shows nothing
_CLEARLY_LESS = 0.7
_ENOUGH_SEAMS = 3  # that show something
_CONTINUOUS = 0.75  # of them


@dataclass(frozen=True)
class Tiled:
    """A picture in tiles: the folder (or the beginning of the tiles' names, with a *), its layout, its files."""

    place: str
    layout: str
    tiles: frozenset[str]
    whole: str = ""  # a file among them that shows the whole picture at its full size

    @property
    def reason(self) -> str:
        """What it is, in words."""
        return f"It is one picture cut into {len(self.tiles)} tiles ({self.layout}), not pictures of their own"

    @property
    def remedy(self) -> str:
        """What its owner can do."""
        if self.whole:
            return f"Copy {self.whole!r} to a folder without the tiles: it shows the whole picture"
        return "Export the picture in one piece, or join its tiles (dezoomify-rs does it), and add that one file"


@dataclass
class _Grid:
    places: dict[tuple[int, int], str] = field(default_factory=dict)  # (a, b) -> path


def tiled_pictures(root: Path, pictures: Iterable[str]) -> list[Tiled]:
    """The tiled pictures among files (POSIX paths below `root`), sorted by place; no file is in two of them."""
    left = sorted(pictures)
    found = []
    for layout, pattern in _CERTAIN.items():
        groups: dict[str, list[re.Match[str]]] = defaultdict(list)
        for match in filter(None, (re.match(pattern, path, re.IGNORECASE) for path in left)):
            groups[match["folder"]].append(match)
        for folder, matches in groups.items():
            if len(matches) > 1:  # one file alone is a picture that was saved under its address
                found.append(_certain(folder, layout, matches))
        left = _without(left, found)
    for pattern in _PERHAPS:
        found += _grids(root, pattern, left)
        left = _without(left, found)
    return sorted(found, key=lambda tiled: tiled.place)


def _certain(folder: str, layout: str, matches: list[re.Match[str]]) -> Tiled:
    groups = [match.groupdict() for match in matches]
    whole = [
        match.string
        for match, group in zip(matches, groups, strict=True)
        if group.get("region") == "full" and group.get("size") in _WHOLE_SIZES
    ]
    return Tiled(folder.rstrip("/") or ".", layout, frozenset(match.string for match in matches), "".join(whole[:1]))


def _without(paths: list[str], found: list[Tiled]) -> list[str]:
    gone = {path for tiled in found for path in tiled.tiles}
    return [path for path in paths if path not in gone]


def _grids(root: Path, pattern: str, paths: list[str]) -> Iterator[Tiled]:
    """Of files whose names may be places in a grid those that are: a pyramid from its top, or pictures that fit."""
    pyramids: dict[str, dict[int, _Grid]] = defaultdict(lambda: defaultdict(_Grid))
    for match in filter(None, (re.match(pattern, path) for path in paths)):
        groups = match.groupdict()
        level, a, b = int(groups.get("z") or 0), int(match["a"]), int(match["b"])
        pyramids[match["folder"] + (groups.get("name") or "")][level].places[a, b] = match.string
    for place, levels in pyramids.items():
        if _is_pyramid(levels) or any(_fits_together(root, grid.places) for grid in levels.values()):
            tiles = frozenset(path for grid in levels.values() for path in grid.places.values())
            name = place.rstrip("/") or "."
            yield Tiled(name if place.endswith("/") or not place else f"{name}*", "a grid of tiles", tiles)


def _is_pyramid(levels: dict[int, _Grid]) -> bool:
    """Whether levels begin with one tile at 0 and no level has more rows or columns than twice the last one's."""
    depth = len(levels)
    if depth < 3 or set(levels) != set(range(depth)) or set(levels[0].places) != {(0, 0)}:
        return False
    return all(max(place) < 2**level for level, grid in levels.items() for place in grid.places)


def _fits_together(root: Path, places: dict[tuple[int, int], str]) -> bool:
    """Whether files are a full grid of small pictures of one size, and the picture goes on across their edges."""
    rows, columns = ({place[axis] for place in places} for axis in (0, 1))
    extent = [max(numbers) - min(numbers) + 1 for numbers in (rows, columns)]
    if len(places) < _FEWEST or min(extent) < 2 or len(places) < _COMPLETE * extent[0] * extent[1]:
        return False
    last = max(rows), max(columns)
    inner = [path for (a, b), path in places.items() if a != last[0] and b != last[1]]
    sizes = {_size(root / path) for path in inner[:64]}
    if len(sizes) != 1 or not all(1 < side <= _LARGEST_TILE for side in next(iter(sizes))):
        return False
    return _seams_are_continuous(root, places)


def _seams_are_continuous(root: Path, places: dict[tuple[int, int], str]) -> bool:
    """Whether neighbours in the grid fit together, and fit better than others do; in whichever way the grid is laid."""
    block = _block(places)
    tiles = {place: _grey(root / places[place]) for place in block}
    pairs = [((a, b), (a, b + 1)) for a, b in block if (a, b + 1) in tiles]
    if any(tile is None or min(tile.shape) < _SMALLEST_TILE for tile in tiles.values()):
        return False
    for across in (True, False):  # `b` counts columns or rows
        turned = {place: tile if across else tile.T for place, tile in tiles.items() if tile is not None}
        for forwards in (True, False):
            seams = [_goes_on(turned, *(pair if forwards else pair[::-1])) for pair in pairs]
            told = [goes_on for goes_on in seams if goes_on is not None]
            if len(told) >= min(_ENOUGH_SEAMS, len(pairs)) and sum(told) >= _CONTINUOUS * len(told):
                return True
    return False


def _block(places: dict[tuple[int, int], str]) -> list[tuple[int, int]]:
    """Places around the middle of the grid, where a picture is least blank: at most 6 x 6."""
    middle = [sorted({place[axis] for place in places}) for axis in (0, 1)]
    kept = [numbers[max(0, len(numbers) // 2 - 3) :][:6] for numbers in middle]
    return [place for place in sorted(places) if place[0] in kept[0] and place[1] in kept[1]]


def _goes_on(tiles: "dict[tuple[int, int], np.ndarray]", left: tuple[int, int], right: tuple[int, int]) -> bool | None:
    """Whether a tile goes on where another ends; None where there is nothing to see, such as blank paper on both.

    The step across the seam is to be as small as those beside it, and well below the steps to other tiles: margins
    and skies of two works are alike too.
    """
    import numpy as np

    one, other = tiles[left], tiles[right]
    edge, beside = one[:, -1], one[:, -2]
    height = min(len(one), len(other))
    if max(edge.std(), other[:, 0].std()) < _BLANK_EDGE:
        return None
    within = max(np.abs(beside - edge).mean(), np.abs(other[:, 1] - other[:, 0]).mean())
    step = np.abs(edge[:height] - other[:height, 0]).mean()
    rest = [tile for place, tile in tiles.items() if place not in (left, right)]
    others = [np.abs(edge[: len(tile)] - tile[: len(edge), 0]).mean() for tile in rest]
    return bool(step <= 2 * within + 2 and step <= _CLEARLY_LESS * np.median(others))


def _size(path: Path) -> tuple[int, int]:
    """Width and height by the file's head; (0, 0) where it cannot be read."""
    import pyvips

    try:
        image = pyvips.Image.new_from_file(str(path), access="sequential", revalidate=True)
    except pyvips.Error:
        return 0, 0
    return image.width, image.height


def _grey(path: Path) -> "np.ndarray | None":
    import pyvips

    try:
        image = pyvips.Image.new_from_file(str(path), access="sequential", revalidate=True)
        return image.colourspace("b-w").extract_band(0).numpy().astype(float)
    except pyvips.Error:
        return None
