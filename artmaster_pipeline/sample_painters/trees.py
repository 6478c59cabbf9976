"""Trees: branching trunks with the leaves of the season, pines, willows, and the dots that stand for woods far away."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.sample_painters.canvas import Canvas, Colour, Sheet, mix, shows, supple
from artmaster_pipeline.sample_painters.chance import apart
from artmaster_pipeline.sample_painters.manners import Manner

_GOLDEN = 2.399963


@dataclass(frozen=True)
class Limb:
    """One branch: its points, its width at both ends and how many forks it is from the trunk."""

    points: np.ndarray
    thick: float
    thin: float
    order: int


@dataclass(frozen=True)
class _Bud:
    """Where a limb will start."""

    start: np.ndarray
    angle: float
    long: float
    wide: float


def grow(
    dice: np.random.Generator,
    foot: tuple[float, float],
    height: float,
    lean: float = 0.0,
    orders: int = 3,
    crook: float = 0.25,
) -> list[Limb]:
    """The limbs of a tree of `height` units, the trunk first; `crook` is how much they turn.

    They grow order by order, so that a small picture, which leaves out the last order, has the same tree.
    """
    limbs: list[Limb] = []
    buds = [_Bud(np.array(foot), lean, height * 0.52, height * 0.055)]
    for order in range(orders + 1):
        buds = [twig for bud in buds for twig in _grow_limb(dice, limbs, bud, order, crook, order == orders)]
    return limbs


def _grow_limb(
    dice: np.random.Generator, limbs: list[Limb], bud: _Bud, order: int, crook: float, last: bool
) -> list[_Bud]:
    """Add one limb; gives the buds on it."""
    steps = 6 if order else 8
    turns = dice.normal(0, crook, steps).cumsum() * 0.5 + bud.angle
    if order:
        turns *= 0.85  # limbs reach for the light
    path = np.stack((np.sin(turns), -np.cos(turns)), 1) * (bud.long / steps)
    points = np.concatenate((bud.start[None], bud.start + path.cumsum(0)))
    limbs.append(Limb(points, bud.wide, bud.wide * (0.2 if last else 0.35), order))
    forks = int(dice.integers(2, 4)) if order else int(dice.integers(3, 6))
    where, part, size = dice.uniform((0.4, 0.35, 0.48), (1.0, 0.9, 0.72), (forks, 3)).T
    where[0] = 1.0
    sides = np.where((np.arange(forks) + order) % 2, 1.0, -1.0)
    at = np.minimum((where * steps).astype(int), steps)
    angles = turns[np.maximum(at - 1, 0)] + sides * part
    wides = bud.wide * (0.83 - 0.45 * where)
    return [_Bud(points[at[i]], float(angles[i]), bud.long * size[i], float(wides[i])) for i in range(forks)]


@shows("trees")
def paint_tree(
    canvas: Canvas, manner: Manner, dice: np.random.Generator, foot: tuple[float, float], height: float,
    kind: str = "broad", far: float = 0.0, lean: float = 0.0,
) -> None:  # fmt: skip
    """One tree; `kind` is broad, pine, willow or plum."""
    dice = apart(dice)
    reach = height * 0.75
    sheet = canvas.sheet(foot[0] - reach, foot[1] - height * 1.25, foot[0] + reach, foot[1] + 0.02)
    if sheet.window is None:
        return
    if kind == "pine":
        _pine(sheet, manner, dice, foot, height, far, lean)
    else:
        orders = 3 if height * canvas.unit > 60 else 2
        limbs = grow(dice, foot, height, lean, orders=orders, crook=0.4 if kind == "plum" else 0.22)
        _limbs(sheet, manner, limbs, far)
        _crown(sheet, manner, dice, limbs, height, kind, far)
    sheet.lay(dry=0.0 if manner.flat else manner.dry * 0.6)


def _limbs(sheet: Sheet, manner: Manner, limbs: list[Limb], far: float) -> None:
    bark = mix(manner.trunk, manner.mist, far * 0.6)
    for order in sorted({limb.order for limb in limbs}):
        same = [limb for limb in limbs if limb.order == order]
        points = np.stack([limb.points for limb in same])
        widths = np.stack([np.linspace(limb.thick, limb.thin, points.shape[1]) for limb in same])
        if not order:
            widths[:, 0] *= 1.55  # the trunk spreads into its roots
            trunk, broad = supple(points[0], widths[0])
            points, widths = trunk[None], broad[None]
        if manner.key_lines and order < 2:
            sheet.strokes(points, widths + 2 * 0.0016, (manner.ink,))
        sheet.strokes(points, widths, (bark,))
        if not order:
            _roots(sheet, manner, points[0], widths[0], bark)
    laden = [limb for limb in limbs if limb.order == 1 or (limb.order > 1 and limb.thick > 0.0012)]
    if manner.snow and laden:
        points = np.stack([limb.points - (0.0, limb.thick * 0.4) for limb in laden])
        widths = np.stack([np.linspace(limb.thick, limb.thin, points.shape[1]) * 0.5 for limb in laden])
        sheet.strokes(points, widths, ((0.97, 0.97, 0.96),))


def _roots(sheet: Sheet, manner: Manner, points: np.ndarray, widths: np.ndarray, bark: Colour) -> None:
    """Roots that grip the ground, and the trunk's shaded side."""
    foot, thick = points[0], widths[0]
    dark = mix(bark, manner.ink, 0.45)
    for side, long in ((-1.0, 1.0), (1.0, 0.8), (-0.35, 0.5), (0.45, 0.55)):
        x = foot[0] + np.array((0.25, 0.55, 1.0)) * side * thick * long
        y = foot[1] + np.array((-0.35, 0.02, 0.22)) * thick
        sheet.stroke(np.stack((x, y), 1), np.array((0.42, 0.3, 0.05)) * thick, bark)
    if not manner.flat:
        shade = points + np.stack((widths * 0.26, np.zeros(len(widths))), 1)
        sheet.stroke(shade[1:-2], widths[1:-2] * 0.34, dark, 0.9)


def _crown(
    sheet: Sheet, manner: Manner, dice: np.random.Generator, limbs: list[Limb], height: float, kind: str, far: float
) -> None:
    tips = np.concatenate([limb.points[2:] for limb in limbs if limb.order >= 1])
    leaf = min(height * 0.020, 0.0072) * (1 + far)
    share = (1.0 - manner.bare) if kind != "plum" else (0.8 if not manner.snow else 0.35)
    count = int(min(2200, 90 + 2900 * height) * share * sheet.canvas.detail(leaf * 1.4, 1.1))
    if count < 1:
        return
    if sheet.canvas.detail(leaf * 1.4, 1.1) < 1:
        leaf = max(leaf, 0.8 / sheet.canvas.unit)
    centres = tips[dice.integers(0, len(tips), count)] + dice.normal(0, height * 0.045, (count, 2)) * (1.2, 0.8)
    centres = centres[np.argsort(centres[:, 1] + dice.normal(0, 0.02, count))]
    colours = manner.blossom if kind == "plum" else manner.leaves
    colours = tuple(mix(c, manner.mist, far * 0.55) for c in colours)
    if kind == "willow" and not manner.snow:
        _willow(sheet, dice, tips, height, colours)
        return
    if manner.flat and kind == "broad":
        _heaps(sheet, manner, dice, tips, height, colours, share)
        return
    _leaves(sheet, dice, centres, leaf, colours)


def _leaves(
    sheet: Sheet, dice: np.random.Generator, centres: np.ndarray, leaf: float, colours: Sequence[Colour]
) -> None:
    """Pointed leaves that hang a little, each one touch of the brush."""
    turn = dice.normal(np.pi / 2, 1.0, (len(centres), 1))
    size = leaf * dice.uniform(0.7, 1.6, (len(centres), 1))
    outline = np.array(((-1.0, 0.0), (-0.2, -0.50), (0.5, -0.34), (1.15, 0.0), (0.5, 0.40), (-0.3, 0.52)))
    cosine, sine = np.cos(turn), np.sin(turn)
    x = (outline[:, 0] * cosine - outline[:, 1] * sine) * size
    y = (outline[:, 0] * sine + outline[:, 1] * cosine) * size
    sheet.polygons(np.stack((x, y), 2) + centres[:, None], colours, 0.95)


def _heaps(
    sheet: Sheet,
    manner: Manner,
    dice: np.random.Generator,
    tips: np.ndarray,
    height: float,
    colours: Sequence[Colour],
    share: float,
) -> None:
    """A printed crown: scalloped heaps of leaves with a key line around them and lighter tops."""
    count = int(len(tips) * 0.9 * min(1.0, share + 0.15))
    middle = tips[dice.permutation(len(tips))[:count]]
    lobes = middle[:, None] + dice.normal(0, height * 0.030, (count, 4, 2)) * (1.3, 0.7)
    lobes = lobes.reshape(-1, 2)
    radii = height * dice.uniform(0.028, 0.048, (len(lobes), 1)) * (1.15, 0.85)
    if manner.key_lines:
        sheet.dots(lobes, radii + 0.0022, (manner.ink,))
    sheet.dots(lobes, radii, (mix(colours[0], manner.ink, 0.18), colours[2]))
    lit = lobes - (0.15 * height * 0.04, height * 0.016)
    sheet.dots(lit, radii * 0.55, (colours[1],))
    spots = lobes + dice.normal(0, height * 0.018, lobes.shape)
    sheet.dots(spots, radii * 0.12, (mix(colours[0], manner.ink, 0.5),))


def _willow(
    sheet: Sheet, dice: np.random.Generator, tips: np.ndarray, height: float, colours: Sequence[Colour]
) -> None:
    count = int(230 * sheet.canvas.detail(height * 0.010, 1.0)) + 16
    t = np.linspace(0, 1, 6)
    start = tips[dice.integers(0, len(tips), count)]
    long = height * dice.uniform(0.2, 0.5, (count, 1))
    bend = dice.normal(0.05, 0.06, (count, 1)) * height
    x = start[:, :1] + bend * np.sin(t * 1.6)
    y = start[:, 1:] + long * t - 0.03 * height * np.sin(t * 3)
    sheet.strokes(np.stack((x, y), 2), height * 0.0065 * (1 - 0.7 * t), colours, 0.85)


def _pine(
    sheet: Sheet,
    manner: Manner,
    dice: np.random.Generator,
    foot: tuple[float, float],
    height: float,
    far: float,
    lean: float,
) -> None:
    steps = 12
    turns = lean + dice.normal(0, 0.28, steps).cumsum() * 0.38
    turns -= np.linspace(0, turns[-1] * 0.6, steps)
    path = np.stack((np.sin(turns), -np.cos(turns)), 1) * height / steps
    trunk = np.concatenate((np.array([foot]), np.array(foot) + path.cumsum(0)))
    limbs = [Limb(trunk, height * 0.05, height * 0.012, 0)]
    for i in range(4, steps + 1):
        for side in (-1, 1):
            if dice.random() < 0.28 and i < steps:
                continue
            long = height * 0.36 * (1.15 - i / steps * 0.75) * dice.uniform(0.6, 1.2)
            s = np.linspace(0, 1, 6)
            droop = dice.uniform(-0.05, 0.14) * long
            x = trunk[i, 0] + side * long * s
            y = trunk[i, 1] - 0.10 * long * np.sin(s * 3.1) + droop * s + dice.normal(0, 0.02, 6) * long
            limbs.append(Limb(np.stack((x, y), 1), height * 0.014, height * 0.004, 1))
    _limbs(sheet, manner, limbs, far)
    tufts = np.concatenate([limb.points[2:] for limb in limbs[1:]])
    tufts = tufts + dice.normal(0, height * 0.012, tufts.shape)
    _needles(sheet, manner, dice, tufts, height * 0.058, far)


def _needles(
    sheet: Sheet, manner: Manner, dice: np.random.Generator, tufts: np.ndarray, size: float, far: float
) -> None:
    colour = mix(manner.needles, manner.mist, far * 0.5)
    pad = np.column_stack((np.full(len(tufts), size * 0.95), np.full(len(tufts), size * 0.42)))
    pads = tufts - (0, size * 0.25)
    if manner.flat:
        if manner.key_lines:
            sheet.dots(pads, pad + 0.0016, (manner.ink,))
        sheet.dots(pads, pad, (colour, mix(colour, manner.leaves[0], 0.4)))
    else:
        sheet.dots(pads, pad * (0.85, 0.8), (mix(colour, manner.ground, 0.25),), 0.34)
        fan = max(3, int(11 * sheet.canvas.detail(size, 9.0)))
        if sheet.canvas.detail(size, 12.0) == 1:  # large enough to see that a pad is made of many tufts
            tufts = (tufts[:, None] + dice.normal(0, 1, (len(tufts), 4, 2)) * (size * 0.42, size * 0.10)).reshape(-1, 2)
            size *= 0.62
        angle = np.linspace(-1.35, 1.35, fan)[None] + dice.normal(0, 0.12, (len(tufts), fan))
        tip = np.stack((np.sin(angle), -np.cos(angle) * 0.85), 2) * size * dice.uniform(0.75, 1.2, (len(tufts), fan, 1))
        root = np.repeat(tufts[:, None], fan, 1)
        segments = np.stack((root, root + tip), 2).reshape(-1, 2, 2)
        sheet.lines(segments, max(0.0011, size * 0.035), colour, 0.9)
    if manner.snow:
        caps = pad * (0.85, 0.5)
        sheet.dots(pads - (0, size * 0.3), caps, ((0.98, 0.98, 0.97),), 0.95)


@shows("trees")
def paint_wood(
    canvas: Canvas, manner: Manner, dice: np.random.Generator, feet: np.ndarray, size: float, far: float
) -> None:
    """A far wood: a short stem and a heap of dots at each of `feet` (n, 2)."""
    dice = apart(dice)
    if not len(feet):
        return
    low, high = feet.min(0) - size * 2, feet.max(0) + size * 2
    sheet = canvas.sheet(low[0], low[1], high[0], high[1])
    if sheet.window is None:
        return
    feet = feet[np.argsort(feet[:, 1])]
    stems = np.stack((feet, feet - (0, size * 0.8)), 1)
    sheet.lines(stems, max(0.0009, size * 0.07), mix(manner.trunk, manner.mist, far * 0.6), 0.9)
    share = 1.0 - 0.75 * manner.bare
    per = max(2, int(20 * canvas.detail(size * 0.2, 1.2) * share))
    centres = feet[:, None] - (0, size * 0.8) + dice.normal(0, 1, (len(feet), per, 2)) * (size * 0.30, size * 0.28)
    radii = size * dice.uniform(0.07, 0.15, (len(feet) * per, 1)) * (1.25, 0.8)
    white = (0.96, 0.96, 0.95)
    colours = [mix(white if manner.snow and i == 2 else c, manner.mist, far * 0.6) for i, c in enumerate(manner.leaves)]
    if manner.snow:
        colours = [mix(manner.trunk, manner.mist, 0.2 + far * 0.5), white, white]
    sheet.dots(centres.reshape(-1, 2), radii, colours, 0.92)
    sheet.lay(dry=manner.dry * 0.5)


def paint_grass(canvas: Canvas, manner: Manner, dice: np.random.Generator, feet: np.ndarray) -> None:
    """Tufts of grass at `feet` (n, 2)."""
    dice = apart(dice)
    if canvas.detail(0.0016, 0.8) < 0.5 or not len(feet):
        return
    low, high = feet.min(0) - 0.04, feet.max(0) + 0.02
    sheet = canvas.sheet(low[0], low[1], high[0], high[1])
    if sheet.window is None:
        return
    root = np.repeat(feet, 5, 0) + dice.normal(0, 0.004, (len(feet) * 5, 2)) * (1, 0.2)
    tip = root + np.stack((dice.normal(0, 0.009, len(root)), -dice.uniform(0.008, 0.024, len(root))), 1)
    colour = mix(manner.leaves[2] if manner.season_green else manner.foot, manner.ink, 0.45)
    sheet.lines(np.stack((root, tip), 1), 0.0014, colour, 0.85)
    sheet.lay(dry=manner.dry * 0.4)
