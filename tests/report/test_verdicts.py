"""Verdicts in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.tried import (
    TOTAL,
    by_hand,
    each_verdict,
    eager,
    fast_json,
    limit_rows,
    measured,
    off_loop,
)
from unslow.model.proof import (
    BROKE,
    CHANGES_ANSWER,
    FASTER,
    NO_DIFFERENCE,
    NOT_TRIED,
    SLOWER,
    VERDICTS,
    AlsoTried,
    Arm,
    Trial,
)
from unslow.report.verdicts import (
    SIGNS,
    at_round_trips,
    beside,
    decisive,
    figures,
    further_reason,
    how_measured,
    proven,
    ratio,
    saved_ms,
    total_sentence,
    trial_words,
    variant,
    verdict_words,
    withdrawn_words,
)


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (eager(), "4.6x faster [4.1, 5.0]"),
        (off_loop(), "17.7x faster at 20 users [15.9, 19.0]"),
        (eager(compared=measured(1.06, interval=(1.02, 1.14))), "1.06x faster [1.02, 1.14]"),
        (
            eager(verdict=SLOWER, compared=measured(0.5, interval=(0.4, 0.625))),
            "2.0x slower [1.6, 2.5]",
        ),
        (fast_json(), "no difference; a gain of 6 % would have been seen"),
        (
            fast_json(compared=measured(1.0, smallest=2.5), why="below 0.2 ms."),
            "no difference: below 0.2 ms; a gain of 2.5x would have been seen",
        ),
        (fast_json(compared=None), "no difference"),
        (
            eager(verdict=CHANGES_ANSWER, why="$.items[3].created"),
            "changes the answer: $.items[3].created",
        ),
        (
            limit_rows(),
            "what if: 12.1x faster [11.0, 13.2] with .limit(50), another answer by purpose",
        ),
        (
            limit_rows(compared=None, arm=Arm("limit-rows", "")),
            "what if: not measured, another answer by purpose",
        ),
        (off_loop(verdict=NOT_TRIED, why="3 frames below"), "not tried: 3 frames below"),
        (by_hand(), "not tried, to be changed by hand"),
        (eager(verdict=BROKE, why="MissingGreenlet"), "broke: MissingGreenlet"),
        (eager(compared=None), "faster"),
    ],
)
def test_each_verdict_has_its_words(trial: Trial, words: str) -> None:
    assert words == verdict_words(trial)


def test_each_verdict_has_a_sign() -> None:
    assert set(VERDICTS) == set(SIGNS)


def test_words_of_others_are_quoted_as_the_form_wants_it() -> None:
    assert "broke: <why>" == verdict_words(eager(verdict=BROKE, why="why"), "<{}>".format)
    assert "with <.limit(50)>," in verdict_words(limit_rows(), "<{}>".format)


@given(
    st.sampled_from([one for one in VERDICTS if one != FASTER]),
    st.floats(0.01, 1000),
    st.floats(0.01, 1000),
)
def test_only_what_is_proven_is_called_faster(verdict: str, alone: float, crowd: float) -> None:
    trial = eager(verdict=verdict, compared=measured(alone), in_crowd=measured(crowd))

    told = f"{trial_words(trial)} {beside(trial)} {at_round_trips(trial)}"

    assert "faster" not in told
    assert "saved" not in told


def test_what_wins_alone_and_loses_with_many_is_told_by_what_it_loses() -> None:
    crowd = measured(0.5, interval=(0.4, 0.8), users_count=20, before_ms=400, after_ms=800)
    trial = eager(verdict=SLOWER, compared=measured(1.4, interval=(1.3, 1.5)), in_crowd=crowd)

    assert "2.0x slower at 20 users [1.2, 2.5]" == verdict_words(trial)
    assert ["400 → 800 ms", "52 → 2 statements"] == list(figures(trial))
    assert "alone 1.40x [1.30, 1.50], 33.7 → 24.1 ms" == beside(trial)


def test_what_was_measured_with_many_too_stands_beside_a_proof() -> None:
    crowd = measured(3.2, interval=(2.9, 3.4), users_count=20, before_ms=4_120, after_ms=130)

    assert "with 20 at once 3.2x [2.9, 3.4], 4.1 s → 130 ms" == beside(eager(in_crowd=crowd))
    assert "" == beside(eager())
    assert crowd == decisive(eager(compared=None, in_crowd=crowd))


@pytest.mark.parametrize(
    ("trial", "told"),
    [
        (eager(), ["33.7 → 7.3 ms", "52 → 2 statements", "same answer"]),
        (off_loop(), ["4.9 s → 277 ms", "same answer", "unsafe"]),
        (eager(same_answer=None, statements_after=52.0), ["33.7 → 7.3 ms", "answers not compared"]),
        (eager(statements_after=1.0, compared=None), ["52 → 1 statement", "same answer"]),
        (fast_json(), ["33.7 → 33.4 ms"]),
        (off_loop(verdict=NOT_TRIED), []),
        (off_loop(verdict=BROKE), []),
    ],
)
def test_beside_a_verdict_stands_what_was_measured(trial: Trial, told: list[str]) -> None:
    assert told == list(figures(trial))


def test_a_reason_stands_in_the_words_or_is_told_further() -> None:
    assert "it varies" == further_reason(eager(why="it varies"))
    assert "50 items" == further_reason(limit_rows(why="50 items"))
    assert "" == further_reason(fast_json(why="it varies"))
    assert [""] * 6 == list(map(further_reason, each_verdict()))


def test_slower_networks_are_told_in_their_order_without_the_one_that_was_measured() -> None:
    assert "at 1 ms round trip 9.8x, at 5 ms 17.2x" == at_round_trips(eager())
    assert "at 5 ms round trip 0.50x" == at_round_trips(eager(at_round_trip_ms={5: 0.5, 0: 1}))
    assert "" == at_round_trips(eager(at_round_trip_ms={}))


def test_variants_have_their_time_or_the_reason() -> None:
    assert "joinedload(A.b) 1.8x" == variant(AlsoTried("joinedload(A.b)", 1.8))
    assert "subqueryload (it broke)" == variant(AlsoTried("subqueryload", None, "it broke"))


def test_a_proof_in_short_and_what_it_saves() -> None:
    assert "proven 4.6x, 33.7 → 7.3 ms" == proven(eager())
    assert "proven" == proven(eager(compared=None))
    assert 26.4 == pytest.approx(saved_ms(eager()))
    assert 0.0 == saved_ms(eager(compared=None))


def test_how_it_was_measured() -> None:
    assert "acted 40 times, 40 pair blocks, noise 3 %" == how_measured(eager())
    assert "" == how_measured(by_hand())


def test_a_ratio_near_one_has_two_decimals() -> None:
    assert ["1.06x", "0.55x", "1.8x", "4.6x", "120x", "1,200x"] == list(
        map(ratio, (1.06, 0.55, 1.8, 4.6, 120.0, 1_200.0))
    )


def test_the_total_says_how_many_fixes_were_on() -> None:
    assert (
        "Proven together: 3 fixes, all routes' time 412 → 61.0 ms (6.8x), measured with all three"
        " on."
    ) == total_sentence(TOTAL)
    assert "measured with both on." in total_sentence(replace(TOTAL, fixes_count=2))
    assert "measured with all 12 on." in total_sentence(replace(TOTAL, fixes_count=12))
    assert "Proven: 1 fix, its routes' time 412 → 61.0 ms (6.8x)." == total_sentence(
        replace(TOTAL, fixes_count=1)
    )


def test_what_is_withdrawn_is_counted() -> None:
    assert "1 withdrawn: its fix was tried and does not pay" == withdrawn_words(1)
    assert "2 withdrawn: their fixes were tried and do not pay" == withdrawn_words(2)


def test_no_difference_is_no_gain_that_was_seen() -> None:
    assert NO_DIFFERENCE == fast_json().verdict
    assert "seen" not in verdict_words(fast_json(compared=measured(1.0, smallest=1.0)))
