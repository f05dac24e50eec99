"""One secret in twelve places; it must be in nothing that unslow writes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from rich.console import Console

from unslow.diagnose.pages import rule_pages
from unslow.doctor import report_of_store
from unslow.model.baseline import Baseline, baseline_text
from unslow.prove.workload.recorded import FILE as WORKLOAD
from unslow.report.accepted import accept, with_accepted
from unslow.report.as_json import json_text
from unslow.report.as_markdown import markdown_text
from unslow.report.as_sarif import sarif_text
from unslow.report.as_text import print_report
from unslow.report.explained import explained, explained_json, explained_lines, routes_of
from unslow.report.page import Page

ROOT = Path(__file__).parents[2]
SECRET = "S3CR3T-" + "0b5e7a"
ROUNDS = 6


def prepared(database_url: str) -> str:
    """Puts the secret into the data, its statistics, and a DSN; returns that DSN for asyncpg."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (id serial PRIMARY KEY, words text NOT NULL)")
        connection.execute(
            "INSERT INTO notes (words) SELECT %s FROM generate_series(1, 99)", [SECRET]
        )
        connection.execute("ANALYZE notes")
        connection.execute(f'DROP ROLE IF EXISTS "role-{SECRET}"')
        connection.execute(f"CREATE ROLE \"role-{SECRET}\" SUPERUSER LOGIN PASSWORD '{SECRET}'")
    parts = urlsplit(database_url)
    return f"postgresql+asyncpg://role-{SECRET}:{SECRET}@{parts.hostname}:{parts.port}{parts.path}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(base: str) -> tuple[int, int]:
    with httpx.Client(base_url=base, cookies={"session_token": SECRET}, timeout=10) as client:
        posted = client.post(
            f"/notes/{SECRET}",
            params={"token": SECRET},
            headers={"x-token": SECRET},
            json={"token": SECRET},
        )
        assert posted.json() == {"found": True}
        return posted.status_code, client.get("/fails").status_code


class Ran:
    """What a run under `unslow run` left behind."""

    def __init__(self, folder: Path, printed: bytes) -> None:
        self.folder = folder
        self.printed = printed

    def files_with(self, secret: str) -> list[str]:
        return [
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.is_file() and secret.encode() in path.read_bytes()
        ]


def run_under_unslow(folder: Path, dsn: str, *options: str) -> Ran:
    port = free_port()
    temporary = folder / "tmp"
    temporary.mkdir(mode=0o700)
    environment = {
        **os.environ,
        "PRIVATE_DATABASE_URL": dsn,
        "API_TOKEN": SECRET,
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("UNSLOW_FOLDER", None)
    command = [sys.executable, "-m", "unslow", "run", "--folder", str(folder / "store"), *options]
    server = [sys.executable, "-m", "uvicorn", "tests.privacy.app:app", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--", *server, "--no-access-log"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while True:
            try:
                statuses = [ask(base) for _ in range(ROUNDS)]
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < deadline
        assert statuses == [(200, 500)] * ROUNDS
        # What lies in temporary folders while the app runs counts as well.
        if not options:
            assert Ran(folder, b"").files_with(SECRET) == []
    finally:
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
    return Ran(folder, printed)


@pytest.fixture
def dsn(database_url: str) -> Iterator[str]:
    yield prepared(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'DROP ROLE "role-{SECRET}"')


def reports_of(folder: Path) -> str:
    """What is printed about a run, and each form that a report may be written in."""
    return "".join([*printed_of(folder), *forms_of(folder / "store").values()])


def printed_of(folder: Path) -> list[str]:
    texts = []
    for form in ([], ["--all"], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "unslow", "report", "--folder", str(folder / "store"), *form],
            capture_output=True,
            text=True,
            check=True,
        )
        texts.append(done.stdout + done.stderr)
    return texts


def forms_of(store: Path) -> dict[str, str]:
    report = report_of_store(store)
    today = date(2026, 3, 1)
    baseline = accept(report, Baseline(), reason="known", today=today, folder=ROOT)
    accepted = with_accepted(report, baseline, today)
    screen = StringIO()
    for shown in (report, accepted):
        print_report(shown, Console(file=screen, width=140), everything=True)
    stories = [explained(report, route) for route in routes_of(report)]
    page = Page(140, ROOT, everything=True)
    told = [line.plain for story in stories for line in explained_lines(story, page)]
    return {
        "text": screen.getvalue(),
        "json": json_text(report) + json_text(accepted),
        "markdown": markdown_text(report) + markdown_text(accepted),
        "sarif": sarif_text(report) + sarif_text(accepted, pages=rule_pages()),
        "baseline": baseline_text(baseline),
        "explained": "\n".join([*told, *(json.dumps(explained_json(one)) for one in stories)]),
    }


def test_the_secret_is_in_nothing_that_is_written(dsn: str, tmp_path: Path) -> None:
    ran = run_under_unslow(tmp_path, dsn)
    reports = reports_of(tmp_path)

    assert ran.files_with(SECRET) == []
    assert SECRET not in ran.printed.decode()
    assert SECRET not in reports
    # The check can fail: what was recorded is there, only without the secret.
    assert "POST /notes/{name}" in reports
    assert "FROM notes WHERE" in reports
    findings = report_of_store(tmp_path / "store").findings
    assert {"duplicate-query", "literal-in-sql"} <= {one.rule for one in findings}
    for form, text in forms_of(tmp_path / "store").items():
        assert all(one.id in text for one in findings), form
    assert "POST /notes/{name}" in ran.printed.decode()


def test_values_that_were_asked_for_are_the_owners_only(dsn: str, tmp_path: Path) -> None:
    ran = run_under_unslow(tmp_path, dsn, "--record-values")

    files = ran.files_with(SECRET)
    assert files
    for file in files:
        assert file.startswith(("store/traces.sqlite", f"store/{WORKLOAD}"))
        assert (tmp_path / file).stat().st_mode & 0o777 == 0o600
    assert SECRET not in ran.printed.decode()
    assert SECRET not in reports_of(tmp_path)
