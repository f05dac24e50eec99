"""A trace around a piece of code, with one probe installed."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest

from tests.record.probes.redis_server import running_redis
from tests.record.probes.stub import Stub, running_stub
from unslow.current import LANE, OpenTrace
from unslow.record.catalogue import PROBES
from unslow.record.lanes import driven, unwatch_all, watch
from unslow.record.probe import Probes
from unslow.record.recorder import Recorder


class Bench:
    """Runs functions under an open trace while the named probes are installed."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.probes = Probes(self.recorder, "unslow.record.probes")

    def install(self, *names: str) -> None:
        """Starts probes by name, importing their libraries; they must come up."""
        for probe in PROBES:
            if probe.name in names:
                for module in probe.modules:
                    try:
                        importlib.import_module(module)
                    except ModuleNotFoundError:
                        continue
                    self.probes.start(probe, module)
        off = [one for one in self.recorder.coverage.values() if one.state == "off"]
        assert off == []

    def run(self, work: Callable[[], Any]) -> OpenTrace:
        """Calls a function, or runs a coroutine function on an event loop, under one trace."""
        if asyncio.iscoroutinefunction(work):
            return asyncio.run(self.run_async(work))
        trace = OpenTrace("GET", 20_000)
        token = LANE.set(trace.root)
        try:
            work()
        finally:
            LANE.reset(token)
            trace.close()
        return trace

    async def run_async(self, work: Callable[[], Awaitable[Any]]) -> OpenTrace:
        """Awaits a coroutine function under one trace, driven as a request is."""
        watch(asyncio.get_running_loop())
        trace = OpenTrace("GET", 20_000)
        token = LANE.set(trace.root)
        try:
            await driven(work(), trace.root)  # type: ignore[arg-type]  # any coroutine will do
        finally:
            LANE.reset(token)
            trace.close()
        return trace


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.probes.stop()
    unwatch_all()
    broken = [one for one in bench.recorder.coverage.values() if one.why.startswith("broke")]
    assert broken == []


@pytest.fixture
def breaking_bench() -> Iterator[Bench]:
    """A bench whose probe is made to break."""
    bench = Bench()
    yield bench
    bench.probes.stop()
    unwatch_all()


@pytest.fixture(scope="module")
def module_database_url(
    new_database: Callable[[], AbstractContextManager[str]],
) -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture
def database_url(module_database_url: str) -> Iterator[str]:
    """The address of an empty database that only this test uses; emptied, as that is quicker."""
    yield module_database_url
    with psycopg.connect(module_database_url, autocommit=True) as database:
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        database.execute("DROP SCHEMA public CASCADE")
        database.execute("CREATE SCHEMA public")


@pytest.fixture(autouse=True)
def calm_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is there is read at once, also on a busy machine; most of the stub's are."""
    monkeypatch.setattr("unslow.record.remote._SHORTEST_READ_NS", 5_000_000)


@pytest.fixture
def every_read(calm_reads: None, monkeypatch: pytest.MonkeyPatch) -> None:  # before
    """Each read of a body is a wait, however short."""
    monkeypatch.setattr("unslow.record.remote._SHORTEST_READ_NS", 0)


@pytest.fixture(scope="session")
def stub() -> Iterator[Stub]:
    """A real HTTP server on this machine that answers late, slowly, or not at all."""
    with running_stub() as stub:
        yield stub


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Redis that only this run sees."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url
