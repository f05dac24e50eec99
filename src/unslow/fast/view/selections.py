"""What of a model is answered: all of it, or the fields that a client asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..database import Database
from ..gathering import Coalesced
from .document import Documents
from .gathered_pages import GatheredPages
from .lists import Pages
from .needs import Node
from .reading import DocumentsByKey, gathered
from .selection import included, pruned, tree_of

_MOST: Final = 64
"""So many texts of clients are kept with their statements; they may ask for any."""


class Selection:
    """Some fields, and the statements whose JSON has only those."""

    def __init__(
        self, node: Node, include: Any, where: Sequence[Any], missing: Any, pages: Pages | None
    ) -> None:
        self._node = node
        self.include = include
        """For pydantic's `dump_json`."""
        self._where = where
        self._missing = missing
        self._pages = pages
        self._written: dict[str, Written] = {}

    def written(self, database: Database, documents: Documents) -> Written:
        """The statements for a driver."""
        found = self._written.get(documents.driver)
        if found is None:
            found = Written(
                database, self._node, documents, self._where, self._missing, self._pages
            )
            self._written[documents.driver] = found
        return found


class Written:
    """The documents of some fields for one driver."""

    def __init__(
        self,
        database: Database,
        node: Node,
        documents: Documents,
        where: Sequence[Any],
        missing: Any,
        pages: Pages | None,
    ) -> None:
        document = documents.document(node, node.mapper.class_)
        by_key = DocumentsByKey(database, node, documents.sent(document), where)
        self.text = by_key.statement.text
        self.by_key: Coalesced[Any, Any] = gathered(by_key, missing)
        self.pages = (
            None if pages is None else GatheredPages(database, pages, document, documents.sent)
        )


class Selections:
    """All that was asked for lately."""

    def __init__(self, node: Node, where: Sequence[Any], missing: Any, pages: Pages | None) -> None:
        self._node = node
        self._where = where
        self._missing = missing
        self._pages = pages
        self._whole = Selection(node, None, where, missing, pages)
        self._found: dict[str, Selection] = {}

    def of(self, fields: str | None) -> Selection:
        """What a client asked for; all of it if it did not.

        Raises:
            BadRequestError: A field is not in the model.
        """
        if fields is None:
            return self._whole
        found = self._found.get(fields)
        if found is None:
            tree = tree_of(fields, self._node)
            include: Mapping[str, Any] = included(self._node, tree)
            node = pruned(self._node, tree)
            found = Selection(node, include, self._where, self._missing, self._pages)
            if len(self._found) >= _MOST:
                del self._found[next(iter(self._found))]
            self._found[fields] = found
        return found
