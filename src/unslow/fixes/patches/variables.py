"""A variable of a function: what it is given, and where it is read."""

from __future__ import annotations

from typing import NamedTuple

import libcst as cst

from .patch import CannotWriteError
from .source import Source, under


class Variable(NamedTuple):
    """One name in a function, or at the top of a module."""

    values: tuple[cst.BaseExpression, ...]
    """All that it is given, by assignments to it alone."""
    reads: tuple[cst.Name, ...]
    """Where it is read, functions within included."""


def variable_of(source: Source, name: cst.Name) -> Variable:
    """The variable that a name reads.

    Raises:
        CannotWriteError: it is given something in a way that cannot be followed.
    """
    function = source.function_of(name)
    scope: cst.CSTNode = source.module if function is None else function
    found = _in(source, scope, name.value)
    if not found.values and function is not None:
        if name.value in _parameters(function):
            raise CannotWriteError(f"`{name.value}` is a parameter of the function")
        found = _in(source, source.module, name.value)
    if not found.values:
        raise CannotWriteError(f"it cannot be seen what `{name.value}` is")
    return found


def _in(source: Source, scope: cst.CSTNode, name: str) -> Variable:
    values = []
    for one in under(scope):
        if isinstance(one, (cst.Global, cst.Nonlocal)):
            if any(item.name.value == name for item in one.names):
                raise CannotWriteError(f"`{name}` belongs to more than the function")
        elif isinstance(one, cst.Name) and one.value == name and _is_given(source, one):
            values.append(_value(source, one))
    reads = [one for one in _all(scope) if isinstance(one, cst.Name) and one.value == name]
    if values and isinstance(scope, cst.FunctionDef) and name in _parameters(scope):
        raise CannotWriteError(f"`{name}` is a parameter of the function")
    return Variable(tuple(values), tuple(one for one in reads if source.is_read(one)))


def _is_given(source: Source, name: cst.Name) -> bool:
    return source.is_set(name) and not isinstance(source.parent(name), cst.Param)


def _value(source: Source, name: cst.Name) -> cst.BaseExpression:
    target = source.parent(name)
    statement = None if target is None else source.parent(target)
    if isinstance(target, cst.AssignTarget) and isinstance(statement, cst.Assign):
        if len(statement.targets) == 1:
            return statement.value
    elif isinstance(target, cst.AnnAssign) and target.value is not None:
        return target.value
    raise CannotWriteError(f"`{name.value}` is given a value in a way that cannot be followed")


def _all(scope: cst.CSTNode) -> list[cst.CSTNode]:
    found: list[cst.CSTNode] = []
    for child in scope.children:
        found += [child, *_all(child)]
    return found


def _parameters(function: cst.FunctionDef) -> set[str]:
    given = function.params
    found = [*given.params, *given.kwonly_params, *given.posonly_params]
    found += [one for one in (given.star_arg, given.star_kwarg) if isinstance(one, cst.Param)]
    return {one.name.value for one in found}


def comes_before(source: Source, value: cst.CSTNode, use: cst.CSTNode) -> bool:
    """Whether the statement of a value has always run where another one runs."""
    suite = next(one for one in source.above(value) if isinstance(one, (cst.BaseSuite, cst.Module)))
    return suite in source.above(use)
