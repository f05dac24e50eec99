"""What was not looked at, in all forms of a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.report.judged import ORDER, POSTS, judged, outcomes, whole
from unslow.model.checked import Checked
from unslow.model.finding import NOT_CHECKED, Outcome
from unslow.model.report import Report
from unslow.model.workload import LeftOut
from unslow.report.as_markdown import markdown_text
from unslow.report.as_sarif import sarif_text
from unslow.report.as_text import report_lines
from unslow.report.left import Left, what_is_left

MAY_WRITE = "by its method it may write"
REFUSED = "it was answered 401"


def checked(counted_count: int, *left_out: LeftOut) -> Checked:
    return Checked("app:app", 0.0, counted_count + len(left_out), counted_count, left_out, 20)


def writes(count: int) -> list[LeftOut]:
    return [LeftOut("POST", f"/things/{one}", MAY_WRITE, may_write=True) for one in range(count)]


MANY = judged(checked=checked(5, LeftOut("GET", "/me", REFUSED), *writes(9)))


def text_of(shown: Report, *, everything: bool = False) -> str:
    lines = report_lines(shown, width=100, folder=Path("/"), everything=everything)
    return "\n".join(line.plain for line in lines)


def test_each_reason_stands_once_the_operations_by_how_many_they_are() -> None:
    most, one, *rules = what_is_left(replace(MANY, outcomes=outcomes()))

    assert (9, MAY_WRITE, "operation") == (len(most.what), most.why, most.noun)
    assert Left(("GET /me",), REFUSED, "operation") == one
    assert [
        Left(("unused-columns", "unused-relationship"), "rows are watched in a check only"),
        Left(("deep-offset",), "broke: KeyError: 'offset'"),
    ] == rules


def test_routes_that_no_rule_could_judge_stand_together() -> None:
    made = judged(
        outcomes=tuple(Outcome("long-step", one, NOT_CHECKED, REFUSED) for one in (POSTS, ORDER))
    )
    endpoints = (
        replace(one, requests_counted=0) if f"{one.method} {one.route}" in (POSTS, ORDER) else one
        for one in made.endpoints
    )

    found = list(what_is_left(replace(made, endpoints=tuple(endpoints))))

    assert [Left((ORDER, POSTS), REFUSED, "route")] == found


def test_where_nothing_was_judged_nothing_is_left() -> None:
    made = judged()
    endpoints = tuple(replace(one, requests_counted=None) for one in made.endpoints)

    assert [] == list(what_is_left(replace(made, endpoints=endpoints)))


def test_of_many_names_the_terminal_tells_the_first_and_all_on_request() -> None:
    text = text_of(MANY)

    assert "  9 operations: by its method it may write\n    POST /things/0 · POST" in text
    assert "POST /things/5 · 3 more\n  GET /me: it was answered 401" in text
    assert "POST /things/8" in text_of(MANY, everything=True)


def test_a_few_names_stand_before_their_reason() -> None:
    few = judged(checked=checked(5, *writes(2)))

    assert "\n  POST /things/0, POST /things/1: by its method it may write\n" in text_of(few)


def test_markdown_and_sarif_tell_them_together() -> None:
    assert "`POST /things/8`: by its method it may write\n" in markdown_text(MANY)
    assert "POST /things/7, POST /things/8 were not asked: by its method" in sarif_text(MANY)
    assert "POST /leads was not asked: it writes" in sarif_text(whole())


def test_what_may_write_is_no_reason_to_trust_a_check_less() -> None:
    refused = [LeftOut("GET", f"/{one}", REFUSED) for one in range(6)]

    assert "Only 5" not in text_of(MANY)
    assert "15 operations, 9 may write, 5 counted" in text_of(MANY)
    assert "(5 of 15 operations, of which 9 may write)" in markdown_text(MANY)
    few = judged(checked=checked(5, *refused, *writes(9)))
    assert "Only 5 of 11 operations that could be asked counted" in text_of(few)
    assert "(only 5 of 20 operations, of which 9 may write)" in markdown_text(few)
