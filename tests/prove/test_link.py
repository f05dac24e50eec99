"""What a check asks of the app's processes over the wire."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.test_wire import Tool
from unslow import agent
from unslow.errors import WireError
from unslow.prove.link import Link
from unslow.record.probes.sqlalchemy import private
from unslow.settings import Settings
from unslow.wire import ARMS_VARIABLE, HELLO, KEYS, PROTOCOL, Connection, Message


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
