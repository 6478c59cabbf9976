"""The page over all painters of the data home, and the lock of those who publish, who share it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from artmaster_pipeline.files import clear_partials, write_text
from artmaster_pipeline.gallery.pages import painters_pages
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.proof import HOUSE
from artmaster_pipeline.records import MANIFEST, Sample, read_manifest
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import check_partition


def renew_painters_page(home: Home) -> None:
    """Write the pages over all painters of the data home, one per language, where they would change."""
    galleries: dict[str, Sequence[Sample]] = {}
    for manifest in sorted((home.root / "gallery").glob(f"*/{MANIFEST}")):
        galleries[check_partition(manifest.parent.name)] = read_manifest(manifest, Sample)
    pages = {home.root / "gallery" / name: content for name, content in painters_pages(home, galleries).items()}
    if new := [page for page, content in pages.items() if not page.exists() or page.read_bytes() != content]:
        with working_on(home, HOUSE):
            for page in new:
                write_text(page, pages[page].decode())


@contextmanager
def one_publisher(home: Home) -> Iterator[None]:
    """One process at a time, whatever the painter: the page over all painters is shared."""
    from filelock import FileLock

    gallery = home.root / "gallery"
    gallery.mkdir(parents=True, exist_ok=True)
    home.cache.mkdir(parents=True, exist_ok=True)
    with FileLock(home.cache / "gallery.lock"):
        clear_partials(gallery)
        yield
