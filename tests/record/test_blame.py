"""Who waited for whom: exact where it can be, an interval where it cannot."""

from __future__ import annotations

from tests.record.handmade import (
    HERE,
    LOOP,
    THERE,
    a_hold,
    a_sample,
    a_slice,
    a_step,
    a_task,
    a_thread,
    a_trace,
    ns,
)
from unslow.model.receipt import Culprit, Waited
from unslow.model.report import Holder, Victim
from unslow.model.trace import (
    BLOCKING,
    OWN_CODE,
    POOL_WAIT,
    REMOTE,
    SQL,
    Lane,
    Stall,
    Statement,
    Step,
    Trace,
)
from unslow.record.blame import (
    LoopLedger,
    merged_holders,
    pool_holders,
    route_name,
    statement_place,
)
from unslow.record.receipt import receipt_of

SLEEPS = Culprit("GET /culprit", "time.sleep", HERE)


def a_culprit(start_ms: float = 10, end_ms: float = 40) -> Trace:
    """A request that calls time.sleep on the loop."""
    sleeps = a_slice(start_ms, end_ms, BLOCKING, "time.sleep", HERE)
    return a_trace(a_task(start_ms, end_ms, sleeps), route="/culprit")


def a_victim(back: Step) -> Trace:
    """A request that waits for a remote service from 0.5 ms on."""
    lane = a_task(0, 46, a_slice(0.3, 45.1, REMOTE), steps=(a_step(0, 0.5), back))
    return a_trace(lane, route="/victim")


def waited_of_first(*traces: Trace, stalls: tuple[Stall, ...] = ()) -> Waited:
    return LoopLedger(traces, stalls).waited(0)


def in_ms(waited: Waited) -> tuple[float, float, dict[Culprit, list[float]]]:
    culprits = {
        culprit: [least / 1e6, most / 1e6] for culprit, (least, most) in waited.by_culprit.items()
    }
    return waited.certain_ns / 1e6, waited.most_ns / 1e6, culprits


def test_a_wait_from_a_moment_that_was_seen_is_exact() -> None:
    victim = a_victim(a_step(40.5, 41, ready_ms=15))

    assert in_ms(waited_of_first(victim, a_culprit())) == (25.5, 25.5, {SLEEPS: [25, 25]})


def test_a_timer_that_was_seen_late_is_exact_from_its_own_time_on() -> None:
    victim = a_victim(a_step(40.5, 41, ready_ms=40.4, known_ready_ms=12))

    assert in_ms(waited_of_first(victim, a_culprit())) == (28.5, 28.5, {SLEEPS: [28, 28]})


def test_bytes_that_may_have_lain_unread_are_an_interval_up_to_the_turn_before() -> None:
    victim = a_victim(a_step(40.5, 41))

    assert in_ms(waited_of_first(victim, a_culprit())) == (0, 30, {SLEEPS: [0, 30]})


def test_the_turn_before_is_only_what_followed_without_a_pause() -> None:
    victim = a_victim(a_step(40.5, 41))
    earlier = a_trace(a_task(3, 6.5, a_slice(3, 6.5, BLOCKING, "open", THERE)), route="/earlier")
    direct = a_trace(a_task(8, 9.5, a_slice(8, 9.5, BLOCKING, "read", THERE)), route="/direct")

    assert in_ms(waited_of_first(victim, earlier, direct, a_culprit())) == (
        0,
        31.5,
        {SLEEPS: [0, 30], Culprit("GET /direct", "read", THERE): [0, 1.5]},
    )


def test_a_turn_that_ended_long_before_the_wake_up_is_not_to_blame() -> None:
    victim = a_victim(a_step(45, 45.5))

    assert in_ms(waited_of_first(victim, a_culprit())) == (0, 0, {})


def test_a_request_is_not_its_own_culprit() -> None:
    waits = a_task(0, 50, steps=(a_step(0, 2), a_step(41, 50, ready_ms=5)))
    own = a_task(5, 41, a_slice(5, 41, BLOCKING, "time.sleep", HERE))

    assert in_ms(waited_of_first(a_trace(waits, own))) == (36, 36, {})


def test_another_loops_thread_is_not_to_blame() -> None:
    victim = a_victim(a_step(40.5, 41, ready_ms=15))
    elsewhere = Lane("task", LOOP + 9, -1, 0, ns(50), (a_step(10, 40),))

    assert waited_of_first(victim, a_trace(elsewhere)).by_culprit == {}


def test_what_held_the_loop_outside_requests_is_named_so() -> None:
    victim = a_victim(a_step(40.5, 41, ready_ms=15))
    stall = Stall(LOOP, ns(10), ns(40), THERE)

    assert in_ms(waited_of_first(victim, stalls=(stall,))) == (
        25.5,
        25.5,
        {Culprit("", "outside requests", THERE): [25, 25]},
    )


def test_each_of_several_culprits_is_given_its_own_part() -> None:
    victim = a_victim(a_step(40.5, 41, ready_ms=15))
    first, second = a_culprit(10, 20), a_culprit(20, 40)

    assert in_ms(waited_of_first(victim, first, second)) == (25.5, 25.5, {SLEEPS: [25, 25]})


def test_own_code_is_named_by_the_line_that_the_samples_give_most_to() -> None:
    samples = (a_sample(15, 5, THERE), a_sample(20, 5), a_sample(25, 5), a_sample(40, 0.1, None))
    lane = a_task(10, 40, a_slice(10, 40, OWN_CODE), samples=samples)
    victim = a_victim(a_step(40.5, 41, ready_ms=15))

    waited = waited_of_first(victim, a_trace(lane, route="/culprit"))

    assert list(waited.by_culprit) == [Culprit("GET /culprit", "own-code", HERE)]


def test_a_sync_statement_is_named_by_the_line_that_sent_it() -> None:
    lane = a_task(10, 40, a_slice(11, 40, SQL, 0))
    culprit = a_trace(lane, route="/culprit", statements=(Statement("SELECT ?", "psycopg", THERE),))
    victim = a_victim(a_step(40.5, 41, ready_ms=15))

    waited = waited_of_first(victim, culprit)

    assert list(waited.by_culprit) == [Culprit("GET /culprit", "sql", THERE)]


def test_a_step_of_which_nothing_was_kept_is_named_unexplained() -> None:
    empty = a_trace(a_task(10, 40), end_ms=5)
    culprit = LoopLedger([a_trace(Lane("task", LOOP, -1, 0, 1, (a_step(10, 40),)))], ())

    (blocked,) = culprit.blocked([Waited()])

    assert (blocked.what, blocked.place) == ("unexplained", None)
    assert in_ms(waited_of_first(empty)) == (0, 0, {})


def test_who_blocked_the_loop_is_listed_worst_for_others_first() -> None:
    slow_alone = a_trace(a_task(100, 160, a_slice(100, 160, BLOCKING, "open", THERE)), route="/a")
    too_short = a_trace(a_task(200, 204, a_slice(200, 204, BLOCKING, "read", THERE)), route="/b")
    victim = a_victim(a_step(40.5, 41, ready_ms=15))
    maybe = a_victim(a_step(40.5, 41))
    traces = [slow_alone, too_short, victim, maybe, a_culprit()]
    ledger = LoopLedger(traces, ())

    first, second = ledger.blocked([ledger.waited(index) for index in range(len(traces))])

    assert Culprit(first.route, first.what, first.place) == SLEEPS
    assert (first.blocked_ms, first.times_count) == (30, 1)
    assert first.victims == (Victim("GET /victim", 2, 25, 55),)
    assert (second.what, second.blocked_ms, second.victims) == ("open", 60, ())


def test_time_waited_for_a_pool_is_shared_among_those_who_held_it() -> None:
    waits = a_trace(
        a_task(0, 50, a_slice(10, 40, POOL_WAIT, "pool")), holds=(a_hold("pool", 40, 50),)
    )
    long = a_trace(a_task(0, 50), route="/long", holds=(a_hold("pool", 0, 40),))
    short = a_trace(a_task(0, 50), route="/short", holds=(a_hold("pool", 30, 40, THERE),))
    other = a_trace(a_task(0, 50), route="/other", holds=(a_hold("another", 0, 50),))
    traces = [waits, long, short, other]

    holders = pool_holders(traces, [receipt_of(trace) for trace in traces])

    # For 20 ms one request held it, for 10 ms two did: by their own time, 30 to 10.
    assert holders == (
        Holder("pool", "GET /long", HERE, 22.5, {"GET /": 22.5}),
        Holder("pool", "GET /short", THERE, 7.5, {"GET /": 7.5}),
    )


def test_who_held_a_pool_is_told_by_the_route_that_waited_for_it() -> None:
    def long(*waits_ms: float) -> Holder:
        by_route = dict(zip(("GET /a", "GET /b"), waits_ms, strict=False))
        return Holder("pool", "GET /long", HERE, sum(waits_ms), by_route)

    short = Holder("pool", "GET /short", THERE, 9, {"GET /b": 9})

    assert (long(5, 6), short) == merged_holders([long(2, 6), short, long(3)])


def test_a_pool_of_which_no_hold_was_seen_has_no_holders() -> None:
    waits = a_trace(a_task(0, 50, a_slice(10, 40, POOL_WAIT, "pool")))

    assert pool_holders([waits], [receipt_of(waits)]) == ()


def test_a_thread_that_waits_is_no_victim_of_the_loop() -> None:
    lane = a_task(0, 50, steps=(a_step(0, 2), a_step(40.5, 50, ready_ms=40.45)))
    trace = a_trace(lane, a_thread(2, 40, a_slice(2, 40, SQL)))

    assert in_ms(waited_of_first(trace)) == (0, 0, {})


def test_a_request_without_a_route_is_named_so() -> None:
    assert route_name(a_trace(a_task(0, 1), route="")) == "GET (no route)"


def test_a_statement_that_was_not_kept_has_no_place() -> None:
    trace = a_trace(a_task(0, 1), statements=(Statement("SELECT ?", "asyncpg", HERE),))

    assert statement_place(trace, 0) == HERE
    assert statement_place(trace, 1) is None
    assert statement_place(trace, -1) is None
