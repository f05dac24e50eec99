"""Operations of an OpenAPI document, 3.0 or 3.1."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...errors import UnslowError
from .schema import Schema, SchemaError, resolved

_METHODS: Final = ("get", "head", "post", "put", "patch", "delete", "options", "query", "trace")
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_ENDLESS: Final = "text/event-stream"
_ORIGIN: Final = re.compile(r"[a-z]+://[^/]*")


class DocumentError(UnslowError):
    """What the app gave as its OpenAPI document is none that can be read."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation."""

    name: str
    place: str
    """`path`, `query`, `header` or `cookie`."""
    is_required: bool
    schema: Schema
    """Without references and alternatives."""
    examples: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Body:
    """What an operation takes as its body."""

    content_type: str
    is_required: bool
    schema: Schema
    examples: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    route: str
    parameters: tuple[Parameter, ...] = ()
    """Those of the path in the order of the path."""
    body: Body | None = None
    document: Schema = field(default_factory=dict, repr=False)
    """Where the references of the body lead."""
    why_not: str = ""
    """Why it cannot be asked at all; empty if it can."""


def operations(document: object, at: str = "") -> tuple[Operation, ...]:
    """All operations, in the document's order.

    Args:
        document: What was answered.
        at: The path that it was answered at. One of a mounted app leaves the mount out of its
            paths and names it as its server.

    Raises:
        DocumentError: it is no OpenAPI document of version 3.
    """
    whole = document if isinstance(document, Mapping) else {}
    version = str(whole.get("openapi", ""))
    paths = whole.get("paths", {})
    if not version.startswith("3.") or not isinstance(paths, Mapping):
        found = f"version {whole['swagger']}" if "swagger" in whole else "without openapi: 3.x"
        raise DocumentError(
            f"The app's OpenAPI document is {found}; wanted is one of version 3.0 or 3.1."
            " Give its requests in a file: --requests FILE."
        )
    mount = _mount(whole, at)
    return tuple(
        _operation(method.upper(), f"{mount}{route}", item, whole)
        for route, item in paths.items()
        if isinstance(item, Mapping)
        for method in _METHODS
        if isinstance(item.get(method), Mapping)
    )


def _mount(document: Schema, at: str) -> str:
    """The path of the server that the document was found below; empty where there is none.

    Another server's is where it runs elsewhere, behind a proxy that takes it away.
    """
    for one in _listed(document, "servers"):
        url = one.get("url") if isinstance(one, Mapping) else None
        path = _ORIGIN.sub("", url).rstrip("/") if isinstance(url, str) else ""
        if path and at.startswith(f"{path}/"):
            return path
    return ""


def _operation(method: str, route: str, item: Schema, document: Schema) -> Operation:
    described = item[method.lower()]
    try:
        parameters = _parameters(item, described, route, document)
        return Operation(
            method,
            route,
            parameters,
            _body(described, document),
            document,
            _why_not(described, parameters),
        )
    except SchemaError as error:
        return Operation(method, route, why_not=str(error))


def _parameters(
    item: Schema, described: Schema, route: str, document: Schema
) -> tuple[Parameter, ...]:
    found = {
        (name, "path"): Parameter(name, "path", is_required=True, schema={"type": "string"})
        for name in parameters_of(route)
    }
    for one in (*_listed(item, "parameters"), *_listed(described, "parameters")):
        parameter = _parameter(resolved(one, document), document)
        # What an operation says goes before what its path says for all.
        found[parameter.name, parameter.place] = parameter
    return tuple(sorted(found.values(), key=lambda one: _position(one, route)))


def parameters_of(route: str) -> list[str]:
    """The names of the parameters in a template."""
    return re.findall(r"\{([^}]*)\}", route)


def _position(parameter: Parameter, route: str) -> int:
    at = route.find(f"{{{parameter.name}}}") if parameter.place == "path" else -1
    return at if at >= 0 else len(route)


def _parameter(described: Schema, document: Schema) -> Parameter:
    # One with a content holds a whole object, spelt as JSON.
    schema = {"type": "object"} if "content" in described else described.get("schema")
    schema = resolved(schema, document)
    if "items" in schema:
        schema = {**schema, "items": resolved(schema["items"], document)}
    return Parameter(
        name=str(described.get("name", "")),
        place=str(described.get("in", "")),
        is_required=described.get("required") is True,
        schema=schema,
        examples=(*_examples(described), *_examples(schema)),
    )


def _body(described: Schema, document: Schema) -> Body | None:
    body = resolved(described.get("requestBody"), document)
    content = body.get("content")
    if not isinstance(content, Mapping) or not content:
        return None
    content_type = next((one for one in (_JSON, _FORM) if one in content), next(iter(content)))
    media = content[content_type]
    schema = resolved(media.get("schema"), document)
    return Body(
        content_type,
        body.get("required") is True,
        schema,
        (*_examples(media), *_examples(schema)),
    )


def _why_not(described: Schema, parameters: tuple[Parameter, ...]) -> str:
    for one in parameters:
        if one.is_required and one.schema.get("type") == "object":
            return f"its parameter {one.name} is an object; a file for --requests can name it"
    if _ENDLESS in _content_types(described):
        return f"its answer is a stream without an end ({_ENDLESS})"
    return ""


def _content_types(described: Schema) -> Iterator[str]:
    responses = described.get("responses")
    for status, response in responses.items() if isinstance(responses, Mapping) else ():
        if str(status).startswith("2") and isinstance(response, Mapping):
            content = response.get("content")
            yield from content if isinstance(content, Mapping) else ()


def _examples(described: Schema) -> Iterator[object]:
    """All examples, of each of the ways in which a document can give them."""
    if "example" in described:
        yield described["example"]
    examples = described.get("examples")
    if isinstance(examples, list):
        yield from examples
    if isinstance(examples, Mapping):
        for one in examples.values():
            if isinstance(one, Mapping) and "value" in one:
                yield one["value"]


def _listed(described: Schema, key: str) -> list[Any]:
    value = described.get(key)
    return value if isinstance(value, list) else []
