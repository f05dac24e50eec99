import json
import math
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.report.samples import (
    FOLDER,
    POOL,
    blocking_order,
    endpoint,
    lazy_posts,
    remote_score,
    report,
    shop,
    waiting_report,
)
from tests.report.tried import EAGER, PATCH, tried, wholly_tried
from unslow.model.report import Detail, Endpoint
from unslow.model.trace import SEGMENTS, Place
from unslow.report.as_json import Json, as_json, json_text

TOP = {
    "format",
    "target",
    "created",
    "unslow",
    "machine",
    "coverage",
    "endpoints",
    "findings",
    "not_checked",
    "proven_total",
}
OF_AN_ENDPOINT = {
    "method",
    "route",
    "requests",
    "requests_counted",
    "errors",
    "side_effects",
    "wall_ms",
    "receipts_ms",
    "details",
    "statements",
    "response_bytes",
    "findings",
}


def of(shown: Endpoint) -> Json:
    (found,) = as_json(report(shown), folder=Path(FOLDER))["endpoints"]
    return dict(found)


def test_format_1_has_its_names() -> None:
    found = as_json(shop())

    assert 1 == found["format"]
    assert set() == TOP - found.keys()
    for one in found["endpoints"]:
        assert set() == OF_AN_ENDPOINT - one.keys()
        assert {"mean", "p50", "p95", "p99"} == one["wall_ms"].keys()
        assert {"mean", "p50", "p95"} == one["receipts_ms"].keys()
        assert set(SEGMENTS) == one["receipts_ms"]["mean"].keys()
        assert {"p50", "max"} == one["statements"].keys() == one["response_bytes"].keys()
    assert all({"what", "state", "why"} == one.keys() for one in found["coverage"])


def test_what_no_rule_and_no_trial_has_said_yet_is_empty_and_the_total_is_not_known() -> None:
    found = as_json(shop())

    assert ([], [], None) == (found["findings"], found["not_checked"], found["proven_total"])
    assert [] == [one["findings"] for one in found["endpoints"] if one["findings"]]


def test_an_endpoint_keeps_its_numbers() -> None:
    found = of(lazy_posts())

    assert ("GET", "/users/{user_id}/posts") == (found["method"], found["route"])
    assert (40, 40, 0) == (found["requests"], found["requests_counted"], found["errors"])
    assert {"p50": 52, "max": 60} == found["statements"]
    assert {"p50": 20_639, "max": 20_700} == found["response_bytes"]
    assert (0.9, None) == (found["off_cpu_ms"], found["alone"])
    assert "Post.comments" == found["statement_shapes"][0]["relationship"]


@given(
    st.dictionaries(
        st.sampled_from(SEGMENTS), st.floats(min_value=0, max_value=1e5, allow_nan=False)
    )
)
def test_the_mean_receipt_sums_to_the_mean_wall(segments: dict[str, float]) -> None:
    found = of(endpoint("GET /a", segments))

    assert math.isclose(
        found["wall_ms"]["mean"], sum(found["receipts_ms"]["mean"].values()), abs_tol=1e-4
    )


def test_details_are_named_for_what_they_are() -> None:
    sleeps = {"path": "shop/routers/orders.py", "line": 31, "function": "get_order"}
    remote, pool = of(remote_score())["details"]["remote"], of(waiting_report())["details"]

    assert {"host": "scores.example.com", "ms": 36.0, "count": 3.0} == {
        name: remote[0][name] for name in ("host", "ms", "count")
    }
    assert POOL == pool["pool-wait"][0]["pool"]
    assert {
        "route": "GET /orders/{order_id}",
        "what": "time.sleep",
        "place": sleeps,
        "ms": 2100.0,
        "most_ms": 2180.5,
    } == of(blocking_order())["details"]["loop-busy"][0]


def test_culprits_and_holders_of_the_whole_run_are_told_too() -> None:
    found = as_json(shop())

    assert {"route": "GET /health", "requests": 12, "least_ms": 3_100.0, "most_ms": 4_700.0} == (
        found["blocked"][0]["victims"][1]
    )
    assert (60, "time.sleep") == (found["blocked"][0]["times"], found["blocked"][0]["what"])
    assert (POOL, 3_900.0) == (found["holders"][0]["pool"], found["holders"][0]["ms"])


def test_the_requests_of_an_endpoint_alone_are_an_endpoint_too() -> None:
    alone = of(blocking_order())["alone"]

    assert (20, None) == (alone["requests"], alone["alone"])


def test_a_path_starts_from_the_folder_where_it_is_inside_it_and_is_whole_elsewhere() -> None:
    inside, outside = Place(f"{FOLDER}/app.py", 3, "f"), Place("/usr/site-packages/a.py", 4, "g")
    details = {"own-code": (Detail(2.0, inside), Detail(1.0, outside), Detail(0.5))}

    found = of(endpoint("GET /a", {"own_code": 3.5}, details=details))["details"]["own-code"]

    assert {"path": "app.py", "line": 3, "function": "f"} == found[0]["place"]
    assert "/usr/site-packages/a.py" == found[1]["place"]["path"]
    assert None is found[2]["place"]


def test_the_text_is_json_that_says_the_same_and_ends_with_its_line() -> None:
    text = json_text(shop(), folder=Path(FOLDER))

    assert as_json(shop(), folder=Path(FOLDER)) == json.loads(text)
    assert text.endswith("}\n")


def test_a_report_of_nothing_is_json_too() -> None:
    found = json.loads(json_text(replace(report(), created="")))

    assert ([], 0) == (found["endpoints"], found["traces"])


def test_what_was_tried_stands_with_its_finding() -> None:
    found = as_json(wholly_tried(), folder=Path(FOLDER))
    findings = {one["rule"]: one for each in found["endpoints"] for one in each["findings"]}
    (trial,) = findings["lazy-load-loop"]["trials"]

    assert {
        "fix": "eager-load",
        "says": EAGER,
        "risk": "safe",
        "verdict": "faster",
        "why": "",
        "fired": 40,
        "times": 4.6,
        "interval": [4.1, 5.0],
        "before_ms": 33.7,
        "after_ms": 7.3,
        "users": 1,
        "blocks": 40,
        "floor": 1.03,
        "smallest": 1.06,
        "in_crowd": None,
        "statements_before": 52.0,
        "statements_after": 2.0,
        "same_answer": True,
        "at_round_trip_ms": {"0": 4.6, "1": 9.8, "5": 17.2},
        "also_tried": [
            {"says": "selectinload", "times": 2.8, "why": ""},
            {"says": "joinedload", "times": 1.8, "why": ""},
        ],
        "patch": PATCH,
        "advice": "",
        "table": [],
    } == trial
    assert {"setting": "4", "brought": "218 ms"} == findings["pool-wait"]["trials"][0]["table"][1]
    assert [True] == [one["withdrawn"] for one in findings.values() if one["withdrawn"]]
    assert findings["slow-serialization"]["withdrawn"]


def test_what_was_not_measured_is_null_under_the_same_names() -> None:
    found = as_json(wholly_tried())
    trials = [
        trial for each in found["endpoints"] for one in each["findings"] for trial in one["trials"]
    ]

    assert 1 == len({tuple(one) for one in trials})
    (by_hand,) = (one for one in trials if one["fix"] == "set-timeout")
    assert [None] * 4 == [by_hand[name] for name in ("times", "interval", "after_ms", "floor")]


def test_the_total_and_what_was_left_are_told() -> None:
    found = as_json(wholly_tried())

    assert {"times": 6.8, "before_ms": 412.0, "after_ms": 61.0, "fixes": 3} == found["proven_total"]
    assert ["2 findings of GET /health were not tried: the time of the check was over."] == (
        found["trials_left"]
    )
    assert (True, True, False) == (
        found["tried"],
        as_json(tried())["tried"],
        as_json(shop())["tried"],
    )
