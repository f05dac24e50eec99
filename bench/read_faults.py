"""Disturbs what serves reads, and checks each answer: `python -m bench.read_faults`.

Clients look up random keys, and write rows of their own in between, while connections are ended by
the server, the server is stopped and started again, clients go away, somebody takes the whole pool,
Redis hangs and dies, or some ask for a key that the database refuses. An answer is wrong when it is
another key's or another tenant's, or older than a write that was acknowledged before it was asked
for. An error is clear when it says what the fault did; where a fault is none of the look-ups' own,
no error is.

    python -m bench.read_faults [--seconds S] [--clients N] [--only FAULT ...] [--json]

Ends with 1 where an answer is wrong, a look-up hangs, an error is not clear, a connection does not
come back to the pool, or look-ups are not right again afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import psycopg

from bench.read_clients import CLIENTS, Clients, has_all_back, is_right_again
from bench.read_disturbances import APPLICATION, FAULTS, Fault, Stage
from bench.read_subjects import PAUSE_S, TABLES, Answers, Subject, Tenants, Views
from bench.stoppable_server import StoppableServer, stoppable_server
from tests.fast.caching.redis_process import RedisProcess, running_redis
from unslow.fast import Pool, RedisStore, pool

SECONDS: Final = 4.0
POOL_SIZE: Final = 10


class Row(NamedTuple):
    """What was counted under one fault."""

    fault: str
    subject: str
    right: int
    failed: dict[str, int]
    """How many look-ups failed, by the class of their clear error."""
    cancelled: int
    """How many clients went away."""
    refused: int
    """How many keys were refused by the database, each with its own error."""
    wrong: int
    hung: int
    unclear: dict[str, int]
    """How many failed with another error, or where none should have."""
    writes: int
    slowest_ms: float
    connections_back: bool
    """Whether all connections came back to the pool."""
    right_again: bool
    """Whether afterwards all keys were looked up well."""

    @property
    def is_sound(self) -> bool:
        """Whether it is as promised."""
        failed = self.wrong or self.hung or self.unclear
        return not failed and self.connections_back and self.right_again


@asynccontextmanager
async def _opened(
    url: str, name: str, fault: Fault, redis: RedisProcess | None
) -> AsyncIterator[tuple[Pool, Subject]]:
    """The app: its pool, and one subject on it."""
    settings = {"application_name": APPLICATION}
    opened = pool(
        url,
        min_size=0,
        max_size=POOL_SIZE,
        acquire_timeout_s=fault.acquire_timeout_s,
        server_settings=settings,
    )
    # Writers are others: what is done to the app is not done to them.
    async with opened, asyncpg.create_pool(url, min_size=0, max_size=4) as writers:
        if name == Views.name:
            yield opened, Views(opened, writers)
        elif name == Tenants.name:
            yield opened, Tenants(opened, writers)
        else:
            assert redis is not None
            # Its tables were made anew: what Redis has of the one before is of other rows.
            prefix = secrets.token_hex(4)
            async with RedisStore(redis.url, prefix=prefix, pause_s=PAUSE_S) as store:
                subject = Answers(opened, writers, store)
                yield opened, subject
                await subject.user.drain()


async def _disturbed(
    url: str,
    fault_name: str,
    subject_name: str,
    seconds: float,
    clients: int,
    server: StoppableServer | None,
    redis: RedisProcess | None,
) -> Row:
    fault = FAULTS[fault_name]
    async with _opened(url, subject_name, fault, redis) as (opened, subject):
        await subject.prepare()
        counted = Clients(subject, fault, clients)
        await counted.run(fault.hit(Stage(url, opened, server, redis), seconds))
        connections_back = await has_all_back(opened)
        right_again = await is_right_again(subject)
    return Row(
        fault=fault_name,
        subject=subject_name,
        failed=dict(counted.failed),
        unclear=dict(counted.unclear),
        slowest_ms=round(counted.slowest_s * 1_000, 1),
        connections_back=connections_back,
        right_again=right_again,
        **{
            name: counted.counts[name]
            for name in ("right", "cancelled", "refused", "wrong", "hung", "writes")
        },
    )


@contextmanager
def _redis_if_installed() -> Iterator[RedisProcess | None]:
    if shutil.which("redis-server") is None:
        print("not checked, for redis-server is not installed: cached", file=sys.stderr)
        yield None
        return
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis:
        yield redis


def rows(
    url: str,
    faults: Sequence[str] = tuple(FAULTS),
    *,
    seconds: float = SECONDS,
    clients: int = CLIENTS,
    server: StoppableServer | None = None,
) -> Iterator[Row]:
    """What is counted under each fault, one subject after another.

    Args:
        url: A database whose tables `users`, `posts` and `notes` are made anew for each.
        faults: Of `FAULTS`.
        seconds: How long each lasts.
        clients: How many look up at once.
        server: What `server-restarted` stops.
    """
    with _redis_if_installed() as redis:
        for fault in faults:
            for subject in FAULTS[fault].subjects:
                if subject == Answers.name and redis is None:
                    continue
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(TABLES.encode())
                yield asyncio.run(_disturbed(url, fault, subject, seconds, clients, server, redis))


_HEADS: Final = (
    f"{'fault':<23}{'subject':<9}{'right':>8}{'cancelled':>10}{'refused':>8}{'wrong':>6}"
    f"{'hung':>5}{'writes':>7}{'slowest':>11}  back  again  failed with"
)


def _line(row: Row) -> str:
    failed = ", ".join(f"{name} {count}" for name, count in row.failed.items()) or "-"
    unclear = "".join(f", NOT CLEAR: {name} {count}" for name, count in row.unclear.items())
    back, again = ("yes" if one else "NO" for one in (row.connections_back, row.right_again))
    return (
        f"{row.fault:<23}{row.subject:<9}{row.right:>8}{row.cancelled:>10}{row.refused:>8}"
        f"{row.wrong:>6}{row.hung:>5}{row.writes:>7}{row.slowest_ms:>8.1f} ms  {back:<4}  "
        f"{again:<5}  {failed}{unclear}"
    )


def main() -> int:
    """Prints a line for each fault and subject."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each fault")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=tuple(FAULTS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    # It warns of what is done here on purpose.
    logging.getLogger("unslow.fast").setLevel(logging.CRITICAL)
    found = []
    with stoppable_server() as server:
        if not given.json:
            print(_HEADS, flush=True)
        for row in rows(
            server.url, given.only, seconds=given.seconds, clients=given.clients, server=server
        ):
            found.append(row)
            if not given.json:
                print(_line(row), flush=True)
    if given.json:
        print(json.dumps([row._asdict() for row in found], indent=2))
    return 0 if all(row.is_sound for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
