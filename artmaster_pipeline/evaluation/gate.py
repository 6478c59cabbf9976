"""The gate: may an adapter's gallery be published? By its figures and the profile's limits, unless a person decided.

A limit that cannot be tried is never passed: then a person has to decide. `verdicts.py` keeps what comes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artmaster_pipeline.axes import AXES, AXIS_WORDS
from artmaster_pipeline.evaluation.panel.compare import Contest
from artmaster_pipeline.evaluation.panel.summary import excludes_zero
from artmaster_pipeline.records import Verdict
from artmaster_pipeline.settings import GateSettings


def judge(
    panel: dict[str, Any],
    limits: GateSettings,
    contest: Contest | None,
    decision: dict[str, str],
    champion: Verdict | None = None,
) -> Verdict:
    """The verdict on the adapter that `panel` measures.

    `contest` is its comparison with the adapter that is published now, if there is another; `decision` is the last
    that a person took on this adapter, empty where none did; `champion` the last verdict on the published adapter.
    Every limit is tried, so the reasons are complete.
    """
    tried = _tried(panel, limits, contest)
    failed = tuple(trial.said for trial in tried if not trial.kept)
    passed = tuple(trial.said for trial in tried if trial.kept)
    common: dict[str, Any] = {
        "adapter_id": panel["adapter_id"],
        "failed": failed,
        "figures": _figures(panel, contest),
        "needs_person": any(trial.kept is None for trial in tried),
        "champion_id": contest.champion_id if contest else "",
        "champion": _champion(champion),
        "panel_id": panel.get("id", ""),
    }
    if decision:
        said = f"{decision['by']} decided on {decision['at'][:10]}: {decision['reason']}"
        return Verdict(publish=decision["verdict"] == "publish", by="person", reasons=(said,), **common)
    return Verdict(publish=not failed, by="figures", reasons=failed or passed, **common)


@dataclass(frozen=True)
class _Trial:
    """A limit: whether the figures keep it, None where there are none to tell, and the sentence that says so."""

    kept: bool | None
    said: str


def _champion(verdict: Verdict | None) -> dict[str, Any]:
    """The published adapter's own figures, without those of the champion before it."""
    if verdict is None:
        return {}
    figures = {name: of for name, of in verdict.figures.items() if name != "against_published"}
    return {"verdict_id": verdict.id, "at": verdict.at, "by": verdict.by, "figures": figures}


def _tried(panel: dict[str, Any], limits: GateSettings, contest: Contest | None) -> list[_Trial]:
    tried = [_better(panel, axis) for axis in limits.better_than_base]
    tried += [_no_farther(panel, axis) for axis in panel["axes"] if axis not in limits.better_than_base]
    tried += [_drift(panel["drift"]["loss"], limits.max_drift), _copies(panel["memorisation"], limits.max_suspects)]
    if contest is not None and limits.not_worse_than_published:
        tried += _against(contest, limits.better_than_base or AXES)
    return tried


def _drift(loss: float | None, most: float) -> _Trial:
    if loss is None:
        return _Trial(None, "Drift: not measured, since no prompts were drawn; a person has to decide.")
    return _Trial(loss <= most, f"Drift: the loss of prompt adherence against the base is {loss:.3f} (limit {most:g}).")


def _copies(figures: dict[str, Any], most: int) -> _Trial:
    if not figures["pictures"]:
        return _Trial(None, "Copies: not looked for, since no samples were drawn; a person has to decide.")
    count = figures["suspects"]
    said = f"Copies: {count} of {figures['pictures']} samples look like a training work (limit {most})."
    return _Trial(count <= most, said)


def _better(panel: dict[str, Any], axis: str) -> _Trial:
    figures, name = panel["axes"].get(axis), AXIS_WORDS[axis].capitalize()
    if figures is None:
        return _Trial(False, f"{name}: not measured, since too few works were held out of the training.")
    better = excludes_zero(figures["gain_interval"])
    said = f"{'nearer' if better else 'not clearly nearer'} to the held-out works than the base"
    return _Trial(better, f"{name}: {said} (gain {figures['gain']:.3f}, {_interval(figures['gain_interval'])}).")


def _no_farther(panel: dict[str, Any], axis: str) -> _Trial:
    """Where an axis is not asked for, the adapter may not be clearly farther from the works than the base is."""
    figures = panel["axes"][axis]
    high = figures["gain_interval"][1]
    farther = high is not None and high < 0
    return _Trial(
        not farther,
        f"{AXIS_WORDS[axis].capitalize()}: {'' if farther else 'not '}clearly farther from the held-out works than the "
        f"base (gain {figures['gain']:.3f}, {_interval(figures['gain_interval'])}).",
    )


def _against(contest: Contest, axes: Sequence[str]) -> list[_Trial]:
    """Not clearly worse than the published adapter on each axis; a comparison that was impossible proves nothing."""
    return [_not_worse(contest, axis) for axis in axes] if contest.axes else [_impossible(contest, contest.why_not)]


def _not_worse(contest: Contest, axis: str) -> _Trial:
    figures = contest.axes.get(axis)
    if figures is None or None in figures["gain_interval"]:
        return _impossible(contest, "too few prompts or works to tell", f" in {AXIS_WORDS[axis]}")
    worse = figures["gain_interval"][1] < 0
    said = "worse" if worse else "not worse"
    return _Trial(
        not worse,
        f"{AXIS_WORDS[axis].capitalize()}: {said} than the published adapter {contest.champion_id} "
        f"(difference {figures['gain']:.3f}, {_interval(figures['gain_interval'])}).",
    )


def _impossible(contest: Contest, why: str, where: str = "") -> _Trial:
    return _Trial(
        None,
        f"Not compared{where} with {_named(contest)}: {why or 'nothing was measured'}. "
        "Whether this one may take its place is for a person to decide.",
    )


def _named(contest: Contest) -> str:
    return f"the published adapter {contest.champion_id}" if contest.champion_id else "the adapter that is published"


def _interval(ends: Sequence[float | None]) -> str:
    low, high = ends
    if low is None or high is None:
        return "95 % interval without bounds: too few prompts or works"
    return f"95 % interval {low:.3f} to {high:.3f}"


def _figures(panel: dict[str, Any], contest: Contest | None) -> dict[str, Any]:
    """Every figure that the verdict rests on."""
    axes = {
        axis: {name: f[name] for name in ("score", "score_interval", "gain", "gain_interval", "p")}
        for axis, f in panel["axes"].items()
    }
    figures: dict[str, Any] = {
        "axes": axes,
        "counts": panel["counts"],
        "drift": {name: panel["drift"].get(name) for name in ("loss", "loss_interval", "slope", "method")},
        "suspects": panel["memorisation"]["suspects"],
    }
    if "consistency" in panel:
        figures["consistency"] = {name: panel["consistency"][name] for name in ("ratio", "ratio_interval")}
        figures["diversity"] = panel["diversity"]
    if contest is not None:
        figures["against_published"] = contest.as_json()
    return figures
