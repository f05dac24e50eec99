"""The rows of a query as lines of JSON or CSV that PostgreSQL wrote, a few at a time.

With parameters they come through a cursor, for COPY takes none. Without, through COPY, with one
exception: psycopg hands over each line of COPY by itself, and a cursor gives it JSON twice as fast
(`bench/export_memory.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ..database import COPY_QUOTE, Connection, Write

Format: TypeAlias = Literal["ndjson", "json", "csv"]

FETCH_BYTES: Final = 256 * 1024
"""About how much is fetched from a cursor at once: as much as a socket gives to asyncio."""
FIRST_ROWS: Final = 16
MOST_ROWS: Final = 2_000
"""Beyond that, more rows at once brought no speed with either driver."""

_QUOTE: Final = COPY_QUOTE.encode()
_LINE_ENDS_TO_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")
_RECORD: Final = "unslow_row"
"""An alias that no column has: the name of a column would win."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is exported."""

    sql: str
    arguments: Sequence[object]

    @property
    def as_json(self) -> str:
        return f"SELECT row_to_json({_RECORD})::text {self._as_records}"

    @property
    def as_record(self) -> str:
        return f"SELECT {_RECORD}::text {self._as_records}"

    @property
    def _as_records(self) -> str:
        # On a line of its own: the query may end with a comment.
        return f"FROM (\n{self.sql}\n) AS {_RECORD}"


async def write_ndjson(connection: Connection, driver: str, query: Query, write: Write) -> None:
    """Writes an object per row, each on a line."""
    if query.arguments or driver == "psycopg":
        await _write_fetched(connection, query.as_json, query.arguments, _json_lines, write)
    else:
        await connection.copy_out(query.as_json, _OneLineEach(write).write, as_it_is=True)


async def write_json(connection: Connection, driver: str, query: Query, write: Write) -> None:
    """Writes an array of an object per row."""
    array = _Array(write)
    await write_ndjson(connection, driver, query, array.write)
    await array.end()


async def write_csv(
    connection: Connection, _driver: str, query: Query, write: Write, *, header: bool
) -> None:
    """Writes a line per row, and one of the names of the columns before them if wanted."""
    if not query.arguments:
        await connection.copy_out(f"{query.sql}\n", write, header=header)
        return
    if header:
        await write(_csv_header(await connection.columns(query.sql, query.arguments)))
    await _write_fetched(connection, query.as_record, query.arguments, _csv_lines, write)


async def _write_fetched(
    connection: Connection,
    sql: str,
    arguments: Sequence[object],
    as_lines: Callable[[list[str]], str],
    write: Write,
) -> None:
    fetch = _Fetch()
    async for rows in connection.stream(sql, arguments, rows=fetch.row_count):
        lines = as_lines([row[0] for row in rows]).encode()
        fetch.saw(len(rows), len(lines))
        await write(lines)


class _Fetch:
    """How many rows to fetch next, by the size of those that came."""

    def __init__(self) -> None:
        self._count = FIRST_ROWS

    def row_count(self) -> int:
        return self._count

    def saw(self, count: int, byte_count: int) -> None:
        fitting = FETCH_BYTES * count // byte_count
        # What comes may be larger than what came.
        self._count = max(1, min(fitting, 8 * self._count, MOST_ROWS))


def _json_lines(values: list[str]) -> str:
    lines = "\n".join(values)
    if lines.count("\n") >= len(values) or "\r" in lines:
        # Only between tokens: JSON has none inside a string (RFC 8259, section 7).
        lines = "\n".join(value.replace("\n", " ").replace("\r", " ") for value in values)
    return lines + "\n"


def _csv_lines(values: list[str]) -> str:
    """Lines of CSV from records as text.

    A record is written as `(1,"two words",)`: as CSV in parentheses, in which each backslash
    stands twice (PostgreSQL, "Composite Type Input and Output Syntax").
    """
    lines = "\n".join([value[1:-1] for value in values]) + "\n"
    return lines.replace("\\\\", "\\") if "\\" in lines else lines


def _csv_header(names: Sequence[str]) -> bytes:
    return (",".join(map(_csv_value, names)) + "\n").encode()


def _csv_value(value: str) -> str:
    if any(character in value for character in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value


class _OneLineEach:
    """Values of JSON as lines; one that came with line ends, from a `json` column, loses them."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._is_quoted = False

    async def write(self, piece: bytes) -> None:
        if self._is_quoted or _QUOTE in piece:
            piece = self._unquoted(piece)
        await self._write(piece)

    def _unquoted(self, piece: bytes) -> bytes:
        parts = piece.split(_QUOTE)
        first = 0 if self._is_quoted else 1
        for place in range(first, len(parts), 2):
            parts[place] = parts[place].translate(_LINE_ENDS_TO_SPACES)
        self._is_quoted ^= len(parts) % 2 == 0
        return b"".join(parts)


class _Array:
    """Lines of JSON as one array."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._between = b"["

    async def write(self, lines: bytes) -> None:
        is_whole = lines.endswith(b"\n")
        values = (lines[:-1] if is_whole else lines).replace(b"\n", b",\n")
        await self._write(self._between + values)
        self._between = b",\n" if is_whole else b""

    async def end(self) -> None:
        await self._write(b"[]" if self._between == b"[" else b"]")
