"""Mixes: who has which part in a picture, as a person says it on the command line or in mixes.yaml of the data home.

One grammar for both, words with an equals sign between blanks:

    composition=A colour=B brush=C            a painter for each factor; or several: colour=B:0.7+C:0.3
    A=0.7 B=0.3                               a share for each painter, in all factors
    A=1,0.6,0.2,0 B=0,0.4,0.8,1               a share for each painter in each noise band, the noisiest first

A painter is named by slug, and means the adapter in use (`adapters.in_use`); `A@ID` means that adapter. Whatever is
wrong with a mix is told at once, each fault with its way out.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.experts.factors import FACTORS, NOISE_BANDS
from artmaster_pipeline.files import is_slug
from artmaster_pipeline.records import MIXES_FILE, identity
from artmaster_pipeline.settings import CROP_SIZES, Home, faults_of
from artmaster_pipeline.stages import set_of
from artmaster_pipeline.yaml_text import read_yaml

FEWEST, MOST = 2, 8  # experts in a mix
STRIP_STEPS = 9
BANDS = len(NOISE_BANDS) - 1
_ROUNDED = 0.011  # by which shares may miss 1, since a person writes thirds as 0.33
_ID = re.compile(r"[0-9a-f]{16}")
SIZES = {f"{width}x{height}": (width, height) for width, height in CROP_SIZES}

# Where the gates come from: the person's shares, a map of regions, the learned gate, or equal shares.
Source = Literal["person", "region", "learned", "uniform"]
Shares = dict[str, float]  # factor -> share


class Mix(BaseModel):
    """Who has which part. Painters are in the order in which they were named first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    painters: tuple[str, ...]
    gate: Source
    convex: bool = Field(True, exclude_if=lambda on: on)  # whether shares add up to one, as they must unless asked
    adapters: dict[str, str] = Field({}, exclude_if=lambda ids: not ids)  # painter -> id, where a person named one
    shares: dict[str, Shares] = Field({}, exclude_if=lambda of: not of)  # painter -> factor -> share
    bands: dict[str, tuple[float, ...]] = Field({}, exclude_if=lambda of: not of)  # painter -> share per noise band
    strengths: dict[str, float] = Field({}, exclude_if=lambda of: not of)  # painter -> of the adapter
    regions: dict[str, str] = Field({}, exclude_if=lambda of: not of)  # painter -> a PNG

    @property
    def by_weight(self) -> tuple[str, ...]:
        """The painters, who has most of the picture first; those with as much in the order in which they were named."""
        weight = {painter: self.weight(painter) for painter in self.painters}
        return tuple(sorted(self.painters, key=lambda painter: -weight[painter]))

    def weight(self, painter: str) -> float:
        """A painter's part of the whole, 0..1: the mean over factors, or over noise bands."""
        if self.bands:
            return sum(self.bands[painter]) / BANDS
        if self.shares:
            return sum(self.shares[painter].values()) / len(FACTORS)
        return 1 / len(self.painters)

    def in_words(self) -> str:
        """The mix in the grammar that a person writes, or what its gate is."""
        if self.bands:
            return " ".join(f"{p}={','.join(f'{share:g}' for share in self.bands[p])}" for p in self.painters)
        if not self.shares:
            return f"{self.gate}: {', '.join(self.painters)}"
        if all(len(set(of.values())) == 1 for of in self.shares.values()):
            return " ".join(f"{p}={round(self.weight(p), 4):g}" for p in self.painters)
        return " ".join(f"{factor}={_who(self.shares, factor)}" for factor in FACTORS)


class Wish(BaseModel):
    """An entry of mixes.yaml as a person writes it, before anybody asks what it means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mix: str = ""
    gate: Literal["learned", "uniform"] | None = None
    painters: tuple[str, ...] = ()  # where no shares are said
    from_: str = Field("", alias="from")
    to: str = ""
    steps: int = Field(STRIP_STEPS, ge=3, le=33)
    convex: bool = True  # false: shares need not add up to one
    strengths: dict[str, float] = {}
    regions: dict[str, str] = {}
    prompts: tuple[str, ...] = Field((), max_length=64)
    seeds: tuple[int, ...] = Field((0, 1), min_length=1, max_length=16)
    size: Literal["512x512", "512x768"] = "512x512"


class NamedMix(BaseModel):
    """A mix of mixes.yaml, with what the gallery shows of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    steps: tuple[Mix, ...]  # one mix, or those of an interpolation in their order
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    size: tuple[int, int]

    @property
    def painters(self) -> tuple[str, ...]:
        """Who takes part."""
        return self.steps[0].painters

    @property
    def partition(self) -> str:
        """The set of painters whose mixed gallery shows it."""
        return set_of(self.painters)

    @property
    def is_strip(self) -> bool:
        """Whether it is an interpolation from one painter to another."""
        return len(self.steps) > 1

    @property
    def id(self) -> str:
        """Made from what it says; whose adapters draw it stands in the records of its pictures."""
        return identity("mix", self.model_dump(mode="json"))


def parse_mix(
    words: str = "",
    *,
    gate: Literal["learned", "uniform"] | None = None,
    painters: Sequence[str] = (),
    strengths: Mapping[str, float] | None = None,
    regions: Mapping[str, str] | None = None,
    convex: bool = True,
    faults: list[str],
) -> Mix | None:
    """The mix that is meant; what is wrong is added to `faults`, and None given where nothing can be made of it.

    The person's shares go before all else: a learned or uniform gate is refused beside them. Regions weigh shares, or
    are the gate themselves where there are none.
    """
    said = _Said(faults, convex)
    said.read(words)
    for painter in painters:
        said.name(painter, f"--painters names {painter}")
    if words and (gate or painters):
        faults.append("shares are said and a gate or painters beside them: leave out --gate and --painters, or --mix")
    regions, strengths = dict(regions or {}), dict(strengths or {})
    if not words and not painters:
        for painter in regions:
            said.name(painter, f"the region of {painter}")
    _check_number(said.painters, faults)
    _check_known(said.painters, "strength", strengths, faults)
    _check_known(said.painters, "region", regions, faults)
    faults += [
        f"the strength {strength:g} of {painter} is not between 0 and 1.5"
        for painter, strength in strengths.items()
        if not 0 <= strength <= 1.5
    ]
    if not words and regions and (silent := sorted(set(said.painters) - set(regions))):
        faults.append(f"{', '.join(silent)} would be nowhere: give each painter a region, or say shares with --mix")
    if not said.painters:
        return None
    shares, bands = said.shares(), said.bands()
    said_shares = [value for of in shares.values() for value in of.values()] + [v for of in bands.values() for v in of]
    if said_shares and not any(said_shares):
        faults.append("nobody has any part in it")
    source: Source = "person" if shares or bands else "region" if regions else gate or "uniform"
    return Mix(
        painters=tuple(said.painters),
        gate=source,
        convex=convex,
        adapters=said.adapters,
        shares=shares,
        bands=bands,
        strengths=strengths,
        regions=regions,
    )


def interpolation(start: str, end: str, steps: int, *, faults: list[str]) -> tuple[Mix, ...]:
    """The mixes from one painter alone to another alone, in equal steps; empty where they cannot be made."""
    said = _Said(faults)
    said.name(start, "--from")
    said.name(end, "--to")
    if steps < 3:
        faults.append(f"{steps} steps are no way from one to the other: ask for 3 or more")
    if len(said.painters) != 2 or steps < 3:
        return ()
    found = []
    for step in range(steps):
        share = step / (steps - 1)
        of = dict(zip(said.painters, (1 - share, share), strict=True))
        shares = {painter: dict.fromkeys(FACTORS, value) for painter, value in of.items()}
        found.append(Mix(painters=tuple(said.painters), gate="person", adapters=said.adapters, shares=shares))
    return tuple(found)


def read_mixes(home: Home) -> tuple[NamedMix, ...]:
    """The mixes of mixes.yaml, sorted by name; none where there is no such file.

    Raises WrongUse, naming every fault of every mix, where the file is wrong. Which painters and adapters there are
    is not asked here (`experts.resolving`).
    """
    file = home.root / MIXES_FILE
    if not file.exists():
        return ()
    try:
        content = read_yaml(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise WrongUse(f"{file} cannot be read as YAML: {' '.join(str(error).split())}. Mend it there.") from error
    if not isinstance(content, dict):
        raise WrongUse(f"{file}: expected 'name: ...' lines with what each mix says below them (docs/mixing.md).")
    faults: list[str] = []
    found = [_named(str(name), entry, faults) for name, entry in content.items()]
    if faults:
        raise WrongUse(f"{file}: {listed(faults)}")
    return tuple(sorted((mix for mix in found if mix is not None), key=lambda mix: mix.name))


def mixes_of(home: Home, partition: str) -> tuple[NamedMix, ...]:
    """The mixes whose painters are just those of a set."""
    return tuple(mix for mix in read_mixes(home) if mix.partition == partition)


def said_of(home: Home, partition: str) -> list[dict[str, Any]]:
    """What mixes.yaml says of a set of painters, and the bytes of the maps that it names: for the resolved settings."""
    return [mix.model_dump(mode="json") | {"maps": _hashes(home, mix)} for mix in mixes_of(home, partition)]


def listed(faults: Iterable[str]) -> str:
    """Faults as one sentence; one alone without a number."""
    faults = list(faults)
    if len(faults) == 1:
        return f"{faults[0]}."
    return "; ".join(f"({number}) {fault}" for number, fault in enumerate(faults, 1)) + "."


def _named(name: str, entry: Any, faults: list[str]) -> NamedMix | None:
    of: list[str] = []
    found = None
    if not is_slug(name):
        of.append("its name must be lower-case letters, digits and single hyphens")
    if not isinstance(entry, dict):
        of.append("say below it what it is: mix, or from and to, or gate and painters")
    else:
        try:
            found = _meant(name, Wish.model_validate(entry), of)
        except ValidationError as error:
            of += faults_of(Wish, error)
    faults += [f"{name}: {fault}" for fault in of]
    return None if of else found


def _meant(name: str, wish: Wish, faults: list[str]) -> NamedMix | None:
    for painter, path in wish.regions.items():
        if Path(path).is_absolute() or ".." in Path(path).parts:
            faults.append(f"the region of {painter}, {path}, lies outside the data home: name a PNG below it")
    if not wish.prompts:
        faults.append("it asks for no pictures: list prompts, one '- text' each")
    if wish.from_ or wish.to:
        if wish.mix or wish.gate or wish.painters or wish.regions or wish.strengths:
            faults.append("from and to stand alone: leave out mix, gate, painters, regions and strengths")
        if not (wish.from_ and wish.to):
            faults.append("from and to belong together")
            return None
        steps = interpolation(wish.from_, wish.to, wish.steps, faults=faults)
    else:
        if not wish.mix and not wish.painters and not wish.regions:
            faults.append("it names nobody: say mix, or painters, or regions")
        mix = parse_mix(
            wish.mix,
            gate=wish.gate,
            painters=wish.painters,
            strengths=wish.strengths,
            regions=wish.regions,
            convex=wish.convex,
            faults=faults,
        )
        steps = (mix,) if mix else ()
    if faults or not steps:
        return None
    return NamedMix(name=name, steps=steps, prompts=wish.prompts, seeds=wish.seeds, size=SIZES[wish.size])


def _hashes(home: Home, mix: NamedMix) -> dict[str, str]:
    from artmaster_pipeline.files import sha256_of

    files = {painter: home.root / path for painter, path in mix.steps[0].regions.items()}
    return {painter: sha256_of(file) if file.is_file() else "" for painter, file in files.items()}


class _Said:
    """What a person's words say, read word by word."""

    def __init__(self, faults: list[str], convex: bool = True) -> None:
        self.faults = faults
        self.convex = convex
        self.painters: list[str] = []
        self.adapters: dict[str, str] = {}
        self._factors: dict[str, dict[str, float]] = {}  # factor -> painter -> share
        self._whole: dict[str, tuple[float, ...]] = {}  # painter -> one share, or one per noise band

    def read(self, words: str) -> None:
        """Read all words and check that they fit one another."""
        for word in words.split():
            key, equals, value = word.partition("=")
            if not equals or not key or not value:
                self.faults.append(f"{word!r} is no 'composition=PAINTER' and no 'PAINTER=0.5'")
            elif key in FACTORS:
                self._factor(key, value)
            elif _is_painter(key):
                self._painter(key, value)
            else:
                self.faults.append(f"{key!r} is neither a factor ({', '.join(FACTORS)}) nor a painter's slug")
        if self._factors and self._whole:
            whole = ", ".join(self._whole)
            self.faults.append(f"shares of factors and of painters ({whole}) in one mix: say the one or the other")
        if self._factors:
            self._check_factors()
        if self._whole:
            self._check_whole()

    def name(self, painter: str, what: str) -> None:
        """Take in a painter who is named without a share; twice is a fault."""
        if (slug := self._taken(painter)) is None:
            self.faults.append(f"{what}: {painter!r} is no painter's slug")
        elif slug in self.painters:
            self.faults.append(f"{slug} is named twice: name each expert once")
        else:
            self.painters.append(slug)

    def shares(self) -> dict[str, Shares]:
        """Painter -> factor -> share; empty where there are none, or they go by noise bands."""
        if self._factors:
            return {
                painter: {factor: self._factors.get(factor, {}).get(painter, 0.0) for factor in FACTORS}
                for painter in self.painters
            }
        if not self._whole or any(len(of) > 1 for of in self._whole.values()):
            return {}
        return {painter: dict.fromkeys(FACTORS, of[0]) for painter, of in self._whole.items()}

    def bands(self) -> dict[str, tuple[float, ...]]:
        """Painter -> share in each noise band; empty where none says any."""
        if all(len(of) == 1 for of in self._whole.values()):
            return {}
        return {painter: of if len(of) > 1 else of * BANDS for painter, of in self._whole.items()}

    def _factor(self, factor: str, value: str) -> None:
        if factor in self._factors:
            self.faults.append(f"{factor} is said twice: share it as {factor}=A:0.5+B:0.5")
            return
        found: dict[str, float] = {}
        parts = value.split("+")
        for part in parts:
            name, colon, number = part.partition(":")
            if (painter := self._taken(name)) is None:
                self.faults.append(f"{factor}={part}: {name!r} is no painter's slug")
                continue
            share = self._number(number, f"{factor}={part}") if colon else 1.0 if len(parts) == 1 else None
            if not colon and len(parts) > 1:
                self.faults.append(f"{factor}={value}: of several painters each needs a share, as {name}:0.5")
            if painter in found:
                self.faults.append(f"{factor}={value}: {painter} is named twice")
            found[painter] = math.nan if share is None else share
            if painter not in self.painters:
                self.painters.append(painter)
        self._factors[factor] = found

    def _painter(self, name: str, value: str) -> None:
        painter = self._taken(name)
        if painter is None:
            self.faults.append(f"{name!r} is no painter's slug")
        elif painter in self.painters and painter in self._whole:
            self.faults.append(f"{painter} is named twice: name each expert once, with one share")
        else:
            numbers = [self._number(number, f"{name}={value}") for number in value.split(",")]
            if len(numbers) not in (1, BANDS):
                self.faults.append(f"{name}={value}: give one share, or {BANDS}, one for each noise band")
            if len(numbers) > 1 and any(number is not None and number > 1 for number in numbers):
                self.faults.append(f"{name}={value}: in a noise band nobody can have more than 1")
            self._whole[painter] = tuple(math.nan if number is None else number for number in numbers)
            if painter not in self.painters:
                self.painters.append(painter)

    def _taken(self, name: str) -> str | None:
        """The slug that a name stands for; the adapter that it names is noted."""
        painter, at, adapter_id = name.partition("@")
        if not is_slug(painter):
            return None
        if at and not _ID.fullmatch(adapter_id):
            self.faults.append(f"{name}: after the @ belongs an adapter's id of 16 digits (artmaster painters list)")
        elif at and self.adapters.setdefault(painter, adapter_id) != adapter_id:
            self.faults.append(f"two adapters of {painter} are named: an expert is one adapter of one painter")
        return painter

    def _number(self, text: str, where: str) -> float | None:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.faults.append(f"{where}: {text!r} is no number")
            return None
        if number < 0:
            self.faults.append(f"{where}: a share cannot be negative")
        return number

    def _check_factors(self) -> None:
        if missing := [factor for factor in FACTORS if factor not in self._factors]:
            self.faults.append(f"nobody has {' and '.join(missing)}: name a painter for each of {', '.join(FACTORS)}")
        for factor, of in self._factors.items():
            self._factors[factor] = dict(zip(of, self._whole_shares(list(of.values()), factor), strict=True))

    def _check_whole(self) -> None:
        count = max(len(of) for of in self._whole.values())
        if count not in (1, BANDS):
            return
        full = {painter: of if len(of) == count else of * count for painter, of in self._whole.items()}
        full = {painter: of for painter, of in full.items() if len(of) == count}
        columns = []
        for band, of in enumerate(zip(*full.values(), strict=True), 1):
            where = "the shares" if count == 1 else f"the shares in noise band {band}"
            columns.append(self._whole_shares(list(of), where))
        self._whole |= dict(zip(full, zip(*columns, strict=True), strict=True))

    def _whole_shares(self, values: list[float], where: str) -> list[float]:
        """Shares that add up to exactly 1, where they must; those that miss it by more than rounding are a fault."""
        total = sum(values)
        if not self.convex or any(math.isnan(value) or value < 0 for value in values):  # of these it was said already
            return values
        if abs(total - 1) > _ROUNDED:
            self.faults.append(f"{where} add{'s' if where in FACTORS else ''} up to {total:g} instead of 1")
            return values
        return [value / total for value in values]


def _is_painter(name: str) -> bool:
    return is_slug(name.partition("@")[0])


def _check_number(painters: Sequence[str], faults: list[str]) -> None:
    if len(painters) == 1:
        faults.append(f"{painters[0]} alone is no mix: artmaster generate {painters[0]} draws with one adapter")
    elif not painters and not faults:
        faults.append("it names nobody: say who has which part, as composition=A colour=B brush=C or A=0.5 B=0.5")
    elif len(painters) > MOST:
        faults.append(f"{len(painters)} experts in one mix: {MOST} are the most")


def _check_known(painters: Sequence[str], what: str, said: Mapping[str, Any], faults: list[str]) -> None:
    for name in said:
        if name not in painters:
            near = difflib.get_close_matches(name, painters, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            faults.append(f"a {what} is said of {name}, who has no part in the mix{hint}")


def _who(shares: Mapping[str, Shares], factor: str) -> str:
    of = {painter: share[factor] for painter, share in shares.items() if share[factor] > 0}
    if len(of) == 1:
        return next(iter(of))
    return "+".join(f"{painter}:{round(share, 4):g}" for painter, share in of.items())
