"""The lines that a request's way in and out, its neighbours and the recording itself make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

import pytest

from tests.calibration import app as calibration_app
from tests.calibration.app import make_app
from tests.calibration.driver import (
    LEAST_MS,
    Driver,
    Exchange,
    Recording,
    Seen,
    get,
    lines,
    recorded_calls,
    together,
    wrong_lines,
    wrong_lines_in_a_crowd,
)
from tests.calibration.stage import Stage
from unslow.model.receipt import Waited
from unslow.record.blame import LoopLedger

PARCEL = b'{"name": "x"}'
MANY_LINES = json.dumps(
    [{"number": number, "name": "name", "tags": ["a", "b"]} for number in range(10_000)]
).encode()


def truth_ms(seen: Sequence[Seen], segment: str) -> float:
    return next(line.truth_ms for line in lines(seen) if line.segment == segment)


def line_ms(seen: Sequence[Seen], segment: str) -> float:
    return next(line.receipt_ms for line in lines(seen) if line.segment == segment)


def test_validation(stage: Stage) -> None:
    seen = stage.measured(wrong_lines, partial(Exchange, "POST", "/validation", PARCEL))

    assert truth_ms(seen, "validation") >= calibration_app.VALIDATION_MS


def test_validation_of_a_large_body_with_its_parsing(stage: Stage) -> None:
    seen = stage.measured(wrong_lines, partial(Exchange, "POST", "/lines", MANY_LINES))

    assert truth_ms(seen, "validation") >= 5


def test_serialization(stage: Stage) -> None:
    seen = stage.alone(wrong_lines, "/serialization")

    assert truth_ms(seen, "serialization") >= calibration_app.SERIALIZATION_MS


def test_serialization_of_a_large_answer(stage: Stage) -> None:
    # How long it takes is known from outside only: what the framework has beside it is what it has
    # with an empty answer.
    around = ("framework", "serialization")
    empty = line_ms(stage.alone(wrong_lines, "/empty"), "framework")

    def judge(seen: Sequence[Seen]) -> list[str]:
        framework = line_ms(seen, "framework")
        too_long = framework > empty + LEAST_MS
        return wrong_lines(seen, around) + [f"framework: {framework:.2f} ms"] * too_long

    seen = stage.alone(judge, "/lines")

    assert line_ms(seen, "serialization") >= 5


def test_many_objects_are_hydration(stage: Stage) -> None:
    # The app sees the time from the first object to the last; around it SQLAlchemy fetches rows,
    # prepares and ends the transaction, and only the whole of that is known.
    around = ("hydration", "orm", "rows", "sql")

    def judge(seen: Sequence[Seen]) -> list[str]:
        found = lines(seen)
        hydration, all_of_it = together(found, "hydration"), together(found, *around)
        wrong = [line for line in wrong_lines(seen) if not line.startswith(around)]
        wrong += [str(hydration)] * (hydration.error_ms < -hydration.bound_ms)
        return wrong + [str(all_of_it)] * (not all_of_it.is_right)

    seen = stage.alone(judge, "/many-objects")

    assert truth_ms(seen, "hydration") >= 2


def test_a_client_that_sends_its_body_slowly(stage: Stage) -> None:
    slow = partial(Exchange, "POST", "/receive", b"x" * 1_000, body_delay_s=0.01)

    seen = stage.measured(wrong_lines, slow)

    assert truth_ms(seen, "receive") >= 20


def test_a_slow_body_is_not_validation(stage: Stage) -> None:
    slow = partial(Exchange, "POST", "/validation", PARCEL, body_delay_s=0.01)

    for driver in (stage.plain, stage.under_middleware):
        seen = stage.measured(wrong_lines, slow, driver=driver)
        assert truth_ms(seen, "receive") >= 20


@pytest.mark.parametrize("path", ["/send", "/stream"])
def test_a_client_that_reads_slowly(stage: Stage, path: str) -> None:
    slow = partial(Exchange, "GET", path, read_delay_s=0.02)

    for driver in (stage.plain, stage.under_middleware):
        seen = stage.measured(wrong_lines_in_a_crowd, slow, driver=driver)
        assert truth_ms(seen, "send") >= 20


def test_a_long_way_to_the_route_is_framework(stage: Stage, recording: Recording) -> None:
    many_routes = Driver(recording, make_app(stage.world, routes_before=3_000))

    seen = stage.alone(wrong_lines, "/empty", many_routes)

    framework = next(line for line in lines(seen) if line.segment == "framework")
    assert framework.truth_ms >= 2
    assert abs(framework.error_ms) <= framework.bound_ms


def of_the_victims(seen: Sequence[Seen]) -> list[str]:
    return wrong_lines(seen[::2])


def waited(victim: Seen, culprit: Seen) -> Waited:
    return LoopLedger([victim.trace, culprit.trace], ()).waited(0)


def with_bell(stage: Stage, path: str) -> Exchange:
    stage.world.bell.clear()
    return get(path)


@pytest.mark.parametrize("awaits", ["event", "timer", "thread"])
def test_who_waits_for_the_loop_knows_how_long_and_for_whom(stage: Stage, awaits: str) -> None:
    victim = partial(with_bell, stage, f"/victim/{awaits}")

    seen = stage.measured(of_the_victims, victim, partial(get, "/culprit"))

    # A thread may get the interpreter's lock, and so end, only when the culprit is done.
    assert awaits == "thread" or truth_ms(seen[::2], "loop-busy") >= 20
    for one, culprit in zip(seen[::2], seen[1::2], strict=True):
        found = waited(one, culprit)
        assert found.certain_ns / 1e6 == pytest.approx(one.line_ms("loop-busy"), abs=LEAST_MS)
        if found.certain_ns >= 1e6:
            culprits = {(who.route, who.what) for who in found.by_culprit}
            assert culprits == {("GET /culprit", "own-code")}


def test_who_waits_for_bytes_knows_bounds(stage: Stage) -> None:
    started_ms, answered_ms, tick_ms = 5, 10, 4

    def outside_of_bounds(seen: Sequence[Seen]) -> list[str]:
        wrong = []
        for one, culprit in zip(seen[::2], seen[1::2], strict=True):
            busy = calibration_app.CULPRIT_MS + started_ms - answered_ms
            found = waited(one, culprit)
            least, most = found.certain_ns / 1e6, found.most_ns / 1e6
            # The kernel tells the age of bytes in ticks; where it does not, nothing is certain.
            if not least - 1 <= busy <= most + 2 * tick_ms:
                wrong.append(f"{busy:.1f} ms are not between {least:.1f} and {most:.1f}")
        return wrong if len(wrong) > len(seen) // 4 else []

    culprit = partial(get, "/culprit?after_s=0.005")
    stage.measured(outside_of_bounds, partial(get, "/victim/answer"), culprit)


def test_what_recording_costs_is_a_line_of_its_own(stage: Stage) -> None:
    with recorded_calls():
        seen = stage.alone(wrong_lines, "/probe")

    assert truth_ms(seen, "probe") >= 0.5
