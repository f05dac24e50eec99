"""The read-only guard: while fixes are tried, the database refuses what an app would write.

A guard and no proof: a session that says READ WRITE itself writes, and notifications and advisory
locks pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final, NamedTuple

from .connecting import (
    ASYNCPG,
    Arguments,
    Change,
    change,
    fixed,
    given,
    living_engines,
    other_pools,
)
from .probes.sqlalchemy.pool import name_of

_PARAMETER: Final = "default_transaction_read_only"


class Guarded(NamedTuple):
    """What is guarded from now on."""

    undo: Callable[[], None]
    """Takes it back; a second time it does nothing."""
    not_guarded: Callable[[], dict[str, str]]
    """Why a pool is not, by its name as it stands in traces; grows as connections are opened.

    For pools that know nothing of SQLAlchemy the name begins with that of their driver.
    """


def guard() -> Guarded:
    """Has SQLAlchemy's engines of PostgreSQL open their connections as read-only ones.

    By a parameter of the connection's start. Where that is refused, as poolers do, the connection
    is opened as the app would have. Connections in use go on as they are, and are replaced when
    they are next taken; `undo` empties the pools, so that none of these is left.

    Not seen: connections opened without any pool, and engines that come and go meanwhile.
    """
    left: dict[str, str] = {}
    undone = ExitStack()
    known = set()
    with ExitStack() as on_failure:
        on_failure.callback(undone.close)
        for engine in living_engines():
            known.add(engine.dialect)
            name, why = name_of(engine), given(engine).why
            if why:
                left[name] = why
            else:
                undone.callback(change(engine, _read_only(partial(left.setdefault, name))))
        on_failure.pop_all()

    def not_guarded() -> dict[str, str]:
        late = [one for one in living_engines() if one.dialect not in known]
        left.update({name_of(one): "it was made while fixes were tried" for one in late})
        for library, _ in other_pools():
            left[library.removesuffix("_pool")] = "it is not used through SQLAlchemy"
        return dict(left)

    return Guarded(undone.close, not_guarded)


def _read_only(tell: Callable[[str], object]) -> Change:
    whys: list[str] = []

    def left_out(why: str) -> None:
        whys.append(why)
        tell(why)

    def made(driver: str, cargs: Sequence[Any], cparams: Arguments) -> Arguments | None:
        if not whys and (why := fixed(cargs, cparams)):
            left_out(why)
        # What has failed once is not tried again: each connection would be opened twice.
        return None if whys else _with_parameter(driver, cparams)

    def opened(driver: str, connection: Any) -> None:
        if _reported(driver, connection) == "off":
            left_out("a pooler, or a setting of the app's own, has put it off")

    return Change(made, left_out, opened)


def _with_parameter(driver: str, cparams: Arguments) -> Arguments:
    """What the app says itself stands behind ours, and holds."""
    if driver == ASYNCPG:
        settings = {_PARAMETER: "on", **(cparams.get("server_settings") or {})}
        return {**cparams, "server_settings": settings}
    # Options that are given put those of the environment out of force.
    own = cparams.get("options") or os.environ.get("PGOPTIONS", "")
    return {**cparams, "options": f"-c {_PARAMETER}=on {own}".rstrip()}


def _reported(driver: str, connection: Any) -> str | None:
    """What the server said of the parameter when the connection began; from PostgreSQL 14 on."""
    with suppress(Exception):
        if driver == ASYNCPG:
            return getattr(connection.get_settings(), _PARAMETER, None)
        status: str | None = connection.info.parameter_status(_PARAMETER)
        return status
    return None
