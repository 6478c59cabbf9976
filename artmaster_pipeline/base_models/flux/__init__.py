"""The FLUX.1 family: FLUX.1-dev and the miniature that is built of the same classes."""
