"""`unslow check` as its user meets it, and as somebody who means it no good does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner

from tests.injection.running import PATIENCE_S, clean_environment, free_port, until
from unslow.cli import command
from unslow.cli.check import _fail_on
from unslow.errors import UnslowError
from unslow.model.finding import Finding
from unslow.store import FILE, reading

SMALL = ("--concurrency", "2", "--rounds", "2", "--no-trials")
LONG = ("--concurrency", "2", "--rounds", "100000", "--no-trials")

COUNTING = """
import os

class Counting:
    # Notes each request that comes.
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            with open("asked", "a") as asked:
                asked.write(scope["method"] + " " + scope["path"] + "\\n")
        await self.app(scope, receive, send)
"""
SHOP = (
    COUNTING
    + """
import smtplib, time
import httpx
from fastapi import BackgroundTasks, FastAPI
from sqlalchemy import create_engine, text

app = FastAPI()
app.add_middleware(Counting)
engine = create_engine("sqlite:///shop.db")
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE IF NOT EXISTS items (id int, seen int)"))
    connection.execute(text("INSERT INTO items VALUES (1, 0), (2, 0)"))

def mail():
    with smtplib.SMTP("127.0.0.1", int(os.environ["MAIL_PORT"]), timeout=5) as client:
        client.sendmail("shop@example.com", ["you@example.com"], "Subject: hello\\n\\nhello")

@app.get("/items")
def items():
    with engine.connect() as connection:
        return [{"id": row[0]} for row in connection.execute(text("SELECT id FROM items"))]

@app.get("/items/{item_id}")
async def item(item_id: int):
    time.sleep(0.03)
    return {"id": item_id}

@app.post("/items")
def add():
    return {}

@app.get("/touch")
def touch():
    with engine.begin() as connection:
        connection.execute(text("UPDATE items SET seen = seen + 1"))
    return {}

@app.get("/mail")
def send_mail():
    mail()
    return {}

@app.get("/later")
def send_later(tasks: BackgroundTasks):
    tasks.add_task(time.sleep, 0.3)
    tasks.add_task(mail)
    return {}

@app.get("/abroad")
def abroad():
    try:
        httpx.get("http://192.0.2.1:9/", timeout=0.05, trust_env=False)
    except httpx.HTTPError:
        pass
    return {}

@app.get("/logout")
def logout():
    return {}

@app.get("/items/{item_id}/delete")
def delete(item_id: int):
    return {}

@app.get("/gr\\u00f6\\u00dfe|x/{item_id}")
async def size(item_id: int):
    return {}
"""
)
HELLO = (
    COUNTING
    + """
import asyncio
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def hello(request):
    return JSONResponse({"hello": "you"})

async def document(request):
    operation = {"get": {"responses": {"200": {"content": {"application/json": {}}}}}}
    return JSONResponse({"openapi": "3.1.0", "paths": {"/hello": operation, "/other": operation}})

app = Counting(Starlette(routes=[
    Route("/openapi.json", document), Route("/hello", hello), Route("/other", hello),
]))
"""
)
LET_IN = (
    COUNTING
    + """
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

async def token(request):
    body = (await request.body()).decode()
    if body != "username=alice&password=pa55word":
        return JSONResponse({"detail": "wrong password"}, 400)
    return JSONResponse({"access_token": "t0ken"})

async def form(request):
    answer = RedirectResponse("/", 303)
    answer.set_cookie("session", "c00kie")
    return answer

async def orders(request):
    headers = request.headers
    is_in = headers.get("authorization") == "Bearer t0ken" or "c00kie" in headers.get("cookie", "")
    if not (is_in and headers.get("x-team") == "te4m"):
        return JSONResponse({"detail": "who are you?"}, 401)
    return JSONResponse([1])

async def echo(request):
    body = (await request.body()).decode()
    return JSONResponse({"input": body, "query": str(request.query_params)}, 422)

async def document(request):
    paths = {"/orders": {"get": {}}}
    return JSONResponse({"openapi": "3.1.0", "paths": paths})

app = Counting(Starlette(routes=[
    Route("/token", token, methods=["POST"]), Route("/form", form, methods=["POST"]),
    Route("/orders", orders), Route("/orders/{order}", orders),
    Route("/echo", echo, methods=["POST"]), Route("/openapi.json", document),
]))
"""
)
SERVES = """
import sys, uvicorn
from app import app
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


class Check:
    """`unslow check ARGUMENTS` in a folder; killed at the end of the `with` if it still runs."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        app: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        if app:
            (folder / "app.py").write_text(app)
        # A short path, for sockets, that goes also when unslow is killed.
        self.temporary = Path(tempfile.mkdtemp(prefix="check-"))
        self._out, self._err = (self.temporary / f"{name}.txt" for name in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "unslow", "check", *arguments],
                cwd=folder,
                env=clean_environment(TMPDIR=str(self.temporary), **(environment or {})),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def __enter__(self) -> Check:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for one in (self.process.pid, *self.processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        self.process.wait()
        subprocess.run(["rm", "-rf", str(self.temporary)], check=True)

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def ended(self) -> int:
        """The exit code, once it has ended; nothing of it goes on then."""
        exit_code = self.process.wait(2 * PATIENCE_S)
        assert "Traceback" not in self.err.partition("last lines")[0]
        assert [] == self.processes()
        return exit_code

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.ended()

    def processes(self, word: str = "") -> list[int]:
        """What it has started and what still runs: known by the folder for temporary files."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                arguments = (process / "cmdline").read_bytes().decode(errors="replace")
                environment = (process / "environ").read_bytes().decode(errors="replace")
                is_ours = str(self.temporary) in environment
                if is_ours and word in arguments and int(process.name) != self.process.pid:
                    found.append(int(process.name))
        return found

    def asked(self) -> Counter[str]:
        """How often each operation was asked."""
        file = self.folder / "asked"
        return Counter(file.read_text().splitlines() if file.exists() else ())

    def requests_count(self) -> int:
        """How many requests are in the store."""
        with contextlib.suppress(UnslowError), reading(self.folder / ".unslow") as reader:
            return sum(map(reader.traces_count, reader.runs()))
        return 0

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits for something to happen while it runs."""

        def happened() -> bool:
            assert self.process.poll() is None, (self.out, self.err)
            return condition()

        until(happened)

    def wait_for_requests(self, count: int = 10) -> None:
        """Waits until so many are in the store."""
        self.wait_for((self.folder / ".unslow" / FILE).exists)
        self.wait_for(lambda: self.requests_count() >= count)


class _Mail(socketserver.StreamRequestHandler):
    """As much of a mail server as a client wants to see."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        is_data = False
        for line in self.rfile:
            word = line.strip().upper()
            if is_data and word != b".":
                continue
            if is_data:
                is_data = False
                self.server.mails_count += 1  # type: ignore[attr-defined]  # of our own server
            if word == b"DATA":
                is_data = True
                self.wfile.write(b"354 go on\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 good\r\n")


class MailServer(socketserver.ThreadingTCPServer):
    """Counts mails."""

    daemon_threads = True
    mails_count = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextlib.contextmanager
def mail_server() -> Iterator[MailServer]:
    with MailServer(("127.0.0.1", 0), _Mail) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


# A shop whose operations do more than they should.


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Check, MailServer, int]]:
    """A check that was allowed nothing."""
    with (
        mail_server() as mails,
        Check(
            tmp_path_factory.mktemp("safe"),
            "app:app",
            "--json",
            *SMALL,
            app=SHOP,
            environment={"MAIL_PORT": str(mails.port)},
        ) as check,
    ):
        yield check, mails, check.ended()


def reasons(report: dict[str, Any]) -> dict[str, str]:
    """Why each operation was not asked in all ways."""
    return {f"{one['method']} {one['route']}": one["why"] for one in report["checked"]["left_out"]}


def test_what_is_found_makes_the_exit_code_1_and_json_is_all_that_stdout_gets(
    safe: tuple[Check, MailServer, int],
) -> None:
    check, _, exit_code = safe

    report = json.loads(check.out)
    assert (1, 1, "app:app") == (exit_code, report["format"], report["target"])
    found = {one["rule"] for endpoint in report["endpoints"] for one in endpoint["findings"]}
    assert "blocking-call" in found
    assert "" == check.err


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ("GET /touch", "it writes: UPDATE items SET, app.py:48 in touch; --allow-writes 'GET /to"),
        ("GET /mail", "it sends a mail by 127.0.0.1:"),
        ("GET /later", "it sends a mail by 127.0.0.1:"),
        ("GET /abroad", "it calls 192.0.2.1:9, app.py:65 in abroad; --allow-remote 192.0.2.1 al"),
    ],
)
def test_what_has_side_effects_is_sent_exactly_once_and_listed_with_the_line(
    operation: str, says: str, safe: tuple[Check, MailServer, int]
) -> None:
    check, mails, _ = safe

    assert 1 == check.asked()[operation]
    assert 2 == mails.mails_count
    why = reasons(json.loads(check.out))[operation]
    assert f"it has side effects, so it was sent once: {says}" in why
    assert "allows it" in why


@pytest.mark.parametrize("operation", ["POST /items", "GET /logout", "GET /items/{item_id}/delete"])
def test_what_may_do_something_by_its_method_or_name_is_not_sent_at_all(
    operation: str, safe: tuple[Check, MailServer, int]
) -> None:
    check, _, _ = safe

    assert operation in reasons(json.loads(check.out))
    assert not [one for one in check.asked() if "POST" in one or "logout" in one or "del" in one]


def test_the_others_are_asked_several_times_with_ids_of_the_apps_own(
    safe: tuple[Check, MailServer, int],
) -> None:
    check, _, _ = safe

    asked = check.asked()
    assert 1 == asked["GET /openapi.json"]
    ids = ("GET /items/1", "GET /items/2", "GET /größe|x/1")
    assert min(asked[one] for one in ("GET /items", *ids)) > 2


def test_what_is_allowed_is_sent_again_and_fail_on_looks_at_nothing_else(tmp_path: Path) -> None:
    with (
        mail_server() as mails,
        Check(
            tmp_path,
            *("app:app", *SMALL, "--max-requests", "4", "--fail-on", "deep-offset"),
            *("--allow-writes", "/touch", "--allow-writes", "GET /mail"),
            *("--allow-remote", "192.0.2.1", "--read-only-post", "/items"),
            *("--skip", "/later"),
            app=SHOP,
            environment={"MAIL_PORT": str(mails.port)},
        ) as check,
    ):
        assert 0 == check.ended()

        asked = check.asked()
        allowed = ("GET /touch", "GET /mail", "GET /abroad", "POST /items")
        assert {4} == {asked[one] for one in allowed}
        assert (4, 0) == (mails.mails_count, asked["GET /later"])
        assert "blocking-call" in check.out


def finding(rule: str, could_save_ms: float | None) -> Finding:
    return Finding("", None, could_save_ms=could_save_ms, rule=rule)


@pytest.mark.parametrize(
    ("text", "rule", "could_save_ms", "fails"),
    [
        (None, "any", None, True),
        ("slow-statement", "slow-statement", None, True),
        ("slow-statement", "blocking-call", 99.0, False),
        (" deep-offset , slow-statement", "slow-statement", 0.0, True),
        ("10", "any", 10.0, True),
        ("10", "any", 9.9, False),
        ("0", "any", None, True),
        ("0.5", "any", None, False),
    ],
)
def test_the_exit_code_is_1_for_what_was_named_and_from_so_much_on(
    text: str | None, rule: str, could_save_ms: float | None, fails: bool
) -> None:
    assert fails is _fail_on(text)(finding(rule, could_save_ms))


# Who asks, and what is kept of it.


SECRETS = (
    *("pa55word", "t0ken", "te4m", "c00kie"),
    *("secr3t-query", "secr3t-body", "secr3t-path", "secr3t-header"),
)


def kept(folder: Path) -> bytes:
    """All that stands in the files of a store."""
    return b"".join(one.read_bytes() for one in (folder / ".unslow").rglob("*") if one.is_file())


def test_a_login_by_token_lets_it_in_and_nothing_of_what_was_sent_is_kept(tmp_path: Path) -> None:
    (tmp_path / "team.txt").write_text("# whose\nX-Team: te4m\n")
    (tmp_path / "shop.http").write_text(
        "GET /orders/secr3t-path?key=secr3t-query\nX-Key: secr3t-header\n\n###\n"
        "GET /nowhere/secr3t-path\n\n###\n"
        "POST /echo?key=secr3t-query\nContent-Type: text/plain\n\nsecr3t-body\n"
    )
    (tmp_path / "pyproject.toml").write_text("[tool.unslow]\nrecord_values = true\n")

    with Check(
        tmp_path,
        *("app:app", *SMALL, "--requests", "shop.http", "--headers-from", "team.txt"),
        *("--login", "POST /token", "--token-from", "access_token"),
        *("--form", "username=alice", "--form", "password=pa55word"),
        app=LET_IN,
    ) as check:
        assert 0 == check.ended(), check.err

        asked = check.asked()
        assert (1, 1) == (asked["POST /token"], asked["POST /echo"])
        assert 2 < asked["GET /orders/secr3t-path"]
        assert "3 operations, 1 counted" in check.out
        assert "/token" not in check.out
        # Who looks at the terminal knows what was sent.
        assert 'unslow: POST /echo was answered 422 ("{"input":"secr3t-body"' in check.err
        stored = kept(tmp_path)
        assert b"/orders/{order}" in stored
        assert [] == [one for one in SECRETS if one.encode() in stored]


def test_a_login_by_cookie_lets_it_in(tmp_path: Path) -> None:
    with Check(
        tmp_path,
        *("app:app", *SMALL, "--login", "POST /form", "--header", "X-Team: te4m"),
        app=LET_IN,
    ) as check:
        assert 0 == check.ended(), check.err

        assert 2 < check.asked()["GET /orders"]
        assert "1 operation, 1 counted" in check.out


# What cannot be done.


FAR = f"""{HELLO}
from sqlalchemy import create_engine
engine = create_engine("postgresql+psycopg://me:secret@db.example.com/shop")
"""
TWO_SERVERS = (
    f"{sys.executable} -I -m http.server -b 127.0.0.1 {{other}} &"
    f" exec {sys.executable} -m uvicorn --port {{port}} app:app"
)
FAILING: dict[str, tuple[tuple[str, ...], str, str]] = {
    "all refused": (
        ("app:app",),
        LET_IN,
        'counted: 1 of 1 operations answered 401 ("{"detail":"who are you?"}"). Give a login: --he',
    ),
    "a failed login": (
        ("app:app", "--login", "POST /token", "--form", "username=alice"),
        LET_IN,
        'The login POST /token was answered 400 ("{"detail":"wrong password"}"); wanted is 2xx.',
    ),
    "no document": (
        ("app:app", "--openapi", "/api.json"),
        HELLO,
        'The app has no OpenAPI document at /api.json: it answered 404 ("Not Found"). Say where',
    ),
    "an import that fails": (
        ("app:app",),
        "raise RuntimeError('no settings')",
        "app:app ended with exit code 1 before it served. Mend what its last lines name, and",
    ),
    "an app that never answers": (
        ("app:app", "--start-within", "1"),
        "import time\ntime.sleep(600)",
        "within 1 s. It wrote nothing; start again.",
    ),
    "a route that is not there": (
        ("app:app", "--only", "/helo"),
        HELLO,
        "--only is '/helo', and nothing that could be asked is called so; there is GET /hello,",
    ),
    "a far database": (
        ("app:app",),
        FAR,
        "The app's database is at db.example.com, which is neither this machine nor a private",
    ),
    "no agent": (
        (
            *("--url", "http://127.0.0.1:{port}", "--"),
            *(sys.executable, "-I", "-c"),
            f"import sys; sys.path.insert(0, '.')\n{SERVES}",
            "{port}",
        ),
        HELLO,
        "The app answers, but nothing in it is recorded:",
    ),
    "an address where nobody listens": (
        (
            *("--url", "http://127.0.0.1:{other}", "--start-within", "1", "--"),
            *(sys.executable, "-c", SERVES, "{port}"),
        ),
        HELLO,
        "The app did not answer at http://127.0.0.1:{other} within 1 s.",
    ),
    "another program at the address": (
        (
            *("--url", "http://127.0.0.1:{other}", "--", "sh", "-c"),
            TWO_SERVERS,
        ),
        HELLO,
        "What was asked for at http://127.0.0.1:{other} was answered 404",
    ),
}


@pytest.fixture(scope="module")
def failing(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[Check, dict[str, str]]]]:
    """Checks that cannot be done, side by side: some of them wait."""
    with ExitStack() as stack:
        started = {}
        for name, (arguments, app, _) in FAILING.items():
            ports = {"port": str(free_port()), "other": str(free_port())}
            words = [
                one.replace("{port}", ports["port"]).replace("{other}", ports["other"])
                for one in arguments
            ]
            check = Check(
                tmp_path_factory.mktemp("failing"),
                *(*SMALL, *words),
                app=app,
                environment={"UNSLOW_HELLO_TIMEOUT_S": "3"},
            )
            started[name] = stack.enter_context(check), ports
        yield started


@pytest.mark.parametrize("name", FAILING)
def test_what_cannot_be_done_is_said_in_one_sentence_with_what_to_do(
    name: str, failing: dict[str, tuple[Check, dict[str, str]]]
) -> None:
    check, ports = failing[name]

    assert 2 == check.ended(), check.err

    assert "" == check.out
    says = FAILING[name][2].replace("{port}", ports["port"]).replace("{other}", ports["other"])
    (said,) = (
        line
        for line in check.err.splitlines()
        if line.startswith("unslow: ") and "were recorded until then" not in line
    )
    assert says in said


def test_an_app_that_cannot_be_imported_is_shown_with_its_last_lines(
    failing: dict[str, tuple[Check, dict[str, str]]],
) -> None:
    check, _ = failing["an import that fails"]
    check.ended()

    assert "  RuntimeError: no settings" == check.err.splitlines()[-1]


def test_a_far_database_keeps_every_request_back(
    failing: dict[str, tuple[Check, dict[str, str]]],
) -> None:
    check, _ = failing["a far database"]
    check.ended()

    assert not check.asked()
    assert "secret" not in check.err
    assert "nothing more was sent" in check.err
    assert "--yes-this-database" in check.err


def test_another_program_gets_one_request_and_no_more(
    failing: dict[str, tuple[Check, dict[str, str]]],
) -> None:
    check, _ = failing["another program at the address"]
    check.ended()

    assert not check.asked()


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs `unslow check ARGUMENTS` here, where it ends before it starts anything."""

    def run(*arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        result = CliRunner().invoke(command, ["check", *arguments])
        assert (2, "") == (result.exit_code, result.stdout), result.output
        assert not (tmp_path / "asked").exists()
        return result.stderr

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give one of both: MODULE:APP, or a command with the address"),
        (("app:app", "--", "true"), "Give one of both"),
        (("app:app", "--url", "http://127.0.0.1:1"), "Give one of both"),
        (("--", "true"), "Give one of both"),
        (("gunicorn", "app:app"), "unslow check --url http://127.0.0.1:8000 -- gunicorn app:app"),
        (("--url", "127.0.0.1:8000", "--", "true"), "--url is '127.0.0.1:8000'; wanted is where"),
        (("--url", "http://[::1", "--", "true"), "--url is 'http://[::1'; wanted is"),
        (("--url", "http://localhost:http", "--", "true"), "wanted is where the app answers"),
        (("--url", "http://localhost:99999", "--", "true"), "wanted is where the app answers"),
        (("--url", "http://127.0.0.1:1", "--", "no-such"), "There is no command 'no-such'"),
        (("nowhere:app",), "There is no module 'nowhere' in"),
        (("app",), "'app' is not MODULE:APP"),
        (("shop.py:app",), "a module is wanted: shop:app"),
        (("os:app", "--form", "a=b"), "--form and --token-from belong to --login 'POST /token'"),
        (("os:app", "--token-from", "a"), "--form and --token-from belong to --login"),
        (("os:app", "--login", "/token"), "--login is '/token'; wanted is a method and a path"),
        (("os:app", "--login", "POST /a", "--form", "secret"), "--form holds 6 characters that"),
        (("os:app", "--header", "secret"), "--header holds 6 characters that are no header"),
        (("os:app", "--headers-from", "gone"), "The file of headers gone cannot be read"),
        (("os:app", "--requests", "gone.http"), "The file of requests gone.http cannot be read"),
        (("os:app", "--requests", "bad.http"), "bad.http:4: got 'GET'; wanted a method"),
        (("os:app", "--requests", "good.http", "--recorded"), "Give one of both: --requests FILE"),
        (("os:app", "--requests", "good.http", "--skip", "/b"), "--skip is '/b'"),
        (("os:app", "--recorded"), "No recorded requests can be read from"),
        (("os:app", "--openapi", "openapi.json"), "--openapi is 'openapi.json'; wanted is a path"),
        (("os:app", "--fail-on", "no-such-rule"), "There is no rule 'no-such-rule'"),
        (("os:app", "--fail-on", "slow-statement,10"), "There is no rule '10'"),
        (("os:app", "--fail-on", ""), "--fail-on is ''"),
        (("os:app", "--fail-on", "nan"), "--fail-on is 'nan'"),
        (("os:app", "--fail-on", "-1"), "--fail-on is '-1'"),
        (("os:app", "--fail-on", "inf"), "--fail-on is 'inf'"),
        (("os:app", "--time", "0"), "'--time': 0.0 is not in the range"),
        (("os:app", "--time", "nan"), "'--time': 'nan' is no number of seconds"),
        (("os:app", "--start-within", "-1"), "'--start-within': -1.0 is not in the range"),
        (("os:app", "--concurrency", "0"), "'--concurrency': 0 is not in the range"),
        (("os:app", "--max-requests", "0"), "'--max-requests': 0 is not in the range"),
        (("os:app", "--folder", "good.http/store"), "Cannot write traces to"),
    ],
)
def test_words_that_make_no_sense_are_refused_with_those_that_do(
    arguments: tuple[str, ...], says: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "good.http").write_text("GET /a\n")
    (tmp_path / "bad.http").write_text("GET /a\n\n###\nGET\n")

    said = refused(*arguments)

    assert says in " ".join(said.split())
    assert "secret" not in said


def test_an_address_that_something_answers_at_is_refused_before_the_command_starts(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        said = refused("--url", url, "--", "touch", "started")

    assert f"Something answers at {url} already, so the command was not started." in said
    assert not (tmp_path / "started").exists()


# What breaks, and who ends it.


def test_an_app_that_many_users_break_is_reported_as_far_as_it_was_measured(
    tmp_path: Path,
) -> None:
    app = f"""{HELLO}
import asyncio
from starlette.responses import PlainTextResponse

inside = 0
is_broken = False

async def fragile(request):
    global inside, is_broken
    inside += 1
    try:
        await asyncio.sleep(0.001)
        is_broken = is_broken or inside > 1
    finally:
        inside -= 1
    return PlainTextResponse("", 500 if is_broken else 200)

app.app.router.routes[1:] = [Route("/hello", fragile), Route("/other", fragile)]
"""
    with Check(tmp_path, "app:app", "--output", "report.txt", app=app) as check:
        assert 2 == check.ended()

        assert (
            "unslow: the app broke down on the way; what is reported is from before"
            == check.err.splitlines()[-1]
        )
    report = " ".join((tmp_path / "report.txt").read_text().split())
    start = report.index("!")
    assert report[start:].startswith("! The check did not come to its end: with 20 users at once,")
    assert "GET /hello" in report


def test_a_database_that_goes_down_in_the_middle_ends_it_and_what_was_measured_is_kept(
    tmp_path: Path, database_url: str
) -> None:
    app = f"""{HELLO}
import psycopg

async def count(request):
    connection = await psycopg.AsyncConnection.connect({database_url!r})
    async with connection:
        await connection.execute("SELECT 1")
    return JSONResponse({{}})

app.app.router.routes[1:] = [Route("/hello", count), Route("/other", count)]
"""
    with Check(tmp_path, "app:app", *LONG, app=app) as check:
        check.wait_for_requests()
        name = database_url.rpartition("/")[2]
        with psycopg.connect(
            f"{database_url.rpartition('/')[0]}/postgres", autocommit=True
        ) as server:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        assert 2 == check.ended()

        count = check.requests_count()
        kept, why = check.err.splitlines()
        assert f"unslow: {count} requests were recorded until then; see them with:" in kept
        assert "The app answered well, and the last 25 requests did not" in why
        assert "answered 500" in why
        report = CliRunner().invoke(command, ["report", "--folder", str(tmp_path / ".unslow")])
        assert (0, True) == (report.exit_code, "GET /hello" in report.output)


@pytest.mark.parametrize("allowed", [(), ("--yes-this-database",)], ids=["refused", "allowed"])
def test_a_far_database_gets_one_request_unless_it_is_allowed(
    allowed: tuple[str, ...], tmp_path: Path, database_url: str
) -> None:
    parts = urlsplit(database_url)
    far = f"//{parts.netloc.replace('127.0.0.1', 'db.example.com')}{parts.path}"
    app = f"""{HELLO}
import psycopg

async def ask(request):
    # The driver takes the address, and believes the name.
    connection = await psycopg.AsyncConnection.connect("postgresql:{far}?hostaddr=127.0.0.1")
    async with connection:
        await connection.execute("SELECT 1")
    return JSONResponse({{}})

app.app.router.routes[1:] = [Route("/hello", ask), Route("/other", ask)]
"""
    with Check(tmp_path, "app:app", *SMALL, *allowed, app=app) as check:
        exit_code = check.ended()

        asked = check.asked()
        del asked["GET /openapi.json"]
        if allowed:
            assert "database on db.example.com" in check.out
            assert min(asked["GET /hello"], asked["GET /other"]) > 2
        else:
            assert (2, {"GET /hello": 1}) == (exit_code, asked)
            assert "The app's database is at db.example.com" in check.err


def test_an_app_that_dies_in_the_middle_is_named_and_what_was_measured_is_kept(
    tmp_path: Path,
) -> None:
    with Check(tmp_path, "app:app", *LONG, app=HELLO) as check:
        check.wait_for_requests()
        (app,) = check.processes("app:app")
        os.kill(app, signal.SIGKILL)
        assert 2 == check.ended()

        kept, why, *_ = check.err.splitlines()
        assert "requests were recorded until then; see them with: unslow report" in kept
        assert "unslow: app:app was ended by SIGKILL while it was asked." in why


SLOW_START = f"{HELLO}\nimport time\nopen('starting', 'w').close()\ntime.sleep(600)\n"
SHELL = (
    "sh",
    "-c",
    f"{sys.executable} -m uvicorn --log-level warning --port $PORT app:app; true",
)
WORKERS = (
    *(sys.executable, "-m", "uvicorn", "--log-level", "warning"),
    *("--workers", "2", "app:app", "--port"),
)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_the_start_ends_everything(
    number: signal.Signals, exit_code: int, tmp_path: Path
) -> None:
    with Check(tmp_path, "app:app", *LONG, app=SLOW_START) as check:
        check.wait_for((tmp_path / "starting").exists)
        assert exit_code == check.end(number)

        assert ["unslow: stopped before anything was recorded"] == check.err.splitlines()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_ends_everything_and_says_how_to_see_what_was_recorded(
    number: signal.Signals, exit_code: int, tmp_path: Path
) -> None:
    with Check(tmp_path, "app:app", *LONG, app=HELLO) as check:
        check.wait_for_requests()
        for _ in range(3):
            # The later ones must not tear what the first has led to.
            check.process.send_signal(number)
        assert exit_code == check.ended()

        assert "" == check.out
        (said,) = check.err.splitlines()
        assert (
            f"unslow: {check.requests_count()} requests were recorded until then; see them with:"
            " unslow report"
        ) == said


def test_a_killed_check_leaves_no_app_that_only_starts(tmp_path: Path) -> None:
    with Check(tmp_path, "app:app", *LONG, app=SLOW_START) as check:
        check.wait_for((tmp_path / "starting").exists)
        check.process.kill()

        until(lambda: not check.processes())


@pytest.mark.parametrize("behind", [(), SHELL, WORKERS], ids=["app", "shell", "workers"])
def test_a_killed_check_leaves_no_app_in_the_middle(
    behind: tuple[str, ...], tmp_path: Path
) -> None:
    port = str(free_port())
    arguments: tuple[str, ...] = ("app:app", *LONG)
    if behind:
        arguments = (*LONG, "--url", f"http://127.0.0.1:{port}", "--", *behind)
        arguments = (*arguments, port) if behind is WORKERS else arguments

    with Check(tmp_path, *arguments, app=HELLO, environment={"PORT": port}) as check:
        check.wait_for_requests()
        assert check.processes("app:app")
        check.process.kill()

        until(lambda: not check.processes())


def test_two_checks_at_once_in_one_folder_do_not_mix_and_end_apart(tmp_path: Path) -> None:
    with ExitStack() as stack:
        killed = stack.enter_context(Check(tmp_path, "app:app", *LONG, app=HELLO))
        other = stack.enter_context(Check(tmp_path, "app:app", "--json", *SMALL, app=HELLO))
        killed.wait_for_requests()
        assert 0 == other.ended(), other.err
        assert killed.process.poll() is None
        killed.process.kill()
        until(lambda: not killed.processes())

        (count,) = {one["requests"] for one in json.loads(other.out)["endpoints"]}
        # 2 rounds alone, 6 in a crowd, 4 watched; the first of all only warmed up.
        assert 12 == count
