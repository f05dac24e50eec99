"""What a request keeps of its statements until it is over: bounded, whatever the app reads."""

import pytest

from unslow.current import ROWS_OF_A_TRACE, OpenTrace
from unslow.record.sending import ROWS_KEPT, is_short, keep_row, keep_rows, new_statement


@pytest.fixture
def trace() -> OpenTrace:
    return OpenTrace("GET", 10_000)


def kept(trace: OpenTrace) -> int:
    return sum(len(one.rows or ()) for one in trace.statements)


def test_a_stream_that_reads_a_whole_table_keeps_no_more_than_the_bound(trace: OpenTrace) -> None:
    for page in range(100):
        statement = new_statement(trace.root, "SELECT 1", "asyncpg", None)
        keep_rows(statement, [(page, number) for number in range(1_000)])

    assert ROWS_OF_A_TRACE == kept(trace)
    assert ROWS_KEPT == len(trace.statements[0].rows)


def test_rows_that_come_one_by_one_have_the_same_bound(trace: OpenTrace) -> None:
    for _ in range(10):
        statement = new_statement(trace.root, "SELECT 1", "psycopg", None)
        for number in range(1_000):
            keep_row(statement, (number,))

    assert ROWS_OF_A_TRACE == kept(trace)


def test_of_wide_rows_only_some_are_kept(trace: OpenTrace) -> None:
    wide = [(number, "x" * 20_000) for number in range(1_000)]
    at_once = new_statement(trace.root, "SELECT 1", "asyncpg", None)
    keep_rows(at_once, wide)
    one_by_one = new_statement(trace.root, "SELECT 2", "asyncpg", None)
    for row in wide:
        keep_row(one_by_one, row)

    assert 20 == len(at_once.rows) == len(one_by_one.rows)


@pytest.mark.parametrize(
    "parameters",
    [
        (b"x" * 1_001,),
        {"body": "x" * 1_001},
        (list(range(1_001)),),
        tuple(range(51)),
        iter(()),
    ],
    ids=["bytes", "text", "list", "many", "no length"],
)
def test_long_parameters_are_not_kept(trace: OpenTrace, parameters: object) -> None:
    statement = new_statement(trace.root, "INSERT", "asyncpg", None, parameters)

    assert not is_short(parameters)
    assert statement.parameters is None


def test_they_are_where_the_user_asked_for_values(trace: OpenTrace) -> None:
    trace.keeps_values = True
    parameters = (b"x" * 1_001,)

    statement = new_statement(trace.root, "INSERT", "asyncpg", None, parameters)

    assert statement.parameters is parameters


@pytest.mark.parametrize("parameters", [(), (1, "x", None), {"id": 3}, ([1, 2, 3],)])
def test_short_ones_are(trace: OpenTrace, parameters: object) -> None:
    statement = new_statement(trace.root, "SELECT", "asyncpg", None, parameters)

    assert statement.parameters is parameters
