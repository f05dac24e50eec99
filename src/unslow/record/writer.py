"""The thread that takes closed traces out of the requests' way and writes them down."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from ..current import OpenTrace
from ..model.codec import Packed, dumps
from ..model.trace import Process
from .cost import Cost
from .finish import finished, finished_at_once
from .place import resolve
from .recorder import Recorder, log

_PERIOD_S = 0.25
_LIBRARIES = ("fastapi", "starlette", "litestar", "pydantic", "sqlalchemy", "asyncpg", "psycopg")
_SERVERS = ("uvicorn", "hypercorn", "granian", "gunicorn", "uvloop")

Sink = Callable[[tuple[bytes, ...], tuple[Packed, ...], Process], None]
"""Takes traces as bytes, packed stalls and what is known of the process."""


class Writer:
    """Gives finished traces to a sink in batches, and finishes those that would take long.

    While it runs, small traces are finished where they close.
    """

    def __init__(self, recorder: Recorder, sink: Sink, cost: Cost) -> None:
        self._recorder = recorder
        self._sink = sink
        self._cost = cost
        self._started_at = time.time()
        self._wake = threading.Event()
        self._stopped = False
        self._flushing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="unslow-writer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._recorder.finish = self._finish
        self._thread.start()

    def stop(self) -> None:
        """Writes what is left and ends the thread."""
        self._stopped = True
        self._recorder.finish = None
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        self.flush()

    def flush(self) -> None:
        """Writes what has closed so far; may be called from any thread."""
        with self._flushing:
            self._write()

    def process(self) -> Process:
        """What is known of this process by now."""
        return Process(
            process_id=os.getpid(),
            started_at=self._started_at,
            python=sys.version.split()[0],
            slice_cost_ns=self._cost.slice_ns,
            step_cost_ns=self._cost.step_ns,
            coverage=tuple(self._recorder.coverage.values()),
            dropped_traces_count=self._recorder.dropped_traces_count,
            libraries=_libraries(),
        )

    def _finish(self, trace: OpenTrace) -> bytes | None:
        try:
            return finished_at_once(trace, with_values=self._recorder.record_values)
        except Exception as error:
            # A bug of ours must not reach the app; the writer's thread will say what it is.
            log.error("unslow could not finish a trace: %s", error)
            self._recorder.finish = None
            return None

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(_PERIOD_S)
            try:
                self.flush()
            except Exception as error:
                log.error("unslow stopped writing traces: %s", error)
                self._recorder.cover("store", "off", f"{type(error).__name__}: {error}")
                self._recorder.recording = False
                return

    def _write(self) -> None:
        closed, ready = self._recorder.closed, self._recorder.finished
        traces: list[bytes] = []
        while ready:
            traces.append(ready.popleft())
        while closed:
            trace = closed.popleft()
            traces.append(dumps(finished(trace, with_values=self._recorder.record_values)))
            trace.release()
        stalls = self._recorder.stalls
        packed: list[Packed] = []
        while stalls:
            thread_id, start, end, place = stalls.popleft()
            packed.append((thread_id, start, end, resolve(place)))
        self._sink(tuple(traces), tuple(packed), self.process())


def _libraries() -> tuple[tuple[str, str], ...]:
    """The versions that imported modules tell of themselves."""
    versions = (
        (name, getattr(sys.modules.get(name), "__version__", None))
        for name in (*_LIBRARIES, *_SERVERS)
    )
    return tuple((name, version) for name, version in versions if isinstance(version, str))
