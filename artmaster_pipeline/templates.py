"""Pages from templates: whatever a page is told is escaped, and a name that it is not told is an error."""

from typing import Any


def html_templates(package: str, folder: str = ".") -> Any:
    """The jinja2 environment of the templates in a package's folder; every text they show is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
