"""`unslow load`: against a real server, and as a process that is stopped."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.injection.running import PATIENCE_S, clean_environment, free_port, until
from tests.prove.test_load import App
from tests.prove.workload.serving import serving
from unslow.cli import command

SECRET = "no-one-may-read-this"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[App, str]]:
    app = App()
    with serving(app) as url:
        yield app, url


@pytest.fixture
def app(served: tuple[App, str]) -> App:
    served[0].forget()
    return served[0]


@pytest.fixture
def url(served: tuple[App, str]) -> str:
    return served[1]


@pytest.fixture(autouse=True)
def in_an_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def load(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["load", *arguments])


def shown(*arguments: str) -> str:
    result = load(*arguments, "--seconds", "0.1")
    assert (0, "") == (result.exit_code, result.stderr), result.output
    return result.stdout


def refused(*arguments: str) -> str:
    result = load(*arguments)
    assert (2, "") == (result.exit_code, result.stdout), result.output
    return result.stderr.splitlines()[-1]


def test_what_was_measured_is_printed_without_the_values_that_were_sent(app: App, url: str) -> None:
    text = shown(f"{url}/users?key={SECRET}", "--rate", "100", "--header", f"X-Key: {SECRET}")

    assert text.startswith(f"GET {url}/users · 100 requests/s · 10 requests due\n  latency   p50 ")
    assert " · 200: 10 · 20 B\n  sender    own lag p50 " in text
    assert SECRET not in text
    # One to see that it answers.
    assert ["/users"] * 11 == app.paths
    assert SECRET.encode() == app.headers[-1][b"x-key"]


def test_as_json_it_has_the_percentiles_the_lag_and_the_statuses(app: App, url: str) -> None:
    found = json.loads(shown(f"{url}/?key={SECRET}", "--rate", "100", "--json"))

    assert (1, f"GET {url}/", 100.0) == (found["format"], found["target"], found["rate_per_s"])
    assert {"p50", "p90", "p99", "max"} == found["latency_ms"].keys()
    assert {"p50", "p99", "max"} == found["lag_ms"].keys()
    assert ({"200": 10}, {}, 10, 20) == tuple(
        found[name] for name in ("statuses", "errors", "answered", "bytes")
    )


def test_what_a_file_holds_is_sent(app: App, url: str) -> None:
    Path("shop.http").write_text("GET /a\n###\nGET /b\n")

    text = shown(f"{url}/v1/", "--rate", "100", "--requests", "shop.http")

    assert text.startswith(f"shop.http at {url}/v1/ · ")
    assert {"/v1/a", "/v1/b"} == set(app.paths)
    assert 11 == len(app.paths)


def test_headers_come_from_a_file_too(app: App, url: str) -> None:
    Path("headers").write_text("X-User: 7\n")

    shown(url, "--rate", "10", "--headers-from", "headers")

    assert b"7" == app.headers[-1][b"x-user"]


def test_what_may_write_is_refused_until_it_is_allowed(app: App, url: str) -> None:
    Path("shop.http").write_text("GET /a\n###\nPOST /b\n\n{}\n###\nDELETE /b\n")
    given = (url, "--rate", "100", "--requests", "shop.http")

    line = refused(*given)

    assert "may write (1 POST, 1 DELETE; the first is shop.http:3)" in line
    assert line.endswith("say --allow-writes.")
    assert [] == app.paths
    assert "10 requests due" in shown(*given, "--allow-writes")


@pytest.mark.parametrize("host", ["shop.example", "93.184.216.34", "[2606:2800:220:1::1]:8000"])
def test_a_host_that_is_not_near_is_refused(host: str) -> None:
    line = refused(f"http://{host}/?key={SECRET}", "--rate", "1")

    assert "is neither this machine nor at a private address" in line
    assert "--yes-this-host" in line
    assert SECRET not in line


def test_it_can_be_allowed_and_settings_may_say_so(app: App, url: str) -> None:
    Path("pyproject.toml").write_text("[tool.unslow.load]\nrate = 50\nyes_this_host = true\n")

    assert "5 requests due" in shown(url)


@pytest.mark.parametrize(
    "address",
    ["/users", "shop", "ftp://127.0.0.1/", f"http://alice:{SECRET}@127.0.0.1/", "http://"],
)
def test_what_is_no_address_is_said(address: str) -> None:
    line = refused(address, "--rate", "1")

    assert "wanted is" in line
    assert SECRET not in line


@pytest.mark.parametrize("rate", ["0", "-1", "many", "inf", "nan"])
def test_a_rate_is_more_than_none(rate: str, url: str) -> None:
    assert "--rate" in refused(url, "--rate", rate)


def test_where_nothing_answers_it_is_said_at_once() -> None:
    line = refused(f"http://127.0.0.1:{free_port()}", "--rate", "1", "--seconds", "60")

    assert "did not answer the first request (ConnectError)" in line


def test_the_knee_is_looked_for(app: App, url: str) -> None:
    text = shown(f"{url}/down", "--rate", "100", "--find-knee")

    assert text.startswith(f"GET {url}/down\n  100 requests/s  ")
    assert "knee  below 100 requests/s: 100 % failed\n" in text


def test_the_knee_as_json_has_its_stretches(app: App, url: str) -> None:
    found = json.loads(shown(f"{url}/down", "--rate", "100", "--find-knee", "--json"))

    assert (None, 100, 2) == (found["held_per_s"], found["left_per_s"], len(found["stretches"]))
    assert {"503": 10} == found["stretches"][0]["statuses"]


def test_what_it_keeps_from_being_collected_is_released(app: App, url: str) -> None:
    before = gc.get_freeze_count()

    shown(url, "--rate", "10")

    assert before == gc.get_freeze_count()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_measured_so_far_is_printed_when_it_is_stopped(
    number: signal.Signals, code: int, app: App, url: str
) -> None:
    words = [sys.executable, "-m", "unslow", "load", url, "--rate", "50", "--seconds", "600"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(), text=True
    ) as process:
        try:
            until(lambda: len(app.paths) > 5)
            process.send_signal(number)
            out, error = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()

    assert (code, "") == (process.returncode, error)
    assert out.startswith(f"GET {url}/ · 50 requests/s · ")
    assert "  latency   p50 " in out
    assert "! It was stopped before its time" in out


def test_stopped_while_the_first_request_waits_it_ends_and_has_nothing_to_tell(
    app: App, url: str
) -> None:
    words = [sys.executable, "-m", "unslow", "load", f"{url}/never", "--rate", "50"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(), text=True
    ) as process:
        try:
            until(lambda: bool(app.paths))
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()

    assert (130, "", "") == (process.returncode, out, error)
