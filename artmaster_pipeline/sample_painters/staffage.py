"""What people and birds bring into a landscape: houses, pavilions, pagodas, bridges, boats, travellers, geese."""

import numpy as np

from artmaster_pipeline.sample_painters.canvas import Canvas, Colour, Sheet, mix, shows
from artmaster_pipeline.sample_painters.manners import Manner

_LAMP: Colour = (1.0, 0.80, 0.42)
_WHITE: Colour = (0.98, 0.98, 0.97)


def _edges(sheet: Sheet, points: np.ndarray, width: float, colour: Colour) -> None:
    closed = np.concatenate((points, points[:1]))
    sheet.lines(np.stack((closed[:-1], closed[1:]), 1), width, colour)


def _roof(sheet: Sheet, manner: Manner, x: float, y: float, half: float, tall: float, top: float, pen: float) -> None:
    """A roof with swept eaves whose ridge is `top` of its width; y is the eaves' height."""
    t = np.linspace(0, 1, 7)
    sweep = t**1.7
    left = np.stack((x - half * (top + (1 - top) * t), y - tall * (1 - sweep) - tall * 0.10 * t**6), 1)
    right = np.stack((2 * x - left[:, 0], left[:, 1]), 1)
    under = np.array(((x + half * 0.8, y - tall * 0.02), (x - half * 0.8, y - tall * 0.02)))
    shape = np.concatenate((left[::-1], right, under))
    colour = mix(manner.roof, _WHITE, 0.9) if manner.snow else manner.roof
    sheet.polygon(shape, colour)
    ribs = np.linspace(-0.85, 0.85, 9)
    if sheet.canvas.detail(half, 26) >= 1:
        start = np.stack((x + ribs * half * top, np.full(9, y - tall * 0.97)), 1)
        end = np.stack((x + ribs * half * 0.93, np.full(9, y - tall * 0.06)), 1)
        sheet.lines(np.stack((start, end), 1), pen * 0.6, mix(colour, manner.ink, 0.45))
    _edges(sheet, shape, pen, manner.ink)


@shows("buildings")
def paint_house(
    canvas: Canvas, manner: Manner, x: float, y: float, size: float, face: int = 1, lit: bool = False
) -> None:
    """A thatched cottage seen from a corner: its gable looks to `face`, its front's floor is at y."""
    sheet = canvas.sheet(x - size, y - size, x + size, y + size * 0.2)
    pen = max(0.0009, size * 0.012)

    def at(*points: tuple[float, float]) -> np.ndarray:
        return np.array([(x + face * px * size, y - py * size) for px, py in points])

    gable = at((0.18, 0.0), (0.44, 0.07), (0.44, 0.27), (0.31, 0.47), (0.18, 0.22))
    front = at((-0.42, 0.0), (0.18, 0.0), (0.18, 0.22), (-0.42, 0.22))
    thatch = at((-0.50, 0.17), (0.22, 0.17), (0.33, 0.50), (-0.36, 0.50))
    behind = at((0.33, 0.50), (0.28, 0.49), (0.42, 0.23), (0.49, 0.24))
    door = at((-0.20, 0.0), (-0.03, 0.0), (-0.03, 0.17), (-0.20, 0.17))
    straw = mix(manner.roof, _WHITE, 0.92) if manner.snow else mix(manner.roof, manner.foot, 0.35)
    for shape, colour in ((gable, mix(manner.wall, manner.ink, 0.16)), (front, manner.wall)):
        sheet.polygon(shape, colour)
        _edges(sheet, shape, pen, manner.ink)
    sheet.polygon(door, mix(manner.trunk, manner.ink, 0.4))
    for shape in (behind, thatch):
        sheet.polygon(shape, straw)
        _edges(sheet, shape, pen, manner.ink)
    if canvas.detail(size, 50) >= 1:
        share = np.linspace(0.06, 0.94, 12)[:, None]
        ribs = np.stack((thatch[3] + (thatch[2] - thatch[3]) * share, thatch[0] + (thatch[1] - thatch[0]) * share), 1)
        sheet.lines(ribs, pen * 0.6, mix(straw, manner.ink, 0.35))
    sheet.lay()
    if lit:
        lamp = canvas.sheet(x - size, y - size, x + size, y)
        lamp.polygon(door, _LAMP)
        lamp.polygon(at((0.26, 0.10), (0.36, 0.13), (0.36, 0.22), (0.26, 0.19)), _LAMP)
        lamp.lay(spare=True)


@shows("buildings")
def paint_pavilion(
    canvas: Canvas, manner: Manner, x: float, y: float, size: float, storeys: int = 1, lit: bool = False
) -> None:
    """An open pavilion with swept roofs and red or dark posts; y is its floor."""
    sheet = canvas.sheet(x - size, y - size * (0.9 + 0.6 * storeys), x + size, y + size * 0.2)
    pen = max(0.0010, size * 0.012)
    post = mix(manner.seal, manner.trunk, 0.45) if manner.robe[1][0] - manner.robe[1][2] > 0.2 else manner.ink
    floor, half = y, size * 0.42
    base = np.array(
        (
            (x - half * 1.15, floor + size * 0.06),
            (x + half * 1.15, floor + size * 0.06),
            (x + half * 1.1, floor),
            (x - half * 1.1, floor),
        )
    )
    sheet.polygon(base, manner.wall)
    _edges(sheet, base, pen, manner.ink)
    for storey in range(storeys):
        tall = size * 0.34 * (1 - 0.12 * storey)
        inside = np.array(((x - half, floor), (x + half, floor), (x + half, floor - tall), (x - half, floor - tall)))
        sheet.polygon(inside, _LAMP if lit else mix(manner.wall, manner.mist, 0.4), 0.9)
        for share in (-1.0, -0.36, 0.36, 1.0):
            sheet.lines(np.array((((x + share * half, floor), (x + share * half, floor - tall)),)), pen * 1.9, post)
        sheet.lines(np.array((((x - half, floor - tall * 0.28), (x + half, floor - tall * 0.28)),)), pen, post)
        last = storey == storeys - 1
        _roof(
            sheet,
            manner,
            x,
            floor - tall * 0.92,
            half * 1.6,
            size * (0.34 if last else 0.18),
            0.1 if last else 0.6,
            pen,
        )
        floor -= tall + size * (0.06 if last else 0.12)
        half *= 0.8
    sheet.dots(np.array(((x, floor - size * 0.24),)), np.array(((size * 0.025, size * 0.035),)), (manner.ink,))
    sheet.lay(spare=False)
    if lit:
        lamp = canvas.sheet(x - size, y - size, x + size, y)
        inner = size * 0.40
        lamp.polygon(
            np.array(
                (
                    (x - inner, y - size * 0.02),
                    (x + inner, y - size * 0.02),
                    (x + inner, y - size * 0.26),
                    (x - inner, y - size * 0.26),
                )
            ),
            _LAMP,
            0.75,
        )
        lamp.lay(spare=True)


@shows("buildings")
def paint_pagoda(canvas: Canvas, manner: Manner, x: float, y: float, size: float, storeys: int = 7) -> None:
    """A pagoda of `size` units in height whose foot is at y."""
    sheet = canvas.sheet(x - size * 0.4, y - size * 1.25, x + size * 0.4, y + size * 0.05)
    pen = max(0.0009, size * 0.006)
    each, half, floor = size / storeys, size * 0.13, y
    for storey in range(storeys):
        h = half * (1 - 0.55 * storey / storeys)
        body = np.array(((x - h, floor), (x + h, floor), (x + h * 0.95, floor - each), (x - h * 0.95, floor - each)))
        sheet.polygon(body, manner.wall)
        _edges(sheet, body, pen, manner.ink)
        sheet.polygon(
            np.array(
                (
                    (x - h * 0.22, floor - each * 0.1),
                    (x + h * 0.22, floor - each * 0.1),
                    (x + h * 0.22, floor - each * 0.6),
                    (x - h * 0.22, floor - each * 0.6),
                )
            ),
            manner.ink,
            0.8,
        )
        _roof(sheet, manner, x, floor - each * 0.75, h * 1.65, each * 0.42, 0.5, pen)
        floor -= each
    sheet.lines(np.array((((x, floor), (x, floor - size * 0.13)),)), pen * 2, manner.ink)
    sheet.lay()


@shows("buildings")
def paint_bridge(canvas: Canvas, manner: Manner, x0: float, x1: float, y: float, rise: float) -> None:
    """An arched bridge from x0 to x1 whose ends stand at y."""
    sheet = canvas.sheet(x0 - 0.02, y - rise - 0.06, x1 + 0.02, y + 0.08)
    t = np.linspace(0, 1, 17)
    arch = np.sin(t * np.pi) ** 0.8
    top = np.stack((x0 + (x1 - x0) * t, y - rise * arch), 1)
    thick = (x1 - x0) * 0.055
    pen = max(0.0011, (x1 - x0) * 0.009)
    plank = mix(manner.boat, manner.wall, 0.35) if not manner.snow else _WHITE
    for share in (0.2, 0.4, 0.6, 0.8):
        i = int(share * 16)
        sheet.lines(
            np.array(((top[i], (top[i, 0], y + (x1 - x0) * 0.1)),)), pen * 1.8, mix(manner.trunk, manner.ink, 0.3)
        )
    deck = np.concatenate((top, (top + np.array((0.0, thick)))[::-1]))
    sheet.polygon(deck, plank)
    _edges(sheet, deck, pen, manner.ink)
    rail = top - (0, thick * 1.7)
    sheet.lines(
        np.stack((rail[:-1], rail[1:]), 1), pen, mix(manner.seal, manner.trunk, 0.5) if manner.flat else manner.ink
    )
    sheet.lines(np.stack((top[::2], rail[::2]), 1), pen * 0.9, manner.ink)
    sheet.lay()


@shows("figures")
def paint_boat(
    canvas: Canvas, manner: Manner, x: float, y: float, size: float, face: int = 1, sail: bool = False
) -> None:
    """A boat of `size` units in length with a fisherman; `face` is 1 to the right and -1 to the left."""
    sheet = canvas.sheet(x - size * 0.8, y - size * 1.1, x + size * 0.8, y + size * 0.25)
    pen = max(0.0011, size * 0.010)
    t = np.linspace(-1, 1, 15)
    rim = np.stack((x + face * t * size * 0.5, y - size * (0.11 * np.abs(t) ** 2.6 + 0.02 * t)), 1)
    keel = np.stack((x + face * t * size * 0.44, y + size * 0.075 * (1 - t**4) - size * 0.05 * np.abs(t) ** 3), 1)
    water = np.stack((x + t * size * 0.62, y + size * (0.105 + 0.012 * np.sin(t * 9))), 1)
    sheet.stroke(water, size * 0.02 * (1 - t * t), mix(manner.water, manner.ink, 0.5), 0.45)
    hull = np.concatenate((rim, keel[::-1]))
    sheet.polygon(hull, manner.boat)
    sheet.stroke(rim, pen * 1.3, manner.ink)
    sheet.stroke(keel, pen * 1.6, manner.ink)
    if sail:
        mast = x + face * size * 0.05
        cloth = np.array(
            (
                (mast - size * 0.2, y - size * 0.95),
                (mast + size * 0.2, y - size * 0.98),
                (mast + size * 0.24, y - size * 0.2),
                (mast - size * 0.22, y - size * 0.22),
            )
        )
        sheet.lines(np.array((((mast, y), (mast, y - size * 1.05)),)), pen * 2, manner.ink)
        sheet.polygon(cloth, mix(manner.wall, _WHITE, 0.4))
        _edges(sheet, cloth, pen, manner.ink)
        for share in (0.25, 0.5, 0.75):
            row = cloth[0] + (cloth[3] - cloth[0]) * share, cloth[1] + (cloth[2] - cloth[1]) * share
            sheet.lines(np.array((row,)), pen * 0.7, mix(manner.ink, manner.wall, 0.4))
    else:
        a = np.linspace(0, np.pi, 11)
        cover = np.stack(
            (x - face * size * 0.06 + np.cos(a) * size * 0.17, y - size * 0.02 - np.sin(a) * size * 0.15), 1
        )
        sheet.polygon(cover, mix(manner.roof, manner.wall, 0.35) if not manner.snow else _WHITE)
        _edges(sheet, cover, pen, manner.ink)
    _figure(sheet, manner, x + face * size * 0.27, y - size * 0.03, size * 0.26, 0)
    hand = (x + face * size * 0.30, y - size * 0.16)
    rod = np.array((hand, (x + face * size * 0.55, y - size * 0.30), (x + face * size * 0.74, y - size * 0.26)))
    sheet.stroke(rod, pen * 0.8, manner.ink)
    sheet.lay()


def _figure(sheet: Sheet, manner: Manner, x: float, y: float, tall: float, robe: int) -> None:
    pen = max(0.0009, tall * 0.035)
    body = np.array(
        (
            (x - tall * 0.20, y),
            (x + tall * 0.20, y),
            (x + tall * 0.13, y - tall * 0.52),
            (x + tall * 0.04, y - tall * 0.70),
            (x - tall * 0.05, y - tall * 0.70),
            (x - tall * 0.15, y - tall * 0.5),
        )
    )
    sheet.polygon(body, manner.robe[robe % len(manner.robe)])
    _edges(sheet, body, pen, manner.ink)
    sheet.dots(
        np.array(((x, y - tall * 0.80),)),
        np.array(((tall * 0.085, tall * 0.10),)),
        (mix(manner.wall, (0.85, 0.6, 0.45), 0.45),),
    )
    hat = np.array(((x - tall * 0.24, y - tall * 0.84), (x + tall * 0.24, y - tall * 0.84), (x, y - tall * 1.04)))
    sheet.polygon(hat, mix(manner.boat, manner.wall, 0.45))
    _edges(sheet, hat, pen * 0.8, manner.ink)


@shows("figures")
def paint_figure(
    canvas: Canvas, manner: Manner, x: float, y: float, tall: float, robe: int = 0, staff: int = 1
) -> None:
    """A traveller with a hat and a staff; y is the ground."""
    sheet = canvas.sheet(x - tall, y - tall * 1.3, x + tall, y + tall * 0.1)
    stick = np.array((((x + staff * tall * 0.28, y), (x + staff * tall * 0.22, y - tall * 0.95)),))
    sheet.lines(stick, max(0.0010, tall * 0.03), manner.ink)
    _figure(sheet, manner, x, y, tall, robe)
    sheet.lay()


@shows("figures")
def paint_geese(
    canvas: Canvas, manner: Manner, dice: np.random.Generator, x: float, y: float, size: float, count: int
) -> None:
    """A skein of geese in flight."""
    sheet = canvas.sheet(x - 0.6, y - 0.3, x + 0.6, y + 0.4)
    t = np.linspace(-1, 1, 9)
    for i in range(count):
        arm, rank = (1 if i % 2 else -1), (i + 1) // 2
        cx = x + rank * size * 1.9 + dice.normal(0, 0.25) * size
        cy = y + arm * rank * size * 0.62 + rank * size * 0.3 + dice.normal(0, 0.2) * size
        beat = dice.uniform(0.25, 0.8)
        wing = np.stack(
            (cx + t * size * 0.62, cy - size * beat * (np.abs(t) ** 0.8) * 0.55 + size * 0.25 * t * t * beat), 1
        )
        sheet.stroke(wing, size * 0.11 * (1 - 0.8 * np.abs(t)), manner.ink, 0.9)
        body = np.stack((cx + np.linspace(-0.5, 0.42, 7) * size, cy + np.linspace(-0.06, 0.04, 7) * size), 1)
        sheet.stroke(body, size * np.array((0.03, 0.05, 0.06, 0.14, 0.17, 0.12, 0.03)), manner.ink, 0.95)
    sheet.lay()
