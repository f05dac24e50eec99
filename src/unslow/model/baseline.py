"""The baseline: findings that a team has accepted, with the reason, and its file's text.

The names are those of the file, format 1.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from ..errors import UnslowError

FORMAT: Final = 1
FILE: Final = "unslow-baseline.json"

_TEXT: Final = "a text that is not empty"
_DAY: Final = "a day such as 2026-03-01"
_WANTED: Final[Mapping[str, str]] = {
    "id": _TEXT,
    "rule": _TEXT,
    "route": "a text",
    "place": "a text",
    "reason": _TEXT,
    "date": _DAY,
    "until": f"{_DAY}, or null",
}


class BaselineError(UnslowError):
    """A baseline file cannot be read or written, or does not say what it must."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One finding that is accepted."""

    id: str
    rule: str
    route: str
    """`METHOD /route`; empty for what belongs to no single one."""
    place: str
    """`path:line`, when it was last accepted: for readers only, the id tells which one it is."""
    reason: str
    accepted_on: date
    until: date | None = None
    """The last day on which it is accepted; None for always."""

    def holds(self, today: date) -> bool:
        """Whether it is still accepted."""
        return self.until is None or today <= self.until


@dataclass(frozen=True, slots=True)
class Baseline:
    """All that is accepted."""

    accepted: tuple[Accepted, ...] = ()


def baseline_text(baseline: Baseline) -> str:
    """The file's text, sorted so that what two people add is seldom in one line."""
    entries = sorted(baseline.accepted, key=lambda one: (one.route, one.rule, one.id))
    data = {"format": FORMAT, "accepted": [_entry(one) for one in entries]}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _entry(one: Accepted) -> dict[str, str | None]:
    return {
        "id": one.id,
        "rule": one.rule,
        "route": one.route,
        "place": one.place,
        "reason": one.reason,
        "date": one.accepted_on.isoformat(),
        "until": None if one.until is None else one.until.isoformat(),
    }


def baseline_of(text: str, name: str = FILE) -> Baseline:
    """The baseline from its file's text; `name` is what the file is called in errors.

    Raises:
        BaselineError: it is damaged, or of another format.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BaselineError(
            f"{name} is not JSON: {error}. Mend it there (a merge may have left its marks), or take"
            " the file away and accept again."
        ) from error
    accepted = tuple(_accepted(one, name, index) for index, one in _entries(data, name))
    counts = Counter(one.id for one in accepted)
    for one, count in counts.items():
        if count > 1:
            raise BaselineError(f"{name} accepts {one} {count} times. Leave one of them.")
    return Baseline(accepted)


def _entries(data: Any, name: str) -> list[tuple[int, Any]]:
    version = data.get("format") if isinstance(data, dict) else None
    if type(version) is int and version != FORMAT:
        raise BaselineError(
            f"{name} has format {version}; this unslow reads format {FORMAT}. Use the unslow that"
            " wrote it, or accept again."
        )
    entries = data.get("accepted") if isinstance(data, dict) else None
    if version is None or not isinstance(entries, list):
        raise BaselineError(
            f'{name} is no baseline; wanted is {{"format": {FORMAT}, "accepted": [...]}}. Name'
            " another file, or take this one away and accept again."
        )
    return list(enumerate(entries, start=1))


def _accepted(entry: Any, name: str, number: int) -> Accepted:
    where = f"{name}, entry {number} of accepted"
    if not isinstance(entry, dict):
        raise BaselineError(
            f"{where}: it is no object; wanted is one with {_names()}. Write it so."
        )
    where += f" ({entry['id']})" if isinstance(entry.get("id"), str) else ""
    for one in entry:
        if one not in _WANTED:
            raise BaselineError(
                f"{where}: {one!r} is no name here; there are {_names()}. Correct it, or take it"
                " out."
            )
    day = _day(entry, "date", where)
    if day is None:
        raise _wrong(entry, "date", where)
    return Accepted(
        id=_text(entry, "id", where),
        rule=_text(entry, "rule", where),
        route=_text(entry, "route", where),
        place=_text(entry, "place", where),
        reason=_text(entry, "reason", where),
        accepted_on=day,
        until=_day(entry, "until", where),
    )


def _names() -> str:
    return ", ".join(_WANTED)


def _text(entry: dict[str, Any], field: str, where: str) -> str:
    given = entry.get(field, "")
    if not isinstance(given, str) or (_WANTED[field] == _TEXT and not given.strip()):
        raise _wrong(entry, field, where)
    return given


def _day(entry: dict[str, Any], field: str, where: str) -> date | None:
    given = entry.get(field)
    if given is None:
        return None
    try:
        return date.fromisoformat(given)
    except (TypeError, ValueError):
        raise _wrong(entry, field, where) from None


def _wrong(entry: dict[str, Any], field: str, where: str) -> BaselineError:
    given = f"is {entry[field]!r}" if field in entry else "is missing"
    return BaselineError(f"{where}: {field} {given}; wanted is {_WANTED[field]}. Write one.")
