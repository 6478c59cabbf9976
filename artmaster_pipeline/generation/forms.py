"""A loaded base as another of diffusers' pipelines: one that starts from a picture, or repaints a part of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from artmaster_pipeline.base_models.family import family_for
from artmaster_pipeline.errors import WrongUse

# "picture" is image-to-image (https://arxiv.org/abs/2108.01073), "repaint" is inpainting in a mask.
Form = Literal["picture", "repaint"]


@contextmanager
def as_form(pipe: Any, form: Form) -> Iterator[Any]:
    """The pipeline's own parts as the pipeline of that form, as long as this lasts: nothing is loaded or copied.

    Adapters that are on the one are on the other. Raises WrongUse where the base's family has no such pipeline.
    """
    import diffusers

    family = family_for(pipe)
    if form not in family.forms:
        raise WrongUse(
            f"Models of the family {family.name} have no pipeline of the form {form!r} here: they can "
            f"{', '.join(family.forms) or 'draw from text alone'}."
        )
    kind = getattr(diffusers, family.forms[form])
    shaped = kind(**pipe.components)
    shaped.set_progress_bar_config(disable=True)
    try:
        yield shaped
    finally:
        for name in list(shaped.components):  # or its memory would not be free when the pipeline's is
            setattr(shaped, name, None)
