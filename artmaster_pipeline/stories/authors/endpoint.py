"""An author behind an OpenAI-compatible endpoint: what is sent there, what may come back, and how that is bounded.

The wish and the tables are sent, and of a shot that is written anew itself and what its pictures miss; nothing else of
this machine: no painter, no key of another host, no header that the environment asks for. The key is put on each
request at the last moment and is in no record, log or message.
"""

import ipaddress
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.stories.authors.answers import Unusable, draft_in
from artmaster_pipeline.stories.authors.asking import brief_of, revising_messages, schema_of, writing_messages
from artmaster_pipeline.stories.records import Authorship, Brief, Shot, ShotDraft, Story, StoryDraft, Written

if TYPE_CHECKING:
    import httpx2

KEY = "ARTMASTER_LLM_KEY"
_OPENAI_KEY, _OPENAI = "OPENAI_API_KEY", "api.openai.com"  # that key is for that host
_SENT = {"host", "accept", "content-type", "content-length", "connection"}  # headers, beside our own
_ANSWERS = 2  # that are asked for: the first, and one more where that cannot be used
_SHOWN = 200  # characters of what an endpoint says of an error


@dataclass(frozen=True)
class Bounds:
    """How long an endpoint is waited for and how much it may say."""

    answer_seconds: float = 300.0
    story_seconds: float = 600.0  # all requests of a storyboard
    bytes: int = 2_000_000  # of one answer
    retries: int = 2  # of a request that was refused as too many, or broke off
    tokens: int = 8_000


class EndpointAuthor:
    """Writes by a chat model that an OpenAI-compatible server runs; `name` is the server's URL."""

    def __init__(self, url: str, model: str = "", bounds: Bounds | None = None) -> None:
        """Of a URL such as http://localhost:8080/v1. Raises WrongUse for one that is not asked."""
        self.name = checked_url(url)
        self._model = model
        self._key = key_for(self.name)
        self._bounds = bounds or Bounds()

    def write(self, brief: Brief, progress: Progress) -> Written:
        """A draft for the brief. Raises ArtMasterError where the endpoint cannot be made to give one."""
        repairs: list[str] = []
        progress.say(f"The wish is sent to {self.name}.")
        with _Talk(self.name, self._key, self._bounds) as talk:
            model = self._model or talk.only_model()
            draft = talk.draft(model, writing_messages(brief), schema_of(brief), repairs)
        said = Authorship(author=self.name, model=model, endpoint=self.name, repairs=tuple(repairs))
        return Written(draft=draft, authorship=said)

    def revise(self, story: Story, shot: Shot, faults: Sequence[str], progress: Progress) -> ShotDraft:
        """That shot written anew by the same model. Raises ArtMasterError as `write` does."""
        progress.say(f"{shot.id} is sent to {self.name} with what its pictures miss.")
        with _Talk(self.name, self._key, self._bounds) as talk:
            model = self._model or talk.only_model()
            return talk.draft(model, revising_messages(story, shot, faults), schema_of(brief_of(story)), []).shots[0]


def checked_url(url: str) -> str:
    """The URL as it is recorded. Raises one WrongUse with all that is wrong with it."""
    faults = []
    try:
        parts = urlsplit(url)
        host, user = parts.hostname or "", parts.username or parts.password
        _ = parts.port  # raises for one that is no number
    except ValueError as error:
        raise WrongUse(f"--author: {url[:200]!r} is no URL ({error}).") from error
    if parts.scheme not in ("http", "https"):
        faults.append(f"{parts.scheme or 'no scheme'}:// is not asked, http:// and https:// are")
    if not host:
        faults.append("it names no host")
    if user:
        faults.append(f"it holds a password, which would be in every record: put the key into the environment as {KEY}")
    if parts.query or parts.fragment:
        faults.append("it has a query or a fragment, which would be in every record: leave it away")
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        faults.append("it holds blanks or control characters")
    if faults:
        shown = "the URL" if user or parts.query else repr(url[:200])
        raise WrongUse(f"--author {shown} is no endpoint: {'; '.join(faults)}. Like http://localhost:8080/v1.")
    return url.rstrip("/")


def key_for(url: str, environment: Mapping[str, str] | None = None) -> str:
    """The key for an endpoint: ARTMASTER_LLM_KEY, and at OpenAI itself else OPENAI_API_KEY; empty where there is none.

    Raises WrongUse where it would go over the network unencrypted.
    """
    known = os.environ if environment is None else environment
    parts = urlsplit(url)
    key = known.get(KEY, "").strip() or (known.get(_OPENAI_KEY, "").strip() if parts.hostname == _OPENAI else "")
    if not key.isascii() or any(not letter.isprintable() for letter in key):
        raise WrongUse(f"{KEY} is no key: it holds characters that no header can carry.")
    if key and parts.scheme == "http" and not _is_here(parts.hostname or ""):
        raise WrongUse(f"{url} would be sent the key {KEY} unencrypted: name it as https://, or unset {KEY}.")
    return key


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Talk:
    """One storyboard's requests to one endpoint."""

    def __init__(self, url: str, key: str, bounds: Bounds) -> None:
        try:
            import httpx2
            import openai
        except ImportError as error:
            raise MissingRequirement("An endpoint is asked by the package openai. Run: pip install openai") from error
        self._openai, self._url, self._key, self._bounds = openai, url, key, bounds
        self._transport: Any = _transport(key, bounds)
        http = httpx2.Client(transport=self._transport, follow_redirects=False, trust_env=False)
        self._client = openai.OpenAI(
            base_url=url,
            api_key="none",  # the transport puts the real one on
            max_retries=bounds.retries,
            timeout=bounds.answer_seconds,
            http_client=http,
        )

    def __enter__(self) -> "_Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def only_model(self) -> str:
        """The endpoint's one model. Raises WrongUse where it has several, and names them."""
        try:
            models = sorted(model.id for model in self._client.models.list().data or [])
        except self._openai.OpenAIError as error:
            raise self._fault(error) from error
        except (AttributeError, TypeError, ValueError) as error:
            raise WrongUse(f"{self._url} does not say which models it has: name one with --model.") from error
        if len(models) != 1:
            known = ", ".join(name[:60] for name in models[:12]) or "none"
            raise WrongUse(f"{self._url} has {len(models)} models: name one with --model. Known: {known}.")
        return str(models[0])[:200]

    def draft(
        self, model: str, messages: list[dict[str, str]], schema: dict[str, Any], repairs: list[str]
    ) -> StoryDraft:
        """A draft with a shot at least. Raises ArtMasterError where no answer held one."""
        formats = _formats(schema)
        why = ""
        for number in range(_ANSWERS):
            asked = messages if not number else [*messages, {"role": "user", "content": _again(why)}]
            try:
                found: list[str] = []
                draft = draft_in(self._answer(model, asked, formats, repairs), found)
            except Unusable as error:
                why = str(error)
                continue
            if why:
                repairs.append(f"The first answer could not be used ({why}): the second is.")
            repairs += found
            return draft
        raise ArtMasterError(
            f"{self._url} ({model}) wrote no storyboard: {why}. "
            "Word the wish differently, name another --model, or let --author template write it."
        )

    def _answer(
        self, model: str, messages: list[dict[str, str]], formats: list[dict[str, Any]], repairs: list[str]
    ) -> str:
        """What the model says, under the strictest form of answer that the endpoint knows."""
        plain: Any = messages  # as the client's own types say at length
        while True:
            try:
                said = self._client.chat.completions.create(
                    model=model, messages=plain, temperature=0.7, max_tokens=self._bounds.tokens, **formats[0]
                )
                return _content(said)
            except (self._openai.BadRequestError, self._openai.UnprocessableEntityError) as error:
                if len(formats) == 1:
                    raise self._fault(error) from error
                formats.pop(0)
                form = formats[0].get("response_format", {}).get("type", "no form, by the words of the request alone")
                sentence = f"The endpoint does not hold answers to a schema: it was asked for {form}."
                repairs[:] = [*(each for each in repairs if not each.startswith(sentence[:40])), sentence]
            except self._openai.OpenAIError as error:
                raise self._fault(error) from error

    def _fault(self, error: Any) -> ArtMasterError:
        """The error in one sentence, without the key."""
        if isinstance(error, self._openai.LengthFinishReasonError | self._openai.ContentFilterFinishReasonError):
            return ArtMasterError(f"{self._url} stopped in the middle of its answer. Ask for fewer --shots.")
        if refused := self._transport.refused:
            return ArtMasterError(f"{self._url} {refused}")
        if isinstance(error, self._openai.APITimeoutError):
            return ArtMasterError(
                f"{self._url} did not answer within {self._bounds.answer_seconds:g} seconds. "
                "See whether it runs, or let --author local or template write."
            )
        status = getattr(error, "status_code", None)
        if status is None:
            return ArtMasterError(f"{self._url} cannot be reached ({type(error).__name__}). See whether it runs.")
        ways = {
            401: f"it does not know the key: set {KEY} in the environment",
            403: f"the key may not use it: set another {KEY} in the environment",
            404: "there is no such model or address: see --model, and whether the URL ends in /v1",
            429: "it has too many requests, or the account is used up: try again later",
        }
        if 300 <= status < 400:
            return ArtMasterError(
                f"{self._url} sends the wish on to another address, which is not followed: name that."
            )
        way = ways.get(status, "see its own log" if status >= 500 else "see --model")
        told = "" if status in (401, 403) else self._told(error)
        return ArtMasterError(f"{self._url} answered {status}{told}: {way}.")

    def _told(self, error: Any) -> str:
        body = error.body if isinstance(getattr(error, "body", None), dict) else {}
        text = " ".join(str(body.get("message", "")).split())
        text = text.replace(self._key, "(key)") if self._key else text
        return f" ({text[:_SHOWN]!r})" if text else ""


def _formats(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Ways to ask for JSON, the strictest first."""
    named = {"name": "storyboard", "strict": True, "schema": schema}
    return [
        {"response_format": {"type": "json_schema", "json_schema": named}},
        {"response_format": {"type": "json_object"}},
        {},
    ]


def _again(why: str) -> str:
    return f"That could not be used ({why[:_SHOWN]}). Answer with the JSON object alone, from {{ to }}, no other text."


def _content(said: Any) -> str:
    """The text of an answer. Raises Unusable for a refusal, for one that broke off, and for what is no answer."""
    try:
        choice = said.choices[0]
        refusal, content = getattr(choice.message, "refusal", None), choice.message.content
    except (AttributeError, IndexError, TypeError) as error:
        raise Unusable("its answer is none of a chat model") from error
    if refusal:
        raise Unusable(f"it refused: {' '.join(str(refusal).split())[:160]!r}")
    if choice.finish_reason == "content_filter":
        raise Unusable("its filter stopped the answer")
    return content if isinstance(content, str) else ""


def _transport(key: str, bounds: Bounds) -> "httpx2.BaseTransport":  # noqa: C901 - the methods of two small classes
    """What carries the requests: own headers only, so many bytes, so many seconds."""
    import httpx2

    class Bounded(httpx2.HTTPTransport):
        refused = ""  # why an answer was not read to its end
        until = time.monotonic() + bounds.story_seconds

        def refuse(self, why: str) -> httpx2.ReadError:
            """Note the first reason, after which nothing is asked any more."""
            self.refused = self.refused or why
            self.until = 0.0
            return httpx2.ReadError(self.refused)

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            if time.monotonic() > self.until:
                raise self.refuse(f"took more than {bounds.story_seconds:g} seconds for a storyboard: given up.")
            _only_ours(request.headers, key)
            response = super().handle_request(request)
            if response.headers.get("content-encoding", "identity").casefold() != "identity":
                raise self.refuse("packs its answer, which was not asked for, and is not read.")
            response.stream = _Counted(response.stream, self)
            return response

    class _Counted(httpx2.SyncByteStream):
        def __init__(self, stream: Any, transport: Bounded) -> None:
            self._stream, self._transport = stream, transport
            self._until = min(time.monotonic() + bounds.answer_seconds, transport.until)

        def __iter__(self) -> Iterator[bytes]:
            count = 0
            for part in self._stream:
                count += len(part)
                if count > bounds.bytes:
                    raise self._transport.refuse(f"sends more than {bounds.bytes:,} bytes, which no storyboard has.")
                if time.monotonic() > self._until:
                    raise httpx2.ReadTimeout("too slow")
                yield part

        def close(self) -> None:
            self._stream.close()

    return Bounded(retries=0)


def _only_ours(headers: Any, key: str) -> None:
    """Take every header off a request that is not needed, and put the key on."""
    for name in set(headers) - _SENT:
        del headers[name]
    headers["accept-encoding"] = "identity"  # what is small stays small
    headers["user-agent"] = "artmaster"
    if key:
        headers["authorization"] = f"Bearer {key}"
