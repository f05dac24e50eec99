"""Relationships that are loaded and not read, in requests that were watched."""

from dataclasses import replace

import pytest

from tests.diagnose.story import (
    LINE,
    OTHER_LINE,
    Story,
    eager_load,
    found,
    judged,
    lazy_load,
    listing,
    only,
    usage,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.unused_relationship import unused_relationship
from unslow.model.trace import Trace
from unslow.model.usage import EagerLoad

UNREAD = ("lines", "selectin", 30, False)
READ = ("lines", "selectin", 30, True)


def loaded(load: EagerLoad, *, statements: int = 1, is_watched: bool = True) -> Trace:
    """A list whose relationship is loaded by statements of its own."""
    story = Story().sends(listing(10))
    for _ in range(statements):
        story.sends(eager_load(relationship="Order.lines", rows=30), ms=1.5)
    usages = (usage(10, relationships=(load,)),)
    return story.trace(usages=usages if is_watched else None)


def joined() -> Trace:
    usages = (usage(10, relationships=(("customer", "joined", 4, False),)),)
    return Story().sends(listing(10)).trace(usages=usages)


def test_it_fires_when_two_watched_requests_did_not_read_it() -> None:
    finding = only(found(unused_relationship, loaded(UNREAD), loaded(UNREAD)))

    assert ("unused-relationship", OTHER_LINE) == (finding.rule, finding.place)


def test_it_is_silent_after_one_and_says_how_near_it_was() -> None:
    (one,) = judged(unused_relationship, loaded(UNREAD))

    assert Nearly("Order.lines was not read; watched requests: 1") == one


def test_one_request_that_loads_it_twice_is_one_request() -> None:
    twice = (usage(10, relationships=(UNREAD,)), usage(10, relationships=(UNREAD,)))
    trace = Story().sends(listing(10)).trace(usages=twice)

    assert [] == found(unused_relationship, trace)
    finding = only(found(unused_relationship, trace, trace))
    assert "60 objects a request, and nothing read it in 2 requests" in finding.says


def test_it_says_what_is_loaded_how_and_how_much() -> None:
    finding = only(found(unused_relationship, *[loaded(UNREAD)] * 3))

    assert finding.says == (
        "Order.lines is loaded (selectin), 30 objects a request, and nothing read it in"
        " 3 requests that were watched."
    )
    assert {
        "relationship": "Order.lines",
        "how": "selectin",
        "objects": 30.0,
    } == finding.evidence
    assert "Order.lines" == finding.shape


def test_what_could_be_saved_is_what_its_statements_take() -> None:
    finding = only(found(unused_relationship, *[loaded(UNREAD, statements=3)] * 2))

    assert 3 * 1.5 == pytest.approx(finding.could_save_ms)
    assert 3 == finding.round_trips
    assert 3 * 1.5 + 3 * 5 == pytest.approx(finding.could_save_at_ms(5))


def test_times_are_those_of_requests_that_were_not_watched() -> None:
    watched = [loaded(UNREAD, statements=3)] * 2

    finding = only(found(unused_relationship, *watched, loaded(UNREAD, is_watched=False)))

    assert 1.5 == pytest.approx(finding.could_save_ms)


def test_what_a_join_costs_is_not_told_from_its_statement() -> None:
    finding = only(found(unused_relationship, joined(), joined()))

    assert "Order.customer is loaded (joined), 4 objects" in finding.says
    assert (None, None) == (finding.could_save_ms, finding.round_trips)


def test_where_there_was_nothing_to_load_nothing_is_wasted() -> None:
    usages = (usage(10, relationships=(("customer", "joined", 0, False),)),)
    trace = Story().sends(listing(10)).trace(usages=usages)

    (one,) = judged(unused_relationship, trace, trace)

    assert Nearly("Order.customer was not read; there was nothing to load") == one


def test_a_statement_that_found_nothing_was_sent_all_the_same() -> None:
    finding = only(found(unused_relationship, *[loaded(("lines", "selectin", 0, False))] * 2))

    assert "(selectin), 1 statement a request for nothing new, and" in finding.says
    assert 1.5 == pytest.approx(finding.could_save_ms)


def test_the_same_relationship_is_judged_and_counted_by_query() -> None:
    def two_queries() -> Trace:
        story = Story().sends(listing(10, place=LINE)).sends(listing(10))
        story.sends(eager_load(parent=0, relationship="Order.lines"), ms=4)
        story.sends(eager_load(parent=1, relationship="Order.lines"), ms=1)
        usages = (
            usage(10, statement=0, relationships=(READ,)),
            usage(10, statement=1, relationships=(UNREAD,)),
        )
        return story.trace(usages=usages)

    finding = only(found(unused_relationship, two_queries(), two_queries()))

    assert OTHER_LINE == finding.place
    assert 1 == pytest.approx(finding.could_save_ms)


def test_the_place_of_a_load_in_a_load_is_the_query_that_it_began_with() -> None:
    def nested() -> Trace:
        story = Story().sends(listing(10, place=LINE))
        story.sends(eager_load(relationship="Order.lines", rows=30))
        story.sends(eager_load(parent=1, relationship="Line.product", rows=8))
        usages = (
            usage(10, relationships=(READ,)),
            usage(
                30, statement=1, entity="Line", relationships=(("product", "selectin", 8, False),)
            ),
        )
        return story.trace(usages=usages)

    finding = only(found(unused_relationship, nested(), nested()))

    assert (LINE, "Line.product") == (finding.place, finding.shape)
    assert 0.2 == pytest.approx(finding.could_save_ms)


def test_one_that_is_read_in_some_requests_is_used() -> None:
    assert [] == judged(unused_relationship, *[loaded(UNREAD)] * 5, loaded(READ))


def test_one_that_is_read_of_some_rows_is_used() -> None:
    usages = (usage(10, relationships=(UNREAD,)), usage(10, relationships=(READ,)))
    trace = Story().sends(listing(10)).trace(usages=usages)

    assert [] == judged(unused_relationship, trace, trace)


def test_lazy_loads_of_the_same_relationship_are_no_cost_of_it() -> None:
    def refreshed() -> Trace:
        story = Story().sends(listing(10))
        story.sends(eager_load(relationship="Order.lines"), ms=1)
        story.sends(lazy_load(0, relationship="Order.lines", place=OTHER_LINE), ms=7)
        return story.trace(usages=(usage(10, relationships=(UNREAD,)),))

    finding = only(found(unused_relationship, refreshed(), refreshed()))

    assert 1 == pytest.approx(finding.could_save_ms)


def test_nothing_is_said_of_objects_without_eager_loads() -> None:
    trace = Story().sends(listing(10)).trace(usages=(usage(10), usage(0, entity="Line")))

    assert [] == judged(unused_relationship, trace, trace)


def test_an_answer_that_failed_is_no_proof() -> None:
    failed = replace(loaded(UNREAD), status=500)

    assert [] == found(unused_relationship, loaded(UNREAD), failed)


def test_without_watched_requests_nothing_is_said() -> None:
    assert ("usage",) == unused_relationship.needs
    assert [] == judged(unused_relationship, loaded(UNREAD, is_watched=False))
