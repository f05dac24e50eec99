"""The *orm* make: objects loaded in a session, as the app would, and read by the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from ..database import Database
from ..errors import DefinitionError
from ..sessions import Hooks, SessionHooks
from .lists import Asked, Pages
from .loading import loader_options
from .needs import Node

Model = TypeVar("Model", bound=BaseModel)


class Objects(Generic[Model]):
    """Loads objects in the caller's own context: what the app hooked in sees its request."""

    def __init__(
        self,
        node: Node,
        adapter: TypeAdapter[Model],
        database: Database,
        factory: Any | None,
        hooks: Hooks,
        where: Sequence[Any],
        limits: Mapping[str, int],
    ) -> None:
        self._node = node
        self._limits = limits
        self._adapter = adapter
        self._database = database
        self._factory = factory
        self._hooks = hooks
        self._options = [*loader_options(node)]
        entity = node.mapper.class_
        self._entity = entity
        keys = [
            column == bindparam(f"key_{place}", type_=column.type)
            for place, column in enumerate(node.mapper.primary_key)
        ]
        self.selected = select(entity).where(*keys, *where).options(*self._options)

    async def get(self, key: Any, session: AsyncSession | None) -> Model | None:
        """The model of the row with a key; `None` if there is none."""
        async with self._opened(session) as opened:
            values = key if isinstance(key, tuple) else (key,)
            arguments = {f"key_{place}": value for place, value in enumerate(values)}
            found = (await opened.scalars(self.selected, arguments)).one_or_none()
            if found is None:
                return None
            (model,) = await self._read(opened, [found])
            return model

    async def page(
        self, pages: Pages, asked: Asked, session: AsyncSession | None
    ) -> tuple[list[Model], str | None]:
        """The models of a page, and the next cursor."""
        async with self._opened(session) as opened:
            statement = pages.selected(asked, self._entity).options(*self._options)
            rows = (await opened.execute(statement, asked.named)).all()
            models = await self._read(opened, [row[0] for row in rows[: asked.limit]])
            return models, pages.next(asked, rows, 1)

    async def count(self, pages: Pages, asked: Asked, session: AsyncSession | None) -> int:
        """How many rows the whole list has."""
        async with self._opened(session) as opened:
            return int(await opened.scalar(pages.counted(asked), asked.named) or 0)

    async def _read(self, session: AsyncSession, found: Sequence[Any]) -> list[Model]:
        def read(_: Session) -> list[Model]:
            # A property of the class may load more.
            validate = self._adapter.validate_python
            models = [validate(one, from_attributes=True) for one in found]
            for model in models if self._limits else ():
                self._cut(model, self._node, "")
            return models

        return await session.run_sync(read)

    def _cut(self, model: Any, node: Node, path: str) -> None:
        """Leaves only the first rows of relationships that have a limit.

        In the model, for the objects may be of a session of the app's.
        """
        for related in node.related:
            inner = f"{path}{related.name}"
            value = getattr(model, related.name)
            if (limit := self._limits.get(inner)) is not None:
                # Past validation, which has been, and past what a frozen model forbids.
                model.__dict__[related.name] = value = value[:limit]
            for one in value if related.is_list else [value] if value is not None else []:
                self._cut(one, related.node, f"{inner}.")

    @asynccontextmanager
    async def _opened(self, session: AsyncSession | None) -> AsyncIterator[AsyncSession]:
        """The session that was given, or one of the app's own kind."""
        if session is not None:
            yield session
            return
        async with self._new_session() as opened:
            yield opened

    def _new_session(self) -> AsyncSession:
        if self._factory is not None:
            session: AsyncSession = self._factory()
            return session
        engine = self._database.source
        if not isinstance(engine, AsyncEngine):
            raise DefinitionError(
                "only the ORM is sure to give FastAPI's own answer here (view.explain() says why), "
                f"and a {type(engine).__name__} has no sessions; give the view session=, the app's "
                "async_sessionmaker"
            )
        hook = self._hooks.found(None)
        if hook is not None and SessionHooks([Session]).found() is None:
            raise DefinitionError(
                f"{hook}, and a session of the view's own would go past it; give the view "
                "session=, the async_sessionmaker that the app uses"
            )
        return AsyncSession(engine)
