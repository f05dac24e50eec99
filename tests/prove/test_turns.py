"""In which order arms take turns."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from unslow.prove.turns import Turns

ARMS = st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=6)


@given(ARMS, st.integers(1, 5), st.randoms())
def test_each_arm_is_as_often_in_each_place(arms: list[str], times: int, chance: Random) -> None:
    turns = Turns(chance)
    named = list(enumerate(arms))

    orders = [turns.next(named) for _ in range(len(arms) * times)]

    assert all(sorted(order) == named for order in orders)
    for place in range(len(arms)):
        assert Counter(order[place] for order in orders) == dict.fromkeys(named, times)


@given(ARMS, ARMS, st.randoms())
def test_other_arms_begin_anew(arms: list[str], others: list[str], chance: Random) -> None:
    turns = Turns(chance)

    for _ in range(3):
        assert Counter(turns.next(arms)) == Counter(arms)
        assert Counter(turns.next(others)) == Counter(others)


def test_two_trials_have_orders_of_their_own() -> None:
    trials = {tuple(map(tuple, _orders(Turns(), 20))) for _ in range(5)}

    assert len(trials) == 5


def test_each_order_is_as_likely_in_each_block() -> None:
    turns = Turns(Random(1))

    counts = Counter(map(tuple, _orders(turns, 6000)))

    assert len(counts) == 6
    assert all(900 < count < 1100 for count in counts.values())


def _orders(turns: Turns, count: int) -> list[list[str]]:
    return [turns.next(("first", "second", "fix")) for _ in range(count)]
