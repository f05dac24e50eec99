"""Clients that no other request uses, and those that are shared."""

from dataclasses import replace

import pytest

from tests.diagnose.story import LINE, OTHER_LINE, Story, found, judged, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.client_per_request import client_per_request
from unslow.model.trace import Place, Trace

HOST = "prices.example:443"


def asking(*pools: int, place: Place = LINE, process: int = 1) -> list[Trace]:
    """Requests that each ask by a client with this number."""
    return [
        replace(Story().asks(10, place, pool=pool).trace(), process_id=process) for pool in pools
    ]


def test_it_fires_at_the_threshold_at_the_line_that_calls() -> None:
    finding = only(found(client_per_request, *asking(1, 2, 3)))

    assert ("client-per-request", LINE) == (finding.rule, finding.place)
    assert finding.says == (
        f"3 of 3 requests called {HOST} with a client that no other request used."
    )
    assert {"host": HOST, "clients": 3, "requests": 3} == finding.evidence
    assert finding.could_save_ms is None


def test_just_below_it_is_nearly_one() -> None:
    assert [Nearly("2 of 2 requests had a client of their own")] == judged(
        client_per_request, *asking(1, 2)
    )


def test_a_shared_client_is_fine() -> None:
    assert [] == judged(client_per_request, *asking(1, 1, 1, 1, 1))


def test_a_shared_client_is_fine_however_many_processes_have_one() -> None:
    once = [trace for process in range(8) for trace in asking(1, process=process)]
    twice = [trace for process in range(8) for trace in asking(1, 1, process=process)]

    assert [] == judged(client_per_request, *once)
    assert [] == judged(client_per_request, *twice)


def test_the_same_number_in_two_processes_is_not_the_same_client() -> None:
    traces = [*asking(1, 2, process=1), *asking(1, 2, process=2)]

    assert "4 of 4 requests" in only(found(client_per_request, *traces)).says


@pytest.mark.parametrize(("shared", "fires"), [(1, True), (2, False)])
def test_four_in_five_requests_have_to_have_their_own(shared: int, fires: bool) -> None:
    traces = asking(*range(1, 9), *[9] * 2 * shared)

    assert fires is bool(found(client_per_request, *traces))


def test_several_calls_of_one_request_by_one_client_are_one_client() -> None:
    traces = [Story().asks(5, pool=n).asks(5, pool=n).trace() for n in (1, 2, 3)]

    assert 3 == only(found(client_per_request, *traces)).evidence["clients"]


def test_a_client_that_another_line_uses_too_is_shared() -> None:
    makes = [Story().asks(5, LINE, pool=n).asks(5, OTHER_LINE, pool=99).trace() for n in range(4)]

    assert LINE == only(found(client_per_request, *makes)).place


def test_a_connection_to_a_mail_server_is_made_for_a_mail() -> None:
    traces = [Story().asks(10, pool=n, host="smtp mail.example:25").trace() for n in range(5)]

    assert [] == judged(client_per_request, *traces)
