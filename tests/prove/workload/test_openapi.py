from typing import Annotated, Any

import pytest
from fastapi import Body, Cookie, FastAPI, Form, Header, Path, Query
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from unslow.prove.workload.openapi import DocumentError, Parameter, operations


class Search(BaseModel):
    text: str = Field(examples=["shoes"])
    sizes: list[int] = []


app = FastAPI()


@app.get("/users/{user_id}/files/{name:path}")
async def get_file(
    name: str,
    user_id: Annotated[int, Path(ge=1)],
    x_tenant: Annotated[str, Header()],
    session: Annotated[str | None, Cookie()] = None,
    tags: Annotated[list[str] | None, Query(examples=[["a"]])] = None,
) -> None: ...


@app.post("/search")
async def search(
    what: Annotated[Search, Body(openapi_examples={"one": {"value": {"text": "hats"}}})],
) -> None: ...


@app.post("/form")
async def form(text: Annotated[str, Form()]) -> None: ...


def described(**parts: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "paths": {"/x": {"get": parts}}}


def test_the_parameters_of_an_app_are_read_in_the_order_of_the_path() -> None:
    (file, *_) = operations(app.openapi())

    assert ("GET", "/users/{user_id}/files/{name}", None) == (file.method, file.route, file.body)
    assert [
        ("user_id", "path", True, "integer", ()),
        ("name", "path", True, "string", ()),
        ("tags", "query", False, "array", (["a"],)),
        ("x-tenant", "header", True, "string", ()),
        ("session", "cookie", False, "string", ()),
    ] == [
        (one.name, one.place, one.is_required, one.schema["type"], one.examples)
        for one in file.parameters
    ]


def test_the_body_of_an_operation_is_read_with_its_examples() -> None:
    _, json, encoded = operations(app.openapi())

    assert json.body is not None
    assert encoded.body is not None
    assert ("application/json", True) == (json.body.content_type, json.body.is_required)
    assert ({"text": "hats"},) == json.body.examples
    assert "application/x-www-form-urlencoded" == encoded.body.content_type


def test_the_paths_of_a_mounted_app_begin_with_its_mount() -> None:
    whole = FastAPI()
    whole.mount("/api", app)
    document = TestClient(whole).get("/api/openapi.json").json()

    (file, *_) = operations(document, "/api/openapi.json")

    assert "/api/users/{user_id}/files/{name}" == file.route
    assert ["user_id", "name"] == [one.name for one in file.parameters[:2]]


@pytest.mark.parametrize(
    ("servers", "route"),
    [
        ([{"url": "https://shop.example/api/"}], "/api/x"),
        ([{"url": "/v1"}, {"url": "/api"}], "/api/x"),
        ([{"url": "/"}], "/x"),
        ([{"url": "https://shop.example"}], "/x"),
        ([{"url": "/ap"}], "/x"),
        ([{"url": "/{version}"}, {}, "/api"], "/x"),
        ({"url": "/api"}, "/x"),
    ],
)
def test_a_server_counts_where_the_document_was_found_below_it(servers: Any, route: str) -> None:
    document = described() | {"servers": servers}

    (operation,) = operations(document, "/api/openapi.json")

    assert route == operation.route


def test_what_an_operation_says_goes_before_what_its_path_says() -> None:
    limit = {"name": "limit", "in": "query", "schema": {"type": "string"}}
    document = described(parameters=[limit | {"schema": {"type": "integer"}, "example": 5}])
    document["paths"]["/x"]["parameters"] = [limit, limit | {"name": "q", "required": True}]

    (operation,) = operations(document)

    assert (
        Parameter("limit", "query", is_required=False, schema={"type": "integer"}, examples=(5,)),
        Parameter("q", "query", is_required=True, schema={"type": "string"}),
    ) == operation.parameters


def test_examples_of_every_spelling_are_found() -> None:
    parameter = {
        "name": "q",
        "in": "query",
        "examples": {"a": {"value": 1}, "b": {"externalValue": "http://x"}},
        "schema": {"type": "integer", "example": 2, "examples": [3]},
    }

    (operation,) = operations(described(parameters=[parameter]))

    assert (1, 2, 3) == operation.parameters[0].examples


def test_a_parameter_of_the_path_that_is_not_described_is_a_text() -> None:
    (operation,) = operations({"openapi": "3.1.0", "paths": {"/x/{y}": {"get": {}}}})

    text = Parameter("y", "path", is_required=True, schema={"type": "string"})
    assert (text,) == operation.parameters


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (
            {"responses": {"200": {"content": {"text/event-stream": {}}}}},
            "a stream without an end",
        ),
        (
            {
                "parameters": [
                    {"name": "f", "in": "query", "required": True, "content": {"x/y": {}}}
                ]
            },
            "its parameter f is an object",
        ),
        ({"parameters": [{"$ref": "#/components/parameters/Gone"}]}, "which is not in it"),
    ],
)
def test_an_operation_that_cannot_be_asked_says_why(parts: dict[str, Any], why: str) -> None:
    (operation,) = operations(described(**parts))

    assert why in operation.why_not


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"swagger": "2.0", "paths": {}}, "version 2.0"),
        ({"openapi": "3.1.0", "paths": []}, "without"),
        ({}, "without openapi: 3.x"),
        ("<html>", "without"),
    ],
)
def test_what_is_no_document_is_said(document: object, found: str) -> None:
    with pytest.raises(DocumentError, match=rf"is {found}.*--requests FILE"):
        operations(document)
