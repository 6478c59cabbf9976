"""What a person should look at, and what persons decided: that is kept beside the scans and goes before all else."""

from artmaster_pipeline.curation.review.decisions import decisions_of, read_decisions, save_decisions

__all__ = ["decisions_of", "read_decisions", "save_decisions"]
