from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

import unslow
from tests.injection.running import PLAIN_APP, clean_environment
from tests.test_wire import PATIENCE_S, Tool
from tools import ROOT
from unslow import agent
from unslow.current import LANE, running
from unslow.errors import InstallError
from unslow.model.codec import trace_of
from unslow.model.trace import Trace
from unslow.record.recorder import recorder
from unslow.settings import Settings
from unslow.store import Recorded, reading
from unslow.wire import (
    ARM,
    FLUSH,
    HEALTH,
    PROTOCOL,
    REFUSED,
    SERVING,
    TRACES,
    Connection,
    Peer,
    tupled,
)

ASKS = """
import asyncio
def ask(app, path="/items/1"):
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        pass
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
             "query_string": b"", "headers": [], "root_path": "", "http_version": "1.1"}
    asyncio.run(app(scope, receive, send))
"""
namespace: dict[str, Any] = {}
exec(ASKS + PLAIN_APP, namespace)  # noqa: S102  # the same text runs in processes of its own
ask, plain_app = namespace["ask"], namespace["app"]


@pytest.fixture(autouse=True)
def _stopped_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("UNSLOW_")]:
        monkeypatch.delenv(name)
    yield
    agent.stop()


def recorded(folder: Path) -> list[Recorded]:
    with reading(folder / ".unslow") as reader:
        return [one for run in reader.runs() for one in reader.run(run)]


def traces(folder: Path) -> list[Trace]:
    """What was written, once the agent has stopped."""
    agent.stop()
    return [trace for one in recorded(folder) for trace in one.traces]


def in_a_process(code: str, *flags: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-c", ASKS + PLAIN_APP + code],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    return app


class Wrapped:
    """An ASGI application of no known framework."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await plain_app(scope, receive, send)


def test_a_fastapi_app_comes_back_itself_and_its_requests_are_recorded_once(tmp_path: Path) -> None:
    app = fastapi_app()

    assert app is unslow.install(app)
    assert app is unslow.install(app)
    ask(app)

    assert [("GET", "/items/{number}", 200)] == [
        (trace.method, trace.route, trace.status) for trace in traces(tmp_path)
    ]


def test_an_object_of_any_class_is_traced_in_place_and_given_back(tmp_path: Path) -> None:
    before = Wrapped.__call__
    app = Wrapped()

    assert app is unslow.install(app)
    ask(app)

    assert 1 == len(traces(tmp_path))
    assert before is Wrapped.__call__


def test_of_a_function_a_traced_one_comes_back(tmp_path: Path) -> None:
    app = unslow.install(plain_app)

    ask(app)
    ask(plain_app)

    assert 1 == len(traces(tmp_path))


def test_an_app_may_return_a_task_instead_of_being_a_coroutine(tmp_path: Path) -> None:
    def starts_a_task(scope: Any, receive: Any, send: Any) -> Any:
        return asyncio.ensure_future(plain_app(scope, receive, send))

    ask(unslow.install(starts_a_task))

    assert [200] == [trace.status for trace in traces(tmp_path)]


def test_what_an_app_returns_reaches_its_server() -> None:
    async def returns(scope: Any, receive: Any, send: Any) -> Any:
        return 123

    app = unslow.install(returns)

    assert 123 == asyncio.run(app({"type": "http", "method": "GET"}, None, None))


def test_an_app_within_an_app_opens_no_second_trace(tmp_path: Path) -> None:
    inner = unslow.install(Wrapped())

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope}, receive, send)

    ask(unslow.install(outer))

    assert 1 == len(traces(tmp_path))


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    return []


@pytest.mark.parametrize("given", [FastAPI, 7, wsgi_app, "app:app"], ids=repr)
def test_what_is_no_asgi_application_is_refused(given: object) -> None:
    with pytest.raises(InstallError, match=r"app = unslow\.install\(app\)"):
        unslow.install(given)

    assert not recorder.recording


def test_switched_off_it_leaves_the_app_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSLOW_ENABLED", "no")
    hooks = list(sys.meta_path)

    assert plain_app is unslow.install(plain_app)
    assert hooks == sys.meta_path


def test_stopping_gives_everything_back() -> None:
    from uvicorn.config import Config
    from uvicorn.server import Server

    def state() -> list[Any]:
        return [
            *sys.meta_path,
            *threading.enumerate(),
            FastAPI.__call__,
            FastAPI.__mro__[1].__call__,
            Config.load_app,
            Server.startup,
            Server.shutdown,
            recorder.recording,
            recorder.on_app,
            recorder.on_first,
        ]

    before = state()
    app = unslow.install(fastapi_app())
    ask(app)
    during = state()
    unslow.uninstall()

    assert before != during
    assert before == state()


def test_a_context_of_a_request_holds_no_variable_that_the_process_does_not_know(
    tmp_path: Path,
) -> None:
    code = (
        "import contextvars, unslow\n"
        "def names():\n"
        "    return {variable.name for variable in contextvars.copy_context()}\n"
        "within = []\n"
        "async def looks(scope, receive, send):\n"
        "    within.append(names())\n"
        "    await app(scope, receive, send)\n"
        "recorded = unslow.install(looks)\n"
        "contextvars.Context().run(ask, recorded)\n"
        "print(within[0] != set(), within[0] - names())\n"
    )

    # A server may give each request an empty context, and its tests look at what is in there.
    assert "True set()\n" == in_a_process(code, folder=tmp_path)


def test_what_was_imported_unseen_is_probed_when_the_app_is_served(tmp_path: Path) -> None:
    code = (
        "import sys, unslow\n"
        "from importlib.machinery import PathFinder\n"
        "from unslow import agent\n"
        "from unslow.record.recorder import recorder\n"
        "recorded = unslow.install(app)\n"
        "sys.meta_path.insert(0, PathFinder)\n"
        "import concurrent.futures.thread\n"
        "print('thread pool executors' in recorder.coverage)\n"
        "ask(recorded)\n"
        "agent.flush()\n"
        "print('thread pool executors' in recorder.coverage)\n"
    )

    assert "False\nTrue\n" == in_a_process(code, folder=tmp_path)


def test_what_sleeps_in_the_background_sleeps_as_before_us(tmp_path: Path) -> None:
    code = (
        "import time, unslow\n"
        "before = time.sleep\n"
        "unslow.install(app)\n"
        "from unslow.patching import original_sleep\n"
        "print(time.sleep is before, original_sleep() is before)\n"
    )

    assert "False True\n" == in_a_process(code, folder=tmp_path)


def test_stopping_what_was_never_started_does_nothing() -> None:
    unslow.uninstall()


def test_no_thread_starts_before_an_app_is_served() -> None:
    before = threading.enumerate()
    app = unslow.install(plain_app)
    installed = threading.enumerate()

    ask(app)
    for thread in threading.enumerate():
        if thread.name == "unslow-starter":
            thread.join()

    assert before == installed
    assert {"unslow-writer", "unslow-watchdog"} <= {one.name for one in threading.enumerate()}


@pytest.fixture
def tool() -> Iterator[Tool]:
    tool = Tool()
    yield tool
    agent.stop()
    tool.close()


def start_with(tool: Tool) -> None:
    connection = Connection(tool.listener.address, tool.listener.secret)
    connection.open()
    agent.start(Settings(), connection)


def serving_peer(tool: Tool) -> Peer:
    """The one process that told the tool that it serves an app."""
    while tool.next()["type"] != SERVING:
        pass
    (peer,) = tool.listener.peers()
    return peer


def test_it_says_hello_then_what_it_serves_and_at_the_end_goodbye(tool: Tool) -> None:
    start_with(tool)
    ask(unslow.install(plain_app))
    agent.stop()

    hello, serving, bye = tool.next(), tool.next(), tool.next()
    assert "hello" == hello["type"]
    assert os.getpid() == hello["process_id"]
    assert os.getppid() == hello["parent_process_id"]
    assert (PROTOCOL, unslow.__version__) == (hello["protocol"], hello["unslow"])
    assert sys.version.split()[0] == hello["python"]
    assert "install" == hello["route"]
    assert all(len(part) == 3 for part in hello["coverage"])
    assert "serving" == serving["type"]
    assert ("bye", 1) == (bye["type"], bye["traces_count"])


def test_it_answers_the_tool(tool: Tool, tmp_path: Path) -> None:
    start_with(tool)
    app = unslow.install(plain_app)
    for _ in range(3):
        ask(app)
    peer = serving_peer(tool)

    flushed = tool.listener.ask(peer, FLUSH, PATIENCE_S)
    health = tool.listener.ask(peer, HEALTH, PATIENCE_S)
    every = tool.listener.ask(peer, TRACES, PATIENCE_S, since=0)
    assert every is not None
    found = [trace_of(tupled(packed)) for packed in every["traces"]]
    later = tool.listener.ask(peer, TRACES, PATIENCE_S, since=every["last"] - 1)
    armed = tool.listener.ask(peer, ARM, PATIENCE_S)

    assert flushed is not None
    assert 3 == len([trace for one in recorded(tmp_path) for trace in one.traces])
    assert health is not None
    assert (3, 0, True) == (
        health["traces_count"],
        health["dropped_traces_count"],
        health["recording"],
    )
    assert [200] * 3 == [trace.status for trace in found]
    assert not every["more"]
    assert later is not None
    assert [found[2]] == [trace_of(tupled(packed)) for packed in later["traces"]]
    assert armed is not None
    assert REFUSED == armed["type"]


def test_when_the_tool_goes_it_goes_on_recording(tool: Tool, tmp_path: Path) -> None:
    start_with(tool)
    app = unslow.install(plain_app)
    ask(app)
    tool.listener.close()
    ask(app)

    assert 2 == len(traces(tmp_path))


def test_where_the_store_cannot_be_written_it_says_so_and_keeps_the_traces_in_memory(
    tool: Tool, tmp_path: Path
) -> None:
    (tmp_path / ".unslow").write_text("in the way")
    start_with(tool)
    app = unslow.install(plain_app)
    ask(app)
    heard = [tool.next()]
    (peer,) = tool.listener.peers()

    agent.flush()
    every = tool.listener.ask(peer, TRACES, PATIENCE_S, since=0)

    assert every is not None
    assert 1 == len(every["traces"])
    assert "off" == recorder.coverage["store"].state
    heard += [tool.next() for _ in range(2)]
    assert [("trouble", "store")] == [
        (one["type"], one["what"]) for one in heard if one["type"] == "trouble"
    ]


def test_the_store_stays_where_the_app_was_started_wherever_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = unslow.install(plain_app)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    ask(app)

    assert 1 == len(traces(tmp_path))


FORKS = """
import os, sys
import unslow
app = unslow.install(app)
ask(app)
if os.fork() == 0:
    ask(app)
    ask(app)
    sys.exit()
os.wait()
"""


def test_a_forked_process_records_for_itself_and_nothing_of_its_parents(tmp_path: Path) -> None:
    in_a_process(FORKS, folder=tmp_path)

    found = recorded(tmp_path)
    assert [1, 2] == sorted(len(one.traces) for one in found)
    assert 2 == len({one.process.process_id for one in found})


def test_a_forked_process_says_hello_itself(tmp_path: Path, tool: Tool) -> None:
    in_a_process(FORKS, folder=tmp_path, **tool.listener.environment())

    heard = [tool.next() for _ in range(6)]
    hellos = [one for one in heard if one["type"] == "hello"]
    assert ["install", "fork"] == [one["route"] for one in hellos]
    assert hellos[0]["process_id"] == hellos[1]["parent_process_id"]
    assert [1, 2] == sorted(one["traces_count"] for one in heard if one["type"] == "bye")


def test_a_child_that_is_forked_inside_a_request_is_not_part_of_it(tmp_path: Path) -> None:
    code = (
        "import os, sys, unslow\n"
        "from unslow.current import LANE, running\n"
        "async def forks(scope, receive, send):\n"
        "    if os.fork() == 0:\n"
        "        print(LANE.get(), running, flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "ask(unslow.install(forks))\n"
    )

    assert "None {}\n" == in_a_process(code, folder=tmp_path)
    assert 1 == len(recorded(tmp_path)[0].traces)


def test_a_child_of_multiprocessing_writes_its_traces_before_it_leaves(tmp_path: Path) -> None:
    code = (
        "import multiprocessing, unslow\n"
        "app = unslow.install(app)\n"
        "child = multiprocessing.get_context('fork').Process(target=ask, args=(app,))\n"
        "child.start()\n"
        "child.join()\n"
    )

    in_a_process(code, folder=tmp_path)

    assert [1] == [len(one.traces) for one in recorded(tmp_path)]


def test_processes_of_one_group_are_one_run_and_the_tool_may_name_it(tmp_path: Path) -> None:
    in_a_process(FORKS, folder=tmp_path)
    in_a_process(FORKS, folder=tmp_path, UNSLOW_RUN="mine")

    with reading(tmp_path / ".unslow") as reader:
        runs = reader.runs()
    assert 2 == len(runs)
    assert "mine" == runs[1]


STARTED = "import sys; from unslow import agent; print(__name__, sys.argv[1:], bool(agent._agent))"


@pytest.mark.parametrize("how", [["serve.py"], ["-m", "serve"]], ids=["a script", "a module"])
def test_it_starts_a_script_or_a_module_where_nothing_can_be_injected(
    how: list[str], tmp_path: Path
) -> None:
    (tmp_path / "serve.py").write_text(STARTED)
    isolated = ["-I"] if how == ["serve.py"] else []

    done = subprocess.run(
        [sys.executable, *isolated, "-m", "unslow.agent", *how, "one", "two"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "__main__ ['one', 'two'] True\n" == done.stdout


def test_without_a_script_or_a_module_it_says_how_it_is_used() -> None:
    with pytest.raises(SystemExit, match=r"usage: python -m unslow\.agent"):
        agent.main([])


def test_the_version_is_that_of_the_project() -> None:
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)

    assert version == unslow.__version__


def test_under_a_loop_that_is_not_asyncios_a_request_passes_untouched() -> None:
    app = unslow.install(plain_app)
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    coroutine = app({"type": "http", "method": "GET"}, receive, send)
    with pytest.raises(StopIteration):
        coroutine.send(None)

    assert ["http.response.start", "http.response.body"] == sent
    assert "off" == recorder.coverage["event loop"].state
    assert LANE.get() is None
    assert {} == running
