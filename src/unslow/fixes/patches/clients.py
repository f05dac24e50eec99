"""HTTP clients in the source: of which library one is, and where it is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import libcst as cst

from .names import Names
from .source import Source, under

HTTPX: Final = "httpx"
REQUESTS: Final = "requests"
AIOHTTP: Final = "aiohttp"
_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    HTTPX: ("httpx", "httpx2"),
    REQUESTS: ("requests",),
    AIOHTTP: ("aiohttp",),
}
_CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    HTTPX: ("AsyncClient", "Client"),
    REQUESTS: ("Session", "session"),
    AIOHTTP: ("ClientSession",),
}
VERBS: Final = frozenset(
    {"get", "post", "put", "patch", "delete", "head", "options", "request", "stream"}
)
"""What sends a request, and takes a timeout."""


class Client(NamedTuple):
    """What a request is sent with."""

    library: str
    made: cst.Call | None = None
    """Where it is made; None where that is not seen, and for a library's own functions."""
    is_module: bool = False
    """Whether it is the library itself: `requests.get(...)`."""


class Clients:
    """The clients of a file."""

    def __init__(self, source: Source, names: Names) -> None:
        self._source = source
        self._names = names

    def of_call(self, call: cst.Call) -> Client | None:
        """What a call is made on; None where it is not seen to be a client."""
        if not isinstance(call.func, cst.Attribute):
            return None
        receiver = call.func.value
        if isinstance(receiver, cst.Name):
            return self._module(receiver) or self._named(receiver)
        if isinstance(receiver, cst.Attribute) and isinstance(receiver.value, cst.Name):
            return self._of_self(receiver) if receiver.value.value == "self" else None
        return self._made(receiver)

    def library_of(self, node: cst.BaseExpression) -> str:
        """The library whose client a class is; empty for any other."""
        for library, classes in _CLASSES.items():
            packages = _PACKAGES[library]
            if any(self._names.comes_from(node, one, *packages) for one in classes):
                return library
        return ""

    def _module(self, name: cst.Name) -> Client | None:
        known = self._names.imported.get(name.value)
        if known is None or known.name or self._names.is_rebound(name.value):
            return None
        for library, packages in _PACKAGES.items():
            if known.module in packages:
                return Client(library, is_module=True)
        return None

    def _named(self, name: cst.Name) -> Client | None:
        """What a variable holds: of its function, else of the file."""
        scopes = [one for one in self._source.above(name) if isinstance(one, cst.FunctionDef)]
        for scope in (*scopes, self._source.module):
            given = list(self._given(scope, name.value))
            if given:
                return self._made(given[0]) if len(given) == 1 else None
            if isinstance(scope, cst.FunctionDef):
                parameter = _parameter(scope, name.value)
                if parameter is not None:
                    return self._annotated(parameter.annotation)
        return None

    def _of_self(self, attribute: cst.Attribute) -> Client | None:
        """What an attribute of the object holds, as its class sets it."""
        owner = next(
            (one for one in self._source.above(attribute) if isinstance(one, cst.ClassDef)), None
        )
        if owner is None:
            return None
        name = attribute.attr.value
        given = [
            value
            for method in owner.body.body
            if isinstance(method, cst.FunctionDef)
            for value in _attributes_set(method, name)
        ]
        if len(given) != 1:
            return None
        value = given[0]
        return self._named(value) if isinstance(value, cst.Name) else self._made(value)

    def _made(self, value: cst.CSTNode | None) -> Client | None:
        if isinstance(value, cst.Call):
            library = self.library_of(value.func)
            return Client(library, value) if library else None
        return None

    def _annotated(self, annotation: cst.Annotation | None) -> Client | None:
        """What `client: httpx.AsyncClient` or `Annotated[httpx.AsyncClient, ...]` says."""
        if annotation is None:
            return None
        node: cst.BaseExpression = annotation.annotation
        if isinstance(node, cst.Subscript):
            first = node.slice[0].slice
            if not isinstance(first, cst.Index):
                return None
            node = first.value
        library = self.library_of(node)
        return Client(library) if library else None

    def _given(self, scope: cst.CSTNode, name: str) -> Iterator[cst.CSTNode | None]:
        """All that a name is given in a scope; None for what cannot be followed."""
        for one in under(scope):
            is_it = isinstance(one, cst.Name) and one.value == name and self._source.is_set(one)
            if is_it and not isinstance(self._source.parent(one), cst.Param):
                yield _value(self._source, one)


def _value(source: Source, name: cst.CSTNode) -> cst.CSTNode | None:
    target = source.parent(name)
    around = None if target is None else source.parent(target)
    if isinstance(target, cst.AsName) and isinstance(around, cst.WithItem):
        return around.item
    if isinstance(target, cst.AssignTarget) and isinstance(around, cst.Assign):
        return around.value
    return target.value if isinstance(target, cst.AnnAssign) else None


def _attributes_set(method: cst.FunctionDef, name: str) -> Iterator[cst.BaseExpression]:
    for one in under(method):
        if isinstance(one, cst.Assign):
            targets = [target.target for target in one.targets]
        elif isinstance(one, cst.AnnAssign) and one.value is not None:
            targets = [one.target]
        else:
            continue
        for target in targets:
            if isinstance(target, cst.Attribute) and target.attr.value == name:
                value = one.value
                if value is not None:
                    yield value


def _parameter(function: cst.FunctionDef, name: str) -> cst.Param | None:
    given = function.params
    every = (*given.params, *given.kwonly_params, *given.posonly_params)
    return next((one for one in every if one.name.value == name), None)
