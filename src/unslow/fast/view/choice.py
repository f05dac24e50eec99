"""Which make answers, and why not a quicker one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from ..errors import DefinitionError
from .expressions import InexactError, json_text
from .needs import Node, Reason

Make: TypeAlias = Literal["json", "rows", "orm"]
"""How an answer is made: by PostgreSQL, from rows, from objects."""

MAKES: Final[tuple[Make, ...]] = get_args(Make)


@dataclass(frozen=True, slots=True)
class Choice:
    """The make of a view for one driver."""

    make: Make
    reasons: tuple[Reason, ...]
    """Why no quicker one."""


def choose(node: Node, driver: str, *, trust_database: bool, wanted: Make | None) -> Choice:
    """The quickest make that is sure to give FastAPI's own answer, or the one that was asked for.

    Raises:
        DefinitionError: The make that was asked for is not sure.
    """
    reasons = tuple(_reasons(node, driver, trust_database=trust_database))
    make: Make = "json"
    if reasons:
        make = "orm" if any(one.only_orm for one in reasons) else "rows"
    if wanted is None:
        return Choice(make, reasons)
    if MAKES.index(wanted) < MAKES.index(make):
        said = "; ".join(f"{one.where}: {one.why}" for one in reasons)
        raise DefinitionError(
            f"make={wanted!r} could give another answer than FastAPI: {said}. "
            f"Leave it out, or take {make!r}"
        )
    return Choice(wanted, reasons)


def _reasons(node: Node, driver: str, *, trust_database: bool) -> Iterator[Reason]:
    for one in node.all_reasons():
        if not (trust_database and one.is_check):
            yield one
    for below in node.all_nodes():
        for leaf in below.leaves:
            column: Any = getattr(below.mapper.class_, leaf.attribute)
            try:
                json_text(leaf, column, trust_database=trust_database, driver=driver)
            except InexactError as error:
                where = f"{below.model.__name__}.{leaf.name}"
                yield Reason(where, str(error), only_orm=False)


def checked_limits(node: Node, limits: Mapping[str, int]) -> dict[str, int]:
    """The most rows per relationship, by its path in the model.

    Raises:
        DefinitionError: A path is no list of the model, or a limit is no positive number.
    """
    lists = set(_lists(node, ""))
    for path, limit in limits.items():
        if path not in lists:
            raise DefinitionError(
                f"got a limit for {path!r}; {_there_are(sorted(lists), 'lists of the model')}"
            )
        if type(limit) is not int or limit < 1:
            raise DefinitionError(f"got {limit!r} as limit of {path!r}; wanted a positive number")
    return dict(limits)


def _lists(node: Node, path: str) -> Iterator[str]:
    for one in node.related:
        if one.is_list:
            yield f"{path}{one.name}"
        yield from _lists(one.node, f"{path}{one.name}.")


def _there_are(names: Iterable[str], what: str) -> str:
    found = ", ".join(names)
    return f"the {what} are {found}" if found else f"there are no {what}"
