"""Where two documents differ, and how, in words that name no value of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from .answer_document import NOTHING, Absence, Raw

VALUE: Final = "value"
TYPE: Final = "type"
"""Also for what is missing or new."""
LENGTH: Final = "length"
ORDER: Final = "order"
UNREAD: Final = "unread"
"""Not equal in every byte, and no more is known."""

_IN_WORDS: Final = {
    VALUE: "another value",
    ORDER: "another order",
    UNREAD: "not equal in every byte, and too large to be read or not kept",
}
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")
_MOST_DIGITS: Final = 4
"""In a field's name: more stand in an id or a token that begins with a letter."""
_ENCODER: Final = json.JSONEncoder(sort_keys=True)
_LONGEST_PATH: Final = 120
_MOST_WEIGHED: Final = 50
"""Elements that are looked at to choose between orders."""
_NOTHING: Final = "nothing"
_KINDS: Final[Mapping[type[object], str]] = {
    Absence: _NOTHING,
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    dict: "object",
    Raw: "bytes",
}


class Step(Enum):
    """A step of a path that is no key."""

    EACH = "[]"
    """Any element of a list: paths are the same for all of them."""
    ANY = "*"
    """Any key that is no field's name."""
    HEADER = "header"


Path = tuple[str | Step, ...]


class Spot(NamedTuple):
    """What may differ: the same spot in two answers is the same difference from a third."""

    path: Path
    how: str
    now: str = ""
    """The kind of value that stands there; `empty` for a list that became so."""


class Change(NamedTuple):
    """What is different at a spot."""

    before: str
    """The kind of value, or how many there were."""
    now: str
    fingerprint: int
    """Equal, in one process, for equal values in the same elements."""


Changes = dict[Spot, Change]


def body_differences(before: object, now: object) -> Changes:
    """Where a body differs from another, in the order of the document.

    A list whose elements only stand in another order differs in that alone. Of objects with a key
    of their own it is told by the key, so that they may also differ in themselves.
    """
    return _Comparing(before, now).found


def header_differences(before: Mapping[str, str], now: Mapping[str, str]) -> Changes:
    """Which headers differ: in their value, or in being there."""
    found: Changes = {}
    for name in {**before, **now}:
        was, value = before.get(name, NOTHING), now.get(name, NOTHING)
        kind = _kind(value)
        how = (VALUE, "") if _kind(was) == kind else (TYPE, kind)
        if was != value:
            found[Spot((Step.HEADER, name), *how)] = Change(_kind(was), kind, hash(value))
    return found


def leaf_paths(value: object) -> frozenset[Path]:
    """The paths of all single values, and of empty lists."""
    found: set[Path] = set()
    to_do: list[tuple[Path, object]] = [((), value)]
    while to_do:
        path, one = to_do.pop()
        if isinstance(one, dict):
            to_do += (((*path, key), member) for key, member in one.items())
        elif isinstance(one, list) and one:
            to_do += (((*path, Step.EACH), element) for element in one)
        else:
            found.add((*path, Step.EACH) if isinstance(one, list) else path)
    return frozenset(found)


def written(path: Path) -> str:
    """A path as it may be shown: `items[].price`, with `*` for keys that may be somebody's data."""
    if path[:1] == (Step.HEADER,):
        name = str(path[-1])
        return f"header {name if is_field(name.replace('-', '_')) else '*'}"
    steps = (_written(one) for one in path)
    text = "".join(steps).removeprefix(".") or "the body"
    return text if len(text) <= _LONGEST_PATH else f"...{text[-_LONGEST_PATH:]}"


def described(spot: Spot, change: Change) -> str:
    """A difference in words, with kinds and counts at most."""
    return f"{written(spot.path)}: {_how(spot, change)}"


def is_field(key: str) -> bool:
    """Whether a key is a name that a programmer gave, not data."""
    digits_count = sum(one.isdigit() for one in key)
    return bool(_FIELD.fullmatch(key)) and digits_count <= _MOST_DIGITS


class _Comparing:
    """Walks two documents side by side, by a list of what is to do: JSON may be nested deeply."""

    def __init__(self, before: object, now: object) -> None:
        self.found: Changes = {}
        self._to_do: list[tuple[Path, int, object, object]] = [((), 0, before, now)]
        while self._to_do:
            self._compare(*self._to_do.pop())

    def _compare(self, path: Path, where: int, before: object, now: object) -> None:
        if isinstance(before, dict) and isinstance(now, dict):
            self._objects(path, where, before, now)
        elif isinstance(before, list) and isinstance(now, list):
            self._lists((*path, Step.EACH), where, before, now)
        elif isinstance(before, Raw) or isinstance(now, Raw):
            self._bodies(path, before, now)
        elif (was := _kind(before)) != (kind := _kind(now)):
            self._note(Spot(path, TYPE, kind), where, was, kind, None)
        elif not _equal(before, now):
            self._note(Spot(path, VALUE), where, was, kind, now)

    def _objects(
        self, path: Path, where: int, before: dict[str, object], now: dict[str, object]
    ) -> None:
        self._later(
            ((*path, key), hash((where, key)), value, now.get(key, NOTHING))
            for key, value in before.items()
        )
        for key, value in now.items():
            if key not in before:
                # Keys that are made anew for each answer are never the same ones.
                added: Path = (*path, key if is_field(key) else Step.ANY)
                self._note(Spot(added, TYPE, _kind(value)), where, _kind(NOTHING), "", key)

    def _lists(
        self, each: Path, where: int, before: Sequence[object], now: Sequence[object]
    ) -> None:
        if _are_equal(before, now):
            return
        if len(before) != len(now):
            spot = Spot(each, LENGTH, "" if now else "empty")
            self._note(spot, where, str(len(before)), str(len(now)), len(now))
        elif len(before) > 1:
            order = _order(before, now)
            if any(index != place for place, index in enumerate(order)):
                self._note(Spot(each, ORDER), where, "", "", tuple(order))
            now = [now[index] for index in order]
            if _are_equal(before, now):
                return
        pairs = enumerate(zip(before, now, strict=False))
        self._later((each, hash((where, index)), *pair) for index, pair in pairs)

    def _bodies(self, path: Path, before: object, now: object) -> None:
        if before == now:
            return
        was, size = (str(one.bytes_count) if isinstance(one, Raw) else "" for one in (before, now))
        if any(isinstance(one, Raw) and not one.is_kept for one in (before, now)):
            self._note(Spot(path, UNREAD), 0, was, size, None)
        elif isinstance(before, Raw) and isinstance(now, Raw):
            self._note(Spot(path, VALUE), 0, was, size, now.digest)
        else:
            kind = _kind(now)
            self._note(Spot(path, TYPE, kind), 0, _kind(before), kind, None)

    def _later(self, several: Iterable[tuple[Path, int, object, object]]) -> None:
        self._to_do += reversed([*several])

    def _note(self, spot: Spot, where: int, before: str, now: str, value: object) -> None:
        first = self.found.get(spot, Change(before, now, 0))
        # Of `repr`, since a NaN has another hash each time.
        fingerprint = hash((first.fingerprint, where, repr(value)))
        self.found[spot] = first._replace(fingerprint=fingerprint)


def _are_equal(before: Sequence[object], now: Sequence[object]) -> bool:
    """Whether two lists are, at a glance; False where they are too deep for that."""
    try:
        return len(before) == len(now) and _text(before) == _text(now)
    except RecursionError:
        return False


def _order(before: Sequence[object], now: Sequence[object]) -> Sequence[int]:
    """Which element of `now` belongs to each of `before`, of two lists of the same length.

    That is each to each in turn where no other order explains them.
    """
    try:
        were, are = [_text(one) for one in before], [_text(one) for one in now]
        if Counter(were) == Counter(are):
            return _places(were, are)
        orders = [range(len(now)), *_orders_by_key(before, now)]
        return max(orders, key=lambda order: _agreement(before, now, order))
    except RecursionError:
        return range(len(now))


def _orders_by_key(before: Sequence[object], now: Sequence[object]) -> Iterator[Sequence[int]]:
    """The orders by members that tell all elements apart, and are the same in both lists."""
    rows = [one for one in (*before, *now) if isinstance(one, dict)]
    if len(rows) < len(before) + len(now):
        return
    for name in rows[0]:
        keys = [_text(row[name]) for row in rows if _is_key(row.get(name))]
        were, are = keys[: len(before)], keys[len(before) :]
        is_unique = len(set(were)) == len(before)
        if len(keys) == len(rows) and is_unique and Counter(were) == Counter(are):
            yield _places(were, are)


def _is_key(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _agreement(before: Sequence[object], now: Sequence[object], order: Sequence[int]) -> int:
    """How many members are equal in an order: a rank is also unique, but nothing goes with it."""
    rows = [(one, now[index]) for one, index in zip(before, order, strict=True)][:_MOST_WEIGHED]
    return sum(
        value == other.get(name)
        for one, other in rows
        if isinstance(one, dict) and isinstance(other, dict)
        for name, value in one.items()
    )


def _places(were: Sequence[str], are: Sequence[str]) -> Sequence[int]:
    """Where each of `were` stands in `are`, which has the same ones; equal ones in turn."""
    places: dict[str, list[int]] = {}
    for place, one in reversed([*enumerate(are)]):
        places.setdefault(one, []).append(place)
    return [places[one].pop() for one in were]


def _text(value: object) -> str:
    """Equal for equal values only."""
    return _ENCODER.encode(value)


def _equal(before: object, now: object) -> bool:
    """Whether two single values of one kind are equal; nothing else is NaN, as in JSON's text."""
    return before == now or (before != before and now != now)  # noqa: PLR0124  # a NaN is itself


def _kind(value: object) -> str:
    return _KINDS[type(value)]


def _how(spot: Spot, change: Change) -> str:
    if spot.how == TYPE and spot.now == _NOTHING:
        return "missing"
    if spot.how == TYPE:
        is_new = change.before == _NOTHING
        return "added" if is_new else f"{change.now} in place of {change.before}"
    if spot.how == LENGTH:
        return f"{_counted(change.now, 'item')}, {change.before} before"
    if spot.how == VALUE and change.now.isdigit() and change.now != change.before:
        return f"{_counted(change.now, 'byte')}, {change.before} before"
    return _IN_WORDS[spot.how]


def _counted(count: str, noun: str) -> str:
    return f"{count} {noun}" if count == "1" else f"{count} {noun}s"


def _written(step: str | Step) -> str:
    if step is Step.EACH:
        return "[]"
    return f".{step}" if isinstance(step, str) and is_field(step) else ".*"
