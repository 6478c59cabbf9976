"""The demo's painter: procedural scans, added to a data home of their own as a person would add real ones."""

from pathlib import Path

from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.settings import Home

DEMO_HOME = Path(".demo")
DEMO_PAINTER = "sample-painter"
_STYLE = "emerald-and-ochre"
_WORKS = 40
_SEED = 7


def prepare_demo(home: Home, progress: Progress = SILENT) -> str:
    """Paint the sample painter's scans (what is there is not painted again), add them, and return the slug."""
    from artmaster_pipeline.sample_painters import write_scans
    from artmaster_pipeline.scans import add_scans

    originals = home.root / "originals" / DEMO_PAINTER
    write_scans(originals, _STYLE, _WORKS, _SEED, progress)
    add_scans(
        home,
        DEMO_PAINTER,
        originals,
        name="The Sample Painter",
        trigger="samplepainter style",
        rights="CC0: painted by this program",
        progress=progress,
    )
    return DEMO_PAINTER
