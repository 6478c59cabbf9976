"""What can be painted: the vocabulary, a scene made of its words, and the caption that says the scene exactly."""

from dataclasses import dataclass

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.sample_painters.chance import chance

STYLES: tuple[str, ...] = ("emerald-and-ochre", "ink", "woodblock", "oil", "gouache", "airbrush")

SUBJECTS: tuple[str, ...] = (
    "layered mountains",
    "a waterfall between cliffs",
    "a village by a river",
    "a fishing boat on a lake",
    "a pavilion in the mountains",
    "a pagoda on a hill",
    "a bridge over a stream",
    "islands in still water",
    "a traveller under tall trees",
    "a pine beside a rock",
    "geese above reeds",
    "a branch with a bird",
    "bamboo",
)
# What a wider world has besides: the base model is taught these too, the sample painters of an archive leave them out.
FURTHER_SUBJECTS: tuple[str, ...] = (
    "a vase of flowers on a terrace",
    "a bowl of fruit on a terrace",
    "a lady under a parasol",
    "tall clouds over the sea",
)
SEASONS: tuple[str, ...] = ("spring", "summer", "autumn", "winter")
TIMES_OF_DAY: tuple[str, ...] = ("dawn", "day", "dusk", "night")
WEATHERS: tuple[str, ...] = ("clear", "mist", "rain", "snow")
COMPOSITIONS: tuple[str, ...] = ("towering", "level", "left-weighted", "right-weighted")
PALETTES: dict[str, tuple[str, ...]] = {
    "emerald-and-ochre": ("emerald and ochre", "azurite and gold", "pale malachite and umber"),
    "ink": ("wet black ink", "dry grey ink", "pale silver ink"),
    "woodblock": ("Prussian blue", "indigo and vermilion", "moss green and rose"),
    "oil": ("warm sunlight", "silvery light", "violet shadows"),
    "gouache": ("bold complementary colours", "soft pastel colours", "earth colours"),
    "airbrush": ("natural colours", "faded colours", "deep colours"),
}

_TIME_WORDS = {"dawn": "at dawn", "day": "by day", "dusk": "at dusk", "night": "at night under the moon"}
_WEATHER_WORDS = {"clear": "clear air", "mist": "drifting mist", "rain": "rain", "snow": "falling snow"}
_COMPOSITION_WORDS = {
    "towering": "a towering view",
    "level": "a wide level view",
    "left-weighted": "gathered at the left",
    "right-weighted": "gathered at the right",
}
_STYLE_WORDS = {
    "emerald-and-ochre": "a blue-green landscape on silk",
    "ink": "an ink wash painting",
    "woodblock": "a woodblock print",
    "oil": "an oil painting",
    "gouache": "a gouache",
    "airbrush": "an airbrushed picture",
}


@dataclass(frozen=True)
class Scene:
    """One picture in words; each word comes from this module's vocabulary and is visible in the picture."""

    subject: str
    season: str
    time_of_day: str
    weather: str
    composition: str
    palette: str
    style: str

    def __post_init__(self) -> None:
        palettes = PALETTES.get(self.style, ())
        known = (
            ("style", self.style, STYLES),
            ("subject", self.subject, (*SUBJECTS, *FURTHER_SUBJECTS)),
            ("season", self.season, SEASONS),
            ("time_of_day", self.time_of_day, TIMES_OF_DAY),
            ("weather", self.weather, WEATHERS),
            ("composition", self.composition, COMPOSITIONS),
            ("palette", self.palette, palettes),
        )
        unknown = [
            f"{name} {word!r} is not one of {', '.join(words)}" for name, word, words in known if word not in words
        ]
        if unknown:
            raise WrongUse("This scene cannot be painted: " + "; ".join(unknown) + ".")

    def caption(self, name_style: bool = False) -> str:
        """The scene in natural words, without a trigger word; with the style's words in front if `name_style`.

        Two scenes of one style have the same caption only if they are equal.
        """
        said = spoken(self.subject, self.season, self.time_of_day, self.weather, self.composition, self.palette)
        return f"{_STYLE_WORDS[self.style]} of {said}" if name_style else said


def spoken(
    subject: str = "",
    season: str = "",
    time_of_day: str = "",
    weather: str = "",
    composition: str = "",
    palette: str = "",
) -> str:
    """What is known of a scene, in the captions' grammar; what is empty is not said."""
    when = " ".join(part for part in (f"in {season}" if season else "", _TIME_WORDS.get(time_of_day, "")) if part)
    first = " ".join(part for part in (subject, when) if part)
    parts = (first, _WEATHER_WORDS.get(weather, ""), _COMPOSITION_WORDS.get(composition, ""), palette)
    return ", ".join(part for part in parts if part)


def imagine(seed: int, style: str, subjects: tuple[str, ...] = SUBJECTS) -> Scene:
    """A scene in `style` of one of `subjects`, the same for the same seed; snow only in winter, rain never then."""
    if style not in STYLES:
        raise WrongUse(f"There is no style {style!r}: choose one of {', '.join(STYLES)}.")
    dice = chance(seed, "scene", style)
    subject = str(dice.choice(subjects))
    season = str(dice.choice(SEASONS))
    time_of_day = str(dice.choice(TIMES_OF_DAY, p=(0.17, 0.46, 0.2, 0.17)))
    if season == "winter":
        weather = str(dice.choice(("clear", "mist", "snow"), p=(0.35, 0.2, 0.45)))
    else:
        weather = str(dice.choice(("clear", "mist", "rain"), p=(0.5, 0.32, 0.18)))
    composition = str(dice.choice(COMPOSITIONS))
    palette = str(dice.choice(PALETTES[style]))
    return Scene(subject, season, time_of_day, weather, composition, palette, style)
