"""The agent breaks nothing: public test suites, without and with it.

Each suite is what a release on the package index carries with its source, in a pinned version,
against the built package of the same version. It runs twice, as `python -m pytest` and as
`unslow run -- python -m pytest`: every test has to come out the same, and there have to be traces.
Where a test comes out differently, the plain run is made again: what differs between two plain runs
too is called unsteady, and does not count.

    python -m bench.suites [SUITE ...] [--quick] [--json] [--cache FOLDER]

The first time it downloads and installs (minutes). Suites that want PostgreSQL get a server of our
own, since their tests make and drop roles; those that make extensions which ours does not carry get
an empty database on the server in UNSLOW_TEST_DATABASE_URL, and are left out, which is said, where
that is not set.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import psycopg

from unslow.postgres.server import embedded_server
from unslow.store import reading

from .field import new_database

PLUGINS: Final = Path(__file__).parent / "suite_plugin"
PATIENCE_S: Final = 900.0
RANDOM: Final = re.compile(
    r"0x[0-9a-f]{6,}|(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[A-Za-z0-9_-]{40,}"
)
"""Addresses and random tokens in the names of tests."""
OUTCOMES: Final = ("passed", "failed", "error", "skipped")


@dataclass(frozen=True, slots=True)
class Wants:
    """How a suite is told of a server."""

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """A public test suite and what it wants."""

    name: str
    release: str
    """The release that carries it, as `name==version`."""
    requirements: tuple[str, ...]
    """What it wants beside the release itself."""
    tests: tuple[str, ...]
    """What of it is run."""
    quick: tuple[str, ...]
    """What of it is run with `--quick`."""
    source: str = ""
    """The folder with the library's source, taken away so that the built package is tested."""
    interpreter: tuple[str, ...] = ()
    """Options of the interpreter."""
    arguments: tuple[str, ...] = ()
    as_requests: bool = False
    """Whether each test is made a request, because the suite knows none."""
    of_server: Callable[[str], Wants] | None = None
    """What it is told of a PostgreSQL database at an address; None where it wants none."""
    wants_contrib: bool = False
    """Whether it makes extensions that only a server of the system carries."""
    leaves_out: str = ""
    """What is not run, and why."""


def _by_variables(url: str) -> Wants:
    parts = urlsplit(url)
    variables = {
        "PGHOST": parts.hostname or "127.0.0.1",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or "postgres"),
        "PGDATABASE": parts.path.lstrip("/") or "postgres",
    }
    return Wants(variables | ({"PGPASSWORD": unquote(parts.password)} if parts.password else {}))


def _by_dialect(dialect: str) -> Callable[[str], Wants]:
    """For SQLAlchemy's own suite, which wants two schemas in the database."""

    def told(url: str) -> Wants:
        with psycopg.connect(url, autocommit=True) as server:
            for schema in ("test_schema", "test_schema_2"):
                server.execute(f'CREATE SCHEMA "{schema}"'.encode())
        return Wants(
            arguments=("--dburi", url.replace("postgresql://", f"postgresql+{dialect}://"))
        )

    return told


_SQLALCHEMY: Final = (
    "test/engine/test_execute.py",
    "test/engine/test_transaction.py",
    "test/ext/asyncio",
    "test/orm/test_lazy_relations.py",
    "test/orm/test_eager_relations.py",
    "test/orm/test_selectin_relations.py",
    "test/orm/test_loading.py",
    "test/orm/test_session.py",
    "test/orm/test_transaction.py",
    "test/orm/test_unitofwork.py",
    "test/orm/test_query.py",
    "test/sql/test_resultset.py",
    "test/sql/test_insert_exec.py",
    "test/sql/test_returning.py",
)


SUITES: Final = (
    Suite(
        name="starlette",
        release="starlette[full]==1.10.0",
        requirements=(
            "httpx2[zstd]",
            "blockbuster",
            "importlib-metadata",
            "opentelemetry-sdk",
            "pytest",
            "pytest-codspeed",
            "trio",
        ),
        tests=("tests",),
        quick=("tests/middleware", "tests/test_applications.py"),
        source="starlette",
    ),
    Suite(
        name="fastapi",
        release="fastapi[standard-no-fastapi-cloud-cli]==0.165.0",
        requirements=(
            "starlette==1.10.0",
            "a2wsgi",
            "anyio[trio]",
            "coverage",
            "dirty-equals",
            "flask",
            "inline-snapshot",
            "itsdangerous",
            "logfire",
            "mypy",
            "opentelemetry-instrumentation-fastapi",
            "orjson",
            "pwdlib[argon2]",
            "pyjwt",
            "pytest",
            "pytest-codspeed",
            "pytest-cov",
            "pytest-timeout",
            "pytest-xdist",
            "python-slugify",
            "pyyaml",
            "ruff",
            "sentry-sdk",
            "sqlmodel",
            "strawberry-graphql",
            "ty",
            "typer",
            "ujson",
        ),
        tests=("tests",),
        quick=("tests/test_tutorial/test_dependencies", "tests/test_dependency_contextmanager.py"),
        source="fastapi",
        arguments=("--ignore=tests/benchmarks",),
        leaves_out="tests/benchmarks, which measure",
    ),
    Suite(
        name="fastapi-users",
        release="fastapi-users[oauth,redis,sqlalchemy]==15.0.5",
        requirements=(
            "asgi_lifespan",
            "httpx",
            "pytest",
            "pytest-asyncio",
            "pytest-cov",
            "pytest-mock",
        ),
        tests=("tests",),
        quick=("tests/test_router_users.py",),
        source="fastapi_users",
    ),
    Suite(
        name="sqlmodel",
        release="sqlmodel==0.0.50",
        requirements=(
            "sqlalchemy[asyncio]==2.1.9",
            "aiosqlite",
            "alembic",
            "black",
            "coverage",
            "dirty-equals",
            "fastapi",
            "httpx",
            "jinja2",
            "pymysql[rsa]",
            "pytest",
            "pyyaml",
            "ruff",
            "ty",
            "typer",
        ),
        tests=("tests",),
        quick=("tests/test_tutorial/test_fastapi/test_relationships",),
        source="sqlmodel",
    ),
    Suite(
        name="uvicorn",
        release="uvicorn[standard]==0.54.0",
        requirements=(
            "a2wsgi",
            "cryptography",
            "httpx2",
            "pytest",
            "pytest-codspeed",
            "pytest-mock",
            "pytest-xdist",
            "trustme",
            "wsproto",
        ),
        tests=("tests",),
        quick=("tests/protocols/test_http.py",),
        source="uvicorn",
        arguments=("-n", "0", "--ignore=tests/benchmarks"),
        leaves_out="tests/benchmarks, which measure",
    ),
    Suite(
        name="sse-starlette",
        release="sse-starlette==3.7.0",
        requirements=("asgi-lifespan", "fastapi", "httpx2", "pytest", "pytest-asyncio", "uvicorn"),
        tests=("tests",),
        quick=("tests/test_streaming_parity.py", "tests/test_event.py"),
        source="sse_starlette",
        arguments=("--ignore=tests/test_sse.py", "--ignore=tests/test_issue167.py"),
        leaves_out="two files that import one which the release does not carry",
    ),
    Suite(
        name="sqlalchemy",
        release="sqlalchemy[asyncio,aiosqlite]==2.1.9",
        requirements=("pytest", "pytest-xdist", "typing_extensions"),
        tests=(
            "test/engine/test_pool.py",
            "test/orm/test_subquery_relations.py",
            "test/orm/test_events.py",
            *_SQLALCHEMY,
        ),
        quick=("test/ext/asyncio", "test/orm/test_loading.py"),
        # Its own switch for testing what is installed; one file of the source is read all the same.
        interpreter=("-s",),
        as_requests=True,
        leaves_out="what does not execute: dialects, typing, SQL compilation, and most of test/orm"
        " for its length",
    ),
    Suite(
        name="sqlalchemy-asyncpg",
        release="sqlalchemy[asyncio]==2.1.9",
        requirements=("asyncpg==0.32.0", "pytest", "pytest-xdist"),
        tests=_SQLALCHEMY,
        quick=("test/ext/asyncio",),
        interpreter=("-s",),
        arguments=("-p", "no:logging"),
        as_requests=True,
        of_server=_by_dialect("asyncpg"),
        wants_contrib=True,
        leaves_out="as above",
    ),
    Suite(
        name="sqlalchemy-psycopg",
        release="sqlalchemy[asyncio]==2.1.9",
        requirements=("psycopg[binary]==3.3.9", "pytest", "pytest-xdist"),
        tests=_SQLALCHEMY,
        quick=("test/ext/asyncio",),
        interpreter=("-s",),
        arguments=("-p", "no:logging"),
        as_requests=True,
        of_server=_by_dialect("psycopg"),
        wants_contrib=True,
        leaves_out="as above",
    ),
    Suite(
        name="asyncpg",
        release="asyncpg==0.32.0",
        requirements=("distro", "pytest", "uvloop"),
        tests=("tests",),
        quick=("tests/test_pool.py",),
        source="asyncpg",
        as_requests=True,
        of_server=_by_variables,
    ),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a suite: how each test came out."""

    outcomes: Mapping[str, str]
    took_s: float
    tail: str
    """The end of what it printed."""


@dataclass(frozen=True, slots=True)
class Result:
    """A suite without and with the agent."""

    suite: Suite
    plain: Run
    recorded: Run
    traces_count: int
    differing: tuple[str, ...]
    unsteady: tuple[str, ...]
    """Tests that came out differently between two plain runs."""
    wrong: list[str] = field(default_factory=list)


class SuiteError(Exception):
    """A suite could not be downloaded, installed or run."""


class LeftOutError(Exception):
    """A suite cannot be run here; the message says what is missing."""


def install(suite: Suite, cache: Path) -> tuple[Path, Path]:
    """The interpreter for a suite and the folder of its tests; made where they are missing."""
    wanted = (suite.release, *suite.requirements)
    mark = hashlib.sha256(" ".join((sys.version, *wanted)).encode()).hexdigest()[:10]
    home = cache / f"{suite.name}-{mark}"
    python = home / "environment" / "bin" / "python"
    if not (home / "complete").exists():
        say(f"{suite.name}: downloading and installing {suite.release}")
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(home / "environment")], check=True)
        pip = [str(python), "-m", "pip"]
        subprocess.run([*pip, "install", "-qq", *wanted], check=True)
        name, _, version = suite.release.partition("==")
        name = name.partition("[")[0]
        only = ["--no-binary", name, "--no-deps", "-d", str(home)]
        subprocess.run([*pip, "download", "-qq", *only, f"{name}=={version}"], check=True)
        unpack(home, suite.source)
        (home / "complete").touch()
    return python, home / "source"


def unpack(home: Path, source: str) -> None:
    """Unpacks the one archive in a folder, and takes the library's own source away."""
    (archive,) = home.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(home / "unpacked", filter="data")
    (folder,) = (home / "unpacked").iterdir()
    if source:
        shutil.rmtree(folder / source)
    folder.rename(home / "source")


def run(
    suite: Suite,
    python: Path,
    folder: Path,
    results: Path,
    *,
    prefix: Sequence[str],
    quick: bool,
    wants: Wants,
) -> Run:
    """Runs a suite once.

    Raises:
        SuiteError: it did not come to its end.
    """
    command = [
        *prefix,
        str(python),
        *suite.interpreter,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    if suite.as_requests:
        command += ["-p", "as_request"]
    command += [f"--junitxml={results}", *suite.arguments, *wants.arguments]
    command += suite.quick if quick else suite.tests
    results.unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, (str(PLUGINS), os.environ.get("PYTHONPATH"))))
    began = time.monotonic()
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, **wants.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SuiteError(f"{suite.name} goes on after {PATIENCE_S:.0f} s") from error
    results.with_suffix(".log").write_text(ended.stdout)
    if not results.exists() or ended.returncode not in (0, 1):
        raise SuiteError(
            f"{suite.name} ended with exit code {ended.returncode}:\n{ended.stdout[-3000:]}"
        )
    return Run(outcomes_of(results), time.monotonic() - began, ended.stdout[-2000:])


def outcomes_of(results: Path) -> Mapping[str, str]:
    """How each test came out; a second one of the same name gets a number.

    Names that some suites make from random tokens or addresses are told without them.
    """
    seen: Counter[str] = Counter()
    outcomes = {}
    for case in ElementTree.parse(results).iter("testcase"):  # noqa: S314  # pytest wrote it
        test, bracket, case_name = str(case.get("name")).partition("[")
        name = f"{case.get('classname')}::{test}{bracket}{RANDOM.sub('...', case_name)}"
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name} ({seen[name]})"
        kinds = {child.tag for child in case}
        outcomes[name] = next(
            (
                {"failure": "failed"}.get(kind, kind)
                for kind in ("error", "failure", "skipped")
                if kind in kinds
            ),
            "passed",
        )
    return outcomes


def try_suite(suite: Suite, cache: Path, *, quick: bool) -> Result:
    """Runs a suite without and with the agent, and compares.

    Raises:
        SuiteError: a run did not come to its end.
    """
    python, folder = install(suite, cache)
    store = folder.parent / "store"
    shutil.rmtree(store, ignore_errors=True)
    agent = (sys.executable, "-m", "unslow", "run", "--folder", str(store), "--")
    with ExitStack() as stack:
        server_url = "" if suite.of_server is None else server_of(suite, stack)

        def once(kind: str, prefix: Sequence[str]) -> Run:
            say(f"{suite.name}: {kind}")
            # A database of its own each time: a suite may leave something behind.
            with new_database(server_url) if server_url else nullcontext("") as url:
                return run(
                    suite,
                    python,
                    folder,
                    folder.parent / f"{kind}.xml",
                    prefix=prefix,
                    quick=quick,
                    wants=Wants() if suite.of_server is None else suite.of_server(url),
                )

        plain = once("plain", ())
        recorded = once("recorded", agent)
        differing = differences(plain, recorded)
        unsteady: tuple[str, ...] = ()
        if differing:
            unsteady = differences(plain, once("plain-again", ()))
    differing = tuple(name for name in differing if name not in unsteady)
    traces_count = traces_in(store)
    result = Result(suite, plain, recorded, traces_count, differing, unsteady)
    if differing:
        result.wrong.append(f"{len(differing)} tests came out differently")
    if not traces_count:
        result.wrong.append("no trace was recorded")
    return result


def server_of(suite: Suite, stack: ExitStack) -> str:
    """The address of the server for a suite.

    Raises:
        LeftOutError: It wants one of the system, and none is named.
    """
    if not suite.wants_contrib:
        return stack.enter_context(embedded_server()).url()
    url = os.environ.get("UNSLOW_TEST_DATABASE_URL")
    if not url:
        raise LeftOutError(
            f"{suite.name} is left out: it makes the extensions citext and hstore. Name a server"
            " that carries them in UNSLOW_TEST_DATABASE_URL."
        )
    return url


def before_and_after(name: str, *runs: Run) -> tuple[str, ...]:
    """What came of one test in each run."""
    return tuple(one.outcomes.get(name, "not run") for one in runs)


def differences(one: Run, other: Run) -> tuple[str, ...]:
    """The tests that came out differently, or ran in one of both only."""
    names = dict.fromkeys([*one.outcomes, *other.outcomes])
    return tuple(name for name in names if one.outcomes.get(name) != other.outcomes.get(name))


def traces_in(store: Path) -> int:
    """How many traces a store holds, of all processes and runs."""
    with reading(store) as reader:
        return sum(len(one.traces) for run in reader.runs() for one in reader.run(run))


def say(sentence: str) -> None:
    """Tells on stderr where we are."""
    print(sentence, file=sys.stderr, flush=True)


def show(result: Result) -> None:
    """Prints one suite's line, and every test that came out differently."""
    counts = Counter(result.plain.outcomes.values())
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
    print(
        f"{result.suite.name} ({result.suite.release}): {words}; {len(result.differing)} differ,"
        f" {len(result.unsteady)} unsteady; {result.traces_count} traces;"
        f" {result.plain.took_s:.0f} s, with the agent {result.recorded.took_s:.0f} s"
    )
    for name in result.differing:
        before, after = before_and_after(name, result.plain, result.recorded)
        print(f"  {name}: {before}, with the agent {after}")
    for name in result.unsteady:
        print(f"  unsteady: {name}")
    for sentence in result.wrong:
        print(f"  WRONG: {sentence}")


def as_json(result: Result) -> Mapping[str, object]:
    """A result, for other programs."""
    return {
        "suite": result.suite.name,
        "release": result.suite.release,
        "outcomes": dict(Counter(result.plain.outcomes.values())),
        "outcomes_with_agent": dict(Counter(result.recorded.outcomes.values())),
        "differing": result.differing,
        "unsteady": result.unsteady,
        "traces": result.traces_count,
        "took_s": result.plain.took_s,
        "took_s_with_agent": result.recorded.took_s,
        "leaves_out": result.suite.leaves_out,
        "wrong": result.wrong,
    }


def main(arguments: Sequence[str]) -> int:
    """Runs the named suites, or all of them; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.suites", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SUITE", help=", ".join(s.name for s in SUITES))
    parser.add_argument("--quick", action="store_true", help="a small part of each suite")
    parser.add_argument("--json", action="store_true", help="rows on stdout, for other programs")
    parser.add_argument("--cache", type=Path, help="where suites and environments are kept")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - {suite.name for suite in SUITES}:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    cache = (given.cache or Path(tempfile.gettempdir()) / "unslow-suites").resolve()
    results, failed = [], False
    for suite in SUITES:
        if given.names and suite.name not in given.names:
            continue
        try:
            result = try_suite(suite, cache, quick=given.quick)
        except LeftOutError as reason:
            say(str(reason))
            continue
        except (SuiteError, subprocess.CalledProcessError) as error:
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
