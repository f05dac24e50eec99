"""How PostgreSQL writes a column as the JSON that pydantic would have written.

For each (column type, field type) that stands in `docs/fast/view.md` as exact there is an
expression here; anything else is read as rows. A value that FastAPI would refuse, or that only
Python can write, becomes `MARK`: who reads the JSON finds it and reads that answer another way.
Nothing here depends on the session's settings, except that of `extra_float_digits`, which the
statement checks itself.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, literal_column, or_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import (
    ARRAY,
    CHAR,
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Numeric,
    String,
    Time,
    TypeEngine,
    Uuid,
)

from ..statements import result_processor
from .needs import Leaf, Schema

Expression: TypeAlias = ColumnElement[Any]

MARK: Final = "\x01"
"""Stands in no JSON: control characters are escaped there (RFC 8259, section 7)."""
MARK_TEXT: Final[Expression] = literal_column("E'\\x01'", Text)
_BACKSLASH: Final = "\\"
_CHECKED: Final = frozenset(
    {"type", "ge", "gt", "le", "lt", "max_length", "min_length", "metadata"}
)
"""What a schema may ask of a value that an expression can check."""


class InexactError(Exception):
    """There is no expression that is sure to give what pydantic gives; says why."""


def json_text(leaf: Leaf, column: Expression, *, trust_database: bool, driver: str) -> Expression:
    """The JSON of a column's value as text.

    Args:
        leaf: The field.
        column: Its column, of the alias that the statement reads it from.
        trust_database: Whether constraints of the field are left to the database.
        driver: `asyncpg` or `psycopg`: they give some types in different ways.

    Raises:
        InexactError: There is no such expression.
    """
    kind = leaf.column.type
    written = _written(kind, leaf.schema, column, driver)
    checks = [] if trust_database else _checks(kind, leaf.schema, column)
    cases: list[tuple[Any, Any]] = []
    if leaf.column.nullable or leaf.is_optional:
        cases.append((column.is_(None), "null" if leaf.is_optional else MARK_TEXT))
    cases += [(check, MARK_TEXT) for check in checks]
    whens = [
        (condition, literal_column(f"'{what}'", Text) if isinstance(what, str) else what)
        for condition, what in cases
    ]
    return case(*whens, else_=written) if whens else written


def _written(kind: TypeEngine[Any], schema: Schema, column: Expression, driver: str) -> Expression:
    wanted = schema["type"]
    for known, (types, write) in _WRITERS.items():
        if wanted == known and isinstance(kind, types):
            return write(kind, schema, column, driver)
    raise InexactError(f"{type(kind).__name__} as {wanted} is not in the table")


def _integer(_kind: Any, _schema: Schema, column: Expression, _driver: str) -> Expression:
    return cast(column, Text)


def _text(kind: Any, _schema: Schema, column: Expression, _driver: str) -> Expression:
    if getattr(kind, "enum_class", None):
        raise InexactError(f"its values come as {kind.enum_class.__name__}")
    if isinstance(kind, CHAR):
        raise InexactError("CHAR pads its values with blanks")
    return cast(func.to_json(column), Text)


def _boolean(_kind: Any, _schema: Schema, column: Expression, _driver: str) -> Expression:
    return case((column, constant("true")), else_=constant("false"))


def _float(kind: Any, schema: Schema, column: Expression, driver: str) -> Expression:
    if isinstance(kind, Integer):
        if isinstance(kind, BigInteger):
            raise InexactError("a BigInteger may have more digits than a float holds")
        return _integer(kind, schema, column, driver)
    if isinstance(kind, REAL) or (kind.precision or 53) <= 24:
        raise InexactError("drivers give a float of 4 bytes in different ways")
    if isinstance(kind, Float) and kind.asdecimal:
        raise InexactError("its values come as Decimal")
    if not isinstance(kind, Float):
        raise InexactError(f"{type(kind).__name__} as float is not in the table")
    text = cast(column, Text)
    # pydantic writes null for what JSON has no number for.
    others = [text == constant(one) for one in ("NaN", "Infinity", "-Infinity")]
    # Below 1 a text has fewer digits than the double (PostgreSQL, "Client Connection Defaults").
    digits = cast(func.current_setting(constant("extra_float_digits")), Integer)
    is_rounded = digits < literal_column("1")
    return case((is_rounded, MARK_TEXT), (or_(*others), constant("null")), else_=text)


def _decimal(kind: Any, _schema: Schema, column: Expression, _driver: str) -> Expression:
    if isinstance(kind, Float) or not kind.asdecimal:
        raise InexactError("its values come as float")
    # Of more than 6 places Python writes small ones as 1E-7.
    if kind.scale is None or not 0 <= kind.scale <= 6:
        raise InexactError("a Numeric without a scale of at most 6 is written in two ways")
    text = cast(column, Text)
    return case((text == constant("NaN"), MARK_TEXT), else_=_quoted(text))


def _date(_kind: Any, _schema: Schema, column: Expression, _driver: str) -> Expression:
    written = cast(func.to_json(column), Text)
    return case((_has_python_years(column, "date"), written), else_=MARK_TEXT)


def _datetime(kind: Any, _schema: Schema, column: Expression, driver: str) -> Expression:
    if not kind.timezone:
        written = _with_six_digits(column, "timestamp(0)", 20, "")
        return case((_has_python_years(column, "timestamp"), written), else_=MARK_TEXT)
    if driver != "asyncpg":
        raise InexactError("psycopg gives a time in the zone of the session")
    # An interval, for the name of a zone is looked up each time.
    at_utc = column.op("AT TIME ZONE")(literal_column("interval '0'"))
    written = _with_six_digits(at_utc, "timestamp(0)", 20, "Z")
    return case((_has_python_years(column, "timestamptz"), written), else_=MARK_TEXT)


def _time(kind: Any, _schema: Schema, column: Expression, _driver: str) -> Expression:
    if kind.timezone:
        raise InexactError("PostgreSQL writes the zone of a time in another way")
    written = _with_six_digits(column, "time(0)", 9, "")
    # Python knows no 24:00.
    return case((column == literal_column("time '24:00'"), MARK_TEXT), else_=written)


def _uuid(_kind: Any, _schema: Schema, column: Expression, _driver: str) -> Expression:
    return _quoted(cast(column, Text))


def _enum(kind: Any, schema: Schema, column: Expression, _driver: str) -> Expression:
    """One case for each value that both know; SQLAlchemy may keep another text than pydantic's."""
    members = {member.value: member for member in schema["cls"].__members__.values()}
    if kind_class := getattr(kind, "enum_class", None):
        if kind_class is not schema["cls"]:
            raise InexactError(f"the column holds {kind_class.__name__}, another enum")
        held = [(text, member.value) for text, member in _held(kind)]
    else:
        held = [(value, value) for value in members if isinstance(value, str)]
    if not held or not all(isinstance(value, str | int | float) for _, value in held):
        raise InexactError("its values are no texts and no numbers")
    return _one_of(column, held)


def _held(kind: Enum) -> list[tuple[str, Any]]:
    """What stands in the database, and what it is in Python."""
    processor = result_processor(kind)
    return [(name, name if processor is None else processor(name)) for name in kind.enums]


def _literal(kind: Any, schema: Schema, column: Expression, _driver: str) -> Expression:
    if getattr(kind, "enum_class", None) or not all(isinstance(x, str) for x in schema["expected"]):
        raise InexactError("it is a literal of more than texts")
    return _one_of(column, [(value, value) for value in schema["expected"]])


def _one_of(column: Expression, held: list[tuple[str, Any]]) -> Expression:
    text = cast(column, Text)
    whens = [(text == constant(name), constant(json.dumps(value))) for name, value in held]
    return case(*whens, else_=MARK_TEXT)


def _list(kind: Any, schema: Schema, column: Expression, _driver: str) -> Expression:
    items = schema.get("items_schema", {"type": "any"})
    wanted = {"int": Integer, "str": String, "bool": Boolean}.get(items["type"])
    if set(items) - {"type", "metadata"} or wanted is None:
        raise InexactError(f"a list of {items['type']} is not in the table")
    item = kind.item_type
    if not isinstance(item, wanted) or isinstance(item, CHAR | Enum):
        raise InexactError(f"an array of {type(item).__name__} is not in the table")
    # What Python would refuse: lists in lists, and nothing in their place.
    is_flat = func.coalesce(func.array_ndims(column), literal_column("1")) == literal_column("1")
    is_full = func.array_position(column, literal_column("NULL")).is_(None)
    return case(
        (is_flat, case((is_full, cast(func.to_json(column), Text)), else_=MARK_TEXT)),
        else_=MARK_TEXT,
    )


def _json(kind: Any, schema: Schema, column: Expression, _driver: str) -> Expression:
    if not isinstance(kind, JSONB):
        raise InexactError("JSON keeps what it was given, with keys that come twice")
    if schema["type"] == "dict" and (
        schema.get("keys_schema", {}).keys() - {"metadata"} not in ({"type"}, set())
        or schema.get("keys_schema", {"type": "str"})["type"] != "str"
        or schema.get("values_schema", {"type": "any"})["type"] != "any"
    ):
        raise InexactError("pydantic checks what is in the dict")
    text = cast(column, Text)
    # Of 309 digits Python makes an infinity; PostgreSQL counts to 255 in a pattern.
    is_wide = text.op("~")(constant("[0-9]{255}"))
    written = case((is_wide, MARK_TEXT), else_=text)
    if schema["type"] == "any":
        return written
    return case((func.jsonb_typeof(column) == constant("object"), written), else_=MARK_TEXT)


_Writer: TypeAlias = Callable[[Any, Schema, Expression, str], Expression]
_WRITERS: Final[dict[str, tuple[tuple[type[TypeEngine[Any]], ...], _Writer]]] = {
    "any": ((JSONB,), _json),
    "bool": ((Boolean,), _boolean),
    "date": ((Date,), _date),
    "datetime": ((DateTime,), _datetime),
    "decimal": ((Numeric,), _decimal),
    "dict": ((JSONB,), _json),
    "enum": ((String,), _enum),
    "float": ((Float, Integer), _float),
    "int": ((Integer,), _integer),
    "list": ((ARRAY,), _list),
    "literal": ((String,), _literal),
    "str": ((String,), _text),
    "time": ((Time,), _time),
    "uuid": ((Uuid,), _uuid),
}
"""By the type of the field the types of columns that it may come from, and what writes it."""
_ALLOWED: Final = {
    "date": {"microseconds_precision"},
    "datetime": {"microseconds_precision"},
    "dict": {"keys_schema", "values_schema"},
    "enum": {"cls", "members", "missing", "ref", "sub_type"},
    "list": {"items_schema"},
    "literal": {"expected"},
    "time": {"microseconds_precision"},
}
"""What else may stand in their schemas without a check that is not made here."""


def constant(text: str) -> Expression:
    """A text that stands in the statement itself, whatever the session says of backslashes."""
    escaped = text.replace("'", "''")
    return literal_column(f"E'{escaped.replace(_BACKSLASH, _BACKSLASH * 2)}'", Text)


def _quoted(text: Expression) -> Expression:
    return constant('"').concat(text).concat(constant('"'))


def _with_six_digits(moment: Expression, whole: str, length: int, zone: str) -> Expression:
    """A quoted time with no fraction or with six digits of it, as pydantic writes it.

    Of the ways to write one that no setting changes, this is the quickest that was found: 0.3 us
    where a fraction is missing.

    Args:
        moment: The time, in the zone that it is written in.
        whole: Its type without a fraction, in SQL.
        length: That of what `to_json` writes without a fraction, and without the closing quote.
        zone: What stands behind it.
    """
    # It leaves zeros at the end of a fraction out.
    written = cast(func.to_json(moment), Text)
    end = constant(f'{zone}"')
    rounded: Expression = moment.op("::")(literal_column(whole))
    without = func.left(written, literal_column(str(length))).concat(end)
    digits = func.rpad(
        func.left(written, literal_column("-1")), literal_column(str(length + 7)), constant("0")
    )
    return case((rounded == moment, without), else_=digits.concat(end))


def _has_python_years(column: Expression, kind: str) -> Expression:
    """Whether a date is one that Python can hold; `infinity` is none."""
    zone = "+00" if kind == "timestamptz" else ""
    first: Expression = literal_column(f"{kind} '0001-01-01{' 00:00' if zone else ''}{zone}'")
    end: Expression = literal_column(f"{kind} '10000-01-01{' 00:00' if zone else ''}{zone}'")
    return and_(column >= first, column < end)


def _checks(kind: TypeEngine[Any], schema: Schema, column: Expression) -> list[Expression]:
    """What is true of a value that pydantic refuses."""
    unknown = set(schema) - _CHECKED - _ALLOWED.get(schema["type"], set())
    if unknown:
        raise InexactError(f"pydantic checks {', '.join(sorted(unknown))} of it")
    found: list[Expression] = []
    for name, refused in _REFUSED.items():
        if (limit := schema.get(name)) is None:
            continue
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise InexactError(f"pydantic checks {name} of it")
        if name == "max_length" and (getattr(kind, "length", None) or limit + 1) <= limit:
            continue
        measured = func.char_length(column) if name.endswith("length") else column
        if name.endswith("length") and schema["type"] != "str":
            raise InexactError(f"pydantic checks {name} of it")
        found.append(refused(measured, literal_column(str(limit))))
    if found and schema["type"] == "float":
        # For PostgreSQL it is above all numbers; for Python it is within no bound.
        found.append(cast(column, Text) == constant("NaN"))
    return found


_REFUSED: Final[dict[str, Callable[[Any, Any], Expression]]] = {
    "ge": operator.lt,
    "gt": operator.le,
    "le": operator.gt,
    "lt": operator.ge,
    "max_length": operator.gt,
    "min_length": operator.lt,
}
