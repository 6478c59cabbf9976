"""What every test may ask for: an empty data home, what is made once for all, the real paintings, a browser.

Each worker computes on one thread, and so do the processes that tests start: libraries read these variables when they
are imported, so they are set before anything else is.
"""

import os

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VIPS_CONCURRENCY"), "1")
)
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # else it starts processes that import torch, each
os.environ.pop("COLUMNS", None)  # a worker's own, to which tables would be folded whatever a test asks for

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import absl.logging
import pytest
from forked import spare_upkeep
from hypothesis import settings as rules
from sharing import Shared, shared_base, written_in_place

from artmaster_pipeline.records import MANIFEST, Adapter, read_manifest
from artmaster_pipeline.settings import Home, Profile

# Dagster sets logging up anew in each run, upon which absl's handler closes the stream it found when it was imported:
# that would be the one in which pytest keeps what a test prints.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__

# A rule holds or not, however busy the machine is: no deadline for a case.
rules.register_profile("untimed", deadline=None)
rules.load_profile("untimed")

ROOT = Path(__file__).parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests in one worker, for they share what it holds in memory; those marked `spread` go to any,
    the cases of one test together.

    By the file's name: marks are known to the workers alone, and pytest 9.2 loses the groups that xdist adds to ids.
    """
    from xdist.scheduler import LoadScopeScheduling

    spread = {file.name for file in Path(__file__).parent.glob("test_*.py") if "pytest.mark.spread" in file.read_text()}

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return nodeid.split("[", 1)[0] if Path(file).name in spread else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first `spread` test of a file comes first of all, since it makes what the others wait for.

    The others come last and even the workers out.
    """
    first: dict[Path, pytest.Item] = {}
    for item in items:
        if item.get_closest_marker("spread"):
            first.setdefault(item.path, item)
    early = {id(item) for item in first.values()}
    items.sort(key=lambda item: 0 if id(item) in early else 2 if item.get_closest_marker("spread") else 1)


@pytest.fixture(autouse=True)
def little_upkeep() -> None:
    """Each test begins in a process that spends little on its memory, whatever the one before set."""
    spare_upkeep()


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    """What a test set to its own home, as the product does for its children, is no other test's."""
    before = {name: os.environ.get(name) for name in ("DAGSTER_HOME", "ARTMASTER_HOME")}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def shared_files_stay() -> Iterator[None]:
    """Whoever writes into a linked file changes it for every other test: that is found out at once."""
    yield
    if changed := written_in_place():
        pytest.fail(f"written in place, through a hard link: {changed}. Use `sharing.unlinked(file)` before.")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Folders made once for all workers: `shared("name", make)` gives the folder that `make(folder)` filled."""
    return Shared(shared_base(tmp_path_factory))


@pytest.fixture(scope="session")
def tiny_flux(shared: Shared) -> Path:
    """A random FLUX in a local folder, in diffusers' layout; look, but do not write."""
    from tiny_flux import save_tiny_flux

    return shared("tiny-flux", save_tiny_flux)


@pytest.fixture(scope="session")
def trained(shared: Shared, tiny_flux: Path) -> tuple[Home, Profile, Adapter]:
    """(home, profile, adapter) of one unbroken training on the tiny FLUX; look, but do not write."""
    from training_home import PAINTER, tiny_profile, train_in

    profile = tiny_profile(tiny_flux)
    home = Home(shared("trained", lambda folder: train_in(Home(folder), profile)))
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    return home, profile, adapter


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `cuda` where there is no GPU."""
    if item.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty data home."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def published_archive(shared: Shared) -> Home:
    """A small archive (`small_archive.PAINTER`) after its gallery was published; look, but do not write."""
    from published_gallery import published

    return Home(shared("published", lambda folder: published(Home(folder), works=4, held_out=2)))


@pytest.fixture(scope="session")
def hostile_archive(shared: Shared) -> Home:
    """One whose texts try to be HTML, run from right to left and hold very long words; look, but do not write."""
    from published_gallery import hostile

    return Home(shared("hostile", lambda folder: hostile(Home(folder))))


@pytest.fixture(scope="session")
def paintings() -> Path:
    """The folder of real paintings (`$ARTMASTER_TEST_PAINTINGS`); they are not part of the project."""
    folder = Path(os.environ.get("ARTMASTER_TEST_PAINTINGS") or ROOT.parent / "shared" / "paintings")
    if not folder.is_dir():
        pytest.skip("no folder of real paintings here: set ARTMASTER_TEST_PAINTINGS to one")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of an installed Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium is installed here")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """A headless Chromium that asks nothing of the network."""
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*quiet, "--disable-component-update", "--disable-sync"]
        )
        yield browser
        browser.close()
