"""How many connections a server allows, and whether the pools of all workers fit into that."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..errors import DefinitionError, PoolSizeError

RESERVE: Final = 5
"""Left for others: a shell, a migration, monitoring, a backup."""

_WORKER_VARIABLES: Final = ("WEB_CONCURRENCY", "UVICORN_WORKERS")
"""Of gunicorn and uvicorn, and of the hosts that set the first."""

LIMITS_SQL: Final = """
    SELECT current_setting('max_connections')::int,
           current_setting('superuser_reserved_connections')::int
               + coalesce(current_setting('reserved_connections', true)::int, 0),
           session_user::text,
           (SELECT CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END
              FROM pg_roles WHERE rolname = session_user),
           current_database()::text,
           (SELECT CASE WHEN rolsuper THEN -1 ELSE datconnlimit END
              FROM pg_database, pg_roles
             WHERE datname = current_database() AND rolname = session_user)
"""
"""One row: the fields of `Limits`. No limit of a role or a database holds for a superuser."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server allows the role and the database of a connection."""

    max_connections: int
    reserved: int
    """Kept by the server for superusers and for the role `pg_use_reserved_connections`."""
    role: str
    role_limit: int
    """-1 if it has none."""
    database: str
    database_limit: int
    """-1 if it has none."""

    def allowed(self, reserve: int) -> tuple[int, str]:
        """How many connections are for us, and the arithmetic."""
        left = self.max_connections - self.reserved - reserve
        why = f"{self.max_connections} max_connections - {self.reserved} that it reserves"
        choices = [(left, f"{why} - {reserve} left for others")]
        if self.role_limit >= 0:
            choices.append((self.role_limit, f"the CONNECTION LIMIT of role {self.role}"))
        if self.database_limit >= 0:
            what = f"the CONNECTION LIMIT of database {self.database}"
            choices.append((self.database_limit, what))
        return min(choices)


def limits_of(row: Sequence[Any], max_connections: int | None) -> Limits:
    """The row of `LIMITS_SQL`; a number of connections that was given wins over the server's."""
    limits = Limits(*row)
    if max_connections is None:
        return limits
    return Limits(max_connections, 0, limits.role, -1, limits.database, -1)


def check_sum(workers: int, size: int, limits: Limits, reserve: int, setting: str) -> None:
    """Refuses pools that ask for more connections together than there are.

    Args:
        workers: How many processes have such a pool.
        size: The most connections of each.
        limits: What the server said.
        reserve: How many connections are left for others.
        setting: The name of what to change.

    Raises:
        PoolSizeError: They do not fit.
    """
    allowed, why = limits.allowed(reserve)
    if workers * size <= allowed:
        return
    most = allowed // workers
    advice = f"set {setting} to at most {most}" if most > 0 else "run fewer workers"
    raise PoolSizeError(
        f"{workers} workers x {size} = {workers * size} connections, but the server allows "
        f"{allowed} ({why}): {advice}, or raise that limit"
    )


def largest_size(workers: int, limits: Limits, reserve: int, wanted: int) -> int:
    """The wanted size, or what is left for each worker if that is less; at least 1."""
    allowed, _ = limits.allowed(reserve)
    return max(1, min(wanted, allowed // workers))


def worker_count(given: int | None, environment: Mapping[str, str] = os.environ) -> int:
    """How many processes the app runs as: given, or from the environment, or 1.

    Raises:
        DefinitionError: It is not a number above zero.
    """
    name, text = "workers", "1" if given is None else str(given)
    if given is None:
        for variable in _WORKER_VARIABLES:
            if environment.get(variable):
                name, text = variable, environment[variable]
                break
    if not text.isdecimal() or int(text) < 1:
        raise DefinitionError(f"got {name}={text!r}; wanted a number of processes, 1 or more")
    return int(text)
