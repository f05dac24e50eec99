"""Columns that are loaded and not read.

Looks for: queries for whole objects of the ORM of whose columns most, by their bytes, were read on
no object, in none of the requests that were watched.
Costs: bytes from the database, memory, and the building of attributes; large texts and JSON most.
Instead: select the columns that are read, or `load_only(...)`; `deferred` on the model for what is
seldom read.
Misses: rows of Core and of drivers, whose columns are not watched; columns that are read in one
request of a hundred.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ...model.finding import Finding
from ...numbers import counted, percent, size
from ..rule import Nearly, Threshold, rule, swept
from ..views import Requests, StatementKey

_LEAST_SHARE: Final = 0.5
_LEAST_READ: Final = 0.5
"""Of the rows: where most are not used at all, `discarded-rows` says it."""
_KEY: Final = "_id"
"""How columns that belong to relationships end, by nearly everybody's habit: the ORM reads them."""


@dataclass(slots=True)
class _Seen:
    requests: set[int] = field(default_factory=set)
    rows_count: int = 0
    used_count: int = 0
    bytes_by_column: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    read: set[str] = field(default_factory=set)


@rule(
    id="unused-columns",
    title="Columns are loaded and never read",
    needs=("usage",),
    threshold=Threshold(20_000, "bytes per request", swept("unused-columns")),
)
def unused_columns(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each class and query."""
    for (entity, key), seen in _seen(requests).items():
        unread = [one for one in seen.bytes_by_column if one not in seen.read]
        whole = sum(seen.bytes_by_column.values())
        wasted = sum(seen.bytes_by_column[one] for one in unread)
        if not unread or not whole or wasted < _LEAST_SHARE * whole:
            continue
        per_request = wasted / len(seen.requests)
        if seen.used_count < _LEAST_READ * seen.rows_count:
            continue
        if per_request < threshold:
            yield Nearly(f"not read of {entity}: {_names(unread)}, {size(per_request)} a request")
            continue
        share = len(unread) / len(seen.bytes_by_column)
        ms = sum(
            one.mean_ms(lambda cost: cost.rows + cost.hydration)
            for one in requests.groups
            if (one.shape, one.place) == (key.shape, key.place)
        )
        rows = counted(round(seen.rows_count / len(seen.requests)), "row")
        yield requests.finding(
            f"{len(unread)} of {len(seen.bytes_by_column)} columns of {entity} are never read"
            f" ({_names(unread)}): {size(per_request)} a request, {percent(wasted, whole)} of"
            f" what is loaded, in {rows}.",
            key.place,
            could_save_ms=ms * share,
            shape=f"{entity} {key.shape}",
            evidence={"unread": ", ".join(unread), "bytes": round(per_request)},
        )


def _seen(requests: Requests) -> dict[tuple[str, StatementKey], _Seen]:
    found: dict[tuple[str, StatementKey], _Seen] = defaultdict(_Seen)
    for number, request in enumerate(requests.watched):
        for usage in request.trace.usages or ():
            one = request.trace.statements[usage.statement]
            seen = found[usage.entity, StatementKey(one.shape, one.place, one.relationship)]
            seen.requests.add(number)
            seen.rows_count += usage.rows_count
            seen.used_count += usage.read_rows_count + usage.written_rows_count
            seen.read.update(usage.read_columns)
            for name, bytes_count in zip(usage.columns, usage.columns_bytes, strict=True):
                if name not in usage.primary_key and not name.endswith(_KEY):
                    seen.bytes_by_column[name] += bytes_count
    return found


def _names(names: list[str]) -> str:
    told = ", ".join(names[:4])
    return f"{told}, ..." if len(names) > 4 else told
