"""Where in a scan the painting is."""
