"""The map as a picture: by factor a table of groups of blocks and bands of noise; the same map gives the same bytes."""

from pathlib import Path
from typing import Any

from artmaster_pipeline.experts.factors import AXIS_OF, FACTORS
from artmaster_pipeline.experts.records import ExpertMap

_DPI = 80


def draw_heat_map(found: ExpertMap, file: Path) -> None:
    """Draw what is lost without each part, noise falling from left to right as in a drawing.

    Cells of which the map says nothing are grey.
    """
    from matplotlib.figure import Figure

    groups, edges = found.factor_map.groups, found.factor_map.noise_bands
    bands = list(reversed(range(len(edges) - 1)))
    most = max(max(max(row) for row in found.lost[factor]) for factor in FACTORS)
    figure = Figure(figsize=(3.1 * len(FACTORS) + 1.2, 1.4 + 0.45 * len(groups)), layout="constrained")
    axes = figure.subplots(1, len(FACTORS), sharey=True)
    for axis, factor in zip(axes, FACTORS, strict=True):
        table = [[found.lost[factor][group][band] for band in bands] for group in range(len(groups))]
        grey = [[found.says_nothing(factor, group, band) for band in bands] for group in range(len(groups))]
        image = axis.imshow(_masked(table, grey), vmin=0, vmax=max(most, 0.01), cmap="YlOrBr", aspect="auto")
        axis.set_facecolor("#d8d8d8")
        axis.set_title(factor if AXIS_OF[factor] == factor else f"{factor} ({AXIS_OF[factor]})", fontsize=10)
        axis.set_xticks(range(len(bands)), [f"{edges[b + 1]:g}-{edges[b]:g}" for b in bands], fontsize=8)
        axis.set_yticks(range(len(groups)), [group.name for group in groups], fontsize=8)
        _write_numbers(axis, table, grey, most)
        axis.set_xlabel("noise level", fontsize=8)
    figure.colorbar(image, ax=axes, pad=0.01).set_label("share of the change that is lost", fontsize=8)
    # matplotlib writes its version into the file unless told not to.
    figure.savefig(file, dpi=_DPI, format="png", metadata={"Software": None})


def _masked(table: list[list[float]], grey: list[list[bool]]) -> Any:
    import numpy as np

    return np.ma.array(table, mask=grey)


def _write_numbers(axis: Any, table: list[list[float]], grey: list[list[bool]], most: float) -> None:
    for y, row in enumerate(table):
        for x, value in enumerate(row):
            colour = "#777777" if grey[y][x] else "white" if value > 0.65 * most else "#333333"
            axis.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
