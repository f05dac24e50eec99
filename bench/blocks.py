"""The blocks of `unslow.fast` beside the usual ways to write the same endpoints, in one run.

Every peer (`bench/peers/`) is one process on the same data, with the same number of connections;
its answers are compared with the data before anything is measured. Then the peers take turns, round
by round, each started anew and warmed up, under the same load: a closed loop by wrk, or by our own
client where wrk is not installed. Each figure is the median over the rounds.

    python -m bench.blocks [--quick] [--json] [--case NAME] [--variant NAME] [--clients N]
        [--rounds 5] [--seconds 3] [--database URL] [--pool 20] [--load wrk|own]

What is measured, and what each peer is, stands in `docs/fast/bench.md`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from unslow.errors import UnslowError

from .peers.cases import CASE_NAMES, CASES, Case
from .peers.data import emptied_events, event_count, filled_database, settings, sync_rate
from .peers.equality import check
from .peers.loads import Answered, has_pgbench, has_wrk, http_load, pgbench_load
from .peers.pages import page_requests
from .peers.table import show
from .peers.usage import DatabaseUsage, spent_s, tree_s
from .peers.variants import (
    FLOORS,
    VARIANT_NAMES,
    VARIANTS,
    NotMeasuredError,
    Variant,
    serving,
)

CLIENTS: Final = (1, 8, 64)
QUICK_CLIENTS: Final = (64,)
WARM_UP_S: Final = 1
ENOUGH: Final = 20
"""So many answers to each client are a turn..."""
LONGEST: Final = 5
"""... or it lasts so many times as long as usual."""
PACKAGES: Final = ("fastapi", "pydantic", "sqlalchemy", "psycopg2-binary", "asyncpg", "uvicorn")

Command = Sequence[str]
PGBENCH: Final = Variant("pgbench", "the statement alone, prepared", lambda _folder: ())


class Turn(NamedTuple):
    """What one load says of a peer."""

    requests_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_us_server: float | None
    cpu_us_database: float | None


class Cell(NamedTuple):
    """What has one figure."""

    case: str
    variant: str
    clients: int


class Bench:
    """Measures one peer at a time."""

    def __init__(self, url: str, connection: Any, options: argparse.Namespace) -> None:
        self._url = url
        self._connection = connection
        self._usage = DatabaseUsage(connection)
        self._options = options

    def check(self, variant: Variant, command: Command) -> None:
        """Ends the run where a peer's answers are not what the data says."""
        with serving(command, variant.name, self._url, self._options.pool) as served:
            check(variant.name, set(variant.cases), served.address, self._connection)

    def turns(self, variant: Variant, command: Command, case: Case) -> Iterator[tuple[Cell, Turn]]:
        """One turn of a peer: at each number of clients."""
        if case.statement is not None and variant is PGBENCH:
            for clients in self._options.clients:
                turn = self._turn(None, case, self._pgbench(case.statement, clients))
                yield Cell(case.name, variant.name, clients), turn
            return
        with serving(command, variant.name, self._url, self._options.pool) as served:
            most = max(self._options.clients)
            requests = case.requests or page_requests(served.address)
            warm_up = self._http(requests, served.address, most, WARM_UP_S)()
            for clients in self._options.clients:
                seconds = self._seconds(warm_up, clients)
                load = self._http(requests, served.address, clients, seconds)
                turn = self._turn(served.process_id, case, load)
                yield Cell(case.name, variant.name, clients), turn

    def _seconds(self, warm_up: Answered, clients: int) -> int:
        """Slow peers have longer turns: what is under way at the end of one is not counted."""
        usual: int = self._options.seconds
        needed_s = ENOUGH * clients * warm_up.seconds / max(1, warm_up.requests)
        return min(max(usual, math.ceil(needed_s)), LONGEST * usual)

    def _http(
        self, requests: Sequence[str], address: str, clients: int, seconds: int
    ) -> Callable[[], Answered]:
        return lambda: http_load(self._options.load, requests, address, clients, seconds)

    def _pgbench(self, statement: str, clients: int) -> Callable[[], Answered]:
        connections = min(clients, self._options.pool)
        return lambda: pgbench_load(statement, self._url, connections, self._options.seconds)

    def _turn(self, process_id: int | None, case: Case, load: Callable[[], Answered]) -> Turn:
        if case.name == "insert":
            emptied_events(self._connection)
        # What pgbench connects has ended by the time it is looked at.
        is_pgbench = process_id is None
        before_s, server_before_s = self._usage.by_process_s(is_pgbench), _peer_s(process_id)
        answered = load()
        server_after_s, after_s = _peer_s(process_id), self._usage.by_process_s(is_pgbench)
        if not answered.requests:
            sys.exit(f"{case.name}: nothing was answered in {answered.seconds:.0f} s")
        if case.name == "insert" and event_count(self._connection) < answered.requests:
            sys.exit(f"{case.name}: of {answered.requests} events, not all are in the database")
        return Turn(
            answered.requests / answered.seconds,
            answered.p50_ms,
            answered.p99_ms,
            _us_each(spent_s(server_before_s, server_after_s), answered.requests),
            _us_each(spent_s(before_s, after_s), answered.requests),
        )


def _peer_s(process_id: int | None) -> dict[int, float] | None:
    return None if process_id is None else tree_s(process_id)


def _us_each(seconds: float | None, requests: int) -> float | None:
    return None if seconds is None else seconds / requests * 1e6


def prepared(wanted: Sequence[str], folder: Path) -> dict[Variant, Command]:
    """The peers that can run here, with their commands; says of the others why they cannot."""
    found: dict[Variant, Command] = {}
    for variant in (one for one in VARIANTS if one.name in wanted):
        try:
            found[variant] = variant.prepare(folder)
        except NotMeasuredError as error:
            sys.stderr.write(f"{variant.name}: not measured: {error}\n")
    if PGBENCH.name in wanted:
        if has_pgbench():
            found[PGBENCH] = ()
        else:
            sys.stderr.write(f"{PGBENCH.name}: not measured: pgbench is not installed\n")
    return found


def measured(
    bench: Bench, commands: Mapping[Variant, Command], options: argparse.Namespace
) -> dict[Cell, list[Turn]]:
    """Every turn of every round, by what it is of."""
    found: dict[Cell, list[Turn]] = {}
    for case in (one for one in CASES if one.name in options.case):
        able = [one for one in commands if _can(one, case)]
        for number in range(options.rounds):
            start = number % max(1, len(able))
            for variant in able[start:] + able[:start]:
                sys.stderr.write(
                    f"{case.name}, round {number + 1} of {options.rounds}: {variant.name}\n"
                )
                for cell, turn in bench.turns(variant, commands[variant], case):
                    found.setdefault(cell, []).append(turn)
    return found


def _can(variant: Variant, case: Case) -> bool:
    return case.statement is not None if variant is PGBENCH else case.name in variant.cases


def rows_of(figures: Mapping[Cell, Sequence[Turn]]) -> list[dict[str, Any]]:
    """The rows that `--json` prints: medians over the rounds."""
    ordered = sorted(
        figures,
        key=lambda cell: (
            CASE_NAMES.index(cell.case),
            cell.clients,
            VARIANT_NAMES.index(cell.variant),
        ),
    )
    return [
        {
            **cell._asdict(),
            **{
                name: _median([getattr(turn, name) for turn in figures[cell]])
                for name in Turn._fields
            },
        }
        for cell in ordered
    ]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if len(known) == len(values) else None


def machine_card(connection: Any, variants: Iterable[Variant], options: argparse.Namespace) -> str:
    """What the figures depend on."""
    rate, where = sync_rate(connection)
    versions = " ".join(f"{name} {_version(name)}" for name in PACKAGES)
    server = ", ".join(f"{name} {value}" for name, value in settings(connection).items())
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    lines = (
        f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {load}; {versions}",
        f"PostgreSQL: {server}",
        f"disk: {rate:,.0f} syncs/s of 8 kB in {where}",
        f"load: {options.rounds} rounds of {options.seconds} s by {options.load}",
        f"peers: one process each, at most {options.pool} connections",
        *(f"  {variant.name:<15}{variant.what}" for variant in variants),
    )
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round at 64 clients")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--case", nargs="+", choices=CASE_NAMES, default=CASE_NAMES)
    parser.add_argument("--variant", nargs="+", choices=VARIANT_NAMES, default=VARIANT_NAMES)
    parser.add_argument("--clients", nargs="+", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of each turn, a whole number")
    parser.add_argument("--database", help="a server on which a database is made and dropped")
    parser.add_argument("--pool", type=int, default=20, help="connections of each peer, at most")
    parser.add_argument("--load", choices=("wrk", "own"), help="who sends")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 3)
    options.clients = options.clients or (QUICK_CLIENTS if options.quick else CLIENTS)
    options.load = options.load or ("wrk" if has_wrk() else "own")
    return options


def main() -> None:
    """Runs the comparison."""
    try:
        compare(options_of())
    except UnslowError as error:
        sys.exit(str(error))


def compare(options: argparse.Namespace) -> None:
    """Measures what the command line asks for, and prints it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        commands = prepared(options.variant, folder)
        url = stack.enter_context(filled_database(options.database))
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        card = machine_card(connection, commands, options)
        print(card, file=sys.stderr if options.json else sys.stdout, flush=True)
        bench = Bench(url, connection, options)
        for variant, command in commands.items():
            if variant.name not in FLOORS:
                bench.check(variant, command)
        rows = rows_of(measured(bench, commands, options))
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows)


if __name__ == "__main__":
    main()
