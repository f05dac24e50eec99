"""An answer as what is compared of it: the values of its body, and of its headers those that count.

Two bodies are equal when a client that parses them has the same in hand: the order of keys, the
spelling of numbers and white space are nothing; the order of a list is something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

_EVENTS: Final = "text/event-stream"
_LINES: Final = re.compile(r"ndjson|jsonl|json-?lines|json-seq|stream\+json")
"""Media types with a value of JSON on each line; RFC 7464 puts a byte 1E before each."""
_FIELDS_OF_EVENTS: Final = ("event", "data", "id", "retry")
_NOT_COMPARED: Final = frozenset(
    {"date", "server", "content-length", "transfer-encoding", "connection", "keep-alive", "age"}
    # How it is packed, and how long it took, is what fixes change.
    | {"content-encoding", "server-timing", "x-process-time", "x-response-time"}
)
"""Headers of the server and of the way, which may also come and go."""
_COMPARED: Final = frozenset(
    {"accept-ranges", "allow", "cache-control", "content-disposition", "content-language"}
    | {"content-location", "content-range", "content-type", "etag", "last-modified", "link"}
    | {"location", "vary", "www-authenticate"}
    | {"x-total", "x-total-count", "x-total-pages", "x-page", "x-per-page"}
    | {"x-next-page", "x-prev-page"}
)
"""Headers whose values a client acts on; of all others only the names are compared."""
_COOKIE: Final = re.compile(r"(?:^|,)\s*([^=;,\s]+)=")


class Absence(Enum):
    """What stands where there is nothing."""

    NOTHING = "nothing"


NOTHING: Final = Absence.NOTHING


class Raw(NamedTuple):
    """A body that is compared by its bytes."""

    digest: str
    bytes_count: int
    is_kept: bool
    """Whether it was read; of another one no more is known than whether it is equal."""


def document(content_type: str, body: bytes, digest: str) -> object:
    """The values in a body: JSON, a list of its lines or events, `Raw` for all else.

    A number with a point or an exponent is the double that it names; one without is exact, since
    two ids beyond 2^53 are two rows. Twice the same key in an object, and JSON that is none, leave
    the reader to guess: they are compared by their bytes. A byte order mark is no part of JSON.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        if not body:
            return NOTHING
        if media_type == _EVENTS:
            return _events(body)
        if _LINES.search(media_type):
            lines = (line.strip(b" \t\x1e") for line in body.splitlines())
            return [_parsed(line) for line in lines if line]
        if "json" in media_type:
            return _parsed(body)
    except (ValueError, RecursionError):
        pass
    return Raw(digest, len(body), is_kept=True)


def compared_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers that are compared, by their names: with their value, or with none."""
    by_name = {name.lower(): value for name, value in headers.items()}
    chosen = {name: _value(name, value) for name, value in by_name.items()}
    return tuple(sorted((name, value) for name, value in chosen.items() if value is not None))


def _value(name: str, value: str) -> str | None:
    """What is compared of a header; None where that is not even its name."""
    if name in _NOT_COMPARED:
        return None
    if name == "vary":
        # Comes and goes with packing.
        named = {one.strip().lower() for one in value.split(",")} - {"", "accept-encoding"}
        return ", ".join(sorted(named)) or None
    if name == "content-type":
        return "; ".join(part.strip().lower() for part in value.split(";"))
    if name == "set-cookie":
        return ", ".join(sorted(set(_COOKIE.findall(value))))
    return value.strip() if name in _COMPARED else ""


def _parsed(text: bytes | str) -> object:
    parsed: object = json.loads(text, object_pairs_hook=_object, parse_float=_number)
    return parsed


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError
    return values


def _number(text: str) -> int | float:
    """So that 1.0 is 1 and -0.0 is 0: a double is a float here only where it is no integer."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _events(body: bytes) -> list[object]:
    """Server-sent events, by the names of their fields; comments keep a line open, no more."""
    text = re.sub("\r\n?", "\n", body.decode("utf-8-sig"))
    events = (_event(block) for block in text.split("\n\n"))
    return [event for event in events if event]


def _event(block: str) -> dict[str, object]:
    fields: dict[str, list[str]] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        if name in _FIELDS_OF_EVENTS:
            fields.setdefault(name, []).append(value.removeprefix(" "))
    return {name: _parsed_if_json("\n".join(values)) for name, values in fields.items()}


def _parsed_if_json(text: str) -> object:
    try:
        return _parsed(text)
    except (ValueError, RecursionError):
        return text
