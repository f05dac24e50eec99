"""From pair blocks to verdicts: what counts, what does not, and how often that is wrong."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import permutations, product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.power import Scene, race_of, row, trial
from unslow.model.proof import FASTER, NO_DIFFERENCE, NOT_TRIED, SLOWER, Comparison
from unslow.prove.compare import (
    OWN_PLAN,
    SHARED_PLAN,
    Block,
    Judged,
    Look,
    Plan,
    cannot_win,
    judged,
    judged_apart,
    look,
)

ONE_LOOK = Plan((Look(12, 0.05),))
MIRRORED = {FASTER: SLOWER, SLOWER: FASTER, NO_DIFFERENCE: NO_DIFFERENCE, NOT_TRIED: NOT_TRIED}

times_ms = st.floats(1.0, 1000.0)
singles = st.lists(st.builds(Block, st.tuples(times_ms), times_ms), min_size=6, max_size=30)
doubles = st.lists(
    st.builds(Block, st.tuples(times_ms, times_ms), times_ms), min_size=4, max_size=30
)
mixed = st.lists(
    st.builds(Block, st.lists(times_ms, min_size=1, max_size=3).map(tuple), times_ms),
    min_size=6,
    max_size=30,
)


def alike(
    count: int, before_ms: tuple[float, ...] = (10.0, 10.0), after_ms: float = 10.0
) -> list[Block]:
    return [Block(before_ms, after_ms) for _ in range(count)]


def noisy(count: int, times: float, noise: float = 0.1, seed: int = 1) -> list[Block]:
    random = Random(seed)

    def ms(mean_ms: float) -> float:
        return mean_ms * math.exp(random.gauss(0, noise))

    return [Block((ms(20.0), ms(20.0)), ms(20.0 / times)) for _ in range(count)]


def shown(of: Judged | None) -> Comparison:
    assert of is not None
    assert of.comparison is not None
    return of.comparison


@given(mixed, st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_machine_of_another_speed_gives_the_same_ratio(
    blocks: list[Block], factor: float
) -> None:
    scaled = [
        Block(tuple(ms * factor for ms in one.before_ms), one.after_ms * factor) for one in blocks
    ]

    one, other = shown(judged(blocks, ONE_LOOK)), shown(judged(scaled, ONE_LOOK))

    assert other.times == pytest.approx(one.times)
    assert other.interval == pytest.approx(one.interval)
    assert other.floor == pytest.approx(one.floor)
    assert other.before_ms == pytest.approx(one.before_ms * factor)


@given(singles)
def test_before_and_after_in_each_other_s_place_turn_the_verdict_round(blocks: list[Block]) -> None:
    turned = [Block((one.after_ms,), one.before_ms[0]) for one in blocks]

    one, other = judged(blocks, ONE_LOOK), judged(turned, ONE_LOOK)

    assert other.verdict == MIRRORED[one.verdict]
    assert shown(other).times == pytest.approx(1 / shown(one).times)
    low, high = shown(one).interval
    assert shown(other).interval == pytest.approx((1 / high, 1 / low))


@given(doubles)
def test_the_order_of_blocks_does_not_matter(blocks: list[Block]) -> None:
    assert judged(blocks, ONE_LOOK) == judged(blocks[::-1], ONE_LOOK)


@given(mixed)
def test_the_estimate_lies_in_its_interval_and_the_verdict_agrees_with_it(
    blocks: list[Block],
) -> None:
    result = judged(blocks, ONE_LOOK)

    comparison = shown(result)
    low, high = comparison.interval
    assert low <= comparison.times <= high
    assert result.verdict != FASTER or low > 1
    assert result.verdict != SLOWER or high < 1
    assert (result.verdict == NO_DIFFERENCE) == bool(result.why)
    assert comparison.smallest >= comparison.floor >= 1.02
    assert comparison.blocks_count == len(blocks)


@given(st.floats(0.01, 1e5), st.integers(6, 80), st.integers(1, 3))
def test_blocks_that_are_all_equal_are_no_difference(ms: float, count: int, twice: int) -> None:
    result = judged(alike(count, (ms,) * twice, ms), OWN_PLAN)

    assert result.verdict == NO_DIFFERENCE
    assert result.why == "less than 2 %"
    assert shown(result).interval == (1.0, 1.0)


@given(doubles, st.sampled_from([OWN_PLAN, SHARED_PLAN]))
def test_nobody_looks_between_the_planned_looks(blocks: list[Block], plan: Plan) -> None:
    planned = {one.blocks_count for one in plan.looks}

    looked = [count for count in range(len(blocks)) if look(blocks[:count], plan)]

    assert set(looked) <= planned


@pytest.mark.parametrize("plan", [OWN_PLAN, SHARED_PLAN])
def test_a_plan_ends_with_a_verdict_and_not_before_without_one(plan: Plan) -> None:
    *early, last = (alike(one.blocks_count) for one in plan.looks)

    assert [look(blocks, plan) for blocks in early] == [None] * len(early)
    result = look(last, plan)

    assert result is not None
    assert result.verdict == NO_DIFFERENCE
    assert look([*last, last[0]], plan) is None


@pytest.mark.parametrize("plan", [OWN_PLAN, SHARED_PLAN])
def test_all_looks_together_are_wrong_in_one_trial_of_twenty_at_most(plan: Plan) -> None:
    assert sum(one.alpha for one in plan.looks) == pytest.approx(0.05)


def test_what_a_look_has_spent_is_not_spent_again() -> None:
    left = [OWN_PLAN.alpha_left(count) for count in (7, 19, 20, 39, 40, 80, 90)]

    assert left == pytest.approx([0.05, 0.05, 0.049, 0.049, 0.039, 0.039, 0.039])


@pytest.mark.parametrize("plan", [OWN_PLAN, SHARED_PLAN])
def test_twice_as_fast_is_seen_at_the_first_look(plan: Plan) -> None:
    blocks = noisy(plan.looks[0].blocks_count, times=2.0)

    result = look(blocks, plan, users_count=10)

    assert result is not None
    assert result.verdict == FASTER
    assert shown(result).interval[0] > 1
    assert shown(result).times == pytest.approx(2.0, rel=0.2)
    assert shown(result).users_count == 10


def test_one_block_of_six_that_says_otherwise_is_enough_to_go_on() -> None:
    blocks = [*alike(5, after_ms=5.0), Block((5.0, 5.0), 10.0)]

    assert look(blocks, SHARED_PLAN) is None


def test_a_trial_whose_time_is_up_is_judged_by_what_is_left_to_spend() -> None:
    blocks = noisy(7, times=2.0)

    result = judged(blocks, OWN_PLAN)

    assert look(blocks, OWN_PLAN) is None
    assert result.verdict == FASTER
    assert shown(result).blocks_count == 7


@pytest.mark.parametrize(
    ("count", "baselines", "verdict"),
    [(0, 1, NOT_TRIED), (5, 1, NOT_TRIED), (6, 1, FASTER), (3, 2, NOT_TRIED), (4, 2, FASTER)],
)
def test_too_few_blocks_say_nothing_however_clear_they_are(
    count: int, baselines: int, verdict: str
) -> None:
    result = judged(alike(count, (100.0,) * baselines, 1.0), OWN_PLAN)

    assert result.verdict == verdict
    assert (result.comparison is None) == (verdict == NOT_TRIED)
    assert (f"{count} pair blocks measured" in result.why) == (verdict == NOT_TRIED)


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "verdict", "why"),
    [
        (100.0, 98.2, NO_DIFFERENCE, "less than 2 %"),
        (100.0, 97.8, FASTER, ""),
        (100.0, 101.8, NO_DIFFERENCE, "less than 2 %"),
        (100.0, 102.2, SLOWER, ""),
        (1.0, 0.81, NO_DIFFERENCE, "less than 0.2 ms"),
        (1.0, 0.79, FASTER, ""),
        (1.0, 1.19, NO_DIFFERENCE, "less than 0.2 ms"),
        (1.0, 1.21, SLOWER, ""),
    ],
)
def test_what_nobody_would_change_code_for_is_no_difference(
    before_ms: float, after_ms: float, verdict: str, why: str
) -> None:
    result = judged(alike(40, (before_ms, before_ms), after_ms), OWN_PLAN)

    assert (result.verdict, result.why) == (verdict, why)


@pytest.mark.parametrize(
    ("after_ms", "verdict"), [(98.0, NO_DIFFERENCE), (92.0, FASTER), (114.0, SLOWER)]
)
def test_a_difference_has_to_exceed_that_of_the_app_beside_itself(
    after_ms: float, verdict: str
) -> None:
    result = judged(alike(40, (106.0, 100.0), after_ms), OWN_PLAN)

    assert shown(result).floor == pytest.approx(1.06)
    assert result.verdict == verdict
    if verdict == NO_DIFFERENCE:
        assert result.why == "not clear of the noise: the app beside itself differed by 6 %"


@pytest.mark.parametrize(("equal", "verdict"), [(2, FASTER), (3, NO_DIFFERENCE)])
def test_an_interval_that_touches_one_is_not_clear_of_it(equal: int, verdict: str) -> None:
    blocks = [*alike(equal, (10.0,)), *alike(12 - equal, (10.0,), 5.0)]

    result = judged(blocks, ONE_LOOK)

    assert result.verdict == verdict
    assert shown(result).times == pytest.approx(2.0)
    assert shown(result).interval[0] == pytest.approx(2.0 if verdict == FASTER else 1.0)


def test_with_one_baseline_the_floor_is_two_percent() -> None:
    assert shown(judged(alike(20, (100.0,), 50.0), OWN_PLAN)).floor == 1.02


def test_what_chance_may_have_done_says_how_much_would_have_been_seen() -> None:
    blocks = noisy(80, times=1.0, noise=0.2)

    result = judged(blocks, OWN_PLAN)

    assert result.verdict == NO_DIFFERENCE
    assert result.why == "not told from chance by 80 pair blocks"
    assert 1.02 < shown(result).smallest < 1.2


def test_more_blocks_would_show_a_smaller_gain() -> None:
    few, many = (judged(noisy(count, times=1.0), OWN_PLAN) for count in (12, 80))

    assert shown(few).smallest > shown(many).smallest


def test_a_few_times_that_are_far_off_change_little() -> None:
    blocks = noisy(40, times=1.3)
    disturbed = [
        Block(one.before_ms, one.after_ms * 50) if number % 20 == 0 else one
        for number, one in enumerate(blocks)
    ]

    result = judged(disturbed, OWN_PLAN)

    assert result.verdict == FASTER
    assert shown(result).times == pytest.approx(1.3, rel=0.1)


@pytest.mark.parametrize("bad", [((), 1.0), ((0.0,), 1.0), ((1.0, 1.0), -1.0)])
def test_a_block_without_a_time_is_refused(bad: tuple[tuple[float, ...], float]) -> None:
    with pytest.raises(ValueError, match="wanted a time above 0 ms of each arm"):
        Block(*bad)


@pytest.mark.parametrize("baselines", [(1,) * 6, (2,) * 4, (2, 1, 2, 1, 1)])
def test_of_all_orders_that_chance_could_draw_five_in_a_hundred_are_wrong_at_most(
    baselines: tuple[int, ...],
) -> None:
    # Times as skewed as they get: only who had the fix in each block is left to chance.
    random = Random(5)
    drawn = [[random.lognormvariate(3, 2) for _ in range(count + 1)] for count in baselines]
    orders = list(product(*(range(count + 1) for count in baselines)))

    wrong = [
        _is_clear([_block(ms, place) for ms, place in zip(drawn, order, strict=True)])
        for order in orders
    ]

    assert 0 < sum(wrong)
    assert Fraction(sum(wrong), len(orders)) <= Fraction(5, 100)


def _block(drawn_ms: list[float], place: int) -> Block:
    return Block((*drawn_ms[:place], *drawn_ms[place + 1 :]), drawn_ms[place])


def _is_clear(blocks: list[Block]) -> bool:
    low, high = shown(judged(blocks, ONE_LOOK)).interval
    return low > 1 or high < 1


def test_of_all_ways_to_deal_times_to_two_runs_one_in_a_hundred_is_wrong_at_most() -> None:
    dealt = set(permutations([True] * 5 + [False] * 5))
    times = [float(2**number) for number in range(10)]

    wrong = 0
    for deal in dealt:
        before = [ms for ms, is_before in zip(times, deal, strict=True) if is_before]
        after = [ms for ms, is_before in zip(times, deal, strict=True) if not is_before]
        low, high = shown(judged_apart(before, after)).interval
        wrong += low > 1 or high < 1

    assert wrong == 2
    assert len(dealt) == 252


@pytest.mark.parametrize(
    "scene",
    [
        Scene("as it mostly is"),
        Scene("one baseline", 0.15, baselines=1),
        Scene("skewed", 0.15, is_skewed=True),
        Scene("a crowd", plan=SHARED_PLAN, is_crowd=True),
    ],
    ids=lambda scene: scene.name,
)
def test_an_app_beside_itself_is_hardly_ever_faster_or_slower(scene: Scene) -> None:
    result = row("own", scene, 1.0, trials=60)

    # Of 60 at most 5 %, and two standard errors.
    assert result.faster + result.slower <= 0.106


@pytest.mark.parametrize(
    ("times", "at_least"),
    [(1.1, 0.6), (1 / 1.1, 0.6), (1.25, 0.95), (0.8, 0.95), (2.0, 1.0), (0.5, 1.0)],
)
def test_a_gain_and_a_loss_of_ten_percent_are_mostly_found(times: float, at_least: float) -> None:
    result = row("own", Scene("noise", 0.15), times, trials=30)

    found, wrong = (result.faster, result.slower)[:: 1 if times > 1 else -1]
    assert found >= at_least
    assert wrong == 0


def test_the_same_times_give_the_same_verdict() -> None:
    one, other = (trial(Random(3), Scene("again"), 1.1) for _ in range(2))

    assert one == other


def test_a_variant_far_behind_is_dropped_after_four_blocks() -> None:
    behind, best = alike(4, after_ms=20.0), alike(4, after_ms=10.0)

    assert cannot_win(behind, best)
    assert not cannot_win(behind[:3], best[:3])
    assert not cannot_win(best, behind)
    assert not cannot_win(alike(40, after_ms=10.4), alike(40, after_ms=10.0))
    assert not cannot_win([], [])


def test_the_better_one_is_hardly_ever_dropped() -> None:
    dropped = 0
    for seed in range(40):
        better: list[Block] = []
        other: list[Block] = []
        race = race_of(Random(seed), Scene("race", 0.15), (1.1, 1.0))
        for _ in range(20):
            blocks = next(race)
            better.append(blocks[0])
            other.append(blocks[1])
            if cannot_win(better, other):
                dropped += 1
                break

    assert dropped <= 4


def _run(times: float, count: int = 60, seed: int = 1, drift: float = 0.0) -> list[float]:
    random = Random(seed)
    return [
        20.0 / times * math.exp(random.gauss(0, 0.1) + drift * number / count)
        for number in range(count)
    ]


@pytest.mark.parametrize(("times", "verdict"), [(2.0, FASTER), (0.5, SLOWER), (1.0, NO_DIFFERENCE)])
def test_two_runs_apart_are_compared_as_well(times: float, verdict: str) -> None:
    result = judged_apart(_run(1.0), _run(times, seed=2))

    assert result.verdict == verdict
    assert shown(result).times == pytest.approx(times, rel=0.1)
    assert shown(result).blocks_count == 10


def test_two_runs_apart_have_to_differ_by_more_than_ten_percent() -> None:
    result = judged_apart([10.0] * 40, [9.2] * 40)

    assert result.verdict == NO_DIFFERENCE
    assert "differed by 10 %" in result.why


def test_two_runs_apart_have_to_differ_by_more_than_one_of_them_drifted() -> None:
    result = judged_apart(_run(1.0, drift=1.2), _run(1.0, seed=2))

    assert shown(result).interval[0] > 1
    assert result.verdict == NO_DIFFERENCE
    assert shown(result).floor > shown(result).times


@pytest.mark.parametrize("count", [0, 1, 4])
def test_two_runs_of_a_few_requests_say_nothing(count: int) -> None:
    result = judged_apart([10.0] * count, [1.0] * count)

    assert result.verdict == NOT_TRIED
    assert result.comparison is None
