"""Driving the tasks and threads of a request, so that each stretch they run is known."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from inspect import CO_COROUTINE
from threading import get_ident
from types import FrameType
from typing import Any
from weakref import WeakSet

from ..current import LANE, TASK, THREAD, Lane, RawPlace, clock, running
from ..model.trace import UNEXPLAINED
from ..patching import Patches
from .place import own_code

_LONG_WAIT_NS = 1_000_000
"""A wait this long is looked at: reading the chain of awaits takes about 2 us."""


class Steps(Coroutine[Any, Any, Any]):
    """A coroutine that notes each stretch in which the wrapped one holds the event loop.

    Errors, cancellation and results pass through; attributes of the wrapped coroutine are seen.
    Not an `async def`, so that a task that is cancelled before its first step closes the wrapped
    coroutine as it would without us.
    """

    __slots__ = ("_enter", "coroutine", "lane")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], lane: Lane, enter: bool) -> None:
        self.coroutine = coroutine
        self.lane = lane
        self._enter = enter
        """Whether the first step has to make `lane` the current one of the task's context."""

    def send(self, value: Any) -> Any:
        return self._step(self.coroutine.send, value)

    def __next__(self) -> Any:
        return self._step(self.coroutine.send, None)

    def throw(self, *error: Any) -> Any:
        return self._step(self.coroutine.throw, *error)

    def _step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        lane = self.lane
        trace = lane.trace
        if trace.end_ns:
            # A task that outlives its request.
            return resume(*arguments)
        if self._enter:
            self._enter = False
            LANE.set(lane)
            lane.thread_id = get_ident()
        thread_id = lane.thread_id
        ready, lane.ready_ns = lane.ready_ns, 0
        timer, lane.timer_ns = lane.timer_ns, 0
        before = running.get(thread_id)
        start = clock()
        if start - lane.step_end_ns > _LONG_WAIT_NS:
            place, name = awaited(self.coroutine)
            if place is not None:
                lane.add(UNEXPLAINED, lane.step_end_ns, start, name, place)
        running[thread_id] = lane
        lane.step_start_ns = start = clock()
        try:
            return resume(*arguments)
        except BaseException:
            # The end of the task, also with a result: its lane does nothing from here on.
            lane.end_ns = clock()
            raise
        finally:
            lane.step_end_ns = end = clock()
            if before is None:
                running.pop(thread_id, None)
            else:
                running[thread_id] = before
            if trace.left > 0:
                trace.left -= 1
                known = lane.arrival_ns or (timer if timer <= start else 0)
                lane.arrival_ns = lane.ready_ns = 0
                lane.steps.append((start, end, ready, known))
            elif trace.end_ns == 0:
                trace.dropped_count += 1

    def close(self) -> None:
        self.coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Steps:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.coroutine, name)


def awaited(coroutine: Any) -> tuple[RawPlace | None, str]:
    """Which line of the user's own code a suspended coroutine waits at, and for what.

    Read off the chain of awaits, which is intact until the coroutine is resumed.
    """
    place: RawPlace | None = None
    name = ""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            break
        code = frame.f_code
        if own_code.is_own_file(code.co_filename):
            place, name = (code, frame.f_lasti), ""
        elif place is not None and not name:
            name = f"{frame.f_globals.get('__name__', '').partition('.')[0]}.{code.co_qualname}"
        coroutine = coroutine.cr_await
    return place, name


def run_in_lane(
    trace_lane: Lane, segment: int | None, function: Callable[..., Any], args: Any, kwargs: Any
) -> Any:
    """Runs a function in a worker thread as a lane of the request that started it."""
    lane = Lane(trace_lane.trace, THREAD, trace_lane.index)
    thread_id = lane.thread_id
    token = LANE.set(lane)
    before = running.get(thread_id)
    running[thread_id] = lane
    try:
        return function(*args, **kwargs)
    finally:
        if before is None:
            running.pop(thread_id, None)
        else:
            running[thread_id] = before
        LANE.reset(token)
        lane.end_ns = clock()
        if segment is not None:
            lane.add(segment, lane.start_ns, lane.end_ns)


class WatchedLoop:
    """An event loop whose tasks are driven step by step while they work for a request."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.thread_id = get_ident()
        self.busy_since_ns = 0
        """Since when the watchdog has seen the loop held outside requests; 0 while it is not."""
        self._base_depth = _depth_below_task(sys._getframe(1))
        self._loop = loop
        self._factory_before = loop.get_task_factory()
        self._patches = Patches()
        loop.set_task_factory(self._task_factory)
        self._patches.replace(loop, "call_soon", _call_soon)
        self._patches.replace(loop, "call_later", _call_later)
        self._patches.replace(loop, "call_at", _call_at(loop))

    def _task_factory(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **arguments: Any
    ) -> asyncio.Future[Any]:
        context: Context | None = arguments.get("context")
        parent = LANE.get() if context is None else context.get(LANE)
        if parent is not None and parent.trace.left > 0 and asyncio.iscoroutine(coro):
            lane = Lane(parent.trace, TASK, parent.index)
            # A task is in its loop's queue from the moment it is made.
            lane.ready_ns = lane.start_ns
            coro = Steps(coro, lane, enter=True)
        if self._factory_before is not None:
            return self._factory_before(loop, coro, **arguments)
        return asyncio.Task(coro, loop=loop, **arguments)

    def is_busy(self, frame: FrameType) -> bool:
        """Whether a frame of the loop's thread is more than the loop waiting for events."""
        if frame.f_code.co_name == "select":
            return False
        return _depth(frame) > self._base_depth

    def unwatch(self) -> None:
        """Gives the loop back as it was, as far as what we set is still ours."""
        if self._loop.get_task_factory() == self._task_factory:
            self._loop.set_task_factory(self._factory_before)
        self._patches.undo()
        delattr(self._loop, _MARK)


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    return depth


def _depth_below_task(frame: FrameType | None) -> int:
    """How many frames lie below the running task: those of the loop and of what started it."""
    outermost = frame
    while frame is not None:
        if frame.f_code.co_flags & CO_COROUTINE:
            outermost = frame
        frame = frame.f_back
    below = _depth(outermost) - 1
    # asyncio runs each callback in a method of its handle, one frame above the loop's own.
    handle = None if outermost is None else outermost.f_back
    if handle is not None and handle.f_code is asyncio.Handle._run.__code__:
        below -= 1
    return below


def _call_soon(original: Callable[..., Any]) -> Callable[..., Any]:
    def call_soon(callback: Any, *args: Any, context: Context | None = None) -> Any:
        if context is not None:
            lane = context.get(LANE)
            if lane is not None:
                lane.ready_ns = clock()
        return original(callback, *args, context=context)

    return call_soon


def _call_later(original: Callable[..., Any]) -> Callable[..., Any]:
    def call_later(delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        lane = LANE.get()
        if lane is not None:
            lane.timer_ns = clock() + int(delay * 1e9)
        return original(delay, callback, *args, context=context)

    return call_later


def _call_at(loop: asyncio.AbstractEventLoop) -> Callable[[Callable[..., Any]], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def call_at(when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
            lane = LANE.get()
            if lane is not None:
                lane.timer_ns = clock() + int((when - loop.time()) * 1e9)
            return original(when, callback, *args, context=context)

        return call_at

    return make


_watched: WeakSet[WatchedLoop] = WeakSet()
_MARK = "_unslow_watched"


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Watches an event loop, if it is not watched yet.

    What watches a loop lives on the loop, so that it goes when the loop goes.
    """
    if getattr(loop, _MARK, None) is None:
        watched = WatchedLoop(loop)
        setattr(loop, _MARK, watched)
        _watched.add(watched)


def watched_loops() -> tuple[WatchedLoop, ...]:
    """The event loops that are watched now."""
    return tuple(_watched)


def unwatch_all() -> None:
    """Gives all event loops back as they were."""
    for watched in tuple(_watched):
        watched.unwatch()
    _watched.clear()
