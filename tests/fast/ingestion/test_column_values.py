from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Annotated, Any, ForwardRef, Literal, NewType, TypedDict
from uuid import UUID

import asyncpg
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    NaiveDatetime,
    PastDate,
    SecretStr,
    create_model,
)

from tests.fast.doors import opened_source, run
from unslow.fast.errors import DefinitionError
from unslow.fast.ingestion.column_values import kind_of
from unslow.fast.ingestion.declaration import ingest


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Rank(IntEnum):
    LOW = 1
    HIGH = 2


class Inner(BaseModel):
    number: int = Field(alias="theNumber")
    at: datetime


class All(BaseModel):
    text: str | None
    whole: int | None
    big: int
    real: float
    exact: Decimal | None
    yes: bool | None
    uid: UUID
    day: date
    clock: time
    moment: datetime
    local: datetime
    length: timedelta | None
    raw: bytes | None
    colour: Colour
    named: Colour
    rank: Rank
    words: list[str]
    sums: list[list[int]]
    data: dict[str, Any] | None
    address: IPv4Address


DDL = """
CREATE TYPE colour AS ENUM ('red', 'blue');
CREATE TYPE named AS ENUM ('RED', 'BLUE');
CREATE TABLE everything (
    place bigserial, text varchar(40), whole int, big numeric, real float8, exact numeric,
    yes boolean, uid uuid, day date, clock time, moment timestamptz, local timestamp,
    length interval, raw bytea, colour colour, named named, rank smallint, words text[],
    sums int[], data jsonb, address inet
)
"""

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
exacts = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20))
whole_seconds = st.integers(-86_399, 86_399).map(lambda n: timezone(timedelta(seconds=n)))
rectangles = st.integers(1, 3).flatmap(
    lambda n: st.lists(st.lists(st.integers(-9, 9), min_size=n, max_size=n), min_size=1, max_size=2)
)
rows = st.builds(
    All.model_construct,
    text=st.none() | texts,
    whole=st.none() | st.integers(-(2**31), 2**31 - 1),
    big=st.integers(-(10**40), 10**40),
    real=st.floats(allow_nan=False),
    exact=st.none() | exacts,
    yes=st.none() | st.booleans(),
    uid=st.uuids(),
    day=st.dates(),
    clock=st.times(),
    moment=st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=whole_seconds)  # noqa: DTZ001  # the zone comes beside
    | st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()),  # noqa: DTZ001  # the same
    local=st.datetimes(),
    length=st.none() | st.timedeltas(timedelta(days=-9_999), timedelta(days=9_999)),
    raw=st.none() | st.binary(max_size=20),
    colour=st.sampled_from(Colour),
    named=st.sampled_from(Colour),
    rank=st.sampled_from(Rank),
    words=st.lists(texts, max_size=3),
    sums=rectangles,
    data=st.none() | st.dictionaries(texts, json_values, max_size=3),
    address=st.ip_addresses(v=4),
)


@pytest.fixture(scope="module")
def table_url(empty_url: str) -> str:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(DDL.encode())
    return empty_url


async def stored_with(door: str, url: str, events: list[All]) -> list[Any]:
    async with opened_source(door, url) as source:
        await ingest(All, source, table="everything").add_many(events)
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch("SELECT * FROM everything ORDER BY place")
        await connection.execute("TRUNCATE everything")
    finally:
        await connection.close()
    return [list(row.values())[1:] for row in found]


def as_read(event: All) -> list[Any]:
    values = dict(event.__dict__)
    if values["data"] is not None:
        values["data"] = json.loads(json.dumps(values["data"]))
    values.update(colour=event.colour.value, named=event.named.name, rank=int(event.rank))
    return list(values.values())


def comparable(values: list[Any]) -> list[Any]:
    names = list(All.model_fields)
    found = dict(zip(names, values, strict=True))
    if isinstance(found["data"], str):
        found["data"] = json.loads(found["data"])
    found["moment"] = found["moment"].astimezone(UTC)
    return list(found.values())


@pytest.mark.parametrize("door", ["asyncpg", "psycopg"])
@settings(
    max_examples=20,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(events=st.lists(rows, min_size=1, max_size=8))
def test_every_value_is_stored_as_it_is(door: str, table_url: str, events: list[All]) -> None:
    found = run(stored_with(door, table_url, events))

    assert [comparable(as_read(one)) for one in events] == [comparable(one) for one in found]


@pytest.mark.parametrize(
    ("kind", "column", "value", "stored"),
    [
        (float, "float8", float("inf"), "Infinity"),
        (float, "real", float("nan"), "NaN"),
        (int | float, "numeric", 3, "3"),
        (Decimal, "numeric", Decimal("NaN"), "NaN"),
        (Decimal, "numeric(6,2)", Decimal("1.10"), "1.10"),
        (timedelta, "interval", timedelta(days=2, seconds=-1), "1 day 23:59:59"),
        (timedelta, "interval", timedelta(microseconds=-1), "-1 days +23:59:59.999999"),
        (AnyUrl, "text", AnyUrl("http://a.b/c"), "http://a.b/c"),
        (PurePosixPath, "text", PurePosixPath("/a/b"), "/a/b"),
        (Literal["a", "b"], "char(1)", "a", "a"),
        (NewType("Number", int), "bigint", 2**62, str(2**62)),
        (Annotated[int, Field(gt=0)], "int", 4, "4"),
        (Any, "jsonb", [1, {"a": None}], '[1, {"a": null}]'),
        (dict[str, Any], "text", {"a": 1}, '{"a":1}'),
        (dict[str, Any] | None, "jsonb", None, None),
        (set[int], "int[]", {1}, "{1}"),
        (tuple[str, str], "text[]", ('a"b', "\\{}"), r'{"a\"b","\\{}"}'),
        (Colour | None, "text", Colour.RED, "red"),
        (Rank, "int", Rank.HIGH, "2"),
        (datetime, "text", datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00Z"),
        (AwareDatetime, "text", datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00Z"),
        (NaiveDatetime, "timestamp", datetime(2020, 1, 2), "2020-01-02 00:00:00"),  # noqa: DTZ001  # that it has none is the case
        (PastDate, "date", date(2020, 1, 2), "2020-01-02"),
        (str, "inet", "10.0.0.1", "10.0.0.1/32"),
    ],
)
def test_kinds_and_their_columns(
    empty_url: str, kind: Any, column: str, value: Any, stored: str | None
) -> None:
    found = run(_stored(empty_url, kind, column, value))

    assert stored == found


async def _stored(url: str, kind: Any, column: str, value: Any) -> str | None:
    model = create_model("One", value=(kind, ...), __config__=ConfigDict(extra="forbid"))
    async with opened_source("asyncpg", url, 1) as source:
        async with source.acquire() as connection:
            await connection.execute("DROP TABLE IF EXISTS one")
            await connection.execute(f"CREATE TABLE one (value {column})")
        await ingest(model, source, table="one").add(model.model_construct(value=value))
        async with source.acquire() as connection:
            found: str | None = await connection.fetchval("SELECT value::text FROM one")
            return found


def test_a_model_in_a_model_is_stored_as_it_is_sent(empty_url: str) -> None:
    inner = Inner(theNumber=3, at=datetime(2020, 1, 2, tzinfo=UTC))

    found = run(_stored(empty_url, Inner, "jsonb", inner))

    assert {"theNumber": 3, "at": "2020-01-02T00:00:00Z"} == json.loads(found or "")


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        (datetime, "timestamptz", datetime(2020, 1, 2)),  # noqa: DTZ001  # that it has none is the case
        (datetime, "timestamp", datetime(2020, 1, 2, tzinfo=UTC)),
        (time, "time", time(1, 2, tzinfo=UTC)),
        (dict[str, Any], "jsonb", {"a": float("nan")}),
        (str, "text", "a\0b"),
        (str, "varchar(2)", "abc"),
        (int, "smallint", 40_000),
        (Any, "jsonb", object()),
    ],
)
def test_a_value_that_would_be_changed_is_refused(
    empty_url: str, kind: Any, column: str, value: Any
) -> None:
    with pytest.raises((ValueError, asyncpg.DataError, asyncpg.PostgresError)):
        run(_stored(empty_url, kind, column, value))


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (bytes, "text"),
        (date, "timestamptz"),
        (list[datetime], "timestamptz[]"),
        (list[bytes], "bytea[]"),
        (list[timedelta], "interval[]"),
        (Colour, "rank_of_card"),
    ],
)
def test_a_column_that_would_change_all_values_is_refused(
    empty_url: str, kind: Any, column: str
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS one")
        connection.execute("DROP TYPE IF EXISTS rank_of_card")
        connection.execute("CREATE TYPE rank_of_card AS ENUM ('ace', 'red')")

    with pytest.raises(DefinitionError, match=r"One\.value"):
        run(_stored(empty_url, kind, column, None))


@pytest.mark.parametrize("kind", [SecretStr, complex, type])
def test_a_type_that_no_column_has_is_refused_where_it_is_declared(kind: Any) -> None:
    with pytest.raises(DefinitionError, match=r"leave it out with columns=\{field: None\}"):
        kind_of("One.value", kind)


def test_two_types_of_which_each_is_stored_in_its_own_way_are_refused() -> None:
    with pytest.raises(DefinitionError, match="several kinds \\(datetime, plain\\)"):
        kind_of("One.value", datetime | str)


def test_a_type_that_is_not_there_yet_is_told() -> None:
    with pytest.raises(DefinitionError, match=r"not there yet \(Later\): call model_rebuild"):
        kind_of("One.value", ForwardRef("Later"))


def test_data_of_any_shape_is_json() -> None:
    class Typed(TypedDict):
        number: int

    @dataclass
    class Plain:
        number: int

    kinds = {kind_of("One.value", one).name for one in (Typed, Plain, Inner, Any, dict, list[int])}

    assert {"json"} == kinds


def test_an_address_of_mail_is_text() -> None:
    assert "plain" == kind_of("One.value", EmailStr).name


def test_what_may_be_none_is_seen() -> None:
    may_be_none = [
        kind_of("One.value", one).may_be_none for one in (int, int | None, Any, Literal["a", None])
    ]

    assert [False, True, True, True] == may_be_none
