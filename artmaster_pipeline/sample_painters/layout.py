"""What parts of a picture are pictures of, and the colour that each has on a map of them."""

from typing import Literal

Kind = Literal["sky", "water", "rock", "trees", "buildings", "figures", "blank", "other"]
# far apart in hue and in lightness, so that a map is read by a model, by a person and in print
KIND_COLOURS: dict[Kind, tuple[int, int, int]] = {
    "sky": (140, 200, 255),
    "water": (20, 70, 200),
    "rock": (120, 75, 40),
    "trees": (30, 130, 50),
    "buildings": (220, 60, 40),
    "figures": (250, 200, 30),
    "blank": (250, 250, 245),
    "other": (128, 128, 128),
}
KINDS: tuple[Kind, ...] = tuple(KIND_COLOURS)
