"""Several painters on one canvas: regions bound to experts, structure signals, and repainting what is there."""
