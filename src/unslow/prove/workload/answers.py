"""The ids that an app names in its own answers: whoever asks may see what they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, islice
from typing import Final, NamedTuple
from urllib.parse import unquote

from ...model.workload import Request
from .names import fields_for, identifier, normal, same_thing
from .openapi import parameters_of
from .schema import Schema, fits

_DEEPEST: Final = 6
# Far more than are sent, and little enough for hundreds of routes.
_MOST_OBJECTS: Final = 1_000
_MOST_TOGETHER: Final = 100
_MOST_VALUES: Final = 400
_ENVELOPES: Final = frozenset(
    {"content", "data", "edges", "entries", "items", "list", "node", "nodes", "objects"}
    | {"page", "payload", "records", "response", "result", "results", "rows", "values"}
)
"""Keys that say nothing about what is below them: it has the name of what is around."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app answered to a request of a made workload."""

    request: Request
    json: object = field(default=None, repr=False)
    """The body as JSON; None where there is none or the request failed."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Objects that stood together in an answer."""

    names: tuple[str, ...]
    """What they may be called: the key above them, or the words of the path that was asked."""
    objects: tuple[Mapping[str, object], ...] = field(repr=False)
    """Of each its texts and numbers, by their names in snake case."""
    fields: frozenset[str]
    """The names that any of them has."""
    route: str
    """The template of the route that answered."""
    is_whole_answer: bool
    """Whether they are what the route is about, not a part of that."""
    path_values: Mapping[str, str] = field(repr=False)
    """What was asked for, by the names of the template."""


class Found(NamedTuple):
    """A value that a parameter may have, and where it was seen."""

    value: object
    tier: int
    """How sure it is: 0 from the list that the path goes on from, 1 from an object of this name, 2
    from a field of this name."""
    sighting: Sighting
    beside: Mapping[str, object]
    """The object that had it."""


class Candidate(NamedTuple):
    """A value that a parameter may have, beside those of the parameters before it."""

    value: object
    tier: int
    is_known_to_go_with: bool
    """Whether it was seen together with the values before it."""


def sightings(answers: Sequence[Answer]) -> tuple[Sighting, ...]:
    """All objects in the answers."""
    return tuple(one for answer in answers for one in _in_answer(answer))


def values_in_path(route: str, target: str) -> Mapping[str, str]:
    """The values in a path, by the parameters of a template; empty where it has another form."""
    match = _pattern(route).fullmatch(target.partition("?")[0])
    names = parameters_of(route)
    return dict(zip(names, map(unquote, match.groups()), strict=True)) if match else {}


def found(
    parameter: str, schema: Schema, route: str, seen: Sequence[Sighting]
) -> tuple[Found, ...]:
    """The values that were seen for a parameter of a route, those of the surest tier first."""
    places = [(*_where_to_look(sighting, parameter, route), sighting) for sighting in seen]
    surest_first = sorted(places, key=lambda place: place[0])
    values = (
        Found(value, tier, sighting, one)
        for tier, fields, sighting in surest_first
        if not sighting.fields.isdisjoint(fields)
        for one in sighting.objects
        if (value := _value(one, fields, schema)) is not None
        and not _is_echo(parameter, value, sighting)
    )
    return tuple(islice(values, _MOST_VALUES))


def _value(one: Mapping[str, object], fields: Sequence[str], schema: Schema) -> object | None:
    values = (one[name] for name in fields if name in one)
    return next((value for value in values if value != "" and fits(value, schema)), None)


def _where_to_look(sighting: Sighting, parameter: str, route: str) -> tuple[int, Sequence[str]]:
    """How sure these objects are to have a parameter's value, and in which fields."""
    before, brace, _ = route.partition(f"{{{parameter}}}")
    resource = resource_before(route, parameter)
    thing = identifier(parameter).of
    if brace and sighting.is_whole_answer and _same_shape(sighting.route, before):
        return 0, fields_for(parameter)
    if any(same_thing(name, one) for name in sighting.names for one in (resource, thing)):
        return 1, fields_for(parameter)
    return 2, (normal(parameter),) if thing else ()


def resource_before(route: str, parameter: str) -> str:
    """What a parameter of a path is of: `users` for `/users/{id}` and `/users/name/{name}`."""
    before, brace, _ = route.partition(f"{{{parameter}}}")
    *others, last = before.rstrip("/").split("/") if brace else ("",)
    is_its_own = normal(last) in (normal(parameter), f"by_{normal(parameter)}")
    return others[-1] if is_its_own and others else last


def _is_echo(parameter: str, value: object, sighting: Sighting) -> bool:
    """Whether an answer only repeats what was asked for, which tells of nothing new."""
    asked = sighting.path_values
    is_whole = sighting.is_whole_answer and str(value) in asked.values()
    return is_whole or str(value) == asked.get(parameter)


def candidates(
    values: Sequence[Found], assigned: Mapping[str, object], route: str
) -> tuple[Candidate, ...]:
    """The values that may stand beside those assigned to the parameters before, each once."""
    by_value: dict[object, Candidate] = {}
    for _, together in groupby(values, key=lambda one: id(one.sighting)):
        first, *others = together
        asked = _asked_for(first.sighting, assigned, route)
        if all(str(assigned[name]) == str(value) for name, value in asked.items()):
            for one in (first, *others):
                goes_with = _goes_with(one, assigned, asked)
                if goes_with is not None and (goes_with or one.value not in by_value):
                    by_value[one.value] = Candidate(one.value, one.tier, goes_with)
    return tuple(by_value.values())


def _asked_for(
    sighting: Sighting, assigned: Mapping[str, object], route: str
) -> Mapping[str, object]:
    """What an answer was asked for, by the names of a route that goes on where it ended."""
    if not f"{_shape(route)}/".startswith(f"{_shape(sighting.route).rstrip('/')}/"):
        return {}
    return dict(zip(assigned, sighting.path_values.values(), strict=False))


def _goes_with(
    one: Found, assigned: Mapping[str, object], asked: Mapping[str, object]
) -> bool | None:
    """Whether an object was seen to belong to these values; None when to others."""
    is_known = bool(assigned)
    for name, value in assigned.items():
        # A bare `id` is each object's own.
        if name not in asked and identifier(name).of:
            shown = one.beside.get(normal(name), one.sighting.path_values.get(name))
            if shown is not None and str(shown) != str(value):
                return None
            is_known = is_known and shown is not None
        else:
            is_known = is_known and name in asked
    return is_known


def _in_answer(answer: Answer) -> Iterator[Sighting]:
    route = answer.request.route
    path_values = values_in_path(route, answer.request.target)
    whole = _Level(_names_of(route), True, _DEEPEST)
    together: dict[tuple[tuple[str, ...], bool], list[Mapping[str, object]]] = {}
    for level, values in islice(_objects(answer.json, whole), _MOST_OBJECTS):
        objects = together.setdefault((level.names, level.is_whole_answer), [])
        if len(objects) < _MOST_TOGETHER:
            objects.append(_plain(values))
    for (names, is_whole), alike in together.items():
        fields = frozenset(name for one in alike for name in one)
        yield Sighting(names, tuple(alike), fields, route, is_whole, path_values)


def _names_of(route: str) -> tuple[str, ...]:
    """What the answers of a route tell of: the same for `/users`, `/users/{id}`, `/users/search`.

    These are the words behind the last parameter, or before it where it ends the route.
    """
    parts = [part for part in re.split(r"[^/]*\{.*?\}[^/]*", route) if part.strip("/")]
    return tuple(reversed(parts[-1].strip("/").split("/"))) if parts else ()


class _Level(NamedTuple):
    """Where in an answer something stands."""

    names: tuple[str, ...]
    is_whole_answer: bool
    deeper_count: int


def _objects(json: object, level: _Level) -> Iterator[tuple[_Level, Mapping[str, object]]]:
    if level.deeper_count == 0:
        return
    deeper = level._replace(deeper_count=level.deeper_count - 1)
    if isinstance(json, list):
        for item in json:
            # A list of bare values is taken for one of ids.
            yield from _objects({"id": item} if isinstance(item, str | int) else item, deeper)
    elif isinstance(json, dict):
        envelope = _envelope(json)
        if not envelope & _ENVELOPES:
            yield level, json
        for key, value in json.items():
            if isinstance(value, list | dict):
                named = level.names if key in _ENVELOPES else (key, *level.names)
                is_inside = key in envelope
                yield from _objects(
                    value,
                    deeper._replace(
                        names=named if is_inside else (key,),
                        is_whole_answer=level.is_whole_answer and is_inside,
                    ),
                )


def _envelope(found: Mapping[str, object]) -> set[str]:
    """The keys whose values are what an object is there for: none if it is something by itself."""
    if any(normal(key) in ("id", "uuid", "guid", "pk", "slug") for key in found):
        return set()
    lists = [key for key, value in found.items() if isinstance(value, list)]
    known = {key for key in found if key in _ENVELOPES and isinstance(found[key], list | dict)}
    return known or set(lists if len(lists) == 1 else ())


def _plain(found: Mapping[str, object]) -> Mapping[str, object]:
    return {
        normal(key): value for key, value in found.items() if isinstance(value, str | int | float)
    }


@cache
def _pattern(route: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", route)
    return re.compile("([^/]+)".join(map(re.escape, parts)))


@cache
def _shape(route: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", route)


def _same_shape(one: str, other: str) -> bool:
    return _shape(one).rstrip("/") == _shape(other).rstrip("/")
