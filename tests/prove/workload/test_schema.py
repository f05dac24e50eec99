from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.prove.workload.schema import (
    SchemaError,
    bounds,
    fits,
    is_closed,
    kind_of,
    made_value,
    resolved,
)

TODAY = date(2026, 7, 31)
UUID = "7f1c3c1e-6f0a-4d6e-9a57-0d3c0a6e3f11"
DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "Kind": {"enum": ["a", "b"], "type": "string"},
            "a/b": {"$ref": "#/components/schemas/Kind"},
            "Loop": {"$ref": "#/components/schemas/Loop"},
            "Base": {"properties": {"x": {}}, "required": ["x"]},
        }
    }
}


def reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(
    ("schema", "means"),
    [
        (None, {}),
        (reference("Kind"), {"enum": ["a", "b"], "type": "string"}),
        (
            reference("a~1b") | {"default": "a"},
            DOCUMENT["components"]["schemas"]["Kind"] | {"default": "a"},
        ),
        (
            {"anyOf": [{"type": "null"}, {"type": "integer"}], "title": "T"},
            {"type": "integer", "title": "T"},
        ),
        ({"oneOf": [{"type": "null"}]}, {}),
        ({"minLength": None, "default": None}, {"default": None}),
        ({"type": ["null", "string"]}, {"type": "string"}),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            {"type": "integer", "exclusiveMinimum": 1},
        ),
        (
            {"type": "integer", "maximum": 9, "exclusiveMaximum": False},
            {"type": "integer", "maximum": 9},
        ),
        (
            {
                "allOf": [
                    reference("Base"),
                    {"properties": {"y": {}}, "required": ["y"], "type": "object"},
                ]
            },
            {"properties": {"x": {}, "y": {}}, "required": ["x", "y"], "type": "object"},
        ),
    ],
)
def test_a_schema_is_what_it_refers_to(schema: object, means: dict[str, Any]) -> None:
    assert means == resolved(schema, DOCUMENT)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (reference("Gone"), "refers to #/components/schemas/Gone, which is not in it"),
        (reference("Loop"), "refers to itself"),
    ],
)
def test_a_schema_that_leads_nowhere_is_said(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        resolved(schema, DOCUMENT)


@pytest.mark.parametrize(
    ("value", "schema", "does_fit"),
    [
        (3, {"type": "integer"}, True),
        ("3", {"type": "integer"}, False),
        (True, {"type": "integer"}, False),
        (True, {"type": "boolean"}, True),
        (1, {"type": "boolean"}, False),
        (3.5, {"type": "integer"}, False),
        (3, {"type": "number"}, True),
        (3, {"type": "string"}, False),
        (UUID, {"type": "string", "format": "uuid"}, True),
        ("3", {"type": "string", "format": "uuid"}, False),
        ("abc", {"type": "string", "minLength": 4}, False),
        ("abc", {"type": "string", "maxLength": 2}, False),
        ("abc", {"type": "string", "pattern": "^[a-z]+$"}, True),
        ("ab1", {"type": "string", "pattern": "^[a-z]+$"}, False),
        ("ab1", {"type": "string", "pattern": "(?<x>"}, True),
        (3, {"minimum": 3, "maximum": 3}, True),
        (3, {"exclusiveMinimum": 3}, False),
        (3, {"exclusiveMaximum": 3}, False),
        (9, {"multipleOf": 3}, True),
        (8, {"multipleOf": 3}, False),
        ("a", {"enum": ["b"]}, False),
        ("a", {"const": "a"}, True),
        ("a", {"const": "b"}, False),
        (object(), {}, True),
    ],
)
def test_a_value_fits_a_schema_or_not(
    value: object, schema: dict[str, Any], does_fit: bool
) -> None:
    assert does_fit == fits(value, schema)


@pytest.mark.parametrize(
    ("name", "schema", "value"),
    [
        ("x", {"type": "string", "format": "uuid"}, None),
        ("x", {}, None),
        ("x", {"type": "array"}, None),
        ("x", {"const": 7}, 7),
        ("kind", {"type": "string", "enum": [None, "b"]}, "b"),
        ("q", {"type": "string", "minLength": 3}, "aaa"),
        ("q", {"type": "string", "pattern": "^[0-9]+$"}, "1"),
        ("q", {"type": "string", "pattern": "^EUR$"}, None),
        ("day", {"type": "string", "format": "date"}, "2026-07-31"),
        ("start_date", {"type": "string", "format": "date"}, "2026-07-01"),
        ("createdAfter", {"type": "string", "format": "date-time"}, "2026-07-01T00:00:00Z"),
        ("mail", {"type": "string", "format": "email"}, "someone@example.com"),
        ("page", {"type": "integer"}, 1),
        ("page", {"type": "integer", "minimum": 0}, 1),
        ("page", {"type": "integer", "exclusiveMinimum": 10}, 11),
        ("page", {"type": "integer", "maximum": -5}, -5),
        ("share", {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ("deep", {"type": "boolean"}, False),
    ],
)
def test_a_value_is_made_from_what_a_schema_says(
    name: str, schema: dict[str, Any], value: object
) -> None:
    assert value == made_value(name, schema, TODAY)


BOUND = st.integers(-20, 20)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "number", "boolean", "array", "null"])},
    optional={
        "format": st.sampled_from(["date", "uuid", "email", "int32"]),
        "minimum": BOUND,
        "maximum": BOUND,
        "exclusiveMinimum": BOUND,
        "exclusiveMaximum": BOUND,
        "multipleOf": st.integers(1, 5),
        "minLength": st.integers(0, 5),
        "maxLength": st.integers(0, 50),
        "enum": st.lists(st.integers(-3, 3) | st.text(max_size=2), max_size=3),
    },
)


@given(st.text(max_size=5), SCHEMAS)
def test_a_made_value_always_fits(name: str, schema: dict[str, Any]) -> None:
    value = made_value(name, schema, TODAY)

    assert value is None or fits(value, schema)


@pytest.mark.parametrize(
    ("schema", "least", "most"),
    [
        ({}, 1, None),
        ({"minimum": 0, "maximum": 100}, 1, 100),
        ({"exclusiveMinimum": 4, "exclusiveMaximum": 8}, 5, 7),
        ({"minimum": 2.5, "maximum": 7.5}, 3, 7),
    ],
)
def test_a_count_has_bounds(schema: dict[str, Any], least: int, most: int | None) -> None:
    assert (least, most) == bounds(schema)


@pytest.mark.parametrize(
    ("schema", "closed", "kind"),
    [
        ({"type": "integer"}, False, "integer"),
        ({"type": "integer", "minimum": 1}, False, "integer"),
        ({"type": "integer", "minimum": 2000, "maximum": 2100}, True, "integer"),
        ({"type": "string", "format": "date"}, True, "date"),
        ({"type": "string", "format": "uuid"}, False, "uuid"),
        ({"enum": ["a"]}, True, "any value"),
        ({"type": "boolean"}, True, "boolean"),
    ],
)
def test_ids_are_told_from_a_few_values_of_which_any_will_do(
    schema: dict[str, Any], closed: bool, kind: str
) -> None:
    assert (closed, kind) == (is_closed(schema), kind_of(schema))
