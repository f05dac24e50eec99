"""Measures the calibration app, and prints each line of its receipts beside the truth.

`python tools/calibration.py` prints the table of docs/calibration.md. It starts a PostgreSQL of its
own, or takes the one in UNSLOW_TEST_DATABASE_URL.
"""

import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

# Run as a file, it finds neither the package of the tools nor the tests, where the app is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.calibration.app import make_app
from tests.calibration.deeds import AWAITED, CALLED
from tests.calibration.driver import (
    OUTSIDE_OF_A_THREAD,
    Driver,
    Exchange,
    Line,
    Recording,
    Seen,
    get,
    lines,
    recorded_calls,
    wrong_lines,
    wrong_lines_in_a_crowd,
)
from tests.calibration.stage import Judge, Stage, opened_stage
from tests.calibration.world import fill
from unslow.postgres.server import embedded_server

in_a_thread: Judge = partial(wrong_lines, outside=OUTSIDE_OF_A_THREAD)


class Case(NamedTuple):
    """A segment, and a request that spends its time there."""

    segment: str
    says: str
    exchanges: Sequence[Callable[[], Exchange]]
    judge: Judge = wrong_lines


def alone(segment: str, says: str, path: str, judge: Judge = wrong_lines) -> Case:
    """One request without a body."""
    return Case(segment, says, (partial(get, path),), judge)


def of_the_victims(seen: Sequence[Seen]) -> list[str]:
    """Of each pair of requests the first one waits for the second."""
    return wrong_lines(seen[::2])


PARCEL = b'{"name": "x"}'
CASES = (
    alone("own-code", "20 ms of pure Python", "/alone/own-code"),
    Case(
        "validation",
        "a validator that takes 20 ms",
        (partial(Exchange, "POST", "/validation", PARCEL),),
    ),
    alone("serialization", "a serializer that takes 20 ms", "/serialization"),
    alone("hydration", "5 objects that take 4 ms each", "/alone/session-hydration"),
    alone("orm", "3 statements of 150 conditions, compiled anew", "/alone/session-orm"),
    alone("framework", "3,000 routes before the right one", "/empty"),
    alone("probe", "3,000 calls that are recorded", "/probe"),
    alone("gc", "a forced collection", "/alone/gc"),
    alone("sql", "pg_sleep(0.02), asyncpg", "/alone/asyncpg-sql"),
    alone("sql", "the same, SQLAlchemy on asyncpg", "/alone/engine-sql"),
    alone("sql", "the same, psycopg, in a thread", "/def/psycopg-sql", in_a_thread),
    alone("sql", "the same, psycopg, holding the loop", "/on-loop/psycopg-sql"),
    alone("rows", "a cursor, 20 ms for its fetch", "/alone/asyncpg-rows"),
    alone("connect", "a server that answers after 30 ms", "/alone/asyncpg-connect"),
    alone("pool-wait", "a pool of 1, held for 30 ms", "/alone/asyncpg-pool-wait"),
    alone("cache", "a Redis that answers after 20 ms", "/alone/redis-cache"),
    alone("remote", "a service that answers after 40 ms", "/alone/httpx-remote"),
    alone("thread-queue", "one thread, taken for 30 ms", "/alone/anyio-thread-queue"),
    Case(
        "receive",
        "a client that takes 20 ms to send",
        (partial(Exchange, "POST", "/receive", b"x" * 1_000, body_delay_s=0.01),),
    ),
    Case(
        "send",
        "a client that takes 20 ms to read",
        (partial(Exchange, "GET", "/send", read_delay_s=0.02),),
        wrong_lines_in_a_crowd,
    ),
    alone("blocking", "time.sleep(0.02) in async def", "/alone/blocking"),
    Case(
        "loop-busy",
        "an event that is set by who then computes for 30 ms",
        (partial(get, "/victim/event"), partial(get, "/culprit")),
        of_the_victims,
    ),
    Case(
        "loop-busy",
        "a timer of 5 ms, while another computes for 30 ms",
        (partial(get, "/victim/timer"), partial(get, "/culprit")),
        of_the_victims,
    ),
    alone("unexplained", "asyncio.sleep(0.02): nobody knows why", "/alone/unexplained"),
)


def measured(stage: Stage, case: Case, many_routes: Driver) -> list[Line]:
    """The lines of a case."""
    driver = many_routes if case.segment == "framework" else stage.plain

    def make(one: Callable[[], Exchange]) -> Exchange:
        stage.world.bell.clear()
        return one()

    exchanges = [partial(make, one) for one in case.exchanges]
    with recorded_calls():
        seen = stage.measured(case.judge, *exchanges, driver=driver)
    return lines(seen[:: len(exchanges)])


def rows(stage: Stage) -> Iterator[str]:
    """The table: each segment alone."""
    many_routes = Driver(stage.plain.recording, make_app(stage.world, routes_before=3_000))
    yield f"{'line':<15}{'what takes the time':<53}{'truth':>9}{'receipt':>9}{'error':>8}"
    for case in CASES:
        line = next(
            one for one in measured(stage, case, many_routes) if one.segment == case.segment
        )
        yield (
            f"{case.segment:<15}{case.says:<53}{line.truth_ms:>6.2f} ms{line.receipt_ms:>6.2f} ms"
            f"{line.error_ms:>+8.2f}"
        )


def situations(stage: Stage) -> Iterator[str]:
    """How many cases are right in each situation."""
    deeds = list(AWAITED)
    calls = [name for name in CALLED if name not in {"own-code", "gc", "session-orm"}]
    one_by_one: tuple[tuple[str, Judge, Sequence[str], Driver], ...] = (
        ("in sequence", wrong_lines, _pairs("sequence"), stage.plain),
        ("side by side", wrong_lines_in_a_crowd, _pairs("gather"), stage.plain),
        (
            'under @app.middleware("http")',
            wrong_lines,
            [f"/alone/{deed}" for deed in deeds],
            stage.under_middleware,
        ),
        ("in a thread", in_a_thread, [f"/def/{deed}" for deed in calls], stage.plain),
    )
    yield f"{'situation':<33}cases"
    for says, judge, paths, driver in one_by_one:
        for path in paths:
            stage.alone(judge, path, driver)
        yield f"{says:<33}{len(paths):>5}"
    crowds = [deed for deed in deeds if deed != "engine-rows"]
    for deed in crowds:
        stage.crowd(wrong_lines_in_a_crowd, f"/alone/{deed}")
    yield f"{'at 10 users':<33}{len(crowds):>5}"


def _pairs(kind: str) -> list[str]:
    names = list(AWAITED)
    return [
        f"/{kind}/{first}/{second}" for first, second in zip(names[::2], names[1::2], strict=True)
    ]


@contextmanager
def database_url() -> Iterator[str]:
    """A database that holds the calibration app's tables."""
    if url := os.environ.get("UNSLOW_TEST_DATABASE_URL"):
        fill(url)
        yield url
        return
    with embedded_server() as server:
        fill(server.url())
        yield server.url()


def main() -> None:
    """Print the tables, from one event loop's measurements."""
    recording = Recording()
    recording.start()
    try:
        with database_url() as url, opened_stage(recording, "asyncio", url) as stage:
            for line in (*rows(stage), "", *situations(stage)):
                print(line, flush=True)
    finally:
        recording.stop()
    print(f"\nCPython {platform.python_version()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
