"""The FLUX.1 family: what its transformer is asked outside a pipeline."""
