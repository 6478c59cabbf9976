"""Which artworks a gallery shows as pictures: what painter.yaml says, and which statements of rights are open ones.

The archive decides: `show_works: all` shows every work, `open` those whose rights statement is an open one, `none`
names the works only. A work that is not shown has no picture anywhere in the site: neither a thumbnail nor a detail in
the comparison.
"""

import re
from collections.abc import Iterable
from typing import Literal

from artmaster_pipeline.records import Scan
from artmaster_pipeline.settings import PainterSettings

# Open as in the Open Definition 2.1 (CC0, CC BY, CC BY-SA, the public domain), and the two statements of
# rightsstatements.org that speak of no copyright or none known, without a condition.
_OPEN = re.compile(
    r"creativecommons\.org/(publicdomain/(zero|mark)|licenses/by(-sa)?/)"
    r"|rightsstatements\.org/(vocab|page)/(NoC-US|NKC)/"
    r"|public[ -]domain|\bCC[ -]?0\b|\bCC[ -]?BY([ -]SA)?\b|Creative Commons (Attribution|Zero)"
    r"|no (known )?copyright"
    r"|公有领域|公有領域|公共领域|公共領域|无版权限制|無版權限制",
    re.IGNORECASE,
)
# A word of these closes a statement whatever else it says: where in doubt, a work is named and not shown.
_CLOSED = re.compile(
    r"\b(not|never|non|until|except|nc|nd|non-?commercial|no[ -]?deriv\w*|all rights reserved|in copyright)\b|©"
    r"|\b(NC|ND)\b|非商业|非商業|禁止演绎|不属于|不屬於|不在公|尚未|未进入|未進入|非公[有共]|版权所有|版權所有|保留.{0,4}权利|保留.{0,4}權利",
    re.IGNORECASE,
)
ShowWorks = Literal["all", "open", "none"]
_STRICT_FIRST: tuple[ShowWorks, ...] = ("none", "open", "all")


def is_open(statement: str) -> bool:
    """Whether a rights statement is an open one: a URI of creativecommons.org or rightsstatements.org, or its words.

    A statement that also holds a restriction ("not in the public domain", CC BY-NC) is not open, nor is an empty one.
    """
    return bool(_OPEN.search(statement)) and not _CLOSED.search(statement.replace("_", " "))


def strictest(painters: Iterable[PainterSettings]) -> ShowWorks:
    """What painters who share a site let be shown of their works, all of them: what the strictest of them says."""
    said = {painter.show_works for painter in painters}
    return next((rule for rule in _STRICT_FIRST if rule in said), "none")


def may_show(scan: Scan | None, painter: PainterSettings) -> bool:
    """Whether the gallery may show a picture of the work; a work that nobody knows any more goes by painter.yaml alone.

    The register gives a scan without a statement of its own the painter's.
    """
    if painter.show_works == "open":
        return is_open(scan.rights if scan else painter.rights)
    return painter.show_works == "all"
