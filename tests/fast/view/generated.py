"""Tables, models and rows that are drawn, to hold a view's answers against FastAPI's own."""

from __future__ import annotations

import datetime
import decimal
import enum
import itertools
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model
from sqlalchemy import ForeignKey, Identity, MetaData, types
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Colour(enum.Enum):
    RED = "red"
    GREEN = "gr'een"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 20


TEXT = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12
) | st.sampled_from(["", '"', "\\", "\\u0041", "\u2028", "</script>", "é", "\x7f", "a\tb\n"])
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
PLAIN_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | TEXT
    # A double is written by Python and read by PostgreSQL, exactly.
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def decimals(places: int, digits: int) -> st.SearchStrategy[decimal.Decimal]:
    """Of so many places and digits in all."""
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(
        lambda number: decimal.Decimal(number).scaleb(-places)
    )


@dataclass(frozen=True)
class Kind:
    """A type of column, the values it holds, and what a model may say of it."""

    column: Callable[[], Any]
    values: st.SearchStrategy[Any]
    fields: tuple[Any, ...]
    special: tuple[str, ...] = ()
    """Values that only SQL can write."""


UTC = datetime.UTC
ZONES = st.sampled_from([UTC, datetime.timezone(datetime.timedelta(hours=5, minutes=30))])
TIMES = st.times() | st.times().map(lambda time: time.replace(microsecond=0))
FIRST = datetime.datetime(1, 1, 3)  # noqa: DTZ001  # in another zone it may be the year before
WHOLE_SECONDS = st.integers(0, 2 * 10**11).map(
    lambda seconds: FIRST + datetime.timedelta(seconds=seconds)
)
MOMENTS = WHOLE_SECONDS | st.datetimes(min_value=FIRST)
KINDS: dict[str, Kind] = {
    "integer": Kind(types.Integer, INT32, (int, float, Annotated[int, Field(ge=0)], Any, str)),
    "big": Kind(types.BigInteger, INT64, (int, float, Annotated[int, Field(lt=10, gt=-10)])),
    "small": Kind(types.SmallInteger, st.integers(-(2**15), 2**15 - 1), (int, bool)),
    "text": Kind(
        types.Text,
        TEXT,
        (str, Annotated[str, Field(max_length=5)], Annotated[str, Field(min_length=1)], Any),
    ),
    "string": Kind(
        lambda: types.String(20),
        TEXT | st.sampled_from(["red", "gr'een", "other"]),
        (str, Annotated[str, Field(max_length=20)], Colour, Literal["red", "gr'een"]),
    ),
    "char": Kind(lambda: types.CHAR(4), st.sampled_from(["", "a", "abcd"]), (str,)),
    "boolean": Kind(types.Boolean, st.booleans(), (bool, int)),
    "float": Kind(types.Float, st.floats(), (float, Annotated[float, Field(ge=0)], Any)),
    "double": Kind(types.Double, st.floats(), (float, float | None)),
    "real": Kind(types.REAL, st.floats(width=32), (float,)),
    "numeric": Kind(lambda: types.Numeric(12, 2), decimals(2, 12), (decimal.Decimal, float)),
    "numeric-6": Kind(
        lambda: types.Numeric(12, 6), decimals(6, 12), (decimal.Decimal,), ("'NaN'",)
    ),
    "numeric-10": Kind(lambda: types.Numeric(20, 10), decimals(10, 20), (decimal.Decimal,)),
    "numeric-any": Kind(types.Numeric, decimals(3, 9), (decimal.Decimal, str)),
    "numeric-float": Kind(lambda: types.Numeric(12, 2, asdecimal=False), decimals(2, 12), (float,)),
    "date": Kind(types.Date, st.dates(), (datetime.date, str), ("'infinity'", "'-infinity'")),
    "moment": Kind(
        lambda: types.DateTime(timezone=True),
        st.builds(lambda moment, zone: moment.replace(tzinfo=zone), MOMENTS, ZONES),
        (datetime.datetime, datetime.date),
        ("'infinity'", "'-infinity'"),
    ),
    "local": Kind(types.DateTime, MOMENTS, (datetime.datetime,), ("'infinity'",)),
    "time": Kind(types.Time, TIMES, (datetime.time,), ("'24:00'",)),
    "interval": Kind(
        types.Interval,
        st.timedeltas(datetime.timedelta(-10_000), datetime.timedelta(10_000)),
        (datetime.timedelta,),
    ),
    "uuid": Kind(types.Uuid, st.uuids(), (uuid.UUID, Any)),
    "uuid-text": Kind(lambda: types.Uuid(as_uuid=False), st.uuids().map(str), (str, uuid.UUID)),
    "bytes": Kind(types.LargeBinary, st.binary(max_size=6), (bytes,)),
    "enum": Kind(lambda: types.Enum(Colour), st.sampled_from(Colour), (Colour, str)),
    "enum-values": Kind(
        lambda: types.Enum(Colour, values_callable=lambda kind: [one.value for one in kind]),
        st.sampled_from(Colour),
        (Colour,),
    ),
    "enum-numbers": Kind(lambda: types.Enum(Level), st.sampled_from(Level), (Level, int)),
    "enum-texts": Kind(
        lambda: types.Enum("red", "blue", name="colours"),
        st.sampled_from(["red", "blue"]),
        (str, Literal["red", "blue"], Literal["red"], Colour),
    ),
    "jsonb": Kind(
        JSONB, PLAIN_JSON, (Any, dict[str, Any], dict[str, int]), ("'1e400'", "'[1.10, 1E-7]'")
    ),
    "json": Kind(types.JSON, PLAIN_JSON, (Any, dict[str, Any])),
    "integers": Kind(
        lambda: types.ARRAY(types.Integer),
        st.lists(INT32, max_size=4) | st.lists(st.none() | INT32, max_size=3),
        (list[int], list[int | None], Any),
        ("'{}'", "'{{1,2},{3,4}}'"),
    ),
    "floats": Kind(
        lambda: types.ARRAY(types.Numeric(12, 2, asdecimal=False)),
        st.lists(st.none() | decimals(2, 12), max_size=3),
        (list[float], list[float | None], Any),
    ),
    "texts": Kind(
        lambda: types.ARRAY(types.Text), st.lists(TEXT, max_size=3), (list[str], list[Any])
    ),
}

EXACT: dict[str, tuple[Any, ...]] = {
    "integer": (int, float, Annotated[int, Field(ge=0)]),
    "big": (int, Annotated[int, Field(lt=10, gt=-10)]),
    "small": (int,),
    "text": (str, Annotated[str, Field(max_length=5)], Annotated[str, Field(min_length=1)]),
    "string": (str, Annotated[str, Field(max_length=20)], Colour, Literal["red", "gr'een"]),
    "boolean": (bool,),
    "float": (float, Annotated[float, Field(ge=0)]),
    "double": (float,),
    "numeric": (decimal.Decimal,),
    "numeric-6": (decimal.Decimal,),
    "date": (datetime.date,),
    "moment": (datetime.datetime,),
    "local": (datetime.datetime,),
    "time": (datetime.time,),
    "uuid": (uuid.UUID,),
    "enum": (Colour,),
    "enum-values": (Colour,),
    "enum-numbers": (Level,),
    "enum-texts": (str, Literal["red", "blue"], Literal["red"]),
    "jsonb": (Any, dict[str, Any]),
    "integers": (list[int],),
    "texts": (list[str],),
}
"""What PostgreSQL can write: `docs/fast/view.md` has the same table."""

ROWS = 5
"""Of each drawn schema; each is a case."""

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Column:
    """A column as it was drawn."""

    name: str
    kind: str
    is_nullable: bool
    field: Any
    alias: str | None


@dataclass(frozen=True)
class Case:
    """A class with a list and one object below it, the model, and rows."""

    base: Any
    entity: Any
    model: type[BaseModel]
    rows: list[Any]
    """The objects to add; their keys count from 1."""
    updates: list[str]
    drawn: dict[str, list[Column]]
    """What was drawn, for who reads a failure."""


@st.composite
def columns(draw: st.DrawFn, prefix: str, *, exact: bool) -> list[Column]:
    """Some columns with some fields for them."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(sorted(EXACT if exact else KINDS)))
        field = draw(st.sampled_from(EXACT[kind] if exact else KINDS[kind].fields))
        nullable = draw(st.booleans())
        if nullable and draw(st.integers(0, 4)):
            field = field | None
        alias = draw(st.none() | st.sampled_from(["außen", 'with "quotes"', "camelCase"]))
        alias = None if alias is None else f"{alias}{number}"
        found.append(Column(f"{prefix}{number}", kind, nullable, field, alias))
    return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A case, with tables of its own."""
    number = next(_NUMBERS)
    exact = draw(st.integers(0, 3)) > 0
    own, items, one = (draw(columns(name, exact=exact)) for name in ("own", "item", "one"))

    class Base(DeclarativeBase):
        metadata = MetaData(schema=None)

    one_of = _entity(Base, f"one_{number}", one, {})
    owner = _entity(
        Base,
        f"owner_{number}",
        own,
        {
            "one_id": mapped_column(ForeignKey(f"one_{number}.id"), nullable=True),
            "one": relationship(one_of),
        },
    )
    item = _entity(
        Base,
        f"item_{number}",
        items,
        {"owner_id": mapped_column(ForeignKey(f"owner_{number}.id"))},
    )
    owner.items = relationship(item, order_by=item.id)
    one_is_optional = draw(st.booleans())
    one_model = _model("OneOut", one, {})
    model = _model(
        "OwnerOut",
        own,
        {
            "items": (list[_model("ItemOut", items, {})], ...),  # type: ignore[misc]  # known when it runs
            "one": (one_model | None if one_is_optional else one_model, ...),
        },
    )
    rows = []
    for number_of_row in range(1, ROWS + 1):
        row = owner(id=number_of_row, **_values(draw, own))
        row.items = [item(**_values(draw, items)) for _ in range(draw(st.integers(0, 3)))]
        if draw(st.integers(0, 4)):
            row.one = one_of(**_values(draw, one))
        rows.append(row)
    updates = [
        update
        for table, drawn_columns in ((owner, own), (item, items), (one_of, one))
        for update in _updates(draw, table.__tablename__, drawn_columns)
    ]
    drawn = {"own": own, "items": items, "one": one}
    return Case(Base, owner, model, rows, updates, drawn)


def _entity(base: Any, name: str, drawn: list[Column], more: dict[str, Any]) -> Any:
    attributes: dict[str, Any] = {
        "__tablename__": name,
        "id": mapped_column(types.Integer, Identity(), primary_key=True),
        "__annotations__": {"id": Mapped[int]},
    }
    for one in drawn:
        column = KINDS[one.kind].column()
        if isinstance(column, types.Enum):
            column.native_enum = False
        attributes[_attribute(one)] = mapped_column(one.name, column, nullable=one.is_nullable)
    return type(name.title(), (base,), attributes | more)


def _attribute(column: Column) -> str:
    """Validation reads the alias of the attribute, and by FastAPI's ways only that."""
    return column.alias or column.name


def _model(name: str, drawn: list[Column], more: dict[str, Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {"id": (int, ...)}
    for one in drawn:
        fields[one.name] = (one.field, Field(alias=one.alias) if one.alias else ...)
    model: type[BaseModel] = create_model(name, **fields, **more)
    return model


def _values(draw: st.DrawFn, drawn: list[Column]) -> dict[str, Any]:
    return {
        _attribute(one): draw(
            (st.none() | KINDS[one.kind].values) if one.is_nullable else KINDS[one.kind].values
        )
        for one in drawn
    }


def _updates(draw: st.DrawFn, table: str, drawn: list[Column]) -> list[str]:
    return [
        f"UPDATE {table} SET {one.name} = {draw(st.sampled_from(special))} WHERE id = 2"
        for one in drawn
        if (special := KINDS[one.kind].special) and not draw(st.integers(0, 5))
    ]


def canonical(body: bytes) -> Any:
    """A JSON value with its numbers as doubles and its keys in their order."""
    return json.loads(body, parse_int=float, object_pairs_hook=lambda pairs: ["object", *pairs])
