from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psycopg
import pytest
from pydantic import BaseModel, ValidationError

from tests.fast.doors import opened_source, run
from unslow.fast.errors import (
    DefinitionError,
    NotOpenError,
    OutcomeUnknownError,
    OverloadedError,
    PoolTimeoutError,
)
from unslow.fast.ingestion.batches import Added
from unslow.fast.ingestion.declaration import Ingest, ingest
from unslow.fast.ingestion.insertion import Insertion

NEW, REPEATED, UNKNOWN = Added(is_new=True), Added(is_new=False), Added(is_new=None)


class Event(BaseModel):
    event_id: UUID
    amount: int
    payload: dict[str, Any] = {}


@pytest.fixture
def url(empty_url: str) -> str:
    execute(empty_url, "DROP TABLE IF EXISTS events CASCADE; DROP SEQUENCE IF EXISTS tries")
    execute(
        empty_url,
        "CREATE TABLE events (id bigserial, event_id uuid UNIQUE, amount int CHECK (amount < 100),"
        " payload jsonb, at timestamptz DEFAULT now())",
    )
    return empty_url


def execute(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def amounts(url: str) -> list[int]:
    return [amount for (amount,) in execute(url, "SELECT amount FROM events ORDER BY id")]


def event(amount: int = 1, **fields: Any) -> Event:
    return Event(**{"event_id": uuid4(), "amount": amount, **fields})


@asynccontextmanager
async def opened(
    url: str, *, door: str = "asyncpg", size: int = 5, **options: Any
) -> AsyncIterator[Ingest[Event]]:
    async with (
        opened_source(door, url, size) as source,
        ingest(Event, source, table="events", **options) as events,
    ):
        yield events


@contextmanager
def locked(url: str) -> Iterator[psycopg.Connection]:
    """Nothing is stored until the block ends."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        yield connection


async def blocked(connection: psycopg.Connection) -> list[int]:
    """The process ids of the statements that wait for the lock, once there is one."""
    while True:
        found = connection.execute("SELECT pid FROM pg_locks WHERE NOT granted").fetchall()
        if found:
            return [pid for (pid,) in found]
        await asyncio.sleep(0)


async def started(coroutine: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


def fail_first(url: str, count: int, code: str) -> None:
    """The first so many statements fail with this code."""
    execute(
        url,
        f"""CREATE SEQUENCE tries;
        CREATE OR REPLACE FUNCTION fail_first() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('tries') <= {count} THEN RAISE EXCEPTION USING ERRCODE = '{code}'; END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER first BEFORE INSERT ON events FOR EACH STATEMENT
        EXECUTE FUNCTION fail_first();""",
    )


# What is stored


def test_an_event_is_committed_when_it_is_acknowledged(door: str, url: str) -> None:
    async def check() -> tuple[Added, list[Any]]:
        async with opened(url, door=door) as events:
            added = await events.add(event(7, payload={"a": [1, None, "\u00e9"]}))
            return added, execute(url, "SELECT amount, payload FROM events")

    assert (NEW, [(7, {"a": [1, None, "\u00e9"]})]) == run(check())


def test_bytes_are_validated_and_stored_with_the_models_defaults(door: str, url: str) -> None:
    async def check() -> None:
        async with opened(url, door=door) as events:
            await events.add(b'{"event_id": "12345678123456781234567812345678", "amount": "5"}')

    run(check())

    stored = execute(url, "SELECT event_id::text, amount, payload FROM events")
    assert [("12345678-1234-5678-1234-567812345678", 5, {})] == stored


def test_bytes_that_are_not_the_model_raise_pydantics_error_and_nothing_is_sent(url: str) -> None:
    async def check() -> int:
        async with opened(url) as events:
            with pytest.raises(ValidationError, match="amount"):
                await events.add(json.dumps({"event_id": str(uuid4())}).encode())
            return events.statement_count

    assert 0 == run(check())


def test_what_is_neither_the_model_nor_json_is_refused(url: str) -> None:
    async def check() -> None:
        async with opened(url) as events:
            await events.add({"event_id": uuid4()})  # type: ignore[arg-type]  # that is the mistake

    with pytest.raises(TypeError, match="got a dict; wanted a Event"):
        run(check())


def test_events_of_concurrent_calls_share_statements(door: str, url: str) -> None:
    async def check() -> int:
        async with opened(url, door=door) as events:
            await asyncio.gather(*(events.add(event(n)) for n in range(50)))
            return events.statement_count

    statement_count = run(check())

    assert list(range(50)) == sorted(amounts(url))
    assert statement_count <= 3


def test_events_that_come_one_after_another_are_stored_on_one_connection(url: str) -> None:
    given_back = []

    async def reset(connection: Any) -> None:
        given_back.append(connection)

    async def case() -> int:
        async with (
            asyncpg.create_pool(url, min_size=0, max_size=5, reset=reset) as pool,
            ingest(Event, pool, table="events") as events,
        ):
            given_back.clear()
            for amount in range(20):
                await events.add(event(amount))
            return len(given_back)

    assert 0 == run(case())
    assert 1 == len(given_back)
    assert [*range(20)] == amounts(url)


def test_a_statement_has_no_more_events_than_max_batch(url: str) -> None:
    async def check() -> int:
        async with opened(url, max_batch=10) as events:
            await asyncio.gather(*(events.add(event(n)) for n in range(40)))
            return events.statement_count

    assert 4 <= run(check())


def test_a_longer_text_than_a_statement_should_have_goes_in_several(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unslow.fast.ingestion.group_commit.MAX_TEXT_CHARACTERS", 1_000)

    async def check() -> None:
        async with opened(url) as events:
            large = {"text": "x" * 400}
            await asyncio.gather(*(events.add(event(n, payload=large)) for n in range(9)))

    run(check())

    assert list(range(9)) == sorted(amounts(url))


def test_columns_of_other_names_and_fields_left_out(url: str) -> None:
    class Payment(BaseModel):
        number: UUID
        total: int
        signature: str

    async def check() -> None:
        async with opened_source("asyncpg", url) as source:
            payments = ingest(
                Payment,
                source,
                table="events",
                schema="public",
                columns={"number": "event_id", "total": "amount", "signature": None},
                key="number",
            )
            await payments.add(Payment(number=uuid4(), total=3, signature="s"))

    run(check())

    assert [3] == amounts(url)


def test_names_that_need_quotes(empty_url: str) -> None:
    class Odd(BaseModel):
        odd_field: int

    execute(empty_url, 'DROP SCHEMA IF EXISTS "Od""d" CASCADE; CREATE SCHEMA "Od""d"')
    execute(empty_url, 'CREATE TABLE "Od""d"."Ta ble" ("Größe ""x" int UNIQUE)')

    async def check() -> Added:
        async with opened_source("psycopg", empty_url) as source:
            odd = ingest(
                Odd,
                source,
                table="Ta ble",
                schema='Od"d',
                columns={"odd_field": 'Größe "x'},
                key="odd_field",
            )
            return await odd.add(Odd(odd_field=3))

    assert NEW == run(check())


# One bad row


def test_a_bad_row_fails_alone_with_the_drivers_own_error(door: str, url: str) -> None:
    async def check() -> list[Any]:
        async with opened(url, door=door) as events:
            calls = [events.add(event(n if n % 13 else 200)) for n in range(40)]
            return await asyncio.gather(*calls, return_exceptions=True)

    results = run(check())

    assert [n for n in range(40) if n % 13] == sorted(amounts(url))
    for n, result in enumerate(results):
        assert (result == NEW) if n % 13 else (result.sqlstate == "23514")


def test_a_value_that_cannot_be_written_fails_alone(url: str) -> None:
    async def check() -> list[Any]:
        async with opened(url) as events:
            bad = event(2, payload={"a": object()})
            calls = [events.add(one) for one in (event(1), bad, event(3))]
            return await asyncio.gather(*calls, return_exceptions=True)

    first, second, third = run(check())

    assert (NEW, NEW) == (first, third)
    assert isinstance(second, ValueError)
    assert [1, 3] == amounts(url)


def test_events_of_one_call_are_stored_all_or_none(door: str, url: str) -> None:
    async def check() -> list[Any]:
        async with opened(url, door=door) as events:
            calls = [
                events.add_many([event(1), event(200)]),
                events.add_many([event(2), event(3)]),
                events.add_many([]),
            ]
            return await asyncio.gather(*calls, return_exceptions=True)

    bad, good, none = run(check())

    assert "23514" == bad.sqlstate
    assert [NEW, NEW] == good
    assert [] == none
    assert [2, 3] == amounts(url)


def test_an_error_that_is_of_no_row_is_not_looked_for_in_halves(url: str) -> None:
    async def check() -> tuple[int, list[Any]]:
        async with opened(url) as events:
            execute(url, "ALTER TABLE events RENAME TO gone")
            calls = [events.add(event(n)) for n in range(30)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            return events.statement_count, results

    try:
        statement_count, results = run(check())
    finally:
        execute(url, "ALTER TABLE gone RENAME TO events")

    assert statement_count <= 3
    assert {"42P01"} == {one.sqlstate for one in results}


# Keys


def test_an_event_that_comes_again_is_stored_once_and_acknowledged_each_time(
    door: str, url: str
) -> None:
    async def check() -> list[Added]:
        async with opened(url, door=door, key="event_id") as events:
            one = event(1)
            return [await events.add(one), await events.add(one), await events.add(event(2))]

    assert [NEW, REPEATED, NEW] == run(check())
    assert [1, 2] == amounts(url)


def test_two_of_the_same_key_in_one_statement_are_one_row(door: str, url: str) -> None:
    async def check() -> list[Added]:
        async with opened(url, door=door, key="event_id") as events:
            one = event(1)
            return await events.add_many([event(2), one, one, one])

    assert [NEW, NEW, REPEATED, REPEATED] == run(check())
    assert [1, 2] == sorted(amounts(url))


def test_a_key_of_several_fields(url: str) -> None:
    execute(url, "ALTER TABLE events ADD UNIQUE (amount, event_id)")

    async def check() -> list[Added]:
        async with opened(url, key=("event_id", "amount")) as events:
            one = event(1)
            return [await events.add(one), await events.add(one)]

    assert [NEW, REPEATED] == run(check())


def test_keys_are_stored_in_their_order_so_that_two_statements_never_wait_in_a_ring(
    url: str,
) -> None:
    low, high = sorted(uuid4() for _ in range(2))
    store = "INSERT INTO events (event_id) VALUES (%s)"

    async def check() -> tuple[list[Added], int]:
        async with opened(url, key="event_id") as events:
            with psycopg.connect(url) as other:
                other.execute(store, [low])
                both = [event(1, event_id=high), event(2, event_id=low)]
                task = await started(events.add_many(both))
                await blocked(other)
                other.execute(store, [high])
            return await task, events.statement_count

    # After a deadlock it would have been sent again.
    assert ([REPEATED, REPEATED], 1) == run(check())


def test_without_a_key_what_comes_again_is_a_unique_violation(door: str, url: str) -> None:
    async def check() -> list[Any]:
        async with opened(url, door=door) as events:
            one = event(1)
            calls = [events.add(one), events.add(one), events.add(event(2))]
            return await asyncio.gather(*calls, return_exceptions=True)

    first, second, third = run(check())

    assert (NEW, "23505", NEW) == (first, second.sqlstate, third)


def test_with_nothing_on_conflict_any_conflict_is_left_out(url: str) -> None:
    execute(url, "ALTER TABLE events ADD UNIQUE (amount)")

    async def check() -> tuple[list[Added], list[Added]]:
        async with opened(url, on_conflict="nothing") as events:
            unkeyed = [await events.add(event(1)), await events.add(event(1))]
        async with opened(url, on_conflict="nothing", key="event_id") as events:
            return unkeyed, [await events.add(event(1)), await events.add(event(2))]

    assert ([UNKNOWN, UNKNOWN], [REPEATED, NEW]) == run(check())
    assert [1, 2] == amounts(url)


def test_a_conflict_that_is_not_of_the_key_fails(url: str) -> None:
    execute(url, "ALTER TABLE events ADD UNIQUE (amount)")

    async def check() -> None:
        async with opened(url, key="event_id") as events:
            await events.add_many([event(1), event(1)])

    with pytest.raises(asyncpg.UniqueViolationError):
        run(check())


# What goes wrong with the connection


def test_a_serialization_failure_is_tried_again(door: str, url: str) -> None:
    fail_first(url, 2, "40001")

    async def check() -> Added:
        async with opened(url, door=door) as events:
            return await events.add(event(1))

    assert NEW == run(check())
    assert [1] == amounts(url)


def test_a_deadlock_is_tried_again_so_often_and_no_more(url: str) -> None:
    fail_first(url, 99, "40P01")

    async def check() -> int:
        async with opened(url) as events:
            with pytest.raises(asyncpg.DeadlockDetectedError):
                await events.add(event(1))
            return events.statement_count

    assert 3 == run(check())


def test_with_a_key_what_was_lost_is_stored_on_another_connection(door: str, url: str) -> None:
    async def check() -> list[Added]:
        async with opened(url, door=door, key="event_id", size=2) as events:
            with locked(url) as connection:
                tasks = [await started(events.add(event(n))) for n in range(3)]
                for pid in await blocked(connection):
                    connection.execute("SELECT pg_terminate_backend(%s)", [pid])
            return [await task for task in tasks]

    assert [NEW] * 3 == run(check())
    assert [0, 1, 2] == sorted(amounts(url))


def test_a_cancelled_event_that_was_lost_on_its_way_is_still_stored(url: str) -> None:
    async def check() -> None:
        async with opened(url, key="event_id") as events:
            with locked(url) as connection:
                task = await started(events.add(event(1)))
                (pid,) = await blocked(connection)
                task.cancel()
                await asyncio.wait([task])
                connection.execute("SELECT pg_terminate_backend(%s)", [pid])

    run(check())

    assert [1] == amounts(url)


def test_without_a_key_what_was_lost_is_told_as_unknown_and_not_sent_again(
    door: str, url: str
) -> None:
    async def check() -> int:
        async with opened(url, door=door, workers=1) as events:
            with locked(url) as connection:
                lost = await started(events.add(event(1)))
                (pid,) = await blocked(connection)
                waiting = await started(events.add(event(2)))
                connection.execute("SELECT pg_terminate_backend(%s)", [pid])
                with pytest.raises(OutcomeUnknownError, match="look for it before") as caught:
                    await lost
            assert NEW == await waiting
            assert not caught.value.is_safe_to_repeat
            return events.statement_count

    assert 2 == run(check())
    assert [2] == amounts(url)


def test_an_answer_lost_after_the_commit_doubles_nothing_with_a_key(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = Insertion.insert
    calls = []

    async def lose_first_answer(self: Insertion, connection: Any, text: str) -> Any:
        found = await insert(self, connection, text)
        calls.append(text)
        if len(calls) == 1:
            raise ConnectionResetError
        return found

    monkeypatch.setattr(Insertion, "insert", lose_first_answer)

    async def check() -> Added:
        async with opened(url, key="event_id") as events:
            return await events.add(event(1))

    assert UNKNOWN == run(check())
    assert [1] == amounts(url)


def test_with_a_key_it_is_given_up_in_the_end_and_safe_to_repeat(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(*_: Any) -> Any:
        raise ConnectionResetError

    monkeypatch.setattr(Insertion, "insert", lose)

    async def check() -> int:
        async with opened(url, key="event_id") as events:
            with pytest.raises(OutcomeUnknownError, match="send it again") as caught:
                await events.add(event(1))
            assert caught.value.is_safe_to_repeat
            return events.statement_count

    assert 3 == run(check())


def test_where_the_driver_gives_up_waiting_the_outcome_is_unknown(url: str) -> None:
    async def check() -> None:
        async with (
            asyncpg.create_pool(url, min_size=0, command_timeout=0.1) as pool,
            ingest(Event, pool, table="events") as events,
        ):
            with locked(url):
                await events.add(event(1))

    with pytest.raises(OutcomeUnknownError, match="TimeoutError"):
        run(check())


def test_a_connection_that_was_closed_in_the_pool_costs_nothing(door: str, url: str) -> None:
    async def check() -> Added:
        async with opened(url, door=door, key="event_id", size=1) as events:
            await events.add(event(1))
            others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            execute(
                url,
                f"SELECT pg_terminate_backend(pid) FROM ({others}) a WHERE pid <> pg_backend_pid()",
            )
            return await events.add(event(2))

    assert NEW == run(check())
    assert [1, 2] == amounts(url)


def test_no_free_connection_in_time_raises_and_the_next_event_is_stored(
    door: str, url: str
) -> None:
    async def check() -> Added:
        async with opened_source(door, url, 1) as source:
            events = ingest(Event, source, table="events", timeout_s=0.05)
            async with events._commit._database.connect():
                with pytest.raises(PoolTimeoutError):
                    await events.add(event(1))
            return await events.add(event(2))

    assert NEW == run(check())
    assert [2] == amounts(url)


# Back-pressure, cancellation, the end


def test_more_than_max_waiting_is_refused_and_the_rest_is_stored(url: str) -> None:
    async def check() -> float:
        async with opened(url, workers=1, max_waiting=2) as events:
            await events.add(event(0))
            with locked(url) as connection:
                tasks = [await started(events.add(event(1)))]
                await blocked(connection)
                tasks += [await started(events.add(event(n))) for n in (2, 3)]
                with pytest.raises(OverloadedError, match="2 events wait") as caught:
                    await events.add(event(4))
            await asyncio.gather(*tasks)
            return caught.value.retry_after_s

    assert 1.0 == run(check())
    assert [0, 1, 2, 3] == amounts(url)


def test_a_cancelled_event_is_taken_out_only_while_it_waits(url: str) -> None:
    async def check() -> None:
        async with opened(url, workers=1, max_waiting=1) as events:
            with locked(url) as connection:
                on_its_way = await started(events.add(event(1)))
                await blocked(connection)
                waiting = await started(events.add(event(2)))
                for task in (on_its_way, waiting):
                    task.cancel()
                await asyncio.wait([on_its_way, waiting])
                last = await started(events.add(event(3)))
            await last

    run(check())

    assert [1, 3] == amounts(url)


def test_a_cancelled_event_is_not_sent_where_its_connection_was_waited_for(url: str) -> None:
    async def check() -> None:
        async with opened_source("asyncpg", url, 1) as source:
            events = ingest(Event, source, table="events")
            async with source.acquire():
                first = await started(events.add(event(1)))
                second = await started(events.add(event(2)))
                first.cancel()
                await asyncio.wait([first])
            await second

    run(check())

    assert [2] == amounts(url)


def test_closing_waits_for_what_came_and_takes_no_more(url: str) -> None:
    async def check() -> None:
        async with opened(url, workers=1) as events:
            with locked(url) as connection:
                tasks = [await started(events.add(event(1)))]
                await blocked(connection)
                tasks.append(await started(events.add(event(2))))
                closing = await started(events.close())
                with pytest.raises(NotOpenError):
                    await events.add(event(3))
            await closing
            assert all(task.done() for task in tasks)
            async with events:
                await events.add(event(4))

    run(check())

    assert [1, 2, 4] == amounts(url)


def test_it_serves_one_event_loop_after_another(url: str) -> None:
    sources: list[Any] = []
    events = ingest(Event, lambda: sources[-1], table="events")

    async def check(amount: int) -> None:
        async with opened_source("asyncpg", url) as source:
            sources.append(source)
            await events.add(event(amount))

    run(check(1))
    run(check(2))

    assert [1, 2] == amounts(url)


# Declarations


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "number"}, "got 'number' as key"),
        ({"key": "payload", "columns": {"payload": None}}, "got 'payload' as key"),
        ({"columns": {"number": "id"}}, "has no field number"),
        ({"columns": {"amount": "event_id"}}, "each once"),
        ({"columns": dict.fromkeys(Event.model_fields)}, "at least one"),
        ({"on_conflict": "ignore"}, "got on_conflict='ignore'"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_a_declaration_that_cannot_be_kept_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        ingest(Event, lambda: None, table="events", **options)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(DefinitionError, match="got <class 'dict'> as model"):
        ingest(dict, lambda: None, table="events")  # type: ignore[type-var]  # that is the mistake


def test_it_needs_no_web_framework() -> None:
    frameworks = "{'fastapi', 'starlette'} & {*sys.modules}"
    code = f"import sys, unslow.fast.ingestion.declaration; print(*{frameworks})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    assert b"" == loaded.stdout.strip()


def test_a_key_that_may_be_none_is_refused() -> None:
    class Loose(BaseModel):
        event_id: UUID | None

    with pytest.raises(DefinitionError, match="may be None"):
        ingest(Loose, lambda: None, table="events", key="event_id")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "none"}, 'no table "none"'),
        ({"table": "events", "schema": "pg_catalog"}, 'no table "pg_catalog"."events"'),
        ({"table": "events", "columns": {"amount": "sum"}}, "has no column sum"),
        ({"table": "events", "key": "amount"}, r'ADD UNIQUE \("amount"\)'),
        ({"table": "events", "key": ("event_id", "amount")}, "ADD UNIQUE"),
    ],
)
def test_a_table_that_is_not_as_declared_is_told_at_the_start(
    door: str, url: str, options: dict[str, Any], message: str
) -> None:
    async def check() -> None:
        async with opened_source(door, url) as source, ingest(Event, source, **options):
            pass

    with pytest.raises(DefinitionError, match=message):
        run(check())


@pytest.mark.parametrize(
    "index",
    ["(amount) WHERE amount > 0", "((amount + 1))", "(amount, event_id)", "(amount) INCLUDE (id)"],
)
def test_only_an_index_that_on_conflict_takes_will_do(url: str, index: str) -> None:
    execute(url, f"CREATE UNIQUE INDEX ON events {index}")

    async def check() -> None:
        async with opened(url, key="amount") as events:
            await events.add(event(1))

    if "INCLUDE" in index:
        run(check())
    else:
        with pytest.raises(DefinitionError, match="ADD UNIQUE"):
            run(check())


def test_codecs_that_the_app_has_put_on_its_connections_change_nothing(url: str) -> None:
    async def prepare(connection: Any) -> None:
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(
                kind, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )

    async def check() -> None:
        async with (
            asyncpg.create_pool(url, min_size=0, init=prepare) as pool,
            ingest(Event, pool, table="events", key="event_id") as events,
        ):
            await events.add(event(1, payload={"a": 1}))

    run(check())

    assert [({"a": 1},)] == execute(url, "SELECT payload FROM events")
