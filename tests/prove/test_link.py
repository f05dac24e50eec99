"""What a check asks of the app's processes over the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import unslow
from tests.test_agent import ask, plain_app
from tests.test_wire import PATIENCE_S, Tool
from unslow import agent
from unslow.errors import WireError
from unslow.prove.link import WATCH, Link
from unslow.record.probes.sqlalchemy import private
from unslow.settings import Settings
from unslow.wire import (
    ARM,
    ARMS_VARIABLE,
    DISARM,
    GUARD,
    HELLO,
    KEYS,
    PROTOCOL,
    TRACES,
    Connection,
    Message,
)


class Base(DeclarativeBase):
    pass


class Parcel(Base):
    __tablename__ = "parcel"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tool]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("UNSLOW_")]:
        monkeypatch.delenv(name)
    tool = Tool()
    yield tool
    agent.stop()
    tool.close()


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE parcel (id int PRIMARY KEY)")
            connection.execute("INSERT INTO parcel VALUES (12), (11)")
        yield url


@pytest.fixture
def only_parcels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all models that other tests have made, those of this file."""
    owner, name = private.locate(private.ALL_REGISTRIES)
    monkeypatch.setattr(owner, name, lambda: {Base.registry})


def serving(tool: Tool) -> Link:
    """A link to the agent of this process, once it knows of an app."""
    connection = Connection(tool.listener.address, tool.listener.secret)
    connection.open()
    agent.start(Settings(), connection)
    assert agent._agent is not None
    agent._agent.serving("")
    assert [HELLO, "serving"] == [tool.next()["type"] for _ in range(2)]
    return Link(tool.listener, tool.listener.peers)


def engine_at(url: str) -> Engine:
    return create_engine(url.replace("postgresql", "postgresql+psycopg", 1))


@pytest.mark.usefixtures("only_parcels")
def test_keys_come_from_databases_that_may_be_asked(
    tool: Tool, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ARMS_VARIABLE, "1")
    link = serving(tool)
    engine = engine_at(url)
    far = engine_at("postgresql://database.example.com/far")
    asked: list[str] = []

    def may_ask(host: str) -> bool:
        asked.append(host)
        return host != far.url.host

    assert {"parcel": [11, 12]} == link.keys(may_ask)
    assert ["127.0.0.1", "database.example.com"] == asked
    assert {} == link.keys(lambda _: False)
    engine.dispose()


def test_an_agent_without_arms_tells_none(tool: Tool) -> None:
    link = serving(tool)

    with pytest.raises(WireError, match=f"This agent does not know '{KEYS}'"):
        link.keys(lambda _: True)


def test_one_process_is_asked_and_no_other(tool: Tool) -> None:
    told: list[tuple[int, Any]] = []

    def answering(number: int) -> Callable[[Message], Message]:
        def answer(asked: Message) -> Message:
            told.append((number, asked.get("hosts")))
            return {"hosts": ["here"], "keys": {"parcel": [number]}}

        return answer

    for number in (1, 2):
        connection = tool.connection()
        connection.send(HELLO, protocol=PROTOCOL, process_id=number)
        connection.listen({KEYS: answering(number)})
        tool.next()

    assert {"parcel": [1]} == Link(tool.listener, tool.listener.peers).keys(lambda _: True)
    assert [(1, None), (1, ["here"])] == told


def test_where_no_process_serves_there_are_none(tool: Tool) -> None:
    assert {} == Link(tool.listener, tool.listener.peers).keys(lambda _: True)


def process(tool: Tool, number: int, answers: dict[str, Callable[[Message], Message]]) -> None:
    """A process of the app that answers so."""
    connection = tool.connection()
    connection.send(HELLO, protocol=PROTOCOL, process_id=number)
    connection.listen(answers)
    tool.next()


def test_the_hosts_of_databases_are_those_of_all_processes(tool: Tool) -> None:
    process(tool, 1, {KEYS: lambda _: {"hosts": ["db", "127.0.0.1"], "keys": {}}})
    process(tool, 2, {KEYS: lambda _: {"hosts": ["db", "far.example.com"], "keys": {}}})
    link = Link(tool.listener, tool.listener.peers)

    assert {"db", "127.0.0.1", "far.example.com"} == link.database_hosts()


def test_asking_for_hosts_reads_no_key(tool: Tool) -> None:
    asked: list[Message] = []

    def answer(message: Message) -> Message:
        asked.append(message)
        return {"hosts": [], "keys": {}}

    process(tool, 1, {KEYS: answer})

    assert frozenset() == Link(tool.listener, tool.listener.peers).database_hosts()
    assert [None] == [one.get("hosts") for one in asked]


def test_new_traces_come_once_in_all_the_parts_that_they_are_told_in(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ARMS_VARIABLE, "1")
    link = serving(tool)
    app = unslow.install(plain_app)
    for _ in range(60):
        ask(app)

    first = link.new_traces()
    ask(app)
    second = link.new_traces()

    assert (60, 1, 0) == (len(first), len(second), len(link.new_traces()))
    assert {"GET"} == {one.method for one in (*first, *second)}


def test_a_process_that_refuses_is_named_with_its_reason(tool: Tool) -> None:
    process(tool, 4711, {})

    with pytest.raises(WireError, match=r"process 4711 was asked for 'arm'.* check it again"):
        Link(tool.listener, tool.listener.peers).arm(WATCH)


def test_a_process_that_ends_meanwhile_is_left_out_at_once(tool: Tool) -> None:
    def ends(_: Message) -> Message:
        tool._connections[0].close()
        return {}

    process(tool, 1, {KEYS: ends, TRACES: ends, ARM: ends})
    process(tool, 2, {KEYS: lambda _: {"hosts": ["db"], "keys": {"parcel": [2]}}})
    both = tool.listener.peers()
    link = Link(tool.listener, lambda: both)

    begun = time.monotonic()
    assert {"parcel": [2]} == link.keys(lambda _: True)
    assert {"db"} == link.database_hosts()
    assert () == Link(tool.listener, lambda: both[:1]).new_traces()
    assert time.monotonic() - begun < PATIENCE_S / 2


def test_switches_reach_each_process(tool: Tool) -> None:
    told: list[tuple[int, str, str]] = []

    def noting(number: int, kind: str) -> Callable[[Message], Message]:
        def answer(message: Message) -> Message:
            told.append((number, kind, message["switch"]))
            return {}

        return answer

    for number in (1, 2):
        process(tool, number, {kind: noting(number, kind) for kind in (ARM, DISARM)})
    link = Link(tool.listener, tool.listener.peers)
    link.arm(WATCH)
    link.disarm(WATCH)

    assert [(1, ARM, WATCH), (2, ARM, WATCH), (1, DISARM, WATCH), (2, DISARM, WATCH)] == told


def test_what_is_not_guarded_is_told_of_all_processes(tool: Tool) -> None:
    asked: list[bool] = []

    def answer(message: Message) -> Message:
        asked.append(message["on"])
        return {"not_guarded": {f"pool {len(asked)}": "why"}}

    for number in (1, 2):
        process(tool, number, {GUARD: answer})
    link = Link(tool.listener, tool.listener.peers)

    assert {"pool 1": "why", "pool 2": "why"} == link.guard(on=True)
    assert {"pool 3": "why", "pool 4": "why"} == link.guard(on=False)
    assert [True, True, False, False] == asked
