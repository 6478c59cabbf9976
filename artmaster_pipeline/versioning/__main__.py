"""Prints the dvc.yaml of the project's own data home: how that file is written."""

from artmaster_pipeline.versioning.pipeline import pipeline_text

print(pipeline_text("assets_data"), end="")  # noqa: T201
