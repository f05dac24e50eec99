import json
from datetime import date
from typing import Any

import pytest

from unslow.model.baseline import (
    FORMAT,
    Accepted,
    Baseline,
    BaselineError,
    baseline_of,
    baseline_text,
)

ONE = Accepted(
    id="lazy-load-loop-3fa9c1",
    rule="lazy-load-loop",
    route="GET /users/{user_id}/posts",
    place="app/users.py:97",
    reason="at most three posts: Ærøskøbing",
    accepted_on=date(2026, 3, 1),
    until=date(2026, 9, 30),
)
OTHER = Accepted("pool-wait-0a1b2c", "pool-wait", "GET /a", "", "a crowd", date(2026, 4, 2))


def written(**changes: Any) -> str:
    """The text of a file with one entry, of which some fields are others; ... takes one out."""
    (entry,) = json.loads(baseline_text(Baseline((ONE,))))["accepted"]
    entry = {name: value for name, value in (entry | changes).items() if value is not ...}
    return json.dumps({"format": FORMAT, "accepted": [entry]})


def refused(text: str) -> str:
    with pytest.raises(BaselineError) as caught:
        baseline_of(text, "team.json")
    assert 2 == caught.value.exit_code
    return str(caught.value)


def test_what_is_written_is_read_again() -> None:
    assert Baseline((OTHER, ONE)) == baseline_of(baseline_text(Baseline((ONE, OTHER))))
    assert Baseline() == baseline_of(baseline_text(Baseline()))


def test_the_file_has_the_names_of_format_1_and_is_sorted_and_readable() -> None:
    text = baseline_text(Baseline((ONE, OTHER)))

    assert {
        "format": 1,
        "accepted": [
            {
                "id": "pool-wait-0a1b2c",
                "rule": "pool-wait",
                "route": "GET /a",
                "place": "",
                "reason": "a crowd",
                "date": "2026-04-02",
                "until": None,
            },
            {
                "id": "lazy-load-loop-3fa9c1",
                "rule": "lazy-load-loop",
                "route": "GET /users/{user_id}/posts",
                "place": "app/users.py:97",
                "reason": "at most three posts: Ærøskøbing",
                "date": "2026-03-01",
                "until": "2026-09-30",
            },
        ],
    } == json.loads(text)
    assert "Ærøskøbing" in text
    assert text.endswith("}\n")
    assert baseline_text(Baseline((OTHER, ONE))) == text


def test_an_entry_holds_up_to_its_last_day_and_without_one_for_always() -> None:
    assert ONE.holds(date(2026, 9, 30))
    assert not ONE.holds(date(2026, 10, 1))
    assert OTHER.holds(date(2126, 1, 1))


def test_until_may_be_left_out() -> None:
    (one,) = baseline_of(written(until=...)).accepted

    assert None is one.until


def test_what_is_no_json_is_said_with_the_line() -> None:
    text = baseline_text(Baseline((ONE,))).replace('"rule"', '<<<<<<< HEAD\n"rule"')

    assert "team.json is not JSON: Expecting property name" in refused(text)
    assert "line 6 column 7" in refused(text)
    assert "Mend it there (a merge may have left its marks)" in refused(text)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 1}', '{"format": 1, "accepted": {}}'])
def test_another_file_is_said_to_be_no_baseline(text: str) -> None:
    assert 'team.json is no baseline; wanted is {"format": 1, "accepted": [...]}. Name' in refused(
        text
    )


def test_another_format_is_said_with_the_one_that_is_read() -> None:
    text = '{"format": 2, "accepted": []}'

    assert "team.json has format 2; this unslow reads format 1. Use the unslow that" in refused(
        text
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": ...}, "entry 1 of accepted: id is missing; wanted is a text that is not empty"),
        ({"id": 7}, "entry 1 of accepted: id is 7; wanted is a text"),
        ({"reason": " "}, "(lazy-load-loop-3fa9c1): reason is ' '; wanted is a text that is not"),
        ({"rule": None}, "(lazy-load-loop-3fa9c1): rule is None; wanted is a text that is not"),
        ({"route": []}, "(lazy-load-loop-3fa9c1): route is []; wanted is a text. Write one."),
        ({"date": ...}, "date is missing; wanted is a day such as 2026-03-01. Write one."),
        ({"date": None}, "date is None; wanted is a day such as 2026-03-01. Write one."),
        ({"date": "2026-13-01"}, "date is '2026-13-01'; wanted is a day such as 2026-03-01."),
        ({"until": "soon"}, "until is 'soon'; wanted is a day such as 2026-03-01, or null."),
        ({"until": 20260301}, "until is 20260301; wanted is a day such as 2026-03-01, or null."),
        ({"untill": None}, "'untill' is no name here; there are id, rule, route, place, reason,"),
    ],
)
def test_a_wrong_entry_is_said_with_its_number_and_its_id(
    changes: dict[str, Any], says: str
) -> None:
    assert says in refused(written(**changes))


def test_an_entry_that_is_no_object_is_said_with_its_number() -> None:
    text = '{"format": 1, "accepted": ["lazy-load-loop-3fa9c1"]}'

    assert "team.json, entry 1 of accepted: it is no object; wanted is one with id" in refused(text)


def test_an_id_that_stands_there_twice_is_an_error() -> None:
    text = baseline_text(Baseline((ONE, ONE)))

    assert "team.json accepts lazy-load-loop-3fa9c1 2 times. Leave one of them." == refused(text)
