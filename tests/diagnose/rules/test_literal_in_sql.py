"""Values that are written into the text of statements, and texts that hardly differ."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.diagnose.story import LINE, OTHER_LINE, Story, found, judged, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.literal_in_sql import literal_in_sql
from unslow.model.trace import Place, Statement, Trace
from unslow.record.shape import facts_of

SHAPE = "SELECT * FROM books WHERE shelf = ?"


def text(value: object, *, place: Place = LINE, shape: str = SHAPE) -> Statement:
    """A statement with a value in its text."""
    return Statement(shape, "asyncpg", place, literals_key=str(value))


def one_each(values: Iterable[object], shape: str = SHAPE) -> list[Trace]:
    return [Story().sends(text(value, shape=shape)).trace() for value in values]


def as_sent(*texts: str) -> list[Trace]:
    """Requests with a statement each, as its text tells."""
    facts = map(facts_of, texts)
    statements = (
        Statement(one.shape, "asyncpg", LINE, literals_key=one.literals_key) for one in facts
    )
    return [Story().sends(statement).trace() for statement in statements]


def nearly(traces: list[Trace]) -> str:
    (one,) = judged(literal_in_sql, *traces)
    assert isinstance(one, Nearly)
    return one.says


def test_it_fires_at_the_threshold_at_the_line_of_the_statement() -> None:
    finding = only(found(literal_in_sql, *one_each(range(5))))

    assert ("literal-in-sql", LINE, None) == (finding.rule, finding.place, finding.touched)


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    assert "one shape was sent as 4 different texts" == nearly(one_each(range(4)))
    assert "one shape was sent as 2 different texts" == nearly(one_each(range(2)))


def test_it_says_how_many_texts_came_in_how_many_calls() -> None:
    finding = only(found(literal_in_sql, *one_each([*range(14), 0, 1, 2, 3])))

    assert "18 calls sent 14 different texts of one shape." == finding.says
    assert {"texts": 14, "calls": 18} == finding.evidence
    assert SHAPE == finding.shape


def test_what_could_be_saved_is_not_known() -> None:
    finding = only(found(literal_in_sql, *one_each(range(9))))

    assert (None, None) == (finding.could_save_ms, finding.could_save_at_ms(5))


def test_several_texts_in_one_request_count_as_well() -> None:
    story = Story()
    for value in range(6):
        story.sends(text(value))

    assert "6 calls sent 6" in only(found(literal_in_sql, story.trace())).says


def test_writes_are_found_as_well() -> None:
    assert found(literal_in_sql, *one_each(range(6), shape="UPDATE books SET title = ?"))


def test_each_line_is_judged_by_itself() -> None:
    traces = [Story().sends(text(n, place=(LINE, OTHER_LINE)[n % 2])).trace() for n in range(8)]

    assert [] == found(literal_in_sql, *traces)


def test_values_in_the_text_are_found_in_it() -> None:
    texts = [f"SELECT * FROM books WHERE shelf = '{number}'" for number in range(6)]

    assert found(literal_in_sql, *as_sent(*texts))


def test_bound_parameters_are_no_literals() -> None:
    assert [] == judged(literal_in_sql, *as_sent(*["SELECT * FROM books WHERE shelf = $1"] * 50))


def test_a_list_of_bound_parameters_may_have_any_length() -> None:
    lists = [", ".join(f"${number + 1}" for number in range(length)) for length in range(1, 20)]
    texts = [f"SELECT * FROM books WHERE id IN ({one})" for one in lists]

    assert [] == judged(literal_in_sql, *as_sent(*texts))


def test_a_constant_is_always_the_same_text() -> None:
    text = "SELECT * FROM orders WHERE status = 'open' AND id > $1 LIMIT 20"

    assert [] == judged(literal_in_sql, *as_sent(*[text] * 50))


def test_a_comment_that_differs_each_time_is_no_literal() -> None:
    texts = [
        f"SELECT * FROM books WHERE id = $1 /*route='%2Fbooks',traceparent='00-{number:032x}'*/"
        for number in range(20)
    ]

    assert [] == judged(literal_in_sql, *as_sent(*texts))


def test_a_few_texts_that_come_again_and_again_are_as_good_as_prepared() -> None:
    assert "5 different texts" in nearly(one_each([*range(5)] * 5 + [0]))
    assert found(literal_in_sql, *one_each([*range(5)] * 5))


@pytest.mark.parametrize(
    "shape", ["SAVEPOINT ?", "SET statement_timeout = ?", "FETCH ? FROM names"]
)
def test_what_controls_a_transaction_or_a_session_is_silent(shape: str) -> None:
    assert [] == judged(literal_in_sql, *one_each(range(20), shape=shape))


def test_processes_have_other_keys_for_the_same_constant() -> None:
    workers = [
        replace(Story().sends(text(f"open in {number}")).trace(), process_id=number)
        for number in range(8)
    ]

    assert [] == judged(literal_in_sql, *workers, *workers)


def test_the_process_that_saw_most_texts_is_counted() -> None:
    first = one_each(range(6))
    second = [replace(one, process_id=2) for one in one_each(range(10, 13))]

    assert "6 calls sent 6" in only(found(literal_in_sql, *second, *first)).says
