"""Requests of trials as the tool sends them: arms in turns, crowds, what ends a trial."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from tests.prove.workload.serving import serving
from unslow.fixes.catalogue import fix_of
from unslow.fixes.patches.patch import Subject
from unslow.model.finding import Finding
from unslow.model.trace import Trace
from unslow.model.workload import Exchange, Request
from unslow.prove.crowds import Crowds
from unslow.prove.experiment import (
    BASELINE,
    Allowance,
    End,
    Experiment,
    MixedArmsError,
    TrialOverError,
    UnansweredError,
)
from unslow.prove.link import Fared, Link, Samples
from unslow.prove.own_trial import OwnTrial
from unslow.prove.workload.sending import open_client

pytestmark = pytest.mark.anyio

USERS = 4
ITEMS = Request("GET", "/items", route="/items")


@dataclass(eq=False)
class Store:
    """An app that answers under its arms, and tells of it as the agent in an app does."""

    secret: str = "secret"
    status: int = 200
    order: list[str] = field(default_factory=list)
    """The arm of each request, as they came."""
    kinds: set[str] = field(default_factory=set)
    in_flight: Counter[str] = field(default_factory=Counter)
    together: set[frozenset[str]] = field(default_factory=set)
    """Which arms were in flight at once."""
    switched: list[str] = field(default_factory=list)
    walls_ms: dict[int, float] = field(default_factory=dict)

    async def __call__(self, scope: dict[str, Any], _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        secret, number, arm, kind = dict(scope["headers"])[b"unslow"].decode().split(".")
        self.kinds.add(kind)
        assert secret == self.secret
        assert kind in {"alone", "timed", "recorded"}
        self.order.append(arm)
        self.in_flight[arm] += 1
        self.together.add(frozenset(+self.in_flight))
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        self.in_flight[arm] -= 1
        self.walls_ms[int(number)] = 10.0 if arm == BASELINE else 5.0
        await send({"type": "http.response.body", "body": b"[]"})

    def samples(self) -> Samples:
        taken, self.walls_ms = self.walls_ms, {}
        fared: Mapping[str, Fared] = {}
        return Samples(taken, fared)

    def new_traces(self) -> tuple[Trace, ...]:
        return ()

    def switch_on(self, name: str, _arm: object) -> None:
        self.switched.append(f"+{name}")

    def switch_off(self, name: str) -> None:
        self.switched.append(f"-{name}")


class Street:
    """One server for the stores of all tests, one after the other."""

    def __init__(self) -> None:
        self.store = Store()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await self.store(scope, receive, send)


@pytest.fixture(scope="module")
def street() -> Iterator[tuple[Street, str]]:
    street = Street()
    with serving(street) as url:
        yield street, url


@pytest.fixture
def store(street: tuple[Street, str]) -> Store:
    street[0].store = Store()
    return street[0].store


@asynccontextmanager
async def experimenting(
    store: Store,
    url: str,
    *,
    requests: int = 1000,
    seconds: float = 60.0,
    also_counted: tuple[int, ...] = (),
) -> AsyncIterator[Experiment]:
    async with open_client(url) as client:
        end = End(client, cast(Link, store))
        allowance = Allowance(requests, time.monotonic() + seconds)
        yield Experiment(end, (), allowance, also_counted)


@pytest.fixture
def url(street: tuple[Street, str]) -> str:
    return street[1]


def unseen(_arm: str, _exchange: Exchange) -> None:
    pass


async def test_in_a_block_arms_take_turns_in_an_order_that_changes(store: Store, url: str) -> None:
    orders = set()
    async with experimenting(store, url) as experiment:
        for _ in range(12):
            found = await experiment.block(ITEMS, (BASELINE, BASELINE, "fast"), unseen)
            orders.add(tuple(store.order[-3:]))
            assert {BASELINE: (10.0, 10.0), "fast": (5.0,)} == found

    assert len(orders) == 3
    assert {"alone"} == store.kinds
    assert {frozenset({BASELINE}), frozenset({"fast"})} == store.together


async def test_a_switch_is_on_for_its_own_requests_only(store: Store, url: str) -> None:
    switched: list[tuple[bool, int]] = []
    async with experimenting(store, url) as experiment:
        await experiment.block(
            ITEMS,
            (BASELINE, "fast", BASELINE),
            unseen,
            lambda is_on: switched.append((is_on, len(store.order))),
        )

    at = store.order.index("fast")
    assert [(True, at), (False, at + 1)] == switched


async def test_two_arms_are_never_in_flight_together(store: Store, url: str) -> None:
    async with experimenting(store, url) as experiment:
        with pytest.raises(MixedArmsError, match="Send them one after the other"):
            await asyncio.gather(
                experiment.crowd([ITEMS] * USERS, USERS, BASELINE),
                experiment.crowd([ITEMS] * USERS, USERS, "fast"),
            )


async def test_arms_of_what_requests_share_must_not_take_turns(store: Store, url: str) -> None:
    subject = Subject(Finding("It blocks.", None), (), lambda _: None)
    async with experimenting(store, url) as experiment:
        trial = OwnTrial(experiment, subject, fix_of("off-loop"), [ITEMS], USERS)

        with pytest.raises(MixedArmsError, match="off-loop changes what requests share"):
            await trial.run()

    assert [] == store.order


async def test_blocks_of_a_crowd_are_drained_and_of_one_arm_each(store: Store, url: str) -> None:
    switched: list[str] = []
    async with experimenting(store, url) as experiment:
        crowds = Crowds(experiment, [ITEMS], USERS)
        judged = await crowds.judge(
            "fast", lambda is_on: switched.append("on" if is_on else "off"), unseen
        )

    assert judged is not None
    assert judged.comparison is not None
    assert judged.comparison.users_count == USERS
    assert {"timed"} == store.kinds
    assert {frozenset({BASELINE}), frozenset({"fast"})} == store.together
    assert switched == ["on", "off"] * (len(switched) // 2)
    blocks = judged.comparison.blocks_count
    assert store.order.count(BASELINE) == 2 * store.order.count("fast")
    assert store.order.count("fast") >= blocks * USERS


@pytest.mark.parametrize("status", [429, 503])
async def test_an_app_that_refuses_ends_the_trial(store: Store, url: str, status: int) -> None:
    store.status = status
    async with experimenting(store, url) as experiment:
        with pytest.raises(TrialOverError, match=f"it answered {status}"):
            await experiment.block(ITEMS, (BASELINE,), unseen)
        with pytest.raises(TrialOverError, match=f"it answered {status} to 4 users at once"):
            await experiment.crowd([ITEMS] * 8, USERS, BASELINE)


async def test_an_app_that_answers_otherwise_than_in_the_check_ends_the_trial(
    store: Store, url: str
) -> None:
    store.status = 500
    why = r"not answered as they were in the check \(status 500\)$"
    async with experimenting(store, url) as experiment:
        with pytest.raises(UnansweredError, match=why) as in_block:
            await experiment.block(ITEMS, (BASELINE,), unseen)
        with pytest.raises(UnansweredError, match=why):
            await experiment.recorded(ITEMS, BASELINE)

    assert isinstance(in_block.value, TrialOverError)
    assert [BASELINE, BASELINE] == store.order


async def test_such_an_answer_under_a_fix_is_an_answer_to_compare(store: Store, url: str) -> None:
    store.status = 500
    seen: list[tuple[str, int]] = []
    async with experimenting(store, url) as experiment:
        await experiment.block(
            ITEMS, ("fast",), lambda arm, exchange: seen.append((arm, exchange.status))
        )

    assert [("fast", 500)] == seen


async def test_a_status_that_counts_ends_no_trial(store: Store, url: str) -> None:
    store.status = 404
    async with experimenting(store, url, also_counted=(404,)) as experiment:
        found = await experiment.block(ITEMS, (BASELINE, "fast"), unseen)

    assert {BASELINE: (10.0,), "fast": (5.0,)} == found


async def test_a_route_has_its_most_requests(store: Store, url: str) -> None:
    async with experimenting(store, url, requests=4) as experiment:
        await experiment.block(ITEMS, (BASELINE, "fast"), unseen)
        with pytest.raises(TrialOverError, match="its most requests"):
            await experiment.crowd([ITEMS] * 3, USERS, BASELINE)

    assert len(store.order) == 2


async def test_when_the_time_is_up_nothing_more_is_sent(store: Store, url: str) -> None:
    async with experimenting(store, url, seconds=0.0) as experiment:
        with pytest.raises(TrialOverError, match="no time left"):
            await experiment.block(ITEMS, (BASELINE,), unseen)

    assert [] == store.order


async def test_a_crowd_of_which_too_few_are_answered_has_no_time(store: Store, url: str) -> None:
    store.status = 500
    async with experimenting(store, url) as experiment:
        crowd = await experiment.crowd([ITEMS] * 8, USERS, BASELINE)

    assert crowd.ms is None
    assert [500] * 8 == [one.status for one in crowd.exchanges]
