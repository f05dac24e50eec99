"""A load and a knee as they are printed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.model.test_load import QUIET
from unslow.model.load import Knee, Load, Stretch
from unslow.report.loaded import knee_json, knee_lines, load_json, load_lines, load_notes


def text(load: Load, width: int = 100) -> str:
    return "\n".join(line.plain.rstrip() for line in load_lines(load, "GET http://a/", width))


def test_a_load_is_told_in_four_lines() -> None:
    assert text(QUIET) == (
        "GET http://a/ · 10 requests/s · 100 requests due\n"
        "  latency   p50 3.0 ms · p90 3.0 ms · p99 3.0 ms · max 3.0 ms\n"
        "  answers   10 requests/s reached · 200: 100 · 200 B\n"
        "  sender    own lag p50 0.1 ms, p99 0.1 ms · 10 % of a core"
    )


def test_errors_have_a_line_and_no_answer_is_said() -> None:
    load = replace(
        QUIET, answered_count=0, statuses=(), latencies_ms=(), errors=(("ConnectError", 100),)
    )

    assert "  answers   0 requests/s reached · none · 200 B\n" in text(load)
    assert "  errors    ConnectError: 100\n" in text(load)
    assert "latency" not in text(load)
    assert load_json(load)["latency_ms"] is None


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (replace(QUIET, lags_ms=(2.0,) * 100), "This machine was busy, ask again"),
        (replace(QUIET, processor_share=0.95), "The sender itself was at its limit (95 % of a"),
        (replace(QUIET, unsent_count=3), "3 requests got no connection and were given up"),
        (replace(QUIET, statuses=((200, 75), (500, 25))), "25 % of the answers are not 2xx"),
        (replace(QUIET, is_stopped=True), "It was stopped before its time."),
        (replace(QUIET, is_stopped=True, cut_off_count=2), "; 2 requests under way then count"),
    ],
)
def test_what_to_know_before_the_numbers_are_believed_is_said(load: Load, said: str) -> None:
    (note,) = load_notes(load)

    assert said in note
    assert said in " ".join(text(load).replace("! ", "").split())
    assert [note] == load_json(load)["notes"]


@pytest.mark.parametrize("width", [60, 100, 140])
def test_every_line_fits(width: int) -> None:
    load = replace(QUIET, lags_ms=(2.0,) * 100, unsent_count=3, statuses=((500, 100),))

    assert all(len(line) <= width for line in text(load, width).splitlines())


HELD = Stretch(QUIET)
LEFT = Stretch(replace(QUIET, rate_per_s=15.0), "2 % failed")


@pytest.mark.parametrize(
    ("knee", "said"),
    [
        (Knee((HELD, LEFT, LEFT), 10.0, 15.0, "2 % failed"), "between 10 and 15 requests/s: 2 %"),
        (Knee((LEFT, LEFT), None, 15.0, "2 % failed"), "below 15 requests/s: 2 % failed"),
        (Knee((HELD,), 10.0, None, "it was stopped"), "not found: 10 requests/s were held, and it"),
        (Knee((), None, None, "it was stopped"), "not found: it was stopped"),
    ],
)
def test_a_knee_is_told_below_the_table_of_its_stretches(knee: Knee, said: str) -> None:
    lines = [line.plain for line in knee_lines(knee, "GET http://a/", 120)]

    assert "GET http://a/" == lines[0]
    assert f"knee  {said}" in lines[-1]
    assert len(knee.stretches) == sum("own lag p99 0.1 ms" in line for line in lines)
    found = json.loads(json.dumps(knee_json(knee)))
    assert (knee.held_per_s, knee.left_per_s) == (found["held_per_s"], found["left_per_s"])
    assert [one.why for one in knee.stretches] == [one["why"] for one in found["stretches"]]


def test_a_knee_found_on_a_busy_machine_is_said_to_be_so() -> None:
    late = Stretch(replace(QUIET, lags_ms=(2.0,) * 100))

    lines = [line.plain for line in knee_lines(Knee((late,), 10.0, None, "x"), "GET /", 100)]

    assert "! This machine was busy in some of them, ask again" in lines[-1]
