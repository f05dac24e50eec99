"""What was tried survives the way into text and back; what is damaged is told by few errors."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.tried import ALL, TOTAL, each_verdict, eager
from unslow.model.proof import VERDICTS, AlsoTried, Arm, Comparison, ProvenTotal, Trial
from unslow.model.proof_codec import Tried, trial_data, trial_of, tried_of, tried_text

TEXT = st.text(max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
MAYBE = st.none() | NUMBER
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
COMPARISONS = st.builds(
    Comparison,
    *(NUMBER, st.tuples(NUMBER, NUMBER), NUMBER, NUMBER),
    *(st.integers(0, 99), NUMBER, NUMBER, st.integers(1, 99)),
)
TRIALS = st.builds(
    Trial,
    finding=TEXT,
    arm=st.builds(Arm, TEXT, TEXT, st.dictionaries(TEXT, PLAIN, max_size=3)),
    risk=TEXT,
    verdict=st.sampled_from(VERDICTS),
    why=TEXT,
    fired_count=st.integers(0, 10**6),
    compared=st.none() | COMPARISONS,
    in_crowd=st.none() | COMPARISONS,
    statements_before=MAYBE,
    statements_after=MAYBE,
    same_answer=st.none() | st.booleans(),
    at_round_trip_ms=st.dictionaries(st.integers(0, 99), NUMBER, max_size=3),
    also_tried=st.lists(st.builds(AlsoTried, TEXT, MAYBE, TEXT), max_size=3).map(tuple),
    patch=TEXT,
    advice=TEXT,
    table=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
)
TRIED = st.builds(
    Tried,
    st.lists(TRIALS, max_size=3).map(tuple),
    st.none() | st.builds(ProvenTotal, NUMBER, NUMBER, NUMBER, st.integers(0, 99)),
    st.lists(TEXT, max_size=3).map(tuple),
)


@given(TRIED)
def test_what_was_tried_survives_text(tried: Tried) -> None:
    assert tried == tried_of(tried_text(tried))


@given(TRIALS)
def test_a_trial_survives_plain_data_and_json(trial: Trial) -> None:
    data = trial_data(trial)

    assert trial == trial_of(data) == trial_of(json.loads(json.dumps(data)))


def test_it_is_one_line_whatever_a_patch_holds() -> None:
    text = tried_text(Tried((*ALL, *each_verdict()), TOTAL, ("It was late.",)))

    assert "\n" not in text
    assert Tried((*ALL, *each_verdict()), TOTAL, ("It was late.",)) == tried_of(text)


@given(PLAIN, st.sampled_from([*trial_data(eager()), None]))
def test_what_is_damaged_raises_no_other_error_than_is_said(damage: Any, name: str | None) -> None:
    data = {**trial_data(eager()), name: damage} if name else damage

    with suppress(ValueError, KeyError, TypeError):
        tried_of(json.dumps({"trials": [data], "total": None, "left": []}))
    with suppress(ValueError, KeyError, TypeError):
        tried_of(json.dumps({"trials": [], "total": damage, "left": damage}))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"trials": [1], "total": null}'])
def test_what_is_something_else_is_not_read(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        tried_of(text)


def test_a_verdict_that_is_not_known_is_not_read() -> None:
    with pytest.raises(ValueError, match="there is no verdict 'splendid'"):
        trial_of({**trial_data(eager()), "verdict": "splendid"})


def test_a_number_without_end_is_not_written() -> None:
    trial = replace(eager(), statements_after=float("inf"))

    with pytest.raises(ValueError, match="not JSON compliant"):
        tried_text(Tried((trial,)))
