"""Who sends: wrk, our own client where there is no wrk, and pgbench for the database alone."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from psycopg.conninfo import conninfo_to_dict

LUA: Final = Path(__file__).with_name("load.lua")
_PG_VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}


class Answered(NamedTuple):
    """What came of a load."""

    requests: int
    seconds: float
    p50_ms: float | None
    p99_ms: float | None


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def http_load(
    sender: str, requests: Sequence[str], address: str, clients: int, seconds: int
) -> Answered:
    """Sends requests over so many kept connections, each without pause.

    Args:
        sender: `wrk` or `own`.
        requests: What is sent, in random order.
        address: Where the peer answers.
        clients: How many connections.
        seconds: For how long.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requests))
        file.flush()
        seed = str(random.randrange(2**31))
        if sender == "wrk":
            size = ["--threads", "1", "--connections", str(clients), "--duration", str(seconds)]
            command = ["wrk", *size, "--timeout", "30", "--script", str(LUA), address, "--"]
            command += [file.name, seed]
        else:
            command = [sys.executable, "-m", "bench.peers.client", address, file.name, seed]
            command += [str(clients), str(seconds)]
        printed = _output(command, dict(os.environ))
    said: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    if said.pop("failed"):
        sys.exit(f"some requests to {address} failed:\n{printed}")
    return Answered(**said)


def has_pgbench() -> bool:
    """Whether pgbench is installed."""
    return shutil.which("pgbench") is not None


def pgbench_load(statement: str, url: str, clients: int, seconds: int) -> Answered:
    """Runs a statement, prepared, on so many connections, each without pause."""
    parts = conninfo_to_dict(url)
    environment = {name: str(parts[key]) for key, name in _PG_VARIABLES.items() if parts.get(key)}
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(statement)
        file.flush()
        command = ["pgbench", "--no-vacuum", "--protocol=prepared", f"--file={file.name}"]
        command += [f"--client={clients}", f"--time={seconds}"]
        printed = _output(command, {**os.environ, "PGSSLMODE": "disable", **environment})
    processed = re.search(r"actually processed: (\d+)", printed)
    rate = re.search(r"^tps = ([\d.]+)", printed, re.MULTILINE)
    if processed is None or rate is None:
        sys.exit(f"pgbench said nothing of its rate:\n{printed}")
    return Answered(int(processed[1]), int(processed[1]) / float(rate[1]), None, None)


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
