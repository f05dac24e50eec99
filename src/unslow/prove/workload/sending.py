"""Sends requests to a running app, and keeps of the answers what is measured and compared."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from ...model.workload import READ_METHODS, Exchange, Headers, Request, Sent
from ..connections import Connections

ANSWER_WITHIN_S: Final = 30.0
MOST_BYTES: Final = 64 * 1024 * 1024

_STOPS: Final = (429, 503)
"""Too many requests, not available: whoever goes on measures how the app refuses."""
_CLOSED: Final = (httpx.RemoteProtocolError.__name__, httpx.ReadError.__name__)
_CACHING: Final = ("cache-control", "etag", "last-modified")
_LONGEST_LINE: Final = 200
_DIGEST_BYTES: Final = 16

Keep = Callable[[Mapping[str, str], bytes], object]
"""What is to be kept of a good answer, from its headers and its unpacked body."""
Extra = Callable[[int, Request], Headers]
"""Headers for one request by its number; they replace those of the same name."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much is waited for; the same for every request."""

    answer_within_s: float = ANSWER_WITHIN_S
    """From the sending to the last byte: also for an answer that never ends."""
    most_bytes: int = MOST_BYTES
    """What is more on the wire is not read."""


_LIMITS: Final = Limits()


def open_client(base_url: str) -> httpx.AsyncClient:
    """A client of an app on this machine or near it, with a connection for each user.

    It keeps no cookies, so that no answer changes a later request: those of a login are headers.
    """
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=ANSWER_WITHIN_S,
        transport=Connections(),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        # Never through a proxy of the environment, and with no password of its .netrc.
        trust_env=False,
    )


async def send(
    client: httpx.AsyncClient,
    request: Request,
    *,
    extra: Headers = (),
    keep: Keep | None = None,
    limits: Limits = _LIMITS,
) -> Exchange:
    """Sends one request and reads the whole answer; what fails is an exchange with an error.

    Args:
        client: Has the base URL.
        request: What to send; its target goes into the request line as it is.
        extra: Further headers, which replace those of the same name.
        keep: What to keep of a good answer; nothing of its body is kept without.
        limits: When to give up.
    """
    reading = _Reading(limits.most_bytes)
    try:
        outgoing = prepared(client, request, extra)
        reading.begin()
        async with asyncio.timeout(limits.answer_within_s):
            answer = await client.send(outgoing, stream=True, follow_redirects=False)
            try:
                reading.answer = answer
                async for chunk in answer.aiter_raw():
                    reading.take(chunk)
                reading.end()
            finally:
                await answer.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, _TooLargeError, TimeoutError) as error:
        return reading.failed(request, error)
    return reading.exchange(request, keep)


async def send_again(
    client: httpx.AsyncClient,
    request: Request,
    *,
    extra: Headers = (),
    keep: Keep | None = None,
    limits: Limits = _LIMITS,
) -> Exchange:
    """The same for a request that was sent before and only reads: once more if need be.

    Where an app raises, its server answers 500 and closes the connection behind that; and one that
    nobody has used for some seconds is closed just as it is taken.
    """
    exchange = await send(client, request, extra=extra, keep=keep, limits=limits)
    if exchange.error in _CLOSED and not exchange.status and request.method in READ_METHODS:
        exchange = await send(client, request, extra=extra, keep=keep, limits=limits)
    return exchange


def send_sync(
    client: httpx.Client,
    request: Request,
    *,
    extra: Headers = (),
    keep: Keep | None = None,
    limits: Limits = _LIMITS,
) -> Exchange:
    """The same, for a caller without an event loop."""
    reading = _Reading(limits.most_bytes)
    try:
        outgoing = prepared(client, request, extra)
        reading.begin()
        answer = client.send(outgoing, stream=True, follow_redirects=False)
        try:
            reading.answer = answer
            for chunk in answer.iter_raw():
                reading.take(chunk)
                if reading.took_ms() > limits.answer_within_s * 1e3:
                    raise TimeoutError
            reading.end()
        finally:
            answer.close()
    except (httpx.HTTPError, httpx.InvalidURL, _TooLargeError, TimeoutError) as error:
        return reading.failed(request, error)
    return reading.exchange(request, keep)


async def send_all(
    client: httpx.AsyncClient,
    requests: Sequence[Request],
    concurrency: int = 1,
    *,
    within_s: float,
    also_counted: Collection[int] = (),
    extra: Extra | None = None,
    keep: Keep | None = None,
    limits: Limits = _LIMITS,
    on_exchange: Callable[[Exchange], None] | None = None,
) -> Sent:
    """Sends requests in order by several users, each the next as soon as the last is answered.

    When the time is up, or an answer is 429 or 503, no further one is sent; those on the way are
    waited for.

    Args:
        client: Has the base URL, and connections for all users.
        requests: What to send.
        concurrency: How many users there are.
        within_s: The time in which requests are sent.
        also_counted: Statuses that count beside 2xx.
        extra: Headers for each request by its index.
        keep: What to keep of each good answer.
        limits: When to give one request up.
        on_exchange: Called after each one.
    """
    exchanges: dict[int, Exchange] = {}
    waiting = deque(enumerate(requests))
    stopped_by = ""
    begun_ns = time.perf_counter_ns()

    async def be_a_user() -> None:
        nonlocal stopped_by
        while waiting and not stopped_by:
            if time.perf_counter_ns() - begun_ns >= within_s * 1e9:
                stopped_by = "deadline"
                return
            index, request = waiting.popleft()
            headers = extra(index, request) if extra else ()
            exchange = await send_again(client, request, extra=headers, keep=keep, limits=limits)
            exchanges[index] = exchange
            if exchange.status in _STOPS:
                stopped_by = str(exchange.status)
            if on_exchange:
                on_exchange(exchange)

    await asyncio.gather(*(be_a_user() for _ in range(concurrency)))
    done = tuple(exchanges[index] for index in sorted(exchanges))
    return _sent(done, len(requests), stopped_by, begun_ns, also_counted)


def counts(exchange: Exchange, also_counted: Collection[int] = ()) -> bool:
    """Whether an answer counts: whole, and 2xx or one of the given statuses."""
    is_good = 200 <= exchange.status < 300 or exchange.status in also_counted
    return is_good and not exchange.error


def as_json(headers: Mapping[str, str], body: bytes) -> object:
    """What to keep of answers whose ids are wanted: their JSON; None where they are none."""
    if "json" not in headers.get("content-type", ""):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def prepared(
    client: httpx.AsyncClient | httpx.Client, request: Request, extra: Headers = ()
) -> httpx.Request:
    """A request, ready for a client to send."""
    replaced = {name.lower() for name, _ in extra}
    headers = [*(one for one in request.headers if one[0].lower() not in replaced), *extra]
    outgoing = client.build_request(
        request.method,
        request.target,
        headers=[(_bytes(name), _bytes(value)) for name, value in headers],
        content=request.body,
    )
    # httpx writes addresses in its own way: `/a/../b` would arrive as `/b`.
    before = client.base_url.raw_path.rstrip(b"/")
    outgoing.extensions["target"] = before + request.target.encode("ascii", "replace")
    return outgoing


def first_line(content_type: str, body: bytes) -> str:
    """How an answer begins, fit for a terminal: one line, not too long, nothing but text."""
    text = body[: 4 * _LONGEST_LINE].decode("utf-8", "replace").strip()
    # JSON may be spread over lines, and its first is a bracket then.
    line = " ".join(text.split()) if "json" in content_type else text.partition("\n")[0]
    return "".join(one for one in line if one.isprintable())[:_LONGEST_LINE].strip()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _sent(
    exchanges: tuple[Exchange, ...],
    requests_count: int,
    stopped_by: str,
    begun_ns: int,
    also_counted: Collection[int],
) -> Sent:
    statuses = Counter(one.status for one in exchanges if not one.error)
    errors = Counter(one.error for one in exchanges if one.error)
    return Sent(
        exchanges,
        counted_count=sum(counts(one, also_counted) for one in exchanges),
        statuses=tuple(sorted(statuses.items())),
        errors=tuple(sorted(errors.items())),
        not_sent_count=requests_count - len(exchanges),
        stopped_by=stopped_by,
        duration_ms=(time.perf_counter_ns() - begun_ns) / 1e6,
    )


class _TooLargeError(Exception):
    """An answer is larger than was to be read."""


class _Reading:
    """One answer while it comes in; it is unpacked and hashed when the clock has stopped."""

    def __init__(self, most_bytes: int) -> None:
        self.answer: httpx.Response | None = None
        self._chunks: list[bytes] = []
        self._wire_bytes = 0
        self._most_bytes = most_bytes
        self._begun_ns = self._ended_ns = 0

    def begin(self) -> None:
        self._begun_ns = time.perf_counter_ns()

    def took_ms(self) -> float:
        return ((self._ended_ns or time.perf_counter_ns()) - self._begun_ns) / 1e6

    def take(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._wire_bytes += len(chunk)
        if self._wire_bytes > self._most_bytes:
            raise _TooLargeError

    def end(self) -> None:
        self._ended_ns = time.perf_counter_ns()

    def failed(self, request: Request, error: Exception) -> Exchange:
        """The exchange of an answer that did not come, or not whole."""
        name = type(error).__name__.removeprefix("_")
        return replace(self._without_body(request), error=name)

    def exchange(self, request: Request, keep: Keep | None) -> Exchange:
        """The exchange of a whole answer."""
        answer, whole = self.answer, self._without_body(request)
        if answer is None:
            return whole
        try:
            body = _unpacked(answer, b"".join(self._chunks))
        except httpx.DecodingError as error:
            return self.failed(request, error)
        is_good = answer.is_success
        return replace(
            whole,
            body_bytes=len(body),
            digest=blake2b(body, digest_size=_DIGEST_BYTES).hexdigest(),
            first_line="" if is_good else first_line(whole.content_type, body),
            kept=keep(answer.headers, body) if keep and is_good else None,
        )

    def _without_body(self, request: Request) -> Exchange:
        headers = self.answer.headers if self.answer else httpx.Headers()
        return Exchange(
            request,
            status=self.answer.status_code if self.answer else 0,
            took_ms=self.took_ms() if self._begun_ns else 0.0,
            wire_bytes=self._wire_bytes,
            content_type=headers.get("content-type", ""),
            content_encoding=headers.get("content-encoding", ""),
            caching=tuple(name for name in _CACHING if name in headers),
        )


def _unpacked(answer: httpx.Response, raw: bytes) -> bytes:
    if not raw or "content-encoding" not in answer.headers:
        return raw
    return httpx.Response(answer.status_code, headers=answer.headers, content=raw).content
