"""Dagster's front door: the code location that workspace.yaml names."""

from artmaster_pipeline.orchestration.build import build_defs

defs = build_defs()
