"""Large texts that go uncompressed to clients which take compressed ones."""

from dataclasses import replace

import pytest

from tests.diagnose.story import ENDPOINT, JSON, Story, found, judged, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.uncompressed_response import uncompressed_response
from unslow.model.trace import Response, Trace


def answer(size: int, response: Response | None = JSON) -> Trace:
    return Story().answers().trace(response_bytes=size, response=response)


def test_it_fires_at_the_threshold_at_the_endpoint() -> None:
    finding = only(found(uncompressed_response, answer(100_000)))

    assert ("uncompressed-response", ENDPOINT) == (finding.rule, finding.place)
    assert finding.says == (
        "Half of the answers have 100 kB or more, uncompressed, to clients that take compressed"
        " ones."
    )
    assert {"response_bytes": 100_000} == finding.evidence
    assert finding.could_save_ms is None


def test_just_below_it_is_nearly_one() -> None:
    assert [Nearly("answers of 100 kB are sent uncompressed")] == judged(
        uncompressed_response, answer(99_999)
    )


def test_small_answers_are_nothing() -> None:
    assert [] == judged(uncompressed_response, answer(25_000))


@pytest.mark.parametrize(
    "response",
    [
        replace(JSON, is_compressed=True),
        replace(JSON, accepts_compression=False),
        replace(JSON, content="image/png"),
        replace(JSON, content="application/zip"),
        replace(JSON, content="text/event-stream"),
        None,
    ],
    ids=["compressed", "not taken", "image", "archive", "events", "no head"],
)
def test_what_is_compressed_or_cannot_be_is_fine(response: Response | None) -> None:
    assert [] == judged(uncompressed_response, answer(9_000_000, response))


def test_half_of_the_requests_have_to_have_one() -> None:
    plain, zipped = answer(300_000), answer(300_000, replace(JSON, is_compressed=True))

    assert found(uncompressed_response, plain, zipped)
    assert [] == judged(uncompressed_response, plain, zipped, zipped)


def test_half_of_the_plain_answers_have_to_be_large() -> None:
    assert [] == found(uncompressed_response, answer(300_000), answer(500), answer(500))


def test_other_texts_shrink_too() -> None:
    for content in ("text/csv", "application/xml", "text/javascript"):
        assert found(uncompressed_response, answer(300_000, replace(JSON, content=content)))
