"""Where the lines of a file are, once earlier patches were written into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import SequenceMatcher

from ...model.proof import Arm
from ...model.trace import Place
from .patch import Subject


def moved(subject: Subject, arm: Arm, texts: Mapping[str, str]) -> tuple[Subject, Arm]:
    """A subject and its arm, with the lines that they name where they are now.

    Args:
        subject: As the check found it.
        arm: The arm that is to be written.
        texts: What earlier patches have made of files, by path.
    """

    def line_now(path: str, line: int) -> int:
        before, now = subject.read(path), texts.get(path)
        return line if before is None or now is None else _line_in(before, now, line)

    def place_now(place: Place | None) -> Place | None:
        return None if place is None else replace(place, line=line_now(place.path, place.line))

    finding = subject.finding
    finding = replace(finding, place=place_now(finding.place), touched=place_now(finding.touched))
    parameters = dict(arm.parameters)
    path, line = parameters.get("path"), parameters.get("line")
    if isinstance(path, str) and isinstance(line, int):
        parameters["line"] = line_now(path, line)

    def read(path: str) -> str | None:
        return texts[path] if path in texts else subject.read(path)

    return Subject(finding, subject.traces, read), replace(arm, parameters=parameters)


def _line_in(before: str, now: str, line: int) -> int:
    """The number that a line has in another text; its own where it is not there."""
    matcher = SequenceMatcher(None, before.split("\n"), now.split("\n"), autojunk=False)
    for block in matcher.get_matching_blocks():
        if block.a <= line - 1 < block.a + block.size:
            return line + block.b - block.a
    return line
