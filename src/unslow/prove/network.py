"""A network that is slower than this machine's own: a proxy that delays what goes through it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, cast

from .fine_loop import fine_loop

_HOST: Final = "127.0.0.1"
_MOST_BYTES: Final = 1024 * 1024
"""That wait in one direction of a connection: its sender waits from then on."""
_CLOSED_WITHIN_S: Final = 5.0
_STEP_S: Final = 10e-6
_MOST_EARLY_S: Final = 500e-6
"""What is later than this is a busy machine, not how timers are."""


class _Lateness:
    """By how much timers ring late here: half of them by more."""

    def __init__(self) -> None:
        self.usual_s = 0.0

    def saw(self, late_s: float) -> None:
        """One rang so much later than it was wanted, though it was set earlier by the usual."""
        step_s = _STEP_S if late_s > 0 else -_STEP_S
        self.usual_s = min(_MOST_EARLY_S, max(0.0, self.usual_s + step_s))


class SlowNetwork:
    """Passes TCP connections on to one address, each round trip longer by `delay_ms`.

    All of the delay is on the way there, so that a round trip waits for one timer only. Opening a
    connection takes one round trip more, as it does on a network. Bytes keep their order, and how
    many pass per second is not bounded. It works in a thread and an event loop of its own.

    Args:
        host: Where connections are passed on to.
        port: Its port.
        delay_ms: How much longer a round trip takes; 0 passes everything on at once.

    Raises:
        OSError: it cannot listen on 127.0.0.1.
    """

    def __init__(self, host: str, port: int, delay_ms: float = 0.0) -> None:
        self.delay_ms = delay_ms
        """May be changed at any time; what is under way keeps its delay."""
        self.connections_count = 0
        """How many were opened so far."""
        self._there = (host, port)
        self._ends: set[_End] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._listening = socket.create_server((_HOST, 0))
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        """Where it listens on 127.0.0.1."""
        self._lateness = _Lateness()
        self._loop = fine_loop()
        self._thread = threading.Thread(target=self._run, name="unslow-network", daemon=True)
        self._thread.start()

    @property
    def open_count(self) -> int:
        """How many connections are open now."""
        return len(self._ends) // 2

    def close(self) -> None:
        """Closes all connections, and ends; a second time it does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(_CLOSED_WITHIN_S)

    def __enter__(self) -> SlowNetwork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # Not asyncio's server: what it has just accepted when it is closed, it loses.
        self._loop.add_reader(self._listening, self._accept)
        await self._closing.wait()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        # One that is cancelled before its first step would close nothing.
        await asyncio.sleep(0)
        for task in tuple(self._connecting):
            task.cancel()
        # The loop tells each that it was lost a step later.
        while self._ends or self._connecting:
            for end in tuple(self._ends):
                end.abort()
            await asyncio.sleep(0)

    def _accept(self) -> None:
        try:
            client, _ = self._listening.accept()
        except OSError:
            # It has left already, or there is no room for one more.
            return
        client.setblocking(False)
        # asyncio sets it where it has made the socket: without, the end of a long answer waits
        # 40 ms for an acknowledgement.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections_count += 1
        task = self._loop.create_task(self._connect(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, client: socket.socket) -> None:
        """Opens the other end of a connection, and lets bytes pass."""
        _, near = await self._loop.connect_accepted_socket(
            lambda: self._end(lambda: self.delay_ms), client
        )
        try:
            await asyncio.sleep(self.delay_ms / 1e3)
            _, far = await self._loop.create_connection(
                lambda: self._end(lambda: 0.0), *self._there
            )
        except OSError:
            near.abort()
        else:
            near.join(far)
            far.join(near)

    def _end(self, delay_ms: Callable[[], float]) -> _End:
        """A new end, which is there until the loop tells it that it was lost."""
        end = _End(delay_ms, self._lateness, self._ends.discard)
        self._ends.add(end)
        return end


class _End(asyncio.Protocol):
    """One end of a connection, with what came in there and is still to go out at the other."""

    def __init__(
        self,
        delay_ms: Callable[[], float],
        lateness: _Lateness,
        lost: Callable[[_End], None],
    ) -> None:
        self._delay_ms = delay_ms
        self._lateness = lateness
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._other: _End | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_full_there = False
        self._has_ended = False
        """Nothing more comes in here."""
        self._is_lost = False

    def join(self, other: _End) -> None:
        """From now on what comes in here goes out there."""
        self._other = other
        if self._is_lost:
            other.abort()
        self._steer()

    def abort(self) -> None:
        """Closes the connection without waiting for what is under way."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Until there is another end.
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        delay_ms = self._delay_ms()
        if delay_ms <= 0 and not self._waiting:
            self._write(data)
            return
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + delay_ms / 1e3, data))
        self._waiting_bytes += len(data)
        self._steer()
        if self._timer is None:
            self._set_timer()

    def eof_received(self) -> bool:
        self._has_ended = True
        self._end_there()
        # The other direction goes on.
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lost(self)
        self._has_ended = self._is_lost = True
        self._end_there()
        if self._other is not None:
            self._other.forget()

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.hold(is_full=True)

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.hold(is_full=False)

    def hold(self, *, is_full: bool) -> None:
        """Says whether the other end takes nothing more for the moment."""
        self._is_full_there = is_full
        self._steer()

    def forget(self) -> None:
        """The other end is gone: what waits here goes nowhere."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        self._waiting_bytes = 0

    def _pass_on(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer = None
        if self._waiting:
            self._lateness.saw(now - self._waiting[0][0])
        # At least the one that the timer was set for.
        while self._waiting and self._waiting[0][0] <= now + self._lateness.usual_s + _STEP_S:
            _, data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._write(data)
        if self._waiting:
            self._set_timer()
        self._steer()
        self._end_there()

    def _set_timer(self) -> None:
        at_s = self._waiting[0][0] - self._lateness.usual_s
        self._timer = asyncio.get_running_loop().call_at(at_s, self._pass_on)

    def _write(self, data: bytes) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.write(data)

    def _steer(self) -> None:
        """Reads on, or not: whoever sends here notices that there is no room."""
        if self._transport is None:
            return
        if self._other is None or self._is_full_there or self._waiting_bytes > _MOST_BYTES:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _end_there(self) -> None:
        """Ends the other end as this one was ended, when all that came before has gone out."""
        other = self._other
        if not self._has_ended or self._waiting or other is None or other._transport is None:
            return
        if self._is_lost or other._has_ended:
            other._transport.close()
        else:
            other._transport.write_eof()
        if other._has_ended and not other._waiting and self._transport is not None:
            self._transport.close()
