"""Streams: a whole table as NDJSON, JSON or CSV, in constant memory.

PostgreSQL writes the lines, the app hands them on. No more is read from the server than the client
takes, so that a slow client makes the server wait, and nothing piles up in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import ceil
from typing import Any, Final, get_args

from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..database import Database, Source, Write, database
from ..errors import DefinitionError, SlowClientError
from .attachments import disposition
from .exported_rows import Format, Query, write_csv, write_json, write_ndjson

PIECE_BYTES: Final = 64 * 1024
"""What a server sends in one go: uvicorn's own high-water mark."""
STALL_TIMEOUT_S: Final = 60.0
"""The `send_timeout` of nginx."""
STATEMENT_TIMEOUT_S: Final = 3_600.0

_LOGGER: Final = logging.getLogger(__name__)

_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "ndjson": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
}
# A cursor of psycopg would be planned for its first tenth only.
_SETTINGS: Final = "SELECT set_config('cursor_tuple_fraction', '1', true)"
_STATEMENT_TIMEOUT: Final = ", set_config('statement_timeout', $1, true)"


def export(
    source: Source,
    sql: Any,
    arguments: Sequence[Any] = (),
    format: Format = "ndjson",  # noqa: A002  # the word of all who export
    *,
    header: bool = True,
    filename: str | None = None,
    headers: Mapping[str, str] | None = None,
    background: BackgroundTask | None = None,
    timeout_s: float | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
) -> Export:
    """An answer that streams what a query finds; to be returned by an endpoint.

    It is read in a read-only transaction. The values are written by PostgreSQL: as `row_to_json`
    does, or as COPY does for CSV. When the client leaves, the query is cancelled and the connection
    goes back to the pool.

    An error before the first row is raised before the answer starts, and so is a status of its own.
    A later one ends the connection without the end of the answer, so that every client sees that
    it is not whole; an array then has no closing bracket.

    Args:
        source: The pool or engine.
        sql: A query, or a `select()` of SQLAlchemy.
        arguments: The parameters of the query, for `$1` and so on.
        format: `ndjson` is an object per line, `json` an array of them, `csv` is RFC 4180.
        header: Whether the first line of CSV has the names of the columns.
        filename: Under which name a browser saves it.
        headers: More headers.
        background: What runs after the answer.
        timeout_s: How long to wait for a free connection, in seconds.
        stall_timeout_s: How long a client may take nothing, in seconds: it holds a connection.
        statement_timeout_s: The server's limit for the query, in seconds; 0 for none, `None` for
            that of the session, which is most often too short for an export.

    Raises:
        DefinitionError: The format is none of those, the filename is empty, a `select()` has
            arguments beside it or is one that a hook of the app's would change.

    The answer raises, when it is sent:
        PoolTimeoutError: No connection became free in time.
        SlowClientError: The client took nothing for so long.
    """
    write_rows = _writer(format, header)
    door = database(source)
    query = _query(door, sql, arguments)
    read = partial(
        _read, door, query, write_rows, timeout_s=timeout_s, statement_timeout_s=statement_timeout_s
    )
    return Export(
        read,
        _MEDIA_TYPES[format],
        headers={**disposition(filename), **(headers or {})},
        background=background,
        stall_timeout_s=stall_timeout_s,
    )


def _writer(name: str, header: bool) -> Callable[..., Awaitable[None]]:
    if name not in _MEDIA_TYPES:
        raise DefinitionError(f"got format={name!r}; wanted one of {', '.join(get_args(Format))}")
    if name == "csv":
        return partial(write_csv, header=header)
    return write_json if name == "json" else write_ndjson


def _query(door: Database, sql: Any, arguments: Sequence[Any]) -> Query:
    if isinstance(sql, str):
        return Query(sql.rstrip().removesuffix(";"), arguments)
    if arguments:
        raise DefinitionError(
            "got arguments beside a statement of SQLAlchemy, which has its own; leave them out"
        )
    return _compiled(door, sql)


def _compiled(door: Database, statement: Any) -> Query:
    """The text of a statement of SQLAlchemy, unless the app would have it changed."""
    from sqlalchemy.orm import lazyload
    from sqlalchemy.sql import visitors

    from ..sessions import Hooks, engine_hook
    from ..statements import Statement

    engine = door.source if hasattr(door.source, "sync_engine") else None
    hook = engine_hook(engine) if engine is not None else None
    if any(
        "parententity" in getattr(one, "_annotations", ()) for one in visitors.iterate(statement)
    ):
        # Relationships that load with their parent would come as more columns and rows.
        statement = statement.options(lazyload("*"))
        hook = hook or Hooks(None).found(None)
    if hook is not None:
        raise DefinitionError(
            f"{hook}, which an export would go past; write its filter into the query, and give "
            "the query as text"
        )
    compiled = Statement(statement)
    return Query(compiled.text, compiled.arguments())


async def _read(
    door: Database,
    query: Query,
    write_rows: Callable[..., Awaitable[None]],
    write: Write,
    *,
    timeout_s: float | None,
    statement_timeout_s: float | None,
) -> None:
    """Writes the rows; returns once the connection is back in the pool."""
    async with door.connect(timeout_s) as connection, connection.transaction(read_only=True):
        if statement_timeout_s is None:
            await connection.fetch(_SETTINGS)
        else:
            limit_ms = str(ceil(statement_timeout_s * 1_000))
            await connection.fetch(_SETTINGS + _STATEMENT_TIMEOUT, [limit_ms])
        await write_rows(connection, door.driver, query, write)


class Export(Response):
    """An answer that is read while it is sent; made by `export`."""

    def __init__(
        self,
        read: Callable[[Write], Awaitable[None]],
        media_type: str,
        *,
        headers: Mapping[str, str],
        background: BackgroundTask | None,
        stall_timeout_s: float,
    ) -> None:
        self._read = read
        self._stall_timeout_s = stall_timeout_s
        self.status_code = 200
        self.media_type = media_type
        self.background = background
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        body = _Body(start, send, self._stall_timeout_s)
        try:
            if scope["method"] == "HEAD" or await _while_present(receive, self._read(body.write)):
                await body.end()
        except Exception as error:
            await body.abort(error)
            raise
        if self.background is not None:
            await self.background()


class _Body:
    """Sends what is written in pieces worth sending, after the start of the answer."""

    def __init__(self, start: Message, send: Send, stall_timeout_s: float) -> None:
        self._start: Message | None = start
        self._send_message = send
        self._stall_timeout_s = stall_timeout_s
        self._pieces: list[bytes] = []
        self._size = 0

    async def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= PIECE_BYTES:
            await self._send(more=True)

    async def end(self) -> None:
        await self._send(more=False)

    async def abort(self, error: Exception) -> None:
        """Keeps a middleware from ending in good order what the error that is raised cut off.

        Starlette's BaseHTTPMiddleware, which is under `@app.middleware("http")`, does so, and
        raises the error too late. Of a message that no specification has it raises at once; a
        server refuses it, and closes the connection because of the error itself.
        """
        if self._start is not None:
            return
        with suppress(Exception):
            async with asyncio.timeout(self._stall_timeout_s):
                await self._send_message({"type": "http.response.abort"})
            # It was taken by what may keep the error to itself.
            _LOGGER.error("an export ended early", exc_info=error)

    async def _send(self, *, more: bool) -> None:
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                if self._start is not None:
                    start, self._start = self._start, None
                    await self._send_message(start)
                await self._send_message(
                    {"type": "http.response.body", "body": body, "more_body": more}
                )
        except TimeoutError as error:
            raise SlowClientError(
                f"the client took nothing for {self._stall_timeout_s:g} s, and the export was "
                "ended; if clients may be that slow, give it a longer stall_timeout_s"
            ) from error
        except OSError as error:
            # What servers say since ASGI 2.4 where nobody listens any more.
            raise ClientDisconnect from error


async def _while_present(receive: Receive, work: Awaitable[None]) -> bool:
    """Whether the client stayed until the work was done; when it leaves, the work is cancelled."""
    try:
        async with asyncio.timeout(None) as present:
            watch = asyncio.create_task(_watch(receive, present))
            try:
                await work
            finally:
                watch.cancel()
    except ClientDisconnect:
        return False
    except TimeoutError:
        if not present.expired():
            raise
        return False
    return True


async def _watch(receive: Receive, present: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    present.reschedule(asyncio.get_running_loop().time())
