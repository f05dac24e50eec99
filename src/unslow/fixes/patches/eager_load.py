"""Load a relationship with its rows: which loader options to try, and how they are written."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, cast

from ...model.proof import Arm
from .imports import with_import
from .layout import Insertion, inserted
from .names import Names
from .options import missing_of
from .patch import CannotTryError, CannotWriteError, Edit, Patch, Subject
from .queries import Opening, Queries
from .relationships import (
    Chain,
    Hop,
    Spelling,
    chains_of,
    columns_read,
    is_column,
    options_code,
    path_of,
    target_of,
)
from .results import made_unique
from .source import Source
from .width import width_of

_FIX: Final = "eager-load"
_ORM: Final = "sqlalchemy.orm"
_JOIN: Final = "joinedload"


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The loader options that are worth a trial, the likeliest first.

    Raises:
        CannotTryError: the rows come from no statement of the request, or have only expired.
    """
    hops = path_of(subject.finding)
    place = subject.finding.place
    if place is None:
        raise CannotTryError("the rows come from no statement of this request")
    ends_in_column = is_column(subject.traces, hops[-1])
    return tuple(
        Arm(
            _FIX,
            ", ".join(options_code(hops, chain, {}, None)),
            {
                "path": place.path,
                "line": place.line,
                "function": place.function,
                "entity": hops[0].entity,
                "chain": [list(one) for one in chain],
            },
        )
        for chain in chains_of(hops, ends_in_column=ends_in_column)
    )


def with_columns(subject: Subject, arm: Arm) -> Arm | None:
    """The same arm that loads only what is read; None where it is not known, or nearly all is.

    What other requests read than those that were watched is then loaded late, a row at a time.
    """
    wanted = _Wanted.of(subject, arm)
    if any(how == "undefer" for how, _ in wanted.chain):
        return None
    read = columns_read(subject.finding, subject.traces)
    if not read:
        return None
    kept = {entity: list(names) for entity, names in read.items()}
    says = ", ".join(options_code(wanted.hops, wanted.chain, kept, wanted.target))
    return replace(arm, says=says, parameters={**arm.parameters, "load_only": kept})


def write(subject: Subject, arm: Arm) -> Patch:
    """Writes the options of an arm at their statement; what is not certain is advice."""
    wanted = _Wanted.of(subject, arm)
    try:
        text = subject.read(wanted.path)
        if text is None:
            raise CannotWriteError("the file cannot be read, or has changed since")
        after = _Writing(subject, wanted, Source(wanted.path, text)).text()
    except CannotWriteError as error:
        return Patch(advice=_advice(wanted, arm, str(error)))
    if after == text:
        return Patch(advice=f"`{arm.says}` is already there, at {wanted.where}.")
    return Patch((Edit(wanted.path, text, after),), _LESS if "load_only" in arm.parameters else "")


_LESS: Final = (
    "Only those columns are loaded that the watched requests read. One that is read elsewhere is"
    " then loaded when it is, row by row; in an asynchronous session that is an error."
)


def _advice(wanted: _Wanted, arm: Arm, why: str) -> str:
    unique = ", and `.unique()` to its result before it is read" if wanted.is_joined else ""
    return (
        f"Add `{arm.says}` to the options of the statement that {wanted.where} sends (`.options()`;"
        f" with `session.get`, `options=[]`){unique}. No patch was written: {why}."
    )


class _Wanted(NamedTuple):
    """What an arm asks for."""

    path: str
    line: int
    function: str
    hops: Sequence[Hop]
    chain: Chain
    load_only: Mapping[str, Sequence[str]]
    target: str | None

    @classmethod
    def of(cls, subject: Subject, arm: Arm) -> _Wanted:
        """Reads the parameters of an arm."""
        given = arm.parameters
        hops = path_of(subject.finding)
        chain = cast(Sequence[Sequence[str]], given["chain"])
        return cls(
            str(given["path"]),
            int(cast(int, given["line"])),
            str(given["function"]),
            hops,
            [(how, attribute) for how, attribute in chain],
            cast(Mapping[str, Sequence[str]], given.get("load_only", {})),
            target_of(subject.traces, hops),
        )

    @property
    def where(self) -> str:
        """For a sentence."""
        return f"line {self.line} of {Path(self.path).name}"

    @property
    def is_joined(self) -> bool:
        """Whether the statement's own rows may come several times.

        What is joined further on does that to the rows of a loader's own statement, which makes
        them unique itself.
        """
        return self.chain[0][0] == _JOIN


class _Writing:
    """One arm, as it is written into one file."""

    def __init__(self, subject: Subject, wanted: _Wanted, source: Source) -> None:
        self._wanted = wanted
        self._source = source
        self._names = Names(source, subject.read)
        self._width = width_of(wanted.path, subject.read)
        self._loaders: set[str] = set()
        """Those that have to be imported."""
        self._classes: dict[str, set[str]] = {}
        """By the module that they are imported from."""

    def text(self) -> str:
        """The file with the options.

        Raises:
            CannotWriteError: it cannot be told what is to be written.
        """
        source, wanted = self._source, self._wanted
        statement = source.statement_at(wanted.line, wanted.function)
        queries = Queries(source, self._names, wanted.hops[0].entity)
        opening = queries.opening(statement, wanted.line)
        insertions = self._insertions(opening)
        if wanted.is_joined and opening.sent is not None:
            insertions += made_unique(source, opening.sent)
        if not insertions:
            return source.text
        text = inserted(source.text, insertions, self._width)
        _check(text)
        for module, names in ({_ORM: self._loaders} | self._classes).items():
            text = with_import(wanted.path, text, module, sorted(names), self._width)
        return text

    def _insertions(self, opening: Opening) -> list[Insertion]:
        insertions: list[Insertion] = []
        codes: list[str] = []
        for code in self._codes(opening):
            missing, longer = missing_of(self._source, opening.options, code)
            codes += [missing] * bool(missing)
            insertions += longer
        return insertions + (opening.add(codes) if codes else [])

    def _codes(self, opening: Opening) -> list[str]:
        """The options as they are written in this file; notes what they need."""

        def loader(name: str) -> str:
            code, is_missing = self._names.loader(name)
            self._loaders.update([name] * is_missing)
            return code

        def attribute(entity: str, name: str) -> str:
            code, module = self._names.entity(entity, name, opening.entity)
            if module:
                self._classes.setdefault(module, set()).add(entity)
            return f"{code}.{name}"

        wanted = self._wanted
        spelling = Spelling(loader, attribute)
        return options_code(wanted.hops, wanted.chain, wanted.load_only, wanted.target, spelling)


def _check(text: str) -> None:
    try:
        ast.parse(text.removeprefix("\ufeff"))
    except SyntaxError as error:
        raise CannotWriteError("the lines could not be put together") from error
