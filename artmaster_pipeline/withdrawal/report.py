"""The report on a withdrawal as one page that needs no other file."""

from typing import TYPE_CHECKING

from artmaster_pipeline.gallery.pages import asset
from artmaster_pipeline.templates import html_templates

if TYPE_CHECKING:
    from artmaster_pipeline.withdrawal.withdrawing import Report

PAGE = "report.html"


def page(report: "Report") -> str:
    """The page's HTML; all texts in it are escaped."""
    environment = html_templates("artmaster_pipeline.withdrawal")
    return environment.get_template("report.html.jinja").render(report=report, css=asset("style.css").decode())
