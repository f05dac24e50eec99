"""What the probes of HTTP clients note alike."""

import gc

import pytest

from unslow.current import Lane, OpenTrace, clock
from unslow.model.trace import REMOTE, SQL
from unslow.record.remote import Peer, add_read, address, pool_number

LONG_AGO_NS = 10_000_000


class Pool:
    pass


@pytest.fixture
def lane() -> Lane:
    return OpenTrace("GET", 100).root


@pytest.fixture
def peer() -> Peer:
    return "service:80", 1, True


def test_a_pool_keeps_its_number_and_another_gets_another() -> None:
    pool, other = Pool(), Pool()

    assert pool_number(pool) == pool_number(pool)
    assert pool_number(pool) != pool_number(other)


def test_the_number_of_a_pool_that_is_gone_is_not_given_again() -> None:
    numbers = []
    for _ in range(3):
        numbers.append(pool_number(Pool()))
        gc.collect()

    assert 3 == len(set(numbers))


def test_an_address_of_ip_6_stands_in_brackets() -> None:
    assert ["service:80", "10.0.0.1:80", "[::1]:80"] == [
        address(host, 80) for host in ("service", "10.0.0.1", "::1")
    ]


def test_a_read_that_waited_is_a_slice(lane: Lane, peer: Peer) -> None:
    start = clock() - LONG_AGO_NS

    add_read(lane, peer, start)

    ((begin, end, segment, what, place),) = lane.slices
    assert (start, REMOTE, (*peer, True)) == (begin, segment, what)
    assert start + LONG_AGO_NS <= end <= clock()
    assert place is not None


def test_a_read_that_found_its_bytes_there_is_none(lane: Lane, peer: Peer) -> None:
    for _ in range(100):
        before = clock()
        add_read(lane, peer, before)
        if clock() - before < 100_000:
            assert [] == lane.slices
            return
    pytest.fail("this machine never ran 100 us without a break")


def test_a_read_right_behind_the_slice_before_it_makes_that_longer(lane: Lane, peer: Peer) -> None:
    before = clock() - LONG_AGO_NS
    lane.add(REMOTE, before - 1000, before, peer, None)

    add_read(lane, peer, before + 5_000)

    ((begin, end, *_),) = lane.slices
    assert before - 1000 == begin
    assert before + LONG_AGO_NS <= end
    assert 99 == lane.trace.left


@pytest.mark.parametrize("gap_ns", [-500_000, 500_000])
def test_a_read_with_something_between_is_a_slice_of_its_own(
    lane: Lane, peer: Peer, gap_ns: int
) -> None:
    before = clock() - LONG_AGO_NS
    lane.add(REMOTE, before - 1_000_000, before, peer, None)

    add_read(lane, peer, before + gap_ns)

    assert 2 == len(lane.slices)


def test_slices_of_others_are_never_made_longer(lane: Lane, peer: Peer) -> None:
    before = clock() - LONG_AGO_NS
    lane.add(REMOTE, before - 1000, before, ("service:80", 2, True), None)
    add_read(lane, peer, before)
    lane.add(SQL, before - 1000, before, 0, None)
    add_read(lane, peer, before)

    assert [REMOTE, REMOTE, SQL, REMOTE] == [one[2] for one in lane.slices]


def test_a_trace_that_is_full_takes_no_more(peer: Peer) -> None:
    trace = OpenTrace("GET", 0)

    add_read(trace.root, peer, clock() - LONG_AGO_NS)

    assert ([], 1) == (trace.root.slices, trace.dropped_count)
