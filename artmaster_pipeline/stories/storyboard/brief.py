"""What an author is given for a wish: eras, cast, motifs, settings, and the contract that holds every shot to one hand.

What the wish names comes first, by the tables' words; the rest is chosen by the wish's own hash.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TypeVar

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.experts.mixes import listed, parse_mix
from artmaster_pipeline.records import MANIFEST, TrainingImage, identity, read_manifest
from artmaster_pipeline.sample_painters.scenes import PALETTES
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stories.records import Brief, Character, Era, Motif, StyleContract, Wish
from artmaster_pipeline.stories.storyboard.entries import cast, eras, mediums, moments, motifs, threads
from artmaster_pipeline.stories.storyboard.matching import found_in
from artmaster_pipeline.stories.storyboard.words import Encoders

T = TypeVar("T")
OWN = "own"  # the medium of which nothing is known but that it is the painter's
_FIGURES, _MOTIFS = 4, 8  # that an author may choose from: no more than a story of a few shots can use
_PICTURES = 12  # of a painter that are looked at for the medium
_EVERY = 8  # pixels, of which one is looked at
# CIELAB chroma, and its mean distance from the picture's mean, at most, of works in ink: Huang Binhong's have 4.3 and 3.2,
# Monet's 11.8 and 11.2, drawn ones in ink 3.6 and 1.0, in blue and green 19.6 and 4.2.
_GREY, _ALIKE = 8.0, 6.0
_MODERN = ("modern", "today", "contemporary", "现代", "今天", "当代", "如今", "today's")


def brief_for(wish: Wish, home: Home, profile: Profile) -> Brief:
    """What an author is given for a wish.

    Raises one WrongUse with every fault of who paints and of the medium.
    """
    faults: list[str] = []
    painters = painters_of(wish.painter, wish.mix, home, faults)
    if wish.medium and wish.medium not in mediums():
        near = get_close_matches(wish.medium, mediums(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(mediums())}"
        faults.append(f"medium: {wish.medium[:40]!r} is none that is known; {hint}")
    if faults:
        raise WrongUse(f"This story cannot be drawn up: {listed(faults)}")
    medium = wish.medium or medium_of(home, painters)
    dice = random.Random(identity("story brief", wish.text, wish.seed, wish.eras, wish.shots))  # noqa: S311 - no secret
    chosen = _eras(wish, dice)
    entries = eras()
    palettes = mediums()[medium].palettes
    return Brief(
        wish=wish,
        eras=tuple(Era(id=id, name=entries[id].name, years=entries[id].years) for id in chosen),
        style_contract=StyleContract(
            painter=wish.painter,
            mix=wish.mix,
            medium=medium,
            palette=(_palette(home, painters, palettes, dice),) if palettes else (),
            forbidden=mediums()[medium].forbidden,
            words=Encoders.of(profile, home, painters).words_left(),
        ),
        characters=tuple(character(id, chosen) for id in _cast(wish, dice)),
        motifs=tuple(motif(id) for id in _motifs(wish, dice)),
        settings={id: entries[id].places for id in chosen},
        descriptions=tuple(moments()),
    )


def painters_of(painter: str, mix: str, home: Home, faults: list[str]) -> tuple[str, ...]:
    """Who paints, by slug; what is wrong with how that is said is added to `faults`."""
    if bool(painter) == bool(mix):
        faults.append("say who paints: painter: NAME, or mix: 'A=0.7 B=0.3', and one of them")
        return ()
    known, named = home.painters(), (painter,)
    if mix:
        wrong: list[str] = []
        meant = parse_mix(mix, faults=wrong)
        faults += [f"mix: {fault}" for fault in wrong]
        named = meant.painters if meant else ()
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none yet'}"
            faults.append(f"{'mix' if mix else 'painter'}: there is no painter {name[:64]!r} in {home.root} ({hint})")
    return tuple(name for name in named if name in known)


def medium_of(home: Home, painters: Sequence[str]) -> str:
    """What the painters work in: what their training captions' palettes say; else ink, where their works are of one.

    `own` where neither says it: of colour alone nobody tells oil from gouache, so nothing is said, and only what no
    painting has is forbidden.
    """
    said = Counter(
        style
        for painter in painters
        for image in _training(home, painter)
        for style, palettes in PALETTES.items()
        if any(palette in image.caption for palette in palettes)
    )
    if said:
        return _of_style(said.most_common(1)[0][0])
    return "ink" if _is_monochrome(home, painters) else OWN


def character(id: str, eras_: Iterable[str]) -> Character:
    """A figure of the cast, with what it looks like in those eras."""
    entry = cast()[id]
    variants = {era: words for era, words in entry.variants.items() if era in set(eras_)}
    return Character(id=id, name=entry.name, canonical_visual=entry.visual, era_variants=variants)


def motif(id: str) -> Motif:
    """A motif of the table."""
    entry = motifs()[id]
    return Motif(id=id, modern_thing=entry.thing, traditional_rendering=entry.rendering)


def _of_style(style: str) -> str:
    return "blue-green" if style == "emerald-and-ochre" else style if style in mediums() else OWN


def _palette(home: Home, painters: Sequence[str], palettes: Sequence[str], dice: random.Random) -> str:
    """The one that most training captions say; where none does, one for the whole story."""
    captions = [image.caption for painter in painters for image in _training(home, painter)]
    counts = Counter(palette for palette in palettes for caption in captions if palette in caption)
    return counts.most_common(1)[0][0] if counts else dice.choice(palettes)


def _training(home: Home, painter: str) -> list[TrainingImage]:
    images = read_manifest(home.training_set(painter) / MANIFEST, TrainingImage)
    return [image for image in images if image.split == "train"]


def _is_monochrome(home: Home, painters: Sequence[str]) -> bool:
    """Whether the painters' works are of one ink on one ground: little colour (CIELAB chroma), and all of it alike."""
    import numpy as np
    from skimage.color import rgb2lab

    from artmaster_pipeline.pictures import read_rgb

    figures = []
    for painter in painters:
        images = sorted(_training(home, painter), key=lambda image: image.id)[:_PICTURES]
        for file in (home.training_set(painter) / image.path for image in images):
            if file.is_file():
                colours = rgb2lab(read_rgb(file)[::_EVERY, ::_EVERY])[..., 1:].reshape(-1, 2)
                apart = np.linalg.norm(colours - colours.mean(axis=0), axis=1).mean()
                figures.append((np.linalg.norm(colours, axis=1).mean(), apart))
    if not figures:
        return False
    chroma, apart = np.median(figures, axis=0)
    return bool(chroma <= _GREY and apart <= _ALIKE)


def _eras(wish: Wish, dice: random.Random) -> list[str]:
    """In the order of time: those that are named; one of ours, where a thing of ours is wished for; and others."""
    known = eras()
    named = [id for id, era in known.items() if found_in(wish.text, era.keywords.en + era.keywords.zh)]
    ours = [id for id, era in known.items() if era.is_modern]
    if not set(named) & set(ours) and (found_in(wish.text, _MODERN) or _asked_motifs(wish)):
        named.append(ours[0])
    # the last is kept: it is the one that a thing of ours asks for
    chosen = named if len(named) <= wish.eras else [*named[: wish.eras - 1], named[-1]]
    rest = _shuffled([id for id in known if id not in chosen], dice)
    chosen = [*chosen, *rest[: wish.eras - len(chosen)]]
    return [id for id in known if id in chosen]


def _cast(wish: Wish, dice: random.Random) -> list[str]:
    """Whoever is named first; then one whom a story can be told of, and others."""
    known = cast()
    named = [id for id, figure in known.items() if found_in(wish.text, figure.keywords.en + figure.keywords.zh)]
    leads = {lead for thread in threads().values() for lead in thread.leads}
    chosen = named[:_FIGURES]
    if not leads & set(chosen):
        chosen = [dice.choice([id for id in known if id in leads]), *chosen][:_FIGURES]
    rest = _shuffled([id for id in known if id not in chosen], dice)
    return [*chosen, *rest[: _FIGURES - len(chosen)]]


def _motifs(wish: Wish, dice: random.Random) -> list[str]:
    asked = _asked_motifs(wish)[:_MOTIFS]
    wanted = max(len(asked), min(_MOTIFS, 2 + wish.shots // 2))
    rest = _shuffled([id for id in motifs() if id not in asked], dice)
    return [*asked, *rest[: wanted - len(asked)]]


def _asked_motifs(wish: Wish) -> list[str]:
    return [id for id, entry in motifs().items() if found_in(wish.text, entry.keywords.en + entry.keywords.zh)]


def _shuffled(things: list[T], dice: random.Random) -> list[T]:
    dice.shuffle(things)
    return things
