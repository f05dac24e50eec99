"""The same question twice: what was known already, and what may have changed meanwhile."""

from dataclasses import replace

import pytest

from tests.diagnose.story import LINE, OTHER_LINE, Story, found, lazy_load, listing, look_up, only
from unslow.diagnose.rules.duplicate_query import duplicate_query
from unslow.model.finding import Finding
from unslow.model.trace import BLOCKING, POOL_WAIT, REMOTE, UNEXPLAINED, Place, Statement, Trace

USER = look_up(7, table="users")
WRITE = "UPDATE users SET seen_at = ? WHERE id = ?"


def twice(*between: Statement, question: Statement = USER) -> Trace:
    """A question, other statements, and the question again."""
    story = Story().sends(question)
    for one in between:
        story.sends(one)
    return story.sends(question).trace()


def statement(text: str) -> Statement:
    return Statement(text, "asyncpg", LINE)


def findings(trace: Trace) -> list[Finding]:
    return found(duplicate_query, trace)


def once() -> Trace:
    return Story().sends(USER).trace()


def test_it_fires_when_half_of_the_requests_repeat_it() -> None:
    assert "duplicate-query" == only(found(duplicate_query, twice(), once())).rule


def test_it_is_silent_when_fewer_do() -> None:
    assert [] == found(duplicate_query, twice(), once(), once())


def test_the_place_is_where_it_is_asked_again_and_the_touch_where_it_was_asked_first() -> None:
    trace = Story().sends(replace(USER, place=OTHER_LINE)).sends(USER).trace()

    finding = only(findings(trace))

    assert (LINE, OTHER_LINE) == (finding.place, finding.touched)
    assert "from line 18 in list_orders" in finding.says


def test_one_line_that_asks_twice_is_not_told_twice() -> None:
    finding = only(findings(twice()))

    assert (LINE, None) == (finding.place, finding.touched)


def test_a_question_from_no_known_line_is_told_without_one() -> None:
    finding = only(findings(twice(question=replace(USER, place=None))))

    assert "from an earlier line" in finding.says


def test_it_says_how_often_and_shows_the_statement() -> None:
    finding = only(findings(twice(look_up(7, table="settings"))))

    assert finding.says == (
        "It is sent again once a request: the answer was known already, from line 14 in"
        " list_orders; nothing was written in between."
    )
    assert {"repeats": 1.0, "shape": USER.shape} == finding.evidence
    assert USER.shape == finding.shape


def test_what_could_be_saved_is_every_time_but_the_first() -> None:
    story = Story().sends(listing(10))
    for _ in range(5):
        story.sends(USER)
    quiet = Story().sends(listing(10)).trace()

    finding = only(found(duplicate_query, story.trace(), quiet))

    assert 4 * 0.2 / 2 == pytest.approx(finding.could_save_ms)
    assert 2 == finding.round_trips
    assert 4 * 0.2 / 2 + 2 * 5 == pytest.approx(finding.could_save_at_ms(5))


def test_a_user_loaded_by_two_sessions_that_only_read_is_one() -> None:
    assert findings(twice(statement("ROLLBACK"), statement("BEGIN")))
    assert findings(twice(statement("COMMIT"), statement("BEGIN")))


@pytest.mark.parametrize("segment", [REMOTE, POOL_WAIT])
def test_a_call_or_a_busy_pool_in_between_is_no_wait_on_purpose(segment: int) -> None:
    story = Story().sends(USER)
    start_ns = story.now_ns
    story.waits(segment, 50)
    # A suspended task's await is noted too, whatever it waits for.
    noted = replace(story.trace().lanes[0].slices[-1], segment=UNEXPLAINED, start_ns=start_ns)
    trace = story.sends(USER).trace()
    (lane,) = trace.lanes
    slices = (*lane.slices[:-1], noted, lane.slices[-1])

    assert findings(replace(trace, lanes=(replace(lane, slices=slices),)))


def test_other_parameters_are_another_question() -> None:
    assert [] == findings(Story().sends(look_up(1)).sends(look_up(2)).trace())


def test_other_literals_are_another_question() -> None:
    counts = [
        replace(listing(1), parameters_key="none", literals_key=status)
        for status in ("open", "closed", "open", "closed")
    ]
    story = Story()
    for one in counts:
        story.sends(one)

    finding = only(findings(story.trace()))

    assert 2 == finding.evidence["repeats"]


def test_parameters_that_nobody_knows_are_not_taken_for_equal() -> None:
    assert [] == findings(twice(question=replace(USER, parameters_key="")))


@pytest.mark.parametrize(
    "write",
    [
        WRITE,
        "INSERT INTO visits (?)",
        "DELETE FROM carts WHERE id = ?",
        "WITH moved AS (DELETE FROM carts RETURNING id) SELECT count(*) FROM moved",
    ],
)
def test_it_is_asked_again_after_a_write(write: str) -> None:
    assert [] == findings(twice(statement(write)))


def test_it_is_asked_again_after_a_write_and_its_commit() -> None:
    assert [] == findings(twice(statement(WRITE), statement("COMMIT"), statement("BEGIN")))


def test_it_is_asked_again_after_a_write_was_taken_back() -> None:
    story = Story().sends(statement(WRITE)).sends(USER)
    story.sends(statement("ROLLBACK")).sends(USER)

    assert [] == findings(story.trace())


def test_a_write_that_was_committed_before_is_not_taken_back_by_the_end_of_a_session() -> None:
    story = Story().sends(statement(WRITE)).sends(statement("COMMIT"))
    story.sends(USER).sends(statement("ROLLBACK")).sends(USER)

    assert findings(story.trace())


def test_it_is_asked_again_after_a_savepoint_was_taken_back() -> None:
    assert [] == findings(twice(statement("ROLLBACK TO SAVEPOINT ?")))


def test_a_retry_after_an_error_brings_what_was_not_there() -> None:
    failed = replace(USER, rows_count=None)
    story = Story().sends(failed).sends(statement("ROLLBACK")).sends(USER)

    assert [] == findings(story.trace())


@pytest.mark.parametrize("segment", [BLOCKING, UNEXPLAINED])
def test_polling_waits_in_between(segment: int) -> None:
    story = Story()
    for _ in range(4):
        story.sends(USER).waits(segment, 50)

    assert [] == findings(story.trace())


@pytest.mark.parametrize(("works_ms", "waits_ms"), [(20, 5), (5, 5), (0, 1)])
def test_a_wait_that_is_short_or_the_smaller_part_of_the_time_between_is_no_polling(
    works_ms: float, waits_ms: float
) -> None:
    story = Story().sends(USER).runs(works_ms).waits(UNEXPLAINED, waits_ms).sends(USER)

    assert findings(story.trace())


@pytest.mark.parametrize(("works_ms", "waits_ms"), [(5, 5.1), (0, 1.1)])
def test_polling_may_look_at_something_else_as_well(works_ms: float, waits_ms: float) -> None:
    story = Story().sends(USER).runs(works_ms).waits(UNEXPLAINED, waits_ms).sends(USER)

    assert [] == findings(story.trace())


def test_polling_without_a_wait_ends_when_something_has_come() -> None:
    story = Story().sends(replace(USER, rows_count=0)).sends(USER)

    assert [] == findings(story.trace())


def test_asking_again_for_what_is_not_there_is_one() -> None:
    assert findings(twice(question=replace(USER, rows_count=0)))


@pytest.mark.parametrize("lock", ["FOR UPDATE", "FOR UPDATE SKIP LOCKED", "FOR SHARE"])
def test_a_lock_is_another_question(lock: str) -> None:
    locking = replace(USER, shape=f"{USER.shape} {lock}")

    assert [] == findings(Story().sends(USER).sends(locking).trace())
    assert [] == findings(twice(question=locking))


def test_what_asks_no_table_is_no_question() -> None:
    assert [] == findings(twice(question=replace(USER, shape="SELECT pg_try_advisory_lock(?)")))
    assert [] == findings(twice(question=replace(USER, shape="INSERT INTO log (?)")))


def test_lazy_loads_are_left_to_another_rule() -> None:
    assert [] == findings(twice(question=lazy_load(1, relationship="Order.*")))


def test_what_is_sent_after_the_answer_keeps_nobody_waiting() -> None:
    trace = twice()
    answered = trace.lanes[0].slices[0].end_ns

    assert [] == findings(replace(trace, response_end_ns=answered))


def test_two_questions_that_repeat_are_two_findings() -> None:
    helper = Place("/app/settings.py", 4, "setting")
    setting = look_up(1, table="settings", place=helper)
    story = Story().sends(USER).sends(setting).sends(setting).sends(USER)

    assert {LINE, helper} == {one.place for one in findings(story.trace())}
