"""Training: a training set becomes an AdaLoRA adapter of the base model.

The adapter is folded to a plain LoRA that stock diffusers loads; its live state, log, curves, model card and lineage
lie beside it. Nothing heavy is imported until a stage runs.
"""

from artmaster_pipeline.training.adapter_check import check_adapter
from artmaster_pipeline.training.schedule import steps_for
from artmaster_pipeline.training.style_adapter import train_adapter

__all__ = ["check_adapter", "steps_for", "train_adapter"]
