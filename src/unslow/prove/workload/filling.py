"""Values for the parameters of an operation: where they come from, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any, TypeVar

from ...errors import UnslowError
from .answers import Candidate, Sighting, candidates, found, resource_before
from .names import identifier, is_identifier, normal, same_thing
from .openapi import Operation, Parameter
from .schema import Schema, fits, is_closed, kind_of, made_value

MOST_VALUES = 10
"""How many values of one parameter are used, spread over all that are known."""

_MOST_COMBINED = 20
_T = TypeVar("_T")


class NoValueError(UnslowError):
    """No value is known for a parameter that an operation wants."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a made workload is given beside the document and the answers."""

    today: date
    values: Mapping[str, Sequence[object]] = field(default_factory=dict, repr=False)
    """The user's own, by the name of the parameter."""
    keys: Mapping[str, Sequence[object]] = field(default_factory=dict, repr=False)
    """The database's, by the name of the table."""
    read_only_posts: frozenset[str] = frozenset()
    """Operations that only read though their method does not say so: `POST /search`, `/search`."""
    header_names: frozenset[str] = frozenset()
    """Headers that every request will carry anyway, in lower case."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All that values come from."""

    given: Given
    seen: Sequence[Sighting] = field(default=(), repr=False)


def by_hand(name: str, given: Given) -> tuple[object, ...]:
    """The values that the user gave for a parameter; none where there are none."""
    spelt = {normal(one): values for one, values in given.values.items()}
    return tuple(given.values.get(name, spelt.get(normal(name), ())))


def path_values(operation: Operation, sources: Sources) -> tuple[Mapping[str, object], ...]:
    """Values for all parameters of a path, together; one empty mapping where it has none.

    Where values were seen together (a post of this user), no others are combined.

    Raises:
        NoValueError: for one of them there is none.
    """
    parameters = [one for one in operation.parameters if one.place == "path"]
    combined: list[Mapping[str, object]] = [{}]
    for number, parameter in enumerate(parameters, 1):
        values = _Values(parameter, operation.route, sources)
        pairs = [
            (assigned, candidate)
            for assigned in combined
            for candidate in values.beside(assigned, is_last=number == len(parameters))
        ]
        known = [pair for pair in pairs if pair[1].is_known_to_go_with]
        combined = [
            {**assigned, parameter.name: candidate.value}
            for assigned, candidate in spread(known or pairs, _MOST_COMBINED)
        ]
        if not combined:
            raise no_value(parameter.name, parameter.schema)
    return spread(combined, MOST_VALUES)


def header_values(parameter: Parameter, given: Given) -> tuple[object, ...]:
    """Values for a header or a cookie: none is made up, because it says who asks."""
    return by_hand(parameter.name, given) or _said_or_closed(parameter, given)


def values_of(
    name: str,
    schema: Schema,
    examples: Sequence[object],
    route: str,
    sources: Sources,
    path: Mapping[str, object] = MappingProxyType({}),
) -> tuple[object, ...]:
    """Values for a parameter of a query, or for a field of a body; none if none is known.

    Where any were seen with the values of the path, they are of those.
    """
    if chosen := by_hand(name, sources.given):
        return chosen
    if schema.get("type") == "array":
        item = values_of(name.removesuffix("s"), schema.get("items", {}), (), route, sources, path)
        said = _said(schema, examples)
        return said or tuple([value] for value in item)
    if is_identifier(name) and not is_closed(schema):
        ids = found(name, schema, "", sources.seen)
        beside = [one for one in candidates(ids, path, route) if path and one.is_known_to_go_with]
        seen = beside or candidates(ids, {}, route)
        return _surest(seen) or _keys(name, "", schema, sources.given) or _said(schema, examples)
    return _said(schema, examples) or choices(name, schema, sources.given.today)


def choices(name: str, schema: Schema, today: date) -> tuple[object, ...]:
    """What a schema lets choose from, or a value made from it."""
    listed = schema.get("enum")
    if isinstance(listed, list) and listed:
        return tuple(value for value in listed if value is not None)
    made = made_value(name, schema, today)
    return () if made is None else (made,)


def spread(values: Sequence[_T], count: int) -> tuple[_T, ...]:
    """So many of them, from all parts of the whole."""
    if len(values) <= count:
        return tuple(values)
    return tuple(values[at * len(values) // count] for at in range(count))


def no_value(name: str, schema: Schema) -> NoValueError:
    """The error for a parameter that cannot be filled."""
    return NoValueError(
        f"no value for {name} ({kind_of(schema)}): give [tool.unslow.values] {name} = [...]"
    )


class _Values:
    """The values that one parameter of a path may have."""

    def __init__(self, parameter: Parameter, route: str, sources: Sources) -> None:
        self._route = route
        self._fixed = _fixed(parameter, sources.given)
        self._seen = found(parameter.name, parameter.schema, route, sources.seen)
        resource = resource_before(route, parameter.name)
        self._others = _keys(parameter.name, resource, parameter.schema, sources.given) or _said(
            parameter.schema, parameter.examples
        )

    def beside(self, assigned: Mapping[str, Any], *, is_last: bool) -> Sequence[Candidate]:
        """Those that may stand beside the values before; all of them where more are to come."""
        if self._fixed:
            return [Candidate(value, 0, is_known_to_go_with=True) for value in self._fixed]
        seen = candidates(self._seen, assigned, self._route)
        together = [one for one in seen if one.is_known_to_go_with]
        if together or seen:
            surest = min(one.tier for one in seen)
            first = [one for one in seen if one.tier == surest]
            return together or (first if is_last else seen)
        return [Candidate(value, 3, is_known_to_go_with=False) for value in self._others]


def _fixed(parameter: Parameter, given: Given) -> tuple[object, ...]:
    """The values that need no id of the app: the user's own, and those of a closed set."""
    chosen = by_hand(parameter.name, given)
    return chosen or (_said_or_closed(parameter, given) if is_closed(parameter.schema) else ())


def _said_or_closed(parameter: Parameter, given: Given) -> tuple[object, ...]:
    name, schema = parameter.name, parameter.schema
    closed = choices(name, schema, given.today) if is_closed(schema) else ()
    return _said(schema, parameter.examples) or closed


def _surest(seen: Sequence[Candidate]) -> tuple[object, ...]:
    surest = min((one.tier for one in seen), default=0)
    return tuple(one.value for one in seen if one.tier == surest)


def _keys(name: str, resource: str, schema: Schema, given: Given) -> tuple[object, ...]:
    """The keys of the table that a parameter names: of `user` for `user_id`, of `app_user` else."""
    if identifier(name).by == "name":
        # Of other objects' names they are none.
        return ()
    things = [thing for thing in (identifier(name).of, resource) if thing]
    tables = {table.rpartition(".")[2]: keys for table, keys in given.keys.items()}
    named = [
        keys for table, keys in tables.items() if any(same_thing(table, one) for one in things)
    ]
    prefixed = [
        keys
        for table, keys in tables.items()
        if any(same_thing(table.partition("_")[2], one) for one in things)
    ]
    for keys in (*named, *prefixed):
        if fitting := tuple(key for key in keys if fits(key, schema)):
            return fitting
    return ()


def _said(schema: Schema, examples: Sequence[object]) -> tuple[object, ...]:
    """What the document itself names: its examples, or else its default."""
    named = tuple(value for value in examples if value not in (None, "") and fits(value, schema))
    default = schema.get("default")
    return named or (() if default in (None, "", []) else (default,))
