"""How much each part of a painting counts."""
