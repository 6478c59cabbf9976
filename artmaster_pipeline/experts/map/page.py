"""A map as a page beside its pictures: the heat map, the tables with their intervals, where it says nothing."""

from pathlib import Path
from typing import Any

from artmaster_pipeline.axes import AXIS_WORDS
from artmaster_pipeline.experts.factors import AXIS_OF, FACTORS
from artmaster_pipeline.experts.records import ExpertMap
from artmaster_pipeline.files import write_text
from artmaster_pipeline.pictures import AI_GENERATED
from artmaster_pipeline.templates import html_templates


def write_page(name: str, found: ExpertMap, file: Path, heat_map: str) -> None:
    """Write the page, in the folder of the map's pictures; untouched if nothing changed."""
    groups, edges = found.factor_map.groups, found.factor_map.noise_bands
    bands = list(reversed(range(len(edges) - 1)))
    text = (
        html_templates("artmaster_pipeline.experts.map")
        .get_template("map.html.jinja")
        .render(
            name=name,
            map=found,
            notice=AI_GENERATED,
            heat_map=heat_map,
            drawing=found.drawing.in_words(),
            groups=[group.name for group in groups],
            bands=[f"{edges[band + 1]:g} to {edges[band]:g}" for band in bands],
            factors=[_factor(found, factor, bands) for factor in FACTORS],
            shown=_shown(found, bands),
        )
    )
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def _factor(found: ExpertMap, factor: str, bands: list[int]) -> dict[str, Any]:
    groups = range(len(found.factor_map.groups))

    def cell(group: int, band: int) -> dict[str, Any]:
        tables = {"lost": found.lost, "low": found.low, "high": found.high, "moved": found.moved}
        said = {name: table[factor][group][band] for name, table in tables.items()}  # type: ignore[index]
        return said | {"silent": found.says_nothing(factor, group, band)}

    return {
        "name": factor,
        "axis": AXIS_WORDS[AXIS_OF[factor]],
        "cells": [[cell(group, band) for band in bands] for group in groups],
        "phi": found.factor_map.phi[factor],
        "psi": [found.factor_map.psi[factor][band] for band in bands],
        "explained": found.explained[factor],
        "silent": found.silent[factor],
    }


def _shown(found: ExpertMap, bands: list[int]) -> dict[str, Any]:
    """The first prompt's pictures: the base's, the whole adapter's, and those without each part."""
    first = found.pictures[0]
    shown = [p for p in found.pictures if (p.prompt, p.seed) == (first.prompt, first.seed)]
    files = {(p.part, p.group, p.band): p.path.split("/", 1)[1] for p in shown}
    groups = range(len(found.factor_map.groups))
    return {
        "prompt": first.prompt,
        "base": files["base", 0, 0],
        "whole": files["whole", 0, 0],
        "rows": [[files["without", group, band] for band in bands] for group in groups],
    }
