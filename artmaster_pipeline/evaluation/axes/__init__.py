"""The axes of the panel, tone, brushwork, composition, depiction and whole style: pictures described and compared."""
