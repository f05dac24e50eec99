"""Sizes of a page: varied, so that what grows with the rows can be told from what does not."""

from __future__ import annotations

from typing import Final

from .names import normal
from .schema import Schema, bounds, fits

TIMES: Final = (1, 2, 4)
"""What the smallest size is multiplied by: three sizes, the least that a line is fitted over."""

_NAMES: Final = frozenset(
    {"count", "first", "limit", "n", "page_size", "pagesize", "per_page", "perpage", "size", "take"}
)
_USUAL: Final = 10


def is_page_size(parameter: str, schema: Schema) -> bool:
    """Whether a parameter of a query says how many rows are wanted."""
    return normal(parameter) in _NAMES and schema.get("type") == "integer"


def sizes(schema: Schema) -> tuple[int, ...]:
    """Up to three sizes that a schema allows, from its default on where there is room above it."""
    least, most = bounds(schema)
    usual = schema.get("default")
    start = usual if isinstance(usual, int) and usual > 0 else _USUAL
    if most is not None:
        start = min(start, most // max(TIMES))
    start = max(start, least)
    wanted = (start * times for times in TIMES)
    within = {size if most is None else min(size, most) for size in wanted}
    return tuple(sorted(size for size in within if size >= least and fits(size, schema)))
