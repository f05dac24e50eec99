"""Long lists of the ORM's objects that become the answer."""

from dataclasses import replace

import pytest

from tests.diagnose.story import ENDPOINT, Story, found, judged, listing, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.entity_response import entity_response
from unslow.model.trace import FRAMEWORK, GC, HYDRATION, SERIALIZATION, VALIDATION, Returned, Trace

ENTITIES = Returned("entity", 100, is_typed=True, is_own_model=False, is_fast=True)


def answering(returned: Returned | None, rest_ms: float = 0) -> Trace:
    story = Story().sends(listing(100), 30).runs(5, None, HYDRATION)
    story.runs(1, None, VALIDATION).runs(4, None, SERIALIZATION).runs(rest_ms, None, FRAMEWORK)
    return story.answers().trace(returned=returned)


def test_it_fires_at_the_threshold_at_the_endpoint() -> None:
    finding = only(found(entity_response, answering(ENTITIES)))

    assert ("entity-response", ENDPOINT) == (finding.rule, finding.place)
    assert finding.says == (
        "100 objects are built and read again for each answer: 10.0 ms, 100 % of what is computed"
        " for it."
    )
    assert pytest.approx(10) == finding.could_save_ms
    assert {"objects": 100, "share": pytest.approx(1)} == finding.evidence


@pytest.mark.parametrize(
    "returned",
    [
        replace(ENTITIES, items_count=99),
        replace(ENTITIES, items_count=1),
        replace(ENTITIES, kind="row"),
        replace(ENTITIES, kind="dict"),
        replace(ENTITIES, kind="model"),
        None,
    ],
)
def test_shorter_lists_and_lists_of_something_else_are_fine(returned: Returned | None) -> None:
    assert [] == judged(entity_response, answering(returned))


def test_it_has_to_be_half_of_what_is_computed_however_long_the_waits_are() -> None:
    assert found(entity_response, answering(ENTITIES, rest_ms=10))
    assert [Nearly("100 objects are answered, 48 % of the computing")] == judged(
        entity_response, answering(ENTITIES, rest_ms=11)
    )


def test_garbage_collections_are_no_computing() -> None:
    story = Story().runs(10, None, HYDRATION).runs(90, None, GC)

    assert found(entity_response, story.trace(returned=ENTITIES))


def test_half_of_the_requests_have_to_answer_so_many() -> None:
    many, one = answering(ENTITIES), answering(replace(ENTITIES, items_count=1))
    other = answering(None)

    assert found(entity_response, many, other)
    assert [] == judged(entity_response, many, other, other)
    assert [] == judged(entity_response, many, one, one)
