"""What is wrong with each endpoint of a sample app, and at which lines.

The mistakes are marked where they stand, by a comment at the end of the line:

- `# finding: RULE` is a line where a rule should point. A statement of several lines is marked as a
  whole, and marks of one rule in one function are one mistake: each of their lines is right.
- `# touched: RULE` is the other line of a lazy load or of a held connection.

One comment may say both, separated by `;`, each with several rules, by `,`. The table `truth.py` of
each app says which routes run over a mark; `expected` puts both together. Its ARGUABLE lists what
one reader calls a mistake of an operation and another does not: there, a finding of that rule
counts neither as right nor as wrong.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

Kind = Literal["finding", "touched"]
MARK = re.compile(r"\b(finding|touched): *([a-z-]+(?: *, *[a-z-]+)*)")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

RULES = frozenset(
    {
        "lazy-load-loop",
        "repeated-query",
        "duplicate-query",
        "unused-relationship",
        "unused-columns",
        "discarded-rows",
        "unbounded-list",
        "deep-offset",
        "slow-statement",
        "cartesian-join",
        "literal-in-sql",
        "pool-wait",
        "held-connection",
        "connection-per-request",
        "pool-settings",
        "blocking-call",
        "long-step",
        "thread-starvation",
        "serial-awaits",
        "missing-timeout",
        "client-per-request",
        "repeated-remote-call",
        "side-effect-in-request",
        "slow-serialization",
        "large-response",
        "uncompressed-response",
        "entity-response",
        "double-validation",
        "repeatable-response",
    }
)
ANYWHERE_IN_FUNCTION = frozenset({"long-step"})
"""Rules whose place is some line of the function that the mark stands in."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One mistake of one endpoint, as the table of an app writes it."""

    operation: str
    """Method and route, such as `GET /orders/{order_id}`."""
    rule: str
    """The id of the rule."""
    file: str
    """The file of the mark, relative to the app's folder."""
    function: str
    """The function that the mark stands in, with its class where it has one."""
    touched: tuple[str, str] | None = None
    """The file and the function of the mark `touched`, where there is one."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One comment in the source of an app."""

    kind: Kind
    rule: str
    file: str
    function: str
    lines: tuple[int, ...]
    """The lines of the marked statement, or of the head of a `def`, `with` or `for`."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One mistake of one endpoint, with its lines."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the route."""
    rule: str
    """The id of the rule."""
    path: Path
    """The file that the rule should point to."""
    function: str
    """The function that the rule should point to, with its class where it has one."""
    lines: tuple[int, ...]
    """The lines that are right: a finding may name any one of them."""
    touched: tuple[tuple[Path, tuple[int, ...]], ...]
    """Files and lines of what the rule may name beside it; empty where nothing is known."""


class TruthError(Exception):
    """Marks and tables of an app disagree."""


def expected(folder: Path, table: Iterable[Planted]) -> tuple[Truth, ...]:
    """The mistakes of a table, with the lines of their marks.

    Raises:
        TruthError: An entry has no mark; write one, or correct the entry.
    """
    return tuple(_resolve(folder, each) for each in table)


def _resolve(folder: Path, planted: Planted) -> Truth:
    found = _marks_of(folder, "finding", planted.rule, planted.file, planted.function)
    touched = (
        _marks_of(folder, "touched", planted.rule, *planted.touched) if planted.touched else ()
    )
    method, route = planted.operation.split(" ")
    return Truth(
        method,
        route,
        planted.rule,
        folder / planted.file,
        planted.function,
        tuple(sorted({line for mark in found for line in mark.lines})),
        tuple((folder / mark.file, mark.lines) for mark in touched),
    )


def _marks_of(folder: Path, kind: Kind, rule: str, file: str, function: str) -> tuple[Mark, ...]:
    wanted = (kind, rule, file, function)
    found = tuple(
        mark for mark in marks(folder) if (mark.kind, mark.rule, mark.file, mark.function) == wanted
    )
    if not found:
        raise TruthError(f"{folder.name}: no mark {kind}: {rule} in {function} of {file}")
    return found


@lru_cache
def marks(folder: Path) -> tuple[Mark, ...]:
    """All marks in the sources of an app."""
    return tuple(mark for path in sorted(folder.rglob("*.py")) for mark in _marks_in(folder, path))


def _marks_in(folder: Path, path: Path) -> Iterator[Mark]:
    source = path.read_text()
    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            for kind, rules in MARK.findall(token.string):
                around = [each for each in statements if token.start[0] in _span(each)]
                for rule in re.split(r" *, *", rules):
                    yield _mark(str(path.relative_to(folder)), kind, rule, around)


def _mark(file: str, kind: Kind, rule: str, around: list[ast.stmt]) -> Mark:
    """The mark on the innermost of the statements that hold its line."""
    # From the outermost to the innermost.
    around = sorted(around, key=lambda each: -len(_span(each)))
    owners = [each for each in around if isinstance(each, (*FUNCTIONS, ast.ClassDef))]
    function = next(each for each in reversed(owners) if isinstance(each, FUNCTIONS))
    lines = _span(function) if rule in ANYWHERE_IN_FUNCTION else _head(around[-1])
    return Mark(kind, rule, file, ".".join(each.name for each in owners), tuple(lines))


def _span(statement: ast.stmt) -> range:
    # For Python a function begins with its first decorator.
    decorators = statement.decorator_list if isinstance(statement, FUNCTIONS) else []
    first = min([statement.lineno, *(each.lineno for each in decorators)])
    return range(first, (statement.end_lineno or first) + 1)


def _head(statement: ast.stmt) -> range:
    """The lines of a statement, without those of the block that it opens."""
    block: list[ast.stmt] = getattr(statement, "body", [])
    span = _span(statement)
    return range(span.start, block[0].lineno) if block else span
