from dataclasses import replace
from pathlib import Path

from tests.report.judged import NASTY, ORDER, POSTS, judged, lazy_load, nasty, outcomes, whole
from tests.report.samples import FOLDER, report
from tests.report.tried import serialization, wholly_tried
from unslow.model.finding import CLEAN, Outcome
from unslow.model.report import Report
from unslow.report.explained import explained, explained_json, explained_lines, routes_of
from unslow.report.page import Page


def lines_of(shown: Report, route: str, width: int = 100) -> list[str]:
    about = explained(shown, route)
    return [line.plain for line in explained_lines(about, Page(width, Path(FOLDER), True))]


def test_it_tells_what_was_looked_at_and_each_outcome_under_its_head() -> None:
    assert [
        "GET /users/{user_id}/posts",
        "  40 requests · 40 counted · mean 33.7 ms",
        "",
        "Found (1)",
    ] == lines_of(whole(), POSTS)[:4]
    text = "\n".join(lines_of(whole(), POSTS))
    assert f"  lazy-load-loop · could save 26.4 ms · {lazy_load().id}" in text
    assert "shop/routers/users.py:97 in get_user_posts" in text
    assert "\n    Every Post loads its comments alone: Post.comments, 50" in text
    assert "\n\nNearly found (1)\n  repeated-query: one statement is sent twice\n" in text
    assert "\n\nClean (1)\n  duplicate-query\n" in text
    assert (
        "\n\nNot checked (2)\n  unused-columns, unused-relationship: rows are watched in a check"
        " only\n"
    ) in text
    assert text.endswith("\n\nBroke (1)\n  deep-offset: KeyError: 'offset'")


def test_what_is_beside_a_finding_nearly_found_is_told_too() -> None:
    text = "\n".join(lines_of(whole(), "GET /leads/{lead_id}/score"))

    assert "Found (1)\n  missing-timeout · missing-timeout-" in text
    assert "Nearly found (1)\n  missing-timeout: a call of b.example has one around it" in text
    assert "Clean" not in text


def test_requests_that_failed_and_those_that_ran_alone_are_counted() -> None:
    assert (
        "  60 requests · 58 counted · 2 errors · 20 alone · mean 2.5 s"
        == (lines_of(whole(), ORDER)[1])
    )


def test_an_accepted_finding_is_told_with_the_reason() -> None:
    text = "\n".join(lines_of(judged(lazy_load(accepted="few rows")), POSTS))

    assert "accepted: few rows" in text


def test_a_route_of_which_no_request_was_timed_has_its_outcomes() -> None:
    shown = report(outcomes=outcomes())

    assert "  no request of it was timed" == lines_of(shown, ORDER)[1]
    assert "unused-columns" in "\n".join(lines_of(shown, ORDER))


def test_no_line_is_wider_than_it_may_be_and_none_is_obeyed_by_a_terminal() -> None:
    shown = replace(
        nasty(), outcomes=(Outcome("deep-offset", nasty().findings[0].route, CLEAN, NASTY),)
    )
    lines = list(
        explained_lines(explained(shown, f"GET /{NASTY}"), Page(80, Path(FOLDER), everything=True))
    )

    assert 80 >= max(line.cell_len for line in lines)
    assert all(line.plain.isprintable() for line in lines)


def test_the_routes_are_those_with_requests_and_those_with_outcomes() -> None:
    shown = whole()
    more = replace(shown, outcomes=(*shown.outcomes, Outcome("a", "GET /only", CLEAN)))

    assert len(shown.endpoints) + 1 == len(routes_of(more))
    assert {"GET /only", POSTS, ORDER} <= set(routes_of(more))


def test_as_json_every_rule_has_its_state_its_reason_and_its_findings() -> None:
    found = explained_json(explained(whole(), POSTS))

    assert (1, POSTS, 40, 40, 0) == (
        found["format"],
        found["route"],
        found["requests"],
        found["requests_counted"],
        found["errors"],
    )
    assert 6 == len(found["rules"])
    assert {
        "rule": "lazy-load-loop",
        "state": "found",
        "why": "",
        "findings": [lazy_load().id],
    } == found["rules"][0]
    assert "one statement is sent twice" == found["rules"][1]["why"]
    assert 0 == explained_json(explained(report(outcomes=outcomes()), POSTS))["requests"]


def test_what_was_tried_has_a_line_under_its_finding() -> None:
    lines = lines_of(wholly_tried(), POSTS)

    at = lines.index(
        "    ✔ eager-load   4.6x faster [4.1, 5.0]   33.7 → 7.3 ms   52 → 2 statements   same"
        " answer"
    )
    assert f"  slow-serialization · {serialization().id}" in lines[at + 1]
    assert "    withdrawn: its fix was tried and does not pay" in lines[at:]
    assert [("eager-load", "faster"), ("fast-json", "no-difference")] == [
        (one["fix"], one["verdict"])
        for one in explained_json(explained(wholly_tried(), POSTS))["trials"]
    ]
