"""Encoding by slow code: in the framework, or by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.diagnose.story import (
    ENDPOINT,
    JSON,
    LINE,
    RUN,
    App,
    Story,
    found,
    judged,
    listing,
    only,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.slow_serialization import slow_serialization
from unslow.diagnose.views import Run
from unslow.model.report import Blocked, Victim
from unslow.model.trace import GC, SERIALIZATION, Response, Returned, Trace

UNTYPED = Returned("dict", 200, is_typed=False, is_own_model=False, is_fast=False)
TYPED = replace(UNTYPED, is_typed=True)
FAST = replace(TYPED, is_fast=True)


def encoding(
    ms: float,
    rest_ms: float = 10,
    *,
    returned: Returned | None = UNTYPED,
    response: Response = JSON,
    response_bytes: int = 20_000,
) -> Trace:
    story = Story().sends(listing(200), rest_ms).runs(ms, None, SERIALIZATION)
    return story.trace(returned=returned, response=response, response_bytes=response_bytes)


def test_it_fires_at_the_threshold_at_the_endpoint() -> None:
    finding = only(found(slow_serialization, encoding(4, 16)))

    assert ("slow-serialization", ENDPOINT) == (finding.rule, finding.place)
    assert "Encoding values of no declared type takes 4.0 ms, 20 % of the request." == finding.says
    assert pytest.approx(4) == finding.could_save_ms
    assert pytest.approx(4) == finding.evidence["serialization_ms"]
    assert pytest.approx(0.2) == finding.evidence["share"]


def test_it_is_silent_just_below() -> None:
    assert [] == judged(slow_serialization, encoding(4, 16.1))


def test_small_answers_are_encoded_soon_enough() -> None:
    assert [] == judged(slow_serialization, encoding(0.9, 0.5))


def test_garbage_collections_do_not_water_the_share_down() -> None:
    story = Story().sends(listing(200), 16).runs(4, None, SERIALIZATION).runs(30, None, GC)

    assert (
        pytest.approx(0.2)
        == (only(found(slow_serialization, story.trace(returned=UNTYPED))).evidence["share"])
    )


def test_a_declared_type_that_goes_by_way_of_python_is_slow_too() -> None:
    says = only(found(slow_serialization, encoding(10, returned=TYPED))).says

    assert says.startswith("Encoding by way of Python's own objects takes 10.0 ms, 50 %")


def test_where_pydantic_makes_the_bytes_nothing_is_to_be_gained() -> None:
    assert [Nearly("serialization takes 50 %, and no slow encoder of JSON does it")] == judged(
        slow_serialization, encoding(10, returned=FAST)
    )


@pytest.mark.parametrize(("ns_per_byte", "fires"), [(4.0, True), (3.9, False)])
def test_without_fastapi_the_time_for_a_byte_tells_slow_encoders_from_quick_ones(
    ns_per_byte: float, fires: bool
) -> None:
    trace = encoding(10, returned=None, response_bytes=round(10e6 / ns_per_byte))

    findings = found(slow_serialization, trace)

    assert fires is bool(findings)
    assert all("Encoding by json.dumps, or what works like it, takes" in f.says for f in findings)


def test_bytes_that_the_database_has_made_take_no_encoding() -> None:
    assert [] == judged(slow_serialization, encoding(0.05, returned=None))


def test_a_template_is_no_json() -> None:
    html = replace(JSON, content="text/html")

    assert [] == found(slow_serialization, encoding(10, returned=None, response=html))


def by_hand(folder: Path, line: str, ms: float = 10, *, body: str = "") -> Trace:
    app = App(folder, f"async def list_orders(rows):\n    {line}  # here\n{body}")
    story = Story().sends(listing(200), 10).runs(ms, app.at("# here")).answers(0.01)
    return story.trace(response_bytes=20_000, endpoint=app.at("async def"))


@pytest.mark.parametrize(
    "line",
    [
        "text = json.dumps(rows)",
        "return Response(json.dumps([dict(one) for one in rows]))",
        "values = jsonable_encoder(rows)",
        "values = fastapi.encoders.jsonable_encoder(rows)",
    ],
)
def test_own_code_that_encodes_is_seen_by_its_line(tmp_path: Path, line: str) -> None:
    finding = only(found(slow_serialization, by_hand(tmp_path, line)))

    assert "Encoding by `jsonable_encoder` or `json.dumps` in your own code" in finding.says
    assert pytest.approx(10) == finding.could_save_ms
    assert finding.place is not None
    assert 1 == finding.place.line


@pytest.mark.parametrize(
    "line",
    ["text = orjson.dumps(rows)", "text = shop.json_dumps(rows)", "rows = sorted(rows)"],
)
def test_own_code_that_does_something_else_is_not_encoding(tmp_path: Path, line: str) -> None:
    assert [] == judged(slow_serialization, by_hand(tmp_path, line))


def test_own_code_beside_an_encoder_is_not_encoding(tmp_path: Path) -> None:
    trace = by_hand(tmp_path, "rows = sorted(rows)", body="    return json.dumps(rows)\n")

    assert [] == judged(slow_serialization, trace)


@pytest.mark.parametrize(
    "head", ["for one in load(rows):", "if check(rows):", "with opened(rows) as file:"]
)
def test_the_head_of_a_block_is_not_what_its_lines_do(tmp_path: Path, head: str) -> None:
    trace = by_hand(tmp_path, head, body="        text = json.dumps(rows)\n")

    assert [] == judged(slow_serialization, trace)


def test_it_says_what_others_waited_for_it() -> None:
    blocked = Blocked("GET /orders", None, "serialization", 9, 3, (Victim("GET /x", 4, 5, 8),))
    run = Run(round_trip_ms=RUN.round_trip_ms, blocked=(blocked,))

    assert 8 == only(found(slow_serialization, encoding(10), run=run)).others_waited_ms


def test_a_line_that_cannot_be_read_is_own_code() -> None:
    story = Story().sends(listing(200), 10).runs(10, LINE)

    assert [] == judged(slow_serialization, story.trace())
