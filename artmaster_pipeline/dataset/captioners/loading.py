"""Which captioner a profile names, and what is known of it without loading it."""

from artmaster_pipeline.dataset.captioners.interface import Captioner
from artmaster_pipeline.dataset.captioners.reader import EmbeddedReader
from artmaster_pipeline.dataset.captioners.title_words import said_in_title
from artmaster_pipeline.dataset.captioners.vision_language import VisionLanguageCaptioner, vision_language_identity
from artmaster_pipeline.sessions import kept
from artmaster_pipeline.settings import EMBEDDED_READER, Home, Profile


@kept
def load_captioner(profile: Profile, home: Home) -> Captioner:
    """The profile's captioner, one for as long as a session lasts.

    Raises MissingRequirement where the profile names none, its device is not there or the model cannot be had.
    """
    if profile.captioner == EMBEDDED_READER:
        return EmbeddedReader()
    return VisionLanguageCaptioner(profile, home)


def captioner_identity(profile: Profile) -> str:
    """The identity that the profile's captioner has."""
    return EmbeddedReader.identity if profile.captioner == EMBEDDED_READER else vision_language_identity(profile)


def captioner_source(profile: Profile, untold: str) -> str:
    """How a caption names the profile's captioner as its source; `untold` is a title that the base does not read.

    A language model that is told such a title says it in English, the embedded reader where its table has the words.
    """
    embedded = profile.captioner == EMBEDDED_READER
    name = EmbeddedReader.name if embedded else profile.captioner
    translated = bool(said_in_title(untold)) if embedded else bool(untold)
    return f"{name}, title translated" if translated else str(name)
