"""The plugin in runs of pytest of their own, over small suites; nothing of them runs in here."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.injection.running import clean_environment
from unslow.model.trace import Trace
from unslow.prove.workload.recorded import recorded_plan
from unslow.store import reading

SECRET = "S3CR3T-" + "71c0de"

APP = """
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

app = FastAPI()

class Item(BaseModel):
    name: str

@app.get("/items/{number}")
async def item(number: int) -> Item:
    if number == 404:
        raise HTTPException(404)
    return Item(name=str(number))

@app.post("/items", status_code=201)
def create(item: Item) -> Item:
    return item

@app.post("/size")
async def size(request: Request) -> int:
    return len(await request.body())

@app.get("/fails")
async def fails() -> None:
    raise LookupError("it fails")

async def raw(scope, receive, send):
    assert scope["type"] == "http"
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"raw"})
"""

SUITE = """
import httpx
import pytest
from fastapi.testclient import TestClient

from shop import app, raw

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client

def over(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")

def test_client(client):
    assert client.get("/items/1?a=b").json() == {"name": "1"}
    assert client.get("/items/1?a=b").json() == {"name": "1"}
    assert client.get("/items/404").status_code == 404

def test_post(client):
    assert client.post("/items", json={"name": "made"}).status_code == 201

@pytest.mark.parametrize("number", [5, 6])
@pytest.mark.anyio
async def test_transport(number):
    async with over(app) as client:
        assert (await client.get(f"/items/{number}")).status_code == 200

@pytest.mark.anyio
async def test_raw_app_over_the_transport():
    transport = httpx.ASGITransport(app=raw)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/raw")).text == "raw"
    assert transport.app is raw

def test_raw_app_with_the_test_client():
    client = TestClient(raw)
    assert client.get("/raw").text == "raw"
    assert client.app is raw
    assert client._transport.app is raw

def test_app_fails(client):
    client.get("/fails")

@pytest.mark.anyio
async def test_app_fails_over_the_transport():
    async with over(app) as client:
        await client.get("/fails")

def test_fails():
    assert 1 == 2

@pytest.fixture
def broken():
    raise RuntimeError("a fixture that fails")

def test_error(broken):
    pass

@pytest.mark.skip(reason="why not")
def test_skipped():
    pass

@pytest.mark.xfail(strict=True)
def test_expected_to_fail(client):
    assert client.get("/items/1").status_code == 500
"""

REQUESTS_COUNT = 11
DIFFERENT_COUNT = 10
SENDERS_COUNT = 9
TESTS_COUNT = 12


@dataclass(frozen=True)
class Ran:
    """A run of pytest that has ended."""

    folder: Path
    exit_code: int
    printed: str
    outcomes: dict[str, str]

    @property
    def ours(self) -> list[str]:
        """The lines of our part of what was printed."""
        lines = self.printed.splitlines()
        (start,) = (number for number, line in enumerate(lines) if re.match("=+ unslow =+", line))
        end = max(number for number, line in enumerate(lines) if line.startswith("unslow: "))
        return lines[start : end + 1]

    @property
    def others(self) -> list[str]:
        """The other lines, without what no two runs have in common."""
        ours = self.ours if "= unslow =" in self.printed else []
        text = self.printed.replace("\n".join(ours) + "\n", "", 1) if ours else self.printed
        unsteady = r"=+|in \d+\.\d+s|0x[0-9a-f]+|.* generated xml file: .*"
        return re.sub(unsteady, "...", text).splitlines()

    @property
    def sentences(self) -> list[str]:
        return [line.removeprefix("unslow: ") for line in self.ours if line.startswith("unslow: ")]

    @property
    def store(self) -> Path:
        return self.folder / ".unslow"

    def traces(self) -> list[Trace]:
        with reading(self.store) as reader:
            (run,) = reader.runs()
            return [trace for one in reader.run(run) for trace in one.traces]

    def recorded(self, file: str = ".unslow/recorded.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / file).read_text().splitlines()]


def run(
    folder: Path,
    *arguments: str,
    suite: str = SUITE,
    plugins: tuple[str, ...] = ("unslow.pytest_plugin",),
    **environment: str,
) -> Ran:
    """Runs a suite with these plugins and anyio's, and no others."""
    folder.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (folder / "shop.py").write_text(APP)
    (folder / "test_shop.py").write_text(suite)
    named = [word for plugin in ("anyio", *plugins) for word in ("-p", plugin)]
    results = folder / "results.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *named]
    command += [f"--junitxml={results}", "--no-header", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS="", PY_COLORS="0", **environment
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    outcomes = outcomes_of(results) if results.exists() else {}
    return Ran(folder, done.returncode, done.stdout, outcomes)


def outcomes_of(results: Path) -> dict[str, str]:
    tree = ElementTree.parse(results)  # noqa: S314  # pytest wrote it
    return {
        str(case.get("name")): next((child.tag for child in case), "passed")
        for case in tree.iter("testcase")
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The suite without our options."""
    return run(tmp_path_factory.mktemp("plain") / "suite")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The suite with both of our options."""
    return run(tmp_path_factory.mktemp("recorded") / "suite", "--unslow", "--unslow-record")


def test_without_our_options_nothing_is_recorded_hooked_or_printed(plain: Ran) -> None:
    assert TESTS_COUNT == len(plain.outcomes)
    assert "unslow" not in plain.printed
    assert not plain.store.exists()


def test_importing_the_plugin_loads_nothing_and_hooks_into_nothing() -> None:
    code = (
        "import sys, threading, pytest\n"
        "before, hooks = set(sys.modules), list(sys.meta_path)\n"
        "import unslow.pytest_plugin\n"
        "new = sorted(set(sys.modules) - before - sys.stdlib_module_names)\n"
        "print(new, hooks == sys.meta_path, threading.active_count())\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "['unslow', 'unslow.pytest_plugin'] True 1\n" == done.stdout


def test_without_our_options_the_recorder_is_not_even_imported(tmp_path: Path) -> None:
    suite = (
        "import sys\n"
        "def test_a():\n"
        "    ours = sorted(name for name in sys.modules if name.startswith('unslow'))\n"
        "    assert ours == ['unslow', 'unslow.pytest_plugin']\n"
    )

    assert 0 == run(tmp_path, suite=suite).exit_code


def test_every_test_comes_out_the_same_and_so_does_the_exit_code(plain: Ran, recorded: Ran) -> None:
    assert 1 == plain.exit_code
    assert {"passed", "failure", "error", "skipped"} == set(plain.outcomes.values())
    assert (plain.exit_code, plain.outcomes) == (recorded.exit_code, recorded.outcomes)


def test_all_that_is_printed_is_the_same_but_for_our_part(plain: Ran, recorded: Ran) -> None:
    assert "LookupError: it fails" in plain.printed
    assert plain.others == recorded.others


def test_the_report_is_printed_and_how_many_requests_of_how_many_tests_it_is_made_of(
    recorded: Ran,
) -> None:
    ours = "\n".join(recorded.ours)

    assert f"pytest · 4 routes · {REQUESTS_COUNT} requests · 1 process" in ours
    assert "GET /items/{number}" in ours
    assert "starlette.testclient.TestClientTransport" in ours
    others_count = TESTS_COUNT - SENDERS_COUNT
    sentence, written = recorded.sentences
    assert (
        f"{REQUESTS_COUNT} requests of {SENDERS_COUNT} tests were recorded;"
        f" {others_count} other tests sent none"
    ) == sentence
    assert (
        f"{DIFFERENT_COUNT} different of {REQUESTS_COUNT} requests were written to"
        " .unslow/recorded.jsonl"
    ) == written


def test_each_request_has_a_trace_whatever_its_app_and_client(recorded: Ran) -> None:
    assert [
        ("GET", "", 200),
        ("GET", "", 200),
        ("GET", "/fails", 500),
        ("GET", "/fails", 500),
        *[("GET", "/items/{number}", 200)] * 5,
        ("GET", "/items/{number}", 404),
        ("POST", "/items", 201),
    ] == sorted((trace.method, trace.route, trace.status) for trace in recorded.traces())


def test_the_requests_are_written_once_each_with_the_test_that_sent_them(recorded: Ran) -> None:
    lines = {(line["method"], line["target"]): line for line in recorded.recorded()}

    first, made = lines["GET", "/items/1?a=b"], lines["POST", "/items"]
    assert (2, "/items/{number}", 200) == (first["sent_count"], first["route"], first["status"])
    assert "test_shop.py::test_client" == first["test"]
    assert "test_shop.py::test_transport[6]" == lines["GET", "/items/6"]["test"]
    assert 404 == lines["GET", "/items/404"]["status"]
    assert {"name": "made"} == json.loads(base64.b64decode(made["body"]))
    headers = dict(made["headers"])
    assert "application/json" == headers["content-type"]
    assert not {"connection", "content-length", "transfer-encoding"} & headers.keys()


def test_the_written_requests_are_the_owners_only_and_can_be_read_again(recorded: Ran) -> None:
    file = recorded.store / "recorded.jsonl"
    plan = recorded_plan(file)

    assert 0o600 == file.stat().st_mode & 0o777
    assert 7 == len(plan.requests)
    assert {404, 500} == {int(one.why.split()[4]) for one in plan.left_out}
    # What was gathered is no more.
    assert {".gitignore", "recorded.jsonl", "traces.sqlite"} == set(os.listdir(recorded.store))


def test_with_the_report_alone_no_value_is_stored_or_printed(tmp_path: Path) -> None:
    suite = f"""
import httpx
from fastapi import Request
from fastapi.testclient import TestClient
from shop import app

# Joined when it runs: what is compiled and kept beside the suite does not hold it.
secret = "".join(("{SECRET[:4]}", "{SECRET[4:]}"))

@app.post("/secrets/{{name}}")
async def keep(name: str, request: Request) -> str:
    await request.body()
    return name

@app.get("/raises")
async def raises() -> None:
    raise ValueError(secret)

def test_secrets():
    client = TestClient(app, cookies={{"session": secret}}, raise_server_exceptions=False)
    sent = {{"params": {{"token": secret}}, "headers": {{"x-token": secret}}}}
    assert client.post(f"/secrets/{{secret}}", json={{"a": secret}}, **sent).json() == secret
    assert client.get("/raises").status_code == 500
"""
    ran = run(tmp_path / "suite", "--unslow", suite=suite)

    def with_secret() -> list[str]:
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return [path.name for path in files if SECRET.encode() in path.read_bytes()]

    assert (0, []) == (ran.exit_code, with_secret()), ran.printed
    assert SECRET not in ran.printed
    assert "POST /secrets/{name}" in ran.printed
    assert ["2 requests of 1 test were recorded"] == ran.sentences
    # The check can fail: asked for, the values are there, in the one file.
    run(tmp_path / "suite", "--unslow-record", suite=suite)
    assert ["recorded.jsonl"] == with_secret()


def test_the_record_alone_prints_no_report_and_goes_where_it_was_asked_to(tmp_path: Path) -> None:
    ran = run(tmp_path, "--unslow-record=here/mine.jsonl", "-k", "test_post")

    assert 0 == ran.exit_code
    assert 3 == len(ran.ours)
    assert "1 different of 1 requests were written to here/mine.jsonl" == ran.sentences[1]
    assert ["/items"] == [line["target"] for line in ran.recorded("here/mine.jsonl")]
    assert not (ran.store / "recorded.jsonl").exists()


def test_a_path_behind_the_option_is_a_path_of_tests(tmp_path: Path) -> None:
    ran = run(tmp_path, "-k", "test_post", "--unslow-record", "test_shop.py")

    assert (0, ["test_post"]) == (ran.exit_code, list(ran.outcomes))
    assert SUITE == (tmp_path / "test_shop.py").read_text()
    assert 1 == len(ran.recorded())


def test_a_file_that_is_named_like_no_record_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    ran = run(tmp_path, "--unslow-record=test_shop.py")

    assert (4, {}) == (ran.exit_code, ran.outcomes)
    assert "--unslow-record got 'test_shop.py' as the file to write" in ran.printed
    assert SUITE == (tmp_path / "test_shop.py").read_text()


def test_a_body_above_1_mb_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    suite = """
from fastapi.testclient import TestClient
from shop import app
def test_a():
    for size in (2**20, 2**20 + 1):
        assert TestClient(app).post("/size", content=bytes(size)).json() == size
"""
    ran = run(tmp_path, "--unslow-record", suite=suite)

    assert 0 == ran.exit_code
    assert ran.sentences[1].endswith("recorded.jsonl; 1 with a body above 1 MB were left out")
    assert [2**20] == [len(base64.b64decode(line["body"])) for line in ran.recorded()]


NO_REQUESTS = "def test_a(): pass\n"


def test_where_no_request_is_seen_it_says_which_would_be(tmp_path: Path) -> None:
    ran = run(tmp_path, "--unslow", "--unslow-record", suite=NO_REQUESTS)

    assert 0 == ran.exit_code
    assert 3 == len(ran.ours)
    assert ran.sentences[0].startswith("no request was seen. Seen are those that reach an ASGI app")
    assert "no request was kept, so .unslow/recorded.jsonl was not written" == ran.sentences[1]


def test_where_no_test_runs_it_says_that_and_the_exit_code_stays(tmp_path: Path) -> None:
    ran = run(tmp_path, "--unslow", "-k", "no_such_test")

    assert 5 == ran.exit_code
    assert ["no test ran, so nothing was recorded"] == ran.sentences


def test_ctrl_c_ends_the_run_as_it_does_without_us_and_what_was_seen_is_shown(
    tmp_path: Path,
) -> None:
    suite = """
from fastapi.testclient import TestClient
from shop import app
def test_a():
    TestClient(app).get("/items/1")
def test_b():
    TestClient(app).get("/items/2")
    raise KeyboardInterrupt
def test_c():
    TestClient(app).get("/items/3")
"""
    plain = run(tmp_path / "plain", suite=suite)
    ran = run(tmp_path / "ours", "--unslow", "--unslow-record", suite=suite)

    assert 2 == plain.exit_code
    assert (plain.exit_code, plain.outcomes) == (ran.exit_code, ran.outcomes)
    assert "GET /items/{number}" in ran.printed
    assert "2 requests of 2 tests were recorded" == ran.sentences[0]
    assert ["/items/1", "/items/2"] == [line["target"] for line in ran.recorded()]


@pytest.mark.parametrize(
    ("conftest", "says"),
    [
        (
            "import unslow.pytest_plugin.recording as it\nit.Recording._take = lambda _: 1 / 0\n",
            "a mistake of unslow's own: ZeroDivisionError at conftest.py:2",
        ),
        (
            "import unslow.pytest_plugin.recording as it\nit.report_text = lambda *a, **k: 1 / 0\n",
            "a mistake of unslow's own: ZeroDivisionError at conftest.py:2",
        ),
        ("import sys\nsys.modules['rich.console'] = None\n", "pip install 'unslow[cli]'"),
        (
            "import unslow.pytest_plugin.clients as it\nit.TraceMiddleware = None\n",
            "broke: TypeError",
        ),
    ],
    ids=["at each test", "at the report", "no rich", "at each request"],
)
def test_a_mistake_of_ours_is_said_once_and_changes_no_outcome(
    conftest: str, says: str, plain: Ran, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(conftest)

    ran = run(tmp_path, "--unslow")

    assert (plain.exit_code, plain.outcomes) == (ran.exit_code, ran.outcomes)
    assert 1 == "\n".join(ran.ours).count(says)


def test_a_start_that_breaks_is_said_at_the_end_and_changes_no_outcome(
    plain: Ran, tmp_path: Path
) -> None:
    (tmp_path / "breaks.py").write_text("import sys\nsys.modules['unslow.doctor'] = None\n")

    ran = run(tmp_path, "--unslow", plugins=("breaks", "unslow.pytest_plugin"))

    assert (plain.exit_code, plain.outcomes) == (ran.exit_code, ran.outcomes)
    assert 1 == ran.printed.count("unslow: nothing was recorded, it broke: ModuleNotFoundError")


@pytest.mark.parametrize(
    ("value", "says"),
    [("7", "UNSLOW_ENABLED is '7'; wanted is true or false"), ("no", "nothing is recorded")],
)
def test_a_setting_that_is_wrong_or_off_is_said_and_changes_no_outcome(
    value: str, says: str, plain: Ran, tmp_path: Path
) -> None:
    ran = run(tmp_path, "--unslow", "--unslow-record", UNSLOW_ENABLED=value)

    assert (plain.exit_code, plain.outcomes) == (ran.exit_code, ran.outcomes)
    (sentence,) = ran.sentences
    assert says in sentence
    assert not ran.store.exists()


def test_a_folder_that_cannot_be_written_is_said_and_changes_no_outcome(
    plain: Ran, tmp_path: Path
) -> None:
    (tmp_path / ".unslow").write_text("a file")

    ran = run(tmp_path, "--unslow", "--unslow-record")

    assert (plain.exit_code, plain.outcomes) == (ran.exit_code, ran.outcomes)
    (sentence,) = ran.sentences
    assert "Give a folder that can be written" in sentence


def test_a_test_that_goes_elsewhere_takes_neither_store_nor_paths_along(tmp_path: Path) -> None:
    suite = """
import os
from fastapi.testclient import TestClient
from shop import app
def test_a(tmp_path):
    os.chdir(tmp_path)
    TestClient(app).get("/items/1")
"""
    ran = run(tmp_path, "--unslow", "--unslow-record", suite=suite)

    assert 0 == ran.exit_code
    assert 1 == len(ran.traces())
    assert ran.sentences[1].endswith(" were written to .unslow/recorded.jsonl")


def test_a_plugin_that_a_conftest_loads_records_as_well(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("pytest_plugins = ['unslow.pytest_plugin']\n")

    ran = run(tmp_path, "--unslow", "-k", "test_post or test_transport", plugins=())
    assert (0, ["3 requests of 3 tests were recorded"]) == (ran.exit_code, ran.sentences)


TWICE = """
import os, sys, threading
import fastapi, httpx, pytest, starlette.testclient

def state():
    return [
        *sys.meta_path,
        *threading.enumerate(),
        fastapi.FastAPI.__call__,
        starlette.applications.Starlette.__call__,
        starlette.testclient._TestClientTransport.handle_request,
        httpx.ASGITransport.handle_async_request,
        [name for name in os.environ if name.startswith("UNSLOW_")],
        [name for name, module in sys.modules.items() if hasattr(module, "__tracebackhide__")],
    ]

before = state()
arguments = ["-p", "no:cacheprovider", "-p", "anyio", "-p", "unslow.pytest_plugin"]
codes = [int(pytest.main([*arguments, "--unslow", "--unslow-record"])) for _ in range(2)]
codes.append(int(pytest.main([*arguments, "--unslow", "--no-such-option"])))
after = state()
print("RESULT", codes, [one for one in before if one not in after], len(before) == len(after))
"""


def test_two_runs_in_one_process_stand_apart_and_give_everything_back(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "test_shop.py").write_text(SUITE)

    done = subprocess.run(
        [sys.executable, "-c", TWICE],
        cwd=tmp_path,
        env=clean_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS=""),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "RESULT [1, 1, 4] [] True" in done.stdout, done.stdout + done.stderr
    with reading(tmp_path / ".unslow") as reader:
        assert [REQUESTS_COUNT] * 2 == [reader.traces_count(one) for one in reader.runs()]


def test_under_unslow_run_there_is_one_run_and_no_second_agent(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "test_shop.py").write_text(SUITE)
    plugins = ["-p", "anyio", "-p", "unslow.pytest_plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, "--unslow", "-W", "error"]

    done = subprocess.run(
        [sys.executable, "-m", "unslow", "run", "--", *command],
        cwd=tmp_path,
        env=clean_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS=""),
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == done.returncode, done.stdout + done.stderr
    assert f"unslow: {REQUESTS_COUNT} requests of" in done.stdout
    assert f"{REQUESTS_COUNT} requests · 1 process" in done.stderr
    with reading(tmp_path / ".unslow") as reader:
        assert [REQUESTS_COUNT] == [reader.traces_count(one) for one in reader.runs()]


@pytest.fixture
def _xdist() -> None:
    if find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not installed")


@pytest.mark.usefixtures("_xdist")
def test_the_workers_of_xdist_record_into_one_run_and_the_controller_prints(
    plain: Ran, tmp_path: Path
) -> None:
    plugins = ("xdist", "unslow.pytest_plugin")

    ran = run(tmp_path, "-n", "2", "--unslow", "--unslow-record", plugins=plugins)

    assert (plain.exit_code, plain.outcomes) == (ran.exit_code, ran.outcomes)
    assert f"{REQUESTS_COUNT} requests · 2 processes" in "\n".join(ran.ours)
    assert REQUESTS_COUNT == len(ran.traces())
    assert f"{REQUESTS_COUNT} requests of {SENDERS_COUNT} tests were" in ran.sentences[0]
    assert DIFFERENT_COUNT == len(ran.recorded())
    assert {".gitignore", "recorded.jsonl", "traces.sqlite"} == set(os.listdir(ran.store))


@pytest.mark.usefixtures("_xdist")
def test_a_worker_that_dies_is_said_and_what_it_kept_is_written(tmp_path: Path) -> None:
    suite = """
import os
from fastapi.testclient import TestClient
from shop import app
def test_a():
    TestClient(app).get("/items/1")
def test_b():
    os._exit(7)
"""
    plugins = ("xdist", "unslow.pytest_plugin")

    ran = run(tmp_path, "-n", "1", "--unslow-record", plugins=plugins, suite=suite)

    assert 1 == ran.exit_code
    assert ["/items/1"] == [line["target"] for line in ran.recorded()]
