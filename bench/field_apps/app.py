"""What `bench.field` has to know about an application."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where an application is started: everything that differs from start to start."""

    programs: Path
    """The folder of its environment's programs."""
    folder: Path
    """An empty folder, its current one."""
    port: int
    database_url: str
    """An empty PostgreSQL database, as `postgresql://...`; empty for an app that wants none."""

    def program(self, name: str, *arguments: str) -> tuple[str, ...]:
        """The command line of a program of its environment."""
        return (str(self.programs / name), *arguments)


@dataclass(frozen=True, slots=True)
class Checking:
    """How `unslow check` is told of an application, and the data that it is to find."""

    command: Callable[[Site], Sequence[str]]
    """Starts it in one process."""
    options: tuple[str, ...]
    """Of `unslow check`: who asks, and what."""
    fill: Callable[[Visitor], None]
    """Makes a part of the data as a user would; each time more, so that lists differ in length."""
    fills_count: int


@dataclass(frozen=True, slots=True)
class App:
    """An application, the ways to start it, and a user of it."""

    name: str
    says: str
    """One sentence: what it is made of."""
    requirements: tuple[str, ...]
    """What is installed for it, every version pinned that matters to us."""
    own: str
    """The package that counts as the user's own code."""
    wants_database: bool
    environment: Callable[[Site], Mapping[str, str]]
    prepare: Callable[[Site], Sequence[Sequence[str]]]
    """Commands that are run before the start, without the agent."""
    ways: Mapping[str, Callable[[Site], Sequence[str]]]
    """How it can be started; the first is the usual one."""
    alive: str
    """A path that answers 2xx once it serves."""
    visit: Callable[[Visitor], None]
    """Everything that one user does, once."""
    checking: Checking | None = None
    """None where it is not checked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, as the client saw it."""

    operation: str
    """`METHOD /route`."""
    status: int
    wall_ms: float
    body_bytes: int
    outline: str
    """The form of the answer: its keys and types, without its values."""
    alone: bool
    """Whether no other visitor was there."""


class UnexpectedAnswerError(Exception):
    """An operation answered something else than 2xx; the message holds its first words."""


@dataclass(slots=True)
class Visitor:
    """A client with one connection that keeps a list of what it was answered."""

    port: int
    name: str
    """Unique among the visitors of a start: to name what is made."""
    alone: bool
    headers: dict[str, str] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    _connection: http.client.HTTPConnection | None = None

    def call(
        self,
        operation: str,
        *values: object,
        query: Mapping[str, object] | None = None,
        body: object = None,
        form: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        kind: str = "application/json",
    ) -> Any:
        """Sends one request and returns what its answer says.

        Args:
            operation: `METHOD /route`, with names in braces where `values` go.
            values: What goes there, in order.
            query: The query string.
            body: What is sent as JSON.
            form: What is sent as a form.
            raw: What is sent as it is.
            kind: The content type of `raw`.

        Raises:
            UnexpectedAnswerError: the status is not 2xx.
        """
        method, route = operation.split(" ", 1)
        path = _filled(route, values) + (f"?{urlencode(query)}" if query else "")
        headers = dict(self.headers)
        if form is not None:
            raw, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
        elif body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            headers["content-type"] = kind
        started = time.perf_counter()
        status, told, text = self._ask(method, path, raw, headers)
        wall_ms = (time.perf_counter() - started) * 1000
        value = _read(told, text)
        self.answers.append(
            Answer(operation, status, wall_ms, len(text), _outline(value), self.alone)
        )
        if not 200 <= status < 300:
            raise UnexpectedAnswerError(f"{method} {path}: {status} {text[:300]!r}")
        return value

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=_PATIENCE_S
            )
        self._connection.request(method, path, raw, dict(headers))
        response = self._connection.getresponse()
        text = response.read()
        if response.headers.get("content-encoding") == "gzip":
            text = gzip.decompress(text)
        return response.status, response.headers.get_content_type(), text


def _filled(route: str, values: Sequence[object]) -> str:
    """The path of a route: each name in braces replaced by the next value."""
    parts, rest = [], iter(values)
    for index, part in enumerate(route.split("{")):
        parts.append(part if index == 0 else str(next(rest)) + part.partition("}")[2])
    return "".join(parts)


def _read(kind: str, text: bytes) -> Any:
    if kind == "application/json" and text:
        return json.loads(text)
    return text


def _outline(value: Any) -> str:
    """The form of a JSON value; two values of one form have the same keys and types."""
    if isinstance(value, dict):
        rows = ", ".join(f"{key}: {_outline(value[key])}" for key in sorted(value))
        return f"{{{rows}}}"
    if isinstance(value, list):
        return f"[{' | '.join(sorted({_outline(one) for one in value}))}]"
    return type(value).__name__
