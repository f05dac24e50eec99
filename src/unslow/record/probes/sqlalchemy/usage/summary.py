"""What was watched in a request, as plain tuples."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from .loads import Fetch, Group

_MOST_SETS: Final = 8

Led = Counter[tuple[int, Any]]
"""How many objects were built, by the statement and the relationship that led to them."""


def usages_of(watched: dict[int, Fetch]) -> tuple[tuple[Any, ...], ...] | None:
    """What was watched in a closed trace, as the fields of `model.usage.Usage`; empties it.

    None where some of the reads were not seen, as the watch ended before the request.
    """
    fetches = [watched[index] for index in sorted(watched)]
    watched.clear()
    try:
        if not all(fetch.watch.saw_all_of(fetch.trace) for fetch in fetches):
            return None
        led = _led(fetches)
        groups = [group for fetch in fetches for group in list(fetch.groups.values())]
        # Without loads, all that the rows hold was there already.
        return tuple(sorted(_usage(group, led) for group in groups if group.loads))
    except Exception as error:
        fetches[0].watch.broke(error)
        return None
    finally:
        for fetch in fetches:
            fetch.release()


def _led(fetches: list[Fetch]) -> Led:
    led: Led = Counter()
    for fetch in fetches:
        statement = fetch.statement
        for group in list(fetch.groups.values()):
            for by in [load.led_by for load in group.loads if load.led_by is not None]:
                # Sent for the relationship, or joined into what was sent for something else.
                is_own = statement.relationship is by
                led[statement.parent if is_own else statement.index, by] += 1
    return led


def _usage(group: Group, led: Led) -> tuple[Any, ...]:
    loads = list(group.loads)
    loaded = group.columns_bytes
    columns = tuple(name for name in group.columns if name in loaded)
    sets = [frozenset(load.read) for load in loads]
    read = frozenset[str]().union(*sets)
    return (
        group.fetch.statement.index,
        group.mapper.class_.__name__,
        sum(1 for load in loads if not load.names.isdisjoint(loaded)),
        group.primary_key,
        columns,
        tuple(loaded[name] for name in columns),
        tuple(name for name in columns if name in read),
        sum(1 for one in sets if one),
        sum(1 for one, load in zip(sets, loads, strict=True) if load.is_written and not one),
        _profile(sets),
        tuple(_relationships(group, read, led)),
        group.unwatched_count,
    )


def _profile(sets: list[frozenset[str]]) -> tuple[tuple[tuple[str, ...], int], ...]:
    counts = Counter(tuple(sorted(one)) for one in sets if one)
    most = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return tuple(most[:_MOST_SETS])


def _relationships(
    group: Group, read: frozenset[str], led: Led
) -> list[tuple[str, str, int, bool]]:
    found = []
    # The rows that a relationship holds may go with its object.
    deleted = [load.names for load in group.loads if load.is_deleted]
    for one, how in group.eager.items():
        count = led[group.fetch.statement.index, one]
        is_read = one.key in read or any(one.key in names for names in deleted)
        # Without a statement: found among the objects that were there.
        if count or how != "immediate":
            found.append((one.key, how, count, is_read))
    return found
