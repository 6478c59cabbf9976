"""How what was made is joined to what is there: a feather that lies inside the mask, and a tone taken over from around.

Everything here is of arrays in memory, one window each.
"""

import numpy as np

_BAND = 0.16  # of a window's shorter side: as far from the border tones are compared
_PIECE = 48  # pixels: of what is looked at for grain
_MOST = 26.0  # levels of 255: a difference of tone beyond that is what was asked for, not a mistake
_LIGHTEST, _LEAST_TIMES = 96, 5 / 6  # percent; a window without paper in it says little of how light paper is
# where all that is known has one hue, that is ink on its ground, however dark the silk: no paper is to be looked for
_LEAST_OF_ONE_HUE, _ONE_HUE = 0.4, 8.0  # spread of CIELAB's a and b
_LIGHTER = 60  # percent: the ground (paper, silk) is told from what is painted on it by being lighter


def opacity(paint: np.ndarray, feather: float) -> np.ndarray:
    """How much of what was made shows, float32 0..1 of the mask's shape: 0 outside the mask, rising inside it.

    It is 1 from `feather` pixels away from what is not painted (`paint` false); the border of the array is none. A mask
    too thin for that has a feather of half its width.
    """
    import cv2

    if paint.all():
        return np.ones(paint.shape, np.float32)
    if not paint.any():
        return np.zeros(paint.shape, np.float32)
    far = cv2.distanceTransform(paint.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) - 0.5
    inner = max(1e-3, min(feather, float(far.max()) * 0.5))
    share = np.clip(far / inner, 0, 1).astype(np.float32)
    smooth: np.ndarray = share * share * (3 - 2 * share)
    smooth[~paint] = 0
    return smooth


def laid(ground: np.ndarray, made: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`made` over `ground` (both height x width x bands of one integer type); where `share` is 0 the ground's own."""
    part = share[..., None].astype(np.float32)  # exact: 16 bits fit its 24
    mixed = np.rint(ground + part * (made.astype(np.float32) - ground)).astype(ground.dtype)
    result: np.ndarray = np.where(part > 0, mixed, ground)
    return result


def in_tone(made: np.ndarray, around: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`made` (uint8, height x width x 3) with the ground tone that `around` has where it is `known`.

    First nothing may be lighter than the lightest of the known part, which is its paper or silk. Then the lighter
    pixels on either side of the known part's border are compared; their difference, at most 26 levels, is carried into
    all that was made. Nothing changes where nothing or all is known.
    """
    import cv2

    paint = ~known
    if not known.any() or not paint.any():
        return made
    before, made = made, _no_lighter(made, around, known)
    reach = max(4.0, _BAND * min(made.shape[:2]))
    outside = known & (_distance(known) <= reach)
    inside = paint & (_distance(paint) <= reach)
    differs, weight = _difference(around, made, outside, inside, reach / 2)
    whole = (differs * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    wide = min(made.shape[:2]) / 4
    thick = cv2.GaussianBlur(weight, (0, 0), wide)[..., None]
    spread = cv2.GaussianBlur(differs * weight[..., None], (0, 0), wide)
    faint = 1e-3 * float(weight.max())
    field = np.clip((spread + faint * whole) / (thick + faint), -_MOST, _MOST)
    moved = np.clip(np.rint(made + field), 0, 255).astype(np.uint8)
    return np.where(paint[..., None], moved, before)


def _no_lighter(made: np.ndarray, around: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`made` with each channel scaled down until its lightest is the known part's.

    By a sixth at most; where the known part has one hue, to two fifths.
    """
    lightest = np.percentile(around[known], _LIGHTEST, axis=0)
    has = np.maximum(np.percentile(made[~known], _LIGHTEST, axis=0), 1)
    times = np.clip(lightest / has, _LEAST_OF_ONE_HUE if _has_one_hue(around[known]) else _LEAST_TIMES, 1.0)
    return np.rint(made * times).astype(np.uint8)


def _has_one_hue(pixels: np.ndarray) -> bool:
    """Whether pixels (n, 3) differ in lightness alone, as ink on silk or paper does."""
    import cv2

    chroma = cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, :, 1:]
    return float(np.sqrt(chroma.var(axis=0).sum())) < _ONE_HUE


def in_grain(made: np.ndarray, around: np.ndarray, known: np.ndarray, times: float, seed: int) -> np.ndarray:
    """`made`, which was enlarged so many `times`, with the grain that paper or silk has where `around` is `known`.

    An enlarged picture has no detail finer than its own pixels were, and a scan's ground has. What lies above that in
    the evenest piece of the known part is laid on with its own spectrum and random phases (Galerne, Gousseau and Morel
    2011, "Random Phase Textures"). Nothing changes where no piece is known.
    """
    import cv2

    sigma = times / 2
    piece = _evenest(around, known)
    if times <= 1 or piece is None:
        return made
    fine = piece - cv2.GaussianBlur(piece, (0, 0), sigma)
    texture = _random_phase(fine * _window(len(fine)), made.shape[:2], np.random.default_rng(seed))
    detail = made - cv2.GaussianBlur(made.astype(np.float32), (0, 0), sigma)
    has = float(np.sqrt((detail**2).mean()))
    wanted = float(np.sqrt((texture**2).mean()))
    missing = np.sqrt(max(0.0, wanted**2 - min(has, wanted) ** 2)) / max(wanted, 1e-6)
    return np.clip(np.rint(made + missing * texture), 0, 255).astype(np.uint8)


def _evenest(around: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """Of the known pieces of 48 pixels that with the least contrast, float32; None where there is none.

    The lower tenth rather than the least, which may be a border without any grain.
    """
    found = []
    for top in range(0, known.shape[0] - _PIECE + 1, _PIECE // 2):
        for left in range(0, known.shape[1] - _PIECE + 1, _PIECE // 2):
            place = slice(top, top + _PIECE), slice(left, left + _PIECE)
            if known[place].all():
                found.append((float(around[place].std(axis=(0, 1)).mean()), place))
    if not found:
        return None
    found.sort(key=lambda each: each[0])
    return np.asarray(around[found[len(found) // 10][1]].astype(np.float32))


def _window(side: int) -> np.ndarray:
    """A taper of mean square one, so that what is cut has no border."""
    taper = np.outer(np.hanning(side + 2)[1:-1], np.hanning(side + 2)[1:-1])
    return np.asarray(taper / np.sqrt((taper**2).mean()))[..., None]


def _random_phase(piece: np.ndarray, shape: tuple[int, int], chance: np.random.Generator) -> np.ndarray:
    """Noise of a shape with a piece's spectrum; the same phases in all channels, so that colours stay together."""
    noise = chance.standard_normal(shape)
    spectrum = np.fft.rfft2(noise)
    found = [
        np.fft.irfft2(np.fft.rfft2(piece[..., channel], shape) * spectrum, shape) / len(piece)
        for channel in range(piece.shape[2])
    ]
    return np.stack(found, 2).astype(np.float32)


def _difference(
    around: np.ndarray, made: np.ndarray, outside: np.ndarray, inside: np.ndarray, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """The ground's tone outside minus that inside at every place, and how much it is known there."""
    import cv2

    tones, weights = [], []
    for pixels, band in ((around, outside), (made, inside)):
        light = pixels.astype(np.float32).mean(2)
        ground = (band & (light >= np.percentile(light[band], _LIGHTER))).astype(np.float32)
        weight = cv2.GaussianBlur(ground, (0, 0), sigma)
        tones.append(
            cv2.GaussianBlur(pixels.astype(np.float32) * ground[..., None], (0, 0), sigma)
            / np.maximum(weight, 1e-6)[..., None]
        )
        weights.append(weight)
    weight = np.minimum(*weights)
    weight[weight < 1e-3] = 0
    return (tones[0] - tones[1]) * (weight > 0)[..., None], weight


def _distance(part: np.ndarray) -> np.ndarray:
    """Of each pixel of a part, how far it is to the nearest one that is not of it."""
    import cv2

    return np.asarray(cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
