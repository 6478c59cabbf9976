"""AdaLoRA on stacked parameters: where it sits in a transformer, its layers, how it takes ranks away."""
