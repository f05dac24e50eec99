"""Starting the recorder in a process of the user's app, and undoing all of it.

The agent comes in by one of four routes: `unslow run` puts it on the path (`sitecustomize`), the
app calls `unslow.install(app)`, a process that has it forks, or `python -m unslow.agent` starts the
app. Threads start only where an app is served: a master process that forks its workers stays as
single-threaded as it was.
"""

from __future__ import annotations

import atexit
import importlib
import inspect
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from . import __version__
from .current import LANE, running
from .errors import InstallError
from .model.trace import Coverage, Process
from .patching import Patches
from .record.imports import ImportHook
from .record.probe import Probes
from .record.recorder import log, recorder
from .settings import Settings, load
from .wire import (
    ARM,
    ARMS_VARIABLE,
    BYE,
    DISARM,
    FLUSH,
    GUARD,
    HEALTH,
    HELLO,
    KEYS,
    PROTOCOL,
    REROUTE,
    SAMPLES,
    SERVED,
    SERVING,
    TRACES,
    TROUBLE,
    Connection,
    Message,
)

if TYPE_CHECKING:
    # Every Python process of a command imports this module, before any line of its own. What is not
    # needed then comes later: asyncio brings ssl, which gevent must find not yet imported.
    from .model.codec import Packed
    from .record.arms import Arms
    from .record.middleware import Receive, Scope, Send
    from .store import StoreWriter
    from .trial_arms import TrialArms

RUN_VARIABLE = "UNSLOW_RUN"
"""Names the run, so that the processes of one app stand together in the store."""

_START_PATIENCE_S = 5.0
_TRACES_PER_ANSWER = 50

_App = TypeVar("_App")


class Shelf:
    """Where the writer puts what it has finished: the ring, and the file as long as it works."""

    def __init__(
        self, folder: Path, settings: Settings, run: str, tell: Callable[[str, str], None]
    ) -> None:
        from .store import Ring

        self.ring = Ring(settings.ring_traces)
        self.traces_count = 0
        self._folder = folder
        self._bound_bytes = settings.store_bytes
        self._run = run
        self._tell = tell
        self._file: StoreWriter | None = None
        self._works = True
        self._written: Process | None = None

    def put(self, traces: tuple[bytes, ...], stalls: tuple[Packed, ...], process: Process) -> None:
        """Keeps a batch; called by the writer, one call at a time."""
        import sqlite3

        from .store import Batch, StoreFormatError, StoreUnusableError, StoreWriter

        if recorder.record_values:
            self._put_requests()
        batch = Batch(traces, stalls)
        self.ring.add(batch)
        self.traces_count += len(traces)
        if not self._works or not (traces or stalls or process != self._written):
            return
        try:
            if self._file is None:
                self._file = StoreWriter(self._folder, self._bound_bytes, self._run, process)
            self._file.write(batch, process)
            self._written = process
        except (StoreUnusableError, StoreFormatError, sqlite3.Error) as error:
            self._works = False
            recorder.cover("store", "off", f"memory only: {error}")
            self._tell("store", str(error))
            self.close()

    def _put_requests(self) -> None:
        """Writes what clients have sent into a file of its own, readable by its owner only."""
        from .record.exchanges import exchanges, part_file, write_part

        exchanges.begun.clear()
        if kept := exchanges.take():
            try:
                write_part(part_file(self._folder, self._run), kept)
            except OSError as error:
                exchanges.is_keeping = False
                self._tell("store", f"The requests with their values cannot be kept: {error}.")

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Threads:
    """What works beside the app's own threads while it is served: writer and watchdog."""

    def __init__(self, shelf: Shelf, watchdog_period_ms: float) -> None:
        from .record.cost import measure
        from .record.watchdog import Watchdog
        from .record.writer import Writer

        self.shelf = shelf
        self.writer = Writer(recorder, shelf.put, measure())
        self.watchdog = Watchdog(recorder, watchdog_period_ms)

    def start(self) -> None:
        """Starts both."""
        self.writer.start()
        self.watchdog.start()

    def stop(self) -> None:
        """Ends both; what was recorded is written."""
        self.watchdog.stop()
        self.writer.stop()
        self.shelf.close()


class Agent:
    """The recorder of this process, with all that belongs to it."""

    def __init__(self, settings: Settings, wire: Connection | None, route: str) -> None:
        self._settings = settings
        self._wire = wire
        self._route = route
        # The app may go to another folder before it serves.
        self._folder = Path(os.path.abspath(settings.folder))
        self._run = os.environ.get(RUN_VARIABLE) or _run_of_this_group()
        self._probes = Probes(recorder, f"{__package__}.record.probes")
        self._hook = ImportHook(self._probes)
        self._patches = Patches()
        self._starting = threading.Lock()
        self._starter: threading.Thread | None = None
        self._ends_in = 0
        """The process at whose end `end` is called."""
        self._threads: Threads | None = None
        self._arms: Arms | None = None
        """Only where a check has started the app."""
        self._trial_arms: TrialArms | None = None

    def start(self) -> None:
        """Starts recording and says hello."""
        # Known to every context that comes of this one: who compares contexts finds nothing new.
        LANE.set(None)
        recorder.slices_per_trace = self._settings.slices_per_trace
        recorder.record_values = self._settings.record_values
        if recorder.record_values:
            from .record.exchanges import exchanges

            exchanges.is_counting = exchanges.is_keeping = True
        _include_own(self._settings.own)
        recorder.on_first = self._first_trace
        recorder.on_app = self.serving
        recorder.on_app_failed = self._app_failed
        recorder.on_app_ended = self._app_ended
        self._hook.install()
        recorder.recording = True
        atexit.register(self.end)
        self._hello()

    def stop(self) -> None:
        """Undoes all that `start` and the probes did."""
        recorder.recording = False
        recorder.on_first = recorder.on_app = recorder.on_app_failed = None
        recorder.on_app_ended = None
        # It may be about to start a probe.
        self.wait_for_starter()
        self._hook.uninstall()
        self._disarm_all()
        self._probes.stop()
        self._patches.undo()
        lanes = sys.modules.get(f"{__package__}.record.lanes")
        if lanes is not None:
            lanes.unwatch_all()
        self.end()
        if recorder.record_values:
            from .record.exchanges import exchanges

            exchanges.stop()
        atexit.unregister(self.end)
        recorder.coverage.clear()

    def end(self) -> None:
        """Writes what was recorded and says goodbye; the process ends, or the agent does."""
        self.wait_for_starter()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.stop()
        if self._wire is not None:
            traces_count = 0 if threads is None else threads.shelf.traces_count
            self._wire.send(BYE, traces_count=traces_count, coverage=_coverage())
            self._wire.close()

    def forked(self) -> None:
        """In a forked child: takes nothing of the parent's along, and says hello itself."""
        running.clear()
        LANE.set(None)
        recorder.closed.clear()
        recorder.finished.clear()
        recorder.stalls.clear()
        recorder.dropped_traces_count = 0
        recorder.on_first = self._first_trace
        self._starting = threading.Lock()
        self._starter = None
        if self._threads is not None:
            # Its threads are not here, and its file is the parent's: SQLite forbids even to close
            # it here, so it is held for as long as this process lives.
            _parents_threads.append(self._threads)
            self._threads = None
        self._route = "fork"
        if self._wire is not None:
            self._wire.forget()
            try:
                self._wire.open()
            except OSError:
                self._wire = None
        self._hello()

    def serving(self, server: str) -> None:
        """An app is served in this process: starts the threads, and tells the tool."""
        try:
            with self._starting:
                if self._threads is None:
                    self._threads = self._started_threads()
                    self._end_with_the_process()
                    self._listen()
            self._hook.catch_up()
            if self._wire is not None:
                self._wire.send(SERVING, server=server, coverage=_coverage())
        except Exception as error:
            log.error("unslow could not start and records nothing: %s", error, exc_info=error)
            recorder.recording = False
            self._tell("agent", f"{type(error).__name__}: {error}")

    def flush(self) -> None:
        """Writes what has been recorded so far."""
        self.wait_for_starter()
        threads = self._threads
        if threads is None:
            return
        try:
            threads.writer.flush()
        except Exception as error:
            log.error("unslow could not write traces: %s", error)

    def traced(self, app: _App) -> _App:
        """The app, with its requests recorded: itself where its class can be hooked."""
        kind = type(app)
        if any(_is_ours(vars(base).get("__call__")) for base in kind.__mro__):
            return app
        if inspect.iscoroutinefunction(inspect.getattr_static(kind, "__call__", None)):
            self._patches.replace(kind, "__call__", _traced_call)
            return app
        from .record.middleware import TraceMiddleware

        return cast(_App, TraceMiddleware(cast(Any, app), recorder))

    def _started_threads(self) -> Threads:
        shelf = Shelf(self._folder, self._settings, self._run, self._tell)
        threads = Threads(shelf, self._settings.watchdog_period_ms)
        threads.start()
        return threads

    def _first_trace(self) -> None:
        if self._threads is None:
            self._end_with_the_process()
            if _REWRITES in sys.modules:
                _import_what_serves()
            # Not here, where a request holds its event loop: files are opened, costs measured.
            self._starter = threading.Thread(
                target=self.serving, args=("",), name="unslow-starter", daemon=True
            )
            self._starter.start()

    def _end_with_the_process(self) -> None:
        # A child of multiprocessing ends without `atexit`, unless this is said in it.
        if self._ends_in != os.getpid():
            self._ends_in = os.getpid()
            atexit.unregister(self.end)
            atexit.register(self.end)
            _end_with_multiprocessing(self.end)

    def wait_for_starter(self) -> None:
        """Waits until the threads have started, if they are about to."""
        starter = self._starter
        if starter is not None and starter is not threading.current_thread():
            starter.join(_START_PATIENCE_S)
            self._starter = None

    def _app_ended(self) -> None:
        self.flush()
        threads = self._threads
        if self._wire is not None and threads is not None:
            self._wire.send(SERVED, traces_count=threads.shelf.traces_count)

    def _app_failed(self, says: str) -> None:
        self._tell("app", says)

    def _tell(self, what: str, says: str) -> None:
        if self._wire is not None:
            self._wire.send(TROUBLE, what=what, says=says, process_id=os.getpid())

    def _hello(self) -> None:
        if self._wire is None:
            return
        self._wire.send(
            HELLO,
            protocol=PROTOCOL,
            unslow=__version__,
            process_id=os.getpid(),
            parent_process_id=os.getppid(),
            python=sys.version.split()[0],
            route=self._route,
            coverage=_coverage(),
        )

    def _listen(self) -> None:
        if self._wire is not None:
            answers = {HEALTH: self._health, FLUSH: self._flushed, TRACES: self._traces}
            if not os.environ.get(ARMS_VARIABLE):
                self._wire.listen(answers)
                return
            from .record.arms import Arms
            from .trial_arms import TrialArms

            self._arms = Arms()
            self._trial_arms = TrialArms(self._wire.secret)
            more = {
                ARM: self._arm,
                DISARM: self._disarm,
                SAMPLES: self._trial_arms.samples,
                REROUTE: self._trial_arms.reroute,
                GUARD: self._trial_arms.guard,
                KEYS: self._keys,
            }
            self._wire.listen(answers | more, gone=self._disarm_all)

    def _disarm_all(self) -> None:
        if self._trial_arms is not None:
            self._trial_arms.close()
        if self._arms is not None:
            self._arms.disarm()

    def _arm(self, asked: Message) -> Message:
        switch = str(asked.get("switch"))
        if "arm" in asked and self._trial_arms is not None:
            self._trial_arms.switch_on(str(asked["arm"]), switch, asked.get("parameters") or {})
        elif self._arms is not None:
            self._arms.arm(switch)
        return {}

    def _disarm(self, asked: Message) -> Message:
        switch = asked.get("switch")
        if "arm" in asked and self._trial_arms is not None:
            self._trial_arms.switch_off(str(asked["arm"]))
        elif self._arms is not None:
            self._arms.disarm(None if switch is None else str(switch))
        return {}

    def _keys(self, asked: Message) -> Message:
        # Only here: it looks into SQLAlchemy, which the app may not have.
        from .record.keys import database_hosts, keys

        hosts = asked.get("hosts")
        return {"hosts": database_hosts(), "keys": {} if hosts is None else keys(hosts)}

    def _health(self, _: Message) -> Message:
        threads = self._threads
        return {
            "process_id": os.getpid(),
            "recording": recorder.recording,
            "traces_count": 0 if threads is None else threads.shelf.traces_count,
            "dropped_traces_count": recorder.dropped_traces_count,
            "coverage": _coverage(),
        }

    def _flushed(self, _: Message) -> Message:
        self.flush()
        return {}

    def _traces(self, asked: Message) -> Message:
        threads = self._threads
        if threads is None:
            return {"traces": [], "last": 0, "more": False}
        threads.writer.flush()
        traces: list[Packed] = []
        last = int(asked.get("since", 0))
        for position, packed in threads.shelf.ring.since(last):
            if len(traces) == _TRACES_PER_ANSWER:
                return {"traces": traces, "last": last, "more": True}
            traces.append(packed)
            last = position
        return {"traces": traces, "last": last, "more": False}


_REWRITES: Final = "_pytest.assertion.rewrite"


def _import_what_serves() -> None:
    """Imports what the threads stand on in the thread that imports the app's own modules.

    pytest makes trees of what is imported, and CPython 3.11 counts their depth for all threads
    together: two that import at once raise SystemError now and then.
    """
    for name in ("record.cost", "record.watchdog", "record.writer", "store"):
        importlib.import_module(f"{__package__}.{name}")


_agent: Agent | None = None
_parents_threads: list[Threads] = []
_fork_hook: list[bool] = []


def start(
    settings: Settings | None = None, wire: Connection | None = None, *, route: str = "install"
) -> None:
    """Starts recording in this process, once.

    Args:
        settings: What holds; read from the current folder and the environment when None.
        wire: An open connection to the tool, if there is one.
        route: How the agent came into the process.
    """
    global _agent  # noqa: PLW0603  # there is one agent in a process
    if _agent is not None:
        return
    if not _fork_hook and hasattr(os, "register_at_fork"):
        # It cannot be taken back, so it is set once and does nothing while there is no agent.
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
        _fork_hook.append(True)
    agent = Agent(settings or load(), wire, route)
    agent.start()
    _agent = agent


def flush() -> None:
    """Writes what was recorded so far; does nothing where no agent is."""
    if _agent is not None:
        _agent.flush()


def stop() -> None:
    """Undoes all that `start` did; nothing happens where it was not called."""
    global _agent
    agent, _agent = _agent, None
    if agent is not None:
        agent.stop()


def start_injected() -> None:
    """Starts in a process of `unslow run`, unless the tool is gone or recording is off.

    Raises:
        SettingError: a setting is wrong.
        OSError: the tool is there and cannot be reached, for example by another user.
    """
    settings = load()
    wire = Connection.from_environment()
    if wire is None or _agent is not None or not settings.enabled:
        return
    try:
        wire.open()
    except (FileNotFoundError, ConnectionRefusedError):
        # A server that reloads its workers after the tool has ended.
        return
    start(settings, wire, route="sitecustomize")


def install(app: _App) -> _App:
    """Starts recording in this process, and returns the app with its requests recorded.

    Raises:
        InstallError: what was given is no ASGI application.
        SettingError: a setting is wrong.
    """
    if inspect.isclass(app) or not callable(app) or _parameters_count(app) not in {3, None}:
        raise InstallError(
            f"unslow.install() got {app!r}, which is no ASGI application; wanted is what the server"
            " is given, an object or function that takes scope, receive and send, such as"
            " FastAPI(). Call it as: app = unslow.install(app)"
        )
    if _agent is None:
        settings = load()
        if not settings.enabled:
            return app
        start(settings, _wire_if_there())
    return app if _agent is None else _agent.traced(app)


def _parameters_count(app: Callable[..., Any]) -> int | None:
    try:
        return len(inspect.signature(app).parameters)
    except (TypeError, ValueError):
        return None


def _wire_if_there() -> Connection | None:
    wire = Connection.from_environment()
    try:
        if wire is not None:
            wire.open()
    except OSError:
        return None
    return wire


def _before_fork() -> None:
    if _agent is not None:
        # A child would have modules that its parent's thread was about to import, half made.
        _agent.wait_for_starter()


def _after_fork() -> None:
    agent = _agent
    if agent is None:
        return
    try:
        agent.forked()
    except Exception as error:
        recorder.recording = False
        log.error("unslow records nothing in this process: %s", error, exc_info=error)


def _include_own(names: tuple[str, ...]) -> None:
    if names:
        from .record.place import own_code

        for name in names:
            own_code.include(name)


def _end_with_multiprocessing(end: Any) -> None:
    """Has `end` called in a child of multiprocessing, which leaves by `os._exit`."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, end, exitpriority=0)


def _traced_call(original: Any) -> Any:
    from .record.middleware import call_traced

    async def __call__(app: Any, scope: Scope, receive: Receive, send: Send) -> Any:  # noqa: N807  # it replaces a method of this name
        return await call_traced(MethodType(original, app), recorder, scope, receive, send)

    return __call__


_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def _is_ours(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and os.path.abspath(code.co_filename).startswith(_HERE)


def _coverage() -> list[tuple[str, str, str]]:
    seen: tuple[Coverage, ...] = tuple(recorder.coverage.values())
    return [(one.what, one.state, one.why) for one in seen]


def _run_of_this_group() -> str:
    """A name that the processes of one start share: that of their process group."""
    if not hasattr(os, "getpgrp"):
        return f"process {os.getpid()}"
    group = os.getpgrp()
    try:
        with open(f"/proc/{group}/stat", encoding="utf-8", errors="replace") as file:
            # Behind the name, which may hold spaces, the 20th field is the start.
            return f"group {group} {file.read().rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return f"group {group}"


def main(arguments: list[str]) -> None:
    """Starts the agent, then a module or a script as Python would: `-m uvicorn app:app`.

    For where nothing can be put on the path, such as `python -I -m unslow.agent serve.py`.
    """
    if not arguments or arguments == ["-m"]:
        raise SystemExit("usage: python -m unslow.agent (-m MODULE | SCRIPT) [ARGUMENT ...]")
    import runpy

    settings = load()
    if settings.enabled:
        start(settings, _wire_if_there(), route="module")
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[0])))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    # This file is read a second time here; the agent is the one that everybody imports.
    importlib.import_module(f"{__package__}.agent").main(sys.argv[1:])
