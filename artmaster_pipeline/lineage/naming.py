"""How what artworks are called is compared."""

import unicodedata


def folded(text: str) -> str:
    """A name without what does not tell two names apart: case, spaces, the ways in which Unicode writes one letter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
