"""The captioner that a profile names."""

from artmaster_pipeline.dataset.captioners.interface import Captioner
from artmaster_pipeline.dataset.captioners.reader import EmbeddedReader
from artmaster_pipeline.sessions import kept
from artmaster_pipeline.settings import Home, Profile

EMBEDDED = "embedded-reader"


@kept
def load_captioner(profile: Profile, home: Home) -> Captioner:
    """The profile's captioner, one for as long as a session lasts.

    Raises MissingRequirement where the profile names none, or its model cannot be had.
    """
    if profile.captioner == EMBEDDED:
        return EmbeddedReader()
    raise NotImplementedError
