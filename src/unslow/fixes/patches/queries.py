"""The statement that a line sends, and where its loader options are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import libcst as cst

from .chains import Chain, argument, chain_of
from .layout import Insertion
from .names import Names
from .patch import CannotWriteError
from .source import Source, under, within
from .variables import comes_before, variable_of

_SENDS: Final = ("execute", "scalars", "scalar", "stream", "stream_scalars", "exec")
"""Methods of sessions that take a statement; `exec` is SQLModel's."""
_GETS: Final = ("get", "get_one")
_LIBRARIES: Final = ("sqlalchemy", "sqlmodel")
_KEEPS: Final = frozenset(
    {
        "add_columns",
        "correlate",
        "distinct",
        "execution_options",
        "fetch",
        "filter",
        "filter_by",
        "group_by",
        "having",
        "join",
        "join_from",
        "limit",
        "offset",
        "options",
        "order_by",
        "outerjoin",
        "outerjoin_from",
        "params",
        "prefix_with",
        "select_from",
        "slice",
        "suffix_with",
        "where",
        "with_for_update",
        "with_hint",
        "with_statement_hint",
    }
)
"""Methods of `select` after which it still is one of the same classes."""

Add = Callable[[Sequence[str]], list[Insertion]]


class Opening(NamedTuple):
    """Where the options of a statement are written."""

    entity: cst.BaseExpression
    """The class, as the statement names it."""
    options: tuple[cst.BaseExpression, ...]
    """Those that are there already."""
    add: Add
    """Writes further options."""
    sent: cst.Call | None = None
    """The call that sends it and gives back its result; None where that is the object itself."""


class _Candidate(NamedTuple):
    call: cst.CSTNode
    opening: Opening | CannotWriteError


class Queries:
    """The statements of a file for one class."""

    def __init__(self, source: Source, names: Names, entity: str) -> None:
        self._source = source
        self._names = names
        self._entity = entity

    def opening(self, statement: cst.CSTNode, line: int) -> Opening:
        """Where the options belong of what a statement of the file sends.

        Raises:
            CannotWriteError: it cannot be told with certainty.
        """
        found = list(self._candidates(statement))
        if len(found) > 1:
            found = [one for one in found if line in self._lines_of(one.call)] or found
        if not found:
            raise CannotWriteError(f"no statement for `{self._entity}` is found there")
        if len(found) > 1:
            raise CannotWriteError("several statements are sent there")
        opening = found[0].opening
        if isinstance(opening, CannotWriteError):
            raise opening
        return opening

    def _candidates(self, statement: cst.CSTNode) -> Iterator[_Candidate]:
        for node in within(statement):
            if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
                try:
                    found = self._of_call(node, node.func.attr.value)
                except CannotWriteError as error:
                    yield _Candidate(node, error)
                    continue
                if found is not None:
                    is_query = node.func.attr.value == "query"
                    yield _Candidate(self._top(node) if is_query else node, found)
            elif isinstance(node, cst.Name) and self._source.is_read(node):
                found = self._of_query_variable(node)
                if found is not None:
                    yield _Candidate(self._top(node), found)

    def _of_call(self, call: cst.Call, method: str) -> Opening | None:
        if method in _GETS:
            return self._of_get(call)
        if method == "query" and (entity := self._entity_in(call)) is not None:
            chain = chain_of(self._top(call))
            return self._behind_query(chain, entity)
        if method not in _SENDS:
            return None
        given = argument(call, 0, "statement")
        if given is None or isinstance(given.value, (cst.BaseNumber, cst.BaseString)):
            return None
        found = self._of_statement(given.value)
        if found is None or method == "scalar":
            return found
        return found._replace(sent=call)

    def _of_get(self, call: cst.Call) -> Opening | None:
        given = argument(call, 0, "entity")
        if given is None or self._names.class_of(given.value) != self._entity:
            return None
        if any(one.star == "**" for one in call.args):
            raise CannotWriteError("`**` may bring options of its own")
        options = argument(call, 2, "options")
        if options is None:
            return Opening(given.value, (), lambda codes: self._with_keyword(call, codes))
        held = options.value
        if not isinstance(held, (cst.List, cst.Tuple)) or not held.elements:
            raise CannotWriteError("its `options` are no list that stands there")
        there = tuple(one.value for one in held.elements)
        return Opening(given.value, there, lambda codes: self._appended(held.elements, codes))

    def _with_keyword(self, call: cst.Call, codes: Sequence[str]) -> list[Insertion]:
        return self._appended(call.args, [f"options=[{', '.join(codes)}]"])

    def _of_statement(self, node: cst.BaseExpression) -> Opening | None:
        """None where it is a statement for something else."""
        chain = chain_of(node)
        if isinstance(chain.root, cst.Name):
            return self._of_variable(chain, chain.root)
        entity = self._selected(node)
        if entity is None:
            return None
        if self._is_select(chain.root):
            return self._behind(chain, entity)
        return self._behind(chain, entity, self._options_of(chain.root))

    def _of_variable(self, chain: Chain, name: cst.Name) -> Opening | None:
        entity = self._selected(chain.whole)
        if entity is None:
            return None
        variable = variable_of(self._source, name)
        value = chain_of(variable.values[0])
        if len(variable.values) == len(variable.reads) == 1 and self._is_before(value.whole, name):
            return self._behind(value, entity, self._options_of(value.root))
        return self._behind(chain, entity, self._options_of(name))

    def _options_of(
        self, root: cst.BaseExpression, seen: frozenset[str] = frozenset()
    ) -> list[cst.BaseExpression]:
        """The options of what a variable holds or a function returns, however it came to them."""
        key = self._key(root)
        if key in seen or self._is_select(root):
            return []
        chains = [chain_of(one) for one in self._values(root)]
        own = [option for chain in chains for option in _options(chain)]
        return own + [one for chain in chains for one in self._options_of(chain.root, seen | {key})]

    def _key(self, root: cst.BaseExpression) -> str:
        """Two functions may have variables of one name."""
        return f"{self._source.qualified_name(root)} {self._source.code(root)}"

    def _is_before(self, value: cst.BaseExpression, use: cst.Name) -> bool:
        same = self._source.function_of(value) is self._source.function_of(use)
        return same and comes_before(self._source, value, use)

    def _selected(
        self, node: cst.BaseExpression, seen: frozenset[str] = frozenset()
    ) -> cst.BaseExpression | None:
        """The class of a `select`, followed through variables and functions; None for others.

        Raises:
            CannotWriteError: it cannot be told what it is.
        """
        chain = chain_of(node)
        for one in chain.links:
            if one.name not in _KEEPS:
                raise CannotWriteError(f"it cannot be seen what `.{one.name}()` gives")
        root = chain.root
        if isinstance(root, cst.Call) and self._is_select(root):
            return self._entity_in(root)
        key = self._key(root)
        if key in seen:
            raise CannotWriteError("the statement is built from itself")
        values = [one for one in self._values(root) if not self._is_own(one, root)]
        return self._same(values, seen | {key})

    def _values(self, root: cst.BaseExpression) -> Sequence[cst.BaseExpression]:
        """All that a variable is given, or a function returns."""
        if isinstance(root, cst.Name):
            return variable_of(self._source, root).values
        return self._returned(root)

    def _same(
        self, values: Sequence[cst.BaseExpression], seen: frozenset[str]
    ) -> cst.BaseExpression | None:
        found = [self._selected(one, seen) for one in values]
        codes = {"" if one is None else self._source.code(one) for one in found}
        if len(codes) != 1:
            raise CannotWriteError("it is not always the same statement")
        return found[0]

    def _is_own(self, value: cst.BaseExpression, name: cst.BaseExpression) -> bool:
        """Whether it only goes on with the same variable: `wanted = wanted.where(...)`."""
        chain = chain_of(value)
        is_same = isinstance(chain.root, cst.Name) and isinstance(name, cst.Name)
        if not is_same or self._source.code(chain.root) != self._source.code(name):
            return False
        return all(one.name in _KEEPS for one in chain.links)

    def _returned(self, root: cst.BaseExpression) -> list[cst.BaseExpression]:
        """What a function of the same file returns, where it is called."""
        function = root.func if isinstance(root, cst.Call) else None
        if isinstance(function, cst.Name):
            for one in self._source.module.body:
                if isinstance(one, cst.FunctionDef) and one.name.value == function.value:
                    found = [part.value for part in under(one) if isinstance(part, cst.Return)]
                    values = [value for value in found if value is not None]
                    if values and len(values) == len(found) and one.asynchronous is None:
                        return values
        raise CannotWriteError("the statement is built elsewhere")

    def _is_select(self, node: cst.BaseExpression) -> bool:
        return isinstance(node, cst.Call) and self._names.comes_from(
            node.func, "select", *_LIBRARIES
        )

    def _entity_in(self, call: cst.Call) -> cst.BaseExpression | None:
        for one in call.args:
            if self._names.class_of(one.value) == self._entity:
                return one.value
        return None

    def _of_query_variable(self, name: cst.Name) -> Opening | None:
        """For a name that holds a legacy query."""
        try:
            variable = variable_of(self._source, name)
        except CannotWriteError:
            return None
        chains = [chain_of(one) for one in variable.values if not self._is_own(one, name)]
        entities = [self._queried(one.root) for one in chains]
        entity = entities[0] if len(entities) == 1 else None
        if entity is None:
            return None
        is_only = len(variable.values) == len(variable.reads) == 1
        if is_only and self._is_before(variable.values[0], name):
            return self._behind_query(chains[0], entity)
        there = [one for value in variable.values for one in _options(chain_of(value))]
        return self._behind_query(chain_of(self._top(name)), entity, there)

    def _queried(self, root: cst.BaseExpression) -> cst.BaseExpression | None:
        if isinstance(root, cst.Call) and isinstance(root.func, cst.Attribute):
            return self._entity_in(root) if root.func.attr.value == "query" else None
        return None

    def _behind_query(
        self,
        chain: Chain,
        entity: cst.BaseExpression,
        elsewhere: Sequence[cst.BaseExpression] = (),
    ) -> Opening:
        there = (*elsewhere, *_options(chain))
        if calls := chain.named("options"):
            return Opening(entity, there, lambda codes: self._appended(calls[-1].call.args, codes))
        following = chain.links[0].method.dot if chain.links else None
        return Opening(entity, there, lambda codes: self._call_behind(chain.root, following, codes))

    def _behind(
        self,
        chain: Chain,
        entity: cst.BaseExpression,
        elsewhere: Sequence[cst.BaseExpression] = (),
    ) -> Opening:
        options = (*elsewhere, *_options(chain))
        if calls := [one for one in chain.named("options") if one.call.args]:
            return Opening(
                entity, options, lambda codes: self._appended(calls[-1].call.args, codes)
            )
        last = chain.links[-1].method.dot if chain.links else None
        return Opening(entity, options, lambda codes: self._call_behind(chain.whole, last, codes))

    def _call_behind(
        self, node: cst.BaseExpression, like: cst.Dot | None, codes: Sequence[str]
    ) -> list[Insertion]:
        """A call of `.options` behind a node, on a line of its own where another dot has one."""
        _, end = self._source.span(node)
        return [called_behind(self._source, end, like, f".options({', '.join(codes)})")]

    def _appended(
        self,
        elements: Sequence[cst.Arg] | Sequence[cst.BaseElement],
        codes: Sequence[str],
    ) -> list[Insertion]:
        """Further elements in brackets, each on its own line where the others have one."""
        source = self._source
        last = elements[-1]
        _, end = source.whole_span(last.value)
        has_comma = isinstance(last.comma, cst.Comma)
        behind = source.text.index(",", end) + 1 if has_comma else end
        starts = [source.span(one)[0] for one in elements]
        is_spread = has_comma or len(elements) > 1
        if not is_spread or not all(source.begins_line(one) for one in starts):
            code = ", ".join(codes)
            return [Insertion(behind, f" {code}" if has_comma else f", {code}")]
        gap = source.newline + source.indent_at(starts[-1])
        lines = f",{gap}".join(codes) + ("," if has_comma else "")
        line = source.behind_line(behind)
        if has_comma or line == behind:
            return [Insertion(line, f"{'' if has_comma else ','}{gap}{lines}")]
        return [Insertion(behind, ","), Insertion(line, gap + lines)]

    def _top(self, node: cst.BaseExpression) -> cst.BaseExpression:
        """All calls on an expression."""
        method = self._source.parent(node)
        call = None if method is None else self._source.parent(method)
        while isinstance(method, cst.Attribute) and isinstance(call, cst.Call):
            node = call
            method = self._source.parent(node)
            call = None if method is None else self._source.parent(method)
        return node

    def _lines_of(self, node: cst.CSTNode) -> set[int]:
        """Where Python says that a call is: at its name, or at its `await`."""
        source = self._source
        parent = source.parent(node)
        if isinstance(parent, cst.Await):
            return {source.line_of(source.span(parent)[0])}
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
            return {source.line_of(source.span(node.func.attr)[0])}
        return {source.line_of(source.span(node)[0])}


def called_behind(source: Source, end: int, like: cst.Dot | None, code: str) -> Insertion:
    """A call behind an offset, on a line of its own where another dot of the chain has one."""
    dot = None if like is None else _offset_of(source, like)
    if dot is None or not source.begins_line(dot):
        return Insertion(end, code)
    return Insertion(source.behind_line(end), source.newline + source.indent_at(dot) + code)


def _offset_of(source: Source, dot: cst.Dot) -> int:
    _, end = source.span(dot)
    return source.text.rindex(".", 0, end)


def _options(chain: Chain) -> Iterator[cst.BaseExpression]:
    for one in chain.named("options"):
        for given in one.call.args:
            yield given.value
