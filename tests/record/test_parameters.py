"""Which parameters are equal, which are batches, and which rows of earlier statements they are."""

from __future__ import annotations

import copy
from collections import UserDict, UserList
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unslow.current import OpenStatement, OpenTrace
from unslow.record.parameters import (
    cells_of,
    is_batch,
    key_of,
    note_parents,
    repeated,
    values_of,
)

LOOK_UP = "SELECT * FROM item WHERE id = $1"


class Record:
    """What asyncpg makes of a row: a sequence that has the values also as a mapping has them."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def __iter__(self) -> Iterator[Any]:
        return iter(self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, key: str) -> Any:
        return self._fields[key]

    def values(self) -> Iterator[Any]:
        return iter(self._fields.values())


class Rows:
    """Rows that can be gone through and not counted, as those of psycopg."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


class Sent:
    """The statements of a request, one after the other."""

    def __init__(self) -> None:
        self.trace = OpenTrace("GET", 20_000)

    def __call__(self, text: str, parameters: Any = None, rows: Any = None) -> OpenStatement:
        statement = self.trace.root.new_statement(text, "asyncpg", None)
        statement.parameters = parameters
        statement.rows = rows
        return statement

    def looked_up(self, *keys: Any) -> list[OpenStatement]:
        """A look-up for each key, whose parents were then looked for."""
        calls = [self(LOOK_UP, (key,), [(key,)]) for key in keys]
        note_parents(self.trace, calls)
        return calls

    def noted(self, *calls: OpenStatement) -> list[int]:
        note_parents(self.trace, calls)
        return parents(calls)


@pytest.fixture
def sent() -> Sent:
    return Sent()


def parents(calls: Sequence[OpenStatement]) -> list[int]:
    return [one.parent for one in calls]


@pytest.mark.parametrize(
    "parameters",
    [(7, "x"), [7, "x"], {"a": 7, "b": "x"}, UserList([7, "x"]), UserDict(a=7, b="x")],
    ids=["tuple", "list", "dict", "sequence", "mapping"],
)
def test_the_values_of_one_set_of_parameters_are_known_whatever_holds_them(
    sent: Sent, parameters: Any
) -> None:
    assert values_of(sent(LOOK_UP, parameters)) == (7, "x")


@pytest.mark.parametrize("parameters", [None, (), {}, iter([7]), "text", b"bytes", 7])
def test_what_is_no_set_of_parameters_has_no_values(sent: Sent, parameters: Any) -> None:
    assert values_of(sent(LOOK_UP, parameters)) == ()


def test_of_several_sets_no_values_are_known(sent: Sent) -> None:
    statement = sent(LOOK_UP, [(1,), (2,)])
    statement.executions_count = 2

    assert values_of(statement) == ()


@pytest.mark.parametrize("value", [[1, 2], (1, 2), {1, 2}, frozenset({1, 2}), ["a", None, "b"]])
def test_a_list_of_several_values_makes_a_batch(value: Any) -> None:
    assert is_batch(("x", value))


@pytest.mark.parametrize("value", [[], [1], {1}, "ab", b"ab", {"a": 1, "b": 2}, 12, None])
def test_one_value_or_a_text_makes_none(value: Any) -> None:
    assert not is_batch(("x", value))


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.datetimes(),
)
SETS = st.sets(st.integers(-50, 50) | st.text(max_size=3), max_size=30)
ANY = st.recursive(
    PLAIN
    | SETS
    | st.binary().map(bytearray)
    | st.binary().map(lambda data: memoryview(bytearray(data))),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), PLAIN, max_size=3)
    ),
    max_leaves=8,
)


def put_together_again(value: Any) -> Any:
    """An equal value; a set gives its values in another order."""
    if isinstance(value, set):
        again = set()
        for one in reversed(list(value)):
            again.add(one)
        return again
    if isinstance(value, list | tuple):
        return type(value)(map(put_together_again, value))
    return value if isinstance(value, memoryview) else copy.copy(value)


@settings(max_examples=40)
@given(st.lists(ANY, max_size=5))
def test_equal_parameters_have_equal_keys_that_can_be_hashed(values: list[Any]) -> None:
    first, second = key_of(tuple(values)), key_of(tuple(map(put_together_again, values)))

    assert first == second
    assert hash(first) == hash(second)


@settings(max_examples=40)
@given(st.lists(st.integers() | st.text(), max_size=5), st.data())
def test_other_parameters_have_other_keys(values: list[Any], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.integers() | st.text(), max_size=5))

    assert (values == others) == (key_of(tuple(values)) == key_of(tuple(others)))
    assert (values == others) == (key_of((values,)) == key_of((others,)))


def test_batches_of_different_lengths_are_told_apart_also_where_they_begin_alike() -> None:
    assert key_of((list(range(30)),)) != key_of((list(range(40)),))


def test_only_texts_that_come_again_are_repeated(sent: Sent) -> None:
    first, _, again = sent("SELECT 1"), sent("SELECT 2"), sent("SELECT 1")

    assert repeated(sent.trace) == {"SELECT 1": [first, again]}


@pytest.mark.parametrize(
    "rows",
    [
        [("ann", 70), ("bob", 71), ("cy", 72), ("dee", 73)],
        [{"name": "ann", "id": 70}, {"id": 71}, {"id": 72}, {"id": 73}],
        [Record(name=name, id=70 + number) for number, name in enumerate("abcd")],
        Rows([("ann", 70), ("bob", 71), ("cy", 72), ("dee", 73)]),
    ],
    ids=["tuples", "dicts", "records", "not counted"],
)
def test_look_ups_by_a_column_of_an_earlier_list_come_from_it(sent: Sent, rows: Any) -> None:
    if isinstance(rows, list) and isinstance(rows[0], dict):
        rows = [{"name": f"user {number}"} | row for number, row in enumerate(rows)]
    sent("SELECT name, id FROM person", rows=rows)

    calls = sent.looked_up(70, 71, 72, 73)

    assert parents(calls) == [0, 0, 0, 0]
    assert len({one.row_key for one in calls}) == 4


@pytest.mark.parametrize(
    "keys",
    [
        ["a-1", "a-2", "a-3"],
        [UUID(int=1), UUID(int=2), UUID(int=3)],
        [Decimal("1.5"), Decimal("2.5"), Decimal("3.5")],
        [b"one", b"two", b"three"],
    ],
    ids=lambda keys: type(keys[0]).__name__,
)
def test_a_key_may_be_of_any_plain_kind(sent: Sent, keys: list[Any]) -> None:
    sent("SELECT id FROM person", rows=[(key,) for key in keys])

    assert parents(sent.looked_up(*keys)) == [0, 0, 0]


def test_a_list_of_one_key_is_a_look_up_of_that_key(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])

    calls = sent.looked_up([70], (71,), [72])

    assert parents(calls) == [0, 0, 0]
    assert len({one.row_key for one in calls}) == 3


def test_batches_of_keys_come_from_no_row(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(number,) for number in range(70, 90)])

    assert parents(sent.looked_up([70, 71], [72, 73], [74, 75], [76, 77])) == [-1] * 4


def test_loads_of_the_same_row_have_the_same_row_key_and_others_another(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])

    calls = sent.looked_up(70, 71, 72, 71)

    assert calls[1].row_key == calls[3].row_key
    assert len({one.row_key for one in calls}) == 3


def test_the_other_parameters_of_a_call_do_not_change_its_row(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])
    calls = [sent("UPDATE a", (f"text {at}", 70 + at % 3)) for at in range(6)]

    assert sent.noted(*calls) == [0] * 6
    assert [one.row_key for one in calls[:3]] == [one.row_key for one in calls[3:]]


def test_two_calls_are_no_loop(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])

    assert parents(sent.looked_up(70, 71)) == [-1, -1]


def test_the_same_value_three_times_is_no_loop_over_rows(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])

    assert parents(sent.looked_up(70, 70, 70)) == [-1, -1, -1]


def test_a_loop_may_skip_rows_and_one_call_in_five_may_come_from_elsewhere(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(number,) for number in range(70, 90)])

    calls = sent.looked_up(70, 75, 80, 85, 999)

    assert parents(calls) == [0] * 5
    assert len({one.row_key for one in calls}) == 5


def test_coincidences_of_small_integers_are_no_loop(sent: Sent) -> None:
    sent("SELECT stars FROM review", rows=[(stars,) for stars in (1, 2, 3, 4, 5)])

    # Three of four are what some review has too.
    assert parents(sent.looked_up(2, 4, 5, 17)) == [-1] * 4


def test_a_parameter_that_is_always_the_same_leads_to_no_row(sent: Sent) -> None:
    sent("SELECT tenant, n FROM thing", rows=[(7, 1), (7, 2), (7, 3)])
    calls = [sent("SELECT", (7, 500 + number)) for number in range(5)]

    assert sent.noted(*calls) == [-1] * 5


def test_flags_empty_texts_and_nothing_are_no_keys(sent: Sent) -> None:
    sent("SELECT", rows=[(True, "", None), (False, "", None), (True, "", None)])
    calls = [sent(LOOK_UP, (flag, "", None)) for flag in (True, False, True, False)]

    assert sent.noted(*calls) == [-1] * 4


def test_keys_are_looked_for_column_by_column(sent: Sent) -> None:
    sent("SELECT a, b FROM t", rows=[(1, 901), (902, 2), (3, 903)])

    # Each is in some row, but no column has them all.
    assert parents(sent.looked_up(1, 2, 3)) == [-1] * 3


def test_of_several_lists_the_last_one_before_the_calls_is_their_parent(sent: Sent) -> None:
    for _ in range(3):
        sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])
    sent("SELECT 1", rows=[(1,)])

    assert parents(sent.looked_up(70, 71, 72)) == [2] * 3


def test_rows_that_came_after_the_first_call_are_no_parents(sent: Sent) -> None:
    first = sent(LOOK_UP, (70,))
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])

    assert sent.noted(first, sent(LOOK_UP, (71,)), sent(LOOK_UP, (72,))) == [-1] * 3


def test_only_the_last_lists_before_the_calls_are_looked_at(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])
    for _ in range(8):
        sent("SELECT 1", rows=[(1,)])

    assert parents(sent.looked_up(70, 71, 72)) == [-1] * 3


def test_statements_without_rows_do_not_count_among_them(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])
    for _ in range(20):
        sent("SET x")

    assert parents(sent.looked_up(70, 71, 72)) == [0] * 3


def test_only_so_many_rows_of_a_list_are_read(sent: Sent) -> None:
    read = []

    def rows() -> Iterator[tuple[int]]:
        for number in range(100_000):
            read.append(number)
            yield (number,)

    sent("SELECT id FROM person", rows=rows())
    sent.looked_up(-1, -2, -3)

    assert len(read) == 200


def test_what_has_a_parent_already_is_left_as_it_is(sent: Sent) -> None:
    sent("SELECT id FROM person", rows=[(70,), (71,), (72,)])
    calls = [sent(LOOK_UP, (70 + number,)) for number in range(3)]
    lazy = sent(LOOK_UP, (73,))
    lazy.parent, lazy.row_key = 5, "key"

    assert sent.noted(*calls, lazy) == [0, 0, 0, 5]
    assert lazy.row_key == "key"


def test_pages_by_key_follow_the_last_row_of_the_page_before(sent: Sent) -> None:
    pages = [[(number, "x") for number in range(at, at + 10)] for at in range(0, 50, 10)]
    calls = [sent("SELECT", (page[0][0] - 1, 10), page) for page in pages]

    assert sent.noted(*calls) == [-1, 0, 1, 2, 3]


def test_pages_of_rows_that_cannot_be_counted_do_so_too(sent: Sent) -> None:
    pages = [Rows([(number,) for number in range(at, at + 10)]) for at in range(0, 30, 10)]
    calls = [sent("SELECT", (at * 10 - 1,), page) for at, page in enumerate(pages)]

    assert sent.noted(*calls) == [-1, 0, 1]


def test_look_ups_of_one_tenant_are_no_pages_though_each_row_has_its_number(sent: Sent) -> None:
    calls = [sent("SELECT", (7, number), [(7, number)]) for number in range(50, 60)]

    assert sent.noted(*calls) == [-1] * 10


def test_a_key_that_equals_another_parameter_leads_on_all_the_same(sent: Sent) -> None:
    pages = [[(number,) for number in range(at, at + 10)] for at in (1, 11, 21)]
    calls = [sent("SELECT", (at, 10), page) for at, page in zip((0, 10, 20), pages, strict=True)]

    assert sent.noted(*calls) == [-1, 0, 1]


def test_an_empty_page_ends_the_chain(sent: Sent) -> None:
    first, last = sent("SELECT", (0,), [(1,), (2,)]), sent("SELECT", (2,), [])
    again = sent("SELECT", (5,), None)

    assert sent.noted(first, last, again) == [-1, 0, -1]


@pytest.mark.parametrize(
    "odd",
    [bytearray(b"x"), {"a": [1]}, [{"a": 1}], memoryview(bytearray(b"x")), {1, 2}, [[1, 2], [3]]],
    ids=lambda odd: type(odd).__name__,
)
def test_what_cannot_be_hashed_hides_no_key_beside_it(sent: Sent, odd: Any) -> None:
    sent("SELECT doc, id FROM person", rows=[(odd, 70), (odd, 71), (odd, 72)])
    calls = [sent("UPDATE", (odd, 70 + number)) for number in range(3)]

    assert sent.noted(*calls) == [0, 0, 0]


KEYS = st.lists(st.integers(1_000, 10_000) | st.text(min_size=5), min_size=4, max_size=20)


@settings(max_examples=40)
@given(KEYS, st.integers(0, 4), st.integers(0, 4), st.data())
def test_any_loop_over_any_column_is_found(
    keys: list[Any], before: int, after: int, data: st.DataObject
) -> None:
    sent = Sent()
    chosen = data.draw(st.permutations(sorted(set(keys), key=str)))
    rows = [(*range(before), key, *range(after)) for key in keys]
    sent("SELECT", rows=rows)

    calls = sent.looked_up(*chosen)

    expected = 0 if len(chosen) >= 3 else -1
    assert parents(calls) == [expected] * len(chosen)
    if expected == 0:
        assert len({one.row_key for one in calls}) == len(chosen)


@settings(max_examples=40)
@given(st.sets(st.integers(), min_size=6, max_size=20), st.data())
def test_look_ups_of_what_no_row_has_come_from_none(numbers: set[int], data: st.DataObject) -> None:
    ordered = data.draw(st.permutations(sorted(numbers)))
    half = len(ordered) // 2
    sent = Sent()
    sent("SELECT", rows=[(number,) for number in ordered[:half]])
    calls = [sent(LOOK_UP, (number,)) for number in ordered[half:]]

    assert sent.noted(*calls) == [-1] * len(calls)


@settings(max_examples=25)
@given(
    st.lists(st.lists(ANY, max_size=3), max_size=4),
    st.lists(st.lists(ANY, max_size=3), max_size=5),
)
def test_whatever_parameters_and_rows_are_made_of_nothing_is_raised(
    rows: list[list[Any]], parameters: list[list[Any]]
) -> None:
    sent = Sent()
    sent("SELECT", rows=rows)
    calls = [sent(LOOK_UP, one, rows) for one in parameters]

    note_parents(sent.trace, calls)

    for call in calls:
        hash(key_of(values_of(call)))


def test_the_cells_of_a_row_are_its_values_whatever_a_driver_makes_of_it() -> None:
    cells = [cells_of(row) for row in ((1, "a"), [1, "a"], {"x": 1, "y": "a"}, Record(x=1, y="a"))]

    assert cells == [(1, "a")] * 4
