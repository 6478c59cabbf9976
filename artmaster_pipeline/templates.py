"""Pages from templates: whatever a page is told is escaped, and a name that it is not told is an error."""

from typing import Any


def html_templates(package: str, folder: str = ".", *further: str) -> Any:
    """The jinja2 environment of the templates in a package's folder; every text they show is escaped.

    They may extend, include and import those in the same folder of `further` packages.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(each, folder) for each in (package, *further)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_writable,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _writable(value: Any) -> Any:
    r"""A text as UTF-8 can hold it: a file's name may have bytes of another encoding, shown as `\udcff`."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
