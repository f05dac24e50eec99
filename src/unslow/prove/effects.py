"""What a request does beside answering: a check sends it once only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..diagnose.views import is_write
from ..hosts import host_of, is_here
from ..model.trace import CACHE, REMOTE, Place, Trace
from ..model.workload import READ_METHODS

_MAIL: Final = "smtp "
_CHANGES: Final = re.compile(
    r"(?:ALTER|CALL|COMMENT|CREATE|DO|DROP|GRANT|NOTIFY|REFRESH|REINDEX|REPLACE|REVOKE|VACUUM)\b"
    r"|SELECT\b.*\bINTO\b"
    r"|.*\b(?:LO_\w+|NEXTVAL|PG_NOTIFY|SETVAL) ?\("
    r"|.*; ?(?:ALTER|CALL|COPY|CREATE|DELETE|DROP|INSERT|MERGE|NOTIFY|TRUNCATE|UPDATE)\b",
    re.DOTALL,
)
"""What changes a database or tells others of it, beside the statements that write rows."""


_LOCKS: Final = re.compile(r"\bFOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)\b")


class Effect(NamedTuple):
    """Something that a request did beside answering."""

    says: str
    place: Place | None
    host: str = ""
    """The other service that was called; empty where something was written or sent."""


def effects_of(trace: Trace) -> tuple[Effect, ...]:
    """What a request wrote or sent, and which services it called that are not on this machine."""
    found = {one.says: one for one in (*_writes(trace), *_calls(trace))}
    return tuple(found.values())


def locks_rows(trace: Trace) -> bool:
    """Whether a request locked rows that it read, which is refused where nothing may be written."""
    return any(_LOCKS.search(" ".join(one.shape.upper().split())) for one in trace.statements)


def _writes(trace: Trace) -> Iterator[Effect]:
    for one in trace.statements:
        if is_write(one.shape) or _CHANGES.match(one.shape.upper()):
            yield Effect(f"it writes: {' '.join(one.shape.split()[:3])}", one.place)


def _calls(trace: Trace) -> Iterator[Effect]:
    for lane in trace.lanes:
        for one in lane.slices:
            if one.segment == CACHE and trace.method not in READ_METHODS:
                # Its commands are not recorded, and a queue of jobs is often kept there.
                yield Effect(f"it may write to {one.what or 'a cache'}", one.place)
            elif one.segment == REMOTE and isinstance(one.what, tuple):
                yield from _call(str(one.what[0]), one.place)


def _call(host: str, place: Place | None) -> Iterator[Effect]:
    if host.startswith(_MAIL):
        yield Effect(f"it sends a mail by {host.removeprefix(_MAIL)}", place)
    elif not is_here(host_of(host)):
        yield Effect(f"it calls {host}", place, host_of(host))
