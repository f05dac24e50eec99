"""Which fields a client wants: `?fields=id,posts.title`, checked against the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

from ..errors import BadRequestError
from .needs import Field, Leaf, Node, Related

Tree: TypeAlias = dict[str, "Tree | None"]
"""Fields by their name in the JSON; `None` is for all that is below one."""

MAX_LENGTH = 1_000


def tree_of(fields: str, node: Node) -> Tree:
    """What is asked for, as a tree.

    Raises:
        BadRequestError: A field is not in the model, or the text is too long.
    """
    if len(fields) > MAX_LENGTH:
        raise BadRequestError(f"fields has {len(fields)} characters; wanted at most {MAX_LENGTH}")
    tree: Tree = {}
    for path in fields.split(","):
        _add(tree, path.strip(), node)
    return tree


def _add(tree: Tree, path: str, node: Node) -> None:
    here: Tree = tree
    names = path.split(".")
    for place, name in enumerate(names):
        is_last = place == len(names) - 1
        field = next((one for one in node.fields if one.key == name), None)
        if field is None or not (is_last or isinstance(field, Related)):
            known = ", ".join(one.key for one in node.fields)
            raise BadRequestError(f"there is no field {path!r} to ask for; there are: {known}")
        if is_last:
            here[name] = None
            return
        below = here.setdefault(name, {})
        if below is None:
            # All of it was asked for before.
            return
        here = below
        if isinstance(field, Related):
            node = field.node


def pruned(node: Node, tree: Tree) -> Node:
    """The node with only those fields."""
    fields: list[Field] = []
    for one in node.fields:
        if one.key not in tree:
            continue
        below = tree[one.key]
        if isinstance(one, Related) and below is not None:
            fields.append(replace(one, node=pruned(one.node, below)))
        else:
            fields.append(one)
    return replace(node, fields=tuple(fields))


def included(node: Node, tree: Tree) -> dict[str, Any]:
    """The same for `model_dump_json(include=...)`, by the names of the model."""
    found: dict[str, Any] = {}
    for one in node.fields:
        if one.key not in tree:
            continue
        below = tree[one.key]
        if isinstance(one, Leaf) or not isinstance(one, Related) or below is None:
            found[one.name] = True
            continue
        inner = included(one.node, below)
        found[one.name] = {"__all__": inner} if one.is_list else inner
    return found
