"""Pictures of plants near by: the branch with its bird, bamboo, reeds."""

import numpy as np

from artmaster_pipeline.sample_painters.canvas import Canvas, Colour, Sheet, mix, shows, supple
from artmaster_pipeline.sample_painters.manners import Manner
from artmaster_pipeline.sample_painters.scenes import Scene

_WHITE: Colour = (0.98, 0.98, 0.97)


@shows("trees")
def paint_branch(canvas: Canvas, manner: Manner, scene: Scene) -> None:
    """A branch from the side the composition names, dressed by the season, with a bird on it."""
    dice = canvas.dice("branch")
    side = -1 if scene.composition == "right-weighted" else 1
    high = {"towering": 0.80, "level": 0.45}.get(scene.composition, 0.62) * canvas.bottom
    start = np.array((-0.05 if side > 0 else canvas.right + 0.05, high))
    steps = 9
    rise = -0.75 if scene.composition == "towering" else -0.32
    turns = rise + dice.normal(0, 0.36, steps)
    long = canvas.right * 0.95 if scene.composition != "towering" else canvas.bottom * 0.85
    path = np.stack((side * np.cos(turns), np.sin(turns)), 1) * long / steps
    main = np.concatenate((start[None], start + path.cumsum(0)))
    sheet = canvas.sheet(0, 0, canvas.right, canvas.bottom)
    twigs = _twigs(dice, main, side, long)
    _wood(sheet, manner, dice, main, twigs)
    _dress(sheet, manner, dice, scene, twigs)
    sheet.lay(dry=0.0 if manner.flat else manner.dry * 0.5)
    perch = main[5] if scene.composition != "towering" else main[4]
    _bird(canvas, manner, dice, float(perch[0]), float(perch[1]) - 0.012, 0.17, -side)


def _twigs(dice: np.random.Generator, main: np.ndarray, side: int, long: float) -> list[np.ndarray]:
    twigs = []
    for i in range(2, len(main)):
        for up in (-1, 1):
            if dice.random() < 0.2:
                continue
            angle = up * dice.uniform(0.4, 1.15) - 0.15
            turns = angle + dice.normal(0, 0.22, 6).cumsum() * 0.5
            size = long * dice.uniform(0.14, 0.36) * (1.15 - 0.06 * i)
            path = np.stack((side * np.cos(turns), np.sin(turns)), 1) * size / 6
            at = main[i] - (main[i] - main[i - 1]) * dice.random()
            twigs.append(np.concatenate((at[None], at + path.cumsum(0))))
    return twigs


def _wood(sheet: Sheet, manner: Manner, dice: np.random.Generator, main: np.ndarray, twigs: list[np.ndarray]) -> None:
    bark = mix(manner.trunk, manner.ink, 0.25)
    knots = 1 + 0.25 * np.abs(dice.normal(0, 1, len(main)))
    main, widths = supple(main, np.linspace(0.040, 0.010, len(main)) * knots)
    if manner.key_lines:
        sheet.stroke(main, widths + 0.005, manner.ink)
    for twig in twigs:
        sheet.stroke(twig, np.linspace(0.0085, 0.0022, len(twig)), bark)
    sheet.stroke(main, widths, bark)
    sheet.stroke(main - (0, 0.006), widths * 0.3, mix(bark, manner.ground, 0.3), 0.8)
    if manner.snow:
        sheet.stroke(main - (0, 0.012), widths * 0.55, _WHITE)
        for twig in twigs[::2]:
            sheet.stroke(twig - (0, 0.003), np.linspace(0.006, 0.001, len(twig)), _WHITE)


def _dress(sheet: Sheet, manner: Manner, dice: np.random.Generator, scene: Scene, twigs: list[np.ndarray]) -> None:
    spots = np.concatenate([twig[2:] for twig in twigs])
    if scene.season in ("spring", "winter"):
        share = 0.9 if scene.season == "spring" else 0.3
        spots = np.repeat(spots, 2, 0) + dice.normal(0, 0.012, (2 * len(spots), 2))
        buds = spots[dice.random(len(spots)) < 0.25]
        bud = manner.blossom[1] if scene.season == "spring" else manner.seal
        if scene.style == "ink":
            bud = manner.leaves[1]
        sheet.dots(buds, np.full((len(buds), 2), 0.0062) * (0.8, 1.1), (mix(bud, manner.ink, 0.15),))
        for spot in spots[dice.random(len(spots)) < share * 0.62]:
            _blossom(sheet, manner, dice, spot + dice.normal(0, 0.006, 2), dice.uniform(0.017, 0.027), scene)
        return
    for spot in spots:
        for _ in range(2):
            _leaf(sheet, manner, dice, spot, dice.uniform(0.05, 0.085), dice.uniform(-0.6, 2.2))


def _blossom(
    sheet: Sheet, manner: Manner, dice: np.random.Generator, at: np.ndarray, size: float, scene: Scene
) -> None:
    colours = manner.blossom if scene.season == "spring" else (manner.seal, mix(manner.seal, _WHITE, 0.25))
    if scene.style == "ink":
        colours = manner.blossom if scene.season == "spring" else (manner.leaves[1], manner.leaves[0])
    turn, squash = dice.uniform(0, 6.28), dice.uniform(0.55, 1.0)
    angle = turn + np.arange(5) * 2 * np.pi / 5
    petals = at + np.stack((np.cos(angle), np.sin(angle) * squash), 1) * size * 0.62
    radii = np.full((5, 2), size * 0.5) * (1.0, 0.55 + 0.45 * squash)
    colour = colours[int(dice.integers(0, len(colours)))]
    edge = mix(colour, manner.ink, 0.55)
    sheet.dots(petals, radii + 0.0011, (edge,))
    sheet.dots(petals, radii, (colour,))
    sheet.dots(
        petals + (at - petals) * 0.55,
        radii * 0.5,
        (mix(colour, manner.seal, 0.3) if scene.style != "ink" else mix(colour, manner.ink, 0.2),),
        1.0,
    )
    spokes = turn + np.arange(7) * 0.9
    tips = at + np.stack((np.cos(spokes), np.sin(spokes) * squash), 1) * size * 0.45
    sheet.lines(np.stack((np.repeat(at[None], 7, 0), tips), 1), 0.0009, edge)
    sheet.dots(
        tips, np.full((7, 2), size * 0.055), (mix(manner.ink, (0.8, 0.6, 0.2), 0.5 if scene.style != "ink" else 0.0),)
    )


def _leaf(sheet: Sheet, manner: Manner, dice: np.random.Generator, at: np.ndarray, size: float, angle: float) -> None:
    t = np.linspace(0, 1, 9)
    bend = dice.normal(0, 0.35)
    turns = angle + bend * t
    spine = at + np.stack((np.cos(turns), np.sin(turns)), 1) * (t * size)[:, None]
    widths = size * 0.40 * np.sin(np.pi * t**0.8) + 0.0008
    colour = manner.leaves[int(dice.integers(0, len(manner.leaves)))]
    if manner.support != "paper":
        sheet.stroke(spine, widths + 0.0022, mix(colour, manner.ink, 0.6))
    sheet.stroke(spine, widths, colour, 0.95)
    sheet.stroke(spine, 0.0012, mix(colour, manner.ink, 0.5))


@shows("figures")
def _bird(
    canvas: Canvas, manner: Manner, dice: np.random.Generator, x: float, y: float, size: float, face: int
) -> None:
    """A perched bird, `size` long, feet at (x, y), looking to `face`."""
    sheet = canvas.sheet(x - size, y - size, x + size, y + size)

    def at(*points: tuple[float, float]) -> np.ndarray:
        return np.array([(x + face * px * size, y - py * size) for px, py in points])

    back = mix(manner.robe[2], manner.ink, 0.25)
    belly = mix(manner.wall, manner.robe[1] if manner.support != "paper" else manner.wall, 0.35)
    sheet.polygon(at((-0.20, 0.20), (-0.62, -0.28), (-0.54, -0.34), (-0.10, 0.08)), manner.ink)
    t = np.linspace(0, 2 * np.pi, 28)
    body = at(
        *zip(
            (-0.02 + 0.27 * np.cos(t) * np.cos(0.7) - 0.18 * np.sin(t) * np.sin(0.7)).tolist(),
            (0.22 + 0.27 * np.cos(t) * np.sin(0.7) + 0.18 * np.sin(t) * np.cos(0.7)).tolist(),
            strict=True,
        )
    )
    sheet.polygon(body, belly)
    _ring(sheet, body, manner)
    wing = at((0.10, 0.36), (-0.05, 0.38), (-0.24, 0.16), (-0.42, -0.10), (-0.18, 0.02), (0.02, 0.14))
    sheet.polygon(wing, back)
    for share in (0.25, 0.5, 0.75):
        feather = np.array((wing[1] + (wing[5] - wing[1]) * share, wing[2] + (wing[4] - wing[2]) * share))
        sheet.lines(feather[None], 0.0016, mix(back, _WHITE, 0.5))
    head = at((0.23, 0.47))
    sheet.dots(head, np.array(((size * 0.145, size * 0.135),)), (manner.ink,))
    sheet.dots(head, np.array(((size * 0.135, size * 0.125),)), (back,))
    sheet.dots(at((0.27, 0.42)), np.array(((size * 0.07, size * 0.06),)), (mix(belly, _WHITE, 0.6),))
    sheet.polygon(at((0.34, 0.52), (0.48, 0.46), (0.35, 0.43)), manner.ink)
    sheet.dots(at((0.27, 0.50)), np.full((1, 2), size * 0.030), (_WHITE,))
    sheet.dots(at((0.275, 0.50)), np.full((1, 2), size * 0.018), (manner.ink,))
    sheet.lines(np.stack((at((0.0, 0.05), (0.08, 0.06)), at((0.02, -0.06), (0.10, -0.05))), 1), 0.0026, manner.ink)
    sheet.lay(dry=0.0 if manner.flat else manner.dry * 0.25)


def _ring(sheet: Sheet, points: np.ndarray, manner: Manner) -> None:
    closed = np.concatenate((points, points[:1]))
    sheet.stroke(closed, 0.0018, manner.ink)


@shows("trees")
def paint_bamboo(canvas: Canvas, manner: Manner, scene: Scene) -> None:
    """Stalks of bamboo, pale ones behind and dark ones before, with leaves in hanging groups."""
    dice = canvas.dice("bamboo")
    middle, wide = {
        "left-weighted": (0.25, 0.20), "right-weighted": (0.75, 0.20), "towering": (0.5, 0.28), "level": (0.5, 0.42),
    }[scene.composition]  # fmt: skip
    count = {"towering": 7, "level": 10}.get(scene.composition, 6)
    for i in range(count):
        near = i / (count - 1)
        x = (middle + dice.uniform(-wide, wide)) * canvas.right
        height = canvas.bottom * (dice.uniform(0.75, 1.15) if scene.composition != "level" else dice.uniform(0.5, 0.8))
        _stalk(canvas, manner, dice, x, height, 1 - near)


def _stalk(canvas: Canvas, manner: Manner, dice: np.random.Generator, x: float, height: float, far: float) -> None:
    sheet = canvas.sheet(x - 0.6, 0, x + 0.6, canvas.bottom)
    green = mix(manner.needles, manner.leaves[0], 0.4 if manner.season_green else 0.15)
    colour = mix(mix(green, manner.ink, 0.15), manner.mist, 0.72 * far)
    joints, lean = 9, dice.normal(0, 0.10)
    t = np.linspace(0, 1, joints + 1)
    px = x + height * (lean * t + 0.10 * lean * t**3 * 3)
    py = canvas.bottom + 0.02 - height * t
    thick = (0.030 - 0.012 * far) * (1 - 0.55 * t)
    for i in range(joints):
        a, b = np.array((px[i], py[i])), np.array((px[i + 1], py[i + 1]))
        gap = (b - a) * 0.035
        s = np.linspace(0, 1, 7)[:, None]
        points = a + gap + (b - a - 2 * gap) * s
        swell = 1 + 0.18 * (np.abs(s[:, 0] * 2 - 1) ** 4)
        if manner.key_lines:
            sheet.stroke(points, thick[i] * swell + 0.004, mix(manner.ink, manner.mist, 0.6 * far))
        sheet.stroke(points, thick[i] * swell, mix(colour, manner.ground, 0.25))
        sheet.stroke(points - (thick[i] * 0.28, 0), thick[i] * 0.3, colour, 0.9)
        ring = np.array(((a[0] - thick[i] * 0.7, a[1]), (a[0], a[1] - 0.003), (a[0] + thick[i] * 0.7, a[1])))
        sheet.stroke(ring, 0.0028, mix(manner.ink, manner.mist, 0.6 * far))
        if manner.snow and far < 0.6:
            sheet.dots(a[None], np.array(((thick[i] * 0.8, 0.005),)), (_WHITE,))
    sheet.lay(dry=0.0 if manner.flat else manner.dry * 0.5)
    leaves = canvas.sheet(0, 0, canvas.right, canvas.bottom)
    for i in range(3, joints + 1):
        for _ in range(int(dice.integers(1, 4))):
            _spray(leaves, manner, dice, (px[i], py[i]), far)
    leaves.lay(dry=0.0 if manner.flat else manner.dry * 0.4)


def _spray(sheet: Sheet, manner: Manner, dice: np.random.Generator, at: tuple[float, float], far: float) -> None:
    side = 1 if dice.random() < 0.5 else -1
    long = dice.uniform(0.05, 0.16)
    angle = dice.uniform(-0.7, 0.5)
    tip = (at[0] + side * long * np.cos(angle), at[1] + long * np.sin(angle))
    green = manner.leaves[int(dice.integers(0, 3))]
    if not manner.season_green:
        green = mix(manner.needles, green, 0.3)  # bamboo stays green, and yellows a little in autumn
    colour = mix(green, manner.mist, 0.72 * far)
    sheet.stroke(np.array((at, ((at[0] + tip[0]) / 2, (at[1] + tip[1]) / 2 - 0.008), tip)), 0.0026, colour)
    t = np.linspace(0, 1, 7)
    for _ in range(int(dice.integers(4, 8) * (1 - 0.35 * manner.bare))):
        start = np.array(at) + (np.array(tip) - np.array(at)) * dice.uniform(0.5, 1.0)
        size = dice.uniform(0.07, 0.15) * (1 - 0.3 * far)
        turn = 1.1 + dice.normal(0, 0.42) if side > 0 else np.pi - 1.1 + dice.normal(0, 0.42)
        turns = turn + dice.normal(0, 0.12) * t
        spine = start + np.stack((np.cos(turns), np.sin(turns)), 1) * (t * size)[:, None]
        widths = size * 0.17 * np.sin(np.pi * t**0.7) * (1 - 0.3 * t) + 0.0006
        if manner.key_lines:
            sheet.stroke(spine, widths + 0.0024, mix(manner.ink, manner.mist, 0.6 * far))
        sheet.stroke(spine, widths, colour, 0.93)
        if manner.snow and far < 0.6 and dice.random() < 0.7:
            sheet.stroke(spine[:5] - (0, size * 0.03), widths[:5] * 0.6, _WHITE)


@shows("trees")
def paint_reeds(
    canvas: Canvas,
    manner: Manner,
    x0: float,
    x1: float,
    y: float,
    height: float,
    count: int,
    far: float,
    part: str,
) -> None:
    """Reeds whose feet stand about y, all bent by one wind, some with plumes."""
    dice = canvas.dice(part)
    sheet = canvas.sheet(x0 - height, y - height * 1.3, x1 + height, y + 0.08)
    t = np.linspace(0, 1, 8)
    stem = manner.leaves[2] if manner.season_green else mix(manner.trunk, manner.foot, 0.35)
    plume_colour = _WHITE if manner.snow else mix(manner.foot, manner.mist, 0.55)
    wind = dice.uniform(0.2, 0.45) * (1 if dice.random() < 0.5 else -1)
    middle, wide = (x0 + x1) / 2, (x1 - x0) / 2
    for _ in range(count):
        x = middle + wide * float(np.clip(dice.normal(0, 0.45), -1, 1))
        foot = y + dice.normal(0, 0.012)
        tall, bend = height * dice.uniform(0.45, 1.1), wind + dice.normal(0, 0.13)
        points = np.stack((x + bend * tall * t**2.0, foot - tall * t * (1 - 0.25 * t * abs(bend))), 1)
        colour = mix(mix(stem, manner.ink, dice.uniform(0.0, 0.45)), manner.mist, far * 0.6)
        sheet.stroke(points, height * 0.014 * (1 - 0.75 * t), colour, 0.95)
        for _ in range(3):
            root = points[int(dice.integers(1, 6))]
            turn = -np.pi / 2 + np.sign(wind) * dice.uniform(-0.15, 0.6)
            fall = np.sign(wind) * dice.uniform(0.5, 1.5)
            blade = root + np.stack((np.cos(turn + fall * t), np.sin(turn + fall * t)), 1) * (t * tall * 0.5)[:, None]
            sheet.stroke(blade, height * 0.026 * np.sin(np.pi * t**0.6) + 0.0006, colour, 0.93)
        if dice.random() < 0.35:
            _plume(
                sheet, dice, points[-1], height * 0.18, float(np.sign(wind)), mix(plume_colour, manner.mist, far * 0.5)
            )
    sheet.lay(dry=0.0 if manner.flat else manner.dry * 0.5)


def _plume(sheet: Sheet, dice: np.random.Generator, at: np.ndarray, size: float, side: float, colour: Colour) -> None:
    t = np.linspace(0, 1, 5)
    turn = -np.pi / 2 + side * dice.uniform(0.5, 1.7, (9, 1)) + side * 0.7 * t
    hairs = at + np.stack((np.cos(turn), np.sin(turn)), 2) * (t * size)[:, None]
    sheet.strokes(hairs, size * 0.06 * (1 - 0.6 * t), (colour,), 0.9)
