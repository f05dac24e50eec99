"""SQL that SQLAlchemy wrote once, ready for a driver's own connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.types import TypeEngine

DIALECT: Final[Any] = PGDialect_asyncpg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # SQLAlchemy types no constructor of a dialect
"""Writes parameters as `$1::INTEGER`, which every driver's server understands."""


class Statement:
    """The text of a statement and how its arguments are made from named values."""

    def __init__(self, clause: ClauseElement) -> None:
        compiled: Any = clause.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
        self.text = str(compiled)
        values: Mapping[str, Any] = compiled.params
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._values = {name: values[name] for name in self._names}
        self._processors: dict[str, Callable[[Any], Any]] = {}
        for bind, name in compiled.bind_names.items():
            processor = bind.type.dialect_impl(DIALECT).bind_processor(DIALECT)
            if processor is not None and name in self._values:
                self._processors[name] = processor

    def arguments(self, **given: Any) -> tuple[Any, ...]:
        """The values in the order of the text; those that are not given are the statement's own."""
        return tuple(
            self._processed(name, given.get(name, self._values[name])) for name in self._names
        )

    def _processed(self, name: str, value: Any) -> Any:
        processor = self._processors.get(name)
        return value if processor is None else processor(value)


def result_processor(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """What SQLAlchemy does to a value of this type that a driver gave; none if nothing."""
    make: Any = kind.dialect_impl(DIALECT).result_processor
    processor: Callable[[Any], Any] | None = make(DIALECT, None)
    return processor
