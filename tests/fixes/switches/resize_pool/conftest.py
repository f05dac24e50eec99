"""A database and an arm for each test."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.fixes.switches.resize_pool.serving import Loop, served
from unslow.current import OpenArm


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture
def arm() -> OpenArm:
    return OpenArm("resize-pool")


@pytest.fixture
def loop() -> Iterator[Loop]:
    with served() as loop:
        yield loop


@pytest.fixture(autouse=True)
def no_pool_of_before(older_objects_set_aside: None) -> None:
    """Pools are found wherever they are in memory."""
    gc.collect()
