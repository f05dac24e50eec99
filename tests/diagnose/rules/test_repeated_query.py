"""The same statement once per row: what makes a loop, and what only looks like one."""

from dataclasses import replace

import pytest

from tests.diagnose.story import LINE, Story, found, judged, listing, look_up, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.repeated_query import repeated_query
from unslow.model.trace import Statement, Trace


def loop(count: int, *, rows: int = 50, parent: int = 0) -> Trace:
    """A list, and a look-up for so many of its rows."""
    story = Story().sends(listing(rows))
    for number in range(count):
        story.sends(look_up(number, parent=parent))
    return story.trace()


def test_it_fires_at_the_threshold() -> None:
    finding = only(found(repeated_query, loop(3)))

    assert (LINE, "repeated-query") == (finding.place, finding.rule)
    assert "of line 18" in finding.says
    assert finding.evidence["lineage"] is True


def test_it_is_silent_just_below() -> None:
    assert [] == found(repeated_query, loop(2))


def test_what_could_be_saved_is_all_calls_but_one() -> None:
    finding = only(found(repeated_query, loop(11)))

    assert 10 * 0.2 == pytest.approx(finding.could_save_ms)
    assert 10 == finding.round_trips
    assert 10 * 0.2 + 10 * 5 == pytest.approx(finding.could_save_at_ms(5))


@pytest.mark.parametrize("shape", ["UPDATE items SET seen = ? WHERE id = ?", "INSERT INTO log (?)"])
def test_a_write_per_row_is_one_too(shape: str) -> None:
    story = Story().sends(listing(10))
    for number in range(4):
        story.sends(replace(look_up(number, parent=0), shape=shape))

    assert "The same write is sent 4 times" in only(found(repeated_query, story.trace())).says


def test_growth_with_the_rows_is_evidence_where_there_is_no_lineage() -> None:
    traces = [loop(rows, rows=rows, parent=-1) for rows in (4, 8, 12, 16)]
    without_ways = [
        replace(one, statements=tuple(replace(s, stack="") for s in one.statements))
        for one in traces
    ]

    finding = only(found(repeated_query, *without_ways))

    assert 1 == finding.evidence["growth_per_row"]
    assert finding.evidence["lineage"] is False


def test_two_counts_of_rows_are_no_growth() -> None:
    traces = [loop(rows, rows=rows, parent=-1) for rows in (3, 4)]

    (says,) = judged(repeated_query, *traces)

    assert isinstance(says, Nearly)
    assert "growth not identifiable" in says.says


def test_batches_of_an_eager_load_grow_by_too_little() -> None:
    def batched(rows: int) -> Trace:
        story = Story().sends(listing(rows))
        for number in range(-(-rows // 500)):
            story.sends(replace(look_up(number), stack="", rows_count=500))
        return story.trace()

    assert [] == found(repeated_query, *(batched(rows) for rows in (1200, 2400, 3600, 4800)))


def test_a_loop_over_nobody_knows_what_is_one_from_five_values_on() -> None:
    def over_ids(count: int) -> Trace:
        story = Story()
        for number in range(count):
            story.sends(look_up(number))
        return story.trace()

    assert [] == found(repeated_query, over_ids(4))
    assert "a loop sends it" in only(found(repeated_query, over_ids(5))).says


def test_look_ups_through_one_helper_come_by_different_ways() -> None:
    story = Story().sends(listing(10))
    for number in range(6):
        story.sends(look_up(number, stack=f"way {number}"))

    assert [] == found(repeated_query, story.trace())


def test_polling_asks_the_same_each_time() -> None:
    story = Story()
    for number in range(8):
        story.sends(replace(look_up(number), parameters_key="the same"))

    assert [] == found(repeated_query, story.trace())


def test_chunks_of_many_ids_are_no_loop_over_rows() -> None:
    story = Story().sends(listing(2000))
    for number in range(8):
        story.sends(replace(look_up(number, rows=250), is_batch=True))

    assert [] == found(repeated_query, story.trace())


def test_paging_by_key_follows_its_own_rows() -> None:
    story = Story()
    for number in range(12):
        page = look_up(number, parent=number - 1, rows=100)
        story.sends(page)

    assert [] == found(repeated_query, story.trace())


def test_paging_by_offset_is_no_loop_over_rows() -> None:
    story = Story()
    for number in range(12):
        page = look_up(number, rows=100)
        story.sends(replace(page, shape="SELECT * FROM items ORDER BY id LIMIT ? OFFSET ?"))

    assert [] == found(repeated_query, story.trace())


def test_many_sets_in_one_call_are_one_call() -> None:
    story = Story().sends(listing(10))
    for number in range(5):
        story.sends(replace(look_up(number, parent=0), executions_count=200))

    assert [] == found(repeated_query, story.trace())


def test_what_controls_a_transaction_is_no_query() -> None:
    story = Story()
    for _ in range(10):
        story.sends(Statement("SAVEPOINT ?", "psycopg", LINE))

    assert [] == judged(repeated_query, story.trace())
