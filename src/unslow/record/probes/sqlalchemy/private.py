"""The names of SQLAlchemy that we use and that are not public, with the versions they hold for.

Where one is missing or takes other arguments than we know, what needs it stays out and the coverage
says so; what stands on public names goes on.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, NamedTuple

from ...probe import ProbeOffError, require


class PrivateName(NamedTuple):
    """A name that is replaced or read, and what it looks like where we know it."""

    module: str
    path: str
    parameters: tuple[str, ...] | None = None
    """Of a function: how the names of its arguments begin; None for what is no function."""
    older_path: str = ""
    """How 2.0 calls it, where that differs."""


KNOWN_VERSIONS: Final = ("2.0", "2.1")
"""Looked at, with what functions take: 2.0.0, 2.0.20, 2.0.36, 2.0.58, 2.1.0, 2.1.9."""

CONNECT: Final = PrivateName(
    "sqlalchemy.pool.base", "_ConnectionRecord._ConnectionRecord__connect", ("self",)
)
CHECKIN: Final = PrivateName(
    "sqlalchemy.pool.base", "_ConnectionFairy._checkin", ("self", "transaction_was_reset")
)

CREATOR: Final = PrivateName("sqlalchemy.pool.base", "Pool._creator")

FETCH_ALL: Final = PrivateName("sqlalchemy.engine.cursor", "CursorResult._fetchall_impl", ("self",))
FETCH_MANY: Final = PrivateName(
    "sqlalchemy.engine.cursor", "CursorResult._fetchmany_impl", ("self", "size")
)
FETCH_ONE: Final = PrivateName(
    "sqlalchemy.engine.cursor", "CursorResult._fetchone_impl", ("self", "hard_close")
)
FETCH_EACH: Final = PrivateName(
    "sqlalchemy.engine.cursor", "CursorResult._fetchiter_impl", ("self",)
)
FILL_BUFFER: Final = PrivateName(
    "sqlalchemy.engine.cursor",
    "BufferedRowCursorFetchStrategy._buffer_rows",
    ("self", "result", "dbapi_cursor"),
)
FETCHES: Final = (FETCH_ALL, FETCH_MANY, FETCH_ONE, FETCH_EACH, FILL_BUFFER)

INSTANCES: Final = PrivateName("sqlalchemy.orm.loading", "instances", ("cursor", "context"))
NEW_RUN: Final = PrivateName("sqlalchemy.orm.loading", "_new_runid", ())
BUILD_ALL: Final = PrivateName(
    "sqlalchemy.engine.result", "IteratorResult._fetchall_impl", ("self",)
)
BUILD_ONE: Final = PrivateName(
    "sqlalchemy.engine.result", "IteratorResult._fetchone_impl", ("self", "hard_close")
)
BUILD_MANY: Final = PrivateName(
    "sqlalchemy.engine.result", "ChunkedIteratorResult._fetchmany_impl", ("self", "size")
)
BUILD_EACH: Final = PrivateName(
    "sqlalchemy.engine.result", "IteratorResult._fetchiter_impl", ("self",)
)
HYDRATION: Final = (
    INSTANCES,
    NEW_RUN,
    PrivateName("sqlalchemy.orm.context", "QueryContext.top_level_context"),
    PrivateName("sqlalchemy.orm.context", "QueryContext.refresh_state"),
    PrivateName("sqlalchemy.orm.context", "QueryContext.compile_state"),
    PrivateName("sqlalchemy.orm.context", "QueryContext.load_options"),
    PrivateName("sqlalchemy.orm.context", "QueryContext.default_load_options._lazy_loaded_from"),
    PrivateName("sqlalchemy.orm.context", "QueryContext.runid"),
    PrivateName(
        "sqlalchemy.orm.context",
        "_ORMCompileState.default_compile_options._only_load_props",
        older_path="ORMCompileState.default_compile_options._only_load_props",
    ),
    PrivateName(
        "sqlalchemy.orm.context",
        "_ORMCompileState.current_path",
        older_path="ORMCompileState.current_path",
    ),
    PrivateName("sqlalchemy.orm.state", "InstanceState.runid"),
    BUILD_ALL,
    BUILD_ONE,
    BUILD_MANY,
    BUILD_EACH,
)

LAZY_LOAD: Final = PrivateName(
    "sqlalchemy.orm.strategies",
    "_LazyLoader._emit_lazyload",
    (
        "self",
        "session",
        "state",
        "primary_key_identity",
        "passive",
        "loadopt",
        "extra_criteria",
        "extra_options",
        "alternate_effective_path",
        "execution_options",
    ),
    older_path="LazyLoader._emit_lazyload",
)
FLUSH: Final = PrivateName("sqlalchemy.orm.session", "Session._flush", ("self", "objects"))
ALL_REGISTRIES: Final = PrivateName("sqlalchemy.orm.mapper", "_all_registries", ())

COPY_STATE: Final = PrivateName("sqlalchemy.orm.state", "InstanceState.__getstate__", ("self",))
COPY_KEY: Final = PrivateName(
    "sqlalchemy.orm.sync", "_populate", ("source", "source_mapper", "dest"), older_path="populate"
)
COPY_KEY_TO_LINK: Final = PrivateName(
    "sqlalchemy.orm.sync",
    "_populate_dict",
    ("source", "source_mapper", "dict_"),
    older_path="populate_dict",
)
JOINED_ONE: Final = PrivateName(
    "sqlalchemy.orm.strategies",
    "_JoinedLoader._create_scalar_loader",
    ("self", "context"),
    older_path="JoinedLoader._create_scalar_loader",
)
JOINED_MANY: Final = PrivateName(
    "sqlalchemy.orm.strategies",
    "_JoinedLoader._create_collection_loader",
    ("self", "context"),
    older_path="JoinedLoader._create_collection_loader",
)
SUBQUERY_ONE: Final = PrivateName(
    "sqlalchemy.orm.strategies",
    "_SubqueryLoader._create_scalar_loader",
    ("self", "context"),
    older_path="SubqueryLoader._create_scalar_loader",
)
SUBQUERY_MANY: Final = PrivateName(
    "sqlalchemy.orm.strategies",
    "_SubqueryLoader._create_collection_loader",
    ("self", "context"),
    older_path="SubqueryLoader._create_collection_loader",
)
SELECTIN: Final = PrivateName(
    "sqlalchemy.orm.strategies",
    "_SelectInLoader._load_for_path",
    ("self", "context", "path", "states"),
    older_path="SelectInLoader._load_for_path",
)
IMMEDIATE: Final = PrivateName(
    "sqlalchemy.orm.strategies",
    "_ImmediateLoader._load_for_path",
    ("self", "context", "path", "states"),
    older_path="ImmediateLoader._load_for_path",
)
USAGE: Final = (
    COPY_STATE,
    COPY_KEY,
    COPY_KEY_TO_LINK,
    JOINED_ONE,
    JOINED_MANY,
    SUBQUERY_ONE,
    SUBQUERY_MANY,
    SELECTIN,
    IMMEDIATE,
    PrivateName("sqlalchemy.orm.state", "InstanceState.load_path"),
)


def unknown(*names: PrivateName) -> str:
    """Why names cannot be used with the SQLAlchemy that is there; empty when they all can."""
    import sqlalchemy

    version = sqlalchemy.__version__
    if ".".join(version.split(".")[:2]) not in KNOWN_VERSIONS:
        return f"SQLAlchemy {version} is newer than {KNOWN_VERSIONS[-1]}, the newest known here"
    try:
        for name in names:
            owner, attribute = locate(name)
            if name.parameters is not None:
                require(owner, attribute, *name.parameters)
    except ProbeOffError as reason:
        return f"SQLAlchemy {version}: {reason}"
    return ""


def locate(name: PrivateName) -> tuple[Any, str]:
    """The owner of a name and its last part.

    Raises:
        ProbeOffError: There is no such name.
    """
    module = importlib.import_module(name.module)
    for path in filter(None, (name.path, name.older_path)):
        *parents, attribute = path.split(".")
        owner: Any = module
        for parent in parents:
            owner = getattr(owner, parent, None)
        if hasattr(owner, attribute):
            return owner, attribute
    raise ProbeOffError(f"{name.module} has no {name.path}")
