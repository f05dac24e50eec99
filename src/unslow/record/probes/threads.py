"""Records work in threads: anyio's workers, executors, threads that a request starts.

A function in a thread is a lane of the request. `asyncio.to_thread` and `run_in_executor` come
through `ThreadPoolExecutor.submit`; `anyio.from_thread` runs tasks, which the loop's task factory
sees. Threads that libraries start for themselves are no lanes: nobody knows whom they work for.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Final

from ...current import LANE, THREAD, Lane, RawPlace, clock, running
from ...model.trace import BLOCKING, OWN_CODE, THREAD_QUEUE
from ..functions import own_place, place_of_call
from ..place import caller_place
from ..probe import Installation, ProbeOffError, require

_PRIVATE: Final = (
    "anyio._backends._asyncio.AsyncIOBackend.run_sync_in_worker_thread: anyio 4.0 to 4.16",
    "anyio._backends._asyncio.run_sync_in_worker_thread: anyio 3.0 to 3.7",
    "threading.Thread._target and ._args: Python 3.11 to 3.14",
)
"""The private names used here, with the versions they were seen in."""

_SHORTEST_NS: Final = 100_000
"""What was there already is got in some microseconds: that is no wait."""

_STEPS_BACK: Final = 3

_LONG_START_NS: Final = 1_000_000
"""`start` returns when the thread runs, so also behind what the thread did with the lock first."""

_Patch = Callable[[Callable[..., Any]], Callable[..., Any]]


def install(installation: Installation, module: str) -> None:
    """Starts the recording of one way to use threads."""
    _HOOKS[module](installation, sys.modules[module])


def _anyio(installation: Installation, backend: Any) -> None:
    name = "run_sync_in_worker_thread"
    kind = getattr(backend, "AsyncIOBackend", None)
    if kind is not None:
        require(kind, name, "func", "args", "abandon_on_cancel", "limiter")
        installation.patches.replace(kind, name, _in_worker(installation))
    else:
        require(backend, name, "func", "args", "cancellable", "limiter")
        installation.patches.replace(backend, name, _in_worker_3(installation))
    # Only here, as it brings much: this module is loaded in every process of the app.
    from importlib.metadata import version

    installation.cover(f"worker threads of anyio {version('anyio')}")


def _executors(installation: Installation, module: Any) -> None:
    require(module.ThreadPoolExecutor, "submit", "self", "fn", "args", "kwargs")
    future = sys.modules["concurrent.futures._base"].Future
    for name in ("result", "exception"):
        require(future, name, "self", "timeout")
        what = f"concurrent.futures.Future.{name}"
        installation.patches.replace(future, name, functools.partial(_waiting, what))
    installation.patches.replace(module.ThreadPoolExecutor, "submit", _submitting(installation))
    installation.cover("thread pool executors")


def _threading(installation: Installation, module: Any) -> None:
    require(module.Thread, "start", "self")
    require(module.Thread, "join", "self", "timeout")
    thread = module.Thread(target=_threading, args=(1,))
    if (thread._target, thread._args) != (_threading, (1,)):
        raise ProbeOffError("threading.Thread keeps its function under a new name")
    installation.patches.replace(module.Thread, "start", _starting(installation))
    what = "threading.Thread.join"
    installation.patches.replace(module.Thread, "join", functools.partial(_waiting, what))
    installation.cover("threads that a request starts")


_HOOKS: Final[dict[str, Callable[[Installation, Any], None]]] = {
    "anyio._backends._asyncio": _anyio,
    "concurrent.futures.thread": _executors,
    "threading": _threading,
}


class Work:
    """A function that is to run in another thread, as a lane of the request that wants it."""

    __slots__ = (
        "_asked_ns",
        "_context",
        "_function",
        "_parent",
        "_place",
        "_thread",
        "full",
        "started_ns",
    )

    def __init__(
        self,
        lane: Lane,
        function: Callable[..., Any],
        place: RawPlace | None,
        asked_ns: int = 0,
        context: Context | None = None,
    ) -> None:
        self._parent = lane
        self._function = function
        self._place = place
        self._asked_ns = asked_ns
        self._context = context
        self._thread: Lane | None = None
        self.started_ns = 0
        self.full: str | None = None
        """The threads that it was asked of, where all of them were busy."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Only here, as it brings asyncio.
        from ..lanes import run_in_lane

        self.started_ns = clock()
        return run_in_lane(
            self._parent,
            None if self._place is None else OWN_CODE,
            self._run,
            args,
            kwargs,
            place=self._place,
            asked_ns=self._asked_ns,
            asked_of=self.full,
            context=self._context,
        )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        self._thread = LANE.get()
        return self._function(*args, **kwargs)

    def waited(self, asked_ns: int) -> None:
        """Whoever awaited the function goes on; a function that has not ended is abandoned."""
        parent, lane = self._parent, self._thread
        end = clock()
        started = self.started_ns
        until = end if started == 0 else _let_go_ns(parent, started)
        parent.add(THREAD_QUEUE, asked_ns, until, self.full, self._place)
        if lane is not None and lane.end_ns == 0 and lane is not parent:
            lane.end_ns = end
            if self._place is not None:
                lane.add(OWN_CODE, lane.step_start_ns, end, None, self._place)


def _let_go_ns(lane: Lane, started_ns: int) -> int:
    """When the step in which a task started a thread was over, if that was behind the start.

    What is left of that step is the way to its end. It takes as long as the thread likes to keep
    the interpreter's lock, and all that time the thread runs, not the task.
    """
    for start, end, _, _ in reversed(lane.steps[-_STEPS_BACK:]):
        if start <= started_ns < end:
            return end
    return started_ns


def _in_worker(installation: Installation) -> _Patch:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def run_sync_in_worker_thread(
            cls: Any, func: Any, args: Any, *more: Any, **options: Any
        ) -> Any:
            lane = LANE.get()
            if lane is None:
                return await original(cls, func, args, *more, **options)
            work = Work(lane, func, _place_of_call(installation, func, args))
            try:
                limiter = more[1] if len(more) > 1 else options.get("limiter")
                work.full = _full(limiter or cls.current_default_thread_limiter())
            except Exception as error:
                installation.broke(error)
            asked = clock()
            try:
                return await original(cls, work, args, *more, **options)
            finally:
                work.waited(asked)

        return run_sync_in_worker_thread

    return make


def _full(limiter: Any) -> str | None:
    """How a limiter is called, where all of its threads are busy."""
    return None if limiter.available_tokens > 0 else f"{limiter.total_tokens:g} threads"


def _in_worker_3(installation: Installation) -> _Patch:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def run_sync_in_worker_thread(func: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return await original(func, *args, **options)
            work = Work(lane, func, _place_of_call(installation, func, args))
            asked = clock()
            try:
                return await original(work, *args, **options)
            finally:
                work.waited(asked)

        return run_sync_in_worker_thread

    return make


def _place_of_call(installation: Installation, function: Any, args: Any) -> RawPlace | None:
    try:
        return place_of_call(function, args)
    except Exception as error:
        installation.broke(error)
        return None


def _submitting(installation: Installation) -> _Patch:
    """Who will await the future is not known, so the wait for a thread is the thread's lane's."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.trace.left <= 0:
                return original(self, fn, *args, **kwargs)
            try:
                place, context = place_of_call(fn, args), context_of(fn, args)
                fn = Work(lane, fn, place, clock(), context)
                fn.full = _full_pool(self)
            except Exception as error:
                installation.broke(error)
            return original(self, fn, *args, **kwargs)

        return submit

    return make


def _full_pool(executor: Any) -> str | None:
    """How an executor is called, where all of its threads are there and something waits for one."""
    most = getattr(executor, "_max_workers", None)
    threads, queue = getattr(executor, "_threads", ()), getattr(executor, "_work_queue", None)
    if most is None or queue is None or len(threads) < most or queue.qsize() == 0:
        return None
    return f"{most} threads"


def context_of(function: Any, args: tuple[Any, ...]) -> Context | None:
    """The context in which a call will run something: of `context.run`, however it is passed on."""
    while isinstance(function, functools.partial):
        args = function.args + args
        function = function.func
    for one in (function, *args):
        owner = getattr(one, "__self__", None)
        if owner.__class__ is Context and one.__name__ == "run":
            return owner
    return None


def _starting(installation: Installation) -> _Patch:
    def make(original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def start(self: Any) -> None:
            lane = LANE.get()
            if lane is None or lane.trace.left <= 0:
                original(self)
                return
            try:
                place = _place_of_thread(self)
                if place is not None:
                    self.run = StartedThread(self, lane, place)
            except Exception as error:
                installation.broke(error)
            begin = clock()
            try:
                original(self)
            except BaseException:
                vars(self).pop("run", None)
                raise
            finally:
                end = clock()
                if end - begin >= _LONG_START_NS:
                    lane.add(BLOCKING, begin, end, "threading.Thread.start", caller_place())

        return start

    return make


def _place_of_thread(thread: Any) -> RawPlace | None:
    """The first line of what a thread is to run, if that is the user's own code."""
    if "run" in vars(thread):
        return None
    if type(thread).run is not threading.Thread.run:
        return own_place(type(thread).run)
    if context_of(thread._target, ()) is not None:
        return place_of_call(thread._target, thread._args)
    return own_place(thread._target) if thread._target is not None else None


class StartedThread:
    """In place of the `run` of a thread that a request starts, until it runs."""

    __slots__ = ("_asked_ns", "_lane", "_place", "_thread")

    def __init__(self, thread: Any, lane: Lane, place: RawPlace) -> None:
        self._thread = thread
        self._lane = lane
        self._place = place
        self._asked_ns = clock()

    def __call__(self) -> None:
        from ..lanes import run_in_lane

        thread = self._thread
        del thread.run
        run_in_lane(
            self._lane,
            OWN_CODE,
            thread.run,
            (),
            {},
            place=self._place,
            asked_ns=self._asked_ns,
            context=context_of(thread._target, ()),
            may_outlive=True,
        )


def _waiting(what: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """For the ways to wait until another thread is ready."""

    @functools.wraps(original)
    def wait(self: Any, timeout: float | None = None) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self, timeout)
        start = clock()
        try:
            return original(self, timeout)
        finally:
            if clock() - start >= _SHORTEST_NS:
                _waited(lane, start, what)

    return wait


def _waited(lane: Lane, start_ns: int, what: str) -> None:
    """A thread that waits for lanes it started shows what they do; any other wait is blocking."""
    if lane.kind == THREAD and running.get(lane.thread_id) is lane and _shares(lane, start_ns):
        from ..lanes import go_on_in_new_lane

        go_on_in_new_lane(lane, start_ns)
    else:
        lane.add(BLOCKING, start_ns, clock(), what, caller_place())


def _shares(lane: Lane, since_ns: int) -> bool:
    """Whether a lane that this thread started, in this lane or in one before it, was at work."""
    trace = lane.trace
    if trace.left <= 0:
        return False
    lanes = trace.lanes
    for child in lanes[1:]:
        parent = lanes[child.parent]
        if (
            parent.thread_id == lane.thread_id
            and parent.parent == lane.parent
            and parent.kind == THREAD
            and (child.end_ns == 0 or child.end_ns > since_ns)
        ):
            return True
    return False
