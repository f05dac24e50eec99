"""Has pydantic-core make the bytes: the route as it is, with a type for what it returns.

FastAPI takes that way since 0.130 where a route has a type and no response class. For the requests
of an arm a second route answers, with the same endpoint, dependencies and options, and a type. A
value that does not fit the type is encoded as the app is written, and the arm broke.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, get_type_hints

from ...current import ARM, OpenArm
from ...errors import WireError
from ...patching import Patches
from . import Parameters, Tools, Undo

TYPES: Final[dict[str, Any]] = {
    "list[dict[str, Any]]": list[dict[str, Any]],
    "dict[str, Any]": dict[str, Any],
    "list[Any]": list[Any],
    "Any": Any,
}
"""The types that a fix may name; each other one must be the endpoint's own annotation."""

_BY_ITSELF: Final = "the endpoint answered with a response of its own, or with an error"

_LAYERS_COUNT: Final = 20
"""So many middlewares may lie around an app that is mounted in another."""

_acted: ContextVar[list[bool] | None] = ContextVar("unslow_fast_json", default=None)
"""Of a request under an arm: holds something as soon as FastAPI has encoded its answer."""

Handle = Callable[[Any, Any, Any], Awaitable[None]]


def switch_on(arm: OpenArm, parameters: Parameters, tools: Tools) -> Undo:
    """Gives a route a type.

    Args:
        arm: Whose requests it is for.
        parameters: `method` and `route`, the template with all prefixes; `type`, one of `TYPES`,
            or `is_annotated` where the type is what the endpoint's own annotation says.
        tools: Not used.

    Raises:
        WireError: no such route is running, or FastAPI would not take the quick way for it.
    """
    del tools
    name = f"{parameters['method']} {parameters['route']}"
    found = list(_routes(str(parameters["method"]), str(parameters["route"])))
    if not found:
        raise WireError(f"No route of FastAPI answers {name}.")
    switched = [(_original(one), _typed(one, name, arm, parameters)) for one in found]
    for route, typed in switched:
        _dispatch_of(route).typed[arm] = typed

    def undo() -> None:
        for route, _ in switched:
            _dispatch_of(route).without(arm)

    return undo


class _Dispatch:
    """Stands in a route's place, and hands the requests of each arm to the arm's own route."""

    def __init__(self, original: Handle) -> None:
        self._original = original
        self.patches = Patches()
        self.typed: dict[OpenArm, Any] = {}

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        arm = ARM.get()
        typed = None if arm is None else self.typed.get(arm)
        # A router may be included under several prefixes: each is a route of its own.
        if arm is None or typed is None or typed.matches(scope)[0].name != "FULL":
            return self._original(scope, receive, send)
        return _answered(arm, typed, scope, receive, send)

    def without(self, arm: OpenArm) -> None:
        """Forgets an arm; with the last one the route is as it was."""
        self.typed.pop(arm, None)
        if not self.typed:
            self.patches.undo()


def _dispatch_of(route: Any) -> _Dispatch:
    there = vars(route).get("handle")
    if isinstance(there, _Dispatch):
        return there
    patches = Patches()
    patches.replace(route, "handle", _Dispatch)
    made: _Dispatch = route.handle
    made.patches = patches
    return made


async def _answered(arm: OpenArm, typed: Any, scope: Any, receive: Any, send: Any) -> None:
    acted: list[bool] = []
    token = _acted.set(acted)
    try:
        await typed.handle(scope, receive, send)
    finally:
        _acted.reset(token)
    if not acted:
        arm.did_not(_BY_ITSELF)


def _original(one: Any) -> Any:
    """The route as it was written, which is what is called, however its router is included."""
    return getattr(one, "original_route", one)


def _routes(method: str, template: str) -> Iterator[Any]:
    """The routes that answer a template, in the apps that are not mounted in others."""
    from starlette.applications import Starlette

    # By type: what an object says of its class may be somebody's code.
    apps = [one for one in gc.get_objects() if issubclass(type(one), Starlette)]
    mounted: set[int] = set()
    by_app = {id(app): list(_walked(app.routes, "", mounted)) for app in apps}
    for app in apps:
        if id(app) in mounted:
            continue
        for path, one in by_app[id(app)]:
            if path == template and method in (one.methods or ()):
                yield one


def _walked(
    routes: Iterable[Any], prefix: str, mounted: set[int], depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """FastAPI's routes with their whole templates; notes the apps that are met on the way."""
    from fastapi import routing

    # Since 0.162 an included router stays one, and tells its routes together with their prefixes.
    with_prefixes: Any = getattr(routing, "iter_route_contexts", iter)
    for one in with_prefixes(list(routes)):
        if isinstance(_original(one), routing.APIRoute):
            yield prefix + one.path_format, one
        elif hasattr(one, "app") and depth < _LAYERS_COUNT:
            path = (getattr(one, "path_format", None) or "").removesuffix("/{path}")
            path = path or getattr(one, "host_format", "")
            below = _routes_in(one.app, mounted)
            yield from _walked(below, prefix + path, mounted, depth + 1)


def _routes_in(app: Any, mounted: set[int]) -> list[Any]:
    """The routes of an app, which may lie in middlewares."""
    for _ in range(_LAYERS_COUNT):
        mounted.add(id(app))
        if isinstance(found := getattr(app, "routes", None), list):
            return found
        app = getattr(app, "app", None)
    return []


def _typed(one: Any, name: str, arm: OpenArm, parameters: Parameters) -> Any:
    """The route once more, with a type, by what FastAPI's public constructor takes."""
    from fastapi.routing import APIRoute

    _require_slow(one, name)
    original = _original(one)
    taken = set(inspect.signature(APIRoute.__init__).parameters)
    options = {
        key: getattr(one, key)
        for key in taken - {"self", "path", "endpoint", "response_model", "form_limits"}
        if hasattr(one, key)
    }
    if "form_limits" in taken:
        options["form_limits"] = original.form_limits or None
    kind = _kind_of(one.endpoint, name, parameters)
    try:
        made = type(original)(one.path, one.endpoint, response_model=kind, **options)
        _watch(made.response_field, arm)
    except Exception as error:
        raise WireError(
            f"FastAPI cannot give {name} the type {parameters['type']}: {type(error).__name__}."
        ) from error
    return made


def _require_slow(one: Any, name: str) -> None:
    """Checks that a route is one that a type makes quicker.

    Raises:
        WireError: it is none.
    """
    import fastapi
    from fastapi import routing
    from fastapi.datastructures import DefaultPlaceholder
    from fastapi.responses import JSONResponse

    chosen = one.response_class
    if not isinstance(chosen, DefaultPlaceholder) or chosen.value is not JSONResponse:
        raise WireError(f"{name} has a response class of its own, which a type does not change.")
    if "dump_json" not in inspect.signature(routing.serialize_response).parameters:
        raise WireError(
            f"FastAPI {fastapi.__version__} has no way from a type to bytes; it has since 0.130."
        )
    call = inspect.unwrap(one.endpoint)
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise WireError(f"{name} answers with a stream.")
    if one.response_field is not None:
        raise WireError(f"The fast path of {name} is already taken: it has a type.")


def _kind_of(endpoint: Callable[..., Any], name: str, parameters: Parameters) -> Any:
    if not parameters.get("is_annotated"):
        if parameters["type"] not in TYPES:
            raise WireError(f"A type is one of {', '.join(TYPES)}, not {parameters['type']!r}.")
        return TYPES[parameters["type"]]
    try:
        return get_type_hints(inspect.unwrap(endpoint), include_extras=True)["return"]
    except Exception as error:
        raise WireError(
            f"What the endpoint of {name} returns is not to be known: {type(error).__name__}."
        ) from error


class _Checked(NamedTuple):
    """What an endpoint returned, and what its type made of it."""

    returned: Any
    value: Any
    fits: bool


def _watch(field: Any, arm: OpenArm) -> None:
    """Notes that a field encodes, and keeps a request going where it cannot.

    The two methods are all that FastAPI's `serialize_response` calls of it.
    """
    validate, encode = field.validate, field.serialize_json

    def validated(value: Any, *args: Any, **options: Any) -> tuple[_Checked, list[Any]]:
        try:
            result, errors = validate(value, *args, **options)
        except Exception as error:
            result, errors = None, [type(error)]
        if errors:
            arm.failed("what the endpoint returns does not fit the type")
        return _Checked(value, result, not errors), []

    def encoded(checked: _Checked, **options: Any) -> bytes:
        acted = _acted.get()
        if acted is not None:
            acted.append(True)
        if not checked.fits:
            return _as_written(checked.returned)
        try:
            made: bytes = encode(checked.value, **options)
        except Exception as error:
            arm.failed(f"pydantic-core cannot encode what is returned: {type(error).__name__}")
            return _as_written(checked.returned)
        arm.fired()
        return made

    field.validate, field.serialize_json = validated, encoded


def _as_written(value: Any) -> bytes:
    from fastapi.encoders import jsonable_encoder
    from fastapi.responses import JSONResponse

    return bytes(JSONResponse(jsonable_encoder(value)).body)
