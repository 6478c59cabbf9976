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


def draw_watch(losses: list[dict[str, float]], readings: list[dict[str, float]], chosen: int, file: Path) -> None:
    """Draw the loss on the validation works and the panel's score, by step; the chosen step is marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    steps = [row["step"] for row in losses]
    for number, name in enumerate(name for name in (losses[0] if losses else {}) if name.startswith("loss at ")):
        colour = (0.75 - 0.12 * number, 0.8 - 0.1 * number, 0.85 - 0.07 * number)
        upper.plot(steps, [row[name] for row in losses], color=colour, linewidth=1, label=f"sigma {name[8:]}")
    upper.plot(steps, [row["loss"] for row in losses], color="#1f4e5f", linewidth=1.8, label="mean")
    upper.set_ylabel("loss on validation works")
    lower.plot([r["step"] for r in readings], [r["score"] for r in readings], color="#a4622a", marker="o")
    lower.set_ylabel("validation panel's score")
    lower.set_xlabel("step")
    for axis, rows in ((upper, losses), (lower, readings)):
        if rows:
            axis.axvline(chosen, color="#888888", linestyle=":")
        else:
            axis.text(0.5, 0.5, "too few works for validation", ha="center", transform=axis.transAxes, color="#666666")
    if losses:
        upper.legend(frameon=False, fontsize=8, ncols=3)
    _save(figure, file)


def draw_samples(pictures: list[list[Path]], steps: list[int], file: Path) -> None:
    """Draw the pictures made while training: a row for each prompt and seed, a column for each step."""
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(2 * len(steps), 2.1 * len(pictures)), layout="constrained")
    axes = figure.subplots(len(pictures), len(steps), squeeze=False)
    for y, row in enumerate(pictures):
        for x, path in enumerate(row):
            with Image.open(path) as picture:
                axes[y][x].imshow(picture.convert("RGB"))
            axes[y][x].set_axis_off()
            if y == 0:
                axes[y][x].set_title(f"step {steps[x]}", fontsize=9)
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
