"""Which captioner a profile names."""

from artmaster_pipeline.dataset.captioners.interface import Captioner
from artmaster_pipeline.dataset.captioners.vision_language import VisionLanguageCaptioner, vision_language_identity
from artmaster_pipeline.sessions import kept
from artmaster_pipeline.settings import Home, Profile


@kept
def load_captioner(profile: Profile, home: Home) -> Captioner:
    """The profile's captioner, one for as long as a session lasts.

    Raises MissingRequirement where the profile names none, its device is not there or the model cannot be had.
    """
    return VisionLanguageCaptioner(profile, home)


def captioner_identity(profile: Profile) -> str:
    """The identity that the profile's captioner has, without loading it."""
    return vision_language_identity(profile)
