"""`--only ROUTE` and `--skip ROUTE`: which operations and requests they leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from ..model.workload import Request
from ..prove.operations import path_of, pattern, plain
from ..prove.workload.making import RouteMissingError
from ..prove.workload.openapi import Operation

_MOST_NAMES: Final = 10

_T = TypeVar("_T")


class Named(NamedTuple):
    """What something that can be chosen is called."""

    method: str
    route: str
    """The template; empty where only the app knows it."""
    path: str = ""

    @property
    def text(self) -> str:
        """As it stands in a message."""
        return f"{self.method} {self.route or self.path}"


def of_operation(one: Operation) -> Named:
    """What an operation of the document is called."""
    return Named(one.method, one.route)


def of_request(one: Request) -> Named:
    """What a request from a file is called."""
    return Named(one.method, one.route, path_of(one))


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user wants to be asked."""

    only: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def of(self, things: Sequence[_T], named: Callable[[_T], Named]) -> tuple[_T, ...]:
        """What is left of operations or requests.

        Raises:
            RouteMissingError: a route was named that none of them has.
        """
        names = [named(one) for one in things]
        for option, routes in (("--only", self.only), ("--skip", self.skipped)):
            for route in routes:
                if not any(_is_meant(route, name) for name in names):
                    raise _missing(option, route, names)
        return tuple(one for one, name in zip(things, names, strict=True) if self._is_wanted(name))

    def _is_wanted(self, name: Named) -> bool:
        if any(_is_meant(route, name) for route in self.skipped):
            return False
        return not self.only or any(_is_meant(route, name) for route in self.only)


def _is_meant(wanted: str, name: Named) -> bool:
    """Whether `GET /users/{id}`, or `/users/{id}` for all its methods, names something."""
    first, _, rest = wanted.strip().partition(" ")
    method, route = (first.upper(), rest.strip()) if rest else ("", first)
    if method not in ("", name.method):
        return False
    if name.route:
        return plain(route) == plain(name.route)
    return pattern(route).fullmatch(name.path) is not None


def _missing(option: str, route: str, names: Sequence[Named]) -> RouteMissingError:
    there = list(dict.fromkeys(name.text for name in names))
    told = ", ".join(there[:_MOST_NAMES]) + (" ..." if len(there) > _MOST_NAMES else "")
    return RouteMissingError(
        f"{option} is {route!r}, and nothing that could be asked is called so; there is"
        f" {told or 'nothing at all'}. Correct it, or leave it out."
    )
