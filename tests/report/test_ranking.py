from dataclasses import replace

from tests.report.judged import blocking, judged, lazy_load, no_timeout, whole
from unslow.report.ranking import most_at_stake_first, name_of


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


def test_an_endpoint_without_a_route_has_a_name_too() -> None:
    assert "GET (no route)" == name_of(replace(whole().endpoints[0], route=""))
