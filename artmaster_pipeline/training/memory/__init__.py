"""How much memory a training takes, before it runs."""
