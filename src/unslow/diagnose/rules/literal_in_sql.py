"""Values written into the text.

Looks for: one statement shape from one line whose text is another one nearly each time, because
values stand in it as literals.
Costs: the server parses and plans each text anew; no driver can keep a prepared statement; and a
value from outside in there is an injection.
Instead: bind the values: `WHERE id = $1`, `%s`, `:id`.
Misses: lines that send only a few different values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ...model.finding import Finding
from ..rule import Nearly, Threshold, rule, swept
from ..views import Calls, Requests, is_control

_LEAST_SHARE: Final = 0.2
"""Different texts per call: a few that come again and again are as good as prepared."""


@rule(
    id="literal-in-sql",
    title="Values are written into the text of a statement",
    needs=("statements",),
    threshold=Threshold(5, "different texts of one shape", swept("literal-in-sql")),
    fixes=("bind-parameters",),
)
def literal_in_sql(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each shape and line."""
    for calls in requests.groups:
        keys = _keys(calls)
        texts = len(set(keys))
        if texts < 2 or is_control(calls.shape):
            continue
        if texts < threshold or texts < _LEAST_SHARE * len(keys):
            yield Nearly(f"one shape was sent as {texts} different texts")
            continue
        yield requests.finding(
            f"{len(keys):,} calls sent {texts:,} different texts of one shape.",
            calls.place,
            shape=calls.shape,
            evidence={"texts": texts, "calls": len(keys)},
        )


def _keys(calls: Calls) -> list[str]:
    """The keys of literals in the process that saw most: each has other keys for equal ones."""
    found: dict[int, list[str]] = defaultdict(list)
    for request, _, one in calls.statements():
        if one.literals_key:
            found[request.trace.process_id].append(one.literals_key)
    return max(found.values(), key=lambda keys: len(set(keys)), default=[])
