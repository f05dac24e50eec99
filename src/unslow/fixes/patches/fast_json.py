"""A type for what an endpoint returns: its own annotation, or one of plain containers."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from ...model.finding import Finding
from ...model.proof import Arm
from ...model.trace import Place, Returned
from .imports import with_import
from .keyword_arguments import named_argument, with_value, without_argument
from .names import Imported, Names
from .patch import CannotTryError, CannotWriteError, Edit, Patch, Subject
from .source import Source

FIX: Final = "fast-json"

_ANYTHING: Final = "Any"
_MODEL: Final = "response_model"
_DECORATORS: Final = frozenset(
    {"get", "put", "post", "delete", "options", "head", "patch", "trace", "api_route"}
)
_NO_VALUES: Final = frozenset(
    {"Iterator", "AsyncIterator", "Iterable", "AsyncIterable", "Generator", "AsyncGenerator"}
    | {"Response", "JSONResponse", "HTMLResponse", "PlainTextResponse", "RedirectResponse"}
    | {"StreamingResponse", "FileResponse", "EventSourceResponse", "ORJSONResponse"}
    | {"UJSONResponse"}
)
"""An annotation that names one of these is not only about values to encode."""
_LISTS: Final = frozenset({"list", "sorted"})

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Endpoint(NamedTuple):
    """What the source says of an endpoint."""

    annotation: str
    """Empty where it has none, or one of another meaning."""
    container: str
    """What it returns, by its `return` statements: `list`, `dict`, or empty where it is not
    plain."""


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The one type to try.

    Raises:
        CannotTryError: there is none.
    """
    returned = _returned(subject)
    endpoint = _endpoint(subject)
    is_annotated = bool(endpoint.annotation)
    if not is_annotated and any(one.kind == "entity" for one in returned):
        raise CannotTryError(
            "it returns objects of the ORM without a type; only a model of yours can say which of"
            " their fields to answer with"
        )
    kind = endpoint.annotation or _plain(endpoint.container, returned)
    says = f"-> {kind}"
    if is_annotated:
        says += f", without {_MODEL}=None"
    method, _, route = subject.finding.route.partition(" ")
    parameters = {"method": method, "route": route, "type": kind, "is_annotated": is_annotated}
    return (Arm(FIX, says, parameters),)


def _returned(subject: Subject) -> list[Returned]:
    found = [one.returned for one in subject.traces if one.returned is not None]
    if not found:
        raise CannotTryError(
            "the endpoint makes its response itself; return the value instead, with a type"
        )
    if any(one.is_fast for one in found):
        raise CannotTryError(
            "pydantic-core makes the bytes already; what is slow encodes in your own code"
        )
    if any(one.is_typed for one in found):
        raise CannotTryError(
            "the route has a type already, and a response class of its own, which keeps"
            " pydantic-core from making the bytes; leave out `response_class`"
        )
    return found


def _plain(container: str, returned: Sequence[Returned]) -> str:
    if container == "list":
        are_dicts = all(one.kind == "dict" for one in returned if one.items_count)
        return "list[dict[str, Any]]" if are_dicts else "list[Any]"
    return "dict[str, Any]" if container == "dict" else _ANYTHING


def _endpoint(subject: Subject) -> _Endpoint:
    place = subject.finding.place
    source = None if place is None else subject.read(place.path)
    if place is None or source is None:
        return _Endpoint("", "")
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return _Endpoint("", "")
    for node in ast.walk(tree):
        if isinstance(node, _Function) and _is_at(node, place):
            told = node.returns is not None and _tells_of_values(node.returns)
            annotation = ast.unparse(node.returns) if told and node.returns is not None else ""
            return _Endpoint(annotation, _container(node))
    return _Endpoint("", "")


def _is_at(function: _Function, place: Place) -> bool:
    first = min([function.lineno, *(one.lineno for one in function.decorator_list)])
    is_named = function.name == place.function.rpartition(".")[2]
    return is_named and first <= place.line <= function.lineno


def _tells_of_values(annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.Constant):
        if not isinstance(annotation.value, str):
            return False
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return False
    names = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(annotation)}
    return names.isdisjoint(_NO_VALUES)


def _container(function: _Function) -> str:
    """`list` or `dict` where each `return` says so in plain words."""
    own = list(_own_nodes(function))
    kinds = {
        _container_of(node.value, own)
        for node in own
        if isinstance(node, ast.Return) and node.value is not None
    }
    return kinds.pop() if len(kinds) == 1 else ""


def _own_nodes(function: _Function) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions within."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _Function | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def _container_of(value: ast.expr, own: Sequence[ast.AST]) -> str:
    if isinstance(value, ast.Name):
        given = _given(value.id, own)
        return _container_of(given, ()) if given is not None else ""
    if isinstance(value, ast.List | ast.ListComp):
        return "list"
    if isinstance(value, ast.Dict):
        is_plain = all(
            isinstance(key, ast.Constant) and isinstance(key.value, str) for key in value.keys
        )
        return "dict" if is_plain else ""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        if value.func.id in _LISTS:
            return "list"
        # Only what has names for keys is made one this way.
        return "dict" if value.func.id == "dict" else ""
    return ""


def _given(name: str, own: Sequence[ast.AST]) -> ast.expr | None:
    """What a variable holds, where it is set once."""
    stored = [
        node
        for node in own
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
    ]
    given = [
        node.value
        for node in own
        if (isinstance(node, ast.Assign) and any(_is_name(one, name) for one in node.targets))
        or (isinstance(node, ast.AnnAssign) and _is_name(node.target, name))
    ]
    return given[0] if len(stored) == len(given) == 1 else None


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def write(subject: Subject, arm: Arm) -> Patch:
    """Lets the annotation count, adds one, or gives the decorator the type."""
    place = subject.finding.place
    source = None if place is None else subject.read(place.path)
    try:
        if place is None or source is None:
            raise CannotWriteError("its source cannot be read")
        after = _written(source, place, arm)
    except CannotWriteError as why:
        return Patch(advice=_advice(subject.finding, arm, str(why)))
    return Patch(edits=(Edit(place.path, source, after),))


def _advice(finding: Finding, arm: Arm, why: str) -> str:
    kind = arm.parameters["type"]
    if finding.place is None:
        where = f"In the endpoint of {finding.route}"
    else:
        where = f"In {finding.place.function} ({finding.place.path}:{finding.place.line})"
    return (
        f"{where}, declare what is returned: `-> {kind}`, or `{_MODEL}={kind}` in the route's"
        f" decorator; and no `{_MODEL}=None` and no `response_class`. FastAPI from 0.130 on then"
        f" has pydantic-core make the bytes. It is not written here: {why}."
    )


def _written(source: str, place: Place, arm: Arm) -> str:
    try:
        wrapper = MetadataWrapper(cst.parse_module(source))
    except cst.ParserSyntaxError as error:
        raise CannotWriteError("its source is not to be parsed") from error
    module = wrapper.module
    function = _function_at(wrapper, place)
    if function is None:
        raise CannotWriteError("its function is not where it was")
    routes = [call for one in function.decorators if (call := _route_of(one)) is not None]
    if len(routes) != 1:
        raise CannotWriteError("it has not the one decorator of a route")
    changed = _typed(function, routes[0], arm)
    after = cst.ensure_type(module.deep_replace(function, changed), cst.Module).code
    return after if arm.parameters["is_annotated"] else _with_any(place.path, after)


def _with_any(path: str, text: str) -> str:
    names = Names(Source(path, text), _nothing)
    if names.imported.get(_ANYTHING) == Imported("typing", _ANYTHING):
        return text
    if _ANYTHING in names.imported or names.is_rebound(_ANYTHING):
        raise CannotWriteError(f"`{_ANYTHING}` means something else in the file")
    return with_import(path, text, "typing", [_ANYTHING])


def _nothing(path: str) -> None:
    """No other file matters for a name of the standard library."""
    del path


def _function_at(wrapper: MetadataWrapper, place: Place) -> cst.FunctionDef | None:
    positions = wrapper.resolve(PositionProvider)
    name = place.function.rpartition(".")[2]
    for node in positions:
        if isinstance(node, cst.FunctionDef) and node.name.value == name:
            first = min(positions[one].start.line for one in (node.name, *node.decorators))
            if first <= place.line <= positions[node.name].start.line:
                return node
    return None


def _route_of(decorator: cst.Decorator) -> cst.Call | None:
    call = decorator.decorator
    if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
        return None
    return call if call.func.attr.value in _DECORATORS else None


def _typed(function: cst.FunctionDef, call: cst.Call, arm: Arm) -> cst.FunctionDef:
    """The function with its type, by the call in its route's decorator."""
    if any(one.star for one in call.args):
        raise CannotWriteError("the arguments of its decorator are put together elsewhere")
    given = named_argument(call, _MODEL)
    if given is not None and not _is_none(given.value):
        raise CannotWriteError("its decorator names a type already")
    if arm.parameters["is_annotated"]:
        if given is None:
            raise CannotWriteError("nothing in its decorator keeps the annotation from counting")
        return _decorated(function, call, without_argument(call, given))
    kind = str(arm.parameters["type"])
    # Where something lies between the route and the function, the annotation may not reach it.
    if function.returns is None and len(function.decorators) == 1:
        if given is not None:
            function = _decorated(function, call, without_argument(call, given))
        return function.with_changes(returns=cst.Annotation(cst.parse_expression(kind)))
    return _decorated(function, call, with_value(call, _MODEL, kind))


def _is_none(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value == "None"


def _decorated(function: cst.FunctionDef, call: cst.Call, changed: cst.Call) -> cst.FunctionDef:
    return function.with_changes(
        decorators=[
            one.with_changes(decorator=changed) if one.decorator is call else one
            for one in function.decorators
        ]
    )
