"""Texts of half a megabyte in one piece."""

from dataclasses import replace

import pytest

from tests.diagnose.story import ENDPOINT, JSON, Story, found, judged, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.large_response import large_response
from unslow.model.trace import SERIALIZATION, Trace


def answer(size: int, *, content: str = "application/json", parts: int = 1) -> Trace:
    story = Story().runs(6, None, SERIALIZATION).answers(0.5, parts)
    return story.trace(response_bytes=size, response=replace(JSON, content=content))


def test_it_fires_at_the_threshold_at_the_endpoint() -> None:
    finding = only(found(large_response, answer(500_000)))

    assert ("large-response", ENDPOINT) == (finding.rule, finding.place)
    assert "Half of the answers have 500 kB or more, in one piece." == finding.says
    assert pytest.approx(7) == finding.could_save_ms
    assert {"response_bytes": 500_000} == finding.evidence


def test_just_below_it_is_nearly_one() -> None:
    assert [Nearly("answers have 500 kB")] == judged(large_response, answer(499_999))


def test_small_answers_are_nothing() -> None:
    assert [] == judged(large_response, answer(125_000))


def test_half_of_the_answers_have_to_be_large() -> None:
    large, small = answer(2_000_000), answer(1_000)

    assert 2_000_000 == only(found(large_response, large, large, small)).evidence["response_bytes"]
    assert [] == found(large_response, large, small, small)


@pytest.mark.parametrize("content", ["text/csv", "text/html", "application/problem+json"])
def test_other_texts_are_parsed_too(content: str) -> None:
    assert found(large_response, answer(900_000, content=content))


@pytest.mark.parametrize("content", ["image/png", "application/zip", "application/pdf", ""])
def test_files_and_images_are_as_large_as_they_are(content: str) -> None:
    assert [] == judged(large_response, answer(9_000_000, content=content))


def test_a_stream_is_not_in_one_piece() -> None:
    assert [] == judged(large_response, answer(9_000_000, parts=40))


def test_a_middleware_that_sends_an_empty_end_makes_no_stream() -> None:
    assert found(large_response, answer(900_000, parts=2))


def test_an_answer_of_which_no_head_was_seen_is_not_judged() -> None:
    assert [] == judged(large_response, Story().trace(response=None, response_bytes=900_000))
