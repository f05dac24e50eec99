"""Connections for many requests at once: the one given back last is the next one taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, cast

import httpx

_ONE: Final = httpx.Limits(max_connections=1, max_keepalive_connections=1)


class Connections(httpx.AsyncBaseTransport):
    """As many connections as there are requests under way; whoever sends bounds those.

    A pool of httpx looks at every connection it has, twice per request: with 20 of them a request
    took three times the processor time that it takes here, with 256 twenty times.
    """

    def __init__(self) -> None:
        # Shared: each makes its own otherwise, which takes longer than many requests.
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._all: list[httpx.AsyncHTTPTransport] = []
        self._free: list[httpx.AsyncHTTPTransport] = []

    @property
    def count(self) -> int:
        """How many were needed so far."""
        return len(self._all)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        one = self._free.pop() if self._free else self._new()
        try:
            answer = await one.handle_async_request(request)
        except BaseException:
            self._free.append(one)
            raise
        answer.stream = _Body(
            cast(httpx.AsyncByteStream, answer.stream), lambda: self._free.append(one)
        )
        return answer

    async def aclose(self) -> None:
        for one in self._all:
            await one.aclose()

    def _new(self) -> httpx.AsyncHTTPTransport:
        one = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=_ONE)
        self._all.append(one)
        return one


class _Body(httpx.AsyncByteStream):
    """The body of an answer; closing it gives its connection back, once."""

    def __init__(self, inner: httpx.AsyncByteStream, give_back: Callable[[], None]) -> None:
        self._inner = inner
        self._give_back: Callable[[], None] | None = give_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            give_back, self._give_back = self._give_back, None
            if give_back is not None:
                give_back()
