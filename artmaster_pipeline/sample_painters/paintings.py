"""How a scene becomes a picture: where its hills, water, trees and people stand, and in which order they are laid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.sample_painters import air, botany, mountains, staffage, trees
from artmaster_pipeline.sample_painters.canvas import Canvas
from artmaster_pipeline.sample_painters.manners import Manner, manner_of
from artmaster_pipeline.sample_painters.scenes import Scene


@dataclass(frozen=True)
class Layout:
    """Where the weight of a picture lies, in units."""

    centre: float  # x of the main mass
    half: float  # its half width
    peak: float  # y of its top
    horizon: float  # y where the far land meets sky or water
    shore: float  # y where the near land begins
    open_x: float  # x of the empty part: moon, geese, boat
    side: int  # -1 where the mass is at the left, 1 at the right


def paint(scene: Scene, seed: int, width: int, height: int) -> np.ndarray:
    """The scene as a picture: uint8 (height, width, 3), sRGB; the same for the same scene, seed and size.

    The layout belongs to the seed, the scene and the aspect ratio alone: a larger picture is the same one with finer
    strokes. Raises WrongUse for a size below 32 or above 8192 pixels.
    """
    if not (32 <= min(width, height) and max(width, height) <= 8192):
        raise WrongUse(f"A painting of {width}x{height} cannot be made: each side must be 32 to 8192 pixels.")
    canvas = Canvas(width, height, seed)
    manner = manner_of(scene)
    layout = _lay_out(canvas, scene)
    air.lay_ground(canvas, manner)
    close = scene.subject in _CLOSE
    air.paint_sky(canvas, manner, scene, canvas.bottom * 1.1 if close else layout.horizon)
    _luminary(canvas, manner, scene, layout)
    _SUBJECTS[scene.subject](canvas, manner, scene, layout)
    if scene.weather == "mist":
        air.paint_mist(canvas, manner, canvas.bottom * (0.62 if close else 0.5), 0.16, 0.62, "mist-a")
        air.paint_mist(canvas, manner, canvas.bottom * 0.33, 0.10, 0.55, "mist-b")
    if scene.weather == "rain":
        air.paint_rain(canvas, manner)
    if scene.time_of_day == "night":
        air.lay_night(canvas, manner)
    if scene.weather == "snow":
        air.paint_snowfall(canvas, manner)
    _seal(canvas, manner, layout)
    return canvas.finish()


def _lay_out(canvas: Canvas, scene: Scene) -> Layout:
    dice = canvas.dice("layout")
    w, h = canvas.right, canvas.bottom
    side = {"left-weighted": -1, "right-weighted": 1}.get(scene.composition, -1 if dice.random() < 0.5 else 1)
    drift = dice.uniform(-0.04, 0.04)
    if scene.composition == "towering":
        return Layout(
            w * (0.5 + side * 0.07), w * 0.42, h * (0.17 + drift), h * 0.60, h * 0.80, w * (0.5 - side * 0.34), side
        )
    if scene.composition == "level":
        return Layout(
            w * (0.5 + side * 0.16), w * 0.34, h * (0.37 + drift), h * 0.56, h * 0.82, w * (0.5 - side * 0.28), side
        )
    return Layout(
        w * (0.5 + side * 0.30), w * 0.33, h * (0.25 + drift), h * 0.58, h * 0.80, w * (0.5 - side * 0.26), side
    )


def _luminary(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    if scene.time_of_day == "night":
        air.paint_disc(canvas, manner, scene, layout.open_x, canvas.bottom * 0.13, 0.052)
    elif scene.time_of_day in ("dawn", "dusk") and scene.weather not in ("rain", "snow"):
        share = 0.22 if scene.time_of_day == "dusk" else 0.28
        air.paint_disc(canvas, manner, scene, layout.open_x, canvas.bottom * share, 0.045)


def _far_ranges(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout, count: int = 2) -> None:
    dice = canvas.dice("far-ranges")
    w = canvas.right
    tall = 0.30 if scene.composition == "towering" else 0.18
    for i in range(count):
        far = 0.95 - 0.28 * i
        base = layout.horizon - 0.05 + 0.05 * i
        x0, x1 = (-0.1, w + 0.1) if scene.composition != "level" or i == 0 else (w * 0.2, w * 0.95)
        for hill in mountains.ridge(dice, x0, x1, base, tall * (0.8 + 0.3 * i), max(3, int(4 * w)), far, 1.5):
            mountains.paint_hill(canvas, hill, manner)
        air.paint_mist(canvas, manner, base + 0.01, 0.06, 0.6, f"far-{i}")


def _main_mass(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout, count: int = 9) -> list[mountains.Hill]:
    dice = canvas.dice("main-mass")
    base = layout.shore - 0.06 if scene.composition == "towering" else layout.horizon + 0.07
    power = dice.uniform(1.15, 2.0)
    hills = mountains.massif(dice, layout.centre, layout.peak, base, layout.half, count, 0.35, power)
    if scene.composition == "towering":
        x = layout.centre - layout.side * layout.half * 0.75
        hills += mountains.massif(
            dice, x, layout.peak + (base - layout.peak) * 0.32, base, layout.half * 0.55, count // 2, 0.5, power
        )
        hills.sort(key=lambda hill: hill.base)
    for hill in hills:
        mountains.paint_hill(canvas, hill, manner)
        _clothe(canvas, manner, dice, hill)
    return hills


def _clothe(canvas: Canvas, manner: Manner, dice: np.random.Generator, hill: mountains.Hill) -> None:
    feet = mountains.contour_points(hill, dice, int(dice.integers(4, 14)), 0.75)
    size = 0.030 - 0.014 * hill.far
    trees.paint_wood(canvas, manner, dice, feet, size, hill.far)


def _near_bank(
    canvas: Canvas, manner: Manner, scene: Scene, layout: Layout, width: float = 0.55
) -> list[mountains.Hill]:
    dice = canvas.dice("near-bank")
    w, h = canvas.right, canvas.bottom
    x0, x1 = (-0.1, w * width) if layout.side < 0 else (w * (1 - width), w + 0.1)
    hills = []
    for i in range(3):
        t = i / 2
        x = x0 + (x1 - x0) * (0.15 + 0.7 * t if layout.side < 0 else 0.85 - 0.7 * t)
        top = layout.shore + 0.03 + 0.06 * t + dice.uniform(-0.02, 0.02)
        wide = (x1 - x0) * dice.uniform(0.4, 0.6)
        hills.append(
            mountains.Hill(
                x, top, h + 0.16 + 0.05 * i, wide, wide, dice.uniform(1.8, 2.6), dice.random(), 0.0, 0.9, 2.0
            )
        )
    for hill in hills:
        mountains.paint_hill(canvas, hill, manner, "axe")
    return hills


def _near_trees(
    canvas: Canvas, manner: Manner, layout: Layout, hills: list[mountains.Hill], count: int, height: float = 0.26
) -> None:
    dice = canvas.dice("near-trees")
    kinds = ("broad", "broad", "willow", "pine")
    for i in range(count):
        hill = hills[i % len(hills)]
        foot = mountains.contour_points(hill, dice, 1, 0.45)[0]
        kind = kinds[int(dice.integers(0, 4))]
        trees.paint_tree(
            canvas,
            manner,
            dice,
            (float(foot[0]), float(foot[1])),
            height * dice.uniform(0.7, 1.15),
            kind,
            0.0,
            dice.normal(0, 0.12),
        )


def _land_and_water(
    canvas: Canvas, manner: Manner, scene: Scene, layout: Layout, mass: int = 9
) -> list[mountains.Hill]:
    _far_ranges(canvas, manner, scene, layout)
    hills = _main_mass(canvas, manner, scene, layout, mass)
    top = layout.shore - 0.10 if scene.composition == "towering" else layout.horizon + 0.06
    air.paint_mist(canvas, manner, top, 0.05, 0.75, "foot")
    air.paint_water(canvas, manner, top + 0.02, canvas.bottom)
    return hills


def _mountains(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 12)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout), 5)


def _waterfall(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    dice = canvas.dice("waterfall")
    _far_ranges(canvas, manner, scene, layout)
    top = layout.peak + (layout.shore - layout.peak) * 0.22
    x = layout.centre
    for side in (-1, 1):
        for hill in mountains.massif(
            dice,
            x + side * layout.half * 0.62,
            layout.peak + (0.0 if side == layout.side else 0.10),
            layout.shore - 0.02,
            layout.half * 0.62,
            6,
            0.3,
            3.0,
        ):
            mountains.paint_hill(canvas, hill, manner, "axe")
            _clothe(canvas, manner, dice, hill)
    _fall(canvas, manner, x, top, layout.shore - 0.04, 0.045)
    air.paint_mist(canvas, manner, layout.shore - 0.05, 0.05, 0.85, "spray")
    air.paint_water(canvas, manner, layout.shore - 0.03, canvas.bottom)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout, 0.5), 4)


def _fall(canvas: Canvas, manner: Manner, x: float, top: float, foot: float, wide: float) -> None:
    dice = canvas.dice("fall")
    sheet = canvas.sheet(x - 0.2, top - 0.02, x + 0.2, foot + 0.02)
    t = np.linspace(0, 1, 18)
    sway = 0.02 * np.sin(t * 5 + dice.uniform(0, 6))
    middle = np.stack((x + sway, top + (foot - top) * t), 1)
    widths = wide * (0.55 + 0.45 * t)
    from artmaster_pipeline.sample_painters.canvas import mix

    white = mix(manner.mist, (1, 1, 1), 0.55)
    sheet.stroke(middle, widths + 0.012, mix(manner.ink, manner.foot, 0.35))
    sheet.stroke(middle, widths, white)
    for share in np.linspace(-0.42, 0.42, 9):
        start, end = sorted(dice.uniform(0, 1, 2))
        i, j = int(start * 12), min(18, int(start * 12) + 4 + int(end * 6))
        sheet.stroke(
            middle[i:j] + np.stack((widths[i:j] * share, np.zeros(j - i)), 1),
            0.0016,
            mix(manner.water, manner.ink, 0.35),
            0.7,
        )
    sheet.lay(dry=0.0 if manner.flat else 0.2)


def _village(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout)
    bank = _near_bank(canvas, manner, scene, layout, 0.75)
    dice = canvas.dice("village")
    lit = scene.time_of_day == "night"
    for i in range(6):
        hill = bank[i % 3]
        x = hill.x + dice.uniform(-0.5, 0.5) * hill.left
        y = float(hill.contour(np.array([x]))[0]) + 0.03 + 0.02 * (i // 3)
        staffage.paint_house(canvas, manner, x, y, 0.12 * dice.uniform(0.85, 1.15), lit)
    _near_trees(canvas, manner, layout, bank, 5, 0.2)
    staffage.paint_boat(canvas, manner, layout.open_x, layout.shore - 0.03, 0.11, layout.side)


def _boat(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 6)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout, 0.42), 3, 0.3)
    staffage.paint_boat(canvas, manner, layout.open_x, (layout.horizon + layout.shore) / 2 + 0.09, 0.21, layout.side)


def _pavilion(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 9)
    bank = _near_bank(canvas, manner, scene, layout, 0.6)
    hill = bank[1]
    y = float(hill.contour(np.array([hill.x]))[0]) + 0.02
    _near_trees(canvas, manner, layout, bank[:1], 2, 0.3)
    staffage.paint_pavilion(canvas, manner, hill.x, y, 0.2, 1, scene.time_of_day == "night")
    _near_trees(canvas, manner, layout, bank[2:], 2, 0.2)


def _pagoda(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    hills = _land_and_water(canvas, manner, scene, layout, 7)
    hill = hills[-1]
    staffage.paint_pagoda(canvas, manner, hill.x, hill.top + 0.015, 0.26)
    _clothe(canvas, manner, canvas.dice("pagoda-wood"), hill)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout, 0.45), 3)


def _bridge(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 8)
    w = canvas.right
    dice = canvas.dice("bridge")
    y = layout.shore + 0.06
    for x, top in ((w * 0.08, y - 0.03), (w * 0.92, y - 0.05)):
        hill = mountains.Hill(x, top, canvas.bottom + 0.12, 0.38, 0.38, 2.0, dice.random(), 0.0, 0.8, 2.0)
        mountains.paint_hill(canvas, hill, manner, "axe")
        _near_trees(canvas, manner, layout, [hill], 2)
    staffage.paint_bridge(canvas, manner, w * 0.26, w * 0.74, y + 0.02, 0.10)
    staffage.paint_figure(canvas, manner, w * 0.55, y - 0.07, 0.07, 1, -1)


def _islands(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    dice = canvas.dice("islands")
    _far_ranges(canvas, manner, scene, layout, 1)
    air.paint_water(canvas, manner, layout.horizon - 0.06, canvas.bottom, 1.5)
    for i in range(4):
        t = i / 3
        y = layout.horizon - 0.02 + (layout.shore - layout.horizon) * t
        x = layout.centre + layout.side * 0.1 + dice.uniform(-0.4, 0.4) * canvas.right * (0.4 + 0.6 * t)
        size = 0.08 + 0.10 * t
        for hill in mountains.massif(
            dice, x, y - size * dice.uniform(0.8, 1.5), y + 0.01, size * 1.4, 4, 0.7 - 0.55 * t, 1.8
        ):
            mountains.paint_hill(canvas, hill, manner)
            _clothe(canvas, manner, dice, hill)
    staffage.paint_boat(canvas, manner, layout.open_x, layout.shore, 0.13, layout.side, True)


def _traveller(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    dice = canvas.dice("traveller")
    _far_ranges(canvas, manner, scene, layout, 2)
    air.paint_mist(canvas, manner, layout.horizon, 0.08, 0.7, "plain")
    w, h = canvas.right, canvas.bottom
    ground = mountains.Hill(layout.centre, layout.shore, h + 0.3, w * 0.9, w * 0.9, 1.8, dice.random(), 0.0, 0.6, 2.0)
    mountains.paint_hill(canvas, ground, manner)
    for i in range(4):
        x = layout.centre + (i - 1.5) * 0.17 * w + dice.normal(0, 0.02)
        y = float(ground.contour(np.array([x]))[0]) + 0.03 + 0.02 * (i % 2)
        kind = ("broad", "pine", "broad", "broad")[i]
        trees.paint_tree(
            canvas, manner, dice, (x, y), min(0.75, h * 0.6) * dice.uniform(0.8, 1.05), kind, 0.0, dice.normal(0, 0.06)
        )
    x = layout.open_x
    staffage.paint_figure(canvas, manner, x, float(ground.contour(np.array([x]))[0]) + 0.07, 0.12, 1, layout.side)


def _pine_and_rock(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    dice = canvas.dice("pine")
    _far_ranges(canvas, manner, scene, layout, 1)
    h = canvas.bottom
    x = layout.centre
    rocks = mountains.massif(dice, x - layout.side * 0.16, h * 0.66, h + 0.12, 0.26, 5, 0.0, 2.6)
    trees.paint_tree(canvas, manner, dice, (x, h * 0.93), min(h * 0.75, 0.95), "pine", 0.0, -layout.side * 0.3)
    for hill in rocks:
        mountains.paint_hill(canvas, mountains.Hill(**{**hill.__dict__, "melt": 2.0}), manner, "axe")


def _geese(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _far_ranges(canvas, manner, scene, layout, 1)
    air.paint_water(canvas, manner, layout.horizon, canvas.bottom)
    dice = canvas.dice("geese")
    w, h = canvas.right, canvas.bottom
    x0, x1 = (0.0, w * 0.6) if layout.side < 0 else (w * 0.4, w)
    botany.paint_reeds(canvas, manner, x0, x1, h * 0.97, 0.30, 46, "reeds")
    botany.paint_reeds(canvas, manner, x0, x1, layout.shore, 0.10, 30, "far-reeds")
    staffage.paint_geese(canvas, manner, dice, layout.open_x - 0.1, h * 0.30, 0.055, 9)


def _branch(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    botany.paint_branch(canvas, manner, scene)


def _bamboo(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    botany.paint_bamboo(canvas, manner, scene)


def _seal(canvas: Canvas, manner: Manner, layout: Layout) -> None:
    dice = canvas.dice("seal-place")
    size = 0.045 * dice.uniform(0.85, 1.2)
    x = canvas.right - 0.07 if layout.side < 0 else 0.07
    air.press_seal(
        canvas,
        manner,
        x,
        canvas.bottom * dice.uniform(0.10, 0.16) if dice.random() < 0.4 else canvas.bottom - 0.08,
        size,
    )


_CLOSE = ("a branch with a bird", "bamboo", "a pine beside a rock")
_SUBJECTS: dict[str, Callable[[Canvas, Manner, Scene, Layout], None]] = {
    "layered mountains": _mountains,
    "a waterfall between cliffs": _waterfall,
    "a village by a river": _village,
    "a fishing boat on a lake": _boat,
    "a pavilion in the mountains": _pavilion,
    "a pagoda on a hill": _pagoda,
    "a bridge over a stream": _bridge,
    "islands in still water": _islands,
    "a traveller under tall trees": _traveller,
    "a pine beside a rock": _pine_and_rock,
    "geese above reeds": _geese,
    "a branch with a bird": _branch,
    "bamboo": _bamboo,
}
