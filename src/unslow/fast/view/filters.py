"""What a client may ask a list for: names from an allow-list, each with its type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.orm import InstrumentedAttribute

from ..errors import BadRequestError, DefinitionError


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on the rows of a list that a client may set."""

    kind: Any
    """The type of its value, as for a parameter of an endpoint."""
    condition: Callable[[Any], ColumnElement[bool]]
    """Makes the condition from the value: `lambda since: User.created_at >= since`."""


class Filters:
    """The filters of a view by name."""

    def __init__(self, declared: Mapping[str, Any]) -> None:
        self._filters = {name: _filter(name, one) for name, one in declared.items()}
        self._adapters: dict[str, TypeAdapter[Any]] = {
            name: TypeAdapter(one.kind) for name, one in self._filters.items()
        }

    def kinds(self) -> dict[str, Any]:
        """The type of each."""
        return {name: one.kind for name, one in self._filters.items()}

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values that are set, checked; those that are `None` are not.

        Raises:
            BadRequestError: There is no filter of a name, or a value is not of its type.
        """
        found = {}
        for name, value in given.items():
            if value is None:
                continue
            if name not in self._adapters:
                known = ", ".join(self._filters) or "none"
                raise BadRequestError(f"there is no filter {name!r}; there are: {known}")
            try:
                found[name] = self._adapters[name].validate_python(value)
            except ValidationError as error:
                said = error.errors(include_url=False, include_input=False)[0]["msg"]
                raise BadRequestError(f"filter {name}: {said}") from error
        return found

    def conditions(self, names: tuple[str, ...]) -> list[ColumnElement[bool]]:
        """The conditions, for values that come as `filter_NAME`."""
        return [self._filters[name].condition(bindparam(parameter(name), None)) for name in names]


def parameter(name: str) -> str:
    """How a filter's value is named in a statement."""
    return f"filter_{name}"


def scope_of(values: Mapping[str, Any]) -> str:
    """What binds a cursor to the filters that it was made under."""
    if not values:
        return ""
    return json.dumps(sorted((name, str(value)) for name, value in values.items()))


def _filter(name: str, declared: Any) -> Filter:
    if isinstance(declared, Filter):
        return declared
    if isinstance(declared, InstrumentedAttribute):
        column: Any = declared
        try:
            kind = column.type.python_type
        except NotImplementedError as error:
            raise DefinitionError(
                f"filter {name!r}: the type of {declared} has no Python type; "
                "give Filter(type, condition)"
            ) from error
        return Filter(kind, lambda value: column == value)
    raise DefinitionError(
        f"filter {name!r}: got {declared!r}; wanted a column, such as User.city, "
        "or Filter(type, condition)"
    )
