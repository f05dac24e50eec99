from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.prove.workload.page_size import is_page_size, sizes
from unslow.prove.workload.schema import fits


@pytest.mark.parametrize(
    ("schema", "varied"),
    [
        ({"default": 50, "minimum": 1, "maximum": 100}, (25, 50, 100)),
        ({"default": 100}, (100, 200, 400)),
        ({}, (10, 20, 40)),
        ({"default": None}, (10, 20, 40)),
        ({"default": 0, "minimum": 0, "maximum": 1000}, (10, 20, 40)),
        ({"default": 2, "minimum": 1, "maximum": 3}, (1, 2, 3)),
        ({"minimum": 50, "maximum": 100}, (50, 100)),
        ({"minimum": 7, "maximum": 7}, (7,)),
        ({"enum": [10, 40]}, (10, 40)),
        ({"default": 10, "multipleOf": 20}, (20, 40)),
        ({"maximum": 0}, ()),
    ],
)
def test_a_size_is_doubled_twice_within_its_bounds(
    schema: dict[str, Any], varied: tuple[int, ...]
) -> None:
    assert varied == sizes({"type": "integer", **schema})


@given(
    st.fixed_dictionaries(
        {"type": st.just("integer")},
        optional={
            "default": st.integers(-5, 5000),
            "minimum": st.integers(-5, 50),
            "maximum": st.integers(0, 5000),
        },
    )
)
def test_sizes_fit_differ_and_grow(schema: dict[str, Any]) -> None:
    found = sizes(schema)

    assert all(fits(size, schema) and size >= 1 for size in found)
    assert sorted(set(found)) == list(found)
    assert len(found) <= 3


@pytest.mark.parametrize(
    "name", ["limit", "page_size", "pageSize", "per-page", "size", "first", "n"]
)
def test_a_page_size_is_seen_by_its_name(name: str) -> None:
    assert is_page_size(name, {"type": "integer"})


@pytest.mark.parametrize(
    ("name", "kind"), [("limit", "string"), ("page", "integer"), ("offset", "integer")]
)
def test_other_parameters_are_no_page_size(name: str, kind: str) -> None:
    assert not is_page_size(name, {"type": kind})
