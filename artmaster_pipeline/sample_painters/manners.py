"""How a style paints: its colours under a season and an hour, and how strong its lines, textures and washes are."""

from dataclasses import dataclass, replace

from artmaster_pipeline.sample_painters.canvas import Colour, mix
from artmaster_pipeline.sample_painters.scenes import Scene


@dataclass(frozen=True)
class Manner:
    """The resolved means of one painting. Strengths are 0..1, widths in units of the short side."""

    ground: Colour
    support: str  # silk, paper or washi
    ink: Colour
    peaks: tuple[Colour, Colour]  # two pigments that alternate from hill to hill
    body: Colour
    foot: Colour
    mist: Colour
    water: Colour
    water_strength: float
    sky: Colour
    sky_strength: float
    leaves: tuple[Colour, ...]
    needles: Colour
    blossom: tuple[Colour, ...]
    trunk: Colour
    roof: Colour
    wall: Colour
    robe: tuple[Colour, ...]
    boat: Colour
    seal: Colour
    sun: Colour
    outline: float  # width of contour lines
    strokes: float  # texture strokes within the hills
    shade: float
    wash: float  # ink gathered below the contours
    pigment: float  # opacity of the hills' colours
    flat: bool = False  # woodblock: few flat tones, key lines, bokashi
    dry: float = 0.3
    snow: bool = False
    bare: float = 0.0  # share of leaves that have fallen
    season_green: bool = True
    medium: str = ""  # what repaints the finished picture (media.py); its sky is full of colour, its water a mirror
    glow: Colour = (1.0, 1.0, 1.0)  # the sky at the horizon, in such a medium

    @property
    def key_lines(self) -> bool:
        """Whether forms are printed with a dark line around them."""
        return self.flat and self.outline > 0


def _rgb(code: str) -> Colour:
    return (int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255)


_EMERALD = Manner(
    ground=_rgb("cdb07c"), support="silk", ink=_rgb("2b211a"),
    peaks=(_rgb("1f6f78"), _rgb("3f8a5a")), body=_rgb("7f9a5e"), foot=_rgb("b07a3c"), mist=_rgb("dcc698"),
    water=_rgb("6f8f7c"), water_strength=0.28, sky=_rgb("b98d4d"), sky_strength=0.0,
    leaves=(_rgb("2f5b3c"), _rgb("41713f"), _rgb("254a3a")), needles=_rgb("1e4436"),
    blossom=(_rgb("f3dcd4"), _rgb("e5a9a2"), _rgb("fbf1e6")), trunk=_rgb("4a3323"),
    roof=_rgb("4b4a4a"), wall=_rgb("ecdcb8"), robe=(_rgb("f2ead6"), _rgb("a23b2a"), _rgb("2d4f6b")),
    boat=_rgb("6a4526"), seal=_rgb("a8301f"), sun=_rgb("c8452c"),
    outline=0.0022, strokes=0.55, shade=0.5, wash=0.1, pigment=0.94, dry=0.35,
)  # fmt: skip
_INK = Manner(
    ground=_rgb("ebe5d8"), support="paper", ink=_rgb("1d1c1d"),
    peaks=(_rgb("8f8d89"), _rgb("a09d98")), body=_rgb("b9b5ae"), foot=_rgb("dcd6ca"), mist=_rgb("f0ebe0"),
    water=_rgb("9c9a96"), water_strength=0.12, sky=_rgb("8d8a86"), sky_strength=0.0,
    leaves=(_rgb("3a3938"), _rgb("5a5856"), _rgb("2a2929")), needles=_rgb("232222"),
    blossom=(_rgb("f4efe6"), _rgb("cfc9c0"), _rgb("faf6ee")), trunk=_rgb("2e2c2b"),
    roof=_rgb("3b3938"), wall=_rgb("efe9dd"), robe=(_rgb("f1ece0"), _rgb("6a6764"), _rgb("45423f")),
    boat=_rgb("4b4845"), seal=_rgb("a5392b"), sun=_rgb("b5776a"),
    outline=0.0030, strokes=0.8, shade=0.35, wash=0.75, pigment=0.55, dry=0.6,
)  # fmt: skip
_WOODBLOCK = Manner(
    ground=_rgb("eadfc3"), support="washi", ink=_rgb("1b1d26"),
    peaks=(_rgb("2f5d86"), _rgb("4d7a57")), body=_rgb("8fa36a"), foot=_rgb("d9bf86"), mist=_rgb("efe5cb"),
    water=_rgb("3f78a8"), water_strength=0.9, sky=_rgb("1d4a86"), sky_strength=0.95,
    leaves=(_rgb("2f5f46"), _rgb("3f7350"), _rgb("28503f")), needles=_rgb("1f4a3e"),
    blossom=(_rgb("f4c9c4"), _rgb("ec9fa0"), _rgb("fbeee2")), trunk=_rgb("5a4334"),
    roof=_rgb("8d7a5a"), wall=_rgb("e9d9b0"), robe=(_rgb("23477a"), _rgb("b8402e"), _rgb("d7b25c")),
    boat=_rgb("9c7346"), seal=_rgb("b23a2a"), sun=_rgb("cf4630"),
    outline=0.0032, strokes=0.0, shade=0.3, wash=0.0, pigment=1.0, flat=True, dry=0.12,
)  # fmt: skip
_OIL = replace(
    _EMERALD, ground=_rgb("d9d3c3"), support="canvas", ink=_rgb("2c2f45"), medium="oil",
    peaks=(_rgb("54708f"), _rgb("5d8a62")), body=_rgb("7fa05a"), foot=_rgb("c3a566"), mist=_rgb("dfe3e6"),
    water=_rgb("5f8aa6"), water_strength=0.55, sky=_rgb("6f9fd0"), glow=_rgb("f1e3c4"),
    wall=_rgb("efe2c6"), roof=_rgb("9a5a43"), robe=(_rgb("f4efe4"), _rgb("b5402f"), _rgb("35568a")),
    outline=0.0007, strokes=0.30, shade=0.85, wash=0.0, pigment=1.0, dry=0.1,
)  # fmt: skip
_GOUACHE = replace(
    _OIL, ground=_rgb("efe6d2"), ink=_rgb("27305a"), medium="gouache", flat=True,
    peaks=(_rgb("3b5fb0"), _rgb("3f9a6c")), body=_rgb("9bc24f"), foot=_rgb("f0a848"), mist=_rgb("f6ead6"),
    water=_rgb("3f9fc4"), sky=_rgb("5cb3dc"), glow=_rgb("fbdca8"), trunk=_rgb("7a3b3b"), roof=_rgb("d2553c"),
    outline=0.0, strokes=0.0, shade=0.5,
)  # fmt: skip
_AIRBRUSH = replace(
    _OIL, ground=_rgb("d6dadd"), ink=_rgb("23281f"), medium="airbrush",
    peaks=(_rgb("5f7466"), _rgb("56703f")), body=_rgb("5d7440"), foot=_rgb("8a7c58"), mist=_rgb("dbe1e4"),
    water=_rgb("52707f"), water_strength=0.5, sky=_rgb("6d9bc8"), glow=_rgb("dfe6e6"), trunk=_rgb("3d3229"),
    leaves=(_rgb("3b5a2b"), _rgb("567336"), _rgb("2c4624")), needles=_rgb("24402a"), sun=_rgb("ffd9a0"),
    outline=0.0005, strokes=0.42, shade=0.95,
)  # fmt: skip
_BASES = {
    "emerald-and-ochre": _EMERALD, "ink": _INK, "woodblock": _WOODBLOCK, "oil": _OIL, "gouache": _GOUACHE,
    "airbrush": _AIRBRUSH,
}  # fmt: skip

_PALETTES = {
    "emerald and ochre": {},
    "azurite and gold": {
        "ground": _rgb("c9a45f"), "peaks": (_rgb("1c4f8f"), _rgb("2a6f97")), "body": _rgb("4f8b8d"),
        "foot": _rgb("c39136"), "mist": _rgb("e3c888"), "water": _rgb("4d7d92"),
    },
    "pale malachite and umber": {
        "ground": _rgb("d8c6a0"), "peaks": (_rgb("6fa58c"), _rgb("8db48a")), "body": _rgb("a9bb8d"),
        "foot": _rgb("98704a"), "mist": _rgb("e6d8b8"), "water": _rgb("a2b59c"),
    },
    "wet black ink": {"strokes": 0.6, "wash": 1.0, "dry": 0.25, "outline": 0.0034},
    "dry grey ink": {
        "ground": _rgb("e2d9c6"), "strokes": 1.0, "wash": 0.25, "dry": 1.1, "outline": 0.0024, "ink": _rgb("2d2a28"),
    },
    "pale silver ink": {
        "ground": _rgb("f1eee7"), "strokes": 0.45, "wash": 0.5, "dry": 0.4, "ink": _rgb("4a4c50"),
        "leaves": (_rgb("63656a"), _rgb("7d7f83"), _rgb("55575c")), "needles": _rgb("505257"),
        "trunk": _rgb("57585c"), "roof": _rgb("66686c"),
    },
    "Prussian blue": {},
    "indigo and vermilion": {
        "peaks": (_rgb("27365f"), _rgb("4a5a86")), "body": _rgb("8d93a0"), "foot": _rgb("d79a6b"),
        "sky": _rgb("b8452f"), "water": _rgb("35507f"), "roof": _rgb("6d5444"),
    },
    "warm sunlight": {},
    "silvery light": {
        "sky": _rgb("a3b6c4"), "glow": _rgb("e4e4dc"), "peaks": (_rgb("7489a0"), _rgb("7d937f")),
        "body": _rgb("9aa57e"), "foot": _rgb("bdb089"), "water": _rgb("8ba1ac"),
    },
    "violet shadows": {
        "sky": _rgb("8f93d6"), "glow": _rgb("f6d6c0"), "peaks": (_rgb("6a5fa6"), _rgb("567fa0")),
        "body": _rgb("86a565"), "foot": _rgb("d0a27c"), "water": _rgb("7580c0"), "ink": _rgb("3b2f5e"),
    },
    "bold complementary colours": {},
    "soft pastel colours": {
        "sky": _rgb("a9d3e6"), "glow": _rgb("fbe3d6"), "peaks": (_rgb("8fa6d8"), _rgb("93c7ad")),
        "body": _rgb("c3d993"), "foot": _rgb("f3cfa0"), "water": _rgb("93c9d9"), "roof": _rgb("e39a8d"),
    },
    "earth colours": {
        "sky": _rgb("b9b08c"), "glow": _rgb("ecd9ae"), "peaks": (_rgb("5c5a4a"), _rgb("7d7345")),
        "body": _rgb("a48a4c"), "foot": _rgb("c9894c"), "water": _rgb("7f8f80"), "roof": _rgb("8e4a34"),
    },
    "natural colours": {},
    "faded colours": {
        "sky": _rgb("b7c3c2"), "glow": _rgb("e9e2d0"), "peaks": (_rgb("8b958c"), _rgb("8a9275")),
        "body": _rgb("919673"), "foot": _rgb("b0a283"), "water": _rgb("8f9e9e"), "ink": _rgb("3f3f3c"),
    },
    "deep colours": {
        "sky": _rgb("2f6fb4"), "glow": _rgb("c6dcea"), "peaks": (_rgb("34566b"), _rgb("2f5d35")),
        "body": _rgb("3a6a2c"), "foot": _rgb("8a6a35"), "water": _rgb("1f5577"),
    },
    "moss green and rose": {
        "peaks": (_rgb("4f6f45"), _rgb("6d8450")), "body": _rgb("9aa765"), "foot": _rgb("dcb9a0"),
        "sky": _rgb("c97f86"), "water": _rgb("6f9a96"), "mist": _rgb("f2e2d2"),
    },
}  # fmt: skip


def manner_of(scene: Scene) -> Manner:
    """The scene's means: its style in its palette, moved by the season."""
    manner = replace(_BASES[scene.style], **_PALETTES[scene.palette])  # type: ignore[arg-type]
    return _SEASON[scene.season](manner, scene.style == "ink")


def _spring(m: Manner, ink: bool) -> Manner:
    if ink:
        return replace(m, bare=0.35)
    fresh = _rgb("9dbb5a")
    return replace(
        m,
        peaks=(mix(m.peaks[0], fresh, 0.15), mix(m.peaks[1], fresh, 0.35)),
        body=mix(m.body, fresh, 0.55),
        leaves=(_rgb("7fa046"), _rgb("93b356"), _rgb("6a9148")),
        bare=0.35,
    )


def _summer(m: Manner, ink: bool) -> Manner:
    if ink:
        return m
    deep = _rgb("2a6a44")
    return replace(m, body=mix(m.body, deep, 0.45), foot=mix(m.foot, m.body, 0.25))


def _autumn(m: Manner, ink: bool) -> Manner:
    if ink:
        return replace(m, bare=0.6, season_green=False)
    rust, gold = _rgb("b4532a"), _rgb("cf9a3c")
    return replace(
        m,
        peaks=(mix(m.peaks[0], gold, 0.12), mix(m.peaks[1], gold, 0.45)),
        body=mix(m.body, gold, 0.7),
        foot=mix(m.foot, rust, 0.35),
        leaves=(_rgb("b8391f"), _rgb("cf6a26"), _rgb("d99a33")),
        bare=0.15,
        season_green=False,
    )


def _winter(m: Manner, ink: bool) -> Manner:
    white = mix(m.ground, (0.98, 0.98, 0.97), 0.86)
    cold = mix(_rgb("a9b7bd"), m.ground, 0.25) if not ink else mix(m.ink, m.ground, 0.62)
    grey = mix(m.ground, cold, 0.55)
    return replace(
        m,
        ground=mix(m.ground, grey, 0.5) if ink else mix(m.ground, _rgb("cccdc8"), 0.72 if m.support == "silk" else 0.5),
        mist=mix(m.mist, grey, 0.5),
        peaks=(mix(white, m.peaks[0], 0.08), mix(white, m.peaks[1], 0.05)),
        body=mix(white, m.body, 0.08),
        foot=mix(m.foot, cold, 0.5) if not ink else m.foot,
        snow=True,
        bare=1.0,
        season_green=False,
        needles=mix(m.needles, m.ink, 0.3),
        sky=mix(m.sky, cold, 0.5),
        glow=mix(m.glow, cold, 0.35),
        wash=m.wash * 0.18,
        strokes=m.strokes * 0.6,
        pigment=0.92,
    )


_SEASON = {"spring": _spring, "summer": _summer, "autumn": _autumn, "winter": _winter}
