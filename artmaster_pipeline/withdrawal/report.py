"""The report on a withdrawal as one page that needs no other file."""

from typing import TYPE_CHECKING

from artmaster_pipeline.gallery.pages import asset

if TYPE_CHECKING:
    from artmaster_pipeline.withdrawal.withdrawing import Report

PAGE = "report.html"


def page(report: "Report") -> str:
    """The page's HTML; all texts in it are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("artmaster_pipeline.withdrawal", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(report=report, css=asset("style.css").decode())
