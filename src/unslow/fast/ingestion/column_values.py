"""Which Python values a column takes, and how they are written as JSON so that none is changed.

A value that could be stored as another one - a time without a zone where the column has one, a
secret as stars - is refused: the type where the block is declared, the value with its row.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import PurePath
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    NamedTuple,
    NewType,
    Protocol,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)
from uuid import UUID

from pydantic import (
    AnyUrl,
    AwareDatetime,
    BaseModel,
    EmailStr,
    FutureDate,
    FutureDatetime,
    NaiveDatetime,
    PastDate,
    PastDatetime,
)

from ..errors import DefinitionError

Writer: TypeAlias = Callable[[Any], Any]
"""From a value that is not None to one whose JSON PostgreSQL reads as the column's type."""

_KINDS: Final[tuple[tuple[str, tuple[type, ...]], ...]] = (
    ("enum", (Enum,)),
    ("plain", (str, int, Decimal, UUID, EmailStr)),
    ("float", (float,)),
    ("datetime", (datetime, AwareDatetime, NaiveDatetime, PastDatetime, FutureDatetime)),
    ("date", (date, PastDate, FutureDate)),
    ("time", (time,)),
    ("timedelta", (timedelta,)),
    ("bytes", (bytes,)),
    (
        "text",
        (
            AnyUrl,
            PurePath,
            IPv4Address,
            IPv4Interface,
            IPv4Network,
            IPv6Address,
            IPv6Interface,
            IPv6Network,
        ),
    ),
    ("json", (Mapping, list, tuple, set, frozenset, BaseModel)),
)
"""The first that fits: a datetime is a date, and many an enum is a str."""

_NOT_IN_ARRAYS: Final = ("timestamp", "time ", "interval", "bytea")
"""How types begin whose values would need a look at each element."""


class ColumnType(Protocol):
    """What is to be known of a column."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """Its type's, without length or precision."""

    @property
    def labels(self) -> Collection[str]:
        """Those of an enum type; empty for other types."""


class Kind(NamedTuple):
    """What values a field may have."""

    name: str
    may_be_none: bool
    members: Collection[Enum] = ()


def kind_of(field: str, annotation: Any) -> Kind:
    """The kind of a field.

    Raises:
        DefinitionError: Its values cannot be stored as they are, or no one column takes them all.
    """
    leaves = list(_leaves(annotation))
    types = [one for one in leaves if one is not NoneType]
    names = {_kind(field, one) for one in types} or {"plain"}
    return Kind(
        _one_of(field, names),
        may_be_none=NoneType in leaves or object in leaves,
        members=[member for one in types if _is(one, Enum) for member in one],
    )


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, one by one."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for one in get_args(annotation):
            yield from _leaves(one)
    elif origin is Literal:
        yield from {type(value) for value in get_args(annotation)}
    elif isinstance(annotation, NewType):
        yield from _leaves(annotation.__supertype__)
    elif hasattr(annotation, "__value__"):
        yield from _leaves(annotation.__value__)
    elif annotation is None:
        yield NoneType
    else:
        yield object if annotation is Any else origin or annotation


def _kind(field: str, leaf: Any) -> str:
    if leaf is object or dataclasses.is_dataclass(leaf) or is_typeddict(leaf):
        return "json"
    if isinstance(leaf, ForwardRef):
        raise DefinitionError(
            f"{field} names a type that was not there yet ({leaf.__forward_arg__}): call "
            "model_rebuild() of its model first"
        )
    for name, types in _KINDS:
        if any(_is(leaf, one) for one in types):
            return name
    raise DefinitionError(
        f"{field} is of type {getattr(leaf, '__name__', leaf)}, of which it is not known how it is "
        "stored: declare it as a type that a column has (str, int, datetime, UUID, dict ...), or "
        "leave it out with columns={field: None}"
    )


def _is(leaf: Any, kind: type) -> bool:
    return isinstance(leaf, type) and issubclass(leaf, kind)


def _one_of(field: str, names: Collection[str]) -> str:
    """The kind that takes them all."""
    if "json" in names:
        return "json"
    if set(names) == {"plain", "float"}:
        return "float"
    if len(names) > 1:
        raise DefinitionError(
            f"{field} may be of several kinds ({', '.join(sorted(names))}), and each is stored in "
            "its own way: declare one of them"
        )
    (name,) = names
    return name


def writer_for(field: str, kind: Kind, column: ColumnType) -> Writer | None:
    """How the values of a field are written for its column; `None` if they are already right.

    Raises:
        DefinitionError: The column would change them.
    """
    if not _fits(kind.name, column.type):
        raise DefinitionError(
            f"{field} holds {kind.name} and the column {column.name} is {column.type}, which would "
            "change or refuse its values: change the one or the other"
        )
    if kind.name == "enum":
        return _enum_writer(field, kind.members, column)
    if kind.name == "datetime" and column.type == "timestamp with time zone":
        return _with_zone
    if kind.name in {"datetime", "time"} and column.type.endswith("without time zone"):
        return _without_zone
    return _WRITERS.get(kind.name)


def _fits(kind: str, column_type: str) -> bool:
    if kind == "json":
        return not (column_type.endswith("[]") and column_type.startswith(_NOT_IN_ARRAYS))
    if kind == "bytes":
        return column_type == "bytea"
    # Midnight where? The zone of the session would say.
    return kind != "date" or column_type != "timestamp with time zone"


def _enum_writer(field: str, members: Collection[Enum], column: ColumnType) -> Writer | None:
    """By value, or by name where the labels of the type are the names, as SQLAlchemy makes them."""
    labels = set(column.labels)
    if not labels or {one.value for one in members} <= labels:
        return None
    if {one.name for one in members} <= labels:
        return _name
    raise DefinitionError(
        f"the labels of {column.type} have neither all values nor all names of the enum of {field}:"
        " add those that are missing with ALTER TYPE ... ADD VALUE"
    )


def _name(value: Enum) -> str:
    return value.name


def _with_zone(value: datetime) -> str:
    if value.utcoffset() is None:
        raise ValueError("got a time without a zone for a column that has one; wanted an offset")
    # PostgreSQL takes no offset of 16 hours or more, and pydantic writes none with seconds.
    return value.astimezone(UTC).isoformat()


def _without_zone(value: datetime | time) -> str:
    if value.tzinfo is not None:
        raise ValueError("got a time with a zone for a column that has none; wanted no offset")
    return value.isoformat()


def _float(value: Any) -> Any:
    """JSON has no word for what is not finite; PostgreSQL reads that from a string."""
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _interval(value: timedelta) -> str:
    # With a sign for each, or the first would hold for all where IntervalStyle says so.
    return f"{value.days:+d} days {value.seconds:+d} seconds {value.microseconds:+d} microseconds"


def _bytea(value: bytes) -> str:
    return "\\x" + value.hex()


_WRITERS: Final[Mapping[str, Writer]] = {
    "float": _float,
    "timedelta": _interval,
    "bytes": _bytea,
    "text": str,
}
