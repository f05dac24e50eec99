"""Each server that unslow knows, started by its own command, all at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.injection.running import PLAIN_APP, STARLETTE_APP, Run, free_port

BIN = Path(sys.executable).parent
REQUESTS = [*(f"/items/{number}" for number in range(6)), "/inner/deep/7"]
SCRIPT = """
import sys, uvicorn
from app import app
print("the script's own line", flush=True)
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


class Case(NamedTuple):
    command: tuple[str, ...]
    """`{port}` stands for the port."""
    server: str
    exit_code: int = 0
    app: str = STARLETTE_APP


def module(name: str, *arguments: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-m", name, *arguments)


def gunicorn(worker: str, *arguments: str) -> tuple[str, ...]:
    where = ("-b", "127.0.0.1:{port}", "--no-control-socket")
    return module("gunicorn", "-k", worker, *where, *arguments, "app:app")


CASES = {
    "uvicorn": Case(module("uvicorn", "app:app", "--port", "{port}"), "uvicorn", -15),
    "uvicorn with 2 workers": Case(
        module("uvicorn", "app:app", "--port", "{port}", "--workers", "2"), "uvicorn"
    ),
    "MODULE:APP": Case(("app:app", "--port", "{port}"), "uvicorn", -15),
    "a factory that is guessed": Case(("app:create_app", "--port", "{port}"), "uvicorn", -15),
    "a factory that is named": Case(
        ("app:create_app", "--factory", "--port", "{port}"), "uvicorn", -15
    ),
    "gunicorn with uvicorn workers": Case(
        gunicorn("uvicorn_worker.UvicornWorker", "-w", "2"), "uvicorn"
    ),
    "gunicorn with uvicorn workers, preloaded": Case(
        gunicorn("uvicorn.workers.UvicornWorker", "-w", "2", "--preload"), "uvicorn"
    ),
    "gunicorn's asgi worker": Case(gunicorn("asgi"), "gunicorn"),
    "gunicorn's asgi worker, preloaded": Case(gunicorn("asgi", "--preload"), "gunicorn"),
    "hypercorn": Case(module("hypercorn", "-b", "127.0.0.1:{port}", "app:app"), "hypercorn"),
    "granian with 2 workers": Case(
        module("granian", "--interface", "asgi", "--workers", "2", "--port", "{port}", "app:app"),
        "granian",
    ),
    "a script": Case(("--", sys.executable, "serve.py", "{port}"), "uvicorn", -15),
    "an app that takes the agent in as well": Case(
        ("app:app", "--port", "{port}"),
        "uvicorn",
        -15,
        app=f"{STARLETTE_APP}\nimport unslow\napp = unslow.install(app)\n",
    ),
    "a plain function": Case(
        module("uvicorn", "app:app", "--port", "{port}", "--lifespan", "off"),
        "uvicorn",
        -15,
        app=PLAIN_APP,
    ),
}


class Outcome(NamedTuple):
    run: Run
    exit_code: int
    answers: list[str]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """All servers, started side by side, asked, and ended by a SIGTERM to unslow."""
    with ExitStack() as stack:
        runs = {}
        for name, case in CASES.items():
            folder = tmp_path_factory.mktemp("app")
            (folder / "app.py").write_text(case.app)
            (folder / "serve.py").write_text(SCRIPT)
            port = free_port()
            command = [part.format(port=port) for part in case.command]
            runs[name] = stack.enter_context(Run(folder, *command, port=port))
        answers = {}
        for name, run in runs.items():
            run.wait_until_served()
            answers[name] = [run.get(path) for path in REQUESTS]
        for run in runs.values():
            run.process.terminate()
        yield {name: Outcome(run, run.ended(), answers[name]) for name, run in runs.items()}


@pytest.mark.parametrize("name", CASES)
def test_every_request_is_recorded_once_and_the_server_ends_as_it_would_without_us(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    case, outcome = CASES[name], outcomes[name]
    plain = case.app is PLAIN_APP
    traces = outcome.run.traces()
    # How the mount stands in the route is the framework's probe's to say.
    routes = [trace.route.removeprefix("/inner") for trace in traces]

    assert [("plain" if plain else path[-1]) for path in REQUESTS] == outcome.answers
    assert {("GET", 200)} == {(trace.method, trace.status) for trace in traces}, outcome.run.err
    assert sorted([""] * 7 if plain else [*["/items/{n}"] * 6, "/deep/{n}"]) == sorted(routes)
    assert case.exit_code == outcome.exit_code


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_ours_is_on_stdout(name: str, outcomes: dict[str, Outcome]) -> None:
    assert "unslow" not in outcomes[name].run.out


def test_stdout_is_the_commands_own(outcomes: dict[str, Outcome]) -> None:
    assert "the script's own line\n" == outcomes["a script"].run.out


@pytest.mark.parametrize("name", CASES)
def test_the_server_stands_in_the_coverage(name: str, outcomes: dict[str, Outcome]) -> None:
    found = {part.what for part in outcomes[name].run.coverage() if part.state == "on"}

    assert f"server {CASES[name].server}" in found
