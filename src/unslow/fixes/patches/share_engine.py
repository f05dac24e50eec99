"""Keeps one engine, or one pool, for all requests, in place of a connection for each.

Changes: the engine or pool is made when the app starts, and requests take connections of it.
Does not pay: behind a pooler such as PgBouncer on the same machine, where `NullPool` may be there
on purpose; and in a process that answers one request and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import libcst as cst

from ...model.proof import Arm
from .advice import told, where
from .names import Names
from .patch import CannotWriteError, Patch, Subject
from .source import Source, under

_FIX: Final = "share-engine"
_NO_POOL: Final = "NullPool"
_ENGINES: Final = ("create_engine", "create_async_engine")
_LIFESPAN: Final = """\
@asynccontextmanager
async def lifespan(app):
    async with {made} as app.state.pool:
        yield

app = FastAPI(lifespan=lifespan)  # {taken}"""
_ASYNCPG: Final = _LIFESPAN.format(
    made="asyncpg.create_pool(...)", taken="async with request.app.state.pool.acquire() as c:"
)
_PSYCOPG: Final = _LIFESPAN.format(
    made="psycopg_pool.AsyncConnectionPool(..., open=False)",
    taken="async with request.app.state.pool.connection() as c:",
)
_PLAIN_PSYCOPG: Final = (
    "pool = psycopg_pool.ConnectionPool(..., open=False)  # pool.open() at the start\n"
    "with pool.connection() as connection:"
)
_ENGINE: Final = "engine = {made}(...)  # once, at the top of the module"


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The engine of the process, or its pool."""
    made = _made(subject)
    return (Arm(_FIX, f"one {'pool' if made in _POOLS else 'engine'} for the process"),)


_CONNECT: Final = "connect"
_ASYNC_CONNECT: Final = "AsyncConnection.connect"
_OF_ASYNCPG: Final = "asyncpg.connect"
_POOLS: Final = (_OF_ASYNCPG, _CONNECT, _ASYNC_CONNECT)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says what opens the connections, and where one pool for all belongs."""
    finding = subject.finding
    made = _made(subject)
    opens = f"{where(finding.place)}, opens a connection for this request alone"
    if made == _NO_POOL:
        return Patch(
            advice=told(
                f"{opens}: its file makes an engine with `{_NO_POOL}`.",
                f"leave `poolclass={_NO_POOL}` out, so that connections are kept; behind a pooler"
                " in transaction mode it may be there on purpose, and then belongs there.",
            )
        )
    return Patch(
        advice=told(
            f"{opens}.",
            "keep one for the process and take connections of it: at most as many as the database"
            " allows, divided by the processes.",
            _why(made),
            code=_CODE.get(made, ""),
        )
    )


_CODE: Final = {
    _OF_ASYNCPG: _ASYNCPG,
    _ASYNC_CONNECT: _PSYCOPG,
    _CONNECT: _PLAIN_PSYCOPG,
    **{one: _ENGINE.format(made=one) for one in _ENGINES},
}


def _why(made: str) -> str:
    if made in _ENGINES:
        return f"an engine has a pool of its own: `{made}` in a function makes a new one each time."
    if made:
        return ""
    return (
        "where one is there already, look for `NullPool`, and for an engine or pool that is made in"
        " a function."
    )


def _made(subject: Subject) -> str:
    """What makes the connections, by the source; empty where that is not seen."""
    place = subject.finding.place
    text = None if place is None else subject.read(place.path)
    if place is None or text is None:
        return ""
    try:
        source = Source(place.path, text)
        statement = source.statement_at(place.line, place.function)
    except CannotWriteError:
        return ""
    names = Names(source, subject.read)
    function = source.function_of(statement)
    near = [] if function is None else list(_makers(function, names))
    # A pool that keeps nothing may stand at the top of the module as well.
    far = [one for one in _makers(source.module, names) if one == _NO_POOL]
    return next(iter((*near, *far)), _by_driver(subject, names))


def _makers(scope: cst.CSTNode, names: Names) -> Iterator[str]:
    for one in under(scope):
        if not isinstance(one, cst.Call):
            continue
        engine = next((name for name in _ENGINES if _is(one, name, names, "sqlalchemy")), "")
        if engine:
            is_kept = not any(_is_no_pool(given.value, names) for given in one.args)
            yield engine if is_kept else _NO_POOL
        elif _is(one, _CONNECT, names, "asyncpg"):
            yield _OF_ASYNCPG
        elif _is_async_psycopg(one, names):
            yield _ASYNC_CONNECT
        elif _is(one, _CONNECT, names, "psycopg", "psycopg2"):
            yield _CONNECT


def _is(call: cst.Call, name: str, names: Names, *packages: str) -> bool:
    return names.comes_from(call.func, name, *packages)


def _is_no_pool(node: cst.BaseExpression, names: Names) -> bool:
    return names.comes_from(node, _NO_POOL, "sqlalchemy")


def _is_async_psycopg(call: cst.Call, names: Names) -> bool:
    function = call.func
    if not isinstance(function, cst.Attribute) or function.attr.value != _CONNECT:
        return False
    return names.comes_from(function.value, "AsyncConnection", "psycopg")


def _by_driver(subject: Subject, names: Names) -> str:
    """By what the recording says; SQLAlchemy's own connections have its drivers too."""
    modules = {one.module.partition(".")[0] for one in names.imported.values()}
    if modules & {"sqlalchemy", "sqlmodel"}:
        return ""
    return _OF_ASYNCPG if subject.finding.shape == "asyncpg" else ""
