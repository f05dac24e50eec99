"""A response model and a mapped class: the answer of an endpoint, with no query to write.

`View(UserOut, User, engine)` works out which columns and relationships the model needs, reads them
in as many statements as the relationships need (or in one), and gives the answer that FastAPI would
have given for the loaded objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from ..database import Source, database
from ..errors import DefinitionError
from ..gathering import Coalesced
from .assembling import Rows
from .choice import Choice, Make, checked_limits, choose
from .document import Documents
from .keys import key_arguments, matching
from .loading import loader_options
from .needs import needs
from .reading import DocumentsByKey, RowsByKey, gathered
from .row_security import secured_tables
from .sessions import Hooks, SessionHooks
from .statements import DIALECT

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI
    from starlette.responses import Response

Model = TypeVar("Model", bound=BaseModel)

_MISSING: Final = object()
_NOT_FOUND: Final = b'{"detail":"Not Found"}'
_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")


class View(Generic[Model]):
    """What a response model needs of a mapped class, and how it is read."""

    def __init__(
        self,
        model: type[Model],
        entity: type[Any],
        source: Source,
        *,
        session: Any | None = None,
        where: Sequence[ColumnElement[bool]] = (),
        limits: Mapping[str, int] | None = None,
        make: Make | None = None,
        trust_database: bool = False,
    ) -> None:
        """Works out what is needed; the database is asked for nothing yet.

        Args:
            model: The response model.
            entity: The mapped class that its fields are read from.
            source: The app's pool or engine.
            session: The app's own `async_sessionmaker`, for what only the ORM can read; without it
                sessions are made on the engine.
            where: What each row must be, as for `select(...).where(...)`.
            limits: The most rows of a relationship, by its path in the model (`posts.comments`).
            make: `"json"`, `"rows"` or `"orm"`; the quickest sure one if not given.
            trust_database: Whether what pydantic would check of a value is left to the database.

        Raises:
            DefinitionError: The model and the class do not fit, or the make is not sure.
        """
        self.model = model
        self.entity = entity
        self.node = needs(model, entity)
        self._database = database(source)
        self._session = session
        self._where = tuple(where)
        self._limits = checked_limits(self.node, limits or {})
        self._wanted = make
        self._trust_database = trust_database
        self._adapter: TypeAdapter[Model] = TypeAdapter(model)
        self._hooks = Hooks(session)
        self._choices: dict[str, Choice] = {}
        # What is never sure raises here already: with another driver less is, never more.
        self._chosen("asyncpg")
        self._rows = Rows(self.node, self._limits)
        self._rows_by_key = RowsByKey(self._database, self._rows, self._where)
        self._gathered_rows = gathered(self._rows_by_key, _MISSING)
        self._documents: dict[str, DocumentsByKey] = {}
        self._gathered_documents: dict[str, Coalesced[Any, Any]] = {}
        self._secured: list[str] | None = None

    async def get(self, key: Any, *, session: AsyncSession | None = None) -> Model | None:
        """The model of the row with a key; `None` if there is none.

        Args:
            key: The value of the primary key, or a tuple of its values.
            session: Reads with this session, by the ORM.
        """
        if session is not None or await self._make() == "orm":
            return await self._loaded(key, session)
        values = await self._gathered_rows(key)
        return None if values is _MISSING else self._adapter.validate_python(values)

    async def document(self, key: Any, *, session: AsyncSession | None = None) -> bytes | None:
        """The JSON of the row with a key, as FastAPI would send it; `None` if there is none.

        Args:
            key: The value of the primary key, or a tuple of its values.
            session: Reads with this session, by the ORM.
        """
        if session is None and await self._make() == "json":
            found = await self._gathered_documents[self._database.driver](key)
            if found is _MISSING:
                return None
            if found is not None:
                body: bytes = found
                return body
        model = await self.get(key, session=session)
        return None if model is None else self._adapter.dump_json(model, by_alias=True)

    async def respond(self, key: Any, *, session: AsyncSession | None = None) -> Response:
        """The response for the row with a key: its JSON, or 404."""
        from starlette.responses import Response

        body = await self.document(key, session=session)
        status = 200 if body is not None else 404
        return Response(body or _NOT_FOUND, status, media_type="application/json")

    def route(
        self,
        app: FastAPI | APIRouter,
        path: str,
        *,
        dependencies: Sequence[Any] = (),
        **options: Any,
    ) -> None:
        """Adds `GET path` to an app: the row whose key is in the path, as JSON, or 404.

        Without dependencies, of its own or of the app, the framework's work per request is left
        out; with them the route is an ordinary one. It is in the OpenAPI document either way.

        Args:
            app: A FastAPI app, or a router that is included in one.
            path: With a parameter for each column of the primary key, in their order.
            dependencies: As FastAPI's `Depends(...)`.
            options: As for `app.get`: `tags`, `name`, `summary` and so on.

        Raises:
            DefinitionError: The path has another number of parameters than the key has columns.
        """
        from .routes import ByKey, ViewRoute

        columns = self.node.mapper.primary_key
        names = _PARAMETER.findall(path)
        if len(names) != len(columns):
            raise DefinitionError(
                f"{path} has {len(names)} parameters and the key of {self.entity.__name__} has "
                f"{len(columns)} columns; wanted one parameter for each, in their order"
            )
        kinds = {name: one.type.python_type for name, one in zip(names, columns, strict=True)}
        endpoint = ByKey(self.document, self.respond, kinds)
        not_found = {"description": "There is no such row"}
        options["responses"] = {404: not_found, **options.get("responses", {})}
        options.setdefault("name", f"read_{self.entity.__name__.lower()}")
        options.setdefault("description", f"One {self.entity.__name__} by its key.")
        router: Any = getattr(app, "router", app)
        router.add_api_route(
            path,
            endpoint,
            response_model=self.model,
            dependencies=list(dependencies),
            route_class_override=ViewRoute,
            **options,
        )

    def explain(self) -> str:
        """How answers are made and why not in a quicker way, with the SQL.

        Before the app has opened its pool this is for asyncpg, and row-level security is known once
        the first answer was read.
        """
        try:
            driver, engine = self._database.driver, self._engine()
        except Exception:  # what the user's own function raises before the app runs
            driver, engine = "asyncpg", None
        choice = self._chosen(driver)
        make, why = choice.make, [f"{one.where}: {one.why}" for one in choice.reasons]
        if (hook := self._hooks.found(engine)) is not None:
            make, why = "orm", [hook, *why]
        if self._secured:
            make, why = "orm", [f"{', '.join(self._secured)}: row-level security is on", *why]
        lines = [f"View({self.model.__name__}, {self.entity.__name__}) on {driver}: {make}"]
        return "\n".join([*lines, *(f"  {one}" for one in why), "", *self._sql(make, driver)])

    def _sql(self, make: Make, driver: str) -> list[str]:
        if make == "json":
            return [self._documents_on(driver).statement.text]
        if make == "rows":
            return [self._rows_by_key.statement.text, *self._rows.statements()]
        return [str(self._selected().compile(dialect=DIALECT))]

    def _chosen(self, driver: str) -> Choice:
        choice = self._choices.get(driver)
        if choice is None:
            trust, wanted = self._trust_database, self._wanted
            choice = choose(self.node, driver, trust_database=trust, wanted=wanted)
            self._choices[driver] = choice
        return choice

    def _documents_on(self, driver: str) -> DocumentsByKey:
        found = self._documents.get(driver)
        if found is None:
            documents = Documents(driver, self._limits, trust_database=self._trust_database)
            found = DocumentsByKey(self._database, self.node, documents, self._where)
            self._documents[driver] = found
            self._gathered_documents[driver] = gathered(found, _MISSING)
        return found

    def _engine(self) -> AsyncEngine | None:
        source = self._database.source
        return source if isinstance(source, AsyncEngine) else None

    async def _make(self) -> Make:
        """How this answer is to be made: the app may have put in a hook since the last one."""
        driver = self._database.driver
        choice = self._choices.get(driver) or self._chosen(driver)
        if choice.make == "orm" or self._hooks.found(self._engine()) is not None:
            return "orm"
        if self._secured is None:
            if choice.make == "json":
                self._documents_on(driver)
            self._secured = await secured_tables(self._database, self.node)
        return "orm" if self._secured else choice.make

    def _selected(self) -> Select[Any]:
        keys = list(self.node.mapper.primary_key)
        selected = select(self.entity).where(matching(keys), *self._where)
        return selected.options(*loader_options(self.node))

    async def _loaded(self, key: Any, session: AsyncSession | None) -> Model | None:
        """By the ORM, in the caller's own context: what the app hooked in sees its request."""
        if session is None:
            async with self._sessions()() as opened:
                return await self._loaded(key, opened)
        arguments = key_arguments([key], len(self.node.mapper.primary_key))
        found = (await session.scalars(self._selected(), arguments)).one_or_none()

        def validated(_: Session) -> Model:
            # A property of the class may load more.
            return self._adapter.validate_python(found, from_attributes=True)

        return None if found is None else await session.run_sync(validated)

    def _sessions(self) -> Any:
        if self._session is not None:
            return self._session
        engine = self._engine()
        if engine is None:
            raise DefinitionError(
                f"{self.explain().splitlines()[0]}, and a {type(self._database.source).__name__} "
                "has no sessions; give the view session=, the app's async_sessionmaker"
            )
        if (hook := self._hooks.found(None)) and not SessionHooks(Session).found():
            raise DefinitionError(
                f"{hook}, and a session of the view's own would go past it; give the view "
                "session=, the async_sessionmaker that the app uses"
            )
        return partial(AsyncSession, engine)
