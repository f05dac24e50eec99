"""The result of a statement, made unique where a list was joined to its rows.

SQLAlchemy refuses to read such a result without: each object comes once for each row of its list.
"""

from __future__ import annotations

from typing import Final

import libcst as cst

from .layout import Insertion
from .patch import CannotWriteError
from .queries import called_behind
from .source import Source
from .variables import comes_before, variable_of

_UNIQUE: Final = "unique"
_READS: Final = frozenset(
    {
        "all",
        "columns",
        "fetchall",
        "fetchmany",
        "fetchone",
        "mappings",
        "one",
        "one_or_none",
        "scalar_one",
        "scalar_one_or_none",
        "scalars",
        "tuples",
    }
)
"""Methods of results that refuse."""
_TAKES_ONE: Final = ("first", "scalar")
"""Those that do not, as the last of a chain."""
_COLLECTS: Final = ("list", "tuple", "set", "frozenset", "sorted", "enumerate", "iter", "next")
_STREAMS: Final = ("stream", "stream_scalars")


def made_unique(source: Source, sent: cst.Call) -> list[Insertion]:
    """What is to be written for the result of a call that sends a statement.

    Raises:
        CannotWriteError: it cannot be told where the result is read.
    """
    if isinstance(sent.func, cst.Attribute) and sent.func.attr.value in _STREAMS:
        raise CannotWriteError("a stream of rows and a joined list do not go together")
    return _of_result(source, sent)


def _of_result(source: Source, result: cst.BaseExpression) -> list[Insertion]:
    reader = source.parent(result)
    if isinstance(reader, cst.Await):
        result, reader = reader, source.parent(reader)
    if isinstance(reader, cst.Attribute):
        return _of_methods(source, result, reader)
    if _is_read_whole(reader, result) or _is_collected(source, reader):
        return _called(source, result, None)
    if isinstance(reader, cst.Assign) and len(reader.targets) == 1:
        target = reader.targets[0].target
        if isinstance(target, cst.Name):
            return _of_variable(source, result, target)
    raise CannotWriteError("its result is read elsewhere, and needs `.unique()` there")


def _of_variable(source: Source, result: cst.BaseExpression, target: cst.Name) -> list[Insertion]:
    variable = variable_of(source, target)
    is_certain = len(variable.values) == len(variable.reads) == 1
    if not is_certain or not comes_before(source, result, variable.reads[0]):
        raise CannotWriteError(f"`{target.value}` is read in several places, or not here")
    if isinstance(source.parent(variable.reads[0]), cst.Assign):
        raise CannotWriteError("its result is read elsewhere, and needs `.unique()` there")
    return _of_result(source, variable.reads[0])


def _of_methods(
    source: Source, result: cst.BaseExpression, method: cst.Attribute
) -> list[Insertion]:
    names = _methods(source, method)
    if _UNIQUE in names or names[-1] in _TAKES_ONE:
        return []
    if not set(names[:1]) <= _READS:
        raise CannotWriteError(f"it cannot be told what `.{method.attr.value}` makes of its result")
    return _called(source, result, method.dot)


def _methods(source: Source, method: cst.Attribute) -> list[str]:
    names: list[str] = []
    node: cst.CSTNode | None = method
    while isinstance(node, cst.Attribute):
        names.append(node.attr.value)
        call = source.parent(node)
        node = source.parent(call) if isinstance(call, cst.Call) and call.func is node else None
    return names


def _is_read_whole(reader: cst.CSTNode | None, result: cst.BaseExpression) -> bool:
    """Whether a loop, or what makes a list, reads it right there."""
    if isinstance(reader, (cst.For, cst.CompFor)):
        return reader.iter is result
    return isinstance(reader, cst.StarredElement)


def _is_collected(source: Source, reader: cst.CSTNode | None) -> bool:
    call = source.parent(reader) if isinstance(reader, cst.Arg) else None
    function = call.func if isinstance(call, cst.Call) else None
    return isinstance(function, cst.Name) and function.value in _COLLECTS


def _called(source: Source, result: cst.BaseExpression, like: cst.Dot | None) -> list[Insertion]:
    start, end = source.whole_span(result)
    if isinstance(result, cst.Await) and not result.lpar:
        return [Insertion(start, "("), Insertion(end, f").{_UNIQUE}()")]
    return [called_behind(source, end, like, f".{_UNIQUE}()")]
