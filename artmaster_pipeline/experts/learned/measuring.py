"""How good a gate is: accuracy, calibration and confusion on captions that did not teach it.

Logits are divided by a temperature that makes the validation captions likeliest, and the expected calibration error is
the mean over bins of confidence of |accuracy - confidence|, weighted by their captions (Guo, Pleiss, Sun and Weinberger
2017, https://arxiv.org/abs/1706.04599). Whose caption it is, is asked among the painters: nobody is left out.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.evaluation.intervals import Interval, mean

if TYPE_CHECKING:
    import torch

_BINS = 10
_TEMPERATURES = 81  # tried between a tenth and ten


@dataclass(frozen=True)
class Measured:
    """The figures of a gate on n captions."""

    accuracy: Interval | None  # none: no captions
    chance: float | None
    calibration_error: float | None
    reliability: tuple[dict[str, float], ...]
    confusion: dict[str, dict[str, int]]


def best_temperature(logits: "torch.Tensor", painters: "torch.Tensor") -> float:
    """The temperature at which painters' logits (n, painters) make the true ones (n,) likeliest; 1 without captions."""
    import torch

    if not len(painters):
        return 1.0
    tried = torch.logspace(-1, 1, _TEMPERATURES)
    losses = torch.stack([torch.nn.functional.cross_entropy(logits / each, painters) for each in tried])
    return round(float(tried[losses.argmin()]), 5)


def measure(
    odds: "torch.Tensor", painters: "torch.Tensor", names: Sequence[str], works: Sequence[Hashable]
) -> Measured:
    """The figures from probabilities (n, painters) and the true painters' numbers (n,); works are the clusters."""
    import torch

    confusion = {name: dict.fromkeys(names, 0) for name in names}
    if not len(painters):
        return Measured(None, None, None, (), confusion)
    confidence, taken = odds.max(1)
    right = (taken == painters).float()
    for true, said in zip(painters.tolist(), taken.tolist(), strict=True):
        confusion[names[true]][names[said]] += 1
    places = (confidence * _BINS).long().clamp(max=_BINS - 1)
    bins = []
    for number in range(_BINS):
        inside = places == number
        if inside.any():
            bins.append(
                {
                    "low": number / _BINS,
                    "high": (number + 1) / _BINS,
                    "captions": float(inside.sum()),
                    "confidence": round(float(confidence[inside].mean()), 5),
                    "accuracy": round(float(right[inside].mean()), 5),
                }
            )
    error = sum(row["captions"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / len(painters)
    chance = float(torch.bincount(painters).max()) / len(painters)
    return Measured(mean(right.tolist(), works), round(chance, 5), round(error, 5), tuple(bins), confusion)


def draw_reliability(reliability: Sequence[dict[str, float]], error: float | None, captions: int, file: Path) -> None:
    """Draw accuracy by confidence, a bar for each bin, beside the line on which a gate is as sure as it is right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="as sure as right")
    for row in reliability:
        width = row["high"] - row["low"]
        axis.bar(row["low"], row["accuracy"], width, align="edge", color="#b8c4cc", edgecolor="white")
        axis.plot(row["confidence"], row["accuracy"], "o", color="#a4622a")
        axis.text(
            row["confidence"], min(row["accuracy"] + 0.03, 0.97), f"{row['captions']:.0f}", ha="center", fontsize=8
        )
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.05)
    axis.set_xlabel("confidence")
    axis.set_ylabel("accuracy")
    said = "no held-out captions" if error is None else f"{captions} held-out captions, calibration error {error:.3f}"
    axis.set_title(said, fontsize=10)
    # matplotlib writes its version into the file unless told not to.
    figure.savefig(file, dpi=90, format="png", metadata={"Software": None})
