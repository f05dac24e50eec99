"""The names of a file: where each comes from, and what classes of the models are called there."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import libcst as cst
from libcst.helpers import get_full_name_for_node

from .imports import aliases_of, imports_of, module_name
from .patch import CannotWriteError
from .source import Source

_MOST_FOLDERS: Final = 12
"""How far above a file the folder is looked for that an absolute import begins in."""

Read = Callable[[str], str | None]


class Imported(NamedTuple):
    """Where a name comes from."""

    module: str
    """With leading dots where it is relative; of `import a.b` the module itself."""
    name: str
    """The name in that module; empty where the module itself is imported."""


class Names:
    """What the names of a file mean, for the code of one of its functions."""

    def __init__(self, source: Source, read: Read) -> None:
        self._source = source
        self._read = read

    @cached_property
    def imported(self) -> dict[str, Imported]:
        """By the name in the file; what is only imported for type checkers is not in it."""
        found: dict[str, Imported] = {}
        for one in imports_of(self._source.module):
            found.update(_names_of(one))
        return found

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self._source.text.removeprefix("\ufeff"))

    @cached_property
    def classes(self) -> frozenset[str]:
        """The classes that the file itself defines."""
        return frozenset(one.name for one in self._tree.body if isinstance(one, ast.ClassDef))

    def class_of(self, node: cst.CSTNode) -> str | None:
        """The class that an expression names, as it is called where it is defined."""
        if isinstance(node, cst.Name):
            known = self.imported.get(node.value)
            return node.value if known is None else known.name or None
        if isinstance(node, cst.Attribute) and isinstance(node.value, (cst.Name, cst.Attribute)):
            module = get_full_name_for_node(node.value)
            known = self.imported.get(str(module).partition(".")[0])
            return None if known is None else node.attr.value
        return None

    def comes_from(self, node: cst.BaseExpression, name: str, *packages: str) -> bool:
        """Whether an expression names something of one of some packages."""
        if isinstance(node, cst.Attribute) and node.attr.value == name:
            first = str(get_full_name_for_node(node.value)).partition(".")[0]
            known = self.imported.get(first)
        elif isinstance(node, cst.Name):
            known = self.imported.get(node.value)
            if known is not None and known.name != name:
                return False
        else:
            return False
        return known is not None and known.module.partition(".")[0] in packages

    def is_free(self, name: str) -> bool:
        """Whether nothing in the file is called so."""
        return name not in self.imported and not self._is_used(name) and not self.is_rebound(name)

    def _is_used(self, name: str) -> bool:
        nodes = (one for one in ast.walk(self._tree) if isinstance(one, ast.Name))
        return any(one.id == name for one in nodes)

    def is_rebound(self, name: str) -> bool:
        """Whether something else than an import gives a name a value, anywhere in the file."""
        return any(name in _bound(one) for one in ast.walk(self._tree))

    def loader(self, name: str) -> tuple[str, bool]:
        """How a loader option of SQLAlchemy is written, and whether it has to be imported.

        Raises:
            CannotWriteError: the name means something else in the file.
        """
        from_orm = [one for one in self.imported.items() if one[1].module == "sqlalchemy.orm"]
        for here, there in from_orm:
            if there.name == name and not self.is_rebound(here):
                return here, False
        if all(not there.name for _, there in from_orm):
            modules = [here for here, there in from_orm if not there.name and "." not in here]
            modules += [
                here for here, there in self.imported.items() if there == ("sqlalchemy", "orm")
            ]
            if modules:
                return f"{modules[0]}.{name}", False
        if not self.is_free(name):
            raise CannotWriteError(f"`{name}` means something else in the file")
        return name, True

    def entity(self, name: str, attribute: str, root: cst.BaseExpression) -> tuple[str, str]:
        """How another class of the models is written, and the module it has to be imported from.

        Args:
            name: The class, by its own name.
            attribute: A relationship or column that it has.
            root: The class at hand, as the statement names it.

        Returns:
            The code, and a module, which is empty where nothing has to be imported.

        Raises:
            CannotWriteError: it cannot be shown where it is.
        """
        code = self._source.code(root)
        if self.class_of(root) == name:
            return code, ""
        if isinstance(root, cst.Attribute):
            module = self._module_of(root.value)
            if module is not None and self._stands_in(name, module):
                return f"{code.rpartition('.')[0]}.{name}", ""
            raise CannotWriteError(f"it cannot be shown where `{name}` is defined")
        here = self._known_as(name, attribute, self.imported.get(code))
        if here is not None:
            return here, ""
        if not self.is_free(name):
            raise CannotWriteError(f"`{name}` may be something else in the file")
        return name, self._home_of(name, attribute, self.imported.get(code))

    def _known_as(self, name: str, attribute: str, root: Imported | None) -> str | None:
        """What a class is called in the file already, where that is certain."""
        for here, there in self.imported.items():
            if there.name != name or self.is_rebound(here):
                continue
            if root is not None and there.module == root.module:
                return here
            if self._defines(there.module, name, attribute):
                return here
        return name if name in self.classes and name not in self.imported else None

    def _home_of(self, name: str, attribute: str, root: Imported | None) -> str:
        """The module that a class is imported from, beside another one."""
        if root is not None and self._stands_in(name, root.module):
            return root.module
        for module in () if root is None else self._imported_by(root.module, name):
            if self._defines(module, name, attribute):
                return module
        raise CannotWriteError(f"it cannot be shown where `{name}` is to be imported from")

    def _imported_by(self, module: str, name: str) -> Iterator[str]:
        """Where a module has a class from.

        Also where it imports it for type checkers only: the models of a package know each other so.
        """
        tree = self._module(module)
        for one in () if tree is None else ast.walk(tree):
            if isinstance(one, ast.ImportFrom) and name in _offered(one):
                yield _beside(module, "." * one.level + (one.module or ""))

    def _module_of(self, node: cst.BaseExpression) -> str | None:
        full = get_full_name_for_node(node)
        if full is None:
            return None
        first, _, rest = full.partition(".")
        known = self.imported.get(first)
        if known is None:
            return None
        if not known.name:
            # `import a.b` makes `a` known; `import a.b as c` makes `a.b` known as `c`.
            return full if known.module.partition(".")[0] == first else _joined(known.module, rest)
        return _joined(_joined(known.module, known.name), rest)

    def _stands_in(self, name: str, module: str) -> bool:
        tree = self._module(module)
        return tree is not None and any(name in _offered(one) for one in tree.body)

    def _defines(self, module: str, name: str, attribute: str) -> bool:
        tree = self._module(module)
        for one in () if tree is None else tree.body:
            if isinstance(one, ast.ClassDef) and one.name == name:
                return any(attribute in _bound(part) for part in ast.walk(one))
        return False

    def _module(self, module: str) -> ast.Module | None:
        """The tree of a module, where its file is found and can be read."""
        for path in self._paths(module):
            text = self._read(str(path))
            if text is not None:
                try:
                    return ast.parse(text.removeprefix("\ufeff"))
                except (SyntaxError, ValueError):
                    return None
        return None

    def _paths(self, module: str) -> Iterator[Path]:
        name = module.lstrip(".")
        level = len(module) - len(name)
        folders = list(Path(self._source.path).parents)
        folders = folders[level - 1 : level] if level else folders[:_MOST_FOLDERS]
        for folder in folders:
            path = folder.joinpath(*name.split(".")) if name else folder
            yield path.with_name(f"{path.name}.py")
            yield path / "__init__.py"


def _joined(module: str, rest: str) -> str:
    if not rest:
        return module
    return f"{module}{rest}" if module.endswith(".") else f"{module}.{rest}"


def _beside(module: str, name: str) -> str:
    """What a module calls by a relative name, as the one calls it that imports the module."""
    bare = name.lstrip(".")
    level = len(name) - len(bare)
    if not level:
        return name
    parts = [one for one in module.split(".") if one]
    dots = "." * (len(module) - len(module.lstrip(".")) + max(0, level - len(parts)))
    return dots + ".".join([*parts[:-level], *([bare] if bare else [])])


def _offered(node: ast.stmt) -> set[str]:
    """The classes that a statement of a module defines or brings in."""
    if isinstance(node, ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.ImportFrom):
        return {one.asname or one.name for one in node.names}
    return set()


def _bound(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        return {node.name} if node.name else set()
    return set()


def _names_of(node: cst.Import | cst.ImportFrom) -> Iterator[tuple[str, Imported]]:
    if isinstance(node, cst.Import):
        for one in node.names:
            full = str(get_full_name_for_node(one.name))
            here = one.evaluated_alias or full.partition(".")[0]
            yield here, Imported(full, "")
        return
    for one in aliases_of(node):
        yield (
            one.evaluated_alias or one.evaluated_name,
            Imported(module_name(node), one.evaluated_name),
        )
