"""What is watched while an adapter is trained: validation, curves, pictures for TensorBoard."""
