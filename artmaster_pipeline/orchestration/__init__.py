"""Dagster: when the rooms work, in which order, and what a person sees of it. The only package that imports dagster."""
