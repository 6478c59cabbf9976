"""What a captioner is, and what the archive tells it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Facts:
    """What the archive knows of a work, in its own words and language; empty where it says nothing."""

    title: str = ""
    date: str = ""
    subject: str = ""
    season: str = ""


class Captioner(Protocol):
    """Says what a picture shows, in words that the base model reads."""

    @property
    def name(self) -> str:
        """How a caption's source names it."""

    @property
    def identity(self) -> str:
        """Name and version: the same identity says the same of the same picture and facts."""

    def describe(self, picture: "np.ndarray", facts: Facts) -> str:
        """One line about a picture (uint8, height x width x 3, sRGB); empty where nothing can be told."""
