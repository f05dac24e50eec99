"""Findings of the rule `blocking-call`, as texts: each at the line that a comment marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import dedent

from tests.diagnose.story import Story
from unslow.fixes.patches.patch import Subject
from unslow.model.finding import Finding
from unslow.model.trace import Place, Trace

MARK = "# here"
APP = "/app/shop.py"


def held(
    text: str,
    function: str = "show",
    what: str = "",
    *,
    segment: str = "blocking",
    path: str = APP,
    mark: str = MARK,
    others: Mapping[str, str] | None = None,
    traces: Iterable[Trace] = (),
) -> Subject:
    """The marked line of a text holds the loop; `others` are the app's other files."""
    files = {path: dedent(text).lstrip("\n"), **(others or {})}
    lines = files[path].splitlines()
    line = next(number for number, one in enumerate(lines, 1) if one.endswith(mark))
    finding = Finding("", Place(path, line, function), evidence={"segment": segment, "what": what})
    return Subject(finding, tuple(traces), files.get)


def answered_by(path: str, line: int, function: str) -> Trace:
    """A request whose endpoint is that function."""
    return Story().answers().trace(endpoint=Place(path, line, function))
