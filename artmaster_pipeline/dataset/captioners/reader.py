"""The embedded reader: says in the sample painters' words what a picture shows, and is silent where it cannot tell.

Three sources, each of its own trust:

- The title, where it says something (`title_words.py`): archives know their works.
- Linear heads on VGG16's features, learnt from scenes that the sample painters painted (`train_reader.py`). They are
  right about pictures like those and confidently wrong about others, so they are asked about subject, season, hour and
  air only where the features lie where the scenes' do (the part outside the scenes' principal axes is small), and only
  above a probability. The palette is asked of every picture: its cues are colours, which carry over.
- Measurement: on which side the marks stand, or how far up the picture they reach, is composition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.dataset.captioners.interface import Facts
from artmaster_pipeline.dataset.captioners.title_words import said_in_title
from artmaster_pipeline.sample_painters import spoken
from artmaster_pipeline.sessions import kept

if TYPE_CHECKING:
    import numpy as np

WEIGHTS = Path(__file__).parent / "reader.safetensors"
NAME = "embedded reader"
ASKED = ("subject", "season", "time_of_day", "weather", "palette")  # of the heads
_NO_FACTS = Facts()
_VERSION = 4  # raise where the same picture would be described otherwise
_SURE = 0.8  # below this probability nothing is said
_SURE_OF_PALETTE = 0.5
_STRICTER = 0.75  # of the limit below which nine of ten unseen scenes lie: nearly all real works lie beyond this
_SIDE = 128  # pixels at which pictures are looked at, as the miniature draws them
# Ink on one side of the middle, as a share of all: beyond these a picture is gathered there. In a tall picture the
# eye goes up before it goes aside.
_LOPSIDED, _LOPSIDED_TALL = 0.56, 0.66
_TALL = 0.85  # width to height
_FULL_TOP = 0.28  # the upper third's share of the marks from which on a picture towers


@dataclass(frozen=True)
class Said:
    """One word of the painters' vocabulary, how sure it is (0..1), and what says it."""

    word: str
    probability: float
    source: str  # "title", "features" or "measured"


class EmbeddedReader:
    """Reads pictures with VGG16 and the shipped heads."""

    name = NAME
    identity = f"{NAME} {_VERSION}"

    def __init__(self) -> None:
        """Load both. Raises MissingRequirement where a file of the installation is not there."""
        from safetensors.numpy import load_file

        from artmaster_pipeline.base_models.vgg import load_vgg
        from artmaster_pipeline.errors import MissingRequirement

        if not WEIGHTS.is_file():
            raise MissingRequirement(f"{WEIGHTS} is not there: this installation lacks the package's data.")
        self._vgg = load_vgg()
        self._heads = {name: array.astype("float32") for name, array in load_file(WEIGHTS).items()}

    def describe(self, picture: "np.ndarray", facts: Facts = _NO_FACTS) -> str:
        """What can be told of a picture beside what the archive states, in the base's grammar; empty where nothing.

        The palette is not said: its words name media ("dry grey ink"), and what they say the trigger does not learn.
        """
        found = self.read(picture, facts)
        words = {name: said.word for name, said in found.items() if name != "palette"}
        if facts.subject:
            words.pop("subject", None)
        if facts.season:
            words.pop("season", None)
        return spoken(**words)

    def read(self, picture: "np.ndarray", facts: Facts = _NO_FACTS) -> dict[str, Said]:
        """By kind (subject, season, time_of_day, weather, composition, palette) what is said; what is unsure is left.

        `picture` is uint8 (height, width, 3), sRGB.
        """
        found = self._from_features(picture)
        composition, sure = composition_of(picture)
        found["composition"] = Said(composition, sure, "measured")
        title = said_in_title(facts.title)
        told = {name: word for name, word in vars(title).items() if word}
        found |= {name: Said(word, 1.0, "title") for name, word in told.items()}
        if "season" in told and "weather" not in told and found.get("weather", Said("", 0, "")).word == "snow":
            del found["weather"]
        return {name: found[name] for name in ("subject", "season", "time_of_day", "weather", "composition", "palette")
                if name in found}  # fmt: skip

    def subjects(self, pictures: "Sequence[np.ndarray]") -> list[str]:
        """The likeliest subject of each picture, however sure: for pictures that the miniature drew."""
        import numpy as np

        words = words_of("subject")
        features = features_of(self._vgg, np.stack([_square(picture) for picture in pictures]))
        return [words[row.argmax()] for row in self._logits("subject", features)]

    def _from_features(self, picture: "np.ndarray") -> dict[str, Said]:
        import numpy as np

        features = features_of(self._vgg, _square(picture)[None])
        known = self._is_familiar(features)[0]
        found = {}
        for name in ASKED:
            logits = self._logits(name, features)[0]
            chances = np.exp(logits - logits.max())
            chances /= chances.sum()
            best, least = int(chances.argmax()), _SURE_OF_PALETTE if name == "palette" else _SURE
            if chances[best] >= least and (known or name == "palette"):
                found[name] = Said(words_of(name)[best], float(chances[best]), "features")
        return found

    def _logits(self, name: str, features: "np.ndarray") -> "np.ndarray":
        scaled = (features - self._heads["mean"]) / self._heads["spread"]
        return np_array(scaled @ self._heads[f"{name}.weight"] + self._heads[f"{name}.bias"])

    def _is_familiar(self, features: "np.ndarray") -> "np.ndarray":
        """Whether features lie where the scenes' do: what their principal axes leave out is no more than theirs."""
        import numpy as np

        scaled = (features - self._heads["mean"]) / self._heads["spread"]
        axes = self._heads["axes"]
        left = np.linalg.norm(scaled - (scaled @ axes.T) @ axes, axis=1) / np.sqrt(scaled.shape[1])
        return np_array(left <= _STRICTER * self._heads["familiar"])


def np_array(values: Any) -> "np.ndarray":
    """`values` as an array, for the type checker."""
    import numpy as np

    return np.asarray(values)


def words_of(name: str) -> tuple[str, ...]:
    """The words that a head tells apart, in its order."""
    from artmaster_pipeline.sample_painters import scenes

    return {
        "subject": (*scenes.SUBJECTS, *scenes.FURTHER_SUBJECTS),
        "season": scenes.SEASONS,
        "time_of_day": scenes.TIMES_OF_DAY,
        "weather": scenes.WEATHERS,
        "palette": tuple(word for words in scenes.PALETTES.values() for word in words),
    }[name]


def subject_in(text: str) -> str:
    """The subject of the painters' vocabulary that a text begins with; empty where it begins with none."""
    found = [word for word in words_of("subject") if text.startswith(word)]
    return max(found, key=len, default="")


def features_of(vgg: Any, pictures: "np.ndarray") -> "np.ndarray":
    """What the heads look at: late features on a coarse grid and colours by quarter, float32 (n, 2843)."""
    import numpy as np
    from torch.nn.functional import adaptive_avg_pool2d, normalize

    from artmaster_pipeline.base_models.vgg import chunks

    rows = []
    for chunk in chunks(pictures):
        _, _, third, fourth, fifth = vgg.stages(pictures[chunk])
        parts = (
            normalize(adaptive_avg_pool2d(fifth, 2).flatten(1), dim=1) * 20,
            normalize(fourth.mean((2, 3)), dim=1) * 10,
            normalize(third.mean((2, 3)), dim=1) * 6,
        )
        rows.append(np.concatenate([part.cpu().numpy() for part in parts], 1))
    return np.concatenate([np.concatenate(rows), np.stack([_colours(picture) for picture in pictures])], 1)


def _colours(picture: "np.ndarray") -> "np.ndarray":
    """CIE Lab's mean and spread in each quarter, and how colourful and how dark the whole is, (27,)."""
    import numpy as np
    from skimage.color import rgb2lab

    lab = rgb2lab(picture[::2, ::2])
    row, column = lab.shape[0] // 2, lab.shape[1] // 2
    quarters = (lab[:row, :column], lab[:row, column:], lab[row:, :column], lab[row:, column:])
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    parts = [*(q.mean((0, 1)) for q in quarters), *(q.std((0, 1)) for q in quarters)]
    return np.concatenate([*parts, [chroma.mean(), chroma.std(), np.percentile(lab[..., 0], 5)]]).astype("float32") / 20


def composition_of(picture: "np.ndarray") -> tuple[str, float]:
    """How the marks are spread: "towering", "level", "left-weighted" or "right-weighted", and how clearly (0.5..1).

    Marks are what is darker than the ground, the lightest fifth of the picture.
    """
    import numpy as np
    from skimage.color import rgb2lab

    light = rgb2lab(picture)[..., 0]
    marks = np.clip(np.percentile(light, 80) - light, 0, None)
    whole, (height, width) = marks.sum(), marks.shape
    if not whole:
        return "level", 0.5
    left, top = marks[:, : width // 2].sum() / whole, marks[: height // 3].sum() / whole
    limit = _LOPSIDED_TALL if width < _TALL * height else _LOPSIDED
    if max(left, 1 - left) >= limit:
        return ("left-weighted" if left > 0.5 else "right-weighted"), _clearly(max(left, 1 - left) - limit)
    if width < _TALL * height or top >= _FULL_TOP:
        return "towering", _clearly(min(limit - max(left, 1 - left), abs(top - _FULL_TOP)))
    return "level", _clearly(min(limit - max(left, 1 - left), _FULL_TOP - top))


def _clearly(beyond: float) -> float:
    """A distance from a limit as a probability: 0.5 at it, 0.9 at a tenth beyond."""
    import math

    return 1 / (1 + math.exp(-22 * beyond))


def _square(picture: "np.ndarray") -> "np.ndarray":
    """The middle square, at the size that the heads were learnt at."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(picture)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))


@kept
def load_reader() -> EmbeddedReader:
    """The reader, one for as long as a session lasts."""
    return EmbeddedReader()
