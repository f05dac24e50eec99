"""Asks once for all keys, in place of once for each.

Changes: the statement of a loop becomes one with `= ANY(...)` or `.in_(...)`, sent before the loop,
which then looks its rows up by their key.
Does not pay: where most of the keys are the same few and are kept between requests, or where the
loop nearly always ends at its first rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import libcst as cst

from ...diagnose.views import is_write
from ...model.proof import Arm
from ...model.trace import Place, Statement
from .advice import told, where
from .chains import chain_of
from .patch import Patch, Subject
from .senders import ASYNCPG, PSYCOPG, Sender, sender_of, style_of
from .shapes import Batch, batch_of, quoted, shown

_FIX: Final = "batch-by-key"
_POSTGRESQL: Final = ("asyncpg", "psycopg", "pg8000")
_GATHERED: Final = "unslow.fast"
"""The driver of what `coalesce`, `View` and `ingest` send for all that wait at one moment."""
_MOST_IN_LINE: Final = 60


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The statement that asks, or writes, once."""
    return (Arm(_FIX, _Loop.of(subject).says),)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says what to send in place of the loop: who reads its rows has to be changed with it."""
    loop = _Loop.of(subject)
    if loop.is_gathered:
        return Patch(advice=_of_gathered(loop))
    return Patch(advice=_of_writes(loop) if loop.is_write else _of_reads(loop))


class _Loop(NamedTuple):
    """A statement that is sent once per row."""

    place: Place | None
    parent: Place | None
    """The line that sends the statement whose rows bring the keys."""
    sender: Sender | None
    style: str
    batch: Batch | None
    entity: str
    """The class that the ORM is asked for, with its attribute: `Book.id`; empty without."""
    has_many: bool
    """Whether a key may have several rows."""
    is_write: bool
    has_arrays: bool
    is_gathered: bool
    """Whether all that wait at one moment are sent as one already."""

    @classmethod
    def of(cls, subject: Subject) -> _Loop:
        """What the recording and the source say of it."""
        finding = subject.finding
        sent = list(_sent(subject))
        driver = sent[0][0].driver if sent else ""
        sender = sender_of(subject, finding.place)
        style = style_of(sender, driver)
        has_arrays = not driver or driver.startswith(_POSTGRESQL)
        batch = batch_of(finding.shape, style, has_arrays=has_arrays)
        rows = [one.rows_count or 0 for one, _ in sent]
        return cls(
            place=finding.place,
            parent=next((place for _, place in sent if place is not None), None),
            sender=sender,
            style=style,
            batch=batch,
            entity=_entity(sender, batch.name) if sender is not None and batch else "",
            has_many=max(rows, default=0) > 1,
            is_write=is_write(finding.shape),
            has_arrays=has_arrays,
            is_gathered=driver == _GATHERED,
        )

    @property
    def says(self) -> str:
        """What is sent then, as short as it can be said."""
        if self.is_gathered:
            return "asyncio.gather(...)"
        if self.is_write:
            return "executemany(...)"
        if self.batch is None:
            return "WHERE key = ANY(...)"
        if self.entity and not self.batch.is_counted:
            owner = self.entity.rpartition(".")[0]
            return f"select({owner}).where({self.entity}.in_(keys))"
        return shown(self.batch.statement) or f"WHERE {self.batch.condition}"


def _sent(subject: Subject) -> Iterator[tuple[Statement, Place | None]]:
    """The statements of the finding, each with the line whose rows led to it."""
    finding = subject.finding
    for trace in subject.traces:
        for one in trace.statements:
            if one.shape == finding.shape and one.place == finding.place:
                has_parent = 0 <= one.parent < len(trace.statements)
                yield one, trace.statements[one.parent].place if has_parent else None


def _entity(sender: Sender, column: str) -> str:
    """The attribute that is compared with the key, where the ORM asks for its class."""
    first = sender.call.args[0].value if sender.call.args else None
    if sender.method in ("get", "get_one") and first is not None:
        return f"{sender.source.code(first)}.{column}"
    selected = {name for one in sender.expressions() for name in _selected(one, sender)}
    for one in sender.expressions():
        if isinstance(one, cst.Comparison) and isinstance(one.left, cst.Attribute):
            owner = sender.source.code(one.left.value)
            is_equal = isinstance(one.comparisons[0].operator, cst.Equal)
            if is_equal and one.left.attr.value == column and owner in selected:
                return f"{owner}.{column}"
    return ""


def _selected(node: cst.CSTNode, sender: Sender) -> Iterator[str]:
    """The class of `select(Book)` or `session.query(Book)`."""
    root = chain_of(node).root if isinstance(node, cst.BaseExpression) else None
    if not isinstance(root, cst.Call) or len(root.args) != 1:
        return
    function = root.func.attr if isinstance(root.func, cst.Attribute) else root.func
    if isinstance(function, cst.Name) and function.value in ("select", "query"):
        name = sender.names.class_of(root.args[0].value)
        if name is not None and name[:1].isupper():
            yield sender.source.code(root.args[0].value)


def _of_gathered(loop: _Loop) -> str:
    mapped = "events.add, rows" if loop.is_write else "look_up, keys"
    return told(
        f"{where(loop.place)}, waits for one before it asks for the next.",
        "await them together: what is asked for at one moment is one statement.",
        "`add_many` stores all or none." if loop.is_write else "",
        code=f"await asyncio.gather(*map({mapped}))",
    )


def _of_reads(loop: _Loop) -> str:
    keys = f"; the rows of {where(loop.parent)}, bring the keys" if loop.parent else ""
    expanding = (
        'It wants `bindparam("keys", expanding=True)`.'
        if loop.batch and not (loop.has_arrays or loop.entity)
        else ""
    )
    missing = " (a key that has none is not among them)" if _is_counted(loop) else ""
    return told(
        f"{where(loop.place)}, sends it once per row{keys}.",
        "collect the keys, ask once before the loop, and look each row up by its key: they come in"
        f" another order{missing}.",
        _where_uncertain(loop),
        expanding,
        code="\n".join(_code(loop)),
    )


def _is_counted(loop: _Loop) -> bool:
    return loop.batch is not None and loop.batch.is_counted


def _where_uncertain(loop: _Loop) -> str:
    if loop.batch is None:
        return "the column that takes the key becomes `= ANY(...)`."
    if loop.batch.statement or loop.entity:
        return ""
    return (
        f"take `{loop.batch.condition}` in place of the one key; a LIMIT or a DISTINCT held for"
        " each key, so it becomes `DISTINCT ON`, or `row_number()` over the key."
    )


def _code(loop: _Loop) -> Iterator[str]:
    """The new lines, where they are known."""
    batch, sender = loop.batch, loop.sender
    if batch is None or not (loop.says.startswith("select(") or batch.statement):
        return
    on = sender.on if sender is not None else ""
    wait = sender.wait if sender is not None else ""
    if loop.says.startswith("select("):
        yield f"rows = {wait}{on or 'session'}.scalars({loop.says})"
        yield from _by_key(f"row.{batch.name}", "rows", loop)
        return
    statement = shown(batch.statement)
    if not statement:
        return
    literal = quoted(statement)
    if len(literal) > _MOST_IN_LINE:
        yield f"query = {literal}"
        literal = "query"
    if loop.style == ASYNCPG:
        yield f"rows = {wait or 'await '}{on or 'connection'}.fetch({literal}, keys)"
        yield from _by_key(f'row["{batch.name}"]', "rows", loop)
    elif loop.style == PSYCOPG:
        yield f"found = {wait}{on or 'connection'}.execute({literal}, [keys])"
        yield from _by_key(f'row["{batch.name}"]', f"{wait}found.fetchall()", loop)
    else:
        yield f'rows = {wait}{on or "session"}.execute(text({literal}), {{"keys": keys}})'
        yield from _by_key(f"row.{batch.name}", "rows", loop)


def _by_key(key: str, rows: str, loop: _Loop) -> Iterator[str]:
    if not loop.has_many or _is_counted(loop):
        yield f"by_key = {{{key}: row for row in {rows}}}"
        return
    yield "by_key = defaultdict(list)"
    yield f"for row in {rows}:"
    yield f"    by_key[{key}].append(row)"


def _of_writes(loop: _Loop) -> str:
    sender = loop.sender
    on = sender.on if sender is not None else ""
    wait = sender.wait if sender is not None else ""
    if loop.style == ASYNCPG:
        code = f"{wait or 'await '}{on or 'connection'}.executemany(query, rows)"
    elif loop.style == PSYCOPG:
        code = f"{wait}cursor.executemany(query, rows)"
    elif sender is not None and sender.method in ("flush", "commit"):
        code = f"{on or 'session'}.add_all(rows)\n{wait}{on or 'session'}.{sender.method}()"
    else:
        code = f"{wait}{on or 'session'}.execute(statement, rows)  # a list of dicts"
    return told(
        f"{where(loop.place)}, writes once per row.",
        "collect the rows in the loop, and write them behind it, all at once.",
        "what the database says of a single row, such as a new id or that it was there already,"
        " then comes for all of them together.",
        code=code,
    )
