"""The app's connections to its databases by another way: through a proxy on this machine.

Only what SQLAlchemy's engines open can be led there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .connecting import (
    ASYNCPG,
    LIBPQ,
    Arguments,
    Change,
    change,
    fixed,
    given,
    living_engines,
    other_pools,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

_HERE: Final = "127.0.0.1"


class Rerouted(NamedTuple):
    """What goes another way from now on, and what does not."""

    undo: Callable[[], None]
    """Takes it back; a second time it does nothing."""
    rerouted: tuple[str, ...]
    """The engines that do, each with its address."""
    not_rerouted: tuple[tuple[str, str], ...]
    """What does not, and why."""


def database_addresses() -> tuple[str, ...]:
    """The addresses, `host:port`, that `reroute` can put another one in place of."""
    found = (_way(engine) for engine in living_engines())
    return tuple(sorted({one.address for one in found if not one.why}))


def reroute(routes: Mapping[str, int]) -> Rerouted:
    """Has SQLAlchemy's engines connect to ports of 127.0.0.1 in place of their own addresses.

    Connections in use go on as they are, and are replaced when they are next taken from their pool.
    `undo` empties the pools, so that no new work goes the other way; what is in use then should be
    given back before the proxy ends.

    Not seen: connections opened without any pool, and engines made later.

    Args:
        routes: The port for each address, `host:port` as `database_addresses` gives it.
    """
    led, left = [], []
    for engine in living_engines():
        way = _way(engine)
        why = way.why or ("" if way.address in routes else "no way was given for its address")
        name = f"sqlalchemy engine {engine.dialect.dialect_description} {way.address}".rstrip()
        left.append((name, why)) if why else led.append((engine, name))
    undone = ExitStack()
    with ExitStack() as on_failure:
        on_failure.callback(undone.close)
        for engine, _ in led:
            undone.callback(change(engine, _led_to(dict(routes))))
        on_failure.pop_all()
    left.extend(
        (f"{library} {name}", "its connections are not opened through SQLAlchemy")
        for library, name in other_pools()
    )
    return Rerouted(undone.close, tuple(name for _, name in led), tuple(left))


def _led_to(routes: Mapping[str, int]) -> Change:
    def made(driver: str, cargs: Sequence[Any], cparams: Arguments) -> Arguments | None:
        way = _way_of(driver, cargs, cparams)
        port = None if way.why else routes.get(way.address)
        if port is None:
            return None
        return {**cparams, "hostaddr" if driver in LIBPQ else "host": _HERE, "port": port}

    return Change(made)


class _Way(NamedTuple):
    """Where an engine's connections go, or why that cannot be changed."""

    address: str = ""
    """`host:port`."""
    why: str = ""


def _way(engine: Engine) -> _Way:
    found = given(engine)
    if found.why:
        return _Way(why=found.why)
    return _way_of(engine.dialect.driver, found.cargs, found.cparams)


def _way_of(driver: str, cargs: Sequence[Any], cparams: Mapping[str, Any]) -> _Way:
    """Where connections with these arguments go, as the driver will read them."""
    why = fixed(cargs, cparams)
    if why:
        return _Way(why=why)
    host, port = _host(driver, cparams), cparams.get("port") or os.environ.get("PGPORT") or 5432
    if not isinstance(host, str) or "," in host or isinstance(port, list) or "," in str(port):
        return _Way(why="it names several hosts")
    if not host or host.startswith(("/", "@")):
        return _Way(why="it connects by a Unix socket")
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if driver == ASYNCPG and _checks_the_name(cparams.get("ssl")):
        return _Way(address, "its TLS checks the name of the host (verify-full)")
    if _asks_a_password_file(cparams):
        return _Way(address, "its password may stand in a file that knows it by its address")
    return _Way(address)


def _host(driver: str, cparams: Mapping[str, Any]) -> object:
    if driver == ASYNCPG:
        host = cparams.get("host") or os.environ.get("PGHOST", "")
        return host[0] if isinstance(host, list | tuple) and len(host) == 1 else host
    numeric = cparams.get("hostaddr") or os.environ.get("PGHOSTADDR")
    return numeric or cparams.get("host") or os.environ.get("PGHOST", "")


def _checks_the_name(tls: Any) -> bool:
    """Whether asyncpg compares the host's name with that in its certificate."""
    if tls is None:
        tls = os.environ.get("PGSSLMODE", "")
    if tls is True or getattr(tls, "check_hostname", False):
        return True
    return str(getattr(tls, "name", tls)).replace("_", "-") == "verify-full"


def _asks_a_password_file(cparams: Mapping[str, Any]) -> bool:
    if cparams.get("password") is not None or os.environ.get("PGPASSWORD"):
        return False
    file = cparams.get("passfile") or os.environ.get("PGPASSFILE") or "~/.pgpass"
    return os.path.isfile(os.path.expanduser(file))
