"""The axes of the panel: pictures described in tone, brushwork, composition, depiction and whole style, and compared."""
