"""One library for each file of tests; nothing that they do in it is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.fixes.switches.library import Library, fill


@pytest.fixture(scope="module")
def library(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[Library]:
    with new_database() as url:
        fill(url)
        library = Library(url)
        yield library
        library.close()
