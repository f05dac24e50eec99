"""What is left when a check is stopped at any moment: `python -m bench.undo`.

Checks a small app with a lazy loop and a blocking call, and stops the check at random moments, by
Ctrl-C and by SIGKILL, most of them while fixes are tried. Behind each: no process of the app is
left, nobody is connected to its database, whose rows are what they were, and its source is.

    python -m bench.undo [--ctrl-c N] [--kill N]

Ends with 1 where something is left.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psycopg

from bench.demo_fix import copied, git
from unslow.demo.data import fill
from unslow.demo.stub import start_stub
from unslow.postgres.server import embedded_server

CTRL_C_COUNT: Final = 20
KILL_COUNT: Final = 5
TABLES: Final = ("users", "posts", "comments", "leads", "orders")
FIRST_S: Final = 2.0
LAST_S: Final = 40.0
GONE_WITHIN_S: Final = 20.0
ARGUMENTS: Final = (
    *("check", "blog.app:app", "--time", "90", "--rounds", "6"),
    *("--only", "/users/{user_id}/posts", "--only", "/orders/{order_id}"),
)


def rows_of(url: str) -> str:
    """A hash of all rows."""
    found = hashlib.sha256()
    with psycopg.connect(url) as connection:
        for table in TABLES:
            query = f"SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM {table} t"
            found.update(str(connection.execute(query.encode()).fetchone()).encode())
    return found.hexdigest()


def connected_count(url: str) -> int:
    """How many others are connected to the database."""
    query = (
        b"SELECT count(*) FROM pg_stat_activity"
        b" WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def processes_in(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            if one.name.isdigit() and os.readlink(one / "cwd") == str(folder):
                found.append(int(one.name))
        except OSError:
            continue
    return found


def stop_at(folder: Path, environment: dict[str, str], moment_s: float, number: int) -> str:
    """Starts a check and stops it; how it ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "unslow", *ARGUMENTS],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        time.sleep(moment_s)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    return f"exit code {process.returncode}, {told.strip().splitlines()[-1:] or ''}"


def left_behind(folder: Path, url: str, rows: str) -> list[str]:
    """What is not as it was."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while (processes_in(folder) or connected_count(url)) and time.monotonic() < deadline:
        time.sleep(0.1)
    wrong = []
    if processes_in(folder):
        wrong.append(f"processes {processes_in(folder)} are left")
    if connected_count(url):
        wrong.append(f"{connected_count(url)} connections are left")
    if rows_of(url) != rows:
        wrong.append("the rows are others")
    if git(folder, "status", "--porcelain", "--untracked-files=no"):
        wrong.append("the source is another")
    return wrong


def main() -> int:
    """Stops checks, and looks what is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--ctrl-c", type=int, default=CTRL_C_COUNT)
    parser.add_argument("--kill", type=int, default=KILL_COUNT)
    given = parser.parse_args()
    # Behind `&` of a script it is ignored, and all that is started would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    moments = random.Random()
    failed = False
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        copied(folder)
        url = stack.enter_context(embedded_server()).create_database("blog")
        fill(url, scale=0.1)
        stub = stack.enter_context(start_stub())
        environment = {"UNSLOW_DEMO_DATABASE_URL": url, "UNSLOW_DEMO_STUB_URL": stub}
        rows = rows_of(url)
        kinds = [signal.SIGINT] * given.ctrl_c + [signal.SIGKILL] * given.kill
        for number, kind in enumerate(kinds, start=1):
            moment_s = moments.uniform(FIRST_S, LAST_S)
            ended = stop_at(folder, environment, moment_s, kind)
            wrong = left_behind(folder, url, rows)
            failed = failed or bool(wrong)
            told = "; ".join(wrong) or "nothing is left"
            print(f"{number:3} {kind.name} after {moment_s:4.1f} s: {ended}: {told}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
