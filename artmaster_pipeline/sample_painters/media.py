"""Media that repaint a finished picture: oil in dabs that follow the forms, gouache in matt strokes, airbrush."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from artmaster_pipeline.sample_painters.canvas import Canvas, Plane


def repaint(canvas: Canvas, medium: str) -> None:
    """Turn the picture on the canvas into the medium's own; an empty name leaves it as it is."""
    if medium == "oil":
        _dab(canvas, (0.034, 0.019, 0.0105), spread=0.062)
        _emboss(canvas, 0.55)
    elif medium == "gouache":
        _dab(canvas, (0.030, 0.013), spread=0.030)
        _emboss(canvas, 0.12)
    elif medium == "airbrush":
        _soften(canvas)


def _dab(canvas: Canvas, sizes: tuple[float, ...], spread: float) -> None:
    """Repaint in dabs, coarse ones first, finer ones only where the picture changes (after Hertzmann 1998)."""
    width, height = canvas.width, canvas.height
    whole = np.moveaxis(np.clip(canvas.planes, 0, 1), 0, 2)
    source = Image.fromarray((whole * 255).astype(np.uint8))
    fine = 1 if canvas.unit >= 600 else 2
    painted = source.filter(ImageFilter.GaussianBlur(canvas.unit * 0.006)).resize((width * fine, height * fine))
    draw = ImageDraw.Draw(painted)
    along, busy = _flow(canvas, whole.mean(2))
    dice = canvas.dice("dabs")
    for layer, wanted in enumerate(sizes):
        size = max(wanted, 4.0 / canvas.unit) if layer == len(sizes) - 1 else wanted
        if layer and size * canvas.unit < 3.0:
            continue
        across, down = max(2, int(canvas.right / size * 1.4)), max(2, int(canvas.bottom / size * 1.75))
        grid = np.stack(np.meshgrid(np.arange(across), np.arange(down)), 2).reshape(-1, 2)
        centres = (grid + dice.random(grid.shape)) * (canvas.right / across, canvas.bottom / down)
        turn, change = canvas.at((along, busy), centres[:, 0], centres[:, 1])
        keep = np.ones(len(centres), bool) if not layer else dice.random(len(centres)) < 0.12 + 1.3 * change
        order = dice.permutation(len(centres))
        order = order[keep[order]]
        middle, turn = centres[order], turn[order] + dice.normal(0, 0.20, len(order))
        radius = max(0.5, size * canvas.unit * 0.10)
        colours = _colours(canvas, source.filter(ImageFilter.GaussianBlur(radius)), middle, dice, spread)
        shapes = _dab_shapes(middle, turn, size * dice.uniform(0.75, 1.25, len(order)))
        for points, colour in zip((shapes * canvas.unit * fine).reshape(len(order), -1).tolist(), colours, strict=True):
            draw.polygon(points, fill=colour)
    small = painted.reduce(fine) if fine > 1 else painted
    canvas.planes = np.moveaxis(np.asarray(small, np.float32), 2, 0) * np.float32(1 / 255)


def _flow(canvas: Canvas, grey: Plane) -> tuple[Plane, Plane]:
    """The direction that strokes take (along edges, level elsewhere) and how much the picture changes, 0..1."""
    from scipy.ndimage import gaussian_filter, sobel

    step = max(1, int(canvas.unit // 300))
    small = gaussian_filter(grey, 0.5 * step)[::step, ::step]
    dx, dy = sobel(small, 1), sobel(small, 0)
    blur = 0.010 * canvas.unit / step
    xx, yy, xy = (gaussian_filter(part, blur) for part in (dx * dx, dy * dy, dx * dy))
    strength = np.sqrt(xx + yy)
    lean = canvas.sway_x[::step, ::step] * np.float32(0.5)
    sure = strength / (strength + 0.05)
    edge = 0.5 * np.arctan2(2 * xy * sure, (xx - yy) * sure - 0.02) + np.pi / 2
    turn = np.where(sure > 0.25, edge, lean)
    grown = [np.repeat(np.repeat(part, step, 0), step, 1)[: canvas.height, : canvas.width] for part in (turn, strength)]
    return np.ascontiguousarray(grown[0]), np.ascontiguousarray(np.clip(grown[1] * 3.0, 0, 1))


def _dab_shapes(middle: np.ndarray, turn: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Dabs with blunt ends and a slight bend: (n, 8, 2)."""
    outline = np.array(
        ((-1, -0.12), (-0.8, -0.32), (0.2, -0.36), (0.85, -0.24), (1, 0.06), (0.8, 0.28), (0.0, 0.38), (-0.85, 0.22))
    )
    cosine, sine = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x = (outline[:, 0] * cosine - outline[:, 1] * sine) * size[:, None]
    y = (outline[:, 0] * sine + outline[:, 1] * cosine) * size[:, None]
    return np.stack((x, y), 2) + middle[:, None]


def _colours(
    canvas: Canvas, source: Image.Image, middle: np.ndarray, dice: np.random.Generator, spread: float
) -> list[tuple[int, int, int]]:
    pixels = np.asarray(source, np.float32)
    columns = np.clip(middle[:, 0] * canvas.unit, 0, canvas.width - 1).astype(np.int64)
    rows = np.clip(middle[:, 1] * canvas.unit, 0, canvas.height - 1).astype(np.int64)
    colours = pixels[rows, columns]
    light = dice.normal(0, spread, (len(middle), 1)) * 130
    hue = dice.normal(0, spread, (len(middle), 3)) * 90
    return [(r, g, b) for r, g, b in np.clip(colours + light + hue, 0, 255).astype(int).tolist()]


def _emboss(canvas: Canvas, strength: float) -> None:
    """Light from the upper left on the ridges of the paint."""
    grey = canvas.planes.mean(0)
    shift = max(1, round(canvas.unit * 0.0012))
    rise = np.zeros_like(grey)
    rise[shift:, shift:] = grey[shift:, shift:] - grey[:-shift, :-shift]
    relief = np.clip(rise, -0.12, 0.12) * np.float32(strength) * min(1.0, canvas.unit / 500)
    canvas.planes += relief
    canvas.planes *= 1.0 + canvas.grain * np.float32(0.014)


def _soften(canvas: Canvas) -> None:
    """Sprayed colour: slight softness, a tone curve, darker corners, fine grain."""
    from scipy.ndimage import gaussian_filter

    planes = np.stack([gaussian_filter(plane, max(0.35, canvas.unit * 0.0009)) for plane in canvas.planes])
    planes = np.clip(planes, 0, 1)
    planes = planes + np.float32(0.35) * (planes * planes * (3 - 2 * planes) - planes)
    x = canvas.xs / np.float32(canvas.right) * 2 - 1
    y = canvas.ys / np.float32(canvas.bottom) * 2 - 1
    planes *= 1.0 - np.float32(0.13) * (x * x + y * y)
    canvas.planes = planes + canvas.grain * np.float32(0.008)
