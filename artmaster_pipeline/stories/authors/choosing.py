"""Which author a wish names, and a wish written to a storyboard by it."""

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.settings import Home, Profile, load_profile, painter_profile
from artmaster_pipeline.stories.authors.endpoint import EndpointAuthor
from artmaster_pipeline.stories.authors.local import LocalAuthor
from artmaster_pipeline.stories.authors.template import TemplateAuthor
from artmaster_pipeline.stories.records import Author, Story, Wish
from artmaster_pipeline.stories.storyboard import assemble, brief_for
from artmaster_pipeline.stories.storyboard.brief import painters_of

AUTHORS = "template, local, or the URL of an OpenAI-compatible endpoint"


def author_named(name: str, model: str = "", *, home: Home | None = None) -> Author:
    """The author called `name` in a wish: "template", "local" (of `model`), or an endpoint's URL (with its `model`).

    Raises WrongUse for another name, MissingRequirement where the local model is not installed.
    """
    if name == "template":
        if model:
            raise WrongUse(f"--model {model[:80]}: the template is no model. Name --author local or an endpoint's URL.")
        return TemplateAuthor()
    if name == "local":
        return LocalAuthor(model, home)
    if "://" in name:
        return EndpointAuthor(name, model)
    raise WrongUse(f"--author {name[:80]!r}: choose {AUTHORS}, such as http://localhost:8080/v1.")


def write_storyboard(
    home: Home, wish: Wish, progress: Progress = SILENT, profile: Profile | None = None, *, name: str = "story"
) -> Story:
    """The storyboard of a wish, by the author that it names; what the author said amiss is mended and told.

    `profile`'s base decides which words are read; without one it is the painter's. Raises WrongUse where the wish
    names nobody to paint or to write, and ArtMasterError where the author gave nothing.
    """
    settings = profile or profile_of(home, wish)
    brief = brief_for(wish, home, settings)
    written = author_named(wish.author, wish.model, home=home).write(brief, progress)
    return assemble(brief, written, name, home=home, profile=settings)


def profile_of(home: Home, wish: Wish) -> Profile:
    """The profile that a wish is painted under: its first painter's; the miniature's where nobody is known."""
    painters = painters_of(wish.painter, wish.mix, home, [])
    return painter_profile(home, painters[0]) if painters else load_profile("miniature", home)
