from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report.judged import NASTY, ORDER, POSTS, SCORE, blocking, lazy_load, no_timeout
from tests.report.samples import FOLDER
from tests.report.tried import measured
from unslow.model.compared import (
    Compared,
    ComparedRun,
    FindingChanges,
    OnlyInOne,
    RouteCompared,
    SegmentChange,
)
from unslow.model.proof import FASTER, NO_DIFFERENCE, NOT_TRIED, SLOWER
from unslow.report.compared import compared_json, compared_lines, summary_sentence
from unslow.report.page import Page


def route(name: str = POSTS, verdict: str = FASTER, **changes: Any) -> RouteCompared:
    made = RouteCompared(
        route=name,
        requests_before=40,
        requests_after=40,
        uncounted_before=0,
        uncounted_after=0,
        verdict=verdict,
        why="",
        comparison=measured(1.8),
        statements_before=1,
        statements_after=1,
        response_bytes_before=312,
        response_bytes_after=312,
    )
    return replace(made, **changes)


def faster(**changes: Any) -> RouteCompared:
    return route(
        statements_before=52,
        statements_after=3,
        response_bytes_before=20_639,
        response_bytes_after=3_100,
        findings=FindingChanges(gone=(lazy_load(),)),
        **changes,
    )


def slower() -> RouteCompared:
    return route(
        ORDER,
        SLOWER,
        comparison=measured(0.5),
        findings=FindingChanges(new=(blocking(),), stayed=(no_timeout(),), aside=(lazy_load(),)),
        grown=(SegmentChange("own-code", 1.2, 5.3), SegmentChange("sql", 3.0, 4.1)),
    )


def two(*routes: RouteCompared, **changes: Any) -> Compared:
    run = ComparedRun(
        Path(".unslow"), "2026-03-01T12:00:00 aaaa", "shop.main:app", "2026-03-01T12:00:31Z", 80
    )
    return replace(Compared(run, replace(run, run="2026-03-02"), 1.1, routes), **changes)


def lines_of(shown: Compared, width: int = 140) -> list[str]:
    return [line.plain for line in compared_lines(shown, Page(width, Path(FOLDER)))]


def line_of(shown: RouteCompared) -> str:
    (line,) = (one for one in lines_of(two(shown)) if shown.route in one)
    return line


def test_the_head_names_the_two_and_says_how_far_to_trust_it() -> None:
    head = lines_of(two(faster(), notes=("Two databases.",)))[:6]

    assert [
        "unslow · two checks of shop.main:app · 1 route in both",
        "  before 2026-03-01T12:00:00 aaaa · 2026-03-01 12:00 UTC · 80 requests alone",
        "  after  2026-03-02 · 2026-03-01 12:00 UTC · 80 requests alone",
    ] == head[:3]
    assert "Measured apart, not side by side" in head[3]
    assert "no difference below 10 % is told" in " ".join(head[3:5])
    assert "! Two databases." == head[5]


def test_two_folders_are_told() -> None:
    found = two()
    here = replace(found.before, folder=Path("../main/.unslow"))

    text = "\n".join(lines_of(replace(found, before=here)))

    assert "alone · in ../main/.unslow" in text
    assert "alone · in .unslow" in text


def test_a_route_is_one_line_with_its_verdict_its_figures_and_its_findings() -> None:
    gone = f"{lazy_load().id} gone"

    assert (
        "✔ GET /users/{user_id}/posts   1.8x faster [1.6, 2.0]   33.7 → 18.7 ms   52 → 3 statements"
        f"   20.6 kB → 3.1 kB   {gone}"
    ) == line_of(faster())


def test_a_slower_one_tells_what_grew() -> None:
    lines = lines_of(two(slower()))

    at = next(i for i, line in enumerate(lines) if ORDER in line)
    assert lines[at].startswith(
        f"✘ {ORDER}   2.0x slower [1.8, 2.2]   33.7 → 67.4 ms   as many statements and bytes"
    )
    text = " ".join(lines[at : at + 2])
    assert f"{blocking().id} new" in text
    assert "1 finding stayed" in text
    assert "1 finding accepted or withdrawn" in text
    assert "    grew: own-code 1.2 → 5.3 ms, sql 3.0 → 4.1 ms" in lines


def test_no_difference_says_why_and_how_little_it_may_be() -> None:
    same = route(
        SCORE, NO_DIFFERENCE, comparison=measured(1.02, smallest=1.14), why="less than 2 %"
    )

    line = line_of(same)

    assert line.startswith(f"= {SCORE}   no difference: less than 2 %; a gain of 14 % would have")


def test_what_is_not_compared_and_what_is_lost_say_so() -> None:
    few = route(verdict=NOT_TRIED, comparison=None, why="3 requests measured: too few")
    lost = replace(few, requests_after=0, uncounted_after=36)
    some = route(uncounted_after=4)

    assert "· GET /users/{user_id}/posts   not compared: 3 requests" in line_of(few)
    assert line_of(lost).startswith("✘ ")
    assert "answered before, not any more: 36 requests did not count" in line_of(lost)
    assert "after 4 requests did not count" in line_of(some)


@pytest.mark.parametrize(("after", "is_told"), [(312, False), (314, False), (400, True)])
def test_a_size_that_is_nearly_the_same_is_not_told(after: int, is_told: bool) -> None:
    assert is_told == (" B" in line_of(route(response_bytes_after=after)))


def test_findings_of_which_nobody_can_tell_say_so() -> None:
    unclear = route(findings=FindingChanges(nearly=(blocking(),), unsure=(no_timeout(),)))

    text = " ".join(" ".join(lines_of(two(unclear))).split())

    assert f"{blocking().id} at its threshold" in text
    assert f"{no_timeout().id} not looked for in both" in text
    assert "Findings: none new, none gone" in text


def test_routes_of_one_only_stand_below_with_why() -> None:
    text = "\n".join(
        lines_of(
            two(
                only_before=(OnlyInOne("GET /old", 36),),
                only_after=(OnlyInOne("GET /new", 1, "it writes", (blocking(),)),),
            )
        )
    )

    assert "\nOnly before (1)\n  GET /old   36 requests\n" in text
    assert (
        f"\nOnly after (1)\n  GET /new   1 request   {blocking().id}   before: it writes\n" in text
    )


def test_the_sentence_at_the_end_counts_everything() -> None:
    lost = route("GET /l", NOT_TRIED, comparison=None, requests_after=0, uncounted_after=1)
    few = route("GET /f", NOT_TRIED, comparison=None)

    found = two(faster(), slower(), lost, few, route("GET /s", NO_DIFFERENCE))

    assert (
        "5 routes in both: 1 faster, 1 slower, 1 without a difference, 1 not answering any more, 1"
        " not compared. Findings: 1 new, 1 gone, 1 stayed."
    ) == summary_sentence(found)
    assert "0 routes in both. Findings: none new, none gone, none stayed." == (
        summary_sentence(two())
    )
    assert lines_of(found)[-1].endswith("1 stayed.")


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_wider_than_it_may_be_and_none_is_obeyed_by_a_terminal(width: int) -> None:
    nasty = faster(comparison=measured(1.02), why=NASTY, verdict=NO_DIFFERENCE)
    shown = two(
        replace(nasty, route=f"GET /{NASTY}"),
        slower(),
        only_after=(OnlyInOne(f"GET /{NASTY}", 1, NASTY),),
        notes=(NASTY,),
    )
    bad = replace(shown, after=replace(shown.after, target=NASTY, run=NASTY, folder=Path(NASTY)))

    lines = list(compared_lines(bad, Page(width, Path(FOLDER))))

    assert width >= max(line.cell_len for line in lines)
    assert all(line.plain.isprintable() for line in lines)


def test_as_json_everything_is_there() -> None:
    found = compared_json(
        two(faster(), slower(), only_after=(OnlyInOne("GET /new", 1, "", (no_timeout(),)),))
    )

    assert (1, 1.1, True) == (found["format"], found["least_times"], found["is_worse"])
    assert {
        "folder": ".unslow",
        "run": "2026-03-01T12:00:00 aaaa",
        "target": "shop.main:app",
        "recorded": "2026-03-01T12:00:31Z",
        "requests": 80,
    } == found["before"]
    first, second = found["routes"]
    assert (POSTS, "faster", 1.8, 52, 3) == tuple(
        first[name]
        for name in ("route", "verdict", "times", "statements_before", "statements_after")
    )
    gone = {
        "id": lazy_load().id,
        "rule": "lazy-load-loop",
        "title": "A relationship is loaded once per row",
    }
    assert [gone] == first["findings"]["gone"]
    assert [blocking().id] == [one["id"] for one in second["findings"]["new"]]
    assert {"segment": "own-code", "before_ms": 1.2, "after_ms": 5.3} == second["grown"][0]
    assert [no_timeout().id] == [one["id"] for one in found["only_after"][0]["findings"]]


def test_what_was_not_measured_is_null() -> None:
    few = route(verdict=NOT_TRIED, comparison=None, statements_before=None)

    (one,) = compared_json(two(few))["routes"]

    assert (None, None, None) == (one["times"], one["interval"], one["statements_before"])
