"""A service called in a loop, and calls that only look like one."""

from collections.abc import Callable

import pytest

from tests.diagnose.story import LINE, OTHER_LINE, Story, found, judged, only, side_by_side
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.repeated_remote_call import repeated_remote_call
from unslow.model.trace import BLOCKING, UNEXPLAINED, Place, Trace

HOST = "prices.example:443"
HELPER = Place("/app/prices.py", 8, "price_of")


def loop(count: int, ms: float = 10) -> Trace:
    story = Story()
    for _ in range(count):
        story.asks(ms).runs(0.5)
    return story.answers().trace()


def test_it_fires_at_the_threshold_at_the_line_that_calls() -> None:
    finding = only(found(repeated_remote_call, loop(3)))

    assert ("repeated-remote-call", LINE) == (finding.rule, finding.place)
    assert f"{HOST} is called 3 times a request, one call after the other." == finding.says
    assert {"host": HOST, "calls": 3.0} == finding.evidence


def test_just_below_it_is_nearly_one() -> None:
    assert [Nearly(f"{HOST} is called 2 times from one line")] == judged(
        repeated_remote_call, loop(2)
    )


def test_what_could_be_saved_is_all_but_the_longest_answer() -> None:
    story = Story().asks(10).asks(30).asks(20)

    assert pytest.approx(30) == only(found(repeated_remote_call, story.trace())).could_save_ms


def test_counts_and_times_are_the_mean_over_the_requests() -> None:
    finding = only(found(repeated_remote_call, loop(5), Story().asks(10).trace()))

    assert 2.5 == finding.evidence["calls"]
    assert pytest.approx(20) == finding.could_save_ms


def test_reading_an_answer_in_parts_is_one_call() -> None:
    story = Story().asks(10)
    for _ in range(9):
        story.runs(0.1).reads_on(5)

    assert [] == judged(repeated_remote_call, story.trace())


def test_one_call_for_all_items_is_no_loop() -> None:
    assert [] == judged(repeated_remote_call, Story().asks(50).answers().trace())


def test_calls_of_different_services_are_no_loop() -> None:
    story = Story().asks(10, host="a.example:443").asks(10, host="b.example:443")
    story.asks(10, host="c.example:443")

    assert [] == judged(repeated_remote_call, story.trace())


def test_calls_from_different_lines_through_one_helper_are_no_loop() -> None:
    story = Story()
    for line in (20, 21, 22):
        story.asks(10, HELPER, Place("/app/shop.py", line, "list_orders"))

    assert [] == judged(repeated_remote_call, story.trace())


def test_a_loop_in_a_caller_of_the_helper_is_one() -> None:
    story = Story()
    for _ in range(3):
        story.asks(10, HELPER, LINE)

    assert HELPER == only(found(repeated_remote_call, story.trace())).place


def test_tasks_that_call_side_by_side_are_no_loop() -> None:
    assert [] == judged(repeated_remote_call, side_by_side(*[Story().asks(10).trace()] * 5))


@pytest.mark.parametrize(
    "waits",
    [
        lambda story: story.waits(UNEXPLAINED, 5, "asyncio.sleep", LINE),
        lambda story: story.blocks(BLOCKING, 5, "time.sleep", LINE),
    ],
)
def test_who_waits_on_purpose_between_calls_asks_whether_something_is_done(
    waits: Callable[[Story], Story],
) -> None:
    story = Story()
    for _ in range(6):
        waits(story.asks(10))

    assert [] == judged(repeated_remote_call, story.asks(10).trace())


def test_retries_wait_longer_each_time() -> None:
    story = Story().asks(10)
    for delay in (2, 4, 8):
        story.waits(UNEXPLAINED, delay, "asyncio.sleep", LINE).asks(10)

    assert [] == judged(repeated_remote_call, story.trace())


def test_one_wait_in_a_long_loop_does_not_make_it_polling() -> None:
    story = Story().asks(10).waits(UNEXPLAINED, 5, "asyncio.sleep", LINE)
    for _ in range(5):
        story.asks(10).runs(1)

    assert found(repeated_remote_call, story.trace())


def test_a_loop_in_a_thread_is_one() -> None:
    story = Story(in_thread=True)
    for _ in range(3):
        story.asks(10, holds_loop=True)

    assert LINE == only(found(repeated_remote_call, story.trace())).place


def test_mails_in_a_loop_have_one_finding_at_the_longest_of_their_calls() -> None:
    story = Story()
    for _ in range(3):
        story.asks(2, LINE, host="smtp mail.example:25")
        story.asks(9, OTHER_LINE, host="smtp mail.example:25")

    finding = only(found(repeated_remote_call, story.trace()))

    assert (OTHER_LINE, "smtp mail.example:25") == (finding.place, finding.evidence["host"])


def test_what_comes_after_the_response_keeps_nobody_waiting() -> None:
    story = Story().answers().is_answered()
    for _ in range(5):
        story.asks(10)

    assert [] == judged(repeated_remote_call, story.trace())
