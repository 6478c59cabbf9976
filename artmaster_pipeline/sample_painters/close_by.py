"""Pictures of what stands close by: still lifes on a terrace wall, and a lady under a parasol."""

import numpy as np

from artmaster_pipeline.sample_painters.canvas import Canvas, Colour, Sheet, mix, shows
from artmaster_pipeline.sample_painters.manners import Manner
from artmaster_pipeline.sample_painters.scenes import Scene

_WHITE: Colour = (0.98, 0.98, 0.97)


@shows("buildings")
def paint_terrace(canvas: Canvas, manner: Manner, y: float) -> None:
    """A low wall whose top begins at `y`: what still lifes stand on."""
    sheet = canvas.sheet(0, y - 0.02, canvas.right, canvas.bottom)
    stone = mix(manner.foot, manner.wall, 0.35)
    left, right, foot = -0.05, canvas.right + 0.05, canvas.bottom + 0.05
    sheet.polygon(((left, y), (right, y), (right, foot), (left, foot)), mix(stone, manner.ink, 0.28))
    sheet.polygon(((left, y), (right, y), (right, y + 0.13), (left, y + 0.13)), _WHITE if manner.snow else stone)
    joints = canvas.dice("terrace").uniform(0, canvas.right, 5)
    feet = np.stack((joints, np.full(5, y + 0.13)), 1)
    sheet.lines(np.stack((feet, feet + np.array((0.0, 0.6))), 1), 0.003, mix(stone, manner.ink, 0.55))
    for edge in (y, y + 0.13):
        sheet.lines(np.array((((left, edge), (right, edge)),)), 0.003, mix(stone, manner.ink, 0.65))
    sheet.lay(dry=0.0 if manner.flat else manner.dry * 0.3)


@shows("other")
def paint_vase(canvas: Canvas, manner: Manner, scene: Scene, x: float, y: float, size: float) -> None:
    """A vase that stands at (x, y), `size` tall, with the season's flowers in it."""
    dice = canvas.dice("vase")
    sheet = canvas.sheet(x - size * 1.6, y - size * 2.6, x + size * 1.6, y + size * 0.1)
    neck = np.array((x, y - size * 0.95))
    for i, turn in enumerate(np.linspace(-1.15, 1.15, 11) + dice.normal(0, 0.08, 11)):
        long = size * dice.uniform(0.65, 1.25) * (1.0 - 0.25 * abs(turn))
        t = np.linspace(0, 1, 8)
        bent = turn * (0.35 + 0.65 * t)
        stem = neck + np.stack((np.sin(bent) * t, -np.cos(bent) * t), 1) * long
        bare = scene.season == "winter"
        colour = manner.trunk if bare else mix(manner.leaves[i % len(manner.leaves)], manner.ink, 0.15)
        sheet.stroke(stem, size * 0.022, colour)
        for at in stem[3:7] if not bare else ():
            _blade(sheet, manner, at, size * dice.uniform(0.2, 0.34), turn + dice.choice((-1.0, 1.0)) * 0.9, i)
        _flower(sheet, manner, dice, scene, stem[-1], size * dice.uniform(0.15, 0.22) * (0.6 if bare else 1.0))
    _pot(sheet, manner, x, y, size)
    sheet.lay(dry=0.0 if manner.flat else manner.dry * 0.4)


def _pot(sheet: Sheet, manner: Manner, x: float, y: float, size: float) -> None:
    t = np.linspace(0, 1, 24)
    half = size * (0.20 + 0.20 * np.sin(np.pi * (0.12 + 0.80 * t)) ** 1.5 - 0.10 * t**3)
    height = y - t * size
    outline = np.concatenate((np.stack((x - half, height), 1), np.stack((x + half, height), 1)[::-1]))
    glaze = manner.robe[2]
    sheet.polygon(outline, glaze)
    for share, tone in ((0.30, _WHITE), (0.38, manner.wall), (0.72, _WHITE)):
        row = int(share * 23)
        sheet.lines(np.array((((x - half[row], height[row]), (x + half[row], height[row])),)), size * 0.022, tone)
    shine = np.stack((x - half * 0.55, height), 1)[5:20]
    sheet.stroke(shine, size * 0.06 * np.sin(np.linspace(0.2, 2.9, 15)), mix(glaze, _WHITE, 0.6), 0.8)
    closed = np.concatenate((outline, outline[:1]))
    sheet.lines(np.stack((closed[:-1], closed[1:]), 1), size * 0.014, manner.ink)


def _blade(sheet: Sheet, manner: Manner, at: np.ndarray, long: float, turn: float, number: int) -> None:
    t = np.linspace(0, 1, 7)
    spine = at + np.stack((np.sin(turn) * t, -np.cos(turn) * t + 0.35 * t * t), 1) * long
    sheet.stroke(spine, long * 0.30 * np.sin(np.pi * t**0.8), manner.leaves[(number + 1) % len(manner.leaves)], 0.95)


def _flower(sheet: Sheet, manner: Manner, dice: np.random.Generator, scene: Scene, at: np.ndarray, size: float) -> None:
    """Round blossom in spring, open and bright in summer, ragged in autumn, plum in winter."""
    petals = {"spring": 5, "summer": 8, "autumn": 15, "winter": 5}[scene.season]
    colours = {
        "spring": manner.blossom,
        "summer": (manner.seal, mix(manner.seal, _WHITE, 0.45), _WHITE),
        "autumn": (*manner.leaves[:2], mix(manner.leaves[2], _WHITE, 0.35)),
        "winter": (manner.seal, mix(manner.seal, _WHITE, 0.3)),
    }[scene.season]
    if scene.style == "ink" and scene.season != "spring":
        colours = (manner.leaves[0], manner.leaves[1], manner.wall)
    colour = colours[int(dice.integers(len(colours)))]
    heart = mix(colour, manner.ink, 0.5) if scene.style == "ink" else (0.86, 0.66, 0.22)
    angle = dice.uniform(0, 6.28) + np.arange(petals) * 2 * np.pi / petals
    around = at + np.stack((np.cos(angle), np.sin(angle) * 0.8), 1) * size * 0.62
    radius = size * {5: 0.46, 8: 0.34, 15: 0.24}[petals]
    sheet.dots(around, np.full((petals, 2), radius + size * 0.06), (mix(colour, manner.ink, 0.55),))
    sheet.dots(around, np.full((petals, 2), radius), (colour, mix(colour, _WHITE, 0.15)))
    sheet.dots(at[None], np.full((1, 2), size * 0.34), (heart,))


@shows("other")
def paint_fruit(canvas: Canvas, manner: Manner, scene: Scene, x: float, y: float, size: float) -> None:
    """A bowl of the season's fruit that stands at (x, y), `size` wide, and one fruit beside it."""
    dice = canvas.dice("fruit")
    sheet = canvas.sheet(x - size * 1.2, y - size, x + size * 1.2, y + size * 0.1)
    red, gold, green = (0.78, 0.22, 0.16), (0.91, 0.66, 0.20), (0.52, 0.64, 0.26)
    ripe = {
        "spring": (mix(red, _WHITE, 0.15), red),
        "summer": (mix(gold, red, 0.35), green),
        "autumn": (mix(gold, red, 0.55), gold),
        "winter": (gold, mix(gold, _WHITE, 0.35)),
    }[scene.season]
    if scene.style == "ink":
        ripe = (manner.leaves[1], mix(manner.leaves[1], manner.ground, 0.45))
    else:
        ripe = (mix(ripe[0], manner.robe[1], 0.2), mix(ripe[1], manner.body, 0.2))
    rows = ((-0.34, 0.30), (-0.12, 0.30), (0.11, 0.30), (0.34, 0.30), (-0.22, 0.44), (0.0, 0.45), (0.23, 0.44))
    heap = [(*place, 0.125) for place in (*rows, (-0.10, 0.58), (0.12, 0.58))]
    beside = float(dice.choice((-1.0, 1.0)))
    for number, (px, py, radius) in enumerate((*heap, (beside * 0.68, 0.09, 0.11))):
        middle = np.array((x + (px + dice.normal(0, 0.012)) * size, y - py * size))
        _globe(sheet, manner, middle, size * radius * dice.uniform(0.92, 1.1), ripe[number % 2])
    t = np.linspace(0, np.pi, 20)
    bowl = np.stack((x + np.cos(t) * size * 0.5, y - size * 0.28 + np.sin(t) * size * 0.25), 1)
    foot = np.array(((-0.16, 0.05), (0.16, 0.05), (0.2, 0.0), (-0.2, 0.0))) * (size, -size) + (x, y)
    for shape in (foot, bowl):
        sheet.polygon(shape, manner.wall)
        closed = np.concatenate((shape, shape[:1]))
        sheet.lines(np.stack((closed[:-1], closed[1:]), 1), size * 0.014, manner.ink)
    band = np.stack((x + np.cos(t[3:17]) * size * 0.42, y - size * 0.27 + np.sin(t[3:17]) * size * 0.14), 1)
    sheet.stroke(band, size * 0.03, manner.robe[2])
    sheet.lay(dry=0.0 if manner.flat else manner.dry * 0.4)


def _globe(sheet: Sheet, manner: Manner, middle: np.ndarray, radius: float, colour: Colour) -> None:
    one = middle[None]
    sheet.dots(one, np.full((1, 2), radius * 1.08), (mix(colour, manner.ink, 0.65),))
    sheet.dots(one, np.full((1, 2), radius), (mix(colour, manner.ink, 0.22),))
    sheet.dots(one - radius * 0.14, np.full((1, 2), radius * 0.78), (colour,))
    sheet.dots(one - radius * 0.34, np.full((1, 2), radius * 0.26), (mix(colour, _WHITE, 0.6),))
    if manner.snow:
        sheet.dots(one - (0, radius * 0.62), np.array(((radius * 0.6, radius * 0.26),)), (_WHITE,))


@shows("figures")
def paint_lady(canvas: Canvas, manner: Manner, x: float, y: float, tall: float, face: int) -> None:
    """A lady in a long robe who looks to `face` under an open parasol; y is the ground, `tall` without parasol."""
    sheet = canvas.sheet(x - tall, y - tall * 1.4, x + tall, y + tall * 0.1)
    pen = max(0.0012, tall * 0.009)

    def at(*points: tuple[float, float]) -> np.ndarray:
        return np.array([(x + face * px * tall, y - py * tall) for px, py in points])

    def shape(points: np.ndarray, colour: Colour) -> None:
        sheet.polygon(points, colour)
        closed = np.concatenate((points, points[:1]))
        sheet.lines(np.stack((closed[:-1], closed[1:]), 1), pen, manner.ink)

    robe, sash = manner.robe[1], manner.robe[2]
    skin = mix(manner.wall, (0.85, 0.62, 0.48), 0.4)
    shape(at((-0.20, 0.0), (0.17, 0.0), (0.12, 0.34), (0.10, 0.60), (0.07, 0.80), (-0.07, 0.80), (-0.12, 0.52)), robe)
    shape(at((-0.11, 0.52), (0.10, 0.52), (0.10, 0.62), (-0.11, 0.62)), sash)
    sheet.stroke(at((-0.03, 0.50), (-0.06, 0.25), (-0.10, 0.02)), tall * 0.012, mix(robe, manner.ink, 0.5))
    sheet.stroke(at((0.03, 0.50), (0.04, 0.25), (0.06, 0.02)), tall * 0.012, mix(robe, manner.ink, 0.5))
    sheet.stroke(at((0.26, 0.66), (0.08, 1.30)), tall * 0.018, manner.trunk)
    shape(at((-0.06, 0.78), (0.06, 0.78), (0.28, 0.68), (0.25, 0.50), (0.10, 0.62)), mix(robe, _WHITE, 0.12))
    sheet.dots(at((0.26, 0.66)), np.full((1, 2), tall * 0.024), (skin,))
    sheet.dots(at((-0.015, 0.92)), np.array(((tall * 0.085, tall * 0.09),)), (mix(manner.ink, manner.trunk, 0.2),))
    sheet.dots(at((0.015, 0.88)), np.array(((tall * 0.055, tall * 0.07),)), (skin,))
    t = np.linspace(0, np.pi, 15)
    rim = np.stack((np.cos(t) * 0.46, np.sin(t) * 0.26), 1)
    lean = 0.22
    turned = np.stack((rim[:, 0] * np.cos(lean) - rim[:, 1] * np.sin(lean), rim[:, 0] * np.sin(lean) + rim[:, 1]), 1)
    cover = at(*((px + 0.10, py + 1.02) for px, py in turned.tolist()))
    paper = _WHITE if manner.snow else mix(manner.sun, manner.wall, 0.25)
    shape(cover, paper)
    top = at((0.06, 1.28))[0]
    sheet.lines(np.stack((np.repeat(top[None], 7, 0), cover[::2][1:]), 1), pen, mix(paper, manner.ink, 0.5))
    sheet.lay()
