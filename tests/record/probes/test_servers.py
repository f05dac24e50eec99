"""The hooks in the servers; that each server's traces are whole is told in tests/injection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from granian.server import mp
from gunicorn.workers.gasgi import ASGIWorker
from hypercorn.app_wrappers import ASGIWrapper
from uvicorn.config import Config
from uvicorn.server import Server

from tests.record.probes.conftest import Bench
from unslow.record.middleware import TraceMiddleware


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Does nothing."""


class Worker(ASGIWorker):  # type: ignore[misc]  # gunicorn carries no types
    def __init__(self) -> None:
        self.app = self

    def wsgi(self) -> Any:
        return app


def by_uvicorn() -> tuple[Any, str]:
    config = Config(app, proxy_headers=False, lifespan="off", log_config=None, port=0)
    server = Server(config)

    async def start_and_stop() -> None:
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        await server.shutdown()

    asyncio.run(start_and_stop())
    return config, "loaded_app"


def by_hypercorn() -> tuple[Any, str]:
    return ASGIWrapper(app), "app"


def by_gunicorn() -> tuple[Any, str]:
    worker = Worker()
    worker.load_wsgi()
    return worker, "asgi"


LOADS = {"uvicorn": by_uvicorn, "hypercorn": by_hypercorn, "gunicorn": by_gunicorn}


@pytest.mark.parametrize("server", LOADS)
def test_an_app_is_traced_where_a_server_keeps_it_and_given_back_afterwards(
    server: str, bench: Bench
) -> None:
    told: list[str] = []
    bench.install("servers")
    bench.recorder.on_app = told.append

    owner, name = LOADS[server]()
    during = getattr(owner, name)
    bench.probes.stop()

    assert isinstance(during, TraceMiddleware)
    assert during.app is app
    assert [server] == told
    assert "on" == bench.recorder.coverage[f"server {server}"].state
    assert app is getattr(owner, name)


def test_a_configuration_of_uvicorn_that_is_only_loaded_keeps_its_app(bench: Bench) -> None:
    bench.install("servers")
    config = Config(app, proxy_headers=False, log_config=None)

    config.load()

    assert app is config.loaded_app


def test_granian_is_handed_a_traced_app(bench: Bench) -> None:
    workers: Any = mp
    bench.install("servers")

    handed = workers._asgi_call_wrap(app, {}, {}, None)
    bench.probes.stop()

    assert isinstance(handed.__wrapped__, TraceMiddleware)
    assert app is workers._asgi_call_wrap(app, {}, {}, None).__wrapped__


def test_an_app_that_is_traced_already_is_not_traced_twice(bench: Bench) -> None:
    bench.install("servers")
    traced = TraceMiddleware(app, bench.recorder)

    assert traced is ASGIWrapper(traced).app  # type: ignore[arg-type]  # our types say less


def _missing_module() -> Any:
    return Config("no_such_module:app", log_config=None)


def _missing_attribute() -> Any:
    return Config("tests.record.probes.test_servers:nothing", log_config=None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing_module, 'Could not import module "no_such_module".'),
        (
            _missing_attribute,
            'Attribute "nothing" not found in module "tests.record.probes.test_servers".',
        ),
    ],
)
def test_why_uvicorn_could_not_load_an_app_is_told(
    make: Callable[[], Any], says: str, bench: Bench
) -> None:
    told: list[str] = []
    bench.install("servers")
    bench.recorder.on_app_failed = told.append

    with pytest.raises(SystemExit):
        make().load_app()

    assert [says] == told


def test_what_was_recorded_is_written_before_uvicorn_dies_of_its_signal(bench: Bench) -> None:
    told: list[str] = []
    bench.install("servers")
    bench.recorder.on_app_ended = lambda: told.append("ended")
    server = Server(Config(app, lifespan="off", log_config=None))
    server.servers = []
    server.force_exit = True

    asyncio.run(server.shutdown())

    assert ["ended"] == told


def test_a_bug_of_ours_leaves_the_server_its_app(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_: str) -> None:
        raise ZeroDivisionError

    bench.install("servers")
    bench.recorder.on_app = breaks

    owner, name = by_hypercorn()

    assert app is getattr(owner, name)
    assert "probe servers broke and is off: ZeroDivisionError" in caplog.text
    bench.recorder.coverage.clear()
