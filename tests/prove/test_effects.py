"""What a request does beside answering, and whose machine a host is."""

from __future__ import annotations

import pytest

from unslow.model.trace import CACHE, REMOTE, SQL, Lane, Place, Slice, Statement, Trace
from unslow.prove.effects import effects_of, locks_rows

LINE = Place("shop.py", 7, "order")


def trace(*slices: Slice, shapes: tuple[str, ...] = (), method: str = "GET") -> Trace:
    """A request that did these things."""
    lane = Lane("task", 1, -1, 0, 10, slices=slices)
    statements = tuple(Statement(shape, "psycopg", LINE) for shape in shapes)
    return Trace(
        number=1,
        process_id=1,
        method=method,
        route="/orders",
        status=200,
        started_at=0.0,
        start_ns=0,
        response_end_ns=10,
        end_ns=10,
        response_bytes=0,
        lanes=(lane,),
        statements=statements,
    )


def called(host: str) -> Slice:
    return Slice(0, 1, REMOTE, (host, 1, True, False), LINE)


@pytest.mark.parametrize(
    "shape",
    [
        "INSERT INTO orders (id) VALUES (?)",
        "insert into orders (id) values (?)",
        "UPDATE orders SET seen = ?",
        "DELETE FROM orders",
        "MERGE INTO orders USING new ON ?",
        "TRUNCATE orders",
        "COPY orders FROM STDIN",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone",
        "CREATE TABLE orders (id int)",
        "CREATE TEMPORARY TABLE orders (id int)",
        "DROP TABLE orders",
        "ALTER TABLE orders ADD COLUMN a int",
        "CALL archive(?)",
        "DO ?",
        "NOTIFY orders, ?",
        "REPLACE INTO orders VALUES (?)",
        "REFRESH MATERIALIZED VIEW totals",
        "SELECT pg_notify(?, ?)",
        "SELECT nextval(?)",
        "SELECT id INTO copies FROM orders",
        "SELECT ?; DELETE FROM orders",
        "BEGIN; UPDATE orders SET seen = ?",
    ],
)
def test_a_statement_that_changes_something_is_an_effect(shape: str) -> None:
    (effect,) = effects_of(trace(shapes=("SELECT ?", shape)))

    assert f"it writes: {' '.join(shape.split()[:3])}" == effect.says
    assert (LINE, "") == (effect.place, effect.host)


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT id FROM orders",
        "SELECT id FROM orders FOR UPDATE",
        "WITH seen AS (SELECT id FROM orders FOR NO KEY UPDATE) SELECT id FROM seen",
        "SELECT updated_at, created, do_not_call FROM updates",
        "SELECT currval(?)",
        "SELECT id FROM orders ORDER BY deleted; ",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT ?",
        "SET LOCAL statement_timeout = ?",
        "SHOW server_version",
        "EXPLAIN SELECT ?",
        "PRAGMA table_info(orders)",
    ],
)
def test_a_statement_that_reads_is_none(shape: str) -> None:
    assert () == effects_of(trace(shapes=(shape,)))


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT id FROM orders FOR UPDATE",
        "select id from orders for update skip locked",
        "SELECT id FROM orders\nFOR  SHARE OF orders",
        "SELECT id FROM orders FOR KEY SHARE NOWAIT",
        "WITH seen AS (SELECT id FROM orders FOR NO KEY UPDATE) SELECT id FROM seen",
    ],
)
def test_rows_that_are_read_may_be_locked(shape: str) -> None:
    assert locks_rows(trace(shapes=("SELECT ?", shape)))


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT id FROM orders",
        "SELECT share_of, for_update FROM orders",
        "SELECT substring(name FROM ? FOR ?) FROM orders",
    ],
)
def test_other_reads_lock_none(shape: str) -> None:
    assert not locks_rows(trace(shapes=(shape,)))


def test_a_mail_is_an_effect_wherever_it_goes() -> None:
    (effect,) = effects_of(trace(called("smtp 127.0.0.1:1025")))

    assert ("it sends a mail by 127.0.0.1:1025", LINE, "") == effect


@pytest.mark.parametrize("host", ["api.example.com:443", "10.0.0.7:80", "payments:8080"])
def test_a_call_of_another_machine_is_an_effect_with_its_host(host: str) -> None:
    (effect,) = effects_of(trace(called(host)))

    assert (f"it calls {host}", LINE, host.rpartition(":")[0]) == effect


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost:80", "[::1]:80", "0.0.0.0:80"])
def test_a_call_of_this_machine_is_none(host: str) -> None:
    assert () == effects_of(trace(called(host)))


def test_each_effect_is_named_once_and_writes_come_first() -> None:
    both = trace(called("a.example:1"), called("a.example:1"), shapes=("DELETE FROM a",) * 3)

    assert ["it writes: DELETE FROM a", "it calls a.example:1"] == [
        one.says for one in effects_of(both)
    ]


def test_a_cache_may_be_filled_by_a_read_and_by_nothing_else() -> None:
    used = Slice(0, 1, CACHE, "redis 127.0.0.1:6379", LINE)

    assert () == effects_of(trace(used))
    (effect,) = effects_of(trace(used, method="POST"))
    assert ("it may write to redis 127.0.0.1:6379", LINE, "") == effect


def test_a_statement_s_own_time_is_no_call() -> None:
    assert () == effects_of(trace(Slice(0, 1, SQL, 0), Slice(0, 1, REMOTE, None)))
