"""What a check sends to an app, and what it keeps from being sent."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx
import pytest

from tests.prove.workload.serving import serving
from unslow.model.checked import Checked, checked_text
from unslow.model.trace import CONNECT, REMOTE, Hold, Lane, Place, Slice, Statement, Trace
from unslow.model.workload import LeftOut, Plan, Request
from unslow.prove import check as module
from unslow.prove.check import (
    BrokenOnTheWayError,
    Check,
    ElsewhereError,
    FarDatabaseError,
    Limits,
    NothingCountedError,
)
from unslow.prove.link import COMPARE, WATCH, Link
from unslow.prove.workload.login import login
from unslow.prove.workload.sending import MOST_BYTES, open_client

pytestmark = pytest.mark.anyio

SMALL = Limits(concurrency=2, rounds_count=3)
WRITES = "INSERT INTO orders (id) VALUES (?)"
LINE = Place("shop.py", 7, "order")
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class Does:
    """What the app does with a request."""

    status: int = 200
    body: bytes = b"[]"
    route: str = ""
    """The template, where it is not the path."""
    shape: str = ""
    remote: str = ""
    hold: str = ""
    opens: str = ""
    takes_s: float = 0.0
    """How long it works before it answers."""
    behind_s: float = 0.0
    """How long it works when it has answered."""
    breaks_behind: bool = False
    """Whether it raises when it has answered: its server closes the connection then."""


@dataclass
class Shop:
    """An app that notes what came to it, and tells of it as the agent in an app does."""

    does: dict[str, Does | Callable[[int], Does]] = field(default_factory=dict)
    """By path: what it does, or what it does the nth time, from 1 on."""
    is_told_of: bool = True
    hosts: frozenset[str] = frozenset()
    asked: Counter[str] = field(default_factory=Counter)
    headers: list[dict[bytes, bytes]] = field(default_factory=list)
    armed: list[str] = field(default_factory=list)
    traces: deque[Trace] = field(default_factory=deque)
    in_flight: int = 0
    most_in_flight: int = 0

    async def __call__(self, scope: dict[str, Any], _receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        started_at = time.time()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.headers.append(dict(scope["headers"]))
        self.asked[scope["path"]] += 1
        found = self.does.get(scope["path"], Does())
        does = found if isinstance(found, Does) else found(self.asked[scope["path"]])
        await asyncio.sleep(does.takes_s)
        await send(
            {
                "type": "http.response.start",
                "status": does.status,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        self.in_flight -= 1
        await send({"type": "http.response.body", "body": does.body})
        if does.behind_s:
            await asyncio.sleep(does.behind_s)
        if self.is_told_of:
            route = does.route or scope["path"]
            self.traces.append(_trace(scope["method"], route, started_at, does))
        if does.breaks_behind:
            raise RuntimeError("behind the answer")

    def new_traces(self) -> tuple[Trace, ...]:
        found = []
        while self.traces:
            found.append(self.traces.popleft())
        return tuple(found)

    def arm(self, switch: str) -> None:
        self.armed.append(f"+{switch}")

    def disarm(self, switch: str) -> None:
        self.armed.append(f"-{switch}")

    def database_hosts(self) -> frozenset[str]:
        return self.hosts


def _trace(method: str, route: str, started_at: float, does: Does) -> Trace:
    slices = []
    if does.remote:
        slices.append(Slice(0, 1, REMOTE, (does.remote, 1, True, False), LINE))
    if does.opens:
        slices.append(Slice(0, 1, CONNECT, does.opens, LINE))
    return Trace(
        number=1,
        process_id=1,
        method=method,
        route=route if does.status != 404 else "",
        status=does.status,
        started_at=started_at,
        start_ns=0,
        response_end_ns=1,
        end_ns=1,
        response_bytes=len(does.body),
        lanes=(Lane("task", 1, -1, 0, 1, slices=tuple(slices)),),
        statements=(Statement(does.shape, "psycopg", LINE),) if does.shape else (),
        holds=(Hold(does.hold, 0, 1),) if does.hold else (),
    )


class Street:
    """One server for the shops of all tests, one after the other."""

    def __init__(self) -> None:
        self.shop = Shop()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        await self.shop(scope, receive, send)


@pytest.fixture(scope="module")
def street() -> Iterator[tuple[Street, str]]:
    street = Street()
    with serving(street) as url:
        yield street, url


@pytest.fixture
def shop(street: tuple[Street, str]) -> Shop:
    street[0].shop = Shop()
    return street[0].shop


@pytest.fixture
def at(street: tuple[Street, str]) -> str:
    return street[1]


@asynccontextmanager
async def checking(
    shop: Shop, url: str, limits: Limits = SMALL, headers: tuple[tuple[str, str], ...] = ()
) -> AsyncIterator[Check]:
    async with open_client(url) as client:
        check = Check(client, cast(Link, shop), limits, headers, lambda _what, _part: None)
        check.begin()
        yield check


async def checked(shop: Shop, url: str, *requests: Request, limits: Limits = SMALL) -> Checked:
    async with checking(shop, url, limits) as check:
        return await check.run(Plan(requests))


def get(path: str, route: str | None = None) -> Request:
    """A made request; one from a file with an empty route."""
    return Request("GET", path, source="shop.http:1", route=path if route is None else route)


def reason(found: Checked, route: str) -> str:
    (why,) = (one.why for one in found.left_out if one.route == route)
    return why


async def test_each_operation_is_asked_once_then_alone_then_by_many_then_for_its_reads(
    shop: Shop, at: str
) -> None:
    shop.does["/b"] = Does(takes_s=0.02)

    found = await checked(shop, at, get("/a"), get("/b"))

    crowd = SMALL.concurrency * module.ROUNDS_IN_CROWD
    whole = 1 + SMALL.rounds_count + crowd + module.WATCHED_COUNT
    assert {"/a": whole, "/b": whole} == shop.asked
    assert SMALL.concurrency == shop.most_in_flight
    assert [f"+{COMPARE}", f"+{COMPARE}", f"+{WATCH}", f"-{WATCH}"] == shop.armed
    assert (2, 2, (), "") == (
        found.operations_count,
        found.counted_count,
        found.left_out,
        found.stopped_by,
    )


async def test_one_user_is_no_crowd(shop: Shop, at: str) -> None:
    await checked(shop, at, get("/a"), limits=Limits(concurrency=1, rounds_count=2))

    assert 1 + 2 + module.WATCHED_COUNT == shop.asked["/a"]
    assert 1 == shop.most_in_flight


@pytest.mark.parametrize(
    ("does", "says"),
    [
        (
            Does(shape=WRITES),
            "it writes: INSERT INTO orders, shop.py:7 in order; --allow-writes 'GET /touch'",
        ),
        (
            Does(remote="smtp 127.0.0.1:25"),
            "it sends a mail by 127.0.0.1:25, shop.py:7 in order; --allow-writes 'GET /touch'",
        ),
        (
            Does(remote="api.example.com:443"),
            "it calls api.example.com:443, shop.py:7 in order; --allow-remote api.example.com",
        ),
    ],
)
async def test_what_has_side_effects_is_sent_exactly_once_and_listed_with_why(
    does: Does, says: str, shop: Shop, at: str
) -> None:
    shop.does["/touch"] = does

    found = await checked(shop, at, get("/a"), get("/touch"))

    assert 1 == shop.asked["/touch"]
    whole = f"it has side effects, so it was sent once: {says} allows it"
    assert whole == reason(found, "/touch")
    assert 1 < shop.asked["/a"]


@pytest.mark.parametrize(
    ("does", "limits"),
    [
        (Does(shape=WRITES), replace(SMALL, allowed_writes=frozenset({"/touch/{n}"}))),
        (Does(shape=WRITES), replace(SMALL, allowed_writes=frozenset({"GET /touch/{n:int}"}))),
        (Does(remote="smtp x:25"), replace(SMALL, allowed_writes=frozenset({"/touch/{n}"}))),
        (Does(remote="a.example:1"), replace(SMALL, allowed_hosts=frozenset({"a.example"}))),
        (Does(remote="a.example:1"), replace(SMALL, allowed_hosts=frozenset({"A.example:443"}))),
        (Does(remote="127.0.0.1:1"), SMALL),
    ],
)
async def test_what_is_allowed_is_sent_again(
    does: Does, limits: Limits, shop: Shop, at: str
) -> None:
    shop.does["/touch/1"] = replace(does, route="/touch/{n}")

    found = await checked(shop, at, get("/touch/1", "/touch/{n}"), limits=limits)

    assert 1 < shop.asked["/touch/1"]
    assert () == found.left_out


@pytest.mark.parametrize("allowed", ["POST /touch", "/other"])
async def test_what_is_allowed_for_another_operation_is_not(
    allowed: str, shop: Shop, at: str
) -> None:
    shop.does["/touch"] = Does(shape=WRITES)

    await checked(
        shop, at, get("/touch"), limits=replace(SMALL, allowed_writes=frozenset({allowed}))
    )

    assert 1 == shop.asked["/touch"]


async def test_what_happens_behind_the_answer_is_waited_for(shop: Shop, at: str) -> None:
    shop.does["/touch"] = Does(shape=WRITES, behind_s=0.3)

    found = await checked(shop, at, get("/touch"), get("/a"))

    assert 1 == shop.asked["/touch"]
    assert "it writes" in reason(found, "/touch")
    assert ["/touch"] == [one.route for one in found.left_out]


async def test_what_goes_on_for_long_behind_the_answer_is_sent_once(
    shop: Shop, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_BEHIND_S", 0.05)
    shop.does["/slow"] = Does(shape=WRITES, behind_s=0.4)

    found = await checked(shop, at, get("/a"), get("/slow"), get("/b"))

    assert 1 == shop.asked["/slow"]
    # What comes of it later is not put down to what was asked meanwhile.
    assert ["/slow"] == [one.route for one in found.left_out]
    assert "it was still at work" in reason(found, "/slow")


async def test_what_writes_at_a_later_time_is_not_sent_any_more_from_then_on(
    shop: Shop, at: str
) -> None:
    shop.does["/touch"] = lambda times: Does(shape=WRITES if times == 2 else "")

    found = await checked(shop, at, get("/touch"))

    assert 2 == shop.asked["/touch"]
    assert "it writes" in reason(found, "/touch")


async def test_each_distinct_request_is_watched_before_it_is_repeated(shop: Shop, at: str) -> None:
    shop.does["/touch/1"] = Does(route="/touch/{n}")
    shop.does["/touch/2"] = Does(route="/touch/{n}", shape=WRITES)

    await checked(shop, at, *(get(f"/touch/{n}", "/touch/{n}") for n in (1, 2)))

    assert 1 == shop.asked["/touch/2"]
    assert 2 >= shop.asked["/touch/1"]


async def test_a_write_of_what_a_request_leads_to_in_the_same_app_is_its_own(
    shop: Shop, at: str
) -> None:
    def outer(_times: int) -> Does:
        shop.traces.append(_trace("POST", "/inner", time.time(), Does(shape=WRITES)))
        return Does()

    shop.does["/outer"] = outer

    found = await checked(shop, at, get("/outer"))

    assert 1 == shop.asked["/outer"]
    assert "it writes" in reason(found, "/outer")


async def test_what_a_file_names_is_sent_and_repeated_when_it_did_nothing_else(
    shop: Shop, at: str
) -> None:
    shop.does["/search/a"] = Does(route="/search/{word}")
    shop.does["/orders"] = Does(status=201, shape=WRITES)
    search = Request("POST", "/search/a", source="shop.http:1")
    order = Request("POST", "/orders", body=b"{}", source="shop.http:2")

    found = await checked(shop, at, search, order, get("/gone", ""))

    assert 1 < shop.asked["/search/a"]
    assert 1 == shop.asked["/orders"]
    assert ["/orders"] == [one.route for one in found.left_out if "side effects" in one.why]


@pytest.mark.parametrize("status", [429, 503])
async def test_too_many_requests_ends_an_operation(status: int, shop: Shop, at: str) -> None:
    shop.does["/at-once"] = Does(status=status)
    shop.does["/soon"] = lambda times: Does(status=status if times == 3 else 200)

    found = await checked(shop, at, get("/at-once"), get("/soon"), get("/a"))

    assert (1, 3) == (shop.asked["/at-once"], shop.asked["/soon"])
    assert f"it answered {status}" == reason(found, "/at-once") == reason(found, "/soon")
    assert 3 < shop.asked["/a"]


async def test_too_many_requests_in_a_crowd_ends_the_operation_and_no_other(
    shop: Shop, at: str
) -> None:
    alone = 1 + SMALL.rounds_count
    shop.does["/a"] = lambda times: Does(status=200 if times <= alone else 429)

    found = await checked(shop, at, get("/a"), get("/b"))

    assert alone + SMALL.concurrency >= shop.asked["/a"]
    assert "it answered 429 to 2 users at once" == reason(found, "/a")
    assert ["/a"] == [one.route for one in found.left_out]


@pytest.mark.parametrize("most", [1, 2, 4, 9])
async def test_no_more_is_sent_of_a_route_than_was_said(most: int, shop: Shop, at: str) -> None:
    shop.does |= {f"/a/{n}": Does(route="/a/{n}") for n in range(3)}

    await checked(
        shop,
        at,
        *(get(f"/a/{n}", "/a/{n}") for n in range(3)),
        get("/b"),
        limits=replace(SMALL, requests_per_route=most),
    )

    assert most == sum(shop.asked[f"/a/{n}"] for n in range(3))
    assert most == shop.asked["/b"]


async def test_asking_for_ids_keeps_to_that_number_too(shop: Shop, at: str) -> None:
    async with checking(shop, at, replace(SMALL, requests_per_route=1)) as check:
        assert [] == await check.ask(get("/a/1", "/a/{n}"))
        assert await check.ask(get("/a/2", "/a/{n}")) is None

    assert {"/a/1": 1} == shop.asked


async def test_when_the_time_is_up_nothing_more_is_sent_and_what_was_not_reached_is_listed(
    shop: Shop, at: str
) -> None:
    async with checking(shop, at, replace(SMALL, time_s=0.3)) as check:
        assert [] == await check.ask(get("/a"))
        await asyncio.sleep(0.3)
        assert await check.ask(get("/b")) is None
        found = await check.run(Plan((get("/a"), get("/b"))))

    assert {"/a": 1} == shop.asked
    assert "there was no time left to ask it more often" == reason(found, "/a")
    assert "there was no time left to ask it" == reason(found, "/b")
    assert "the time of 0.3 s was up" == found.stopped_by
    assert (2, 1) == (found.operations_count, found.counted_count)


async def test_no_crowd_begins_late(shop: Shop, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CROWD_TIME_SHARE", 0.0)

    found = await checked(shop, at, get("/a"))

    assert 1 + SMALL.rounds_count + module.WATCHED_COUNT == shop.asked["/a"]
    assert "there was no time left to ask it by many at once" == reason(found, "/a")


async def test_a_request_that_does_not_count_is_not_repeated_where_another_does(
    shop: Shop, at: str
) -> None:
    shop.does["/a/1"] = Does(route="/a/{n}")
    shop.does["/a/9"] = Does(status=404)

    found = await checked(shop, at, *(get(f"/a/{n}", "/a/{n}") for n in (9, 1)))

    assert 1 == shop.asked["/a/9"]
    assert SMALL.concurrency * module.ROUNDS_IN_CROWD < shop.asked["/a/1"]
    assert () == found.left_out


async def test_an_operation_that_counted_at_a_second_try_is_asked_in_all_ways(
    shop: Shop, at: str
) -> None:
    shop.does["/a/9"] = Does(status=404)
    async with checking(shop, at) as check:
        assert await check.ask(get("/a/9", "/a/{n}")) is None
        assert [] == await check.ask(get("/a/1", "/a/{n}"))
        found = await check.run(Plan(tuple(get(f"/a/{n}", "/a/{n}") for n in (9, 1))))

    assert module.WATCHED_COUNT < shop.asked["/a/1"]
    assert (1, ()) == (found.counted_count, found.left_out)


async def test_a_connection_that_closes_behind_an_answer_is_not_put_down_to_the_next(
    shop: Shop, at: str
) -> None:
    shop.does |= {"/a": Does(breaks_behind=True), "/c": Does(status=500, breaks_behind=True)}
    limits = Limits(concurrency=1, rounds_count=25)

    found = await checked(shop, at, get("/a"), get("/c"), get("/b"), limits=limits)

    assert ["/c"] == [one.route for one in found.left_out]
    assert {"/a": 30, "/b": 30, "/c": 1} == shop.asked


async def test_an_operation_that_breaks_in_a_crowd_is_listed_and_the_others_go_on(
    shop: Shop, at: str
) -> None:
    limits = replace(SMALL, concurrency=10)
    alone = 1 + SMALL.rounds_count
    shop.does["/a"] = lambda times: Does(status=200 if times <= alone else 500)

    found = await checked(shop, at, get("/a"), get("/b"), limits=limits)

    assert alone + 30 == shop.asked["/a"]
    assert "to 10 users at once it answered nothing but 500" == reason(found, "/a")
    assert alone + 30 + module.WATCHED_COUNT == shop.asked["/b"]


@pytest.mark.parametrize("names", [("/a",), ("/a", "/b", "/c")])
async def test_an_app_that_breaks_on_the_way_ends_the_check(
    names: tuple[str, ...], shop: Shop, at: str
) -> None:
    for name in names:
        shop.does[name] = lambda times: Does(
            status=200 if times <= 3 else 500, body=b'{"detail": "gone"}'
        )

    with pytest.raises(BrokenOnTheWayError, match=r'answered 500 \("{"detail": "gone"}"\)'):
        await checked(shop, at, *map(get, names), limits=replace(SMALL, rounds_count=30))

    assert [f"+{COMPARE}"] * 2 == shop.armed


async def test_an_app_that_many_users_break_keeps_what_was_measured_before(
    shop: Shop, at: str
) -> None:
    alone = 1 + SMALL.rounds_count
    for name in ("/a", "/b", "/c"):
        shop.does[name] = lambda times: Does(
            status=200 if times <= alone else 500, body=b'{"detail": "secret"}'
        )

    limits = replace(SMALL, concurrency=10)
    found = await checked(shop, at, *map(get, ("/a", "/b", "/c")), limits=limits)

    assert found.is_broken
    assert (
        "with 10 users at once, the last 31 requests were not answered as those before, the last"
        " one was answered 500"
    ) == found.stopped_by
    assert 3 == found.counted_count
    assert f"+{WATCH}" not in shop.armed


async def test_watching_ends_also_when_the_app_breaks_meanwhile(shop: Shop, at: str) -> None:
    before = 1 + SMALL.rounds_count + SMALL.concurrency * module.ROUNDS_IN_CROWD
    names = [f"/{n}" for n in range(10)]
    for name in names:
        shop.does[name] = lambda times: Does(status=200 if times <= before else 500)

    with pytest.raises(BrokenOnTheWayError):
        await checked(shop, at, *map(get, names))

    assert [f"+{WATCH}", f"-{WATCH}"] == shop.armed[-2:]


@pytest.mark.parametrize(
    ("does", "says"),
    [
        (
            Does(status=401, body=b'{"detail": "who?"}'),
            'counted: 2 of 2 operations answered 401 ("{"detail": "who?"}"). Give a login: --head',
        ),
        (Does(status=403), 'answered 403 ("[]"). Give a login: --header'),
        (Does(status=500), 'answered 500 ("[]"). Ask the app yourself, and look at what it writes'),
        (Does(status=404), 'answered 404 ("[]"). Give requests that it answers with 2xx'),
    ],
)
async def test_where_nothing_counts_it_is_said_how_and_what_to_do(
    does: Does, says: str, shop: Shop, at: str
) -> None:
    shop.does |= {"/a": does, "/b": does}

    with pytest.raises(NothingCountedError) as raised:
        await checked(shop, at, get("/a"), get("/b"))

    assert says in str(raised.value)
    assert {"/a": 1, "/b": 1} == shop.asked


async def test_where_there_is_nothing_to_send_it_is_said_how_to_give_something(
    shop: Shop, at: str
) -> None:
    with pytest.raises(NothingCountedError, match=r"there was none to send.*--requests FILE"):
        await checked(shop, at)


async def test_other_statuses_may_count(shop: Shop, at: str) -> None:
    shop.does["/a"] = Does(status=409)

    found = await checked(shop, at, get("/a"), limits=replace(SMALL, also_counted=frozenset({409})))

    assert (1, ()) == (found.counted_count, found.left_out)
    assert frozenset({409}) == found.also_counted


async def test_where_another_program_answers_it_gets_one_request_and_no_more(
    shop: Shop, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_BEHIND_S", 0.1)
    shop.is_told_of = False

    with pytest.raises(ElsewhereError, match=r"no process that was started saw it.*--url"):
        await checked(shop, at, get("/a"), get("/b"))

    assert {"/a": 1} == shop.asked


async def test_a_database_that_is_far_keeps_the_first_request_back(shop: Shop, at: str) -> None:
    shop.hosts = frozenset({"db.example.com", "127.0.0.1"})

    with pytest.raises(FarDatabaseError, match=r"at db.example.com, .* --yes-this-database"):
        await checked(shop, at, get("/a"))

    assert not shop.asked


@pytest.mark.parametrize(
    "does",
    [
        Does(hold="postgresql+asyncpg db.example.com:5432/shop pool 5+10"),
        Does(hold="asyncpg 8.8.8.8:5432/shop pool 1-10"),
        Does(hold="psycopg 2001:4860:4860::8888:5432/shop pool 1-10"),
        Does(opens="asyncpg db.example.com:5432/shop"),
    ],
)
async def test_a_database_that_turns_out_to_be_far_ends_the_check_after_one_request(
    does: Does, shop: Shop, at: str
) -> None:
    shop.does["/a"] = does

    with pytest.raises(FarDatabaseError, match="nothing more was sent"):
        await checked(shop, at, get("/a"), get("/b"))

    assert {"/a": 1} == shop.asked


async def test_a_far_database_may_be_allowed_and_is_named(shop: Shop, at: str) -> None:
    shop.hosts = frozenset({"db.example.com"})
    shop.does["/a"] = Does(hold="asyncpg 10.0.0.7:5432/shop pool 1-10")

    found = await checked(shop, at, get("/a"), limits=replace(SMALL, far_database=True))

    assert ("10.0.0.7", "db.example.com") == found.database_hosts


@pytest.mark.parametrize(
    "hold",
    [
        "sqlite+pysqlite :memory: StaticPool",
        "sqlite+aiosqlite shop.db pool 5+10",
        "postgresql+psycopg shop pool 5+10",
        "asyncpg /var/run/postgresql/.s.PGSQL.5432/shop pool 1-10",
        "postgresql+asyncpg 127.0.0.1:5432/shop pool 5+10",
        "postgresql+asyncpg db:5432/shop pool 5+10",
        "asyncpg",
    ],
)
async def test_a_database_that_is_near_is_asked(hold: str, shop: Shop, at: str) -> None:
    shop.does["/a"] = Does(hold=hold)

    assert 1 == (await checked(shop, at, get("/a"))).counted_count


async def test_an_answer_that_is_larger_than_is_read_does_not_count(shop: Shop, at: str) -> None:
    shop.does["/huge"] = Does(body=b" " * (MOST_BYTES + 1))

    found = await checked(shop, at, get("/huge"), get("/a"))

    assert 1 == shop.asked["/huge"]
    assert "it was answered more than 64 MB" == reason(found, "/huge")


async def test_names_may_be_of_any_script(shop: Shop, at: str) -> None:
    shop.does["/größe|x/7"] = Does(route="/größe|x/{n:int}")
    shop.does["/files/a/b"] = Does(route="/files/{name:path}", shape=WRITES)
    paths = ("/gr%C3%B6%C3%9Fe%7Cx/7", "/files/a%2Fb", "/files/c/d")

    found = await checked(shop, at, *(get(path, "") for path in paths))

    assert 1 < shop.asked["/größe|x/7"]
    assert (1, 0) == (shop.asked["/files/a/b"], shop.asked["/files/c/d"])
    assert ["/files/{name}"] == [one.route for one in found.left_out]


async def test_what_is_kept_of_a_check_holds_nothing_of_what_was_sent(shop: Shop, at: str) -> None:
    secret = "s3cret"
    shop.does[f"/gone/{secret}"] = Does(status=404, body=b'"no s3cret"')
    shop.does["/a"] = Does(status=422, body=b'{"input": "s3cret"}')
    requests = (
        Request("GET", f"/gone/{secret}?key={secret}", (("X-Key", secret),), source="shop.http:3"),
        Request("POST", "/a", body=secret.encode(), source="shop.http:4"),
        get("/b"),
    )
    async with checking(shop, at, headers=(("Authorization", secret),)) as check:
        found = await check.run(Plan(requests, (LeftOut("GET", "/c", "no value"),)))
        told = check.uncounted_answers()

    assert secret not in checked_text(found)
    assert {
        ("GET", "/c", "no value"),
        ("GET", "", "shop.http:3: it was answered 404"),
        ("POST", "/a", "it was answered 422"),
    } == {(one.method, one.route, one.why) for one in found.left_out}
    assert [
        'GET /gone/s3cret was answered 404 (""no s3cret"")',
        'POST /a was answered 422 ("{"input": "s3cret"}")',
    ] == told
    assert (4, 1) == (found.operations_count, found.counted_count)


async def test_a_login_goes_with_each_request_and_is_no_part_of_the_workload(
    shop: Shop, at: str
) -> None:
    shop.does["/token"] = Does(body=json.dumps({"access_token": "abc"}).encode())
    async with checking(shop, at, headers=(("X-Team", "7"),)) as check:
        await check.log_in(login("POST /token?a=1", ["name=x"], "access_token"))
        assert {"x-team", "authorization"} == check.header_names
        assert [] == (await check.look_up("/openapi.json?a=1")).kept
        found = await check.run(Plan((get("/a"),)))

    first, *others = shop.headers
    assert b"authorization" not in first
    assert {(b"Bearer abc", b"7")} == {
        (one.get(b"authorization"), one.get(b"x-team")) for one in others
    }
    assert ("POST /token", "GET /openapi.json") == found.own_routes
    assert (1, 1) == (shop.asked["/token"], shop.asked["/openapi.json"])


async def test_what_a_file_asks_for_is_part_of_the_workload_also_where_it_is_our_own(
    shop: Shop, at: str
) -> None:
    async with checking(shop, at) as check:
        await check.look_up("/openapi.json")
        found = await check.run(Plan((get("/openapi.json", ""), get("/a"))))

    assert () == found.own_routes


async def test_an_app_that_ends_is_told_from_one_that_refuses() -> None:
    shop = Shop()
    with serving(shop) as url:
        async with open_client(url) as client:
            limits = replace(SMALL, rounds_count=30)
            check = Check(client, cast(Link, shop), limits, (), lambda _what, _part: None)
            await check.ask(get("/a"))
    async with open_client(url) as client:
        check._client = client
        with pytest.raises(BrokenOnTheWayError, match=r"answered nothing \(ConnectError\)"):
            await check.run(Plan((get("/a"),)))


async def test_an_endless_answer_is_given_up(
    shop: Shop, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("")

    async with httpx.AsyncClient(
        transport=httpx.MockTransport(refused), base_url="http://x"
    ) as client:
        check = Check(client, cast(Link, shop), SMALL, (), lambda _what, _part: None)
        with pytest.raises(NothingCountedError, match=r"answered nothing \(ReadTimeout\)"):
            await check.run(Plan((get("/a"),)))
