"""The read-only guard on a real PostgreSQL, for engines of each driver."""

from __future__ import annotations

import asyncio
import select
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from psycopg_pool import ConnectionPool
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.pool import NullPool, StaticPool

from tests.injection.running import until
from tests.record.engines import ASYNC, SYNC, Session, listeners, seen_engines, session
from tests.record.probes.conftest import Bench
from unslow.prove.network import SlowNetwork
from unslow.record.guard import guard
from unslow.record.reroute import reroute

pytestmark = pytest.mark.usefixtures("own_pools_only")

EVERY = [*SYNC, *ASYNC]
REFUSED = "25006"
"""`read_only_sql_transaction`."""
WRITE = "INSERT INTO orders VALUES (1)"
IS_ON = "SHOW default_transaction_read_only"
PID = "SELECT pg_backend_pid()"
SECRET = "no-one-may-read-this"


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    with seen_engines(monkeypatch, tmp_path) as bench:
        yield bench


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE orders (id int)")
            connection.execute("CREATE SEQUENCE numbers")
        yield url


def code_of(error: DBAPIError) -> str:
    """The SQLSTATE of what the database refused."""
    return str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None))


def refused(app: Session, statement: str = WRITE) -> str:
    """With what code the database refuses a statement; empty where it does not."""
    try:
        app.run(statement)
    except DBAPIError as error:
        return code_of(error)
    return ""


@pytest.mark.parametrize("scheme", EVERY)
def test_a_write_is_refused_until_the_guard_is_down(scheme: str, url: str) -> None:
    with session(url, scheme) as app:
        before = listeners(app.sync_engine)
        first = refused(app)
        guarded = guard()
        second = refused(app)
        read = app.ask("SELECT count(*) FROM orders")
        guarded.undo()
        third = refused(app)

        assert ("", REFUSED, "") == (first, second, third)
        assert 0 == read
        assert {} == guarded.not_guarded()
        assert before == listeners(app.sync_engine)


@pytest.mark.parametrize("scheme", EVERY)
def test_no_pool_keeps_a_connection_of_before_or_a_read_only_one(scheme: str, url: str) -> None:
    def several(app: Session, count: int) -> set[tuple[int, str]]:
        """Uses several connections at once: the process of each, and whether it is read-only."""

        def work(connection: Connection, left: int = count) -> set[tuple[int, str]]:
            pid = connection.exec_driver_sql(PID).scalar_one()
            found = {(pid, connection.exec_driver_sql(IS_ON).scalar_one())}
            if left > 1:
                with connection.engine.connect() as another:
                    found |= work(another, left - 1)
            return found

        return app.do(work)

    with session(url, scheme, pool_size=3, max_overflow=0) as app:
        before = several(app, 3)
        guarded = guard()
        during = several(app, 2)
        guarded.undo()
        after = several(app, 3)

        assert [{"off"}, {"on"}, {"off"}] == [
            {one for _, one in found} for found in (before, during, after)
        ]
        pids = [{pid for pid, _ in found} for found in (before, during, after)]
        assert (3, 2, 3) == tuple(map(len, pids))
        assert not pids[1] & (pids[0] | pids[2])
        with psycopg.connect(url, autocommit=True) as watching:
            there = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
            gone = [[*pids[0] | pids[1]]]
            until(lambda: watching.execute(there, gone).fetchone() == (0,))


@pytest.mark.parametrize("scheme", EVERY)
def test_a_connection_in_use_goes_on_and_is_replaced_afterwards(scheme: str, url: str) -> None:
    with session(url, scheme, pool_size=1, max_overflow=0) as app:

        def putting_up(connection: Connection) -> Any:
            guarded = guard()
            connection.exec_driver_sql(WRITE)
            return guarded

        def taking_down(connection: Connection) -> str:
            guarded.undo()
            is_on: str = connection.exec_driver_sql(IS_ON).scalar_one()
            return is_on

        guarded = app.do(putting_up)
        during = app.ask(IS_ON)
        in_use = app.do(taking_down)
        after = app.ask(IS_ON)

    assert ("on", "on", "off") == (during, in_use, after)


def test_sessions_of_the_orm_are_refused_too(url: str) -> None:
    engine = create_engine(url.replace("postgresql", SYNC[0], 1))
    guarded = guard()

    with OrmSession(engine) as orm, pytest.raises(DBAPIError) as refusal:
        orm.execute(text(WRITE))
    guarded.undo()
    engine.dispose()

    assert REFUSED == code_of(refusal.value)


@pytest.mark.parametrize("scheme", ASYNC)
def test_asynchronous_sessions_are_refused_too_and_write_again_afterwards(
    scheme: str, url: str
) -> None:
    async def serve() -> str:
        engine = create_async_engine(url.replace("postgresql", scheme, 1))
        sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(engine)
        try:
            # As in an app: the guard comes and goes by a thread beside its event loop.
            guarded = await asyncio.to_thread(guard)
            async with sessions() as orm:
                with pytest.raises(DBAPIError) as refusal:
                    await orm.execute(text(WRITE))
            await asyncio.to_thread(guarded.undo)
            async with sessions() as orm:
                await orm.execute(text(WRITE))
                await orm.rollback()
        finally:
            await engine.dispose()
        return code_of(refusal.value)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert REFUSED == runner.run(serve())


@pytest.mark.parametrize("scheme", EVERY)
@pytest.mark.parametrize("guard_first", [True, False])
@pytest.mark.parametrize("guard_down_first", [True, False])
def test_it_and_another_way_are_on_together_in_any_order(
    scheme: str, guard_first: bool, guard_down_first: bool, url: str
) -> None:
    there = urlsplit(url)
    address = f"{there.hostname}:{there.port or 5432}"
    with (
        SlowNetwork(there.hostname or "", there.port or 5432) as network,
        session(url, scheme) as app,
    ):
        before = listeners(app.sync_engine)
        app.run()

        def rerouting() -> Callable[[], None]:
            rerouted = reroute({address: network.port})
            assert () == rerouted.not_rerouted
            return rerouted.undo

        def both_on() -> tuple[Callable[[], None], Callable[[], None]]:
            if guard_first:
                down = guard().undo
                app.run()
                return down, rerouting()
            back = rerouting()
            app.run()
            return guard().undo, back

        def found() -> tuple[str, int]:
            """With what code a write is refused, and how many connections the new way took."""
            count = network.connections_count
            return refused(app), network.connections_count - count

        down, back = both_on()
        both = found()
        (down if guard_down_first else back)()
        one = found()
        (back if guard_down_first else down)()
        none = found()

        assert ((REFUSED, 1), ("", 0)) == (both, none)
        assert (("", 1) if guard_down_first else (REFUSED, 0)) == one
        assert before == listeners(app.sync_engine)


def test_arguments_that_only_the_event_shows_are_known_while_it_is_up(url: str) -> None:
    there = urlsplit(url)
    given = {"host": there.hostname, "port": there.port or 5432}
    with SlowNetwork(there.hostname or "", there.port or 5432) as network:
        bare = there._replace(netloc=there.netloc.rpartition("@")[0] + "@").geturl()
        with session(bare, connect_args=given) as app:
            guarded = guard()
            rerouted = reroute({f"{there.hostname}:{there.port or 5432}": network.port})
            app.run()
            rerouted.undo()
            guarded.undo()

    assert ((), 1) == (rerouted.not_rerouted, network.connections_count)


def test_taking_it_down_twice_or_putting_it_up_again_does_no_harm(url: str) -> None:
    with session(url) as app:
        found = []
        for _ in range(2):
            guarded = guard()
            found.append(refused(app))
            app.sync_engine.dispose()
            found.append(refused(app))
            guarded.undo()
            guarded.undo()
            found.append(refused(app))

    assert [REFUSED, REFUSED, ""] * 2 == found


def test_an_engine_without_a_pool_is_guarded(url: str) -> None:
    with session(url, poolclass=NullPool) as app:
        guarded = guard()
        during = refused(app)
        guarded.undo()
        after = refused(app)

    assert (REFUSED, "", {}) == (during, after, guarded.not_guarded())


def test_options_of_the_app_and_of_the_environment_still_hold(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1234kB")
    options = {"options": "-c work_mem=2345kB"}
    settings = {"server_settings": {"work_mem": "3456kB"}}
    with (
        session(url, SYNC[0]) as by_environment,
        session(url, SYNC[1], connect_args=options) as by_app,
        session(url, ASYNC[0], connect_args=settings) as by_asyncpg,
    ):
        guarded = guard()
        found = [
            (app.ask("SHOW work_mem"), app.ask(IS_ON))
            for app in (by_environment, by_app, by_asyncpg)
        ]
        guarded.undo()

    assert [("1234kB", "on"), ("2345kB", "on"), ("3456kB", "on")] == found


@pytest.mark.parametrize("scheme", EVERY)
def test_who_says_that_it_writes_does_and_notifications_and_advisory_locks_pass(
    scheme: str, url: str
) -> None:
    def says_so(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ WRITE")
        connection.exec_driver_sql(WRITE)

    with session(url, scheme) as app:
        guarded = guard()
        app.do(says_so)
        app.run("SELECT pg_notify('orders', '1'), pg_advisory_xact_lock(1)")
        others = [
            refused(app, "SELECT id FROM orders FOR UPDATE"),
            refused(app, "CREATE TABLE copies (id int)"),
            refused(app, "SELECT nextval('numbers')"),
            refused(app, "CREATE TEMPORARY TABLE copies (id int)"),
        ]
        guarded.undo()

    assert [REFUSED] * 4 == others


def test_a_setting_of_the_app_s_own_is_not_fought_and_told(url: str) -> None:
    own = {"options": "-c default_transaction_read_only=off"}
    with session(url, connect_args=own) as app:
        guarded = guard()
        during = refused(app)
        guarded.undo()

    (why,) = guarded.not_guarded().values()
    assert ("", "a pooler, or a setting of the app's own, has put it off") == (during, why)


class Pooler(socketserver.BaseRequestHandler):
    """Refuses a connection that starts with a parameter which it does not know, or drops that."""

    request: socket.socket
    there: tuple[str, int]
    is_silent = False
    refused: list[Any]

    def handle(self) -> None:
        start = self.started()
        if b"default_transaction_read_only" in start and not self.is_silent:
            says = b"unsupported startup parameter: default_transaction_read_only"
            fields = b"SFATAL\0VFATAL\0C08P01\0M" + says + b"\0\0"
            self.request.sendall(b"E" + struct.pack(">I", 4 + len(fields)) + fields)
            self.refused.append(self.client_address)
            return
        with socket.create_connection(self.there) as server:
            server.sendall(self.without_it(start))
            self.pass_on(server)

    def started(self) -> bytes:
        """The message that starts a connection; a wish for encryption is answered No before."""
        while True:
            head = self.request.recv(8, socket.MSG_WAITALL)
            length, code = struct.unpack(">II", head)
            if code not in {80877103, 80877104}:
                return head + self.request.recv(length - 8, socket.MSG_WAITALL)
            self.request.sendall(b"N")

    @staticmethod
    def without_it(start: bytes) -> bytes:
        words = start[8:-2].split(b"\0")
        pairs = [
            (name, value)
            for name, value in zip(words[::2], words[1::2], strict=True)
            if b"default_transaction_read_only" not in name + value
        ]
        body = b"".join(name + b"\0" + value + b"\0" for name, value in pairs) + b"\0"
        return struct.pack(">I", 8 + len(body)) + start[4:8] + body

    def pass_on(self, server: socket.socket) -> None:
        other = {self.request: server, server: self.request}
        while True:
            for one in select.select([*other], [], [])[0]:
                data = one.recv(65536)
                if not data:
                    return
                other[one].sendall(data)


class Poolers(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A side may be gone while the other one still speaks."""


@contextmanager
def behind_a_pooler(
    url: str, refused: list[Any] | None = None, *, is_silent: bool = False
) -> Iterator[str]:
    """The address of a pooler before a database; it notes whom it has refused."""
    at = urlsplit(url)
    there = (at.hostname or "", at.port or 5432)
    noted = [] if refused is None else refused
    with_it = {"there": there, "is_silent": is_silent, "refused": noted}
    handler = type("Handler", (Pooler,), with_it)
    with Poolers(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        user = at.netloc.rpartition("@")[0]
        yield at._replace(netloc=f"{user}@127.0.0.1:{server.server_address[1]}").geturl()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", EVERY)
def test_where_a_pooler_refuses_the_parameter_the_app_goes_on_and_it_is_told(
    scheme: str, url: str
) -> None:
    tries: list[Any] = []
    with behind_a_pooler(url, tries) as pooler, session(pooler, scheme, poolclass=NullPool) as app:
        guarded = guard()
        at_first = guarded.not_guarded()
        during = [refused(app), refused(app)]
        later = guarded.not_guarded()
        guarded.undo()
        after = refused(app)

    assert ({}, ["", ""], "") == (at_first, during, after)
    ((name, why),) = later.items()
    assert f"127.0.0.1:{urlsplit(pooler).port}/" in name
    assert 1 == len(tries)
    assert "a connection with it was refused (" in why
    assert "startup" not in why


def test_a_pool_that_is_not_guarded_has_its_name_in_traces(bench: Bench, url: str) -> None:
    with behind_a_pooler(url) as pooler, session(pooler) as app:
        guarded = guard()
        trace = bench.run(app.run)
        guarded.undo()

    assert {hold[0] for hold in trace.holds} == guarded.not_guarded().keys()


@pytest.mark.parametrize("scheme", EVERY)
def test_where_a_pooler_does_not_pass_the_parameter_on_it_is_told(scheme: str, url: str) -> None:
    with behind_a_pooler(url, is_silent=True) as pooler, session(pooler, scheme) as app:
        guarded = guard()
        during = refused(app)
        guarded.undo()

    (why,) = guarded.not_guarded().values()
    assert ("", "a pooler, or a setting of the app's own, has put it off") == (during, why)


@pytest.mark.parametrize("scheme", EVERY)
def test_where_no_connection_can_be_had_the_app_sees_its_own_error(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    def failure() -> list[str]:
        with pytest.raises((DBAPIError, OSError)) as raised:
            app.run()
        return list(chain(raised.value))

    def chain(error: BaseException | None) -> Iterator[str]:
        while error is not None:
            yield repr(error)
            error = error.__cause__ or error.__context__

    with session(f"postgresql://a@127.0.0.1:{port}/a", scheme) as app:
        as_it_is = failure()
        guarded = guard()
        under_it = failure()
        guarded.undo()

    assert as_it_is == under_it
    assert {} == guarded.not_guarded()


def test_who_opens_connections_by_an_event_goes_on_and_is_told(url: str) -> None:
    with session(url, pool_size=1, max_overflow=0) as app:
        app.run()

        @event.listens_for(app.sync_engine, "do_connect")
        def opened(*_: Any) -> Any:
            return psycopg.connect(url)

        guarded = guard()
        found = [refused(app), refused(app)]
        pids = {app.ask(PID), app.ask(PID)}
        guarded.undo()
        app.run()

    (why,) = guarded.not_guarded().values()
    assert ["", ""] == found
    assert 1 == len(pids)
    assert "the app opens its connections itself (do_connect)" == why


def refuse() -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    ("scheme", "options", "said"),
    [
        (SYNC[0], {"creator": refuse}, "itself (creator=)"),
        (ASYNC[0], {"async_creator": refuse}, "the app opens its connections itself"),
        (SYNC[0], {"poolclass": StaticPool}, "used by many at once"),
        (SYNC[0], {"connect_args": {"service": "main"}}, "in a DSN or a service file"),
    ],
)
def test_what_cannot_be_guarded_is_named_with_the_reason(
    scheme: str, options: dict[str, Any], said: str
) -> None:
    with session(f"postgresql://alice:{SECRET}@db:5432/shop", scheme, **options) as app:
        before = listeners(app.sync_engine)
        guarded = guard()
        after = listeners(app.sync_engine)
        guarded.undo()

    ((name, why),) = guarded.not_guarded().items()
    assert said in why
    assert " db:5432/shop " in name
    assert SECRET not in name + why
    assert before == after


def test_other_databases_engines_that_come_later_and_pools_without_sqlalchemy_are_named(
    url: str, tmp_path: Path
) -> None:
    async def with_pool() -> dict[str, str]:
        async with asyncpg.create_pool(url, min_size=0):
            return guarded.not_guarded()

    file = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    guarded = guard()
    with (
        session(url, pool_size=7) as late,
        ConnectionPool(url, min_size=0, max_size=1, open=True),
    ):
        found = asyncio.run(with_pool())
        late_one = next(name for name in found if name.endswith("pool 7+10"))
        assert "" == refused(late)
    guarded.undo()
    file.dispose()

    sqlite = next(name for name in found if name.startswith("sqlite"))
    assert "its driver is none of" in found[sqlite]
    assert "it was made while fixes were tried" == found[late_one]
    assert "it is not used through SQLAlchemy" == found["asyncpg"] == found["psycopg"]
