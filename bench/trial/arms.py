"""The two tools under trial: how each is started on the app, and how its word is read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from bench.field import say
from unslow.cli.app_process import free_port

from .cases import Case, case_of_path
from .served import ROOT, TrialError, serve_and_ask
from .verdict import Said, Tool, judge

PEER: Final = "queryspy==0.6.0"
"""MIT; one dependency, SQLAlchemy."""
LIBRARIES: Final = {
    "asyncpg": "asyncpg",
    "fastapi": "fastapi",
    "greenlet": "greenlet",
    "psycopg": "psycopg[binary]",
    "pydantic": "pydantic",
    "sqlalchemy": "sqlalchemy[asyncio]",
    "starlette": "starlette",
    "uvicorn": "uvicorn",
}
"""What the app stands on, as it is asked for: the same versions for both tools."""
FORMAT: Final = 1
_LAST_CHARACTERS: Final = 3_000


@dataclass(frozen=True, slots=True)
class Run:
    """What both runs have in common."""

    cases: tuple[Case, ...]
    requests_each: int
    folder: Path
    """An empty one, for logs and stores."""
    database_url: str
    """A filled database that this run has for itself."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What unslow recorded at a case's endpoint."""

    statements_max_count: int
    wall_p50_ms: float


def unslow_command(port: int, run: Run, requests: Path, options: Sequence[str]) -> list[str]:
    """How unslow checks the app with the requests of a file, and reports in JSON."""
    check = [sys.executable, "-m", "unslow", "check", "--url", f"http://127.0.0.1:{port}", "--json"]
    check += ["--folder", str(run.folder / "store"), "--requests", str(requests)]
    check += ["--concurrency", "1", "--no-trials", *options, "--"]
    serve = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    return [*check, *serve, "bench.trial.app:app"]


def try_unslow(run: Run, options: Sequence[str]) -> tuple[Tool, Mapping[str, Measured]]:
    """Lets unslow check the app with the same requests; its verdicts, and what it recorded.

    Raises:
        TrialError: it could not be run, or its report is not what was asked for.
    """
    requests = run.folder / "trial.http"
    requests.write_text(_request_file(run), encoding="utf-8")
    done = subprocess.run(
        unslow_command(free_port("127.0.0.1"), run, requests, options),
        cwd=ROOT,
        env={**os.environ, "TRIAL_DATABASE_URL": run.database_url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise TrialError(f"unslow ended with {done.returncode}: {done.stderr[-_LAST_CHARACTERS:]}")
    report = _report(done.stdout)
    endpoints = {(one["method"], one["route"]): one for one in report["endpoints"]}
    verdicts, measured = {}, {}
    for case in run.cases:
        endpoint = endpoints.get((case.method, case.route))
        if endpoint is None or not endpoint["requests_counted"]:
            raise TrialError(f"no request to {case.route} counted: {report['checked']}")
        said = [_said(finding) for finding in endpoint["findings"]]
        verdicts[case.name] = judge(case, said, case.rules, _not_checked(report, case))
        measured[case.name] = Measured(endpoint["statements"]["max"], endpoint["wall_ms"]["p50"])
    return Tool("unslow", verdicts), measured


def _request_file(run: Run) -> str:
    """All requests of the run, as a file of requests has them."""
    parts = []
    for case in run.cases:
        for number in range(run.requests_each):
            one = case.request(number)
            parts.append(f"{one.method} {one.path}\naccept-encoding: identity\n")
            if one.body is not None:
                parts[-1] += f"content-type: application/json\n\n{one.body.decode()}\n"
    return "\n###\n".join(parts)


def _report(printed: str) -> Mapping[str, Any]:
    try:
        report: Mapping[str, Any] = json.loads(printed)
    except ValueError as error:
        raise TrialError(f"unslow printed no JSON, but {printed[-300:]!r}") from error
    if report.get("format") != FORMAT:
        raise TrialError(f"the report has format {report.get('format')!r}, not {FORMAT}")
    return report


def _said(finding: Mapping[str, Any]) -> Said:
    place = finding.get("place")
    where = f"{place['path']}:{place['line']} in {place['function']}" if place else ""
    return Said(finding["rule"], where)


def _not_checked(report: Mapping[str, Any], case: Case) -> tuple[str, ...]:
    names = (case.route, f"{case.method} {case.route}")
    return tuple(
        f"{one['rule']}: {one['why']}"
        for one in report["not_checked"]
        if one["rule"] in case.rules and one["route"] in names
    )


def try_queryspy(run: Run, cache: Path) -> Tool:
    """Lets queryspy watch the same requests, by its ASGI middleware.

    Raises:
        TrialError: it could not be installed or run, or did not report each request.
    """
    python = peer_environment(cache)
    port, reports = free_port("127.0.0.1"), run.folder / "reports"
    reports.touch()
    serve_and_ask(
        [str(python), "-m", "uvicorn", "--port", str(port), "bench.trial.under_queryspy:app"],
        {"TRIAL_DATABASE_URL": run.database_url, "TRIAL_PEER_REPORTS": str(reports)},
        port,
        run.cases,
        requests_each=run.requests_each,
        folder=run.folder,
    )
    lines = [json.loads(line) for line in reports.read_text().splitlines()]
    counts = Counter(case_of_path(line["path"]) for line in lines)
    said: dict[str, dict[Said, None]] = defaultdict(dict)
    for line in lines:
        found = (_peer_said(finding) for finding in line["findings"])
        said[case_of_path(line["path"])].update(dict.fromkeys(found))
    verdicts = {}
    for case in run.cases:
        if counts[case.name] != run.requests_each:
            raise TrialError(
                f"{run.requests_each} requests were sent to {case.route}, and queryspy reported"
                f" {counts[case.name]}"
            )
        verdicts[case.name] = judge(case, list(said[case.name]), case.peer_kinds)
    return Tool(PEER.replace("==", " "), verdicts)


def _peer_said(finding: Mapping[str, Any]) -> Said:
    place = finding.get("location")
    where = f"{place['file']}:{place['line']} in {place['function']}" if place else ""
    return Said(finding["kind"], where)


def library_versions() -> dict[str, str]:
    """The versions of what the app stands on."""
    return {name: metadata.version(name) for name in LIBRARIES}


def peer_environment(cache: Path) -> Path:
    """The interpreter of an environment with queryspy and our versions of the libraries.

    Raises:
        TrialError: it could not be installed.
    """
    versions = library_versions()
    wanted = (PEER, *(f"{asked}=={versions[name]}" for name, asked in LIBRARIES.items()))
    mark = hashlib.sha256(" ".join((sys.version, *wanted)).encode()).hexdigest()[:10]
    home = cache / f"queryspy-{mark}"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        say(f"installing {', '.join(wanted)} into {home}")
        shutil.rmtree(home, ignore_errors=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-qq", *wanted], check=True)
        except subprocess.CalledProcessError as error:
            raise TrialError(f"{PEER} could not be installed: {error}") from error
        (home / "complete").touch()
    return python
