"""Which adapter pictures are drawn with and files are exported from where nobody names one.

The newest takes the published one's place when its own gallery does: until the gate has let it through, and where it
did not, the published adapter stays.
"""

from artmaster_pipeline.adapters.finding import find_adapter, published_adapter
from artmaster_pipeline.adapters.withdrawn import marks_of
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home, Profile


def adapter_in_use(
    home: Home, painter: str, profile: Profile | None = None, adapter_id: str | None = None
) -> tuple[Adapter, str]:
    """The painter's published adapter, else the newest, or the one with that id; and a sentence on a newer one.

    The sentence is empty where there is no newer one. A published adapter on which nothing may or can be drawn any
    more (a withdrawn work is in it, the base's weights are others by now) stands in nobody's way. Raises as
    `find_adapter` does.
    """
    newest = find_adapter(home, painter, profile, adapter_id)
    published = published_adapter(home, painter) if adapter_id is None else None
    if published is None or published.id == newest.id or published.base_revision != newest.base_revision:
        return newest, ""
    if marks_of(home, published):
        return newest, ""
    return published, (
        f"The newer adapter {newest.id} of {painter} is not published, so the published one, {published.id}, is used; "
        f"to use the newer one: --adapter {newest.id}"
    )
