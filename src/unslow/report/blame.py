"""Who held the event loop, and who held a pool's connections, while others waited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from ..model.report import Blocked, Holder
from ..numbers import counted, interval, milliseconds
from .lines import Item, flow, one_line
from .page import MARGIN, Page, title

_TOLD_COUNT: Final = 5
_VICTIMS_COUNT: Final = 3
_HOLDERS_COUNT: Final = 3
_DUST_SHARE: Final = 0.005
_SMALLEST_POOL_SHARE: Final = 0.01
_AMOUNT_WIDTH: Final = 13


def blocked_lines(blocked: tuple[Blocked, ...], page: Page) -> Iterator[Text]:
    """The lines that held the event loop, each with those who waited for it."""
    if not blocked:
        return
    yield from title("Who blocked the event loop")
    told = page.first(_without_dust(blocked), _TOLD_COUNT)
    for one in told:
        items = page.items(one.route, one.what, place=one.place)
        yield from flow(items, page.width, first=" " * MARGIN, indent=2 * MARGIN)
        yield from flow(_held_for(one), page.width, first=" " * 2 * MARGIN, indent=2 * MARGIN)
        yield from _victims(one, page)
    left = blocked[len(told) :]
    if left:
        left_ms = sum(one.blocked_ms for one in left)
        yield Text(f"{'':{MARGIN}}and {len(left)} more, {milliseconds(left_ms)} in all")


def _without_dust(blocked: Sequence[Blocked]) -> Sequence[Blocked]:
    """Those that cost something; with all the others one would read for hours."""
    whole_ms = sum(map(_cost_ms, blocked))
    return [one for one in blocked if _cost_ms(one) >= _DUST_SHARE * whole_ms]


def _cost_ms(one: Blocked) -> float:
    """What others waited for it; what it held the loop for where nobody did."""
    return sum(victim.most_ms for victim in one.victims) or one.blocked_ms


def _held_for(one: Blocked) -> list[str]:
    times = counted(one.times_count, "time")
    items = [f"held it for {milliseconds(one.blocked_ms)}, {times}"]
    if one.times_count > 1:
        items[0] += f" ({milliseconds(one.blocked_ms / one.times_count)} each)"
    if one.victims:
        least_ms = sum(victim.least_ms for victim in one.victims)
        most_ms = sum(victim.most_ms for victim in one.victims)
        items.append(f"others waited {interval(least_ms, most_ms)} in all")
    return items


def _victims(one: Blocked, page: Page) -> Iterator[Text]:
    """Those who waited: the longest in a line or two, or each on a line of its own."""
    if page.everything:
        for victim in one.victims:
            amount = interval(victim.least_ms, victim.most_ms)
            rows = [*page.items(victim.route), counted(victim.requests_count, "request")]
            yield from _amount_row(amount, rows, page)
        return
    told = one.victims[:_VICTIMS_COUNT]
    items = [
        f"{one_line(victim.route)} {interval(victim.least_ms, victim.most_ms)}" for victim in told
    ]
    if len(told) < len(one.victims):
        items.append(counted(len(one.victims) - len(told), "more route"))
    if items:
        yield from flow(items, page.width, first=" " * 2 * MARGIN, indent=2 * MARGIN)


def holder_lines(holders: tuple[Holder, ...], page: Page) -> Iterator[Text]:
    """For each pool the lines that held its connections while requests waited for one."""
    if not holders:
        return
    yield from title("Who held the pool while others waited for it")
    pools: dict[str, list[Holder]] = defaultdict(list)
    for holder in holders:
        pools[holder.pool].append(holder)
    waits = {pool: sum(holder.ms for holder in held) for pool, held in pools.items()}
    smallest_ms = 0.0 if page.everything else _SMALLEST_POOL_SHARE * max(waits.values())
    small = [ms for ms in waits.values() if ms < smallest_ms]
    for pool, held in pools.items():
        if waits[pool] < smallest_ms:
            continue
        whole = f"{milliseconds(waits[pool])} of waiting"
        yield from flow([*page.items(pool), whole], page.width, first=" " * MARGIN, indent=4)
        told = page.first(held, _HOLDERS_COUNT)
        for holder in told:
            items = page.items(holder.route, place=holder.place) or ["no line is known"]
            yield from _amount_row(milliseconds(holder.ms), items, page)
        left = held[len(told) :]
        if left:
            left_ms = milliseconds(sum(holder.ms for holder in left))
            yield from _amount_row(left_ms, [f"in {len(left)} more"], page)
    if small:
        pools_left = counted(len(small), "more pool")
        yield Text(f"{'':{MARGIN}}{pools_left} · {milliseconds(sum(small))} of waiting")


def _amount_row(amount: str, items: Sequence[Item], page: Page) -> list[Text]:
    first = f"{'':{2 * MARGIN}}{amount:>{_AMOUNT_WIDTH}}  "
    return flow(items, page.width, first=first, indent=len(first))
