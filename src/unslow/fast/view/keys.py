"""Rows by many keys at once, also where a key has several columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, any_, bindparam, func, select, tuple_
from sqlalchemy.types import ARRAY


def matching(columns: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row has one of the keys that `key_arguments` gives the statement."""
    arrays = [
        bindparam(f"keys_{number}", [], type_=ARRAY(column.type))
        for number, column in enumerate(columns)
    ]
    if len(columns) == 1:
        column: ColumnElement[Any] = columns[0]
        return column == any_(arrays[0])
    return tuple_(*columns).in_(select(*(func.unnest(array) for array in arrays)))


def key_arguments(keys: Sequence[Any], count: int) -> dict[str, list[Any]]:
    """The named arguments of `matching`.

    Args:
        keys: Values, or tuples of them where a key has several columns.
        count: How many columns a key has.
    """
    if count == 1:
        return {"keys_0": list(keys)}
    return {f"keys_{number}": [key[number] for key in keys] for number in range(count)}
