"""Sends requests without pause over kept connections, where wrk is not installed.

    python -m bench.peers.client ADDRESS FILE SEED CLIENTS SECONDS

A closed loop in a process of its own: each client sends its next request when it has the answer to
the last one. Prints the same line as `load.lua`, which it stands in for.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from .cases import KEY


def _whole(line: str) -> bytes:
    method, path, *rest = line.split(" ", 2)
    body = "".join(rest).encode()
    about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{about}\r\n".encode() + body


def drawn(lines: list[str], seed: int) -> Iterator[bytes]:
    """The requests in random order, without end, each with a key of its own."""
    draw = random.Random(seed)
    wholes = [_whole(line) for line in lines]
    place, sent = KEY.encode(), 0
    while True:
        one = draw.choice(wholes)
        if place in one:
            sent += 1
            # Random at its front, as such keys are, and unique at its end.
            one = one.replace(place, b"%08x-0000-4000-8000-%012x" % (draw.getrandbits(31), sent))
        yield one


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Iterator[bytes], deadline: float) -> None:
        self.took_s: list[float] = []
        self.failed = 0
        self.ended = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._deadline = deadline
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ended.done():
            self.failed += 1
            self.ended.set_result(None)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of each answer."""
        now = time.perf_counter()
        self.took_s.append(now - self._sent_at)
        self.failed += self._parser.get_status_code() >= 400
        self._parser = httptools.HttpResponseParser(self)
        if now < self._deadline:
            self._send()
        else:
            self.ended.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))


async def load(
    address: str, lines: list[str], seed: int, clients: int, seconds: float
) -> dict[str, Any]:
    """What came of it."""
    parts = urlsplit(address)
    requests = drawn(lines, seed)
    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    connected = [
        loop.create_connection(
            lambda: Client(requests, begin + seconds), str(parts.hostname), int(parts.port or 80)
        )
        for _ in range(clients)
    ]
    all_of_them = [client for _, client in await asyncio.gather(*connected)]
    await asyncio.gather(*(client.ended for client in all_of_them))
    took_s = sorted(one for client in all_of_them for one in client.took_s)
    return {
        "requests": len(took_s),
        "seconds": time.perf_counter() - begin,
        "p50_ms": took_s[len(took_s) // 2] * 1e3,
        "p99_ms": took_s[len(took_s) * 99 // 100] * 1e3,
        "failed": sum(client.failed for client in all_of_them),
    }


def main() -> None:
    """Runs one load."""
    address, file, seed, clients, seconds = sys.argv[1:]
    lines = Path(file).read_text().splitlines()
    answer = load(address, lines, int(seed), int(clients), float(seconds))
    try:
        import uvloop
    except ImportError:
        print(json.dumps(asyncio.run(answer)))
    else:
        print(json.dumps(uvloop.run(answer)))


if __name__ == "__main__":
    main()
