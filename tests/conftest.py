"""What every test may ask for: an empty data home, the real paintings, a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from artmaster_pipeline.settings import Home

ROOT = Path(__file__).parent.parent


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
