"""The gate: may an adapter's gallery be published? By its figures and the profile's limits, unless a person decided.

The judgement is in verdict.json beside the panel; what persons decided, and why, in decisions.jsonl of the painter's
evaluations, which only grows.
"""

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.evaluation.panel.compare import Contest
from artmaster_pipeline.evaluation.panel.reading import excludes_zero
from artmaster_pipeline.files import write_text
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.records import DECISIONS, VERDICT, Verdict
from artmaster_pipeline.settings import GateSettings, Home

_NAMES = {"tone": "tone", "brushwork": "brushwork", "composition": "composition", "style": "whole style"}


def judge(panel: dict[str, Any], limits: GateSettings, contest: Contest | None, decision: dict[str, str]) -> Verdict:
    """The verdict on the adapter that `panel` measures.

    `contest` is its comparison with the adapter that is published now, if there is another; `decision` is the last
    that a person took on this adapter, empty where none did. Every limit is tried, so the reasons are complete.
    """
    passed: list[str] = []
    failed: list[str] = []
    for kept, sentence in _tried(panel, limits, contest):
        (passed if kept else failed).append(sentence)
    figures = _figures(panel, contest)
    champion = contest.champion_id if contest else ""
    if decision:
        publish = decision["verdict"] == "publish"
        said = f"{decision['by']} decided on {decision['at'][:10]}: {decision['reason']}"
        return Verdict(
            adapter_id=panel["adapter_id"],
            publish=publish,
            by="person",
            reasons=(said,),
            failed=tuple(failed),
            figures=figures,
            champion_id=champion,
        )
    return Verdict(
        adapter_id=panel["adapter_id"],
        publish=not failed,
        by="figures",
        reasons=tuple(failed or passed),
        failed=tuple(failed),
        figures=figures,
        champion_id=champion,
    )


def _tried(panel: dict[str, Any], limits: GateSettings, contest: Contest | None) -> list[tuple[bool, str]]:
    tried = [_better(panel, axis) for axis in limits.better_than_base]
    loss, suspects = panel["drift"]["loss"], panel["memorisation"]["suspects"]
    tried.append(
        (
            loss <= limits.max_drift,
            f"Drift: the loss of prompt adherence against the base is {loss:.3f} (limit {limits.max_drift:g}).",
        )
    )
    tried.append(
        (
            suspects <= limits.max_suspects,
            f"Copies: {suspects} of {panel['memorisation']['pictures']} samples look like a training work "
            f"(limit {limits.max_suspects}).",
        )
    )
    if contest is not None and limits.not_worse_than_published:
        tried += _against(contest, limits)
    return tried


def _better(panel: dict[str, Any], axis: str) -> tuple[bool, str]:
    figures = panel["axes"].get(axis)
    name = _NAMES[axis].capitalize()
    if figures is None:
        return False, f"{name}: not measured, since too few works were held out of the training."
    low, high = figures["gain_interval"]
    better = excludes_zero(figures["gain_interval"])
    said = f"{'nearer' if better else 'not clearly nearer'} to the held-out works than the base"
    return better, f"{name}: {said} (gain {figures['gain']:.3f}, 95 % interval {low:.3f} to {high:.3f})."


def _against(contest: Contest, limits: GateSettings) -> list[tuple[bool, str]]:
    if contest.why_not:
        return [(True, f"Not compared with the published adapter {contest.champion_id}: {contest.why_not}.")]
    tried = []
    for axis in limits.better_than_base:
        figures = contest.axes.get(axis)
        if figures is None:
            continue
        low, high = figures["gain_interval"]
        worse = high is not None and high < 0
        said = "worse" if worse else "not worse"
        tried.append(
            (
                not worse,
                f"{_NAMES[axis].capitalize()}: {said} than the published adapter {contest.champion_id} "
                f"(difference {figures['gain']:.3f}, 95 % interval {low:.3f} to {high:.3f}).",
            )
        )
    return tried


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


def write_verdict(home: Home, painter: str, verdict: Verdict) -> None:
    """Write verdict.json; untouched where nothing changed."""
    file = verdict_file(home, painter, verdict.adapter_id)
    text = json.dumps(verdict.model_dump(mode="json"), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def read_verdict(home: Home, painter: str, adapter_id: str) -> Verdict | None:
    """The verdict on an adapter; None where there is none that can be read."""
    try:
        return Verdict.model_validate_json(verdict_file(home, painter, adapter_id).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def verdict_file(home: Home, painter: str, adapter_id: str) -> Path:
    """Where the verdict on an adapter lies."""
    return home.evaluation(painter) / adapter_id / VERDICT


def last_decision(home: Home, painter: str, adapter_id: str) -> dict[str, str]:
    """What a person last decided on an adapter: verdict, reason, by, at; empty where nobody did."""
    found = [row for row in _decisions(home, painter) if row["adapter_id"] == adapter_id]
    return found[-1] if found else {}


@one_at_a_time
def decide(
    home: Home, painter: str, adapter_id: str, verdict: Literal["publish", "reject"], reason: str
) -> dict[str, str]:
    """Keep a person's decision on an adapter and give it; the next evaluation puts it into force.

    Raises WrongUse without a reason, or where the adapter was not evaluated.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise WrongUse("A decision needs a reason that others can read later: --reason TEXT")
    if not verdict_file(home, painter, adapter_id).is_file():
        raise WrongUse(
            f"{painter}'s adapter {adapter_id} has not been evaluated, so there is no verdict to overrule. "
            f"Run: artmaster evaluate {painter} --adapter {adapter_id}"
        )
    row = {
        "adapter_id": adapter_id,
        "verdict": verdict,
        "reason": reason,
        "by": _user(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    rows = [*_decisions(home, painter), row]
    lines = "".join(json.dumps(each, ensure_ascii=False, sort_keys=True) + "\n" for each in rows)
    write_text(home.evaluation(painter) / DECISIONS, lines)
    return row


def _decisions(home: Home, painter: str) -> list[dict[str, str]]:
    file = home.evaluation(painter) / DECISIONS
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "someone"
