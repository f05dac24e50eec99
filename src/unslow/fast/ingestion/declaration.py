"""Ingest: events of concurrent requests are stored by one statement, and acknowledged after it.

An event that comes while others are on their way waits for a turn, and all that wait then go
together; nobody waits for company. Events are validated straight from the bytes of the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel

from ..database import Source
from ..errors import DefinitionError
from .batches import Added
from .group_commit import GroupCommit
from .insertion import Insertion

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Router

    from .receiver import Receiver

Model = TypeVar("Model", bound=BaseModel)

MAX_BATCH: Final = 1_000
WORKERS: Final = 2
"""One statement is with the server while the answers of another are given out."""
MAX_WAITING: Final = 10_000
TIMEOUT_S: Final = 5.0
MAX_BODY_BYTES: Final = 1_000_000


class Ingest(Generic[Model]):
    """A table that takes events from many requests at once; made by `ingest`.

    `async with events:` in the app's lifespan looks at the table at the start, and at the end waits
    for what is on its way. Without it the table is looked at for the first event.
    """

    def __init__(self, model: type[Model], commit: GroupCommit) -> None:
        self.model = model
        self._commit = commit

    async def __aenter__(self) -> Ingest[Model]:
        """Takes events, and looks whether the table is as the model needs it.

        Raises:
            DefinitionError: It is not.
        """
        await self._commit.open()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Takes no more events, and returns once all that came are stored or have failed."""
        await self._commit.close()

    @property
    def statement_count(self) -> int:
        """How many statements were sent."""
        return self._commit.statement_count

    @property
    def event_count(self) -> int:
        """How many events came; divided by the statements, how many went together."""
        return self._commit.row_count

    async def add(self, event: Model | bytes | str) -> Added:
        """Stores an event and returns after the commit that holds it.

        Args:
            event: The model, or its JSON, which is then validated.

        Raises:
            pydantic.ValidationError: The JSON is not that of the model.
            OverloadedError: Too many events wait.
            PoolTimeoutError: No connection became free in time.
            OutcomeUnknownError: The connection was lost at the commit.
            NotOpenError: It was closed.
            Exception: What the driver raises for this event, such as a unique violation.
        """
        (added,) = await self._commit.store([self.validated(event)])
        return added

    async def add_many(self, events: Sequence[Model | bytes | str]) -> list[Added]:
        """Stores events in one transaction, all or none; raises what `add` raises."""
        return await self._commit.store([self.validated(one) for one in events]) if events else []

    def validated(self, event: Model | bytes | str) -> Model:
        """The event as its model, from JSON without a detour by way of a dictionary."""
        if isinstance(event, bytes | str):
            found: Model = self.model.__pydantic_validator__.validate_json(event)
            return found
        if not isinstance(event, self.model):
            raise TypeError(f"got a {type(event).__name__}; wanted a {self.model.__name__}")
        return event

    async def respond(self, event: Model, *, status_code: int = 201) -> Response:
        """The response for an event, in an endpoint of your own: as that of `route`.

        Args:
            event: The validated event.
            status_code: What is answered once it is committed; 409, 422, 500 or 503 with
                `Retry-After` if it is not.
        """
        from .receiver import responded

        return await responded(self, event, status_code)

    def route(
        self,
        app: FastAPI | APIRouter | Starlette | Router,
        path: str,
        *,
        many: bool = False,
        status_code: int = 201,
        max_body_bytes: int = MAX_BODY_BYTES,
        dependencies: Sequence[Any] = (),
        **options: Any,
    ) -> None:
        """Adds `POST path` to an app: it takes an event and answers after its commit.

        Without dependencies, of its own, of the app or of a router, FastAPI's work per request is
        left out; with them the route is an ordinary one. It is in the OpenAPI document either way.

        Args:
            app: An app or a router, of FastAPI or of Starlette.
            path: Such as `/webhook`.
            many: Whether the body is a list of events, stored all or none.
            status_code: Of the answer to an event that is stored, also if it was before.
            max_body_bytes: A longer body is answered with 413.
            dependencies: As FastAPI's `Depends(...)`.
            options: As for `app.post`: `tags`, `name`, `summary` and so on.

        Raises:
            DefinitionError: The app cannot have dependencies or options, or is none.
        """
        from .receiver import add_route

        receiver = self.endpoint(many=many, status_code=status_code, max_body_bytes=max_body_bytes)
        add_route(app, path, receiver, dependencies, options)

    def endpoint(
        self,
        *,
        many: bool = False,
        status_code: int = 201,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> Receiver:
        """What `route` adds, as an ASGI app to be mounted anywhere; it looks at no method."""
        from .receiver import Receiver

        return Receiver(self, many=many, status_code=status_code, max_body_bytes=max_body_bytes)


def ingest(
    model: type[Model],
    source: Source,
    *,
    table: str,
    schema: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    key: str | Sequence[str] | None = None,
    on_conflict: Literal["error", "nothing"] = "error",
    max_batch: int = MAX_BATCH,
    workers: int = WORKERS,
    max_waiting: int = MAX_WAITING,
    timeout_s: float | None = TIMEOUT_S,
) -> Ingest[Model]:
    """Makes a table take events of a model, many at once.

    Args:
        model: Its fields are stored, each in the column of its name. Columns that it has no field
            for get their defaults.
        source: The pool or engine.
        table: The name of the table, not quoted.
        schema: Its schema, not quoted; the first in the search path that has it if not given.
        columns: The columns of fields that are called otherwise, by field; `None` for a field that
            is not stored.
        key: The field, or fields, by which an event that comes again is known: it is stored once
            and acknowledged each time. The columns need a unique constraint of their own.
        on_conflict: With `nothing`, an event that conflicts with any unique constraint is left out
            and acknowledged; with `error` it fails, alone, unless it is the key that it repeats.
        max_batch: The most events in one statement.
        workers: The most statements on their way at once; so many connections are taken from the
            pool at most.
        max_waiting: The most events that wait; one more raises `OverloadedError`.
        timeout_s: How long to wait for a free connection, in seconds.

    Raises:
        DefinitionError: A field cannot be stored, or one of the arguments is none that it takes.
    """
    if min(max_batch, workers, max_waiting) < 1:
        raise DefinitionError(
            f"got max_batch={max_batch}, workers={workers}, max_waiting={max_waiting}; wanted 1 or "
            "more of each"
        )
    insertion = Insertion(
        model, table, schema=schema, columns=columns, key=key, on_conflict=on_conflict
    )
    commit = GroupCommit(
        source,
        insertion,
        max_batch=max_batch,
        workers=workers,
        max_waiting=max_waiting,
        timeout_s=timeout_s,
    )
    return Ingest(model, commit)
