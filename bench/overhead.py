"""What recording costs: CPU per request of the same app under each agent, side by side.

Each arm is a process of its own that serves the same FastAPI app in-process (ASGI calls, no
sockets: what a server adds is the same for all). The arms take turns, endpoint by endpoint and
round by round, each with the same number of requests; what counts is the process's CPU time, all
its threads and the flush of its buffers included. The figure is the median over the rounds.

Peers are set up as their documentation says, with every request traced, and send to nowhere: their
exporters drop what they are given (OpenTelemetry, Sentry) or talk to a stub on 127.0.0.1 (ddtrace).

The peers are in the extra `bench`; it wants an environment of its own, since ddtrace changes pytest
and OpenTelemetry's instrumentation of SQLAlchemy refuses 2.1.

    python -m bench.overhead [--quick] [--json] [--loop uvloop] [--arms none,unslow]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from typing import Any

ARMS = ("none", "unslow", "otel-native", "otel-contrib", "sentry", "ddtrace")
PACKAGES = {
    "otel-native": ("opentelemetry-sdk",),
    "otel-contrib": (
        "opentelemetry-instrumentation-fastapi",
        "opentelemetry-instrumentation-sqlalchemy",
        "opentelemetry-instrumentation-asyncpg",
    ),
    "sentry": ("sentry-sdk",),
    "ddtrace": ("ddtrace",),
}
MORE = 10
"""Further statements in the endpoints that tell the price of one."""
ENDPOINTS = {
    "bare": "/bare",
    "orm-1": "/orm?statements=1",
    f"orm-{1 + MORE}": f"/orm?statements={1 + MORE}",
    "core-1": "/core?statements=1",
    f"core-{1 + MORE}": f"/core?statements={1 + MORE}",
    "asyncpg-1": "/driver?statements=1",
    f"asyncpg-{1 + MORE}": f"/driver?statements={1 + MORE}",
}
TARGETS_US = {"bare": 25.0, "orm-1": 50.0}
FURTHER_US = {"orm": 20.0, "core": 10.0, "asyncpg": 10.0}

Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]


def make_app(database_url: str, *, native_telemetry: bool) -> tuple[Any, Any]:
    """The measured app and its engine; imported late, as ddtrace wants to come first."""
    from .measured_app import make_app as make

    return make(database_url, native_telemetry=native_telemetry)


def set_up(arm: str, database_url: str) -> tuple[Application, Callable[[], None]]:
    """The app under one arm, and what writes out its buffers."""
    if arm == "unslow":
        return _set_up_unslow(database_url)
    if arm.startswith("otel"):
        return _set_up_opentelemetry(arm, database_url)
    if arm == "sentry":
        return _set_up_sentry(database_url)
    if arm == "ddtrace":
        importlib.import_module("ddtrace.auto")
        from ddtrace.trace import tracer

        app, _ = make_app(database_url, native_telemetry=False)
        return app, tracer.flush
    app, _ = make_app(database_url, native_telemetry=False)
    return app, lambda: None


def _set_up_unslow(database_url: str) -> tuple[Application, Callable[[], None]]:
    import unslow
    from unslow import agent

    app, _ = make_app(database_url, native_telemetry=False)
    return unslow.install(app), agent.flush


def _set_up_opentelemetry(arm: str, database_url: str) -> tuple[Application, Callable[[], None]]:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002  # the SDK's name
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
    app, engine = make_app(database_url, native_telemetry=arm == "otel-native")
    if arm == "otel-contrib":
        from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

        FastAPIInstrumentor.instrument_app(app)
        SQLAlchemyInstrumentor().instrument(engine=engine.sync_engine)
        AsyncPGInstrumentor().instrument()

    def flush() -> None:
        provider.force_flush()

    return app, flush


def _set_up_sentry(database_url: str) -> tuple[Application, Callable[[], None]]:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    class Nowhere(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            envelope.serialize()

    sentry_sdk.init(dsn="http://public@127.0.0.1:9/1", traces_sample_rate=1.0, transport=Nowhere)
    app, _ = make_app(database_url, native_telemetry=False)
    return app, sentry_sdk.flush


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def scope_of(target: str) -> Message:
    """An ASGI scope such as uvicorn makes."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8_000),
        "state": {},
    }


async def serve_orders(arm: str, database_url: str) -> None:
    """The worker: reads `TARGET COUNT` lines, answers each with the CPU time of one request."""
    app, flush = set_up(arm, database_url)
    loop = asyncio.get_running_loop()
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        target, count = line.split()
        begin = time.process_time()
        for _ in range(int(count)):
            await app(scope_of(target), _receive, send)
        flush()
        took = time.process_time() - begin
        if set(statuses) != {200}:
            sys.exit(f"{arm} answered {sorted(set(statuses))} to {target}, not 200")
        statuses.clear()
        sys.stdout.write(f"{took / int(count) * 1e6}\n")
        sys.stdout.flush()


class Worker:
    """One arm's process."""

    def __init__(self, arm: str, database_url: str, loop: str, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "bench.overhead", "--worker", arm, "--loop", loop]
        self._process = subprocess.Popen(
            [*command, "--database", database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._ask("ready")

    def _ask(self, wanted: str = "") -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        while wanted and answer != wanted and answer:
            answer = self._process.stdout.readline().strip()
        if not answer:
            sys.exit(f"a worker ended with {self._process.wait()}; its own words stand above")
        return answer

    def measure(self, target: str, count: int) -> float:
        """CPU microseconds per request."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{target} {count}\n")
        self._process.stdin.flush()
        return float(self._ask())

    def stop(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait(10)


class _Accepts(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_PUT  # noqa: N815  # http.server calls it so
    do_GET = do_PUT  # noqa: N815  # http.server calls it so

    def log_request(self, *_: Any) -> None:
        return None


@contextmanager
def accepting_stub() -> Iterator[str]:
    """A server on loopback, outside the workers, that takes whatever ddtrace sends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Accepts)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def database() -> Iterator[str]:
    """A database with a table of items: the server in UNSLOW_TEST_DATABASE_URL, or our own."""
    import psycopg

    from unslow.postgres.server import embedded_server

    with ExitStack() as stack:
        url = os.environ.get("UNSLOW_TEST_DATABASE_URL")
        if url is None:
            url = stack.enter_context(embedded_server()).url()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS items")
            connection.execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL)")
            connection.execute(
                "INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 100) i"
            )
        yield url


def installed(arm: str) -> bool:
    """Whether an arm's packages are there."""
    try:
        for package in PACKAGES.get(arm, ()):
            metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def run(arms: list[str], rounds: int, count: int, loop: str) -> dict[str, dict[str, list[float]]]:
    """`{endpoint: {arm: [CPU us per request, by round]}}`."""
    figures: dict[str, dict[str, list[float]]] = {
        endpoint: {arm: [] for arm in arms} for endpoint in ENDPOINTS
    }
    with ExitStack() as stack:
        url = stack.enter_context(database())
        stub = stack.enter_context(accepting_stub())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        environment = {
            "DD_TRACE_AGENT_URL": stub,
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "UNSLOW_FOLDER": folder,
        }
        workers = {arm: Worker(arm, url, loop, environment) for arm in arms}
        for worker in workers.values():
            stack.callback(worker.stop)
        for endpoint, target in ENDPOINTS.items():
            per_round = max(20, count // (1 + 3 * int("statements" in target)))
            for worker in workers.values():
                worker.measure(target, per_round)
            for number in range(rounds):
                order = arms[number % len(arms) :] + arms[: number % len(arms)]
                for arm in order:
                    figures[endpoint][arm].append(workers[arm].measure(target, per_round))
            sys.stderr.write(f"{endpoint} done\n")
    return figures


def rows_of(figures: dict[str, dict[str, list[float]]]) -> list[dict[str, Any]]:
    """The rows that `--json` prints; `added_us` is the median of the paired differences."""
    rows = []
    for endpoint, by_arm in figures.items():
        for arm, values in by_arm.items():
            pairs = zip(values, by_arm["none"], strict=True)
            added = statistics.median(value - base for value, base in pairs)
            rows.append(
                {
                    "endpoint": endpoint,
                    "arm": arm,
                    "cpu_us_per_request": round(statistics.median(values), 1),
                    "added_us": round(added, 1),
                }
            )
    return rows


def further(rows: list[dict[str, Any]], arm: str, kind: str) -> float:
    """What one further statement adds under an arm, in us."""
    added = {row["endpoint"]: row["added_us"] for row in rows if row["arm"] == arm}
    return float(added[f"{kind}-{1 + MORE}"] - added[f"{kind}-1"]) / MORE


def show(rows: list[dict[str, Any]], arms: list[str], loop: str) -> None:
    """The table, with what was to be reached beside what was."""
    packages = ("fastapi", "starlette", "sqlalchemy", "asyncpg", *sum(PACKAGES.values(), ()))
    known = [f"{name} {metadata.version(name)}" for name in packages if _has(name)]
    lines = [
        f"CPython {platform.python_version()}, {loop}, {os.cpu_count()} cores; {', '.join(known)}"
    ]
    lines.append(f"{'endpoint':<12}" + "".join(f"{arm:>16}" for arm in arms))
    for endpoint in ENDPOINTS:
        cells = {row["arm"]: row for row in rows if row["endpoint"] == endpoint}
        texts = [
            f"{cells[arm]['cpu_us_per_request']:.0f}"
            + ("" if arm == "none" else f" ({cells[arm]['added_us']:+.0f})")
            for arm in arms
        ]
        lines.append(f"{endpoint:<12}" + "".join(f"{text:>16}" for text in texts))
    for kind in FURTHER_US:
        texts = ["" if arm == "none" else f"{further(rows, arm, kind):+.1f}" for arm in arms]
        lines.append(f"{kind + ' each':<12}" + "".join(f"{text:>16}" for text in texts))
    lines.append("CPU us per request (added); 'each' is what one further statement adds")
    ours = {row["endpoint"]: row["added_us"] for row in rows if row["arm"] == "unslow"}
    for endpoint, target in TARGETS_US.items():
        lines.append(_verdict(endpoint, ours[endpoint], target))
    for kind, target in FURTHER_US.items():
        lines.append(_verdict(f"further {kind} statement", further(rows, "unslow", kind), target))
    sys.stdout.write("\n".join(lines) + "\n")


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _verdict(what: str, measured: float, target: float) -> str:
    word = "reached" if measured <= target else "NOT reached"
    return f"unslow, {what}: {measured:+.1f} us, at most {target:+.0f} wanted: {word}"


def main() -> None:
    """Runs the comparison, or one worker of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few requests: does it run at all")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each arm, by endpoint")
    parser.add_argument("--requests", type=int, default=1_000, help="in each round; fewer with SQL")
    parser.add_argument("--arms", default=",".join(ARMS), help="which arms, by comma")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        if options.loop == "uvloop":
            import uvloop

            uvloop.run(serve_orders(options.worker, options.database))
        else:
            asyncio.run(serve_orders(options.worker, options.database))
        return
    wanted = list(dict.fromkeys(["none", *options.arms.split(",")]))
    arms = [arm for arm in wanted if installed(arm)]
    for arm in set(wanted) - set(arms):
        sys.stderr.write(f"arm {arm} is left out: pip install {' '.join(PACKAGES[arm])}\n")
    rounds, count = (3, 100) if options.quick else (options.rounds, options.requests)
    rows = rows_of(run(arms, rounds, count, options.loop))
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        show(rows, arms, options.loop)


if __name__ == "__main__":
    main()
