"""Who writes storyboards: a template, a local model, an OpenAI-compatible endpoint, behind one interface."""

from artmaster_pipeline.stories.authors.choosing import AUTHORS, author_named, write_storyboard
from artmaster_pipeline.stories.authors.template import TemplateAuthor

__all__ = ["AUTHORS", "TemplateAuthor", "author_named", "write_storyboard"]
