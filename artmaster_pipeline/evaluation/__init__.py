"""From an adapter and held-out works to a grid original | base | adapter, a panel of figures, a verdict."""

from artmaster_pipeline.evaluation.evaluate import (
    Asked,
    Evaluation,
    current_verdict,
    evaluate,
    evaluate_adapter,
    measure_drawn,
    verdict_on,
)
from artmaster_pipeline.evaluation.panel.validation import validation_panel
from artmaster_pipeline.evaluation.verdicts import decide, last_verdict, read_verdicts

__all__ = [
    "Asked",
    "Evaluation",
    "current_verdict",
    "decide",
    "evaluate",
    "evaluate_adapter",
    "last_verdict",
    "measure_drawn",
    "read_verdicts",
    "validation_panel",
    "verdict_on",
]
