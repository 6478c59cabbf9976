"""A page in a browser window, and all that goes wrong on it."""

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

VIEWS = ((390, "light"), (1440, "dark"), (2560, "light"))  # phone, laptop, wide; colours do not depend on the width


class Visit:
    """A page from disk, or at an address, in a window of its own, and all that goes wrong on it.

    `until` is when it counts as opened: at "networkidle" what is loaded late in the first view is there, too, and
    nothing has been asked for in half a second.
    """

    def __init__(
        self,
        browser: Any,
        file: Path | str,
        width: int = 1440,
        scheme: str = "light",
        until: Literal["load", "networkidle"] = "load",
        **options: Any,
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce", **options
        )
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.asked: set[str] = set()
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", self._failed)
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.add(request.url))
        address = file if isinstance(file, str) else Path(os.path.normpath(file)).as_uri()
        self.page.goto(address, wait_until=until)

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # so ends what was under way when a page is loaded again
            self.wrong.append(request.url)

    def files(self) -> set[Path]:
        """The files that the page asked for; nothing else may be asked for."""
        places = [urlsplit(url) for url in self.asked]
        assert {place.scheme for place in places} <= {"file", "data", "blob"}
        return {Path(unquote(place.path)) for place in places if place.scheme == "file"}

    def looked_at(self, width: int, scheme: str) -> "Visit":
        """The same page in a window of another width and in other colours: opening it again takes a second of CPU."""
        self.page.set_viewport_size({"width": width, "height": 844})
        self.page.emulate_media(color_scheme=scheme)
        return self

    def load_all(self) -> None:
        """Load what is loaded late."""
        self.page.evaluate(
            """async () => {
              const images = [...document.images].filter((image) => image.getAttribute("src"));
              for (const details of document.querySelectorAll("details")) details.open = true;
              for (const image of images) image.loading = "eager";
              await Promise.all(images.map((image) => image.decode()));
            }"""
        )


def rules_broken(page: Any) -> str:
    """What axe-core finds wrong; empty where it finds nothing."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    return str(found.generate_report()) if found.violations_count else ""
