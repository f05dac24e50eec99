"""Findings about a small source file, for fixes that are told and not tried."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from textwrap import dedent

from unslow.fixes.patches.patch import Patch, Subject, patcher_of
from unslow.model.finding import EvidenceValue, Finding
from unslow.model.trace import Place, Trace

APP = "/project/app/shop.py"
MARK = "# here"
OTHER_MARK = "# there"
_MOST_SENTENCES = 4
_MOST_LINES = 6


def body(text: str) -> str:
    """A text without the indentation of the test around it."""
    return dedent(text).lstrip("\n")


def at(text: str, function: str = "show", mark: str = MARK) -> Place:
    """The line that a comment marks."""
    lines = enumerate(body(text).splitlines(), 1)
    (line,) = [number for number, one in lines if one.endswith(mark)]
    return Place(APP, line, function)


def subject(
    text: str,
    function: str = "show",
    *,
    shape: str = "",
    touched: Place | None = None,
    evidence: Mapping[str, EvidenceValue] | None = None,
    traces: Iterable[Trace] = (),
    others: Mapping[str, str] | None = None,
) -> Subject:
    """A finding at the marked line."""
    place = at(text, function)
    files = {APP: body(text), "/project/ruff.toml": "line-length = 100\n", **(others or {})}
    finding = Finding("", place, touched=touched, shape=shape, evidence=evidence or {})
    return Subject(finding, tuple(traces), files.get)


def says(fix: str, subject: Subject) -> str:
    """What the only arm of a fix says."""
    (arm,) = patcher_of(fix).candidates(subject)
    assert arm.fix == fix
    assert arm.parameters == {}
    assert "\n" not in arm.says
    return arm.says


def written(fix: str, subject: Subject) -> Patch:
    """The patch of the only arm."""
    (arm,) = patcher_of(fix).candidates(subject)
    return patcher_of(fix).write(subject, arm)


def advice(fix: str, subject: Subject) -> str:
    """What a fix tells that edits nothing; it is short."""
    patch = written(fix, subject)
    assert patch.edits == ()
    sentences, *code = patch.advice.split("\n")
    assert sentences.count(". ") < _MOST_SENTENCES
    assert len(code) <= _MOST_LINES
    return patch.advice


def after(fix: str, subject: Subject) -> str:
    """The file with the patch, which is there and is Python; written again it stays."""
    patch = written(fix, subject)
    (edit,) = patch.edits
    ast.parse(edit.after)
    again = Subject(subject.finding, subject.traces, {APP: edit.after}.get)
    assert written(fix, again).edits == ()
    return edit.after
