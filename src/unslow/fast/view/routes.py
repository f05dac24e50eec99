"""Routes that answer from a view without the framework's work per request.

Such a route stands in the app like any other: middleware runs, it is matched in its turn, it is in
the OpenAPI document. What it leaves out is what FastAPI does for an endpoint's parameters and its
answer. Where dependencies are given, to it or to the whole app, it is an ordinary route.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import parse_qsl

from fastapi import Query
from pydantic import TypeAdapter
from sqlalchemy.types import BigInteger, Integer, SmallInteger
from starlette.responses import Response

from ..api_routes import BareAPIRoute
from ..errors import BadRequestError, DefinitionError, OverloadedError, PoolTimeoutError
from ..front import PARAMETER, Receive, Scope, Send
from .responses import HEADERS, NOT_FOUND, refusal, responded

Document: TypeAlias = Callable[..., Awaitable[bytes | None]]

_BITS: Final = ((SmallInteger, 16), (BigInteger, 64))
"""Of the integers that are not of 32."""
_MOST_DIGITS: Final = 30
"""Of a number that Python reads at once; of a longer one pydantic says what it is."""
_FIELDS: Final = Annotated[
    str | None, Query(description="The fields wanted, such as id,posts.title; all if not given.")
]


class Endpoint:
    """What a `ViewRoute` answers with."""

    path_names: Sequence[str] = ()
    """The parameters of the path, in their order."""

    def __init__(self, document: Document, parameters: Mapping[str, Any], name: str) -> None:
        self.document = document
        self._parameters = parameters
        self._name = name

    def function(self) -> Any:
        """The same for FastAPI, which looks at its signature."""

        async def read(**values: Any) -> Response:
            return await responded(self.document(**self.arguments(values)))

        read.__name__ = self._name
        read.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362
            [
                inspect.Parameter(
                    parameter,
                    inspect.Parameter.KEYWORD_ONLY,
                    annotation=kind,
                    default=inspect.Parameter.empty if isinstance(kind, type) else None,
                )
                for parameter, kind in self._parameters.items()
            ]
        )
        read.answers = self  # type: ignore[attr-defined]  # for `ViewRoute`
        return read

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of the document, of what FastAPI has validated."""
        raise NotImplementedError

    def parsed(self, path: Sequence[str], query: bytes) -> dict[str, Any]:
        """The same, of the request's own texts.

        Raises:
            ValueError: FastAPI would refuse one, and says best what is wrong with it.
        """
        raise NotImplementedError


class ByKey(Endpoint):
    """Answers with the document of the key in the path."""

    def __init__(
        self, document: Document, columns: Mapping[str, Any], *, fields: bool, name: str
    ) -> None:
        kinds = {name: column.type.python_type for name, column in columns.items()}
        super().__init__(document, {**kinds, **({"fields": _FIELDS} if fields else {})}, name)
        self.path_names = [*columns]
        self._holders = {name: holder(column) for name, column in columns.items()}
        self._parsers = [parser(column) for column in columns.values()]
        self._fields = fields

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        key = [held(values[name]) for name, held in self._holders.items()]
        found: dict[str, Any] = {"key": _key(key)}
        return {**found, "fields": values["fields"]} if self._fields else found

    def parsed(self, path: Sequence[str], query: bytes) -> dict[str, Any]:
        if len(self._parsers) == 1:
            found = {"key": self._parsers[0](path[0])}
        else:
            found = {"key": tuple(p(text) for p, text in zip(self._parsers, path, strict=True))}
        if self._fields and query:
            found["fields"] = queried(query).get("fields")
        return found


class InPages(Endpoint):
    """Answers with the page that the query asks for."""

    def __init__(
        self,
        document: Document,
        filters: Mapping[str, Any],
        *,
        max_limit: int,
        fields: bool,
        name: str,
    ) -> None:
        parameters: dict[str, Any] = {
            "cursor": Annotated[str | None, Query(description="The next of the page before.")],
            "limit": Annotated[
                int | None, Query(ge=1, le=max_limit, description="How many items at most.")
            ],
            **{filter_: Annotated[kind | None, Query()] for filter_, kind in filters.items()},
        }
        if fields:
            parameters["fields"] = _FIELDS
        super().__init__(document, parameters, name)
        self._filters = [*filters]
        self._known = set(parameters)
        self._adapters = {parameter: TypeAdapter(kind) for parameter, kind in parameters.items()}

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: value for name, value in values.items() if name not in self._filters}
        return {**found, "filters": {name: values.get(name) for name in self._filters}}

    def parsed(self, path: Sequence[str], query: bytes) -> dict[str, Any]:
        del path
        given = queried(query) if query else {}
        return self.arguments(
            {
                name: self._adapters[name].validate_python(text)
                for name, text in given.items()
                if name in self._known
            }
        )


class ViewRoute(BareAPIRoute):
    """The route of such an endpoint."""

    bare_method = "GET"

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._answers: Endpoint = endpoint.answers
        self.path_names = self._answers.path_names

    def accepts(self, values: Sequence[str]) -> bool:
        """Whether it would answer a path with these parameters."""
        try:
            self._answers.parsed(values, b"")
        except ValueError:
            return False
        return True

    async def answer_bare(
        self, values: Sequence[str], scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Answers with the document; not where FastAPI has to say what is wrong."""
        del receive
        try:
            arguments = self._answers.parsed(values, scope["query_string"])
        except ValueError:
            return False
        # Written out, for each await of another coroutine counts here.
        try:
            document = await self._answers.document(**arguments)
        except (BadRequestError, OverloadedError, PoolTimeoutError) as error:
            status, body, headers = refusal(error)
        else:
            status, body = (200, document) if document is not None else (404, NOT_FOUND)
            headers = HEADERS
        headers = [(b"content-length", b"%d" % len(body)), *headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that has matched."""
        if scope["method"] == "GET" and self.stands_bare(scope):
            values = [str(one) for one in scope["path_params"].values()]
            if await self.answer_bare(values, scope, receive, send):
                return
        await super().handle(scope, receive, send)


def parser(column: Any) -> Callable[[str], Any]:
    """What turns a part of the path into a value as FastAPI would; raises `ValueError`."""
    kind = column.type.python_type
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    held = holder(column)

    def parsed(text: str) -> Any:
        # Most keys are plain numbers, and only ASCII ones are so for Python and pydantic alike.
        if kind is int and text.isdecimal() and text.isascii() and len(text) < _MOST_DIGITS:
            return held(int(text))
        return held(text if kind is str else adapter.validate_python(text))

    return parsed


def holder(column: Any) -> Callable[[Any], Any]:
    """What turns a value that the column cannot hold into `None`: a key that no row has."""
    if isinstance(column.type, Integer):
        bits = next((count for kind, count in _BITS if isinstance(column.type, kind)), 32)
        end = 2 ** (bits - 1)
        return lambda number: number if -end <= number < end else None
    if column.type.python_type is str:
        return lambda text: None if "\0" in text else text
    return lambda value: value


def _key(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else tuple(values)


def queried(query: bytes) -> dict[str, str]:
    """The last value of each name, as FastAPI takes it."""
    text = query.decode("latin-1")
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True))
    # Nothing is escaped, as in most: the same in a third of the time.
    pairs = [part.partition("=") for part in text.split("&") if part]
    return {name: value for name, _, value in pairs}


def path_columns(path: str, columns: Sequence[Any], entity: type[Any]) -> dict[str, Any]:
    """The column of the key that each parameter of a path is for.

    Raises:
        DefinitionError: There are not as many parameters as columns.
    """
    names = PARAMETER.findall(path)
    if len(names) != len(columns):
        raise DefinitionError(
            f"{path} has {len(names)} parameters and the key of {entity.__name__} has "
            f"{len(columns)} columns; wanted one parameter for each, in their order"
        )
    return dict(zip(names, columns, strict=True))


def add_route(
    app: Any, path: str, endpoint: Endpoint, responses: Mapping[int, str], **options: Any
) -> None:
    """Adds a `ViewRoute` to an app or a router, with what else it may answer by status."""
    said = {status: {"description": description} for status, description in responses.items()}
    options["responses"] = {**said, **options.get("responses", {})}
    router: Any = getattr(app, "router", app)
    router.add_api_route(path, endpoint.function(), route_class_override=ViewRoute, **options)
