"""Driving the tasks and threads of a request, so that each stretch they run is known."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from inspect import CO_COROUTINE
from threading import get_ident
from types import FrameType, FunctionType, MethodType, coroutine
from typing import Any
from weakref import WeakSet

from ..current import LANE, TASK, THREAD, Lane, RawPlace, clock, running
from ..model.trace import THREAD_QUEUE, UNEXPLAINED
from ..patching import Patches
from .place import own_code

log = logging.getLogger("unslow")
_OURS = __name__.partition(".")[0]
_LONG_WAIT_NS = 1_000_000
"""A wait this long is looked at, unless a driver's probe explains it: reading a chain of awaits
takes 2 us, and ten times that below a framework with middleware and dependencies."""


_TIMER_SLACK_NS = 1_500_000
"""Also an idle loop sees a timer this late: epoll and uvloop count in milliseconds, and wake up."""


@coroutine
def driven(
    work: Coroutine[Any, Any, Any],
    lane: Lane,
    *,
    in_new_task: bool = False,
    ended: Callable[[BaseException | None], None] | None = None,
) -> Generator[Any, Any, Any]:
    """Awaits a coroutine and notes each stretch in which it holds the event loop.

    Errors, cancellation and results pass through. A generator with all written out in it: so a step
    is one frame, and each costs microseconds where the last step was long ago.

    Args:
        work: The coroutine.
        lane: The one that the stretches belong to.
        in_new_task: Whether `lane` is yet to be made the current one of the task's context. There
            is one more step then, before the first: what is thrown into it reaches the coroutine.
        ended: Called at the end, with the error if there was one.
    """
    trace = lane.trace
    send = work.send
    resume: Callable[[Any], Any] = send
    argument: Any = None
    is_over = False
    try:
        if in_new_task:
            try:
                yield
            except GeneratorExit:
                raise
            except BaseException as error:
                resume, argument = work.throw, error
            LANE.set(lane)
            lane.thread_id = get_ident()
        thread_id = lane.thread_id
        while True:
            ready = lane.ready_ns
            timer = lane.timer_ns
            if timer:
                lane.timer_ns = 0
            before = running.get(thread_id)
            start = clock()
            # Else the task outlives its request.
            is_recorded = trace.end_ns == 0
            if is_recorded:
                if start - lane.step_end_ns > _LONG_WAIT_NS and not lane.inside_sql:
                    _note_wait(lane, start, work)
                    start = clock()
                running[thread_id] = lane
                lane.step_start_ns = start
            try:
                waits_for = resume(argument)
            except StopIteration as stop:
                is_over, waits_for = True, stop.value
            finally:
                if is_recorded:
                    lane.step_end_ns = end = clock()
                    if before is None:
                        del running[thread_id]
                    else:
                        running[thread_id] = before
                    if trace.left > 0:
                        trace.left -= 1
                        known = lane.arrival_ns
                        if known:
                            lane.arrival_ns = 0
                        elif timer and timer < start - _TIMER_SLACK_NS:
                            known = timer
                        lane.ready_ns = 0
                        lane.steps.append((start, end, ready, known))
                    elif trace.end_ns == 0:
                        trace.dropped_count += 1
            if is_over:
                break
            try:
                argument = yield waits_for
                resume = send
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                resume, argument = work.throw, error
    except BaseException as error:
        # What was thrown in holds on to this frame.
        argument = None
        _end(lane)
        if ended is not None:
            ended(error)
        raise
    _end(lane)
    if ended is not None:
        ended(None)
    return waits_for


def _end(lane: Lane) -> None:
    if lane.trace.end_ns == 0:
        lane.end_ns = lane.step_end_ns


class Steps:
    """The coroutine of a new task, driven; attributes of the one inside are seen."""

    __slots__ = ("_driver", "coroutine", "send", "throw")

    def __init__(self, work: Coroutine[Any, Any, Any], lane: Lane) -> None:
        self.coroutine = work
        driver: Any = driven(work, lane, in_new_task=True)
        next(driver)
        self._driver = driver
        # Without a way through Python: a task calls them for each of its steps.
        self.send = driver.send
        self.throw = driver.throw

    def close(self) -> None:
        self._driver.close()
        self.coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        driver: Generator[Any, Any, Any] = self._driver
        return driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self.coroutine, name)


# By name, as nothing that it would inherit is of use: so asyncio takes it for a coroutine.
Coroutine.register(Steps)


def _note_wait(lane: Lane, end_ns: int, coroutine: Any) -> None:
    """Notes where a task waited since its last step, for a wait that no probe explains."""
    try:
        place, name = awaited(coroutine)
        if place is not None:
            lane.add(UNEXPLAINED, lane.step_end_ns, end_ns, name, place)
    except Exception as error:
        # Raised from here, it would come out of the app's own await.
        log.error("unslow could not tell what a task waited for: %s", error)


def awaited(coroutine: Any) -> tuple[RawPlace | None, str]:
    """Which line of the user's own code a suspended coroutine waits at, and for what.

    Read off the chain of awaits, which is intact until the coroutine is resumed.
    """
    by_file = own_code.by_file
    place: RawPlace | None = None
    below: Any = None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            break
        code = frame.f_code
        own = by_file.get(code.co_filename)
        if own is None:
            own = own_code.is_own_file(code.co_filename)
        coroutine = coroutine.cr_await
        if own is True:
            place, below = (code, frame.f_lasti), coroutine
    return place, _called(below)


def _called(coroutine: Any) -> str:
    """What the user's own code awaits: the outermost function that is not ours."""
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        library = frame.f_globals.get("__name__", "").partition(".")[0]
        # A probe's wrapper stands in for what it wraps.
        if library != _OURS:
            return f"{library}.{frame.f_code.co_qualname}"
        coroutine = coroutine.cr_await
    return ""


def run_in_lane(
    trace_lane: Lane,
    segment: int | None,
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    *,
    place: RawPlace | None = None,
    asked_ns: int = 0,
    asked_of: str | None = None,
    context: Context | None = None,
    may_outlive: bool = False,
) -> Any:
    """Runs a function in a worker thread as a lane of the request that started it.

    The lane ends with the function, unless somebody has ended it before.

    Args:
        trace_lane: The lane that started it.
        segment: What the thread's own time is; None: what the starting lane did at that moment.
        function: What to run.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        place: The line of the segment.
        asked_ns: Since when the function has waited for a thread, if that is to be told.
        asked_of: The pool of threads, if all of them were busy then.
        context: The context in which `function` itself runs something.
        may_outlive: Whether only waits count if the thread does not end within the request.
    """
    trace = trace_lane.trace
    if trace.left <= 0:
        return function(*args, **kwargs)
    # A task without steps is one that never ran: what it waits for counts, and nothing else.
    lane = Lane(trace, TASK if may_outlive else THREAD, trace_lane.index)
    if asked_ns:
        lane.add(THREAD_QUEUE, asked_ns, lane.start_ns, asked_of, place)
        lane.start_ns = asked_ns
    thread_id = lane.thread_id
    token = LANE.set(lane)
    inner_token = None if context is None else context.run(LANE.set, lane)
    before = running.get(thread_id)
    running[thread_id] = lane
    try:
        return function(*args, **kwargs)
    finally:
        last = running[thread_id]
        if before is None:
            running.pop(thread_id, None)
        else:
            running[thread_id] = before
        if context is not None and inner_token is not None:
            context.run(LANE.reset, inner_token)
        LANE.reset(token)
        if last.end_ns == trace.end_ns == 0:
            last.end_ns = until = clock()
            for part in reversed(_parts(lane, last)):
                part.kind = THREAD
                if segment is not None:
                    # Up to the next part, so that what was started in between inherits it; a lane
                    # takes from its slices what lies within it.
                    part.add(segment, part.step_start_ns, until, None, place)
                until = part.start_ns


def go_on_in_new_lane(lane: Lane, since_ns: int) -> None:
    """Ends a thread's lane where it began to wait for its own children, and opens the next one."""
    lane.end_ns = since_ns
    following = Lane(lane.trace, lane.kind, lane.parent)
    running[following.thread_id] = following
    LANE.set(following)


def _parts(first: Lane, last: Lane) -> list[Lane]:
    if first is last:
        return [first]
    lanes = first.trace.lanes[first.index : last.index + 1]
    return [
        lane for lane in lanes if lane.thread_id == first.thread_id and lane.parent == first.parent
    ]


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
        woken: list[int] = [0]
        self._patches.replace(loop, "call_soon", _call_soon(woken))
        self._patches.replace(loop, "call_soon_threadsafe", _call_soon_threadsafe(woken))
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
            coro = Steps(coro, lane)
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


_CALLABLES = frozenset({FunctionType, functools.partial})
"""What is queued for a task's own next step is of types of asyncio's own. Methods are left alone:
asyncpg queues one for each answer, and it wakes nobody."""


def _call_soon(woken: list[int]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def call_soon(callback: Any, *args: Any, context: Context | None = None) -> Any:
            kind = type(callback)
            if context is not None and kind is not MethodType:
                lane = context.get(LANE)
                if lane is None:
                    pass
                elif kind in _CALLABLES:
                    # Not the task's own next step, but a callback that may come to wake it, as
                    # `shield`, `gather` and anyio's groups do it.
                    callback = _Queued(callback, woken)
                elif woken[0]:
                    lane.ready_ns = max(woken[0], lane.step_end_ns)
                else:
                    lane.ready_ns = clock()
            # Nearly all have one argument or none: unpacking them costs more than all above.
            if len(args) == 1:
                return original(callback, args[0], context=context)
            return original(callback, *args, context=context)

        return call_soon

    return make


def _call_soon_threadsafe(woken: list[int]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def call_soon_threadsafe(callback: Any, *args: Any, context: Context | None = None) -> Any:
            return original(_Queued(callback, woken), *args, context=context)

        return call_soon_threadsafe

    return make


class _Queued:
    """A callback in the loop's queue: a task that it wakes was ready since it was queued."""

    __slots__ = ("_asked_ns", "_callback", "_woken")

    def __init__(self, callback: Callable[..., Any], woken: list[int]) -> None:
        self._callback = callback
        self._woken = woken
        self._asked_ns = clock()

    def __call__(self, *args: Any) -> Any:
        self._woken[0] = self._asked_ns
        try:
            return self._callback(args[0]) if len(args) == 1 else self._callback(*args)
        finally:
            self._woken[0] = 0

    def __repr__(self) -> str:
        return repr(self._callback)


def _due_ns(when_s: Any, now_s: float = 0.0) -> int:
    """When a timer is due; 0 where nobody can say, such as of `sleep(math.inf)`."""
    try:
        return clock() + int((when_s - now_s) * 1e9)
    except Exception:
        # Infinite, or no number at all: what the loop says to that is the app's to hear.
        return 0


def _call_later(original: Callable[..., Any]) -> Callable[..., Any]:
    def call_later(delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        lane = LANE.get()
        if lane is not None:
            lane.timer_ns = _due_ns(delay)
        return original(delay, callback, *args, context=context)

    return call_later


def _call_at(loop: asyncio.AbstractEventLoop) -> Callable[[Callable[..., Any]], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def call_at(when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
            lane = LANE.get()
            if lane is not None:
                lane.timer_ns = _due_ns(when, loop.time())
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
