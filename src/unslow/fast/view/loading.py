"""The *orm* make: objects loaded with what the model reads, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import joinedload, load_only, selectinload

from .needs import Leaf, Node, Other


def loader_options(node: Node) -> Iterator[Any]:
    """The options of the statement that loads a node: a statement per list, joins for the rest."""
    if (only := _columns(node)) is not None:
        yield load_only(*only)
    for related in node.related:
        attribute = getattr(node.mapper.class_, related.attribute)
        load = selectinload(attribute) if related.is_list else joinedload(attribute)
        yield load.options(*loader_options(related.node))


def _columns(node: Node) -> list[Any] | None:
    """The columns to load; none at all to leave out where Python code reads who knows what."""
    if any(isinstance(one, Other) for one in node.fields) or node.mapper.polymorphic_on is not None:
        return None
    if any(one.only_orm for one in node.reasons):
        return None
    return [
        getattr(node.mapper.class_, one.attribute) for one in node.fields if isinstance(one, Leaf)
    ]
