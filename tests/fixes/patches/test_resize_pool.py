"""Which sizes of a pool are tried, and where the best one is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.fixes.patches.patch import CannotTryError, Subject, patcher_of
from unslow.fixes.patches.resize_pool import MOST_CONNECTIONS, candidates, write
from unslow.model.finding import EvidenceValue, Finding
from unslow.model.proof import Arm
from unslow.model.trace import CONNECT, THREAD_QUEUE, Hold, Lane, Place, Slice, Trace, What

PATH = "/app/database.py"
SHOP = "postgresql+asyncpg 127.0.0.1:5432/shop pool 5+10"


def trace(
    start_ns: int = 0, end_ns: int = 10, segment: int = CONNECT, what: What = None, number: int = 1
) -> Trace:
    place = Place(PATH, 3, "session")
    lane = Lane("task", 1, -1, start_ns, end_ns, slices=(Slice(start_ns, end_ns, segment, what),))
    return Trace(
        number,
        1,
        "GET",
        "/rows",
        200,
        0.0,
        start_ns,
        end_ns,
        end_ns,
        100,
        lanes=(lane,),
        holds=(Hold(SHOP, start_ns, end_ns, place),),
    )


def crowd(count: int) -> list[Trace]:
    """So many requests at once, and one behind them."""
    return [trace(number=n) for n in range(count)] + [trace(10, 20, number=count)]


def subject(
    rule: str = "pool-wait",
    traces: Sequence[Trace] = (),
    files: Mapping[str, str] | None = None,
    shape: str = "postgresql+asyncpg",
    **evidence: EvidenceValue,
) -> Subject:
    finding = Finding(
        "Requests waited.",
        Place("/app/rows.py", 9, "rows"),
        rule=rule,
        route="GET /rows",
        shape=shape,
        evidence=evidence,
    )
    return Subject(finding, traces, (files or {}).get)


def says(found: Subject) -> list[str]:
    return [one.says for one in candidates(found)]


def test_a_pool_that_is_waited_for_grows_as_far_as_the_crowd_needs_it() -> None:
    few = subject(traces=crowd(20), pool=SHOP)
    many = subject(traces=crowd(45), pool=SHOP)

    assert says(few) == ["pool_size=30, max_overflow=0"]
    assert says(many) == ["pool_size=30, max_overflow=0", "pool_size=50, max_overflow=0"]
    assert candidates(few)[0] == Arm(
        "resize-pool",
        "pool_size=30, max_overflow=0",
        {"pool": SHOP, "size": 30, "overflow": 0},
    )


def test_pools_of_drivers_have_one_size() -> None:
    found = subject(traces=crowd(9), pool="asyncpg 127.0.0.1:5432/shop pool 1-2")

    assert says(found) == ["max_size=4", "max_size=8"]
    assert candidates(found)[1].parameters == {
        "pool": "asyncpg 127.0.0.1:5432/shop pool 1-2",
        "size": 8,
    }


def test_a_pool_that_churns_first_keeps_as_many_as_it_opens() -> None:
    opened = [trace(what=(SHOP, 1, True), number=n) for n in range(4)]
    given_back = [trace(what=("connections given back",), number=n) for n in range(9)]
    found = subject("pool-settings", [*opened, *given_back])

    assert says(found) == ["pool_size=15, max_overflow=0", "pool_size=30, max_overflow=0"]


def test_an_overflow_without_a_limit_stays_one() -> None:
    name = SHOP.replace("5+10", "5+unlimited")
    found = subject("pool-settings", [trace(what=(name, 1, True))])

    assert says(found) == ["pool_size=10, max_overflow=-1"]


@pytest.mark.parametrize(
    ("rule", "pool", "why"),
    [
        ("pool-wait", SHOP.replace("5+10", "5+unlimited"), "has no limit"),
        ("pool-wait", SHOP.replace("5+10", "50+0"), "50 connections already"),
        ("pool-wait", "postgresql+asyncpg 127.0.0.1:5432/shop NullPool", "A NullPool has no size"),
        ("pool-wait", "psycopg pool-1", "names no pool with a size$"),
        ("pool-settings", SHOP.replace("5+10", "5+0"), "no overflow"),
        ("pool-settings", "asyncpg 127.0.0.1:5432/shop pool 5-10", "no overflow"),
    ],
)
def test_what_no_size_helps_is_not_tried(rule: str, pool: str, why: str) -> None:
    with pytest.raises(CannotTryError, match=why):
        candidates(subject(rule, crowd(9), pool=pool))


def test_a_finding_that_names_no_pool_is_not_tried_without_one_in_its_traces() -> None:
    other = trace(what=("psycopg 127.0.0.1:5432/shop pool 1-2", 1, True))

    with pytest.raises(CannotTryError, match="no connection was opened"):
        candidates(subject("pool-settings", [other, trace(what=("asyncpg 127.0.0.1", 0, False))]))


def test_threads_grow_from_what_requests_were_told() -> None:
    told = [trace(segment=THREAD_QUEUE, what="20 threads")]
    few = subject("thread-starvation", told, open_at_once=25)
    many = subject("thread-starvation", [trace()], open_at_once=300)

    assert [one.parameters for one in candidates(few)] == [{"threads": 40}]
    assert says(many) == ["total_tokens=80", "total_tokens=160"]
    with pytest.raises(CannotTryError, match="160 threads already"):
        candidates(subject("thread-starvation", [trace(segment=THREAD_QUEUE, what="160 threads")]))


@given(size=st.integers(1, 49), overflow=st.integers(0, 60), users=st.integers(1, 40), at=st.data())
def test_sizes_rise_from_the_present_one_and_stay_within_bounds(
    size: int, overflow: int, users: int, at: st.DataObject
) -> None:
    rule = at.draw(st.sampled_from(["pool-wait", "pool-settings"]))
    name = SHOP.replace("5+10", f"{size}+{overflow}")
    try:
        arms = candidates(subject(rule, crowd(users), pool=name))
    except CannotTryError:
        return

    sizes = [int(str(one.parameters["size"])) for one in arms]
    assert sizes == sorted(set(sizes))
    assert sizes[0] >= size + overflow
    assert all(one <= max(MOST_CONNECTIONS, size + overflow) for one in sizes)


def written(found: Subject) -> str:
    patch = write(found, candidates(found)[0])
    assert patch.advice == ""
    (edit,) = patch.edits
    assert (edit.path, edit.before) == (PATH, found.read(PATH))
    return edit.after


def advised(found: Subject) -> str:
    patch = write(found, candidates(found)[0])
    assert patch.edits == ()
    return patch.advice


@pytest.mark.parametrize(
    ("pool", "before", "after"),
    [
        (
            "5+10",
            "create_async_engine(URL)",
            "create_async_engine(URL, pool_size=30, max_overflow=0)",
        ),
        (
            "2+0",
            "sa.create_engine(URL, pool_size=2, max_overflow=0, echo=True)",
            "sa.create_engine(URL, pool_size=4, max_overflow=0, echo=True)",
        ),
        (
            "3+10",
            "create_engine(\n    URL,\n    pool_size=3,\n)",
            "create_engine(\n    URL,\n    pool_size=26,\n    max_overflow=0,\n)",
        ),
    ],
)
def test_the_one_call_that_makes_the_pool_gets_the_size(pool: str, before: str, after: str) -> None:
    files = {PATH: f"# the shop's\nengine = {before}\n"}

    found = subject(traces=crowd(9), files=files, pool=SHOP.replace("5+10", pool))

    assert written(found) == f"# the shop's\nengine = {after}\n"


@pytest.mark.parametrize(
    ("pool", "before", "after"),
    [
        ("asyncpg x pool 1-2", "create_pool(URL, min_size=1, max_size=2)", "max_size=4)"),
        ("asyncpg x pool 10-10", "asyncpg.create_pool(URL)", "create_pool(URL, max_size=20)"),
        ("psycopg x pool 4-4", "AsyncConnectionPool(URL)", "Pool(URL, max_size=8)"),
        ("psycopg x pool 2-2", "ConnectionPool(URL, min_size=2)", "min_size=2, max_size=4)"),
    ],
)
def test_so_do_calls_that_make_a_drivers_pool(pool: str, before: str, after: str) -> None:
    found = subject(traces=crowd(5), files={PATH: f"pool = {before}\n"}, pool=pool)

    assert written(found).endswith(f"{after}\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("engine = create_engine(URL, pool_size=7)\n", "not in the files"),
        ("engine = create_engine(URL, poolclass=NullPool)\n", "not in the files"),
        ("pool = create_pool(URL, min_size=5, max_size=10)\n", "not in the files"),
        ("a = create_engine(URL)\nb = create_engine(OTHER)\n", "several calls"),
        ("engine = create_engine(URL, pool_size=SIZE)\n", "put together elsewhere"),
        ("engine = create_engine(URL, **OPTIONS)\n", "put together elsewhere"),
        ("engine = create_engine(URL\n", "not in the files"),
    ],
)
def test_what_is_not_certain_is_advice_with_the_servers_bound(text: str, why: str) -> None:
    found = subject(traces=crowd(9), files={PATH: text}, pool=SHOP)

    advice = advised(found)

    assert f"Set `pool_size=30, max_overflow=0` where the pool {SHOP} is made." in advice
    assert "workers x (pool_size + max_overflow)" in advice
    assert "SHOW max_connections" in advice
    assert advice.endswith(f"{why}.") or why in advice


def test_files_that_were_not_seen_at_work_are_not_looked_into() -> None:
    files = {"/app/elsewhere.py": "engine = create_engine(URL)\n"}

    assert "not in the files" in advised(subject(traces=crowd(9), files=files, pool=SHOP))


def test_threads_are_advice_with_the_pools_that_they_need() -> None:
    found = subject("thread-starvation", [trace()], open_at_once=60)

    assert "current_default_thread_limiter().total_tokens = 80`" in advised(found)


def test_the_file_is_found_by_the_fixs_name() -> None:
    assert patcher_of("resize-pool").candidates is candidates
