"""What the tests of all blocks ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.fast.doors import DOORS


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """Each way to the database in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def empty_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """A database of the module's own."""
    with new_database() as url:
        yield url
