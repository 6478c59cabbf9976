"""The axes of the panel: single pictures described in tone, brushwork, composition and whole style, and compared."""
