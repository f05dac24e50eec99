"""The relationships that a finding is about, and the loader options that load them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ...model.finding import Finding
from ...model.trace import Statement, Trace
from ...model.usage import Usage
from .patch import CannotTryError

_COLUMNS_SELECTED: Final = re.compile(r"\s*SELECT\s+(?P<what>.+?)\s+FROM\s+(?P<rest>.+)", re.S)
_KEY: Final = "_id"
"""How columns that belong to relationships end, by nearly everybody's habit: the ORM reads them
for itself, which no usage tells."""
_LEAST_LEFT_OUT: Final = 0.25
"""Of the bytes of all rows: for less nobody wants to read a list of columns."""
_LEAST_OF_ENTITY: Final = 0.05
"""Of the same bytes: a class that less is left out of stays whole."""

Chain = Sequence[tuple[str, str]]
"""Loaders, and what each loads: `("selectinload", "posts")`."""


class Hop(NamedTuple):
    """One relationship, or column, on the way from a statement's class."""

    entity: str
    attribute: str

    @property
    def name(self) -> str:
        """As traces call it: `User.posts`."""
        return f"{self.entity}.{self.attribute}"


def path_of(finding: Finding) -> tuple[Hop, ...]:
    """The relationships that a finding names, the first one of its statement's own class.

    Raises:
        CannotTryError: it names none.
    """
    named = finding.evidence.get("relationship")
    names = named.split(" -> ") if isinstance(named, str) else []
    hops = tuple(Hop(*one.rsplit(".", 1)) for one in names if "." in one)
    if not hops or len(hops) != len(names):
        raise CannotTryError("the finding names no relationship")
    if any(one.attribute == "*" for one in hops):
        raise CannotTryError(
            "the objects had expired, and all their columns are loaded again: no loader option"
            " changes that"
        )
    return hops


def is_column(traces: Sequence[Trace], hop: Hop) -> bool:
    """Whether what is loaded late is a column of the object itself, and no relationship."""
    for trace in traces:
        for index, one in enumerate(trace.statements):
            if one.relationship == hop.name:
                usages = [of for of in trace.usages or () if of.statement == index]
                return _is_of_column(hop, usages) if usages else _selects_one(one)
    return False


def _is_of_column(hop: Hop, usages: Sequence[Usage]) -> bool:
    return all(one.entity == hop.entity and one.columns == (hop.attribute,) for one in usages)


def _selects_one(statement: Statement) -> bool:
    """Whether it selects one column of one table by another: what only a late column looks like."""
    found = _COLUMNS_SELECTED.match(statement.shape)
    if found is None or "," in found["what"]:
        return False
    table, _, condition = found["rest"].partition("WHERE")
    column = found["what"].split()[0]
    return "," not in table and "JOIN" not in table and column not in condition


def chains_of(hops: Sequence[Hop], *, ends_in_column: bool) -> list[tuple[tuple[str, str], ...]]:
    """The ways to load what a finding is about that are worth a trial, the likeliest first."""
    relationships = hops[:-1] if ends_in_column else hops
    last = ((_UNDEFER, hops[-1].attribute),) if ends_in_column else ()
    return [
        (*((how, hop.attribute) for how, hop in zip(ways, relationships, strict=True)), *last)
        for ways in _ways(len(relationships))
    ]


_UNDEFER: Final = "undefer"
_SELECT: Final = "selectinload"
_JOIN: Final = "joinedload"
_SUBQUERY: Final = "subqueryload"


def _ways(count: int) -> list[tuple[str, ...]]:
    if count == 0:
        return [()]
    if count == 1:
        return [(_SELECT,), (_JOIN,), (_SUBQUERY,)]
    alike = [(_SELECT,) * count, (_JOIN,) * count]
    if count == 2:
        return [*alike, (_SELECT, _JOIN), (_JOIN, _SELECT), (_SUBQUERY,) * 2]
    return [*alike, (*(_SELECT,) * (count - 1), _JOIN)]


class Spelling(NamedTuple):
    """How names are written where the options stand."""

    loader: Callable[[str], str] = str
    attribute: Callable[[str, str], str] = "{}.{}".format
    """By class and attribute: `User.posts`."""


def options_code(
    hops: Sequence[Hop],
    chain: Chain,
    load_only: Mapping[str, Sequence[str]],
    target: str | None,
    spelling: Spelling | None = None,
) -> list[str]:
    """The loader options as code, one or more.

    Args:
        hops: The relationships, with the class that each belongs to.
        chain: How each is loaded.
        load_only: By class, the columns that are loaded of it; of other classes all are.
        target: The class that the last relationship leads to; None where that is not known.
        spelling: How names are written; as they are where none is given.
    """
    write = spelling or Spelling()

    def only(entity: str | None) -> str:
        columns = load_only.get(entity or "", ())
        return ", ".join(write.attribute(entity or "", one) for one in columns)

    own = only(hops[0].entity)
    codes = [f"{write.loader('load_only')}({own})"] if own else []
    code = ""
    targets = [*(one.entity for one in hops[1:]), target]
    for hop, (loader, attribute), entity in zip(hops, chain, targets, strict=True):
        called = f".{loader}" if code else write.loader(loader)
        code += f"{called}({write.attribute(hop.entity, attribute)})"
        code += f".load_only({only(entity)})" if only(entity) else ""
    return [*codes, code]


def target_of(traces: Sequence[Trace], hops: Sequence[Hop]) -> str | None:
    """The class that the last relationship leads to, where the watched requests tell."""
    found = {one.entity for at, one in _usages(traces, None, hops) if at == len(hops)}
    return found.pop() if len(found) == 1 else None


def columns_read(finding: Finding, traces: Sequence[Trace]) -> dict[str, tuple[str, ...]]:
    """By class of a finding's path, the columns that are read; only where much is left out.

    Empty where nobody watched, or nearly all is read.
    """
    hops = path_of(finding)
    targets = [*(one.entity for one in hops), target_of(traces, hops)]
    mine = [one for at, one in _usages(traces, finding, hops) if one.entity == targets[at]]
    read = _read(traces)
    whole = sum(sum(one.columns_bytes) for one in mine)
    known = [one for one in dict.fromkeys(targets) if one is not None]
    left_out = {entity: _left_out_bytes(mine, entity, read) for entity in known}
    narrow = {
        entity: size
        for entity, size in left_out.items()
        if size and size >= _LEAST_OF_ENTITY * whole
    }
    if sum(narrow.values()) < _LEAST_LEFT_OUT * whole or not whole:
        return {}
    return {entity: _kept(mine, entity, read) for entity in narrow}


def _usages(
    traces: Sequence[Trace], finding: Finding | None, hops: Sequence[Hop]
) -> Iterator[tuple[int, Usage]]:
    """What was read of the objects of each class on the way, with its place on it."""
    numbers = {one.name: number for number, one in enumerate(hops, 1)}
    place = None if finding is None else finding.place
    for trace in traces:
        for one in trace.usages or ():
            statement = trace.statements[one.statement]
            if statement.relationship in numbers:
                yield numbers[statement.relationship], one
            elif not statement.relationship and place is not None and statement.place == place:
                yield 0, one


def _read(traces: Sequence[Trace]) -> dict[str, set[str]]:
    """By class, all that was read of it in any watched request, by whatever it was loaded."""
    found: dict[str, set[str]] = {}
    for trace in traces:
        for one in trace.usages or ():
            names = found.setdefault(one.entity, set())
            names.update(one.read_columns, one.primary_key)
            names.update(*(read for read, _ in one.profile))
    return found


def _is_kept(name: str, read: set[str]) -> bool:
    return name in read or name.endswith(_KEY)


def _left_out_bytes(usages: Sequence[Usage], entity: str, read: Mapping[str, set[str]]) -> int:
    """Zero also where not all objects of a class were watched."""
    mine = [one for one in usages if one.entity == entity]
    if any(one.unwatched_rows_count for one in mine):
        return 0
    sizes: Counter[str] = Counter()
    for one in mine:
        sizes.update(dict(zip(one.columns, one.columns_bytes, strict=True)))
    known = read.get(entity, set())
    return sum(size for name, size in sizes.items() if not _is_kept(name, known))


def _kept(usages: Sequence[Usage], entity: str, read: Mapping[str, set[str]]) -> tuple[str, ...]:
    mine = [one for one in usages if one.entity == entity]
    names = dict.fromkeys(name for one in mine for name in (*one.primary_key, *one.columns))
    return tuple(one for one in names if _is_kept(one, read.get(entity, set())))
