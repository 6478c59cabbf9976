"""Messages to people who are not looking: to a webhook and by e-mail, where the environment names them.

    ARTMASTER_NOTIFY_WEBHOOK   an https:// (or http://) address that takes a POST of JSON
    ARTMASTER_SMTP_URL         smtps://USER:PASSWORD@HOST:465, or smtp://USER:PASSWORD@HOST:587 (STARTTLS)
    ARTMASTER_NOTIFY_TO        addresses with commas between them
    ARTMASTER_NOTIFY_FROM      the sender's (default: the first of those)
    ARTMASTER_BASE_URL         where the data home is served, for links (default: file:// addresses)

Nothing is sent where none is set. What they say is never written down: neither into files nor into logs. A message that
cannot be sent stops nothing and is said where the caller logs.
"""

import json
import os
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from email.message import EmailMessage
from email.utils import formatdate, getaddresses
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.faults import can_pass
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import plain

Event = Literal["run failed", "adapter passed", "adapter refused", "work withdrawn", "delivery with bad files"]
WEBHOOK, SMTP, TO, FROM, BASE = (
    *("ARTMASTER_NOTIFY_WEBHOOK", "ARTMASTER_SMTP_URL", "ARTMASTER_NOTIFY_TO", "ARTMASTER_NOTIFY_FROM"),
    "ARTMASTER_BASE_URL",
)
_TIMEOUT = 5.0  # seconds, for an answer; Dagster gives a sensor a minute for everything
_PAUSES = (1.0, 3.0)  # seconds before the second and the third try
_LONGEST_TITLE = 200  # characters
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")  # whose own post office is spoken to without TLS


class Notice(BaseModel):
    """One message: what happened, whose work it is about, and where more is to be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Event
    painter: str
    title: str
    text: str
    link: str = ""

    @property
    def subject(self) -> str:
        """The title as one line, whatever is in it."""
        return f"ArtMaster: {plain(self.title)}"[:_LONGEST_TITLE]

    @property
    def body(self) -> str:
        """What a person reads; every line of it is one of ours."""
        return "\n".join(plain(line) for line in (self.title, self.text, self.link) if line)


def tell(notices: Iterable[Notice], log: Callable[[str], None], wait: Callable[[float], None] = time.sleep) -> None:
    """Send notices to each place that the environment names; a place that does not take one is told no more of them.

    What may pass is tried three times. Raises nothing for what goes wrong on the way: `log` is told, without addresses.
    """
    notices = list(notices)
    for name, send in _channels() if notices else ():
        try:
            for notice in notices:
                _tried(send, notice, wait)
        except Exception as error:  # whatever it is: nobody's work shall fail for a message
            log(f"Not told by {name}: {_why(error)}. What was to be told: {plain(notice.title)}")


def link_to(home: Home, file: Path) -> str:
    """The address of a file of the data home: below ARTMASTER_BASE_URL, else on this machine's disk."""
    base = os.environ.get(BASE, "").strip()
    return f"{base.rstrip('/')}/{quote(file.relative_to(home.root).as_posix())}" if base else file.as_uri()


def _channels() -> Iterator[tuple[str, Callable[[Notice], None]]]:
    if os.environ.get(WEBHOOK):
        yield "webhook", _post
    if os.environ.get(SMTP) or os.environ.get(TO):
        yield "e-mail", _mail


def _tried(send: Callable[[Notice], None], notice: Notice, wait: Callable[[float], None]) -> None:
    for pause in (*_PAUSES, None):
        try:
            send(notice)
            return
        except Exception as error:
            if pause is None or not can_pass(error):
                raise
            wait(pause)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is an error: nobody else was named."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def _post(notice: Notice) -> None:
    address = os.environ[WEBHOOK].strip()
    if urlsplit(address).scheme not in ("https", "http"):
        raise WrongUse(f"{WEBHOOK} is no https:// address")
    content = {**notice.model_dump(mode="json"), "text": notice.body, "details": notice.text}
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        address,
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "artmaster"},
        method="POST",
    )
    with urllib.request.build_opener(_NoRedirects).open(request, timeout=_TIMEOUT):
        pass


def _mail(notice: Notice) -> None:
    url = urlsplit(os.environ.get(SMTP, "").strip())
    if url.scheme not in ("smtp", "smtps") or not url.hostname:
        raise WrongUse(f"{SMTP} is no smtps:// or smtp:// address")
    letter = _letter(notice)
    with _post_office(url.scheme, url.hostname, url.port) as office:
        if url.username:
            office.login(unquote(url.username), unquote(url.password or ""))
        office.send_message(letter)


def _post_office(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    """An open connection; encrypted, or to this very machine."""
    safe = ssl.create_default_context()
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or smtplib.SMTP_SSL_PORT, timeout=_TIMEOUT, context=safe)
    office = smtplib.SMTP(host, port or 587, timeout=_TIMEOUT)
    if host not in _THIS_MACHINE:
        try:
            office.starttls(context=safe)
        except BaseException:
            office.close()
            raise
    return office


def _letter(notice: Notice) -> EmailMessage:
    to = [address for _, address in getaddresses([os.environ.get(TO, "")])]
    if not to or not all("@" in address for address in to):
        raise WrongUse(f"{TO} names no e-mail addresses")
    letter = EmailMessage()  # which refuses line breaks in a header, too
    letter["Subject"] = notice.subject
    letter["From"] = os.environ.get(FROM) or to[0]
    letter["To"] = ", ".join(to)
    letter["Date"] = formatdate()
    letter.set_content(notice.body)
    return letter


def _why(error: BaseException) -> str:
    """What went wrong, in words that hold nothing of an address or a password."""
    if isinstance(error, ArtMasterError):
        return str(error)
    if isinstance(error, urllib.error.HTTPError):
        return f"the other side answered {error.code}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the post office answered {error.smtp_code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _why(error.reason)
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
