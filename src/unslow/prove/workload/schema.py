"""Schemas of OpenAPI 3.0 and 3.1: which values fit one, and values made from one."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

from ...errors import UnslowError
from .names import words_of

Schema = Mapping[str, Any]

_DEEPEST: Final = 50
_DAYS_ASKED_FOR: Final = 30
_BEGINS: Final = frozenset({"after", "begin", "from", "min", "since", "start"})
_VALUES: Final = frozenset({"const", "default", "example"})
_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": (list, tuple),
    "object": dict,
}


class SchemaError(UnslowError):
    """A schema refers to another one that is not in the document."""


def resolved(schema: object, document: Schema) -> Schema:
    """A schema without references and alternatives: the first that is not null stands for all.

    Raises:
        SchemaError: it refers to what is not there.
    """
    found: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
    for _ in range(_DEEPEST):
        if "$ref" in found:
            found = {**_referred(found.pop("$ref"), document), **found}
        elif alternatives := found.pop("anyOf", None) or found.pop("oneOf", None):
            found = {**_first_that_is_not_null(alternatives, document), **found}
        elif "allOf" in found:
            parts = [resolved(part, document) for part in found.pop("allOf")]
            found = {**_merged(parts), **found}
        else:
            return _as_in_3_1(found)
    raise SchemaError("Its schema refers to itself. Mend the document.")


def kind_of(schema: Schema) -> str:
    """What a value has to be, in one word: the format where there is one, else the type."""
    return str(schema.get("format") or schema.get("type") or "any value")


def fits(value: object, schema: Schema) -> bool:
    """Whether a value is one that a schema allows, as far as one value by itself can tell."""
    kind = _KINDS.get(str(schema.get("type")))
    if kind is not None and not isinstance(value, kind):
        return False
    # In Python true and false are numbers, in JSON they are not.
    if isinstance(value, bool) != (kind is bool) and kind is not None:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if isinstance(schema.get("enum"), list) and value not in schema["enum"]:
        return False
    if isinstance(value, str):
        return _text_fits(value, schema)
    return not isinstance(value, int | float) or _number_fits(value, schema)


def made_value(name: str, schema: Schema, today: date) -> object | None:
    """A value that fits, or None where none is known; of ids none is ever known."""
    given = [schema.get("const"), *_listed(schema, "enum")]
    made = _MAKERS.get(str(schema.get("type")), _no_values)(name, schema, today)
    return next(
        (value for value in (*given, *made) if value is not None and fits(value, schema)), None
    )


def bounds(schema: Schema) -> tuple[int, int | None]:
    """The least and the most that a count may be: at least 1, and None for no end."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lows = [math.ceil(low)] if low is not None else []
    lows += [math.floor(above) + 1] if above is not None else []
    highs = [math.floor(high)] if high is not None else []
    highs += [math.ceil(below) - 1] if below is not None else []
    return max([1, *lows]), min(highs) if highs else None


def is_closed(schema: Schema) -> bool:
    """Whether it allows so few values that any of them is as good as another."""
    number = schema.get("type") in ("integer", "number")
    has_low = "minimum" in schema or "exclusiveMinimum" in schema
    has_high = "maximum" in schema or "exclusiveMaximum" in schema
    return (
        "const" in schema
        or bool(_listed(schema, "enum"))
        or schema.get("type") == "boolean"
        or schema.get("format") in ("date", "date-time", "time", "duration")
        or (number and has_low and has_high)
    )


def _listed(schema: Schema, key: str) -> list[object]:
    values = schema.get(key)
    return values if isinstance(values, list) else []


def _referred(reference: object, document: Schema) -> Schema:
    found: object = document
    for part in str(reference).removeprefix("#/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise SchemaError(
            f"The document refers to {reference}, which is not in it. Give it whole, in one piece."
        )
    return found


def _first_that_is_not_null(alternatives: object, document: Schema) -> Schema:
    listed = alternatives if isinstance(alternatives, list) else []
    schemas = (resolved(one, document) for one in listed)
    return next((one for one in schemas if one.get("type") != "null"), {})


def _merged(parts: list[Schema]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if key == "properties" and isinstance(value, Mapping):
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required" and isinstance(value, list):
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged[key] = value
    return merged


def _as_in_3_1(schema: dict[str, Any]) -> Schema:
    """The same, with what OpenAPI 3.0 spells otherwise, and with one type."""
    # A null stands for what is not said; only of values it is one.
    schema = {key: value for key, value in schema.items() if value is not None or key in _VALUES}
    if isinstance(schema.get("type"), list):
        schema["type"] = next((one for one in schema["type"] if one != "null"), "null")
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool):
            is_exclusive = schema.pop(exclusive)
            if is_exclusive and bound in schema:
                schema[exclusive] = schema.pop(bound)
    return schema


def _text_fits(value: str, schema: Schema) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
        return False
    if schema.get("format") == "uuid" and not _is_uuid(value):
        return False
    try:
        return not schema.get("pattern") or re.search(schema["pattern"], value) is not None
    except re.error:
        # Patterns are JavaScript's, which Python does not always read.
        return True


def _is_uuid(value: str) -> bool:
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def _number_fits(value: float, schema: Schema) -> bool:
    step = schema.get("multipleOf")
    return (
        schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < value
        and value < schema.get("exclusiveMaximum", math.inf)
        and (not step or math.isclose(value / step, round(value / step)))
    )


def _texts(name: str, schema: Schema, today: date) -> Iterator[object]:
    day = today - timedelta(_DAYS_ASKED_FOR) if _BEGINS & set(words_of(name)) else today
    by_format = {
        "date": day.isoformat(),
        "date-time": f"{day.isoformat()}T00:00:00Z",
        "time": "12:00:00",
        "duration": "P1D",
        "email": "someone@example.com",
        "hostname": "example.com",
        "ipv4": "127.0.0.1",
        "ipv6": "::1",
        "uri": "https://example.com/",
    }
    kind = schema.get("format")
    if kind in by_format:
        yield by_format[kind]
    elif kind != "uuid":
        for letter in "a1A":
            yield letter * max(1, schema.get("minLength", 1))


def _numbers(_name: str, schema: Schema, _today: date) -> Iterator[object]:
    low, high = schema.get("minimum"), schema.get("maximum")
    yield from (1, low, high, schema.get("multipleOf"))
    least, most = bounds(schema)
    yield from (least, most)
    if low is None and high is None and schema.get("type") == "number":
        above = schema.get("exclusiveMinimum", -1.0)
        yield (above + schema.get("exclusiveMaximum", above + 1.0)) / 2


def _truths(_name: str, _schema: Schema, _today: date) -> Iterator[object]:
    yield False


def _no_values(_name: str, _schema: Schema, _today: date) -> Iterator[object]:
    yield from ()


_MAKERS: Final = {
    "string": _texts,
    "integer": _numbers,
    "number": _numbers,
    "boolean": _truths,
}
