"""A layout that a person drew: areas of flat colours, or closed outlines."""

import numpy as np

from artmaster_pipeline.copainting.signals.found import FoundRegion, FoundRegions
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS, Kind

_FLAT = 18  # of 255, the range in 5 x 5 pixels that compression leaves in an area of one colour
_LEAST_FLAT = 0.5  # of the picture: less is a painting, not a layout
_APART = 16.0  # CIELAB distance of two colours that were meant to differ
_AREA = 0.003  # of the picture: the least area that is one
_THICK = 0.012  # of the shorter side: what is thinner is a line
_MEANT = 22.0  # CIELAB distance up to which a colour is a kind's
_CLOSED = 0.006  # of the shorter side: half of the gap that an outline may have
_MOST_COLOURS = 24
_REMEDY = "Fill areas with flat colours (those of the kinds say what they are), or draw closed outlines on white."


def read_layout(picture: np.ndarray, most: int) -> FoundRegions:
    """The regions of a drawn layout; raises BadInput where there is none, or where it is a painting.

    Two or more areas of flat colours are a layout of areas: each piece is a region, of the kind whose colour
    (`sample_painters.layout.KIND_COLOURS`) is nearest, or "other". Its sureness falls from 1 at that colour to 0.5
    at the last distance that counts. Otherwise lines are looked for: what they close in is a region of the kind
    "other", and what holds all four corners is no region (0). Its sureness is its IoU with the region that is found
    when gaps of half and of twice the width are closed. Soft edges and compression go to the nearest area.
    """
    flat = _flat(picture)
    if flat.mean() < _LEAST_FLAT:
        raise BadInput(f"Only {flat.mean():.0%} of the layout is of flat colours, so it is a picture", _REMEDY)
    colours, of_pixel = _palette(picture, flat)
    thick = [number for number in range(len(colours)) if _opened(of_pixel == number, picture).mean() >= _AREA]
    if len(thick) >= 2:
        return _areas(picture, colours, of_pixel, thick, most)
    if not thick:
        raise BadInput("The layout has neither areas nor outlines", _REMEDY)
    return _outlined(picture, of_pixel == thick[0], most)


def _flat(picture: np.ndarray) -> np.ndarray:
    """Where a colour stays the same, bool (height, width)."""
    import cv2

    square = np.ones((5, 5), np.uint8)
    spread = cv2.dilate(picture, square).astype(np.int16) - cv2.erode(picture, square)
    return np.asarray(spread.max(2) <= _FLAT)


def _palette(picture: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(CIELAB colours (n, 3), the number of each pixel's, -1 where it is not flat)."""
    from skimage.color import rgb2lab

    bins, counts = np.unique(picture[flat] >> 3, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:512]
    found: list[np.ndarray] = []
    for colour in rgb2lab((bins[order].astype(np.float64) * 8 + 4)[None] / 255)[0]:
        if len(found) < _MOST_COLOURS and all(np.linalg.norm(colour - other) > _APART for other in found):
            found.append(colour)
    colours = np.array(found)
    lab = rgb2lab(picture)
    of_pixel = np.full(flat.shape, -1)
    apart = np.stack([((lab[flat] - colour) ** 2).sum(1) for colour in colours])
    of_pixel[flat] = apart.argmin(0)
    means = np.array([lab[of_pixel == number].mean(0) if (of_pixel == number).any() else colours[number]
                      for number in range(len(colours))])  # fmt: skip
    return means, of_pixel


def _opened(mask: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """What of an area is thicker than a line."""
    import cv2

    side = max(3, round(_THICK * min(picture.shape[:2])))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), side, side, side, side, cv2.BORDER_REPLICATE)
    square = np.ones((side, side), np.uint8)
    return np.asarray(cv2.morphologyEx(padded, cv2.MORPH_OPEN, square)[side:-side, side:-side] > 0)


def _areas(picture: np.ndarray, colours: np.ndarray, of_pixel: np.ndarray, thick: list[int], most: int) -> FoundRegions:
    """Each piece of each thick colour; what belongs to none goes to the nearest piece."""
    from scipy.ndimage import label

    coloured = np.zeros(of_pixel.shape, np.int32)
    for place, number in enumerate(thick, 1):
        coloured[_opened(of_pixel == number, picture)] = place
    coloured = _grown(coloured)
    pieces = np.zeros(of_pixel.shape, np.int32)
    of_piece = [-1]
    for place, number in enumerate(thick, 1):
        found, count = label(coloured == place)
        for piece in range(1, count + 1):
            if (found == piece).mean() >= _AREA:
                pieces[found == piece] = len(of_piece)
                of_piece.append(number)
    whole = _grown(pieces)
    joined = ""
    if len(of_piece) - 1 > most:
        whole, of_piece = _by_colour(whole, of_piece, most)
        joined = f" There were more pieces than {most}: those of one colour are one region."
    named = {number: kind_of_colour(colours[number]) for number in thick}
    regions = [(piece, *named[of_piece[piece]]) for piece in range(1, len(of_piece)) if (whole == piece).any()]
    return _numbered(whole, regions, "flat-colours", "Areas of flat colours were read." + joined)


def kind_of_colour(lab: np.ndarray) -> tuple[Kind, float]:
    """The kind whose colour on a map is nearest to a CIELAB colour, and how sure that is; ("other", 0.5) beyond."""
    from skimage.color import rgb2lab

    kinds = list(KIND_COLOURS)
    table = rgb2lab(np.array([[KIND_COLOURS[kind] for kind in kinds]], np.float64) / 255)[0]
    apart = np.linalg.norm(table - lab, axis=1)
    best = int(apart.argmin())
    if apart[best] > _MEANT:
        return "other", 0.5
    return kinds[best], round(float(1 - 0.5 * apart[best] / _MEANT), 3)


def _grown(pieces: np.ndarray) -> np.ndarray:
    """Every pixel with the number of the nearest piece."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    grown: np.ndarray = pieces[rows, columns]
    return grown


def _by_colour(whole: np.ndarray, of_piece: list[int], most: int) -> tuple[np.ndarray, list[int]]:
    """One region a colour; of too many colours those that cover most, the others going to what is nearest."""
    colours = np.array(of_piece)[whole]
    names, counts = np.unique(colours, return_counts=True)
    kept = sorted(names[np.argsort(-counts, kind="stable")[:most]].tolist())
    numbers = np.zeros(whole.shape, np.int32)
    for number, colour in enumerate(kept, 1):
        numbers[colours == colour] = number
    return _grown(numbers), [-1, *kept]


def _outlined(picture: np.ndarray, paper: np.ndarray, most: int) -> FoundRegions:
    """What lines close in, on the one colour that is paper."""
    import cv2

    lines = ~paper
    lines &= ~_light_specks(lines)
    closed = {times: _closed_in(lines, round(times * _CLOSED * min(picture.shape[:2]))) for times in (0.5, 1.0, 2.0)}
    pieces = closed[1.0]
    areas = np.bincount(pieces.ravel())[1:] / pieces.size
    if not len(areas):
        raise BadInput("No outline of the layout is closed, and nothing in it is filled", _REMEDY)
    chosen = np.argsort(-areas, kind="stable")[:most] + 1
    kept = np.where(np.isin(pieces, chosen), pieces, 0)
    wide = cv2.dilate(lines.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    whole = np.where(wide & (kept == 0), _grown(kept), kept)  # a line's own pixels belong to what it bounds
    found: list[tuple[int, Kind, float]] = [
        (int(piece), "other", min(_best_iou(kept == piece, other) for other in (closed[0.5], closed[2.0])))
        for piece in chosen
    ]
    left = "" if len(areas) <= most else f" The {len(areas) - most} smallest were left out."
    return _numbered(
        whole, found, "outlines", f"Closed outlines were read; say of each what it is (kind in canvas.yaml).{left}"
    )


def _light_specks(lines: np.ndarray) -> np.ndarray:
    """Dots that are no lines: pieces of fewer than a dozen pixels."""
    from scipy.ndimage import label

    found, _ = label(lines, np.ones((3, 3)))
    sizes = np.bincount(found.ravel())
    specks: np.ndarray = (sizes < 12)[found] & lines
    return specks


def _closed_in(lines: np.ndarray, radius: int) -> np.ndarray:
    """Numbers of the pieces between lines whose gaps of twice the radius are closed; 0 for lines and for the ground."""
    import cv2
    from scipy.ndimage import label

    side = 2 * max(1, radius) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    padded = cv2.copyMakeBorder(lines.astype(np.uint8), side, side, side, side, cv2.BORDER_REPLICATE)
    whole = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[side:-side, side:-side] > 0
    found, count = label(~whole)
    corners = {int(found[y, x]) for y in (0, -1) for x in (0, -1)}
    areas = np.bincount(found.ravel(), minlength=count + 1) / found.size
    ground = corners.pop() if len(corners) == 1 else 0
    kept = [piece for piece in range(1, count + 1) if piece != ground and areas[piece] >= _AREA]
    numbers = np.zeros(count + 1, np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    pieces: np.ndarray = numbers[found]
    return pieces


def _best_iou(mask: np.ndarray, pieces: np.ndarray) -> float:
    """The intersection over union with the piece that is most like it; 0 where there is none."""
    inside = np.bincount(pieces[mask], minlength=pieces.max() + 1)
    areas = np.bincount(pieces.ravel(), minlength=pieces.max() + 1)
    ious = inside[1:] / np.maximum(areas[1:] + mask.sum() - inside[1:], 1)
    return round(float(ious.max()), 3) if len(ious) else 0.0


def _numbered(whole: np.ndarray, found: list[tuple[int, Kind, float]], by: str, says: str) -> FoundRegions:
    """The regions with labels 1.. from the top down."""
    rows = np.arange(whole.shape[0])[:, None] * np.ones((1, whole.shape[1]))
    found = sorted(found, key=lambda region: float(rows[whole == region[0]].mean()))
    labels = np.zeros(whole.shape, np.uint8)
    regions = []
    for number, (piece, kind, sureness) in enumerate(found, 1):
        labels[whole == piece] = number
        share = float((whole == piece).mean())
        regions.append(FoundRegion(number, kind, sureness, round(share, 4)))
    listed = ", ".join(f"{region.label} {region.kind} ({region.sureness:.2f})" for region in regions)
    return FoundRegions(labels, tuple(regions), by, f"{says} {listed}.")
