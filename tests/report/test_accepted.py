from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.report.judged import ORDER, POSTS, blocking, judged, lazy_load, no_timeout, outcomes
from tests.report.samples import FOLDER
from unslow.model.baseline import Accepted, Baseline, BaselineError
from unslow.model.finding import CLEAN, NOT_CHECKED, Outcome
from unslow.model.report import Report
from unslow.report.accepted import accept, with_accepted

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)


def accepted(report: Report, baseline: Baseline, today: date = APRIL) -> Baseline:
    return accept(report, baseline, reason=" known ", today=today, folder=Path(FOLDER))


def notes(report: Report, *entries: Accepted, today: date = APRIL) -> list[str]:
    seen = with_accepted(report, Baseline(entries), today)
    return [one for one in seen.notes if one not in report.notes]


def entry(**changes: object) -> Accepted:
    made = Accepted(
        lazy_load().id, "lazy-load-loop", POSTS, "shop/routers/users.py:97", "few rows", MARCH
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # of its own fields


def test_all_findings_are_accepted_with_the_reason_and_the_day() -> None:
    found = accepted(judged(lazy_load(), no_timeout()), Baseline())

    assert (
        Accepted(
            lazy_load().id, "lazy-load-loop", POSTS, "shop/routers/users.py:97", "known", APRIL
        )
        in found.accepted
    )
    assert {"", "shop/routers/users.py:97"} == {one.place for one in found.accepted}


def test_what_is_accepted_already_keeps_its_reason_and_its_day_and_learns_its_place() -> None:
    old = entry(place="shop/users.py:3", until=date(2026, 9, 1))

    found = accepted(judged(lazy_load(), blocking()), Baseline((old,)))

    assert replace(old, place="shop/routers/users.py:97") == found.accepted[0]
    assert [old.id, blocking().id] == [one.id for one in found.accepted]


def test_what_was_accepted_until_a_day_that_is_past_is_accepted_anew() -> None:
    found = accepted(judged(lazy_load()), Baseline((entry(until=MARCH),)))

    assert (entry(reason="known", accepted_on=APRIL),) == found.accepted


def test_entries_of_other_findings_stay() -> None:
    assert (entry(),) == accepted(judged(), Baseline((entry(),))).accepted


def test_no_reason_is_an_error() -> None:
    with pytest.raises(BaselineError, match="No reason was given"):
        accept(judged(lazy_load()), Baseline(), reason=" ", today=APRIL)


def test_accepted_findings_are_marked_and_all_others_are_as_they_were() -> None:
    report = judged(lazy_load(), blocking())

    found = with_accepted(report, Baseline((entry(),)), APRIL)

    assert {"lazy-load-loop": "few rows", "blocking-call": ""} == {
        one.rule: one.accepted for one in found.findings
    }
    assert report.notes == found.notes
    assert report.findings != found.findings


def test_a_finding_whose_line_moved_is_still_accepted() -> None:
    place = lazy_load().place
    assert place is not None
    moved = judged(lazy_load(place=replace(place, line=120)))

    assert "few rows" == with_accepted(moved, Baseline((entry(),)), APRIL).findings[0].accepted


def test_an_entry_ends_with_its_last_day_and_that_is_said() -> None:
    report, ends = judged(lazy_load()), entry(until=MARCH)

    assert "few rows" == with_accepted(report, Baseline((ends,)), MARCH).findings[0].accepted
    assert "" == with_accepted(report, Baseline((ends,)), APRIL).findings[0].accepted
    (note,) = notes(report, ends)
    assert note == (
        f"The baseline accepted 1 finding until a day that is past: {ends.id} (2026-03-01)."
        " Mend them, or accept them again."
    )


def test_entries_that_match_nothing_any_more_are_named() -> None:
    gone, other = entry(id="lazy-load-loop-000000"), entry(id="lazy-load-loop-111111")
    report = judged(lazy_load(), outcomes=outcomes())

    assert [
        "1 entry of the baseline matches nothing any more: lazy-load-loop-000000. Take them out."
    ] == notes(report, entry(), gone)
    assert "2 entries of the baseline match nothing any more: lazy" in notes(report, gone, other)[0]


def test_an_entry_whose_rule_is_no_more_is_named_too() -> None:
    gone = entry(id="slow-thing-000000", rule="slow-thing")

    assert "slow-thing-000000" in notes(judged(outcomes=outcomes()), gone)[0]


@pytest.mark.parametrize(
    "known",
    [(), (Outcome("lazy-load-loop", POSTS, NOT_CHECKED, "401"), Outcome("a", ORDER, CLEAN))],
    ids=["route not asked", "rule not checked"],
)
def test_of_what_was_not_looked_at_no_entry_is_called_useless(known: tuple[Outcome, ...]) -> None:
    assert [] == notes(judged(outcomes=known), entry())
