"""What the ORM made of a statement's rows, and what of it the app used. Names and counts only."""

from __future__ import annotations

from dataclasses import dataclass

Profile = tuple[tuple[str, ...], int]
"""A set of attributes, and of how many objects just these were read."""

EagerLoad = tuple[str, str, int, bool]
"""A relationship, how it was loaded (`selectin`, `joined`, `subquery`, `immediate`), how many
objects were built for it, and whether it was read on any of the objects that it belongs to."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The objects of one class that one statement loaded in a request, and what was read of them.

    What the ORM reads for itself does not count: keys for further loads, values for an UPDATE.
    """

    statement: int
    """The index in the trace's `statements`."""
    entity: str
    """The name of the class."""
    rows_count: int
    """How many objects the statement loaded columns of, each once."""
    primary_key: tuple[str, ...]
    """The attributes of the primary key, whether they were loaded or not."""
    columns: tuple[str, ...]
    """The column attributes that the statement loaded, in the order of the class."""
    columns_bytes: tuple[int, ...]
    """The size of the values of each of `columns`, all objects together: the length of strings and
    bytes, with those inside of lists and dicts; 8 for anything else, 0 for None."""
    read_columns: tuple[str, ...]
    """Those of `columns` that were read on at least one object."""
    read_rows_count: int
    """Of how many objects anything was read, also if only loaded at the touch."""
    written_rows_count: int
    """Of how many more objects nothing was read, but that the session wrote, deleted, or took the
    key of for another row."""
    profile: tuple[Profile, ...]
    """What was read of how many objects, the most frequent sets of attributes first, at most 8;
    attributes that were only loaded at the touch are among them, objects of which nothing was read
    are not."""
    relationships: tuple[EagerLoad, ...]
    """The relationships of these objects that were loaded with them, by the same statement or by
    those that it caused."""
    unwatched_rows_count: int = 0
    """How many more objects were loaded, beyond the bound; what is read of them is not known."""
