"""`unslow demo` from end to end: the receipts of all its endpoints, checked trace by trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.calibration.second_receipt import second_receipt
from unslow.demo.planted import PLANTED, RIGHT, Planted
from unslow.model.trace import SEGMENTS, UNEXPLAINED
from unslow.record.receipt import receipt_of
from unslow.store import Recorded, reading

ROUNDING_NS = 1_000
UNEXPLAINED_AT_MOST = 0.03
JUDGED_ABOVE_MS = 5.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    # What is tried afterwards is recorded too, under other conditions.
    command = [sys.executable, "-m", "unslow", "demo", "--json", "--no-trials"]
    command += ["--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    # A slow machine cannot send all requests of 20 users in time, and the command says so.
    said = [line for line in done.stderr.splitlines() if "too busy to send them" not in line]
    assert (done.returncode, said) == (0, [])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def recorded(report: dict[str, Any], folder: Path) -> tuple[Recorded, ...]:
    with reading(folder) as reader:
        return reader.run(reader.runs()[-1])


def endpoint(report: dict[str, Any], method: str, route: str) -> dict[str, Any]:
    matching: list[dict[str, Any]] = [
        one for one in report["endpoints"] if (one["method"], one["route"]) == (method, route)
    ]
    (found,) = matching
    return found


def test_every_endpoint_has_a_receipt_and_nothing_failed(report: dict[str, Any]) -> None:
    routes = {(one["method"], one["route"]) for one in report["endpoints"]}

    assert routes == {(one.method, one.route) for one in PLANTED} | set(RIGHT)
    assert [one["errors"] for one in report["endpoints"]] == [0] * len(routes)
    assert all(one["alone"] is not None for one in report["endpoints"])


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.function} {one.rule}")
def test_every_planted_mistake_is_found_at_its_line(
    report: dict[str, Any], planted: Planted
) -> None:
    findings = endpoint(report, planted.method, planted.route)["findings"]
    (found,) = [one for one in findings if one["rule"] == planted.rule]

    assert planted.function == found["place"]["function"]
    assert found["code"].startswith(planted.line)


@pytest.mark.parametrize(("method", "route"), RIGHT)
def test_nothing_is_found_on_the_right_endpoints(
    report: dict[str, Any], method: str, route: str
) -> None:
    assert [] == endpoint(report, method, route)["findings"]


def test_no_rule_broke(report: dict[str, Any]) -> None:
    assert [] == [one for one in report["not_checked"] if one["state"] == "broke"]


def test_everything_the_app_uses_is_covered(report: dict[str, Any]) -> None:
    assert [one for one in report["coverage"] if one["state"] != "on"] == []


def test_each_receipt_sums_to_its_wall(report: dict[str, Any]) -> None:
    for one in report["endpoints"]:
        mean = one["receipts_ms"]["mean"]
        assert sum(mean.values()) == pytest.approx(one["wall_ms"]["mean"])
        assert set(mean) == set(SEGMENTS)


def test_the_independent_receipt_agrees_on_every_trace(recorded: tuple[Recorded, ...]) -> None:
    worst = 0
    count = 0
    for one in recorded:
        for trace in one.traces:
            ours = receipt_of(trace, one.process.slice_cost_ns)
            theirs = second_receipt(
                trace, trace.start_ns, trace.response_end_ns, one.process.slice_cost_ns
            )
            differences = zip(ours.segments_ns, theirs, strict=True)
            worst = max(worst, *(abs(a - b) for a, b in differences))
            count += 1

    assert count > 1_000
    assert worst <= ROUNDING_NS


def test_almost_nothing_is_unexplained(report: dict[str, Any]) -> None:
    shares = {}
    for one in report["endpoints"]:
        for which in (one, one["alone"]):
            wall = which["wall_ms"]["mean"]
            if wall > JUDGED_ABOVE_MS:
                share = which["receipts_ms"]["mean"][SEGMENTS[UNEXPLAINED]] / wall
                shares[one["route"], round(wall, 1)] = share

    assert len(shares) > len(RIGHT)
    assert {key: share for key, share in shares.items() if share > UNEXPLAINED_AT_MOST} == {}


@pytest.mark.parametrize(
    ("route", "segment"),
    [
        ("/orders/{order_id}", "blocking"),
        ("/orders/{order_id}/shipping", "remote"),
        ("/orders/{order_id}/tracking", "remote"),
    ],
)
def test_alone_a_mistake_shows_in_its_segment(
    report: dict[str, Any], route: str, segment: str
) -> None:
    alone = endpoint(report, "GET", route)["alone"]

    assert alone["receipts_ms"]["mean"][segment] > 0.5 * alone["wall_ms"]["mean"]


def test_the_lazy_page_shows_its_statements_and_its_relationship(report: dict[str, Any]) -> None:
    lazy = endpoint(report, "GET", "/users/{user_id}/feed")

    assert lazy["statements"]["p50"] >= 50
    assert max(one["calls_per_request"] for one in lazy["statement_shapes"]) > 40
    assert any(one["relationship"] for one in lazy["statement_shapes"])


def test_the_culprits_of_the_blocked_loop_are_named_with_their_lines(
    report: dict[str, Any],
) -> None:
    culprits = {(one["route"], one["what"]) for one in report["blocked"] if one["place"]}

    assert ("GET /orders/{order_id}", "time.sleep") in culprits
    assert any(route == "GET /orders/{order_id}/shipping" for route, _ in culprits)


def test_the_pool_of_two_names_its_holder(report: dict[str, Any]) -> None:
    crowded = endpoint(report, "GET", "/reports/sales")

    assert crowded["receipts_ms"]["mean"]["pool-wait"] > 0
    assert {one["route"] for one in report["holders"]} >= {"GET /reports/sales"}
