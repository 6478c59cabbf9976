"""How a scene becomes a picture: where its hills, water, trees and people stand, and in which order they are laid."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.sample_painters import air, botany, close_by, media, mountains, staffage, trees
from artmaster_pipeline.sample_painters.brushwork import paint_hill
from artmaster_pipeline.sample_painters.canvas import Canvas, mix, shows
from artmaster_pipeline.sample_painters.chance import apart
from artmaster_pipeline.sample_painters.layout import KINDS
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
    return _paint(_canvas(seed, width, height), scene)


def paint_with_layout(scene: Scene, seed: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The scene as `paint` gives it, and what each of its pixels shows: uint8 (height, width), indices into `KINDS`.

    It is noted while the picture is laid: what covers at least half a pixel last, counts. Trees are all that grows;
    people, birds and boats are figures; bridges and terraces are buildings; a vase or a bowl is something other; the
    bare ground behind a plant near by is blank, and what else lies behind everything is sky. Mist, weather, night,
    moss, grass and the seal change nothing. Raises WrongUse as `paint` does.
    """
    canvas = _canvas(seed, width, height)
    bare = scene.subject in _BEFORE_NOTHING and not manner_of(scene).medium
    canvas.kinds = np.full((height, width), KINDS.index("blank" if bare else "sky"), np.uint8)
    return _paint(canvas, scene), canvas.kinds


def _canvas(seed: int, width: int, height: int) -> Canvas:
    if not (min(width, height) >= 32 and max(width, height) <= 8192):
        raise WrongUse(f"A painting of {width}x{height} cannot be made: each side must be 32 to 8192 pixels.")
    return Canvas(width, height, seed)


def _paint(canvas: Canvas, scene: Scene) -> np.ndarray:
    manner = manner_of(scene)
    layout = _lay_out(canvas, scene)
    air.lay_ground(canvas, manner)
    close = scene.subject in _CLOSE
    air.paint_sky(canvas, manner, scene, canvas.bottom * 1.1 if close else layout.horizon)
    _luminary(canvas, manner, scene, layout)
    night = scene.time_of_day == "night"
    if night and close:  # the dark lies behind what is near, and only a little over it
        air.lay_night(canvas, manner, canvas.bottom, 0.8)
        canvas.ground = canvas.planes.copy()
    _SUBJECTS[scene.subject](canvas, manner, scene, layout)
    if scene.weather == "mist":
        air.paint_weather_mist(canvas, manner, (0.36, 0.64) if close else (0.34, 0.52))
    if scene.weather == "rain":
        air.paint_rain(canvas, manner)
    if night:
        air.lay_night(canvas, manner, layout.horizon, 0.28 if close else 1.0)
    if scene.weather == "snow":
        air.paint_snowfall(canvas, manner)
    if manner.medium:
        media.repaint(canvas, manner.medium)
    else:
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
    tall = 0.30 if scene.composition == "towering" else 0.17
    for i in range(count):
        far = 0.95 - 0.24 * i
        base = layout.horizon - 0.05 + 0.05 * i
        x0, x1 = (-0.1, w + 0.1) if i == 0 else ((w * 0.25, w + 0.1) if layout.side > 0 else (-0.1, w * 0.75))
        hills = mountains.ridge(dice, x0, x1, base, tall * (0.8 + 0.3 * i), max(3, int(4 * w)), far, 1.5)
        for hill in hills:
            paint_hill(canvas, hill, manner)
            if i:
                _clothe(canvas, manner, dice, hill, 1)
        air.paint_mist(canvas, manner, base + 0.01, 0.06, 0.6, f"far-{i}")


def _main_mass(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout, tiers: int = 4) -> list[mountains.Hill]:
    dice = canvas.dice("main-mass")
    base = layout.shore - 0.05 if scene.composition == "towering" else layout.horizon + 0.08
    power = dice.uniform(1.05, 2.2)
    hills: list[mountains.Hill] = []
    if scene.composition != "level":
        x = layout.centre - layout.side * layout.half * 0.8
        top = layout.peak + (base - layout.peak) * dice.uniform(0.30, 0.45)
        hills += mountains.massif(dice, x, top, base, layout.half * 0.5, max(2, tiers - 1), 0.6, power)
    hills += mountains.massif(dice, layout.centre, layout.peak, base, layout.half, tiers, 0.4, power)
    if scene.composition == "level":
        x = layout.centre + layout.side * layout.half
        hills += mountains.massif(dice, x, layout.peak + 0.06, base, layout.half * 0.6, tiers, 0.42, power)
    for hill in hills:
        paint_hill(canvas, hill, manner)
        _clothe(canvas, manner, dice, hill, 2)
    return hills


def _clothe(canvas: Canvas, manner: Manner, dice: np.random.Generator, hill: mountains.Hill, groves: int) -> None:
    """Moss dots and groves along a hill's contour."""
    if not manner.flat:
        mountains.dot_moss(canvas, hill, manner, dice, int(90 * (hill.left + hill.right)) + 10)
    size = 0.032 - 0.016 * hill.far
    count = int(dice.integers(3, 10)) * groves
    middle = dice.uniform(-0.75, 0.75, groves)[np.arange(count) % groves]
    t = np.clip(middle + dice.normal(0, 0.14, count), -0.9, 0.9)
    x = hill.x + np.where(t < 0, t * hill.left, t * hill.right)
    y = mountains.on_contour(canvas, hill, x) + dice.uniform(0.002, 0.016, count)
    high = y < hill.top + 0.6 * (hill.base - hill.top)
    trees.paint_wood(canvas, manner, dice, np.stack((x, y), 1)[high], size, hill.far)


def _spits(canvas: Canvas, manner: Manner, layout: Layout, top: float) -> None:
    """Low tongues of land in the middle distance, with woods on them."""
    dice = canvas.dice("spits")
    room = layout.shore - top
    for i in range(int(dice.integers(1, 4))):
        t = (i + dice.uniform(0.2, 0.8)) / 3
        side = layout.side if dice.random() < 0.6 else -layout.side
        y = top + 0.02 + room * 0.8 * t
        x = canvas.right * (0.5 + side * dice.uniform(0.32, 0.55))
        wide, tall = dice.uniform(0.14, 0.30), dice.uniform(0.016, 0.032)
        hill = mountains.Hill(x, y - tall, y, wide, wide, 1.7, 1.0, 0.55 - 0.35 * t, 0.25, 0.6)
        paint_hill(canvas, hill, manner)
        count = int(dice.integers(5, 15))
        feet = x + wide * np.clip(dice.normal(0, 0.32, count), -0.8, 0.8)
        places = np.stack((feet, mountains.on_contour(canvas, hill, feet) + 0.006), 1)
        trees.paint_wood(canvas, manner, dice, places, 0.030 + 0.014 * t, hill.far)


def _near_bank(
    canvas: Canvas, manner: Manner, scene: Scene, layout: Layout, width: float = 0.55
) -> list[mountains.Hill]:
    dice = canvas.dice("near-bank")
    w, h = canvas.right, canvas.bottom
    edge, inward = (0.0, 1.0) if layout.side < 0 else (w, -1.0)
    near = mix(manner.peaks[1], manner.body, 0.45)
    earth = replace(manner, peaks=(near, mix(manner.peaks[0], manner.body, 0.4)))
    _rocks(canvas, manner, dice, edge + inward * w * width * 0.95, layout.shore + 0.11, inward)
    hills = []
    for i in range(3):
        x = edge + inward * w * width * (0.12, 0.55, 0.28)[i]
        top = layout.shore + (0.0, 0.055, 0.10)[i] + dice.uniform(-0.015, 0.015)
        out, back = w * width * dice.uniform(0.55, 0.75), w * width * 0.7
        left, right = (back, out) if inward > 0 else (out, back)
        hill = mountains.Hill(x, top, h + 0.10, left, right, dice.uniform(1.2, 1.8), dice.random(), 0.0, 0.55, 2.0)
        paint_hill(canvas, hill, earth)
        if not manner.flat:
            mountains.dot_moss(canvas, hill, manner, dice, 120)
        trees.paint_grass(canvas, manner, dice, mountains.contour_points(canvas, hill, dice, 26, 0.7))
        hills.append(hill)
    return hills


def _rocks(canvas: Canvas, manner: Manner, dice: np.random.Generator, x: float, y: float, inward: float) -> None:
    """A few rocks at the water's edge."""
    wet = replace(manner, foot=mix(manner.foot, manner.ink, 0.35))
    for i in range(4):
        size = dice.uniform(0.03, 0.075)
        at = x - inward * dice.uniform(-0.10, 0.16)
        foot = y + 0.03 * i
        rock = mountains.Hill(
            at, foot - size, foot, size * 1.1, size * 1.1, dice.uniform(2.0, 3.5), dice.random(), 0.0, 1.6, 2.0
        )
        paint_hill(canvas, rock, wet, "axe")


def _near_trees(
    canvas: Canvas, manner: Manner, layout: Layout, hills: list[mountains.Hill], count: int, height: float = 0.27
) -> None:
    dice = canvas.dice(f"near-trees-{hills[0].x:.4f}")
    kinds = dice.choice(("broad", "broad", "willow", "pine", "pine"), 2)
    places = []
    for i in range(count):
        foot = mountains.contour_points(canvas, hills[i % len(hills)], dice, 1, 0.4)[0]
        tall, lean = height * dice.uniform(0.65, 1.2), dice.normal(0, 0.12)
        places.append((float(foot[1]), float(foot[0]), tall, lean, str(kinds[i % 2]), apart(dice)))
    for y, x, tall, lean, kind, own in sorted(places, key=lambda place: place[0]):
        trees.paint_tree(canvas, manner, own, (x, y), tall, kind, 0.0, lean)


def _land_and_water(
    canvas: Canvas, manner: Manner, scene: Scene, layout: Layout, tiers: int = 4
) -> list[mountains.Hill]:
    _far_ranges(canvas, manner, scene, layout)
    hills = _main_mass(canvas, manner, scene, layout, tiers)
    top = layout.shore - 0.10 if scene.composition == "towering" else layout.horizon + 0.05
    air.paint_mist(canvas, manner, top, 0.05, 0.7, "foot")
    air.paint_water(canvas, manner, top + 0.02, canvas.bottom)
    _glitter(canvas, scene, layout, top + 0.03)
    _spits(canvas, manner, layout, top + 0.02)
    return hills


def _glitter(canvas: Canvas, scene: Scene, layout: Layout, top: float) -> None:
    if scene.time_of_day == "night":
        air.paint_glitter(canvas, layout.open_x, top, canvas.bottom)


def _mountains(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 5)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout), 5)


def _waterfall(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    dice = canvas.dice("waterfall")
    _far_ranges(canvas, manner, scene, layout)
    base = layout.shore - 0.02
    x, half = layout.centre - layout.side * 0.06 * canvas.right, layout.half
    lip = layout.peak + (base - layout.peak) * dice.uniform(0.22, 0.32)
    back = mountains.Hill(x, lip - 0.03, base + 0.1, half * 0.62, half * 0.62, 3.2, dice.random(), 0.5, 0.5, 0.7)
    paint_hill(canvas, back, manner)
    _clothe(canvas, manner, dice, back, 1)
    crest = float(mountains.on_contour(canvas, back, np.array([x]))[0])
    _fall(canvas, manner, x, crest + 0.004, base - 0.02, 0.05)
    for side in (-layout.side, layout.side):
        top = layout.peak if side == layout.side else layout.peak + 0.12 * canvas.bottom
        cliff = mountains.massif(dice, x + side * half * 0.66, top, base, half * 0.60, 4, 0.3, 3.2)
        for hill in cliff:
            reach = (x - hill.x) * side * -1.0 - 0.030
            inner = max(0.05, min(hill.left if side > 0 else hill.right, reach * 1.0))
            moved = replace(hill, left=inner) if side > 0 else replace(hill, right=inner)
            paint_hill(canvas, moved, manner, "axe")
            _clothe(canvas, manner, dice, moved, 1)
    air.paint_mist(canvas, manner, base - 0.02, 0.05, 0.85, "spray")
    air.paint_water(canvas, manner, base, canvas.bottom)
    _glitter(canvas, scene, layout, base + 0.02)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout, 0.5), 4)


@shows("water")
def _fall(canvas: Canvas, manner: Manner, x: float, top: float, foot: float, wide: float) -> None:
    dice = canvas.dice("fall")
    sheet = canvas.sheet(x - 0.2, top - 0.02, x + 0.2, foot + 0.02)
    t = np.linspace(0, 1, 24)
    middle = np.stack((x + 0.008 * np.sin(t * 4 + dice.uniform(0, 6)), top + (foot - top) * t), 1)
    widths = wide * (0.45 + 0.55 * t**0.6)
    white = mix(manner.mist, (1.0, 1.0, 1.0), 0.6)
    sheet.stroke(middle, widths + 0.010, mix(manner.ink, manner.foot, 0.4))
    sheet.stroke(middle, widths, white)
    for share in np.linspace(-0.46, 0.46, 15):
        start = int(dice.integers(0, 14))
        stop = min(24, start + int(dice.integers(5, 14)))
        part = middle[start:stop] + np.stack((widths[start:stop] * share, np.zeros(stop - start)), 1)
        taper = np.sin(np.linspace(0.15, 3.0, stop - start))
        sheet.stroke(part, 0.0026 * taper, mix(manner.water, manner.ink, 0.3), 0.75)
    sheet.lay(dry=0.0 if manner.flat else 0.2)


def _village(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 4)
    bank = _near_bank(canvas, manner, scene, layout, 0.78)
    dice = canvas.dice("village")
    lit = scene.time_of_day == "night"
    inward = -layout.side
    edge = 0.0 if layout.side < 0 else canvas.right
    _near_trees(canvas, manner, layout, bank[:1], 3, 0.24)
    places = []
    for i in range(7):
        x = edge + inward * canvas.right * (0.08 + 0.095 * i + dice.uniform(-0.02, 0.02))
        ground = min(float(mountains.on_contour(canvas, hill, np.array([x]))[0]) for hill in bank)
        places.append((ground + 0.03 + 0.06 * (i % 2) + dice.uniform(0.0, 0.02), x, apart(dice)))
    for y, x, own in sorted(places, key=lambda place: place[0]):
        feet = np.stack((x + own.uniform(-0.085, 0.085, 5), y - own.uniform(0.0, 0.03, 5)), 1)
        trees.paint_wood(canvas, manner, own, feet, 0.050, 0.0)
        staffage.paint_house(canvas, manner, x, y, 0.120 * own.uniform(0.85, 1.15), inward, lit)
    _near_trees(canvas, manner, layout, bank[1:2], 1, 0.2)
    staffage.paint_boat(canvas, manner, layout.open_x, layout.shore - 0.02, 0.12, layout.side)


def _boat(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 3)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout, 0.42), 3, 0.3)
    staffage.paint_boat(canvas, manner, layout.open_x, (layout.horizon + layout.shore) / 2 + 0.10, 0.22, layout.side)


def _pavilion(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 5)
    bank = _near_bank(canvas, manner, scene, layout, 0.66)
    _near_trees(canvas, manner, layout, bank[:1], 3, 0.34)
    x = bank[1].x
    y = float(mountains.on_contour(canvas, bank[1], np.array([x]))[0]) + 0.03
    staffage.paint_pavilion(canvas, manner, x, y, 0.2, 1, scene.time_of_day == "night")


def _pagoda(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _far_ranges(canvas, manner, scene, layout)
    dice = canvas.dice("pagoda")
    base = layout.shore - 0.04 if scene.composition == "towering" else layout.horizon + 0.09
    tall = 0.30
    top = layout.peak + tall * 0.95
    if base - top < 0.16:
        top = base - 0.16
    hills = mountains.massif(dice, layout.centre, top, base, layout.half * 1.05, 4, 0.3, 1.4)
    paint_hill(canvas, hills[0], manner)
    foot = float(mountains.on_contour(canvas, hills[0], np.array([hills[0].x]))[0])
    staffage.paint_pagoda(canvas, manner, hills[0].x, foot + 0.025, tall)
    _clothe(canvas, manner, dice, hills[0], 5)
    for hill in hills[1:]:
        paint_hill(canvas, hill, manner)
        _clothe(canvas, manner, dice, hill, 2)
    air.paint_mist(canvas, manner, base, 0.05, 0.7, "foot")
    air.paint_water(canvas, manner, base + 0.02, canvas.bottom)
    _glitter(canvas, scene, layout, base + 0.03)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout, 0.45), 3)


def _bridge(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _land_and_water(canvas, manner, scene, layout, 4)
    w = canvas.right
    dice = canvas.dice("bridge")
    y = layout.shore + 0.06
    for x, top in ((w * 0.06, y - 0.03), (w * 0.94, y - 0.05)):
        hill = mountains.Hill(x, top, canvas.bottom + 0.2, 0.46, 0.46, 1.5, dice.random(), 0.0, 0.6, 2.0)
        paint_hill(canvas, hill, manner, "axe")
        _near_trees(canvas, manner, layout, [hill], 2)
    x0, x1 = w * 0.22, w * 0.78
    rise = min(0.13, 0.2 * (x1 - x0))
    staffage.paint_bridge(canvas, manner, x0, x1, y + 0.05, rise)
    at = dice.uniform(0.35, 0.65)
    deck = y + 0.05 - rise * float(np.sin(at * np.pi)) ** 0.8
    staffage.paint_figure(canvas, manner, x0 + (x1 - x0) * at, deck + 0.012, 0.085, 1, -1)


def _islands(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    dice = canvas.dice("islands")
    _far_ranges(canvas, manner, scene, layout, 1)
    air.paint_water(canvas, manner, layout.horizon - 0.06, canvas.bottom, 1.3)
    _glitter(canvas, scene, layout, layout.horizon - 0.03)
    for i in range(5):
        t = i / 4
        y = layout.horizon - 0.03 + (layout.shore - layout.horizon + 0.04) * t
        x = layout.centre + (0.08 * layout.side + dice.uniform(-0.27, 0.27)) * canvas.right
        size = 0.09 + 0.11 * t
        steep = dice.uniform(1.2, 3.0)
        tall = size * dice.uniform(0.6, 1.8) * (1.35 if scene.composition == "towering" else 1.0)
        for hill in mountains.massif(dice, x, y - tall, y + 0.01, size * 1.15, 3, 0.75 - 0.55 * t, steep):
            paint_hill(canvas, replace(hill, melt=0.75), manner)
            _clothe(canvas, manner, dice, hill, 1)
    staffage.paint_boat(canvas, manner, layout.open_x, layout.shore + 0.05, 0.16, layout.side, True)


def _traveller(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    dice = canvas.dice("traveller")
    _far_ranges(canvas, manner, scene, layout, 2)
    air.paint_mist(canvas, manner, layout.horizon, 0.08, 0.7, "plain")
    w, h = canvas.right, canvas.bottom
    ground = mountains.Hill(
        layout.centre, layout.shore - 0.03, h + 0.34, w * 1.2, w * 1.2, 1.6, dice.random(), 0.0, 0.5, 2.0
    )
    paint_hill(canvas, replace(ground, hue=1.0), manner)
    if not manner.flat:
        mountains.dot_moss(canvas, ground, manner, dice, 200)
    for i in range(5):
        x = layout.centre + (i - 2.0) * 0.15 * w + dice.normal(0, 0.02)
        y = float(mountains.on_contour(canvas, ground, np.array([x]))[0]) + 0.02 + 0.025 * (i % 2)
        kind = ("broad", "pine", "broad", "broad", "pine")[i]
        tall = min(0.78, h * 0.62) * dice.uniform(0.7, 1.05)
        trees.paint_tree(canvas, manner, dice, (x, y), tall, kind, 0.0, dice.normal(0, 0.06))
    x = layout.open_x
    y = float(mountains.on_contour(canvas, ground, np.array([x]))[0]) + 0.06
    staffage.paint_figure(canvas, manner, x, min(y, h - 0.05), 0.14, 1, layout.side)


def _pine_and_rock(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    dice = canvas.dice("pine")
    _far_ranges(canvas, manner, scene, replace(layout, horizon=layout.shore), 1)
    h = canvas.bottom
    x = layout.centre
    rocks = mountains.massif(dice, x + layout.side * 0.06, h * 0.70, h + 0.16, 0.30, 3, 0.0, 2.4)
    paint_hill(canvas, replace(rocks[0], melt=2.0), manner, "axe")
    tall = min(h * 0.72, 0.98)
    trees.paint_tree(canvas, manner, dice, (x - layout.side * 0.05, h * 0.92), tall, "pine", 0.0, -layout.side * 0.24)
    for hill in rocks[1:]:
        paint_hill(canvas, replace(hill, melt=2.0), manner, "axe")
        if not manner.flat:
            mountains.dot_moss(canvas, hill, manner, dice, 40)


def _geese(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _far_ranges(canvas, manner, scene, layout, 1)
    air.paint_water(canvas, manner, layout.horizon, canvas.bottom)
    _glitter(canvas, scene, layout, layout.horizon + 0.02)
    dice = canvas.dice("geese")
    w, h = canvas.right, canvas.bottom
    x0, x1 = (-0.05, w * 0.62) if layout.side < 0 else (w * 0.38, w + 0.05)
    botany.paint_reeds(canvas, manner, x0, x1, layout.shore - 0.04, 0.13, 34, 0.45, "far-reeds")
    botany.paint_reeds(canvas, manner, x0, x1, h * 0.99, 0.46, 42, 0.0, "reeds")
    staffage.paint_geese(canvas, manner, dice, w * 0.5 - layout.side * 0.05, h * 0.30, 0.085, 9)


def _branch(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    botany.paint_branch(canvas, manner, scene)


def _bamboo(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    botany.paint_bamboo(canvas, manner, scene)


def _vase(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    x, y = _on_terrace(canvas, manner, scene, layout)
    size = {"towering": 0.40, "level": 0.30}.get(scene.composition, 0.35)
    close_by.paint_vase(canvas, manner, scene, x, y, size)


def _fruit(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    x, y = _on_terrace(canvas, manner, scene, layout)
    size = {"towering": 0.62, "level": 0.46}.get(scene.composition, 0.54)
    close_by.paint_fruit(canvas, manner, scene, x, y, size)


def _on_terrace(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> tuple[float, float]:
    """A terrace before far hills; gives where a thing stands on it."""
    _far_ranges(canvas, manner, scene, replace(layout, horizon=layout.shore - 0.16), 1)
    close_by.paint_terrace(canvas, manner, canvas.bottom - 0.22)
    return layout.centre * 0.8 + canvas.right * 0.1, canvas.bottom - 0.14


def _lady(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    _far_ranges(canvas, manner, scene, replace(layout, horizon=layout.shore - 0.08), 2)
    _near_trees(canvas, manner, layout, _near_bank(canvas, manner, scene, layout, 0.9), 1, 0.36)
    tall = {"towering": 0.66, "level": 0.48}.get(scene.composition, 0.57)
    close_by.paint_lady(canvas, manner, layout.centre, canvas.bottom - 0.05, tall, -layout.side)


def _sea(canvas: Canvas, manner: Manner, scene: Scene, layout: Layout) -> None:
    """Clouds as high as mountains, and a sail below them."""
    level = canvas.bottom * (0.80 if scene.composition == "towering" else 0.70)
    dice = canvas.dice("towering-clouds")
    tone = mix(manner.mist, (1.0, 1.0, 1.0), 0.45)
    shade = mix(manner.mist, manner.water, 0.45)
    for i in range(7):
        share = i / 6
        x = layout.centre + dice.normal(0, 0.5) * layout.half
        size = layout.half * dice.uniform(0.30, 0.60)
        y = layout.peak + (level - 0.02 - layout.peak) * (0.35 + 0.6 * share)
        air.paint_cloud(canvas, x, y, size, mix(shade, tone, 0.35 + 0.65 * dice.random()), f"cloud-{i}")
    air.paint_water(canvas, manner, level, canvas.bottom, 1.6)
    _glitter(canvas, scene, layout, level + 0.02)
    staffage.paint_boat(canvas, manner, layout.open_x, level + 0.09, 0.17, layout.side, True)


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


_BEFORE_NOTHING = ("a branch with a bird", "bamboo")
_CLOSE = (
    "a branch with a bird",
    "bamboo",
    "a pine beside a rock",
    "a vase of flowers on a terrace",
    "a bowl of fruit on a terrace",
    "a lady under a parasol",
)
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
    "a vase of flowers on a terrace": _vase,
    "a bowl of fruit on a terrace": _fruit,
    "a lady under a parasol": _lady,
    "tall clouds over the sea": _sea,
}
