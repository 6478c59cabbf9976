"""The learned gate."""
