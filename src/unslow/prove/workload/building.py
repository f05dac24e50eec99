"""Requests from an operation and the values of its parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from ...model.workload import Headers, Request
from .filling import (
    MOST_VALUES,
    Given,
    Sources,
    by_hand,
    header_values,
    no_value,
    path_values,
    values_of,
)
from .openapi import Body, Operation, Parameter
from .page_size import is_page_size, sizes
from .schema import Schema, resolved

SOURCE: Final = "openapi"

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
BODIES: Final = (_JSON, _FORM)
"""The kinds of body that can be made."""

_MOST_ALTERNATIVES: Final = 3
_DEEPEST_BODY: Final = 6
_IN_A_PATH: Final = "/%:@!$&'()*+,;=~"
"""What stands in a path as it is."""
_NOT_PARAMETERS: Final = frozenset({"accept", "authorization", "content-type"})


class _Base(NamedTuple):
    """The values of one request, before the size of its page is varied."""

    path: Mapping[str, object]
    others: Mapping[tuple[str, str], object]
    """By place and name."""
    body: bytes | None


def requests_of(operation: Operation, sources: Sources) -> Iterator[Request]:
    """The requests of an operation: several ids, each in pages of several sizes.

    Raises:
        NoValueError: a parameter that it wants has no value.
    """
    sized = _sized(operation, sources)
    for number, base in enumerate(_bases(operation, sources, sized), 1):
        if sized is None:
            yield _request(operation, base)
            continue
        parameter, counts = sized
        group = f"{operation.method} {operation.route} #{number}" if len(counts) > 1 else ""
        for count in counts:
            others = {**base.others, (parameter.place, parameter.name): count}
            yield _request(operation, base._replace(others=others), group)


def _sized(operation: Operation, sources: Sources) -> tuple[Parameter, tuple[object, ...]] | None:
    for one in operation.parameters:
        if one.place == "query" and is_page_size(one.name, one.schema):
            counts = by_hand(one.name, sources.given) or sizes(one.schema)
            return (one, counts) if counts else None
    return None


def _bases(
    operation: Operation, sources: Sources, sized: tuple[Parameter, tuple[object, ...]] | None
) -> Iterator[_Base]:
    paths = path_values(operation, sources)
    free = [
        one
        for one in operation.parameters
        if one.place != "path"
        and (sized is None or one is not sized[0])
        and not (one.place == "header" and one.name.lower() in _NOT_PARAMETERS)
    ]
    beside = [_beside(path, free, operation.route, sources) for path in paths]
    body = _body(operation, sources)
    count = max(len(paths), *(len(found) for values in beside for found in values.values()), 1)
    for at in range(min(count, MOST_VALUES)):
        values = beside[at % len(paths)]
        others = {key: found[at % len(found)] for key, found in values.items()}
        yield _Base(paths[at % len(paths)], others, body)
    first = {key: found[0] for key, found in beside[0].items()}
    for one in free:
        for value in _alternatives(one, sources):
            yield _Base(paths[0], {**first, (one.place, one.name): value}, body)


def _beside(
    path: Mapping[str, object], free: Sequence[Parameter], route: str, sources: Sources
) -> Mapping[tuple[str, str], tuple[object, ...]]:
    """The values that may stand beside those of a path, by place and name."""
    values = {(one.place, one.name): _wanted(one, path, route, sources) for one in free}
    return {key: found for key, found in values.items() if found}


def _wanted(
    parameter: Parameter, path: Mapping[str, object], route: str, sources: Sources
) -> tuple[object, ...]:
    """The values of a parameter that has to be there, or that the user gave values for."""
    chosen = by_hand(parameter.name, sources.given)
    if chosen or not parameter.is_required or _comes_anyway(parameter, sources.given):
        return chosen
    name, schema = parameter.name, parameter.schema
    if parameter.place == "query":
        values = values_of(name, schema, parameter.examples, route, sources, path)
    else:
        values = header_values(parameter, sources.given)
    if not values:
        raise no_value(name, schema)
    return values


def _comes_anyway(parameter: Parameter, given: Given) -> bool:
    header = {"header": parameter.name.lower(), "cookie": "cookie"}.get(parameter.place)
    return header in given.header_names


def _alternatives(parameter: Parameter, sources: Sources) -> tuple[object, ...]:
    """Values of a parameter that may be left out: each may lead another way through the code."""
    if parameter.is_required or parameter.place != "query":
        return ()
    if by_hand(parameter.name, sources.given):
        return ()
    listed = parameter.schema.get("enum") or parameter.examples
    usual = (None, "", parameter.schema.get("default"))
    return tuple(value for value in listed if value not in usual)[:_MOST_ALTERNATIVES]


def _request(operation: Operation, base: _Base, group: str = "") -> Request:
    path = operation.route
    for name, value in base.path.items():
        path = path.replace(f"{{{name}}}", quote(_text(value), safe=""))
    # A template may be of any script.
    path = quote(path, safe=_IN_A_PATH)
    query = urlencode(tuple(_at("query", base)), quote_via=quote)
    headers = [*_at("header", base)]
    if cookies := [f"{name}={value}" for name, value in _at("cookie", base)]:
        headers.append(("Cookie", "; ".join(cookies)))
    if base.body is not None and operation.body is not None:
        headers.append(("Content-Type", operation.body.content_type))
    return Request(
        operation.method,
        f"{path}?{query}" if query else path,
        tuple(headers),
        base.body,
        source=SOURCE,
        route=operation.route,
        group=group,
    )


def _at(place: str, base: _Base) -> Headers:
    return tuple(
        (name, _text(one))
        for (where, name), value in base.others.items()
        if where == place
        for one in (value if isinstance(value, list | tuple) else (value,))
    )


def _text(value: object) -> str:
    """A value as it stands in an address: as in JSON, but texts without quotes."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _body(operation: Operation, sources: Sources) -> bytes | None:
    body = operation.body
    if body is None or not (body.is_required or operation.method != "GET"):
        return None
    value = _body_value(body, operation, sources)
    if body.content_type == _FORM and isinstance(value, dict):
        return urlencode([(name, _text(one)) for name, one in value.items()]).encode()
    return json.dumps(value, default=str).encode()


def _body_value(body: Body, operation: Operation, sources: Sources) -> object:
    for example in body.examples:
        return example
    return _field("body", body.schema, _Around(operation, sources, _DEEPEST_BODY))


class _Around(NamedTuple):
    """What a field of a body is made with."""

    operation: Operation
    sources: Sources
    deeper_count: int


def _field(name: str, unresolved: Schema, around: _Around) -> Any:
    schema = resolved(unresolved, around.operation.document)
    if around.deeper_count == 0:
        raise no_value(name, schema)
    deeper = around._replace(deeper_count=around.deeper_count - 1)
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        return {
            one: _field(one, properties.get(one, {}), deeper) for one in schema.get("required", ())
        }
    examples = schema.get("examples") or [schema.get("example")]
    values = values_of(name, schema, examples, around.operation.route, around.sources)
    if values:
        return values[0]
    if schema.get("type") == "array":
        # As few as it allows.
        item = schema.get("items", {})
        return [
            _field(name.removesuffix("s"), item, deeper) for _ in range(schema.get("minItems", 0))
        ]
    raise no_value(name, schema)
