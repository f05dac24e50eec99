"""What a report knows of the trials of its findings."""

from __future__ import annotations

import pytest

from tests.report.judged import lazy_load, whole
from tests.report.tried import (
    each_verdict,
    eager,
    fast_json,
    measured,
    off_loop,
    serialization,
    tried,
)
from unslow.model.proof import (
    BROKE,
    CHANGES_ANSWER,
    FASTER,
    NO_DIFFERENCE,
    NOT_TRIED,
    SLOWER,
    best_first,
)


def test_the_trials_of_a_finding_are_its_own_the_best_first() -> None:
    report = tried(*each_verdict(), off_loop())

    assert [FASTER, NO_DIFFERENCE, CHANGES_ANSWER, SLOWER, BROKE, NOT_TRIED] == [
        one.verdict for one in report.trials_of(lazy_load())
    ]
    assert () == report.trials_of(serialization())
    assert () == whole().trials_of(lazy_load())


def test_of_two_that_are_faster_the_faster_one_is_first() -> None:
    slow, quick = eager(compared=measured(1.2)), eager(compared=measured(9.0))

    assert (quick, slow) == best_first([slow, quick])


def test_only_what_is_faster_is_a_proof() -> None:
    assert eager() == tried(*each_verdict()).proof_of(lazy_load())
    assert None is tried(*each_verdict()[:-1]).proof_of(lazy_load())
    assert None is tried().proof_of(lazy_load())


@pytest.mark.parametrize(
    ("verdicts", "is_withdrawn"),
    [
        ([NO_DIFFERENCE], True),
        ([SLOWER, NO_DIFFERENCE], True),
        ([SLOWER, FASTER], False),
        ([NO_DIFFERENCE, NOT_TRIED], False),
        ([CHANGES_ANSWER], False),
        ([BROKE], False),
        ([], False),
    ],
)
def test_a_finding_is_withdrawn_where_all_its_fixes_were_measured_and_none_pays(
    verdicts: list[str], is_withdrawn: bool
) -> None:
    report = tried(*(fast_json(verdict=one) for one in verdicts))

    assert is_withdrawn == report.is_withdrawn(serialization())
