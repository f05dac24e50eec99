"""Access logs: which addresses were asked for, and how often."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from ...model.workload import Request
from .address import split_address
from .request_file import RequestFileError

# The part that all formats have: common, combined, nginx's and gunicorn's own, uvicorn's with its
# phrase behind the status, hypercorn's with a bare number for the version.
_ENTRY: Final = re.compile(
    r'"(?P<method>[A-Z]+) (?P<address>\S+) (?:HTTP/)?\d(?:\.\d)?" (?P<status>\d{3})\b'
)
_COLOUR: Final = re.compile(r"\x1b\[[\d;]*m")
_ESCAPED: Final = re.compile(r"\\x([0-9A-Fa-f]{2})")
_NOTHING_CHANGED: Final = 304


def is_entry(line: str) -> bool:
    """Whether a line tells of a request."""
    return _entry(line) is not None


def read(text: str, name: str) -> tuple[Request, ...]:
    """The GET and HEAD requests of a log that were answered well, the most frequent first.

    Bodies and headers are not in a log, so other methods cannot be sent again; what was answered
    with an error or sent elsewhere would not count. Lines of other kinds, which many logs have in
    between, are passed over.

    Raises:
        RequestFileError: there is no such request in it.
    """
    entries = [
        (number, match)
        for number, line in enumerate(text.split("\n"), 1)
        if (match := _entry(line))
    ]
    counts: Counter[tuple[str, str, str]] = Counter()
    first_lines: dict[tuple[str, str, str], int] = {}
    for number, asked in _taken(entries):
        counts[asked] += 1
        first_lines.setdefault(asked, number)
    if not counts:
        raise _nothing(text, name, len(entries))
    return tuple(
        Request(
            method,
            target,
            source=f"{name}:{first_lines[method, origin, target]}",
            origin=origin,
            times_count=count,
        )
        for (method, origin, target), count in counts.most_common()
    )


def _entry(line: str) -> re.Match[str] | None:
    return _ENTRY.search(_COLOUR.sub("", line))


def _taken(entries: list[tuple[int, re.Match[str]]]) -> Iterator[tuple[int, tuple[str, str, str]]]:
    for number, match in entries:
        status = int(match["status"])
        is_good = 200 <= status < 300 or status == _NOTHING_CHANGED
        if match["method"] in ("GET", "HEAD") and is_good:
            try:
                origin, target = split_address(_ESCAPED.sub(r"%\1", match["address"]))
            except ValueError:
                # Whoever asks a server may write anything there.
                continue
            yield number, (match["method"], origin, target)


def _nothing(text: str, name: str, entries_count: int) -> RequestFileError:
    if entries_count:
        return RequestFileError(
            f"{name}: none of its {entries_count} requests is a GET or HEAD that was answered 2xx,"
            " and of others the log holds no bodies. Give a longer log, or a .http file."
        )
    line = next((n for n, line in enumerate(text.split("\n"), 1) if line.strip()), 1)
    return RequestFileError(
        f"{name}:{line}: neither this line nor a later one tells of a request; wanted are lines"
        ' with "GET /path HTTP/1.1" 200 in them, as nginx, uvicorn and gunicorn write them.'
    )
