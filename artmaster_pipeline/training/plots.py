"""The curves and the map of ranks that lie beside an adapter; the same log always gives the same bytes."""

import re
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"(single_)?transformer_blocks\.(\d+)\.(.+)")
_SMOOTH = 0.95  # how much of the running mean a step keeps


def draw_loss(log: list[dict[str, Any]], file: Path) -> None:
    """Draw the loss of every step, its running mean, and the orthogonal loss below."""
    from matplotlib.figure import Figure

    steps = [row["step"] for row in log]
    figure = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    losses = [row["loss"] for row in log]
    upper.plot(steps, losses, color="#b8c4cc", linewidth=0.8, label="each step")
    upper.plot(steps, _running_mean(losses), color="#1f4e5f", linewidth=1.8, label="running mean")
    upper.set_ylabel("loss (velocity, mean squared error)")
    upper.legend(frameon=False)
    lower.plot(steps, [row["orth"] for row in log], color="#a4622a", linewidth=1.2)
    lower.set_ylabel("orthogonal loss")
    lower.set_xlabel("step")
    _save(figure, file)


def draw_ranks(log: list[dict[str, Any]], ranks: dict[str, int], init_r: int, file: Path) -> None:
    """Draw the total rank by step, and the rank that each layer kept: a row per kind of layer, a column per block."""
    from matplotlib.figure import Figure

    maps = [grid for grid in (_grid(ranks, single=False), _grid(ranks, single=True)) if grid[1]]
    rows = [len(kinds) for kinds, _ in maps]
    blocks = max(len(values[0]) for _, values in maps)
    figure = Figure(
        figsize=(max(8.0, 3 + 0.32 * blocks), 2.6 + 0.32 * sum(rows) + 0.9 * len(maps)), layout="constrained"
    )
    axes = figure.subplots(1 + len(maps), 1, height_ratios=[7, *(count + 2 for count in rows)])
    axes[0].plot([row["step"] for row in log], [row["rank"] for row in log], color="#1f4e5f", linewidth=1.8)
    axes[0].set_ylim(bottom=0)
    axes[0].set_xlabel("step")
    axes[0].set_ylabel("ranks in all layers")
    for axis, (kinds, values), name in zip(axes[1:], maps, ("double blocks", "single blocks"), strict=False):
        image = axis.imshow(values, vmin=0, vmax=init_r, cmap="YlGnBu", aspect="auto")
        axis.set_title(f"rank kept, {name}" if len(maps) > 1 else "rank kept", fontsize=10, loc="left")
        axis.set_yticks(range(len(kinds)), kinds, fontsize=8)
        axis.set_xticks(range(len(values[0])), [str(n) for n in range(len(values[0]))], fontsize=8)
        _write_numbers(axis, values, init_r)
        figure.colorbar(image, ax=axis, pad=0.01)
    axes[-1].set_xlabel("block")
    _save(figure, file)


def _write_numbers(axis: Any, values: list[list[int]], init_r: int) -> None:
    for y, row in enumerate(values):
        for x, rank in enumerate(row):
            colour = "white" if rank > 0.6 * init_r else "#333333"
            axis.text(x, y, str(rank), ha="center", va="center", fontsize=7, color=colour)


def _grid(ranks: dict[str, int], *, single: bool) -> tuple[list[str], list[list[int]]]:
    """(kinds of layer, rank by kind and block) of the double or the single blocks."""
    found: dict[str, dict[int, int]] = {}
    for layer, rank in ranks.items():
        match = _BLOCK.fullmatch(layer)
        if match and bool(match[1]) == single:
            found.setdefault(match[3], {})[int(match[2])] = rank
    kinds = sorted(found)
    blocks = sorted({block for by_block in found.values() for block in by_block})
    return kinds, [[found[kind].get(block, 0) for block in blocks] for kind in kinds]


def _running_mean(values: list[float]) -> list[float]:
    """An exponential mean, corrected for its beginning."""
    mean, weight, means = 0.0, 0.0, []
    for value in values:
        mean = _SMOOTH * mean + (1 - _SMOOTH) * value
        weight = _SMOOTH * weight + (1 - _SMOOTH)
        means.append(mean / weight)
    return means


def _save(figure: Any, file: Path) -> None:
    # matplotlib writes its version into the file unless told not to.
    figure.savefig(file, dpi=110, format="png", metadata={"Software": None})
