"""The review as pages on this machine: a picture of each work, and what persons decide saved at once.

Nobody but the person at this machine reaches it: it listens on localhost alone, every address begins with a secret that
only the command knows, and what another page in the same browser sends is refused by its Host and its Origin. Pictures
are asked for by a scan's id. Nothing of a work's texts is ever taken for HTML.
"""

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artmaster_pipeline.curation.review.decisions import save_decisions
from artmaster_pipeline.curation.review.page import page
from artmaster_pipeline.curation.review.pictures import picture
from artmaster_pipeline.curation.review.works import Work, work_called, works_of
from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.records import Corners, Decision, DecisionKind
from artmaster_pipeline.settings import Home

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOCALHOST = "127.0.0.1"
_LONGEST_BODY = 64_000  # bytes
_AT_ONCE = 2  # pictures that are made at the same time
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_KEPT = "private, max-age=3600"  # pictures, whose names are made from their content
_Answer = Callable[["Request"], Awaitable["Response"]]


class New(BaseModel):
    """A decision as the page sends it. `who` and `when` stand in one that is put back after it was taken back."""

    model_config = ConfigDict(extra="forbid")

    what: DecisionKind
    box: Corners | None = None
    why: str = Field("", max_length=500)
    who: str = Field("", max_length=200)
    when: str = Field("", max_length=40)


class Change(BaseModel):
    """What a person did on the page to one work."""

    model_config = ConfigDict(extra="forbid")

    scan: str = Field(pattern="^[0-9a-f]{16}$")
    who: str = Field(max_length=200)
    new: list[New] = Field([], max_length=60)
    taken_back: list[str] = Field([], max_length=60)


class _Refused(Exception):
    def __init__(self, status: int, says: str) -> None:
        self.status, self.says = status, says


class Review:
    """The review of one painter, as an application that a server runs. `token` is the secret in its addresses."""

    def __init__(self, home: Home, painter: str, port: int, who: str) -> None:
        self.token = secrets.token_urlsafe(24)
        self._home, self._painter, self._who = home, painter, who
        self._hosts = {f"{name}:{port}" for name in (LOCALHOST, "localhost")}
        self._writing = threading.Lock()
        self._works: dict[str, Work] = {}  # as the page was told of them last
        self._making = asyncio.Semaphore(_AT_ONCE)

    def app(self) -> "Starlette":
        """The application."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        start = "/{token}/"
        return Starlette(
            routes=[
                Route(start, self._guarded(self._page)),
                Route(start + "{name:str}.{kind:str}", self._guarded(self._asset)),
                Route(start + "pictures/{scan:str}.jpg", self._guarded(self._picture)),
                Route(start + "thumbnails/{scan:str}.jpg", self._guarded(self._thumbnail)),
                Route(start + "decisions", self._guarded(self._decide), methods=["POST"]),
            ]
        )

    def _guarded(self, answer: _Answer) -> _Answer:
        from starlette.responses import JSONResponse

        async def guarded(request: "Request") -> "Response":
            try:
                self._check(request)
                response = await answer(request)
            except _Refused as refused:
                response = JSONResponse({"error": refused.says}, refused.status)
            except BadInput as bad:
                response = JSONResponse({"error": f"{bad.reason}. {bad.remedy}."}, 422)
            except ArtMasterError as error:
                response = JSONResponse({"error": str(error)}, 409)
            kept = {"Cache-Control": _KEPT} if response.media_type == "image/jpeg" else {}
            response.headers.update(_HEADERS | kept)
            return response

        return guarded

    def _check(self, request: "Request") -> None:
        """Raise _Refused for whatever does not come from a page of this server."""
        if request.headers.get("host", "") not in self._hosts:
            raise _Refused(403, "Ask for this page by its own address.")
        if not secrets.compare_digest(str(request.path_params["token"]).encode(), self.token.encode()):
            raise _Refused(404, "There is nothing here. Open the address that the command printed.")
        origin = request.headers.get("origin", "")
        if (origin or request.method == "POST") and origin not in {f"http://{host}" for host in self._hosts}:
            raise _Refused(403, "Another page asked for this.")

    async def _page(self, _: "Request") -> "Response":
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import HTMLResponse

        works = await run_in_threadpool(self._read)
        return HTMLResponse(page(self._home, self._painter, works, who=self._who))

    async def _asset(self, request: "Request") -> "Response":
        from starlette.responses import Response

        kinds = {"review.css": "text/css", "review.js": "text/javascript"}
        name = f"{request.path_params['name']}.{request.path_params['kind']}"
        if name not in kinds:
            raise _Refused(404, "There is nothing here.")
        text = (resources.files("artmaster_pipeline.curation.review") / "site" / name).read_text(encoding="utf-8")
        return Response(text, media_type=kinds[name])

    async def _picture(self, request: "Request") -> "Response":
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse

        async with self._making:
            work = await run_in_threadpool(self._work, request.path_params["scan"])
            return FileResponse(await run_in_threadpool(picture, self._home, work), media_type="image/jpeg")

    async def _thumbnail(self, request: "Request") -> "Response":
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse

        work = await run_in_threadpool(self._work, request.path_params["scan"])
        file = self._home.register(self._painter) / "thumbnails" / f"{work.scan.id}.jpg"
        if not file.is_file():
            raise _Refused(404, "Its thumbnail is gone: run the stage raw_scans again.")
        return FileResponse(file, media_type="image/jpeg")

    async def _decide(self, request: "Request") -> "Response":
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse

        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise _Refused(415, "Decisions come as JSON.")
        try:
            change = Change.model_validate_json(await _body(request))
        except ValidationError as error:
            raise _Refused(422, f"That is no decision: {error.errors()[0]['msg']}.") from error
        work = await run_in_threadpool(self._save, change)
        return JSONResponse(work.as_told())

    def _read(self) -> tuple[Work, ...]:
        works = works_of(self._home, self._painter)
        self._works = {work.scan.id: work for work in works}
        return works

    def _work(self, scan_id: str) -> Work:
        return self._works.get(scan_id) or work_called(self._read(), scan_id)

    def _save(self, change: Change) -> Work:
        scan = self._work(change.scan).scan
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        new = [
            Decision(what=n.what, box=n.box, why=n.why, who=n.who or change.who, when=n.when or now) for n in change.new
        ]
        with self._writing:
            found = save_decisions(self._home, self._painter, [(scan.path, each) for each in new], change.taken_back)
            work = replace(self._work(change.scan), rows=tuple(row for row in found.rows if row.scan == scan.path))
            self._works[change.scan] = work
        return work


async def _body(request: "Request") -> bytes:
    """The request's body; raises _Refused where it is longer than any decision."""
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > _LONGEST_BODY:
            raise _Refused(413, "That is too much for one decision.")
    return found
