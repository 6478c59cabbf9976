"""The axes of the panel: single pictures described in tone, brushwork, composition, depiction and whole style, and compared."""
