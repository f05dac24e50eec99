"""What an endpoint returned: of what kind, how many, and which field of its model reads what."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from textwrap import dedent
from typing import Any, Final, get_args

from .place import PackedPlace

_FIELDS_KEPT: Final = 2_000
_DEEPEST: Final = 8
_LISTS: Final = (list, tuple)

Note = tuple[Any, Any, bool]
"""The value, the field that validates it, and whether pydantic-core makes the bytes."""


def returned_of(note: Note | None) -> tuple[str, int, bool, bool, bool] | None:
    """The fields of a `model.trace.Returned`."""
    if note is None:
        return None
    value, field, is_fast = note
    items = _items(value)
    first = value if items is None else next(iter(items), None)
    kind = _kind(first)
    is_own = kind == "model" and field is not None and type(first) in _models_of(field)
    return kind, 1 if items is None else len(items), field is not None, is_own, is_fast


def _items(value: Any) -> Any:
    """The list that a value is or holds, the longest one; None for a single thing."""
    if isinstance(value, _LISTS) and not hasattr(value, "_fields"):
        return value
    inner: Mapping[str, Any] = {}
    if isinstance(value, dict):
        inner = value
    elif _kind(value) == "model":
        inner = vars(value)
    longest: Any = None
    for one in inner.values():
        if isinstance(one, _LISTS) and (longest is None or len(one) > len(longest)):
            longest = one
    return longest


def _kind(value: Any) -> str:
    kind = type(value)
    if kind is dict:
        # The most frequent one; what is not there takes the longest to look for.
        return "dict"
    if hasattr(kind, "__mapper__"):
        return "entity"
    if hasattr(kind, "__pydantic_fields__"):
        return "model"
    if isinstance(value, dict):
        return "dict"
    return "row" if hasattr(kind, "_mapping") else "other"


_declared: dict[int, tuple[Any, frozenset[type]]] = {}
"""By the response field, which is kept alive: the models that its type is made of."""


def _models_of(field: Any) -> frozenset[type]:
    known = _declared.get(id(field))
    if known is None:
        if len(_declared) >= _FIELDS_KEPT:
            _declared.clear()
        known = _declared[id(field)] = (field, frozenset(_models(_type_of(field))))
    return known[1]


_fields: dict[tuple[int, str], tuple[Any, PackedPlace | None]] = {}
"""By the response field, which is kept alive, and the attribute."""


def field_read(note: Note | None, relationship: Any) -> PackedPlace | None:
    """The field of a response model that reads an attribute: its line, named `Model.field`."""
    if note is None or note[1] is None or relationship is None:
        return None
    entity, _, attribute = str(relationship).rpartition(".")
    del entity
    key = id(note[1]), attribute
    known = _fields.get(key)
    if known is None:
        if len(_fields) >= _FIELDS_KEPT:
            _fields.clear()
        known = _fields[key] = (note[1], _find(note[1], attribute))
    return known[1]


def _find(field: Any, attribute: str) -> PackedPlace | None:
    for model in _models(_type_of(field)):
        for name, info in getattr(model, "__pydantic_fields__", {}).items():
            if attribute in _read_by(name, info):
                return _line_of(model, name)
    return None


def _read_by(name: str, info: Any) -> Iterator[str]:
    """The attributes that a field may take its value from."""
    yield name
    alias = info.validation_alias or info.alias
    for one in getattr(alias, "choices", (alias or name,)):
        # An `AliasPath` begins at an attribute.
        yield str(next(iter(getattr(one, "path", (one,)))))


def _type_of(field: Any) -> Any:
    info = getattr(field, "field_info", None)
    return getattr(info, "annotation", None)


def _models(kind: Any) -> Iterator[type]:
    """The models that a type is made of, outer ones first."""
    waiting, seen = [(kind, 0)], set()
    while waiting:
        one, depth = waiting.pop(0)
        if depth > _DEEPEST or id(one) in seen:
            continue
        seen.add(id(one))
        fields = getattr(one, "__pydantic_fields__", None)
        if isinstance(one, type) and fields is not None:
            yield one
            waiting += [(info.annotation, depth + 1) for info in fields.values()]
        waiting += [(inner, depth + 1) for inner in get_args(one)]


def _line_of(model: type, attribute: str) -> PackedPlace | None:
    """The line of a field; of a field that is inherited that of the base which has it."""
    for base in model.__mro__:
        if attribute not in getattr(base, "__annotations__", {}):
            continue
        try:
            lines, first = inspect.getsourcelines(base)
            file = inspect.getsourcefile(base)
        except (OSError, TypeError):
            break
        number = first + _lines_above(attribute, dedent("".join(lines)))
        return (str(file), number, f"{model.__qualname__}.{attribute}")
    module = sys.modules.get(model.__module__)
    file = getattr(module, "__file__", None)
    return None if file is None else (file, 1, f"{model.__qualname__}.{attribute}")


def _lines_above(attribute: str, source: str) -> int:
    """How many lines of a class stand above the one that annotates an attribute; 0 if unknown."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return 0
    return next(
        (
            node.lineno - 1
            for node in ast.iter_child_nodes(tree.body[0])
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == attribute
        ),
        0,
    )
