"""A story painted in one hand: same gates and words in every shot, the best of several pictures, and a second look."""

from artmaster_pipeline.stories.painting.records import Candidate, Choice, Critique
from artmaster_pipeline.stories.painting.stage import (
    choices_of,
    critiques_of,
    current_key,
    decide_on_story,
    hand_at_work,
    illustrate,
    illustrated_of,
    key_of,
    painted_story,
)

__all__ = [
    "Candidate",
    "Choice",
    "Critique",
    "choices_of",
    "critiques_of",
    "current_key",
    "decide_on_story",
    "hand_at_work",
    "illustrate",
    "illustrated_of",
    "key_of",
    "painted_story",
]
