"""`unslow run -- COMMAND` on applications that nobody here wrote.

Each application is installed into an environment of its own, in pinned versions, started as its
makers say, used by visitors, one alone and then several at once, and stopped by a signal: first as
it is, then under `unslow run`. The answers have to be the same in number, status and form; under
the agent every request has to have a receipt that sums to its wall time.

    python -m bench.field [APP ...] [--quick] [--json] [--cache FOLDER] [--keep FOLDER]

The first time it installs some hundred packages (minutes). PostgreSQL is the server in
UNSLOW_TEST_DATABASE_URL, or one of our own; Prefect makes the extension pg_trgm, which only the
former may carry.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import psycopg

from unslow.cli.app_process import free_port
from unslow.doctor import report_of_store
from unslow.model.report import Endpoint, Report
from unslow.postgres.server import embedded_server

from .field_apps import APPS
from .field_apps.app import Answer, App, Site, UnexpectedAnswerError, Visitor

AGENT: Final = (sys.executable, "-m", "unslow", "run", "--folder", "{folder}", "--")
START_PATIENCE_S: Final = 120.0
STOP_PATIENCE_S: Final = 90.0
"""gunicorn waits 30 s for its workers before it kills them, and then comes the report."""
T = TypeVar("T")

SAME_SUM_MS: Final = 0.001
"""How far a mean receipt may be from its mean wall: floats are added in another order."""


class FieldError(Exception):
    """An application could not be installed, started, used or stopped."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One start of an application, all that its visitors were answered, and its end."""

    answers: tuple[Answer, ...]
    polls_count: int
    """Requests that were answered while we waited for it to come up."""
    exit_code: int
    started_s: float
    """From the start to the first answer."""


@contextmanager
def database_server() -> Iterator[str]:
    """The address of a real PostgreSQL."""
    if url := os.environ.get("UNSLOW_TEST_DATABASE_URL"):
        yield url
    else:
        with embedded_server() as server:
            yield server.url()


@contextmanager
def new_database(server_url: str) -> Iterator[str]:
    """The address of an empty database, which is dropped afterwards."""
    name = f"unslow_field_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def programs_of(app: App, cache: Path) -> Path:
    """The folder of the programs of an app's environment, which is made where it is missing."""
    mark = hashlib.sha256(" ".join((sys.version, *app.requirements)).encode()).hexdigest()[:10]
    home = cache / f"{app.name}-{mark}"
    if not (home / "complete").exists():
        say(f"{app.name}: installing {', '.join(app.requirements)}")
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        install = [str(home / "bin" / "python"), "-m", "pip", "install", "-qq"]
        subprocess.run([*install, *app.requirements], check=True)
        (home / "complete").touch()
    return home / "bin"


def environment_of(app: App, site: Site) -> Mapping[str, str]:
    """The variables that an application is started with."""
    return {
        **os.environ,
        # Programs of the environment that the application calls by name.
        "PATH": f"{site.programs}{os.pathsep}{os.environ.get('PATH', '')}",
        "UNSLOW_OWN": app.own,
        **app.environment(site),
    }


def start_and_visit(
    app: App, way: str, prefix: Sequence[str], site: Site, *, rounds: int, users: int
) -> Visit:
    """Starts an application, lets it be visited, and stops it as Ctrl-C or a supervisor would.

    Raises:
        FieldError: it could not be started, used or stopped.
    """
    environment = environment_of(app, site)
    log_path = site.folder / "log"
    with log_path.open("ab") as log:
        for command in app.prepare(site):
            subprocess.run(
                command, check=True, cwd=site.folder, env=environment, stdout=log, stderr=log
            )
        began = time.monotonic()
        process = subprocess.Popen(
            [*prefix, *app.ways[way](site)],
            cwd=site.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Apart from us, so that a signal to the whole group ends what we started and no more.
            start_new_session=True,
        )
    try:
        polls = wait_until_alive(process, site.port, app.alive)
        started_s = time.monotonic() - began
        answers = visit(app, site.port, rounds=rounds, users=users)
        exit_code = stop(process, signal.SIGINT)
    except (FieldError, UnexpectedAnswerError, OSError) as error:
        tail = log_path.read_text(errors="replace")[-2000:]
        raise FieldError(f"{app.name} by {way}: {error}\nThe end of its log:\n{tail}") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return Visit(answers, polls, exit_code, started_s)


def wait_until_alive(process: subprocess.Popen[bytes], port: int, path: str) -> int:
    """Asks until the application answers; how many requests that took that reached it."""
    deadline = time.monotonic() + START_PATIENCE_S
    reached = 0
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise FieldError(f"it ended with exit code {process.returncode} before it served")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10):
                return reached + 1
        except urllib.error.HTTPError:
            reached += 1
        except OSError:
            pass
        time.sleep(0.1)
    raise FieldError(f"it did not serve within {START_PATIENCE_S:.0f} s")


def visit(app: App, port: int, *, rounds: int, users: int) -> tuple[Answer, ...]:
    """Lets one visitor come alone `rounds` times, then `users` at once `rounds` times each.

    Raises:
        UnexpectedAnswerError: an operation answered something else than 2xx.
    """
    visitors = [Visitor(port, f"alone-{number}", alone=True) for number in range(rounds)]
    for one in visitors:
        come(app, (one,))
    crowd = [
        [Visitor(port, f"user-{user}-{number}", alone=False) for number in range(rounds)]
        for user in range(users)
    ]
    troubles: list[Exception] = []

    def come_or_tell(queue: Sequence[Visitor]) -> None:
        try:
            come(app, queue)
        except Exception as error:
            troubles.append(error)

    threads = [threading.Thread(target=come_or_tell, args=(queue,)) for queue in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if troubles:
        raise troubles[0]
    return tuple(answer for queue in (visitors, *crowd) for one in queue for answer in one.answers)


def come(app: App, visitors: Sequence[Visitor]) -> None:
    """Lets visitors come one after the other."""
    for one in visitors:
        try:
            app.visit(one)
        finally:
            one.close()


def stop(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Sends one signal to the process that we started, and waits for its end.

    Raises:
        FieldError: it goes on.
    """
    process.send_signal(number)
    try:
        return process.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise FieldError(f"it goes on {STOP_PATIENCE_S:.0f} s after {number.name}") from error


@dataclass(frozen=True, slots=True)
class Row:
    """One operation; every pair is without and with the agent."""

    operation: str
    counts: tuple[int, int]
    outlines: tuple[frozenset[str], frozenset[str]]
    """The forms of the answers to visitors that came alone: a crowd sees each other's things."""
    alone_ms: tuple[float, float]
    """Median as the client saw it."""
    crowd_ms: tuple[float, float]

    @property
    def same(self) -> bool:
        """Whether it was answered as often and in the same forms."""
        return self.counts[0] == self.counts[1] and self.outlines[0] == self.outlines[1]


def rows_of(plain: Visit, recorded: Visit) -> list[Row]:
    """The operations in the order in which they were first called."""
    sides = (_by_operation(plain), _by_operation(recorded))

    def pair(of: Callable[[Sequence[Answer]], T], operation: str) -> tuple[T, T]:
        return of(sides[0][operation]), of(sides[1][operation])

    return [
        Row(
            operation,
            pair(len, operation),
            pair(_outlines, operation),
            pair(lambda answers: _median_ms(answers, alone=True), operation),
            pair(lambda answers: _median_ms(answers, alone=False), operation),
        )
        for operation in dict.fromkeys([*sides[0], *sides[1]])
    ]


def _by_operation(one: Visit) -> dict[str, list[Answer]]:
    side: dict[str, list[Answer]] = defaultdict(list)
    for answer in one.answers:
        side[answer.operation].append(answer)
    return side


def _outlines(answers: Sequence[Answer]) -> frozenset[str]:
    return frozenset(answer.outline for answer in answers if answer.alone)


def _median_ms(answers: Sequence[Answer], *, alone: bool) -> float:
    chosen = [answer.wall_ms for answer in answers if answer.alone is alone]
    return statistics.median(chosen) if chosen else 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """One application by one way, and everything that is wrong with it."""

    app: App
    way: str
    plain: Visit
    recorded: Visit
    rows: list[Row]
    report: Report
    wrong: list[str]


def try_app(
    app: App,
    way: str,
    cache: Path,
    keep: Path,
    server_url: str,
    *,
    rounds: int,
    users: int,
    prefix: Sequence[str],
) -> Result:
    """Visits an application without and with the agent, and compares."""
    programs = programs_of(app, cache)
    visits = []
    stores = keep / f"{app.name}-{way}.unslow"
    shutil.rmtree(stores, ignore_errors=True)
    for words in ((), [word.format(folder=stores) for word in prefix]):
        kind = "recorded" if words else "plain"
        say(f"{app.name} by {way}: {kind}")
        with contextlib.ExitStack() as stack:
            # At the same place both times: paths stand in answers and in databases.
            folder = keep / f"{app.name}-{way}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            url = stack.enter_context(new_database(server_url)) if app.wants_database else ""
            site = Site(programs, folder, free_port("127.0.0.1"), url)
            visits.append(start_and_visit(app, way, words, site, rounds=rounds, users=users))
            shutil.move(folder / "log", keep / f"{app.name}-{way}-{kind}.log")
    plain, recorded = visits
    rows = rows_of(plain, recorded)
    report = report_of_store(stores, target=app.name)
    wrong = list(what_is_wrong(plain, recorded, rows, report))
    return Result(app, way, plain, recorded, rows, report, wrong)


def what_is_wrong(
    plain: Visit, recorded: Visit, rows: Sequence[Row], report: Report
) -> Iterator[str]:
    """Sentences about everything that is not as it has to be."""
    if plain.exit_code != recorded.exit_code:
        yield f"exit code {plain.exit_code} became {recorded.exit_code}"
    for row in rows:
        if not row.same:
            yield f"{row.operation}: {row.counts[0]} answers became {row.counts[1]}, or their form"
    if len(rows) < 10:
        yield f"{len(rows)} operations only"
    sent = len(recorded.answers) + recorded.polls_count
    if report.traces_count + report.dropped_traces_count != sent:
        yield f"{sent} requests were sent, {report.traces_count} have a trace"
    for endpoint in report.endpoints:
        total = sum(endpoint.receipts_ms["mean"].values())
        if abs(total - endpoint.wall_ms.mean) > SAME_SUM_MS:
            yield f"{name_of(endpoint)}: the receipt sums to {total}, not {endpoint.wall_ms.mean}"
    for part in report.coverage:
        if part.state != "on" and "broke" in part.why:
            yield f"{part.what} is {part.state}: {part.why}"


def name_of(endpoint: Endpoint) -> str:
    """`METHOD /route`."""
    return f"{endpoint.method} {endpoint.route}"


def say(sentence: str) -> None:
    """Tells on stderr where we are."""
    print(sentence, file=sys.stderr, flush=True)


def show(result: Result) -> None:
    """Prints what was answered, the receipts, and what is wrong."""
    app, report = result.app, result.report
    print(f"\n== {app.name} by {result.way}: {app.says}")
    print(", ".join(app.requirements))
    print(
        f"started in {result.plain.started_s:.1f} s, with the agent"
        f" {result.recorded.started_s:.1f} s; exit code {result.plain.exit_code} and"
        f" {result.recorded.exit_code}; {report.processes_count} processes recorded"
        f" {report.traces_count} requests"
    )
    print("\nMedians in ms as the client saw them: alone and in a crowd, each without and with it")
    print(f"{'2xx':>5} {'alone':>7} {'agent':>7} {'crowd':>7} {'agent':>7}  operation")
    for row in result.rows:
        print(
            f"{row.counts[1]:>5} {row.alone_ms[0]:>7.1f} {row.alone_ms[1]:>7.1f}"
            f" {row.crowd_ms[0]:>7.1f} {row.crowd_ms[1]:>7.1f}"
            f"  {row.operation}{'' if row.same else '  DIFFERS'}"
        )
    print(f"\n{'n':>5} {'mean ms':>8} {'p95':>7} {'sql':>4}  route and receipt")
    for endpoint in report.endpoints:
        wall = endpoint.wall_ms
        print(
            f"{endpoint.requests_count:>5} {wall.mean:>8.2f} {wall.p95:>7.1f}"
            f" {endpoint.statements_p50:>4}  {name_of(endpoint)}\n{'':>27} {parts_of(endpoint)}"
        )
    print()
    for part in report.coverage:
        print(f"{part.state:>12}  {part.what}{f': {part.why}' if part.why else ''}")
    for note in report.notes:
        print(f"note: {note}")
    for sentence in result.wrong:
        print(f"WRONG: {sentence}")


def parts_of(endpoint: Endpoint) -> str:
    """The mean receipt in words: every segment of 1 % and more, largest first."""
    receipt, wall_ms = endpoint.receipts_ms["mean"], endpoint.wall_ms.mean
    parts = sorted(receipt.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{name} {100 * ms / wall_ms:.0f}%" for name, ms in parts if ms >= wall_ms / 100
    )


def as_json(result: Result) -> Mapping[str, object]:
    """A result, for other programs."""
    return {
        "app": result.app.name,
        "way": result.way,
        "requirements": result.app.requirements,
        "operations": [
            {
                "operation": row.operation,
                "answers": row.counts,
                "alone_ms": row.alone_ms,
                "crowd_ms": row.crowd_ms,
                "same": row.same,
            }
            for row in result.rows
        ],
        "endpoints": [
            {
                "operation": name_of(endpoint),
                "requests": endpoint.requests_count,
                "wall_ms": dataclasses.asdict(endpoint.wall_ms),
                "receipt_ms": dict(endpoint.receipts_ms["mean"]),
                "statements_p50": endpoint.statements_p50,
            }
            for endpoint in result.report.endpoints
        ],
        "coverage": [dataclasses.asdict(part) for part in result.report.coverage],
        "wrong": result.wrong,
    }


def main(arguments: Sequence[str]) -> int:
    """Visits the named applications, or all of them; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.field", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="APP", help=", ".join(a.name for a in APPS))
    parser.add_argument("--quick", action="store_true", help="one round, two users, usual way only")
    parser.add_argument("--json", action="store_true", help="rows on stdout, for other programs")
    parser.add_argument("--way", help="only this way to start")
    parser.add_argument("--cache", type=Path, help="where the environments are kept")
    parser.add_argument("--keep", type=Path, help="where logs and stores are kept")
    parser.add_argument(
        "--prefix", default=None, help="words before the command, {folder} is the store's"
    )
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - {app.name for app in APPS}:
        parser.error(f"no such app: {', '.join(sorted(unknown))}")
    prefix = AGENT if given.prefix is None else given.prefix.split()
    cache = (given.cache or Path(tempfile.gettempdir()) / "unslow-field").resolve()
    keep = (given.keep or cache / "runs").resolve()
    keep.mkdir(parents=True, exist_ok=True)
    rounds, users = (1, 2) if given.quick else (5, 8)
    results, failed = [], False
    with database_server() as server_url:
        for app in APPS:
            if given.names and app.name not in given.names:
                continue
            ways = [way for way in app.ways if given.way in (None, way)]
            for way in ways[:1] if given.quick else ways:
                try:
                    result = try_app(
                        app,
                        way,
                        cache,
                        keep,
                        server_url,
                        rounds=rounds,
                        users=users,
                        prefix=prefix,
                    )
                except (FieldError, subprocess.CalledProcessError) as error:
                    say(f"WRONG: {error}")
                    failed = True
                    continue
                results.append(result)
                if not given.json:
                    show(result)
    if given.json:
        print(json.dumps([as_json(result) for result in results], indent=1))
    return 1 if failed or any(result.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
