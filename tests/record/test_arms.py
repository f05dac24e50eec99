"""What a check may switch on in an app that it started, and how all of it goes off again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.pool import StaticPool

import unslow
from tests.injection.running import until
from tests.record.probes.asgi import Asked
from tests.record.probes.blog import USERS_COUNT, User, fill
from tests.record.probes.conftest import Bench
from tests.test_agent import ask, plain_app, serving_peer, start_with
from tests.test_wire import PATIENCE_S, Tool
from unslow import agent
from unslow.errors import WireError
from unslow.model.codec import trace_of
from unslow.model.trace import Trace
from unslow.record import arms as module
from unslow.record.arms import COMPARE, WATCH, Arms
from unslow.record.finish import finished
from unslow.record.lanes import unwatch_all
from unslow.record.probes.sqlalchemy.usage import is_watching
from unslow.record.recorder import Recorder, recorder
from unslow.wire import ARM, ARMS_VARIABLE, DISARM, HEALTH, REFUSED, TRACES, Message, Peer, tupled


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Its recorder is the one whose switches are thrown."""
    bench = Bench()
    monkeypatch.setattr(module, "recorder", bench.recorder)
    yield bench
    bench.probes.stop()
    unwatch_all()


@pytest.fixture
def arms(bench: Bench) -> Iterator[Arms]:
    arms = Arms()
    yield arms
    arms.disarm()
    assert not is_watching()


@pytest.fixture
def asked(bench: Bench) -> Iterator[Asked]:
    """An app that reads one attribute of each of its users, and answers with all of one."""
    bench.install("fastapi", "starlette", "threads", "sqlalchemy")
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    fill(engine)
    app = FastAPI()

    @app.get("/names")
    async def names() -> list[str]:
        with Session(engine) as session:
            return [user.name for user in session.scalars(select(User))]

    @app.get("/count")
    async def count() -> int:
        return USERS_COUNT

    yield Asked(bench, app)
    engine.dispose()


def state(of: Recorder) -> tuple[bool, bool, bool, Any]:
    """All that arms change: in the recorder, and in SQLAlchemy."""
    return of.watching, of.comparing, is_watching(), InstrumentedAttribute.__get__


def traced(asked: Asked, target: str) -> Trace:
    return trace_of(finished(asked.trace(target)))


def test_nothing_is_on_before_it_is_switched_on(bench: Bench, arms: Arms) -> None:
    assert state(bench.recorder)[:3] == (False, False, False)


def test_watching_goes_on_and_off(bench: Bench, arms: Arms) -> None:
    before = state(bench.recorder)
    arms.arm(WATCH)
    during = state(bench.recorder)
    arms.disarm(WATCH)

    assert during[:3] == (True, False, True)
    assert during[3] is not before[3]
    assert state(bench.recorder) == before


def test_comparing_goes_on_and_off(bench: Bench, arms: Arms) -> None:
    before = state(bench.recorder)
    arms.arm(COMPARE)
    during = state(bench.recorder)
    arms.disarm(COMPARE)

    assert during[:3] == (False, True, False)
    assert state(bench.recorder) == before


def test_while_it_is_watched_a_request_tells_what_it_read(asked: Asked, arms: Arms) -> None:
    unwatched = traced(asked, "/names")
    arms.arm(WATCH)
    watched = traced(asked, "/names")
    arms.disarm(WATCH)
    after = traced(asked, "/names")

    assert (unwatched.usages, after.usages) == (None, None)
    assert watched.usages is not None
    (usage,) = watched.usages
    assert (usage.entity, usage.rows_count, usage.read_columns) == ("User", USERS_COUNT, ("name",))


def test_while_answers_are_compared_each_has_a_digest(asked: Asked, arms: Arms) -> None:
    def digest(target: str) -> str:
        response = traced(asked, target).response
        assert response is not None
        return response.digest

    before = digest("/names")
    arms.arm(COMPARE)
    names, again, count = digest("/names"), digest("/names"), digest("/count")
    arms.disarm(COMPARE)

    assert before == digest("/names") == ""
    assert names == again != count
    assert {len(names), len(count)} == {8}


def test_what_is_on_already_goes_on_once_and_off_at_once(bench: Bench, arms: Arms) -> None:
    before = state(bench.recorder)
    for _ in range(2):
        arms.arm(WATCH)
        arms.arm(COMPARE)
    arms.disarm()

    assert state(bench.recorder) == before


def test_one_goes_off_and_the_other_stays(bench: Bench, arms: Arms) -> None:
    arms.arm(WATCH)
    arms.arm(COMPARE)
    arms.disarm(COMPARE)

    assert state(bench.recorder)[:3] == (True, False, True)


def test_what_is_not_on_goes_off_without_a_word(bench: Bench, arms: Arms) -> None:
    arms.arm(COMPARE)
    arms.disarm(WATCH)
    arms.disarm("nonsense")

    assert state(bench.recorder)[:3] == (False, True, False)


def test_an_unknown_switch_is_refused_with_those_that_there_are(bench: Bench, arms: Arms) -> None:
    with pytest.raises(WireError, match=r"no switch 'fast'; there are watch and compare"):
        arms.arm("fast")

    assert state(bench.recorder)[:3] == (False, False, False)


def test_it_can_be_switched_on_again(bench: Bench, arms: Arms) -> None:
    for _ in range(3):
        arms.arm(WATCH)
        assert state(bench.recorder)[:3] == (True, False, True)
        arms.disarm()


def test_where_the_app_has_no_orm_there_is_nothing_to_watch(
    bench: Bench, arms: Arms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "sqlalchemy.orm")
    arms.arm(WATCH)

    assert state(bench.recorder)[:3] == (False, False, False)


def test_two_may_switch_everything_off_at_once(arms: Arms, monkeypatch: pytest.MonkeyPatch) -> None:
    class Disturbed(Recorder):
        """While one goes off, another thread switches everything off."""

        def __setattr__(self, name: str, value: object) -> None:
            object.__setattr__(self, name, value)
            if name == "comparing" and not value:
                arms.disarm()

    disturbed = Disturbed()
    monkeypatch.setattr(module, "recorder", disturbed)
    arms.arm(COMPARE)
    arms.arm(WATCH)

    arms.disarm()

    assert state(disturbed)[:3] == (False, False, False)


# Over the wire.


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tool]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("UNSLOW_")]:
        monkeypatch.delenv(name)
    tool = Tool()
    yield tool
    agent.stop()
    tool.close()
    assert state(recorder)[:3] == (False, False, False)


@pytest.fixture
def armed(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """A process that a check has started."""
    monkeypatch.setenv(ARMS_VARIABLE, "1")
    return served(tool)


def served(tool: Tool) -> Peer:
    start_with(tool)
    ask(unslow.install(plain_app))
    return serving_peer(tool)


def told(tool: Tool, peer: Peer, kind: str, **fields: object) -> Message:
    answer = tool.listener.ask(peer, kind, PATIENCE_S, **fields)
    assert answer is not None
    return answer


@pytest.mark.parametrize("kind", [ARM, DISARM])
def test_an_agent_that_no_check_started_has_no_arms(tool: Tool, kind: str) -> None:
    answer = told(tool, served(tool), kind, switch=COMPARE)

    assert answer["type"] == REFUSED
    assert state(recorder)[:3] == (False, False, False)


def test_an_empty_variable_gives_none_either(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ARMS_VARIABLE, "")

    assert told(tool, served(tool), ARM, switch=COMPARE)["type"] == REFUSED


def test_an_agent_that_a_check_started_does_as_it_is_told(tool: Tool, armed: Peer) -> None:
    assert told(tool, armed, ARM, switch=WATCH)["type"] == ARM
    assert told(tool, armed, ARM, switch=COMPARE)["type"] == ARM
    assert state(recorder)[:3] == (True, True, True)

    assert told(tool, armed, DISARM, switch=WATCH)["type"] == DISARM
    assert state(recorder)[:3] == (False, True, False)

    assert told(tool, armed, DISARM)["type"] == DISARM
    assert state(recorder)[:3] == (False, False, False)


def test_it_refuses_what_it_does_not_know_and_says_what_there_is(tool: Tool, armed: Peer) -> None:
    answer = told(tool, armed, ARM, switch="fast")
    nothing = told(tool, armed, ARM)

    assert (answer["type"], nothing["type"]) == (REFUSED, REFUSED)
    assert "there are watch and compare" in answer["why"]
    assert told(tool, armed, HEALTH)["recording"]


def test_what_it_records_then_comes_with_digests(tool: Tool, armed: Peer) -> None:
    told(tool, armed, ARM, switch=COMPARE)
    ask(unslow.install(plain_app))
    told(tool, armed, DISARM)
    ask(unslow.install(plain_app))

    packed = told(tool, armed, TRACES, since=0)["traces"]
    in_order = sorted(map(trace_of, map(tupled, packed)), key=lambda one: one.number)
    digests = [bool(one.response and one.response.digest) for one in in_order]
    assert digests == [False, True, False]


def test_when_the_tool_goes_everything_goes_off_and_it_records_on(tool: Tool, armed: Peer) -> None:
    told(tool, armed, ARM, switch=WATCH)
    told(tool, armed, ARM, switch=COMPARE)

    tool.listener.close()

    until(lambda: state(recorder)[:3] == (False, False, False))
    assert recorder.recording


def test_when_the_agent_stops_everything_goes_off(tool: Tool, armed: Peer) -> None:
    before = InstrumentedAttribute.__get__
    told(tool, armed, ARM, switch=WATCH)
    told(tool, armed, ARM, switch=COMPARE)

    agent.stop()

    assert state(recorder)[:3] == (False, False, False)
    assert InstrumentedAttribute.__get__ is before
