"""One failure of something shared, told to each who waited for it."""

from __future__ import annotations

import copy
from typing import TypeVar

Failure = TypeVar("Failure", bound=BaseException)


def copied(error: Failure) -> Failure:
    """The same error as an object of its own: each request adds its own frames to it."""
    try:
        another = copy.copy(error)
    except Exception:
        return error
    if type(another) is not type(error):
        return error
    another.__cause__, another.__context__ = error.__cause__, error.__context__
    another.__suppress_context__ = error.__suppress_context__
    return another.with_traceback(error.__traceback__)
