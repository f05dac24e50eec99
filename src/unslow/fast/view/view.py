"""A response model and a mapped class: the answer of an endpoint, with no query to write.

`View(UserOut, User, engine)` works out which columns and relationships the model needs, reads them
in as many statements as the relationships need (or in one), and gives the answer that FastAPI would
have given for the loaded objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from ..database import Source, database
from ..errors import DefinitionError
from ..front import PARAMETER
from ..paging.keysets import Keyset
from ..paging.pages import Page, Total
from ..sessions import Hooks
from ..statements import DIALECT
from .assembling import Rows
from .choice import Choice, Make, checked_limits, choose
from .document import Documents
from .filters import Filters
from .lists import Asked, Pages, page_document
from .needs import needs
from .objects import Objects
from .reading import RowsByKey, gathered
from .responses import responded
from .row_security import secured_tables
from .selections import Selection, Selections, Written

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI
    from starlette.responses import Response

Model = TypeVar("Model", bound=BaseModel)

_MISSING: Final = object()


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
        keyset: Keyset | None = None,
        filters: Mapping[str, Any] | None = None,
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
            keyset: The order of lists, their limits and the secret of their cursors; there are no
                lists without one.
            filters: What a client may ask a list for, by name: a column, or a `Filter`.
            make: `"json"`, `"rows"` or `"orm"`; the quickest sure one if not given.
            trust_database: Whether what pydantic would check of a value is left to the database.

        Raises:
            DefinitionError: The model and the class do not fit, or the make is not sure.
        """
        self.model = model
        self.entity = entity
        self.node = needs(model, entity)
        self._database = database(source)
        self._where = tuple(where)
        self._limits = checked_limits(self.node, limits or {})
        self._wanted = make
        self._trust_database = trust_database
        self._adapter: TypeAdapter[Model] = TypeAdapter(model)
        self._hooks = Hooks(session)
        self._choices: dict[str, Choice] = {}
        # What is never sure raises here already: with another driver less is, never more.
        self._choice = self._chosen("asyncpg")
        self._source: Any = None
        self._driver = ""
        self._source_engine: AsyncEngine | None = None
        """What the last answer was read from, and the engine if it is one."""
        self._rows = Rows(self.node, self._limits)
        self._rows_by_key = RowsByKey(self._database, self._rows, self._where)
        self._gathered_rows = gathered(self._rows_by_key, _MISSING)
        self._objects: Objects[Model] = Objects(
            self.node,
            self._adapter,
            self._database,
            session,
            self._hooks,
            self._where,
            self._limits,
        )
        self._documents: dict[str, Documents] = {}
        self.filters = Filters(filters or {})
        self._pages = None
        if keyset is not None:
            self._pages = Pages(entity, keyset, self.filters, self._where)
        self._selections = Selections(self.node, self._where, _MISSING, self._pages)
        self._secured: Sequence[str] | None = None

    async def get(self, key: Any, *, session: AsyncSession | None = None) -> Model | None:
        """The model of the row with a key; `None` if there is none.

        Args:
            key: The value of the primary key, or a tuple of its values.
            session: Reads with this session, by the ORM.
        """
        if session is not None or await self._make() == "orm":
            return await self._objects.get(key, session)
        values = await self._gathered_rows(key)
        return None if values is _MISSING else self._adapter.validate_python(values)

    async def document(
        self, key: Any, *, fields: str | None = None, session: AsyncSession | None = None
    ) -> bytes | None:
        """The JSON of the row with a key, as FastAPI would send it; `None` if there is none.

        Args:
            key: The value of the primary key, or a tuple of its values.
            fields: Which fields a client wants, by their names in the JSON: `id,posts.title`.
            session: Reads with this session, by the ORM.

        Raises:
            BadRequestError: A field is not in the model.
        """
        selection = self._selections.of(fields)
        make = await self._make() if self._secured is None else self._make_now()
        if session is None and make == "json":
            found = await self._written(selection).by_key(key)
            if found is _MISSING:
                return None
            if found is not None:
                body: bytes = found
                return body
        model = await self.get(key, session=session)
        return None if model is None else self._dumped(model, selection)

    async def respond(
        self, key: Any, *, fields: str | None = None, session: AsyncSession | None = None
    ) -> Response:
        """The response for the row with a key: its JSON, or 404; arguments as for `document`."""
        return await responded(self.document(key, fields=fields, session=session))

    async def list(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        total: Total = "none",
        session: AsyncSession | None = None,
    ) -> Page[Model]:
        """A page of the rows, in the order of the keyset.

        Args:
            filters: What the rows must have, by the names of the allow-list; `None` is not asked.
            cursor: The `next` of the page before.
            limit: How many items at most.
            total: Whether the whole list is counted, and how.
            session: Reads with this session, by the ORM.

        Raises:
            BadRequestError: A filter, the cursor or the limit is not what it may be.
            DefinitionError: The view has no keyset.
        """
        pages = self._need_pages()
        asked = pages.asked(filters or {}, cursor, limit)
        if session is not None or await self._make() == "orm":
            items, following = await self._objects.page(pages, asked, session)
        else:
            async with self._database.connect() as connection:
                values, following = await pages.values(connection, asked, self._rows)
            items = [self._adapter.validate_python(one) for one in values]
        counted = await self._count(asked, total, session)
        # What is in it was validated as an item.
        return Page[Model].model_construct(items=items, next=following, total=counted)

    async def list_document(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        total: Total = "none",
        fields: str | None = None,
        session: AsyncSession | None = None,
    ) -> bytes:
        """The JSON of a page, as FastAPI would send a `Page`.

        Args:
            filters: What the rows must have, by the names of the allow-list; `None` is not asked.
            cursor: The `next` of the page before.
            limit: How many items at most.
            total: Whether the whole list is counted, and how.
            fields: Which fields of the items a client wants.
            session: Reads with this session, by the ORM.

        Raises:
            BadRequestError: A filter, the cursor, the limit or a field is not what it may be.
            DefinitionError: The view has no keyset.
        """
        selection = self._selections.of(fields)
        pages = self._need_pages()
        if session is None and await self._make() == "json":
            asked = pages.asked(filters or {}, cursor, limit)
            written = self._written(selection).pages
            items, following = (None, None) if written is None else await written.read(asked)
            if items is not None:
                return page_document(items, following, await self._count(asked, total, None))
        page = await self.list(
            filters=filters, cursor=cursor, limit=limit, total=total, session=session
        )
        items = b",".join(self._dumped(item, selection) for item in page.items)
        return page_document(items, page.next, page.total)

    async def respond_list(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        total: Total = "none",
        fields: str | None = None,
        session: AsyncSession | None = None,
    ) -> Response:
        """The response with a page; 400 for what a client may not ask; arguments as for a list."""
        return await responded(
            self.list_document(
                filters=filters,
                cursor=cursor,
                limit=limit,
                total=total,
                fields=fields,
                session=session,
            )
        )

    def route(
        self,
        app: FastAPI | APIRouter,
        path: str,
        *,
        fields: bool = False,
        dependencies: Sequence[Any] = (),
        **options: Any,
    ) -> None:
        """Adds `GET path` to an app: the row whose key is in the path, as JSON, or 404.

        Without dependencies, of its own or of the app, the framework's work per request is left
        out; with them the route is an ordinary one. It is in the OpenAPI document either way.

        Args:
            app: A FastAPI app, or a router that is included in one.
            path: With a parameter for each column of the primary key, in their order.
            fields: Whether a client may choose with `?fields=id,posts.title`.
            dependencies: As FastAPI's `Depends(...)`.
            options: As for `app.get`: `tags`, `name`, `summary` and so on.

        Raises:
            DefinitionError: The path has another number of parameters than the key has columns.
        """
        from .routes import ByKey, add_route, path_columns

        columns = path_columns(path, self.node.mapper.primary_key, self.entity)
        name = options.pop("name", f"read_{self.entity.__name__.lower()}")
        options.setdefault("description", f"One {self.entity.__name__} by its key.")
        add_route(
            app,
            path,
            ByKey(self.document, columns, fields=fields, name=name),
            {404: "There is none with this key."},
            response_model=self.model,
            dependencies=[*dependencies],
            **options,
        )

    def list_route(
        self,
        app: FastAPI | APIRouter,
        path: str,
        *,
        fields: bool = False,
        total: Total = "none",
        dependencies: Sequence[Any] = (),
        **options: Any,
    ) -> None:
        """Adds `GET path` to an app: pages of the rows, with the filters as parameters.

        Args:
            app: A FastAPI app, or a router that is included in one.
            path: Has no parameters.
            fields: Whether a client may choose with `?fields=id,posts.title`.
            total: Whether each page says how many items there are in all.
            dependencies: As FastAPI's `Depends(...)`; as for `route`.
            options: As for `app.get`: `tags`, `name`, `summary` and so on.

        Raises:
            DefinitionError: The view has no keyset, a filter has the name of another parameter, or
                the path has parameters.
        """
        from .routes import InPages, add_route

        keyset = self._need_pages().keyset
        taken = {"cursor", "limit", "fields"} & set(self.filters.kinds())
        if taken or PARAMETER.search(path):
            raise DefinitionError(
                f"{path}: wanted a path without parameters, and no filter called "
                f"{', '.join(sorted(taken)) or 'cursor, limit or fields'}"
            )
        name = options.pop("name", f"list_{self.entity.__name__.lower()}")
        options.setdefault("description", f"A page of {self.entity.__name__}.")
        add_route(
            app,
            path,
            InPages(
                partial(self.list_document, total=total),
                self.filters.kinds(),
                max_limit=keyset.max_limit,
                fields=fields,
                name=name,
            ),
            {400: "There is no such page."},
            response_model=Page[self.model],  # type: ignore[name-defined]  # known when it runs
            dependencies=[*dependencies],
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

    def _sql(self, make: Make, driver: str) -> Sequence[str]:
        if make == "json":
            whole = self._selections.of(None)
            return [whole.written(self._database, self._documents_on(driver)).text]
        if make == "rows":
            return [self._rows_by_key.statement.text, *self._rows.statements()]
        return [str(self._objects.selected.compile(dialect=DIALECT))]

    def _chosen(self, driver: str) -> Choice:
        choice = self._choices.get(driver)
        if choice is None:
            trust, wanted = self._trust_database, self._wanted
            choice = choose(self.node, driver, trust_database=trust, wanted=wanted)
            self._choices[driver] = choice
        return choice

    def _documents_on(self, driver: str) -> Documents:
        found = self._documents.get(driver)
        if found is None:
            found = Documents(driver, self._limits, trust_database=self._trust_database)
            self._documents[driver] = found
        return found

    def _written(self, selection: Selection) -> Written:
        """The statements for the database that `_make` has looked at."""
        return selection.written(self._database, self._documents_on(self._driver))

    def _dumped(self, model: Model, selection: Selection) -> bytes:
        return self._adapter.dump_json(model, by_alias=True, include=selection.include)

    def _engine(self) -> AsyncEngine | None:
        source = self._database.source
        return source if isinstance(source, AsyncEngine) else None

    async def _make(self) -> Make:
        """How this answer is to be made: the app may have put in a hook since the last one."""
        if self._secured is None:
            self._secured = await secured_tables(self._database, self.node)
        return self._make_now()

    def _make_now(self) -> Make:
        source = self._database.source
        if source is not self._source:
            # An app that is started again opens another pool.
            self._source, self._source_engine = source, self._engine()
            self._driver = self._database.driver
            self._choice = self._chosen(self._driver)
        if self._secured or self._hooks.found(self._source_engine) is not None:
            return "orm"
        return self._choice.make

    def _need_pages(self) -> Pages:
        if self._pages is None:
            raise DefinitionError(
                f"View({self.model.__name__}, {self.entity.__name__}) has no keyset, so it has no "
                "lists; give it keyset=Keyset(...), their order and the secret of their cursors"
            )
        return self._pages

    async def _count(self, asked: Asked, total: Total, session: AsyncSession | None) -> int | None:
        pages = self._need_pages()
        if total == "none":
            return None
        if total == "exact" and (session is not None or await self._make() == "orm"):
            return await self._objects.count(pages, asked, session)
        async with self._database.connect() as connection:
            if total == "exact":
                return await pages.count(connection, asked)
            return await pages.estimate(connection, asked)
