"""Single flight: of many who ask for the same at the same time one computes, and all get it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, overload
from weakref import WeakKeyDictionary

from ..failures import copied
from .call_keys import CallKey, Signature, async_function

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

Work: TypeAlias = Callable[["Flight[Value]"], Awaitable[Value]]
"""What is computed; it may give the value before it ends."""


@dataclass(slots=True)
class Statistics:
    """How the calls of a function were answered, since the process began."""

    hits: int = 0
    """With a fresh value from the store."""
    stale: int = 0
    """With an old value, while a new one was on its way."""
    waits: int = 0
    """With what somebody else was reading or computing already, in this process or another."""
    misses: int = 0
    """By a computation of their own."""
    refreshes: int = 0
    """Computations that no call waited for."""
    errors: int = 0
    """Computations that failed."""
    store_failures: int = 0
    """What the store refused, lost or took too long for. What was not even asked of a store that
    is known to be down does not count."""

    @property
    def hit_rate(self) -> float | None:
        """The share of calls that needed no computation of their own; `None` before the first."""
        calls = self.hits + self.stale + self.waits + self.misses
        return None if calls == 0 else (calls - self.misses) / calls


class Flight(Generic[Value]):
    """One computation, and all who wait for it."""

    __slots__ = ("_futures", "_given", "_is_kept", "is_detached", "key", "tags", "task")

    def __init__(self, key: Hashable, tags: tuple[str, ...], *, is_kept: bool) -> None:
        self.key = key
        self.tags = tags
        self.is_detached = False
        """Whether what it is about was changed since it began: nobody new joins it."""
        self.task: asyncio.Task[None] | None = None
        self._is_kept = is_kept
        self._futures: list[asyncio.Future[Value]] = []
        self._given: tuple[Value] | None = None

    async def wait(self) -> Value:
        """The value; the computation ends when the last who waits is cancelled."""
        if self._given is not None:
            return self._given[0]
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._leave(future)
            raise

    def _leave(self, future: asyncio.Future[Value]) -> None:
        if future in self._futures:
            self._futures.remove(future)
            if not self._futures and not self._is_kept and self.task is not None:
                self.is_detached = True
                self.task.cancel()

    def give(self, value: Value) -> None:
        """The value for all who wait and who come until the end."""
        self._given = (value,)
        for future in self._taken():
            future.set_result(value)

    def fail(self, error: Exception) -> None:
        """The error for all who wait."""
        for number, future in enumerate(self._taken()):
            future.set_exception(copied(error) if number else error)

    def end(self) -> None:
        """Nobody is left waiting."""
        for future in self._taken():
            future.cancel()

    def _taken(self) -> list[asyncio.Future[Value]]:
        futures, self._futures = self._futures, []
        return [future for future in futures if not future.done()]


def _drop(flights: dict[Hashable, Flight[Value]], flight: Flight[Value]) -> None:
    if flights.get(flight.key) is flight:
        del flights[flight.key]


class Flights(Generic[Value]):
    """What is computed at the moment, by key; each event loop has its own."""

    def __init__(self) -> None:
        self._by_loop: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[Hashable, Flight[Value]]
        ] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, key: Hashable) -> Flight[Value] | None:
        """The flight that is on its way for a key, if one is to be joined."""
        flight = self._by_loop.get(asyncio.get_running_loop(), {}).get(key)
        return None if flight is None or flight.is_detached else flight

    def start(
        self,
        key: Hashable,
        work: Work[Value],
        *,
        tags: tuple[str, ...] = (),
        is_kept: bool = False,
    ) -> Flight[Value]:
        """Begins to compute; with `is_kept` also for nobody."""
        loop = asyncio.get_running_loop()
        flight: Flight[Value] = Flight(key, tags, is_kept=is_kept)
        flights = self._by_loop.setdefault(loop, {})
        flights[key] = flight
        # What many get depends on none of them: not on the tenant of the first, nor on its trace.
        running = self._run(flights, flight, work)
        flight.task = loop.create_task(running, context=contextvars.Context())
        self._tasks.add(flight.task)
        flight.task.add_done_callback(partial(self._ended, flights, flight))
        return flight

    async def _run(
        self, flights: dict[Hashable, Flight[Value]], flight: Flight[Value], work: Work[Value]
    ) -> None:
        try:
            value = await work(flight)
        except Exception as error:
            flight.fail(error)
        else:
            flight.give(value)
        finally:
            # At once: who is called next must not find what is over.
            _drop(flights, flight)

    def _ended(
        self,
        flights: dict[Hashable, Flight[Value]],
        flight: Flight[Value],
        task: asyncio.Task[None],
    ) -> None:
        self._tasks.discard(task)
        # If it was cancelled before it began.
        _drop(flights, flight)
        flight.end()

    def detach(self, key: Hashable) -> None:
        """Who comes from now on computes anew; who waits already gets what it waits for."""
        for flights in list(self._by_loop.values()):
            if flight := flights.get(key):
                flight.is_detached = True

    def detach_tag(self, tag: str) -> None:
        """The same for all keys with a tag."""
        for flights in list(self._by_loop.values()):
            for flight in list(flights.values()):
                if tag in flight.tags:
                    flight.is_detached = True

    async def drain(self) -> None:
        """Waits until nothing is on its way on this loop."""
        loop = asyncio.get_running_loop()
        while tasks := [task for task in self._tasks if task.get_loop() is loop]:
            await asyncio.wait(tasks)


class SingleFlight(Generic[Parameters, Value]):
    """An async function of which one call at a time runs per key; made by `single_flight`."""

    def __init__(
        self,
        function: Callable[Parameters, Awaitable[Value]],
        key: Callable[..., Any] | None = None,
    ) -> None:
        async_function(function, "single_flight")
        self._function = function
        self._signature = Signature(function)
        self._key = CallKey(self._signature, key, "")
        self._flights: Flights[Value] = Flights()
        self.statistics = Statistics()
        update_wrapper(self, function)

    async def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Value:
        key = self._key(self._signature.values(args, kwargs))
        flight = self._flights.find(key)
        if flight is None:
            self.statistics.misses += 1
            flight = self._flights.start(key, lambda _flight: self._compute(*args, **kwargs))
        else:
            self.statistics.waits += 1
        return await flight.wait()

    async def _compute(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Value:
        try:
            return await self._function(*args, **kwargs)
        except Exception:
            self.statistics.errors += 1
            raise

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else MethodType(self, instance)


@overload
def single_flight(
    function: Callable[Parameters, Awaitable[Value]],
) -> SingleFlight[Parameters, Value]: ...


@overload
def single_flight(
    *, key: Callable[..., Any] | None = None
) -> Callable[[Callable[Parameters, Awaitable[Value]]], SingleFlight[Parameters, Value]]: ...


def single_flight(function: Any = None, *, key: Callable[..., Any] | None = None) -> Any:
    """Lets one call at a time compute per key; who calls meanwhile gets the same answer.

    Nothing is kept: the next call computes again. An error goes to all who waited. The computation
    ends early only when all who wait for it are cancelled. It sees no context variable of its
    callers.

    Args:
        function: An async function.
        key: By default all arguments are the key. Else a function of some of the parameters, by
            their names. What makes answers differ must be in it, also *who asks*.

    Raises:
        DefinitionError: The function is not async; or, at a call, its arguments make no key.
    """
    return partial(SingleFlight, key=key) if function is None else SingleFlight(function, key)
