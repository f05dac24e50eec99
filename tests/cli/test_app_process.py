"""An app in a process of its own: how it comes up, ends, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.injection.running import until
from unslow.cli import app_process as module
from unslow.cli.app_process import AppProcess, Words, app_process, free_port, refuse_taken
from unslow.errors import CommandError, DemoError, PortError, StartUpError
from unslow.wire import ADDRESS_VARIABLE

SERVES = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
STAYS = "import time; time.sleep(600)"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAYS}"
WORDS = Words("shop:app")
OWNER = """
import sys, time
from unslow.cli import app_process as module
from unslow.cli.app_process import Words, app_process

module._ENDS_WITHIN_S = 0.3
with app_process(sys.argv[1:], {"PATH": ""}, "http://127.0.0.1:9", Words("shop:app")) as app:
    print(app.process_id, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    """What stands in the arguments of all that a test starts."""
    yield str(tmp_path)
    for one in marked(str(tmp_path)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def marked(mark: str) -> list[int]:
    """What runs with a mark in its arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(process.name))
    return found


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code, *map(str, arguments)]


@contextlib.contextmanager
def running(command: list[str], port: int = 9, words: Words = WORDS) -> Iterator[AppProcess]:
    with app_process(command, os.environ, f"http://127.0.0.1:{port}", words) as app:
        yield app


def test_it_is_waited_for_until_it_takes_connections_and_then_ended(mark: str) -> None:
    port = free_port("127.0.0.1")

    with running(python(f"{SERVES} {STAYS}", port, mark), port) as app:
        app.wait_until_it_answers(20)
        app.check()
        assert [app.process_id] == marked(mark)

    assert [] == marked(mark)


def test_its_standard_input_stays_open_as_long_as_it_is_wanted(mark: str) -> None:
    with running(python("import sys; sys.stdin.read(); print('closed')", mark)) as app:
        app.check(0.2)
        assert [] == app.last_lines()


def test_one_that_ends_before_it_serves_is_named_with_its_last_lines(mark: str) -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"

    with running(python(code, mark)) as app, pytest.raises(StartUpError) as raised:
        app.wait_until_it_answers(20)

    first, *lines = str(raised.value).splitlines()
    assert (
        "shop:app ended with exit code 3 before it served. Mend what its last lines name, and start"
        " again:"
    ) == first
    assert {"  one", "  two"} == set(lines)


def test_one_that_never_answers_is_given_up(mark: str) -> None:
    with (
        running(python(STAYS, mark), free_port("127.0.0.1")) as app,
        pytest.raises(StartUpError, match=r"did not answer at http://127\.0\.0\.1:\d+ within 0 s"),
    ):
        app.wait_until_it_answers(0.1)

    assert [] == marked(mark)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise SystemExit(7)", "ended with exit code 7 while it was asked. It wrote nothing"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL while it was asked"),
        ("import os; os.kill(os.getpid(), 34)", "was ended by SIG"),
    ],
)
def test_one_that_ends_in_the_middle_is_named_in_the_words_of_who_asks(
    code: str, says: str, mark: str
) -> None:
    words = Words("The demo's app", DemoError, "start the demo again")

    with (
        running(python(code, mark), words=words) as app,
        pytest.raises(DemoError, match=f"The demo's app {says}"),
    ):
        app.check(20)


def test_an_end_that_is_under_way_is_waited_for(mark: str) -> None:
    with (
        running(python("import time; time.sleep(0.3)", mark)) as app,
        pytest.raises(StartUpError, match="ended with exit code 0"),
    ):
        app.check(20)


def test_of_what_it_wrote_only_the_end_is_read(mark: str) -> None:
    with running(python("print('x' * 1_000_000); print('last')", mark)) as app:
        until(lambda: app.last_lines(1) == ["last"])

        assert module._LAST_BYTES >= sum(map(len, app.last_lines()))


def test_a_command_that_is_not_there_is_named_and_nothing_stays(tmp_path: Path) -> None:
    with (
        pytest.raises(CommandError, match="There is no command 'no-such-command'"),
        running(["no-such-command"]),
    ):
        pass


@pytest.mark.parametrize(
    "shell",
    [
        "{python} -I -S -c '{code}' {mark}; true",
        "{python} -I -S -c '{code}' {mark} & wait",
        "{python} -I -S -c '{code}' {mark} & exit 0",
        "setsid {python} -I -S -c '{code}' {mark}; true",
    ],
)
def test_what_it_has_started_ends_with_it_also_when_it_takes_no_signal(
    shell: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ENDS_WITHIN_S", 0.3)
    command = shell.format(python=sys.executable, code=IGNORES, mark=mark)

    with running(["sh", "-c", command]):
        until(lambda: any("-S" in arguments(one) for one in marked(mark)))

    assert [] == marked(mark)


def test_one_that_goes_into_the_background_ends_too(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ENDS_WITHIN_S", 0.3)
    daemon = (
        f"import os; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); {STAYS}"
    )
    environment = {ADDRESS_VARIABLE: f"unix:{mark}/so cket"}

    with app_process(python(daemon, mark), environment, "http://127.0.0.1:9", WORDS) as app:
        with pytest.raises(StartUpError, match="ended with exit code 0"):
            app.check(20)
        until(lambda: len(marked(mark)) == 1)

    assert [] == marked(mark)


def arguments(process: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def test_one_that_ends_by_itself_at_sigterm_has_the_time_to_do_so(
    mark: str, tmp_path: Path
) -> None:
    file = tmp_path / "said"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.2); open(sys.argv[2], 'w').write('goodbye'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "open(sys.argv[2] + '.up', 'w').close()\n"
        "time.sleep(600)\n"
    )

    with running(python(code, mark, file)):
        until(Path(f"{file}.up").exists)

    assert "goodbye" == file.read_text()


@pytest.mark.parametrize("code", [STAYS, IGNORES])
def test_it_ends_when_its_owner_is_killed(code: str, mark: str) -> None:
    command = ["/bin/sh", "-c", f"{sys.executable} -I -S -c '{code}' {mark}; true"]
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *command], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        assert int(owner.stdout.readline())
        until(lambda: len(marked(mark)) == 3)
        owner.kill()

    until(lambda: not marked(mark))


def test_it_ends_also_when_its_keeper_was_killed(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ENDS_WITHIN_S", 0.1)
    monkeypatch.setattr(module, "_KEEPER_PATIENCE_S", 0.1)

    with running(python(IGNORES, mark)) as app:
        app._keeper.kill()

    assert [] == marked(mark)


def test_no_other_process_is_ended(mark: str, tmp_path: Path) -> None:
    with subprocess.Popen(python(STAYS, mark, "other")) as other:
        with running(python(STAYS, mark)):
            until(lambda: len(marked(mark)) == 2)

        assert [other.pid] == marked(mark)
        other.kill()


def test_an_address_that_something_answers_at_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(PortError, match=f"Something answers at {address} already.*--url"):
            refuse_taken(address)

    refuse_taken(address)
