"""The storyboard: from a wish to what an author may choose from, from a draft to a story that can be painted."""

from artmaster_pipeline.stories.storyboard.assembling import assemble, revised, written_identity
from artmaster_pipeline.stories.storyboard.brief import brief_for
from artmaster_pipeline.stories.storyboard.checking import faults_of
from artmaster_pipeline.stories.storyboard.prompts import (
    perspective_words,
    picture_identity,
    prompt_of,
    recurring,
    region_prompt,
    size_of,
    visual_of,
)
from artmaster_pipeline.stories.storyboard.reading import read_story, read_wish
from artmaster_pipeline.stories.storyboard.stage import make_storyboards, story_of
from artmaster_pipeline.stories.storyboard.telling import plot_of, told, told_again
from artmaster_pipeline.stories.storyboard.writing import story_yaml, write_story, write_wish

__all__ = [
    "assemble",
    "brief_for",
    "faults_of",
    "make_storyboards",
    "perspective_words",
    "picture_identity",
    "plot_of",
    "prompt_of",
    "read_story",
    "read_wish",
    "recurring",
    "region_prompt",
    "revised",
    "size_of",
    "story_of",
    "story_yaml",
    "told",
    "told_again",
    "visual_of",
    "write_story",
    "write_wish",
    "written_identity",
]
