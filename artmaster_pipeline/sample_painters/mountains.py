"""The shapes of land: a hill's contour, mountains made of many, where trees can stand on them, moss."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.sample_painters.canvas import Canvas, mix
from artmaster_pipeline.sample_painters.chance import apart
from artmaster_pipeline.sample_painters.manners import Manner


@dataclass(frozen=True)
class Hill:
    """One contour with what lies below it, in units. `far` is 0 at the viewer's feet and 1 at the horizon."""

    x: float
    top: float
    base: float
    left: float  # half widths at the base
    right: float
    power: float  # below 1 concave like a sacred cone, 1 straight, 2 rounded, 4 a pillar
    hue: float  # 0..1 between the two pigments
    far: float
    rough: float = 1.0
    melt: float = 0.55  # the share of its height from which it dissolves into mist; above 1 never

    def contour(self, x: np.ndarray) -> np.ndarray:
        """The contour's y at x, before the hand wavers."""
        reach = np.where(x < self.x, self.left, self.right)
        return self.top + (self.base - self.top) * np.minimum(np.abs(x - self.x) / reach, 1.2) ** self.power


def massif(
    dice: np.random.Generator,
    x: float,
    top: float,
    base: float,
    half: float,
    tiers: int,
    far: float,
    power: float,
) -> list[Hill]:
    """A mountain as hills from the back to the front: the peak, then tiers of shoulders, each lower, wider, nearer."""
    height = base - top
    peak = Hill(
        x, top, base, half * dice.uniform(0.6, 0.9), half * dice.uniform(0.6, 0.9), power, dice.random(), far, melt=0.6
    )
    hills = [peak]
    for tier in range(1, tiers):
        t = tier / tiers
        count = 1 + tier + int(dice.integers(0, 2))
        spread = half * (0.30 + 0.75 * t)
        places = (np.arange(count) + dice.uniform(0.15, 0.85, count)) / count * 2 - 1
        for place in dice.permutation(places):
            at = x + place * spread
            envelope = float(peak.contour(np.array([at]))[0])
            y = max(top + height * (0.06 + 0.86 * t) + dice.normal(0, 0.07) * height, envelope + 0.02)
            tall = height * dice.uniform(0.30, 0.62) * (1.15 - 0.5 * t)
            wide = half * dice.uniform(0.22, 0.58) * (1.15 - 0.25 * t)
            down = min(y + tall, base + 0.015 * height)
            if down - y < 0.1 * height:
                continue
            hills.append(
                Hill(
                    at,
                    y,
                    down,
                    wide * dice.uniform(0.7, 1.3),
                    wide * dice.uniform(0.7, 1.3),
                    power**0.6 * dice.uniform(0.8, 1.3),
                    dice.random(),
                    max(0.0, far - 0.12 * t),
                    melt=0.5,
                )
            )
    return hills


def ridge(
    dice: np.random.Generator, x0: float, x1: float, base: float, height: float, count: int, far: float, power: float
) -> list[Hill]:
    """A row of hills along one base line."""
    hills = []
    for i in range(count):
        x = x0 + (x1 - x0) * (i + dice.uniform(0.1, 0.9)) / count
        tall = height * dice.uniform(0.45, 1.0)
        wide = max((x1 - x0) / count * dice.uniform(0.7, 1.5), tall * 0.45)
        down = base + dice.normal(0, 0.04) * height
        hills.append(
            Hill(
                x,
                down - tall,
                down,
                wide * dice.uniform(0.7, 1.3),
                wide * dice.uniform(0.7, 1.3),
                power * dice.uniform(0.8, 1.2),
                dice.random(),
                far,
            )
        )
    return sorted(hills, key=lambda hill: hill.base)


def hand_of(hill: Hill) -> tuple[np.float32, np.float32]:
    """How far the hill's form leans and its contour shakes, in units."""
    size = min(hill.base - hill.top, 0.7)
    return np.float32(hill.rough * (0.006 + 0.075 * size)), np.float32(hill.rough * (0.004 + 0.018 * size))


def on_contour(canvas: Canvas, hill: Hill, x: np.ndarray) -> np.ndarray:
    """The y of the contour as it is drawn, leaning and shaking, at each x."""
    lean, shake = hand_of(hill)
    y = hill.contour(x)
    hand = (canvas.sway_x, canvas.waver_x, canvas.sway_y, canvas.waver_y)
    for _ in range(3):
        sway_x, waver_x, sway_y, waver_y = canvas.at(hand, x, y)
        target = hill.contour(x + sway_x * lean + waver_x * shake)
        y = 0.4 * y + 0.6 * (target - sway_y * lean - waver_y * shake)
    return y


def contour_points(canvas: Canvas, hill: Hill, dice: np.random.Generator, count: int, reach: float = 0.6) -> np.ndarray:
    """Places on a hill where trees can stand, at its contour or a little below: (count, 2)."""
    t = dice.uniform(-reach, reach, count)
    x = hill.x + np.where(t < 0, t * hill.left, t * hill.right)
    return np.stack((x, on_contour(canvas, hill, x) + dice.uniform(0.004, 0.02, count)), 1)


def dot_moss(canvas: Canvas, hill: Hill, manner: Manner, dice: np.random.Generator, count: int) -> None:
    """Moss dots along the contour and down the slope, the accents that bind a hill together."""
    dice = apart(dice)
    size = 0.0036 * (1.0 - 0.5 * hill.far)
    count = int(count * canvas.detail(size, 1.0) ** 2)
    if count < 2 or canvas.detail(size, 1.0) < 0.4:
        return
    t = dice.uniform(-0.8, 0.8, count)
    x = hill.x + np.where(t < 0, t * hill.left, t * hill.right)
    y = on_contour(canvas, hill, x) + np.abs(dice.normal(0, 0.07, count)) ** 1.5 * (hill.base - hill.top)
    dry_land = y < hill.top + 0.62 * (hill.base - hill.top)
    if dry_land.sum() < 2:
        return
    x, y, count = x[dry_land], y[dry_land], int(dry_land.sum())
    sheet = canvas.sheet(float(x.min()) - 0.02, float(y.min()) - 0.02, float(x.max()) + 0.02, float(y.max()) + 0.02)
    radii = size * dice.uniform(0.5, 1.2, (count, 1)) * (1.25, 0.75)
    tone = mix(mix(manner.leaves[2], manner.ink, 0.55), manner.mist, hill.far * 0.55)
    sheet.dots(np.stack((x, y), 1), radii, (tone, mix(tone, manner.ink, 0.5)), 0.8)
    sheet.lay(dry=manner.dry * 0.4)
