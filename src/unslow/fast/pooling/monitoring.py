"""How a pool is: for the health check of an orchestrator, and for Prometheus."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..database import Database, Source, database
from ..errors import DefinitionError, MissingLibraryError, NotOpenError
from .pool_states import PoolState, pool_state
from .pools import Pool
from .waits import BUCKETS_S, Waits

TIMEOUT_S: Final = 1.0
"""The default of a probe of Kubernetes (`timeoutSeconds`)."""

_OLDEST_SQL: Final = """
    SELECT CASE WHEN bool_or(query = '<insufficient privilege>') THEN NULL
           ELSE coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8 END
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
"""
"""Whose role may not see what the others do does not get an answer from some of them only."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a database answered."""

    round_trip_ms: float
    oldest_transaction_s: float | None
    """0 if none is open; `None` where the role may not see those of others."""


def _waits(source: Source) -> Waits | None:
    return source.waits if isinstance(source, Pool) else None


def health(
    source: Source, path: str = "/health", *, name: str | None = None, timeout_s: float = TIMEOUT_S
) -> Route:
    """A route that says whether the database answers, and how the pool is.

    To be added by `app.router.routes.append(health(db))`, or in the `routes` of Starlette. It
    answers 200, or 503 with the reason, and within the timeout also where the pool is exhausted or
    the server does not answer. Requests that come while one asks share its answer.

    The answer has `status` (`ok` or `unavailable`), `reason`, `pool` (its name), the fields of
    `PoolState`, `wait_p95_ms`, `oldest_transaction_s`, `round_trip_ms`, and in `unknown` the names
    of those that could not be known. `wait_p95_ms` is null without being unknown where nobody took
    a connection in the last minute.

    Args:
        source: The pool or engine.
        path: The path of the route.
        name: What to call the pool; its own name, or `default`.
        timeout_s: How long the answer may take, in seconds.
    """
    check = _Check(database(source), timeout_s)

    async def endpoint(_request: Request) -> Response:
        state, reason = PoolState(), None
        try:
            state = pool_state(source)
        except NotOpenError:
            reason = "the pool is not open"
        answer, reason = (None, reason) if reason else await check.asked(state)
        content = _content(_name(source, name), state, _waits(source), answer, reason)
        return JSONResponse(content, 503 if reason else 200, headers={"cache-control": "no-store"})

    return Route(path, endpoint, name=f"health-{_name(source, name)}", include_in_schema=False)


def _name(source: Source, name: str | None) -> str:
    return name or (source.name if isinstance(source, Pool) else "default")


def _content(
    name: str, state: PoolState, waits: Waits | None, answer: Answer | None, reason: str | None
) -> dict[str, Any]:
    known = {
        **asdict(state),
        "wait_p95_ms": waits.p95_ms() if waits is not None else None,
        "oldest_transaction_s": answer.oldest_transaction_s if answer else None,
        "round_trip_ms": answer.round_trip_ms if answer else None,
    }
    # Nobody waited: that is known.
    is_quiet = waits is not None and reason is None
    unknown = [
        one
        for one, value in known.items()
        if value is None and not (one == "wait_p95_ms" and is_quiet)
    ]
    status = "unavailable" if reason else "ok"
    return {"status": status, "reason": reason, "pool": name, **known, "unknown": unknown}


class _Check:
    """Asks the database, once for all who want to know at the same time."""

    def __init__(self, door: Database, timeout_s: float) -> None:
        self._door = door
        self._timeout_s = timeout_s
        self._task: asyncio.Task[Answer] | None = None
        self._is_connected = False

    async def asked(self, state: PoolState) -> tuple[Answer | None, str | None]:
        """The answer, or why there is none."""
        task = self._started()
        # Not awaited itself: where a server no longer answers, a driver may not end when cancelled.
        done, _ = await asyncio.wait({task}, timeout=self._timeout_s)
        if not done:
            task.cancel()
            return None, self._late(state)
        if task.cancelled():
            return None, self._late(state)
        if (error := task.exception()) is None:
            return task.result(), None
        if isinstance(error, TimeoutError):
            return None, self._late(state)
        # Its text may name users and hosts, and this route is often public.
        return None, f"the database does not answer: {type(error).__name__}"

    def _started(self) -> asyncio.Task[Answer]:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._ask())
            # It may end when nobody waits for it any more.
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._task

    async def _ask(self) -> Answer:
        self._is_connected = False
        async with self._door.connect(self._timeout_s) as connection:
            self._is_connected = True
            began = time.perf_counter()
            await connection.fetch("SELECT 1")
            round_trip_ms = (time.perf_counter() - began) * 1_000
            [[oldest_s]] = await connection.fetch(_OLDEST_SQL)
        return Answer(round_trip_ms, oldest_s)

    def _late(self, state: PoolState) -> str:
        limit = f"{self._timeout_s:g} s"
        if self._is_connected:
            return f"the database did not answer in {limit}"
        if state.in_use is not None and state.in_use == state.max_size:
            in_use = f"{state.in_use} of {state.max_size} are in use"
            return f"no connection became free in {limit}: {in_use}"
        return f"no connection could be had in {limit}"


def metrics(source: Source, registry: Any = None, *, name: str | None = None) -> Any:
    """Registers the state of a pool as metrics of Prometheus, read whenever they are asked for.

    They are the gauges `unslow_pool_max_size`, `unslow_pool_size`, `unslow_pool_in_use`,
    `unslow_pool_idle`, `unslow_pool_waiting` and the histogram `unslow_pool_wait_seconds`, each
    with the label `pool`. What is not known is left out, and so is a pool that is not open. The
    database is not asked.

    Args:
        source: The pool or engine.
        registry: A `CollectorRegistry`; the one of the library if not given.
        name: The value of the label; the pool's own name, or `default`.

    Returns:
        The collector, which is one for all pools of a registry.

    Raises:
        MissingLibraryError: `prometheus-client` is not installed.
        DefinitionError: Another pool has that name in the registry.
    """
    try:
        import prometheus_client
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            "metrics need prometheus-client: pip install prometheus-client"
        ) from error
    registry = prometheus_client.REGISTRY if registry is None else registry
    collector = _collectors.get(registry)
    if collector is None:
        collector = _collectors[registry] = PoolCollector()
        registry.register(collector)
    collector.add(_name(source, name), source)
    return collector


class PoolCollector:
    """The metrics of pools, for a registry of `prometheus-client`."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def add(self, name: str, source: Source) -> None:
        """Takes a pool in; the same one a second time changes nothing."""
        database(source)
        if self._sources.setdefault(name, source) is not source:
            raise DefinitionError(
                f"got a second pool with the name {name!r}; give each a name of its own"
            )

    def describe(self) -> Iterator[Any]:
        """Nothing: the registry would open what is not open yet."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """The families of metrics, as the library wants them."""
        from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily

        states = dict(self._states())
        for one in fields(PoolState):
            family = GaugeMetricFamily(f"unslow_pool_{one.name}", _HELP[one.name], labels=["pool"])
            for name, state in states.items():
                if (value := getattr(state, one.name)) is not None:
                    family.add_metric([name], value)
            yield family
        histogram = HistogramMetricFamily(
            "unslow_pool_wait_seconds", "How long a connection was waited for.", labels=["pool"]
        )
        for name, source in self._sources.items():
            if (waits := _waits(source)) is not None:
                histogram.add_metric([name], _buckets(waits), waits.total_s)
        yield histogram

    def _states(self) -> Iterator[tuple[str, PoolState]]:
        for name, source in self._sources.items():
            try:
                yield name, pool_state(source)
            except NotOpenError:
                continue


_collectors: weakref.WeakKeyDictionary[Any, PoolCollector] = weakref.WeakKeyDictionary()

_HELP: Final = {
    "max_size": "The most connections that a pool opens.",
    "size": "Connections that are open.",
    "in_use": "Connections that were taken.",
    "idle": "Connections that are open and free.",
    "waiting": "Who waits for a connection.",
}


def _buckets(waits: Waits) -> list[tuple[str, float]]:
    bounds = [*map(str, BUCKETS_S), "+Inf"]
    return list(zip(bounds, map(float, waits.cumulative_counts()), strict=True))
