"""What clients sent, kept where that was asked for: request line, headers, body, and the status.

All of it are values. They leave memory only by `write_part`, into files of their owner only.
"""

from __future__ import annotations

import marshal
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from ..current import OpenTrace
from ..model.codec import dumps
from .recorder import log

_MOST_KEPT: Final = 10_000
_MOST_BODIES_BYTES: Final = 64 * 1024 * 1024
"""Of what nobody has taken yet."""

_STEM: Final = "requests-"
_PART: Final = ".part"
_LEFT_AFTER_S: Final = 3600.0
_MIB: Final = 1024 * 1024
_SAFE_IN_PATHS: Final = "/:@!$&'()*+,;=~"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Exchanged(NamedTuple):
    """A request as its client sent it, and the status that it was answered with."""

    method: str
    route: str
    """The template of the route that answered; empty where nobody names it."""
    target: str
    """Path and query, as they were sent."""
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    """As much as the app has read; None where that was more than the bound."""
    status: int
    """0 where no answer was begun."""
    label: str
    """What was going on meanwhile, such as the id of a test."""


class Exchanges:
    """Counts the exchanges of this process, and keeps what was sent, as far as it is switched on.

    A mistake of ours in here switches the keeping off and never reaches the app.
    """

    def __init__(self) -> None:
        self.is_counting = False
        """Whether anything is to be noted at all."""
        self.is_keeping = False
        """Whether values are kept too."""
        self.bound_bytes = _MIB
        """How much of a body is kept."""
        self.label = ""
        """What is going on now; goes with each exchange that begins."""
        self.begun: deque[str] = deque()
        """The label of each exchange that has begun."""
        self.dropped_count = 0
        """Those that were not kept because nobody took the others off."""
        self.trouble = ""
        """The kind of error that ended the keeping; empty while all is well."""
        self._ended: deque[Exchanged] = deque()
        self._bodies_bytes = 0

    def open(self, scope: MutableMapping[str, Any], receive: Receive) -> OpenExchange | None:
        """Counts an exchange that begins; what is given back wants to hear of its end."""
        self.begun.append(self.label)
        if not self.is_keeping:
            return None
        try:
            return OpenExchange(self, scope, receive)
        except Exception as error:
            self.broke(error)
            return None

    def keep(self, exchanged: Exchanged) -> None:
        """Keeps what was sent until it is taken."""
        if len(self._ended) >= _MOST_KEPT or self._bodies_bytes > _MOST_BODIES_BYTES:
            self.dropped_count += 1
            return
        self._bodies_bytes += len(exchanged.body or b"")
        self._ended.append(exchanged)

    def take(self) -> list[Exchanged]:
        """What was kept of exchanges that have ended since."""
        self._bodies_bytes = 0
        # One by one: other threads may add to them meanwhile.
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def broke(self, error: Exception) -> None:
        """Switches the keeping off after a mistake of ours."""
        self.is_keeping = False
        self.trouble = type(error).__name__
        log.error("unslow keeps no more requests: %s", type(error).__name__, exc_info=error)

    def stop(self) -> None:
        """Switches all off, and forgets what was kept."""
        self.is_counting = self.is_keeping = False
        self.label = self.trouble = ""
        self.dropped_count = 0
        self.begun.clear()
        self.take()


class OpenExchange:
    """An exchange that goes on; the app gets its `receive` in place of the server's."""

    __slots__ = (
        "_chunks",
        "_exchanges",
        "_headers",
        "_label",
        "_method",
        "_receive",
        "_size_bytes",
        "_target",
    )

    def __init__(
        self, exchanges: Exchanges, scope: MutableMapping[str, Any], receive: Receive
    ) -> None:
        self._exchanges = exchanges
        self._receive = receive
        self._label = exchanges.label
        # Now: middleware may write on the scope, and on its headers.
        self._method = scope["method"]
        self._target = _target(scope)
        self._headers = tuple(scope.get("headers", ()))
        self._chunks: list[bytes] = []
        self._size_bytes = 0

    async def receive(self) -> Message:
        """Passes a message on, and keeps what it brings of the body."""
        message = await self._receive()
        try:
            self._keep(message)
        except Exception as error:
            self._exchanges.broke(error)
        return message

    def _keep(self, message: Message) -> None:
        body = message.get("body")
        if message["type"] != "http.request" or not body:
            return
        self._size_bytes += len(body)
        if self._size_bytes > self._exchanges.bound_bytes:
            self._chunks.clear()
        else:
            self._chunks.append(bytes(body))

    def end(self, trace: OpenTrace) -> None:
        """The application has returned, or raised."""
        try:
            is_whole = self._size_bytes <= self._exchanges.bound_bytes
            self._exchanges.keep(
                Exchanged(
                    self._method,
                    trace.route,
                    self._target,
                    tuple((_text(name), _text(value)) for name, value in self._headers),
                    b"".join(self._chunks) if is_whole else None,
                    trace.status,
                    self._label,
                )
            )
        except Exception as error:
            self._exchanges.broke(error)


def _target(scope: MutableMapping[str, Any]) -> str:
    raw = scope.get("raw_path")
    # Some clients give the query here as well.
    path = _text(raw).partition("?")[0] if raw else _quoted(scope["path"])
    query = _text(scope.get("query_string", b""))
    return f"{path}?{query}" if query else path


def _quoted(path: str) -> str:
    # Only here: servers give the raw path, and this takes milliseconds to import.
    from urllib.parse import quote

    return quote(path, safe=_SAFE_IN_PATHS)


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")


def part_file(folder: Path, run: str) -> Path:
    """The file of this process for a run's exchanges, in a folder of its owner only."""
    return folder / f"{_stem(run)}{os.getpid()}{_PART}"


def parts_of(folder: Path, run: str) -> list[Path]:
    """The files that processes have written for a run."""
    return sorted(folder.glob(f"{_stem(run)}*{_PART}"))


def left_parts(folder: Path) -> list[Path]:
    """The files of processes that are gone, of any run: nobody came to gather them.

    For an hour they are left to a run that may still go on, where only this process of it ended.
    """
    oldest = time.time() - _LEFT_AFTER_S
    return [file for file in folder.glob(f"{_STEM}*{_PART}") if _is_left(file, oldest)]


def _is_left(part: Path, oldest: float) -> bool:
    try:
        return part.stat().st_mtime < oldest and not _is_alive(part)
    except FileNotFoundError:
        # Somebody has gathered it just now.
        return False


def _stem(run: str) -> str:
    # No hash of Python's own: that one differs between processes.
    return f"{_STEM}{crc32(run.encode()):08x}-"


def _is_alive(part: Path) -> bool:
    try:
        os.kill(int(part.name.removesuffix(_PART).rpartition("-")[2]), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        # It is somebody else's, but it is there.
        return True
    return True


def write_part(file: Path, kept: Iterable[Exchanged]) -> None:
    """Adds exchanges to the end of a file that only its owner can read."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with open(descriptor, "ab") as part:
        for one in kept:
            part.write(dumps(tuple(one)))


def read_part(file: Path) -> Iterator[Exchanged]:
    """The exchanges in a file; one that its process could not write to its end is left out."""
    with open(file, "rb") as part:
        while True:
            try:
                yield Exchanged(*marshal.load(part))  # noqa: S302  # only its owner can write it
            except (EOFError, ValueError, TypeError):
                return


exchanges = Exchanges()
"""The ones of this process."""
