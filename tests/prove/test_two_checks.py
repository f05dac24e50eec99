from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.prove.saved import NEWER, OLDER, SINCE, USERS, checked, request, requests, save
from unslow.doctor import compared_runs
from unslow.model.compared import Compared, ComparedRun, RouteCompared
from unslow.model.finding import BROKE, CLEAN, FOUND, NOT_CHECKED, Finding, Outcome
from unslow.model.proof import FASTER, NO_DIFFERENCE, NOT_TRIED, SLOWER, Arm, Trial
from unslow.model.proof_codec import Tried, tried_text
from unslow.model.trace import OWN_CODE, SEGMENTS, SQL, Process, Trace
from unslow.model.workload import LeftOut
from unslow.prove.two_checks import RouteMeasured, RunMeasured, compared
from unslow.store import write_tried

GET_USERS = f"GET {USERS}"


def of(folder: Path, before: tuple[Trace, ...], after: tuple[Trace, ...], **more: Any) -> Compared:
    """Two checks of these requests, compared."""
    save(folder, OLDER, *before)
    save(folder, NEWER, *after)
    return compared_runs(folder, **more)


def only(found: Compared) -> RouteCompared:
    (route,) = found.routes
    return route


@pytest.mark.parametrize(
    ("ms", "verdict"), [(6.0, FASTER), (12.0, NO_DIFFERENCE), (12.9, NO_DIFFERENCE), (24.0, SLOWER)]
)
def test_each_route_has_its_verdict(ms: float, verdict: str, tmp_path: Path) -> None:
    route = only(of(tmp_path, requests(12.0), requests(ms)))

    assert (GET_USERS, verdict, 40, 40) == (
        route.route,
        route.verdict,
        route.requests_before,
        route.requests_after,
    )
    assert route.comparison is not None
    assert route.comparison.times == pytest.approx(12.0 / ms, rel=0.02)


def test_what_is_less_than_ten_percent_is_no_difference_with_that_reason(tmp_path: Path) -> None:
    found = of(tmp_path, requests(12.0), requests(12.9))

    assert "equal runs apart differed by 10 %" in only(found).why
    assert 1.1 == found.least_times


def test_statements_and_bytes_are_told_by_their_medians(tmp_path: Path) -> None:
    before = requests(12.0, statements=52, response_bytes=20_000)

    route = only(of(tmp_path, before, requests(6.0, statements=3)))

    assert (52, 3) == (route.statements_before, route.statements_after)
    assert (20_000, 312) == (route.response_bytes_before, route.response_bytes_after)


def test_only_requests_that_ran_alone_and_counted_and_were_measured_are_compared(
    tmp_path: Path,
) -> None:
    others = (
        *(request(-50 + number, 900.0) for number in range(5)),
        *(request(200 + number, 900.0, status=500) for number in range(5)),
        *(request(300 + number, 900.0, usages=()) for number in range(5)),
        # A crowd, and those that run alone in it by chance.
        *(request(1e7 + number / 1e4, 900.0) for number in range(5)),
        *(request(1e7 + 10 + number, 2.0) for number in range(40)),
    )

    route = only(of(tmp_path, requests(12.0), (*requests(12.0), *others)))

    assert (NO_DIFFERENCE, 40, 40) == (
        route.verdict,
        route.requests_before,
        route.requests_after,
    )
    assert (0, 5) == (route.uncounted_before, route.uncounted_after)
    assert not route.is_lost


def test_what_was_recorded_during_trials_is_left_out(tmp_path: Path) -> None:
    save(tmp_path, OLDER, *requests(12.0))
    save(tmp_path, NEWER, *requests(12.0), *(request(1e7 + n, 2.0) for n in range(40)))
    write_tried(tmp_path, NEWER, SINCE + 1e7, tried_text(Tried(())))

    assert NO_DIFFERENCE == only(compared_runs(tmp_path)).verdict


def test_statuses_that_were_to_count_do(tmp_path: Path) -> None:
    for run in (OLDER, NEWER):
        save(tmp_path, run, *requests(12.0, status=304), also_counted=frozenset({304}))

    assert 40 == only(compared_runs(tmp_path)).requests_after


def test_a_few_requests_are_too_few(tmp_path: Path) -> None:
    route = only(of(tmp_path, requests(12.0), requests(6.0, count=2)))

    assert (NOT_TRIED, None) == (route.verdict, route.comparison)
    assert "2 requests measured: too few" in route.why


def test_a_route_that_does_not_answer_any_more_is_lost_and_stands_first(tmp_path: Path) -> None:
    before = (*requests(12.0), *requests(12.0, "/posts"))
    after = (*requests(12.0, status=500), *requests(24.0, "/posts"))

    found = of(tmp_path, before, after)

    assert [(GET_USERS, True), ("GET /posts", False)] == [
        (one.route, one.is_lost) for one in found.routes
    ]
    assert found.is_worse


def test_slower_routes_come_first_then_those_that_differ_most(tmp_path: Path) -> None:
    times = {"/a": 12.0, "/b": 24.0, "/c": 1.0, "/d": 6.0, "/e": 48.0}

    found = of(
        tmp_path,
        tuple(one for route in times for one in requests(12.0, route)),
        tuple(one for route, ms in times.items() for one in requests(ms, route)),
    )

    assert ["GET /e", "GET /b", "GET /c", "GET /d", "GET /a"] == [one.route for one in found.routes]


def test_of_a_slower_route_the_segments_that_grew_are_told(tmp_path: Path) -> None:
    slower = only(of(tmp_path, requests(12.0), requests(24.0)))
    (grown,) = slower.grown

    assert SEGMENTS[OWN_CODE] == grown.segment
    assert grown.before_ms == pytest.approx(12.0, rel=0.02)
    assert grown.grown_ms == pytest.approx(12.0, rel=0.05)


def test_no_segment_is_told_where_the_route_is_not_slower(tmp_path: Path) -> None:
    after = requests(12.0, segment=SQL)

    assert () == only(of(tmp_path, requests(12.0), after)).grown


def test_a_finding_that_came_is_new_and_one_that_went_is_gone(tmp_path: Path) -> None:
    quick, slow = requests(12.0), requests(30.0)

    (new,) = only(of(tmp_path / "a", quick, slow)).findings.new
    found = of(tmp_path / "b", slow, quick)
    (gone,) = only(found).findings.gone
    (stayed,) = only(of(tmp_path / "c", slow, slow)).findings.stayed

    assert "long-step" == new.rule
    assert new.id == gone.id == stayed.id
    assert (gone,) == found.gone_findings
    assert not found.is_worse


def test_what_is_accepted_is_neither_new_nor_worse(tmp_path: Path) -> None:
    before, after = requests(30.0, segment=SQL), requests(30.0)
    (new,) = of(tmp_path, before, after).new_findings

    found = compared_runs(tmp_path, accepted={new.id})

    assert ((), (new.id,)) == (
        found.new_findings,
        tuple(one.id for one in only(found).findings.aside),
    )
    assert not found.is_worse


def test_what_its_trials_have_withdrawn_is_set_aside_too(tmp_path: Path) -> None:
    (new,) = of(tmp_path, requests(30.0, segment=SQL), requests(30.0)).new_findings
    trial = Trial(new.id, Arm("a", "b"), "safe", NO_DIFFERENCE)
    write_tried(tmp_path, NEWER, SINCE + 1e7, tried_text(Tried((trial,))))

    assert () == compared_runs(tmp_path).new_findings


def test_routes_of_one_check_only_are_told_with_why_the_other_did_not_ask(tmp_path: Path) -> None:
    left_out = (LeftOut("GET", "/late", "there was no time left to ask it"),)
    save(tmp_path, OLDER, *requests(12.0), *requests(12.0, "/old"), left_out=left_out)
    save(tmp_path, NEWER, *requests(12.0), *requests(30.0, "/new"), *requests(30.0, "/late"))

    found = compared_runs(tmp_path)

    assert ["GET /old"] == [one.route for one in found.only_before]
    whys = {one.route: (one.why, one.requests_count) for one in found.only_after}
    assert {
        "GET /new": ("", 40),
        "GET /late": ("there was no time left to ask it", 40),
    } == whys
    # What was there before, and was not asked, may have had it then.
    assert ["GET /new"] == [one.route for one in found.new_findings]


def test_what_else_differs_is_noted(tmp_path: Path) -> None:
    save(tmp_path, OLDER, *requests(12.0), database_hosts=("127.0.0.1",))
    save(
        tmp_path,
        NEWER,
        *requests(12.0),
        target="shop.other:app",
        python="3.12.1",
        libraries=(("fastapi", "0.166.0"), ("uvloop", "0.22.1")),
        slice_cost_ns=700,
        database_hosts=("10.0.0.7",),
        stopped_by="the time of 300 s was up",
    )

    targets, versions, costs, databases, end = compared_runs(tmp_path, OLDER, NEWER).notes

    assert "Two targets: shop.main:app before, shop.other:app after. Routes of one" in targets
    assert "after: Python 3.11.7 → 3.12.1, fastapi 0.165.0 → 0.166.0, uvloop (not" in versions
    assert "one slice of time took 400 ns before and 700 ns after: another machine" in costs
    assert "Two databases: 127.0.0.1 before, 10.0.0.7 after." == databases
    assert (
        "Of the check after: The check did not come to its end: the time of 300 s was up."
    ) == end
    assert () == of(tmp_path / "same", requests(12.0), requests(12.0)).notes


def test_two_commands_may_be_two_apps(tmp_path: Path) -> None:
    for run in (OLDER, NEWER):
        save(tmp_path, run, *requests(12.0), target="")

    assert ("Both checked a command: whether it was the same app is not known.",) == (
        compared_runs(tmp_path).notes
    )


def test_a_check_whose_beginning_had_to_make_room_is_noted(tmp_path: Path) -> None:
    save(tmp_path, OLDER, *requests(12.0), measured_since=SINCE - 10)
    save(tmp_path, NEWER, *requests(12.0), *requests(30.0, "/gone"))

    found = compared_runs(tmp_path)

    (note,) = found.notes
    assert "Of the check before: its beginning is kept no longer, as the store made room" in note
    # What is missing of it may have had the same.
    assert () == found.new_findings


def test_the_newer_one_named_first_is_noted(tmp_path: Path) -> None:
    save(tmp_path, OLDER, *requests(12.0))
    save(tmp_path, NEWER, *(request(1e7 + number, 12.0) for number in range(40)))

    (note,) = compared_runs(tmp_path, NEWER, OLDER).notes

    assert note == "The one before is the newer one: name the older one first."


def a_run(
    states: Mapping[str, str], *rules: str, why: str = "", statements: int = 2
) -> RunMeasured:
    """A check that found something of these rules, and what became of each rule."""
    return RunMeasured(
        run=ComparedRun(Path(), "run", "app:app", "", 0),
        checked=checked(),
        routes={GET_USERS: RouteMeasured((), 0, statements, 312, {}, 0)},
        findings={
            GET_USERS: tuple(Finding("says", None, rule=rule, route=GET_USERS) for rule in rules)
        },
        aside=frozenset(),
        outcomes={
            (rule, GET_USERS): Outcome(rule, GET_USERS, state, why)
            for rule, state in states.items()
        },
        notes=(),
        processes=(Process(1, 1.0, "3.11.7", 0, 0),),
    )


@pytest.mark.parametrize("state", [NOT_CHECKED, BROKE])
def test_what_a_rule_could_not_look_for_is_neither_new_nor_gone(state: str) -> None:
    looked, found = a_run({"a": CLEAN}), a_run({"a": FOUND}, "a")
    blind = a_run({"a": state})

    assert ["a"] == [one.rule for one in compared(looked, found).new_findings]
    for before, after in ((blind, found), (found, blind)):
        changes = only(compared(before, after)).findings
        assert ((), ()) == (changes.new, changes.gone)
        assert ["a"] == [one.rule for one in changes.unsure]


def test_what_was_nearly_found_before_is_new_only_if_the_route_sends_something_else() -> None:
    nearly = a_run({"a": CLEAN}, why="the pool was waited for, but not for long")
    found, changed = (a_run({"a": FOUND}, "a", statements=count) for count in (2, 52))

    for before, after in ((nearly, found), (found, nearly)):
        changes = only(compared(before, after)).findings
        assert ((), (), ()) == (changes.new, changes.gone, changes.unsure)
        assert ["a"] == [one.rule for one in changes.nearly]
    assert ["a"] == [one.rule for one in compared(nearly, changed).new_findings]
    assert ["a"] == [one.rule for one in compared(changed, nearly).gone_findings]
