"""Objects that an endpoint validates and FastAPI validates again."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.diagnose.story import ENDPOINT, App, Story, found, judged, listing, only
from unslow.diagnose.rules.double_validation import double_validation
from unslow.model.trace import FRAMEWORK, SERIALIZATION, Place, Returned, Trace

OTHER_MODEL = Returned("model", 100, is_typed=True, is_own_model=False, is_fast=True)
DICTIONARIES = replace(OTHER_MODEL, kind="dict")


def answering(
    returned: Returned | None, *, endpoint: Place = ENDPOINT, rest_ms: float = 10
) -> Trace:
    story = Story().sends(listing(100), 30).runs(5, None, SERIALIZATION)
    return story.runs(rest_ms, None, FRAMEWORK).trace(returned=returned, endpoint=endpoint)


def test_it_fires_at_the_threshold_at_the_endpoint() -> None:
    finding = only(found(double_validation, answering(OTHER_MODEL)))

    assert ("double-validation", ENDPOINT) == (finding.rule, finding.place)
    assert finding.says == (
        "100 objects are validated by the endpoint and again by FastAPI, within 5.0 ms of"
        " serialization."
    )
    assert pytest.approx(5) == finding.could_save_ms
    assert {"objects": 100, "serialization_ms": pytest.approx(5)} == finding.evidence


@pytest.mark.parametrize(
    "returned",
    [
        replace(OTHER_MODEL, items_count=99),
        replace(OTHER_MODEL, is_own_model=True),
        replace(OTHER_MODEL, is_typed=False),
        replace(OTHER_MODEL, kind="entity"),
        replace(OTHER_MODEL, kind="row"),
        DICTIONARIES,
        None,
    ],
    ids=["few", "own model", "no response model", "entities", "rows", "dictionaries", "response"],
)
def test_what_is_validated_once_is_fine(returned: Returned | None) -> None:
    assert [] == judged(double_validation, answering(returned))


def test_what_takes_less_than_a_tenth_of_the_computing_is_not_worth_it() -> None:
    assert found(double_validation, answering(OTHER_MODEL, rest_ms=45))
    assert [] == judged(double_validation, answering(OTHER_MODEL, rest_ms=46))


def test_half_of_the_requests_have_to_answer_so_many() -> None:
    many, few = answering(OTHER_MODEL), answering(replace(OTHER_MODEL, items_count=2))
    other = answering(None)

    assert found(double_validation, many, other)
    assert [] == judged(double_validation, many, other, other)
    assert [] == judged(double_validation, many, few, few)


def from_source(folder: Path, body: str) -> Trace:
    app = App(folder, f"@app.get('/')\nasync def list_orders(wanted):\n    {body}\n")
    return answering(DICTIONARIES, endpoint=app.at("@app.get"))


@pytest.mark.parametrize(
    "body",
    [
        "return [Order.model_validate(one).model_dump() for one in rows]",
        "return {'orders': [Order(**one).dict() for one in rows]}",
        "return list(Order(**one).model_dump() for one in rows)",
        "for one in rows:\n        found.append(Order(**one).model_dump())",
        "async for one in rows:\n        found.append(Order(**one).model_dump())",
    ],
)
def test_dictionaries_that_are_made_of_models_one_by_one_were_validated_before(
    tmp_path: Path, body: str
) -> None:
    finding = only(found(double_validation, from_source(tmp_path, body)))

    assert finding.place is not None
    assert 2 == finding.place.line


@pytest.mark.parametrize(
    "body",
    [
        "return [dict(one) for one in rows]",
        "return [one._asdict() for one in rows]",
        "rows = await load(**wanted.model_dump())\n    return [dict(one) for one in rows]",
        "for key, value in wanted.model_dump().items():\n        query = query.where(key, value)",
        "return [dict(one) for one in load(wanted.model_dump())]",
    ],
)
def test_dictionaries_of_rows_were_not_whatever_else_is_dumped(tmp_path: Path, body: str) -> None:
    assert [] == judged(double_validation, from_source(tmp_path, body))
