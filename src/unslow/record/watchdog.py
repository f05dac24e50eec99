"""A thread that looks, every few milliseconds, at what holds the threads that work for requests.

A sample weighs what the watchdog itself was late by: where a call holds the interpreter's lock, the
watchdog starves, and the first sample behind it stands for the whole stretch.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from ..current import Lane, RawPlace, clock, running
from ..patching import original_sleep
from .lanes import WatchedLoop, watched_loops
from .place import own_code, place_from
from .recorder import Recorder

_IDLE_PERIOD_S = 0.05
_QUIET_AFTER_NS = 1_000_000_000
_SHORTEST_STEP_NS = 1_000_000
"""A step below this is not sampled: a look costs the app as much as some requests do."""
_IDLE_LOOK_EVERY_NS = 20_000_000
"""How often a loop that no request holds is looked at, until it is seen to be busy."""
_FILES_KEPT = 64
_COLLECTIONS_HAND_OVER = sys.version_info < (3, 12)
"""Whether a collection may begin at any allocation, and let another thread run."""


class ThreadClock:
    """CPU time and run-queue time of this process's threads, as the Linux scheduler counts them."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}
        """By thread: the open file that its counters are read from; -1 where there is none."""
        self.available = os.path.exists("/proc/self/schedstat")

    def read(self, thread_id: int) -> tuple[int, int] | None:
        """The CPU and the run-queue time of a thread so far, in ns; None where not known."""
        if not self.available:
            return None
        file = self._files.get(thread_id)
        if file is None:
            file = self._files[thread_id] = self._opened(thread_id)
        try:
            fields = os.pread(file, 64, 0).split()
        except OSError:
            # The thread has ended; its number may be another's by now.
            self._close(thread_id)
            return None
        return int(fields[0]), int(fields[1])

    def _opened(self, thread_id: int) -> int:
        if len(self._files) >= _FILES_KEPT:
            self.close()
        for thread in threading.enumerate():
            if thread.ident == thread_id and thread.native_id is not None:
                try:
                    return os.open(f"/proc/self/task/{thread.native_id}/schedstat", os.O_RDONLY)
                except OSError:
                    break
        return -1

    def _close(self, thread_id: int) -> None:
        file = self._files.pop(thread_id, -1)
        if file >= 0:
            os.close(file)

    def close(self) -> None:
        """Closes the files."""
        for thread_id in tuple(self._files):
            self._close(thread_id)


class Watchdog:
    """Samples every lane that runs, and event loops that are held by no request."""

    def __init__(self, recorder: Recorder, period_ms: float = 5.0) -> None:
        self._recorder = recorder
        self._period_s = period_ms / 1000
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._clock = ThreadClock()
        self._seen: dict[int, tuple[Lane, int, int, tuple[int, int] | None]] = {}
        self._last_tick_ns = 0
        self._last_busy_ns = 0
        self._last_idle_look_ns = 0
        self._saw_long_step = False

    def start(self) -> None:
        """Starts the thread; after a fork a new watchdog is to be started."""
        self._thread = threading.Thread(target=self._watch, name="unslow-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and waits for it."""
        self._stopped = True
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
        self._clock.close()

    def _watch(self) -> None:
        # Tests of an app may have put something in its place that returns at once, or counts calls.
        sleep = original_sleep()
        try:
            while not self._stopped:
                sleep(self._pause_s())
                self.tick(clock(), sys._current_frames)
        except Exception as error:
            # Without a watchdog receipts stay right; they lose the lines of own code.
            self._recorder.cover("watchdog", "off", f"broke: {type(error).__name__}: {error}")

    def _pause_s(self) -> float:
        if self._saw_long_step:
            return self._period_s
        if clock() - self._last_busy_ns > _QUIET_AFTER_NS:
            return _IDLE_PERIOD_S
        return 2 * self._period_s

    def tick(self, now: int, look: Callable[[], dict[int, FrameType]]) -> None:
        """Takes one look; `look` tells what every thread executes now."""
        held = tuple(running.items())
        if held:
            self._last_busy_ns = now
        long = [
            (thread_id, lane)
            for thread_id, lane in held
            if now - lane.step_start_ns >= _SHORTEST_STEP_NS and lane.trace.end_ns == 0
        ]
        loops = self._loops_to_look_at(now)
        if long or loops:
            places, busy = _glance(look, [thread_id for thread_id, _ in long], loops)
            for thread_id, lane in long:
                if thread_id in places:
                    self._sample(thread_id, lane, *places[thread_id], now)
            for loop in loops:
                self._look_at_idle_loop(loop, busy.get(loop.thread_id), now)
        for thread_id in tuple(self._seen):
            if thread_id not in running:
                del self._seen[thread_id]
        self._saw_long_step = bool(long) or any(loop.busy_since_ns for loop in loops)
        self._last_tick_ns = now

    def _loops_to_look_at(self, now: int) -> list[WatchedLoop]:
        due = now - self._last_idle_look_ns >= _IDLE_LOOK_EVERY_NS
        if due:
            self._last_idle_look_ns = now
        return [
            loop
            for loop in watched_loops()
            if loop.thread_id not in running and (due or loop.busy_since_ns)
        ]

    def _sample(
        self, thread_id: int, lane: Lane, place: RawPlace | None, innermost: bool, now: int
    ) -> None:
        begun = lane.step_start_ns
        if now <= begun:
            return
        counters = self._clock.read(thread_id)
        cpu = queue = None
        since = begun
        seen = self._seen.get(thread_id)
        if seen is not None and seen[0] is lane and seen[1] == begun:
            since = seen[2]
            if counters is not None and seen[3] is not None:
                cpu, queue = counters[0] - seen[3][0], counters[1] - seen[3][1]
        self._seen[thread_id] = (lane, begun, now, counters)
        trace = lane.trace
        if trace.left <= 0:
            return
        trace.left -= 1
        lane.samples.append((now, now - since, place, innermost, cpu, queue))

    def _look_at_idle_loop(
        self, loop: WatchedLoop, busy: tuple[RawPlace | None] | None, now: int
    ) -> None:
        """Notes that a loop is held; `busy` has the line that holds it, None where none does."""
        if busy is None:
            loop.busy_since_ns = 0
            return
        if loop.busy_since_ns == 0:
            # The first look cannot know since when; the time counts from here.
            loop.busy_since_ns = now
            return
        self._last_busy_ns = now
        (place,) = busy
        since = max(loop.busy_since_ns, self._last_tick_ns)
        self._recorder.stall(loop.thread_id, since, now, place)


_Places = dict[int, tuple[RawPlace | None, bool]]
"""By thread, its line of own code, and whether that was the one executing."""
_Busy = dict[int, tuple[RawPlace | None]]
"""By thread of a loop that is held, the line that holds it."""


def _glance(
    look: Callable[[], dict[int, FrameType]], threads: Sequence[int], loops: Sequence[WatchedLoop]
) -> tuple[_Places, _Busy]:
    """Reads all that is wanted off other threads' frames, and lets go of these before they run on.

    In here nothing may give the interpreter's lock up. On CPython 3.11 the frame of a function that
    goes on meanwhile is not to be touched: apps died of it, one in ten runs under load. So no file
    is read here, and no collection begins.
    """
    is_collecting = _COLLECTIONS_HAND_OVER and gc.isenabled()
    if is_collecting:
        gc.disable()
    try:
        frames = look()
        places = {
            thread_id: (place_from(frame), own_code.is_own_file(frame.f_code.co_filename))
            for thread_id in threads
            if (frame := frames.get(thread_id)) is not None
        }
        busy = {
            loop.thread_id: (place_from(frame),)
            for loop in loops
            if (frame := frames.get(loop.thread_id)) is not None and loop.is_busy(frame)
        }
        frame = None
        frames.clear()
        return places, busy
    finally:
        if is_collecting:
            gc.enable()
