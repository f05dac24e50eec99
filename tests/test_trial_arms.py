"""Fixes that the tool switches on in a process, and how all of it goes off again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

import unslow
from tests.injection.running import until
from tests.record.probes.asgi import scope_of
from tests.record.probes.blog import User, fill
from tests.test_agent import ask, plain_app, serving_peer, start_with
from tests.test_wire import PATIENCE_S, Tool
from unslow import agent
from unslow.model.proof import Arm
from unslow.prove.link import Fared, Link, SwitchRefusedError
from unslow.record.recorder import recorder
from unslow.wire import ARM, ARMS_VARIABLE, REFUSED, SAMPLES, Peer

PLACE = {"path": __file__, "line": 0, "function": "names.<locals>.names"}
LIMITED = Arm("limit-rows", ".limit(2)", {**PLACE, "limit": 2})


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tool]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("UNSLOW_")]:
        monkeypatch.delenv(name)
    tool = Tool()
    yield tool
    agent.stop()
    tool.close()
    assert recorder.armed is None


@pytest.fixture
def peer(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """A process that a check has started."""
    monkeypatch.setenv(ARMS_VARIABLE, "1")
    start_with(tool)
    ask(unslow.install(plain_app))
    return serving_peer(tool)


@pytest.fixture
def link(tool: Tool, peer: Peer) -> Link:
    return Link(tool.listener, tool.listener.peers)


@pytest.fixture
def names() -> Iterator[Callable[[], list[str]]]:
    """All names of the users, as an app would ask for them."""
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    fill(engine)

    def names() -> list[str]:
        with Session(engine) as session:
            return [user.name for user in session.scalars(select(User).order_by(User.id))]

    yield names
    engine.dispose()


def listens() -> bool:
    """Whether anybody listens to what sessions execute."""
    return bool(Session.dispatch.do_orm_execute)  # type: ignore[attr-defined]  # made at run time


def asked(names: Callable[[], list[str]], link: Link, arm: str) -> list[str]:
    """What a request of a trial brings."""
    brought: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        brought.extend(names())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def sent(_message: Any) -> None:
        pass

    header = f"{link.secret}.1.{arm}.timed".encode()
    scope = scope_of("GET", "/names", "localhost", [(b"unslow", header)])
    asyncio.run(unslow.install(app)(scope, sent, sent))
    return brought


def test_a_fix_acts_for_requests_of_its_arm_only(
    link: Link, names: Callable[[], list[str]]
) -> None:
    every = names()
    link.switch_on("limited", LIMITED)

    assert every[:2] == asked(names, link, "limited")
    assert every == asked(names, link, "")
    assert every == asked(names, link, "another")
    assert every == names()


def test_what_requests_took_and_how_the_arm_fared_is_told_once(
    link: Link, names: Callable[[], list[str]]
) -> None:
    link.switch_on("limited", LIMITED)
    asked(names, link, "limited")

    samples = link.samples()

    assert [1] == list(samples.walls_ms)
    assert samples.walls_ms[1] > 0
    assert {"limited": Fared(1)} == samples.fared
    assert {} == link.samples().walls_ms


def test_off_it_acts_no_more_and_nothing_listens(
    link: Link, names: Callable[[], list[str]]
) -> None:
    before = listens()
    link.switch_on("limited", LIMITED)
    assert listens()
    link.switch_off("limited")
    link.switch_off("limited")

    assert before == listens()
    assert names() == asked(names, link, "limited")


def test_an_arm_may_have_several_fixes_and_loses_them_together(link: Link) -> None:
    before = listens()
    link.switch_on("all", LIMITED)
    link.switch_on("all", Arm("eager-load", "", {"entity": "User", "chain": []}))
    link.switch_off("all")

    assert before == listens()


def test_an_unknown_fix_is_refused_with_its_reason(link: Link, tool: Tool, peer: Peer) -> None:
    with pytest.raises(SwitchRefusedError, match=r"^There is no switch for the fix 'faster'\.$"):
        link.switch_on("any", Arm("faster", ""))
    with pytest.raises(SwitchRefusedError, match="'set-timeout'"):
        link.switch_on("any", Arm("set-timeout", ""))
    assert {} == link.samples().fared


def test_when_the_tool_goes_everything_goes_off(link: Link, tool: Tool) -> None:
    before = listens()
    link.switch_on("limited", LIMITED)

    tool.listener.close()

    until(lambda: recorder.armed is None)
    assert before == listens()
    assert recorder.recording


def test_when_the_agent_stops_everything_goes_off(link: Link) -> None:
    before = listens()
    link.switch_on("limited", LIMITED)

    agent.stop()

    assert recorder.armed is None
    assert before == listens()


def test_an_agent_that_no_check_started_has_none(tool: Tool) -> None:
    start_with(tool)
    ask(unslow.install(plain_app))
    peer = serving_peer(tool)

    answers = [
        tool.listener.ask(peer, ARM, PATIENCE_S, switch="limit-rows", arm="x", parameters={}),
        tool.listener.ask(peer, SAMPLES, PATIENCE_S),
    ]

    assert [REFUSED, REFUSED] == [one and one["type"] for one in answers]
    assert recorder.armed is None


def test_databases_are_led_another_way_and_back(
    link: Link, database_url: str, tmp_path: Path
) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
        host, port = engine.url.host, engine.url.port

        assert f"{host}:{port}" in link.database_addresses()
        left = link.reroute({f"{host}:{port}": 1})
        assert not any(f"{host}:{port}" in one for one in left)
        link.reroute({})
        with engine.connect() as connection:
            assert 1 == connection.exec_driver_sql("SELECT 1").scalar_one()
    finally:
        engine.dispose()


@pytest.fixture
def engine(link: Link, database_url: str) -> Iterator[Engine]:
    """One that the agent has seen, on a database with a table."""
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id int)")
    yield engine
    engine.dispose()


def writes(engine: Engine) -> bool:
    """Whether the database lets an app write."""
    with engine.connect() as connection:
        try:
            connection.exec_driver_sql("INSERT INTO orders VALUES (1)")
        except DBAPIError as error:
            assert "25006" == getattr(error.orig, "sqlstate", "")  # noqa: PT017  # its cause is asked
            return False
    return True


def test_the_guard_refuses_writes_until_it_is_down(link: Link, engine: Engine) -> None:
    up = [link.guard(on=True), link.guard(on=True)]
    during = writes(engine)
    down = [link.guard(on=False), link.guard(on=False)]

    assert (False, True) == (during, writes(engine))
    name = f"{engine.url.host}:{engine.url.port}/{engine.url.database}"
    assert not any(name in pool for found in (*up, *down) for pool in found)


def test_what_comes_to_be_unguarded_is_told_when_it_is_taken_down(
    link: Link, tmp_path: Path
) -> None:
    link.guard(on=True)
    file = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")

    left = link.guard(on=False)

    file.dispose()
    (why,) = (why for pool, why in left.items() if "shop.db" in pool)
    assert "it was made while fixes were tried" == why


def test_when_the_tool_goes_the_guard_is_taken_down(link: Link, tool: Tool, engine: Engine) -> None:
    link.guard(on=True)
    during = writes(engine)

    tool.listener.close()

    assert not during
    until(lambda: writes(engine))


def test_when_the_agent_stops_the_guard_is_taken_down(link: Link, engine: Engine) -> None:
    link.guard(on=True)
    during = writes(engine)

    agent.stop()

    assert (False, True) == (during, writes(engine))
