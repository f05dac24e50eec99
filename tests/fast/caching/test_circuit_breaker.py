from __future__ import annotations

from unslow.fast.caching.circuit_breaker import CircuitBreaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_some_failures_in_a_row() -> None:
    breaker = CircuitBreaker(2, 5.0, Clock())

    opened = [breaker.fail(), breaker.fail(), breaker.fail()]

    assert opened == [False, True, False]
    assert not breaker.allows()


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = CircuitBreaker(2, 5.0, Clock())
    breaker.fail()
    breaker.succeed()
    breaker.fail()

    assert breaker.allows()


def test_after_the_pause_one_tries_for_all() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 5.0, clock)
    breaker.fail()
    clock.now = 5.0

    assert [True, False] == [breaker.allows(), breaker.allows()]


def test_it_stays_open_when_the_try_fails_and_closes_when_it_goes_well() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 5.0, clock)
    breaker.fail()
    clock.now = 5.0
    breaker.allows()
    breaker.fail()
    is_open = not breaker.allows()
    clock.now = 10.0
    breaker.allows()
    breaker.succeed()

    assert is_open
    assert [True, True] == [breaker.allows(), breaker.allows()]
