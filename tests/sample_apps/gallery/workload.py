"""What the gallery is asked for."""

from collections.abc import Iterator
from itertools import chain

from ..call import Call, calls, spread
from .data import ROOMS_COUNT, WORKS_COUNT

SIZES = (10, 20, 40)
WORKS = spread(0, WORKS_COUNT - 100)


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_works(), _exhibits()))


def _works() -> Iterator[Call]:
    query = "last={last}&limit={limit}"
    yield from calls("GET /works", query=query, last=WORKS, limit=(40, 50, 60))
    for name in ("overview", "titles"):
        yield from calls(f"GET /works/{name}", query=query, last=WORKS, limit=(30, 60, 90))
    for name in ("hanging", "attributed", "captions"):
        yield from calls(f"GET /works/{name}", query=query, last=WORKS, limit=SIZES)
    yield from calls("GET /works/{work_id}/caption", work_id=spread(1, WORKS_COUNT))
    yield from calls("GET /rooms/{room_id}/plan", room_id=range(1, ROOMS_COUNT + 1))


def _exhibits() -> Iterator[Call]:
    for name in ("search", "find", "known"):
        yield from calls(
            f"GET /exhibits/{name}", query="word={word}", word=("vase", "chair", "coin", "lamp")
        )
    yield from calls("GET /rooms/{room_id}/places", room_id=range(1, ROOMS_COUNT + 1))
