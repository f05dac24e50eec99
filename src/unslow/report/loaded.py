"""What an app did under a constant rate of requests, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich.text import Text

from ..model.load import Knee, Load, Stretch
from ..numbers import average, counted, milliseconds, percent, size
from .columns import Cell, columns_of, row_text
from .lines import flow, sentence
from .page import MARGIN

_FORMAT: Final = 1
_PERCENTILES: Final = (50, 90, 99)


def load_lines(load: Load, name: str, width: int) -> Iterator[Text]:
    """A load as text; `name` says what was asked, without its values."""
    first = Text(name, "bold")
    due = [f"{average(load.rate_per_s)} requests/s", f"{counted(load.due_count, 'request')} due"]
    yield from flow([first, *due], width, indent=MARGIN)
    for label, items in _rows(load):
        yield from flow(items, width, first=f"{'':{MARGIN}}{label:<10}", indent=MARGIN + 10)
    for one in load_notes(load):
        yield from sentence(one, width, first=Text("! ", "bold yellow"), indent=MARGIN)


def _rows(load: Load) -> Iterator[tuple[str, list[str]]]:
    if load.latencies_ms:
        yield "latency", [*_percentiles(load), f"max {milliseconds(load.latencies_ms[-1])}"]
    reached = f"{average(load.reached_per_s)} requests/s reached"
    yield "answers", [reached, *_statuses(load), size(load.wire_bytes)]
    if load.errors:
        yield "errors", [f"{name}: {count:,}" for name, count in load.errors]
    lag = f"own lag p50 {milliseconds(load.lag_ms(50))}, p99 {milliseconds(load.lag_ms(99))}"
    yield "sender", [lag, f"{percent(load.processor_share)} of a core"]


def _percentiles(load: Load) -> list[str]:
    return [f"p{one} {milliseconds(load.latency_ms(one))}" for one in _PERCENTILES]


def _statuses(load: Load) -> list[str]:
    return [f"{status}: {count:,}" for status, count in load.statuses] or ["none"]


def load_notes(load: Load) -> Iterator[str]:
    """What to know before the numbers of a load are believed."""
    if load.is_at_limit:
        yield (
            f"The sender itself was at its limit ({percent(load.processor_share)} of a core): these"
            " are its numbers, not the app's. Ask at a lower rate."
        )
    elif load.is_late:
        yield (
            "This machine was busy, ask again: the sender's own lag is too long for these latencies"
            " to be the app's."
        )
    if load.unsent_count:
        yield (
            f"{counted(load.unsent_count, 'request')} got no connection and were given up; they"
            " count with the time that they had waited. Ask at a lower rate, or give more"
            " --connections."
        )
    others = sum(count for status, count in load.statuses if not 200 <= status < 300)
    if others:
        yield f"{percent(others, load.answered_count)} of the answers are not 2xx; they count too."
    if load.is_stopped:
        under_way = f"; {counted(load.cut_off_count, 'request')} under way then count nowhere"
        yield f"It was stopped before its time{under_way if load.cut_off_count else ''}."


_CELLS: Final[tuple[Cell[Stretch], ...]] = (
    Cell(lambda one: (average(one.load.rate_per_s), " requests/s")),
    Cell(lambda one: (average(one.load.reached_per_s), " reached")),
    Cell(lambda one: (milliseconds(one.load.latency_ms(50)), ""), "p50 "),
    Cell(lambda one: (milliseconds(one.load.latency_ms(99)), ""), "p99 "),
    Cell(lambda one: (milliseconds(one.load.lag_ms(99)), ""), "own lag p99 "),
    Cell(lambda one: (percent(one.load.processor_share), " of a core"), "sender "),
)


def knee_lines(knee: Knee, name: str, width: int) -> Iterator[Text]:
    """The stretches as a table, and the knee below it."""
    yield from flow([Text(name, "bold")], width)
    columns = columns_of(_CELLS, knee.stretches)
    for one in knee.stretches:
        yield Text(" " * MARGIN) + row_text(columns, one)
        if one.why:
            yield from sentence(one.why, width, first=" " * 2 * MARGIN, indent=2 * MARGIN)
    yield from sentence(_knee(knee), width, first=Text("knee  ", "bold"), indent=MARGIN)
    if any(one.load.is_late for one in knee.stretches):
        busy = "This machine was busy in some of them, ask again: look at the sender's own lag."
        yield from sentence(busy, width, first=Text("! ", "bold yellow"), indent=MARGIN)


def _knee(knee: Knee) -> str:
    held = "" if knee.held_per_s is None else average(knee.held_per_s)
    if knee.left_per_s is None:
        return f"not found: {f'{held} requests/s were held, and ' if held else ''}{knee.why}"
    if not held:
        return f"below {average(knee.left_per_s)} requests/s: {knee.why}"
    return f"between {held} and {average(knee.left_per_s)} requests/s: {knee.why}"


def load_json(load: Load) -> dict[str, Any]:
    """A load as plain data, format 1."""
    return {
        "format": _FORMAT,
        "rate_per_s": load.rate_per_s,
        "reached_per_s": load.reached_per_s,
        "due": load.due_count,
        "answered": load.answered_count,
        "unsent": load.unsent_count,
        "stopped": load.is_stopped,
        "cut_off": load.cut_off_count,
        "duration_ms": load.duration_ms,
        "latency_ms": _latency(load),
        "lag_ms": {"p50": load.lag_ms(50), "p99": load.lag_ms(99), "max": load.lag_ms(100)},
        "processor_share": load.processor_share,
        "statuses": {str(status): count for status, count in load.statuses},
        "errors": dict(load.errors),
        "bytes": load.wire_bytes,
        "notes": list(load_notes(load)),
    }


def _latency(load: Load) -> dict[str, float] | None:
    if not load.latencies_ms:
        return None
    found = {f"p{one}": load.latency_ms(one) for one in _PERCENTILES}
    return {**found, "max": load.latencies_ms[-1]}


def knee_json(knee: Knee) -> dict[str, Any]:
    """A knee as plain data, format 1."""
    return {
        "format": _FORMAT,
        "stretches": [{**load_json(one.load), "why": one.why} for one in knee.stretches],
        "held_per_s": knee.held_per_s,
        "left_per_s": knee.left_per_s,
        "why": knee.why,
    }
