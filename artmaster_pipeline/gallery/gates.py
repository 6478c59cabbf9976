"""What is said of a picture of a story, and of one that several adapters drew: its mix or canvas, and whose parts."""

from collections.abc import Mapping
from typing import Any

from artmaster_pipeline.records import Region, Sample, regions_of

_ORDER = ("composition", "colour", "brush")  # in which factors are told; records sort them by name


def gates_said(sample: Sample) -> dict[str, Any]:
    """What records and files say of it beside what they say of every picture; nothing of others."""
    if sample.story:
        told = {"story": sample.story, "shot": sample.shot}
        return told | ({"gates": sample.gates} if sample.gates else {})
    if sample.canvas:
        return {"canvas": sample.canvas, "gates": sample.gates}
    return {"mix": sample.mix, "gates": sample.gates} if sample.gates else {}


def gates_in_words(gates: Any) -> str:
    """The gates of a picture as one line; empty where there are none, or a file says something else there."""
    if not isinstance(gates, Mapping):
        return ""
    if regions := regions_of(gates):
        return "; ".join(f"{region.id} ({_share(region.share)}) {_hands(region)}" for region in regions)
    if not isinstance(gates.get("adapters"), Mapping):
        return ""
    said = [_parts(gates)]
    if maps := gates.get("regions"):
        said.append(f"each within its region ({', '.join(map(str, maps))})")
    if strengths := gates.get("strengths"):
        said.append("strengths " + ", ".join(f"{painter} {value:g}" for painter, value in strengths.items()))
    return "; ".join(filter(None, said))


def _parts(gates: Mapping[str, Any]) -> str:
    shares, bands = gates.get("shares"), gates.get("bands")
    if bands:
        rows = (f"{painter} {' '.join(f'{_share(value)}' for value in of)}" for painter, of in bands.items())
        return f"from the noisiest band on: {', '.join(rows)}"
    if not shares:
        return f"{gates.get('gate', '')} gate over {', '.join(map(str, gates['adapters']))}"
    if all(len(set(of.values())) == 1 for of in shares.values()):
        return ", ".join(f"{painter} {_share(next(iter(of.values())))}" for painter, of in shares.items())
    return "; ".join(f"{factor} {_who(shares, factor)}" for factor in _ORDER)


def _who(shares: Mapping[str, Mapping[str, float]], factor: str) -> str:
    of = {painter: share[factor] for painter, share in shares.items() if share.get(factor, 0) > 0}
    if len(of) == 1:
        return f"by {next(iter(of))}"
    return "by " + " and ".join(f"{painter} ({_share(share)})" for painter, share in of.items())


def _hands(region: Region) -> str:
    said = f"by {' and '.join(region.painters)}"
    if part := ", ".join(f"{factor} {_share(region.factors[factor])}" for factor in _ORDER if factor in region.factors):
        said += f" ({part})"
    return said


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"
