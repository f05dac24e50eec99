"""Answers the routes of blocks before the app is asked: no middleware, no routing of the framework.

Most of what a request costs a small endpoint is the framework's way to it. `bare(app)` is served in
the place of the app, and passes on to it all that it does not answer itself.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from .errors import DefinitionError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")


@runtime_checkable
class BareRoute(Protocol):
    """A route of a framework that can answer without it."""

    bare_method: str

    def is_bare(self, path: str, dependencies: Sequence[Any]) -> bool:
        """Whether nothing of the framework's is asked of it at this path."""

    def accepts(self, values: Sequence[str]) -> bool:
        """Whether it would answer a path with these parameters, as texts."""

    async def answer_bare(
        self, values: Sequence[str], scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Answers; or returns `False`, and the app is asked."""


def bare(app: Any, *, skip_middleware: bool = False, freeze: bool = False) -> Application:
    """An ASGI application that answers the app's bare routes itself and passes on all else.

    Only a route that no earlier one of the app could have taken is answered so, and none with
    dependencies, whether its own, the app's or those of a router that it came with.

    Args:
        app: A FastAPI or Starlette app with routes of blocks.
        skip_middleware: That the app's middleware does not see these requests is right.
        freeze: Once the app has started, the garbage collector is to leave what is loaded by then
            alone (`gc.freeze`, for the whole process), until the app ends. A whole collection
            looks at all of it and holds every request meanwhile: 70 ms, each 1.4 s, on the
            machine of `bench/blocks.py`.

    Raises:
        DefinitionError: The app has middleware, and nobody said that it may be left out; or it has
            no bare route.
    """
    middleware = [one.cls.__name__ for one in getattr(app, "user_middleware", ())]
    if middleware and not skip_middleware:
        raise DefinitionError(
            f"the app has middleware ({', '.join(middleware)}) that bare routes would not go "
            "through; serve the app itself, or say bare(app, skip_middleware=True)"
        )
    found = [*_bare_routes([*_placed(app.routes)])]
    if not found:
        raise DefinitionError(
            "the app has no route that could be answered bare; wanted one of a block, such as "
            "view.route(app, path), without dependencies and before any other that its path fits"
        )
    return _Bare(app, found, freeze=freeze)


class _Bare:
    """The routes by method and number of segments, then the app."""

    def __init__(
        self, app: Application, routes: Sequence[tuple[str, BareRoute]], *, freeze: bool
    ) -> None:
        self._app = _frozen(app) if freeze else app
        self._routes: dict[tuple[str, int], list[tuple[Any, BareRoute]]] = {}
        for path, route in routes:
            pattern = re.compile(PARAMETER.sub("([^/]+)", _escaped(path)))
            place = (route.bare_method, path.count("/"))
            self._routes.setdefault(place, []).append((pattern.fullmatch, route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope.get("root_path"):
            path: str = scope["path"]
            for fits, route in self._routes.get((scope["method"], path.count("/")), ()):
                if (match := fits(path)) is not None:
                    scope["route"] = route
                    if await route.answer_bare(match.groups(), scope, receive, send):
                        return
        await self._app(scope, receive, send)


def _frozen(app: Application) -> Application:
    """The app, which has the garbage collector leave its beginnings alone while it runs."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        is_frozen = False

        async def started(message: MutableMapping[str, Any]) -> None:
            nonlocal is_frozen
            if message["type"] == "lifespan.startup.complete":
                # What is garbage by now would stay for ever.
                gc.collect()
                gc.freeze()
                is_frozen = True
            await send(message)

        try:
            await app(scope, receive, started)
        finally:
            if is_frozen:
                gc.unfreeze()

    return application


def _escaped(path: str) -> str:
    """The path as a pattern, its parameters left as they are."""
    pieces = re.split(r"({\w+(?::\w+)?})", path)
    return "".join(one if one.startswith("{") else re.escape(one) for one in pieces)


def _placed(routes: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Each route, and what tells where it stands: its path, its methods, its dependencies.

    Newer FastAPI leaves the routes of a router in it, and says by a context of each what the
    router adds; older copies them into the app.
    """
    contexts = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    if contexts is None:
        yield from ((one, one) for one in routes)
    else:
        yield from ((one.original_route, one) for one in contexts(routes))


def _bare_routes(routes: Sequence[tuple[Any, Any]]) -> Iterator[tuple[str, BareRoute]]:
    """With their paths."""
    for place, (route, standing) in enumerate(routes):
        if not isinstance(route, BareRoute):
            continue
        path = standing.path
        if route.is_bare(path, standing.dependencies) and not any(
            _may_take(earlier, path, route) for _, earlier in routes[:place]
        ):
            yield path, route


def _may_take(earlier: Any, own_path: str, route: BareRoute) -> bool:
    """Whether an earlier route could be the one that answers a path of this one."""
    methods = getattr(earlier, "methods", None)
    path = getattr(earlier, "path", None)
    if path is None or not hasattr(earlier, "path_regex") or ":path}" in path:
        return True
    if methods is not None and route.bare_method not in methods:
        return False
    theirs, ours = path.split("/"), own_path.split("/")
    # A mount takes all paths that begin with its own.
    if methods is None:
        ours = ours[: len(theirs)]
    if len(theirs) != len(ours):
        return False
    values = []
    for their, our in zip(theirs, ours, strict=True):
        if PARAMETER.fullmatch(our):
            values.append(their)
        elif not PARAMETER.search(their) and their != our:
            return False
    is_fixed = not any(PARAMETER.search(one) for one in values)
    return not (is_fixed and values and methods is not None and not route.accepts(values))
