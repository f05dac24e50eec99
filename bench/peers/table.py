"""The figures as a table, and what was to be reached beside what was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

OURS: Final = "unslow-route"
TARGETS: Final = {
    ("point-read", "orm-sync"): 20.0,
    ("point-read", "asyncpg"): 5.0,
    ("point-read", "go"): 1.2,
    ("nested-read", "orm-async"): 20.0,
    ("nested-read", "asyncpg"): 6.0,
    ("nested-read", "go"): 1.1,
    ("list-page", "asyncpg"): 4.0,
    ("insert", "asyncpg"): 5.0,
    ("insert", "orm-sync"): 15.0,
}
"""How many times the requests/s of a peer are to be reached, from 32 clients on."""
TARGET_CLIENTS: Final = 32


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table for each case and number of clients, then what was to be reached."""
    rates = {(row["case"], row["variant"], row["clients"]): row["requests_per_s"] for row in rows}
    place = None
    for row in rows:
        if place != (row["case"], row["clients"]):
            place = (row["case"], row["clients"])
            print(f"\n{row['case']}, {_counted(row['clients'])}")
            print(
                f"  {'':<15}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'server us':>11}"
                f"{'database us':>13}   {OURS}"
            )
        print(_line(row, rates.get((row["case"], OURS, row["clients"]))))
    print()
    for (case, peer), times in TARGETS.items():
        for clients in sorted({key[2] for key in rates if key[2] >= TARGET_CLIENTS}):
            ours, theirs = rates.get((case, OURS, clients)), rates.get((case, peer, clients))
            if ours and theirs:
                word = "reached" if ours / theirs >= times else "NOT reached"
                print(
                    f"{case}, {_counted(clients)}: {ours / theirs:.1f}x {peer}, "
                    f"at least {times:g}x wanted: {word}"
                )


def _counted(clients: int) -> str:
    return f"{clients} client{'s' if clients > 1 else ''}"


def _line(row: Mapping[str, Any], ours: float | None) -> str:
    def cell(name: str, width: int, form: str) -> str:
        value = row[name]
        return f"{'-' if value is None else format(value, form):>{width}}"

    ratio = f"{ours / row['requests_per_s']:.1f}x" if ours else "-"
    return (
        f"  {row['variant']:<15}{cell('requests_per_s', 11, ',.0f')}{cell('p50_ms', 9, '.2f')}"
        f"{cell('p99_ms', 9, '.2f')}{cell('cpu_us_server', 11, ',.0f')}"
        f"{cell('cpu_us_database', 13, ',.0f')}   {ratio:>{len(OURS)}}"
    )
