"""Evaluations that rest on a work which may not be used any more: its picture and its figures are in them."""

from collections.abc import Mapping

from artmaster_pipeline.adapters.withdrawn import Mark, meetings, withdrawn_works
from artmaster_pipeline.errors import HoldsWithdrawn
from artmaster_pipeline.evaluation.panel.measure import read_panel
from artmaster_pipeline.records import JUDGED_BY, PANEL, Adapter
from artmaster_pipeline.settings import Home


def evaluation_marks(home: Home, adapter: Adapter, asked: Mapping[str, Mark] | None = None) -> tuple[Mark, ...]:
    """The works that judged an adapter, by the evaluation as it lies there, and may not be used any more.

    `asked` are such works instead, where they are given. Panels of earlier versions do not say by which works they
    were made: for them the adapter's snapshot does.
    """
    panel = read_panel(home.evaluation(adapter.painter) / adapter.id / PANEL)
    if not panel:
        return ()
    if JUDGED_BY not in panel:
        return tuple(mark for mark in meetings(home, adapter, asked) if mark.part == "held_out")
    works = withdrawn_works(home, adapter.painter) if asked is None else asked
    return tuple(
        Mark(sha256, "held_out", works[sha256].since, works[sha256].reason, works[sha256].by_rights)
        for sha256 in panel[JUDGED_BY]
        if sha256 in works
    )


def check_judged_without(home: Home, adapter: Adapter) -> None:
    """Raise HoldsWithdrawn where the evaluation of an adapter rests on such a work: it has to be made anew."""
    marks = evaluation_marks(home, adapter)
    if marks:
        raise HoldsWithdrawn(
            f"{marks[0].of(f'The adapter {adapter.id} of {adapter.painter}')}. The adapter holds nothing of it, but "
            f"its evaluation does: evaluate it anew with artmaster run {adapter.painter} . {marks[0].way_back()}"
        )
