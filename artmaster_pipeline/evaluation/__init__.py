"""From an adapter and held-out works to a grid original | base | adapter, and a panel of distances."""

from artmaster_pipeline.evaluation.evaluate import evaluate_adapter

__all__ = ["evaluate_adapter"]
