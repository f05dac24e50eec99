from dataclasses import replace
from pathlib import Path

from tests.report.judged import ORDER, POSTS, SCORE, blocking, judged, lazy_load, no_timeout, whole
from unslow.report.as_markdown import markdown_text
from unslow.report.as_text import report_lines
from unslow.report.ranking import causes, most_at_stake_first, name_of


def test_what_costs_all_requests_or_those_beside_them_most_comes_first() -> None:
    report = whole()

    ranked = most_at_stake_first(report, reversed(report.findings))

    assert ["blocking-call", "lazy-load-loop", "missing-timeout"] == [one.rule for one in ranked]


def test_the_number_of_requests_counts() -> None:
    report = judged(lazy_load(could_save_ms=100.0), blocking(others_waited_ms=None))
    requests = {name_of(one): one.requests_count for one in report.endpoints}

    ranked = most_at_stake_first(report, report.findings)

    assert [60, 40] == [requests[one.route] for one in ranked]


def test_of_equal_ones_the_order_is_always_the_same() -> None:
    one, other = no_timeout(shape="a"), no_timeout(shape="b")

    assert most_at_stake_first(judged(one, other), [one, other]) == most_at_stake_first(
        judged(other, one), [other, one]
    )


def test_findings_of_one_line_on_several_routes_have_one_cause() -> None:
    shared = [lazy_load(route=route, could_save_ms=1.0) for route in (POSTS, ORDER, SCORE)]
    report = judged(blocking(others_waited_ms=None, could_save_ms=2.0), *shared)

    first, second = causes(report, report.findings)

    # Together they have more at stake than what has most at stake alone.
    assert (3, " and 2 more routes") == (len(first.findings), first.elsewhere)
    assert (shared[0].rule, "blocking-call") == (first.worst.rule, second.worst.rule)
    assert "" == second.elsewhere


def test_another_line_relationship_statement_or_rule_is_another_cause() -> None:
    others = [
        lazy_load(route=ORDER, place=None),
        lazy_load(route=ORDER, evidence={"relationship": "Post.author"}),
        lazy_load(route=ORDER, shape="another"),
        lazy_load(route=ORDER, rule="repeated-query"),
    ]

    assert 5 == len(causes(judged(lazy_load(), *others), [lazy_load(), *others]))


def test_what_has_no_line_is_each_routes_own() -> None:
    two = [no_timeout(route=POSTS), no_timeout(route=ORDER)]

    assert 2 == len(causes(judged(*two), two))


def test_reports_count_the_causes_and_tell_each_once(tmp_path: Path) -> None:
    shared = [lazy_load(route=route) for route in (POSTS, ORDER, SCORE)]
    report = judged(*shared, blocking())

    text = "\n".join(line.plain for line in report_lines(report, width=100, folder=tmp_path))
    markdown = markdown_text(report)

    assert "4 findings on 3 routes, with 2 causes; what" in text
    assert "GET /orders/{order_id} and 2 more routes" in text
    assert "more stand below" not in text
    assert markdown.startswith("## unslow: 4 findings on 3 routes, with 2 causes\n")
    assert 1 == markdown.count("and 2 more routes | 26.4 ms |")


def test_an_endpoint_without_a_route_has_a_name_too() -> None:
    assert "GET (no route)" == name_of(replace(whole().endpoints[0], route=""))
