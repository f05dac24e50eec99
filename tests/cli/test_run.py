"""`unslow run` as its user meets it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.injection.running import (
    PATIENCE_S,
    PLAIN_APP,
    STARLETTE_APP,
    Run,
    clean_environment,
    free_port,
    until,
)
from unslow.store import reading

HANDED_ON = ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH")
SERVES = """
import sys, uvicorn
from app import app
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


def python(code: str, *flags: str) -> tuple[str, ...]:
    return ("--", sys.executable, *flags, "-c", code)


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("", 0),
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.kill(os.getpid(), 15)", -15),
        ("import os; os.kill(os.getpid(), 3)", -3),
    ],
)
def test_it_ends_as_the_command_ended(code: str, exit_code: int, tmp_path: Path) -> None:
    with Run(tmp_path, *python(code)) as run:
        assert exit_code == run.ended()

        assert "" == run.out


def test_stdin_and_stdout_are_the_commands_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unslow", "run", "--", "cat"],
        cwd=tmp_path,
        env=clean_environment(),
        input=b"\0through\xff",
        capture_output=True,
        check=True,
    )

    assert b"\0through\xff" == done.stdout


def test_each_signal_that_is_sent_to_it_alone_reaches_the_command_once(tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "names = sys.argv[1:]\n"
        "numbers = [getattr(signal, 'SIG' + name) for name in names]\n"
        "got = []\n"
        "for number in numbers: signal.signal(number, lambda number, _: got.append(number))\n"
        "print('ready', flush=True)\n"
        "while len(got) < len(numbers):\n"
        "    signal.sigtimedwait([], 0.05)\n"
        "    print(len(got), flush=True)\n"
        "signal.sigtimedwait([], 0.2)\n"
        "print([signal.Signals(number).name[3:] for number in got])\n"
    )

    with Run(tmp_path, *python(code), *HANDED_ON) as run:
        run.wait_until_printed("ready")
        for count, name in enumerate(HANDED_ON, start=1):
            run.process.send_signal(getattr(signal, f"SIG{name}"))
            run.wait_until_printed(f"{count}\n")
        assert 0 == run.ended()

        assert f"{list(HANDED_ON)}" == run.out.splitlines()[-1]


def test_ctrl_c_in_a_terminal_reaches_the_command_once(tmp_path: Path) -> None:
    code = (
        "import signal\n"
        "got = []\n"
        "signal.signal(signal.SIGINT, lambda number, _: got.append(number))\n"
        "print('ready', flush=True)\n"
        "while not got: signal.sigtimedwait([], 0.05)\n"
        "signal.sigtimedwait([], 0.3)\n"
        "print('got', len(got), 'in all', flush=True)\n"
    )
    command = [sys.executable, "-m", "unslow", "run", *python(code)]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvpe(command[0], command, clean_environment())  # noqa: S606  # the terminal is wanted
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while b"in all" not in shown:
        shown += os.read(terminal, 1000)
    _, status = os.waitpid(child, 0)
    os.close(terminal)

    assert b"got 1 in all" in shown
    assert 0 == os.waitstatus_to_exitcode(status)


def test_as_the_first_process_of_a_container_it_takes_in_orphans_and_exits_with_128_and_the_signal(
    tmp_path: Path,
) -> None:
    unshare = shutil.which("unshare")
    alone = [unshare or "", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if unshare is None or subprocess.call([*alone, "true"], stderr=subprocess.DEVNULL):
        pytest.skip("this system lets nobody make a namespace of processes")
    # The orphan becomes a child of the first process; taken in, it leaves no zombie behind.
    code = (
        "import os, signal, subprocess\n"
        "orphan = int(subprocess.check_output(['sh', '-c', 'sleep 0 >&- & echo $!']))\n"
        "path = f'/proc/{orphan}'\n"
        "for _ in range(200):\n"
        "    if not os.path.exists(path): break\n"
        "    signal.sigtimedwait([], 0.02)\n"
        "print('taken in' if not os.path.exists(path) else 'zombie', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )

    done = subprocess.run(
        [*alone, sys.executable, "-m", "unslow", "run", *python(code)],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "taken in\n" == done.stdout, done.stderr
    assert 143 == done.returncode


SILENT = {
    "-I": (python("import time; time.sleep(60)", "-I"), "runs with -I, which keeps PYTHONPATH"),
    "-E": (python("import time; time.sleep(60)", "-sE"), "runs with -E, which keeps PYTHONPATH"),
    "-S": (python("import time; time.sleep(60)", "-S"), "runs with -S, which starts no site"),
    "below a shell": (
        ("--", "sh", "-c", f"{sys.executable} -I -c 'import time; time.sleep(60)'; true"),
        "runs with -I",
    ),
    "env -i": (
        ("--", "env", "-i", sys.executable, "-c", "import time; time.sleep(60)"),
        "was started with a clean environment",
    ),
    "a PYTHONPATH of its own": (
        ("--", "env", "PYTHONPATH=/a", sys.executable, "-c", "import time; time.sleep(60)"),
        "was started with a PYTHONPATH of its own",
    ),
    "no Python": (("--", "sleep", "60"), "no Python runs in it (it runs "),
    "a command that takes no SIGTERM": (
        ("--", "sh", "-c", "trap '' TERM; while true; do sleep 1; done"),
        "no Python runs in it (it runs ",
    ),
}


@pytest.fixture(scope="module")
def silent_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Commands that never say hello, side by side: each waits for its time."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Run(
                    tmp_path_factory.mktemp("silent"),
                    *command,
                    environment={"UNSLOW_HELLO_TIMEOUT_S": "1"},
                )
            )
            for name, (command, _) in SILENT.items()
        }


@pytest.mark.parametrize("name", SILENT)
def test_a_command_that_says_no_hello_in_time_is_ended_with_the_reason_and_the_way_by_hand(
    name: str, silent_runs: dict[str, Run]
) -> None:
    run = silent_runs[name]

    assert 2 == run.ended()

    (said,) = run.said
    assert "No process of the command said hello within 1 s, so it was ended" in said
    assert SILENT[name][1] in said
    assert "unslow.install(app)" in said


def test_nothing_of_a_silent_command_goes_on(tmp_path: Path) -> None:
    mark = f"mark{os.getpid()}"
    shell = f"{sys.executable} -I -c 'import time; time.sleep(60)' {mark}; true"

    with Run(tmp_path, "--", "sh", "-c", shell, environment={"UNSLOW_HELLO_TIMEOUT_S": "1"}) as run:
        assert 2 == run.ended()

    assert [] == [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists() and mark in path.read_text(errors="replace")
    ]


def test_a_command_that_ends_by_itself_without_a_hello_keeps_its_exit_code(tmp_path: Path) -> None:
    with Run(tmp_path, *python("raise SystemExit(5)", "-I")) as run:
        assert 5 == run.ended()

        (said,) = run.said
        assert "ended by itself" in said
        assert "nothing was recorded" in said
        assert "runs with -I" in said


def test_an_agent_without_an_app_says_that_nothing_was_recorded(tmp_path: Path) -> None:
    with Run(tmp_path, *python("")) as run:
        assert 0 == run.ended()

        (said,) = run.said
        assert "no app came up at a server that it knows" in said


def test_an_app_without_a_request_says_so(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PLAIN_APP)
    port = free_port()
    with Run(tmp_path, "app:app", "--port", str(port), port=port) as run:
        run.wait_until_served()
        run.end()

        assert "unslow: the app was served, but no request reached it while it was" in run.said


def test_an_app_that_takes_the_agent_in_itself_says_hello_where_nothing_can_be_injected(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(f"{PLAIN_APP}\nimport unslow\napp = unslow.install(app)\n")
    (tmp_path / "serve.py").write_text(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{SERVES}"
    )
    port = free_port()
    command = ("--", sys.executable, "-I", "serve.py", str(port))
    with Run(tmp_path, *command, environment={"UNSLOW_HELLO_TIMEOUT_S": "5"}, port=port) as run:
        run.wait_until_served()
        run.get("/")
        run.end()

        assert 1 == len(run.traces()), run.err


def refused(folder: Path, *arguments: str, **environment: str) -> str:
    """What it says when it ends with exit code 2."""
    with Run(folder, *arguments, environment=environment) as run:
        assert 2 == run.ended(), run.err

        assert "Traceback" not in "".join(run.said)
        return run.err


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "There is no command 'no-such-command'" in refused(tmp_path, "--", "no-such-command")


def test_a_file_that_may_not_be_executed_is_named(tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("text\n")

    assert "'./serve' may not be executed" in refused(tmp_path, "--", "./serve")


def test_a_module_that_is_not_there_is_named_before_anything_starts(tmp_path: Path) -> None:
    err = refused(tmp_path, "nowhere:app")

    assert f"There is no module 'nowhere' in {tmp_path}" in err


def test_an_attribute_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PLAIN_APP)

    err = refused(tmp_path, "app:other", "--port", str(free_port()))

    assert 'app:other did not start: Attribute "other" not found in module "app".' in err


def test_an_app_that_fails_when_it_is_imported_is_shown_with_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise RuntimeError('no settings')\n")

    err = refused(tmp_path, "app:app", "--port", str(free_port()))

    assert "raise RuntimeError('no settings')" in err
    assert "unslow: app:app did not start: RuntimeError: no settings." in err


def test_an_app_that_fails_at_its_start_up_is_shown_with_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from contextlib import asynccontextmanager\n"
        "from starlette.applications import Starlette\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    raise RuntimeError('no database')\n"
        "    yield\n"
        "app = Starlette(lifespan=lifespan)\n"
    )

    err = refused(tmp_path, "app:app", "--port", str(free_port()))

    assert "RuntimeError: no database" in err
    assert "unslow: app:app did not start: its start-up failed." in err


def test_an_app_that_never_loads_in_its_workers_is_named_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise RuntimeError('no settings')\n")
    port = str(free_port())

    with Run(tmp_path, "app:app", "--port", port, "--workers", "2") as run:
        run.wait_until_printed("RuntimeError: no settings")
        assert 2 == run.end()

        assert "app:app did not start: RuntimeError: no settings" in run.said[-1]


def test_an_app_of_a_command_that_fails_when_it_is_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise RuntimeError('no settings')\n")

    with Run(tmp_path, "--", sys.executable, "-m", "uvicorn", "app:app") as run:
        assert 1 == run.ended()

        assert (
            "unslow: nothing was recorded: the app could not be loaded: RuntimeError: no settings"
        ) == run.said[-1]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PLAIN_APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        err = refused(tmp_path, "app:app", "--port", str(port))

    assert f"Port {port} of 127.0.0.1 is in use by another program" in err


def test_a_store_that_cannot_be_written_is_named_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    err = refused(tmp_path, "--folder", "file/store", *python("print('started')"))

    assert "Cannot write traces to" in err
    assert "--folder PATH" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give one of both: MODULE:APP, or a command behind two dashes"),
        (("app:app", "--", "true"), "Give one of both"),
        (("gunicorn", "app:app"), "such as unslow run -- gunicorn app:app"),
        (("gunicorn",), "unslow run -- gunicorn ..."),
        (("--workers", "2", "--", "true"), "--workers belongs to MODULE:APP"),
        (("src/app.py:app",), "a module is wanted: src.app:app"),
    ],
)
def test_words_that_make_no_sense_are_refused_with_those_that_do(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    assert says in refused(tmp_path, *arguments)


def test_a_wrong_setting_is_refused(tmp_path: Path) -> None:
    err = refused(tmp_path, *python(""), UNSLOW_RING_TRACES="many")

    assert "UNSLOW_RING_TRACES is 'many'" in err


def test_two_runs_at_once_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(STARLETTE_APP)
    ports = (free_port(), free_port())
    with ExitStack() as stack:
        runs = [
            stack.enter_context(Run(tmp_path, "app:app", "--port", str(port), port=port))
            for port in ports
        ]
        for count, run in enumerate(runs, start=1):
            run.wait_until_served()
            for _ in range(count):
                run.get("/items/1")
        for run in runs:
            run.end()

        with reading(tmp_path / ".unslow") as reader:
            recorded = [reader.run(name) for name in reader.runs()]
        assert [1, 2] == sorted(
            sum(len(process.traces) for process in processes) for processes in recorded
        )


def test_json_goes_to_stdout_and_the_text_does_not(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PLAIN_APP)
    port = free_port()
    for flags, out in ((("--json",), True), ((), False)):
        with Run(tmp_path, "app:app", "--port", str(port), *flags, port=port) as run:
            run.wait_until_served()
            run.get("/")
            run.end()

            # uvicorn writes its own lines for requests there.
            lines = [line for line in run.out.splitlines() if "HTTP/1.1" not in line]
            assert out is bool(lines)
            assert not out or 1 == json.loads("\n".join(lines))["format"]


def test_a_run_that_is_switched_off_leaves_the_command_as_it_is(tmp_path: Path) -> None:
    code = "import os; print([name for name in os.environ if name.startswith('UNSLOW_WIRE')])"

    with Run(tmp_path, *python(code), environment={"UNSLOW_ENABLED": "false"}) as run:
        assert 0 == run.ended()

        assert "[]\n" == run.out
        assert ["unslow: the setting `enabled` is false: nothing is recorded"] == run.said
        assert not (tmp_path / ".unslow").exists()


def test_processes_that_go_on_when_the_command_has_ended_are_named_and_keep_their_agent(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(STARLETTE_APP)
    (tmp_path / "serve.py").write_text(SERVES)
    port = free_port()
    # The shell ends when the port is listened at.
    waits = (
        f"{sys.executable} serve.py {port} & "
        f"until {sys.executable} -I -c 'import socket; socket.create_connection"
        f'(("127.0.0.1", {port}))\' 2>/dev/null; do :; done; echo $!'
    )

    with Run(tmp_path, "--", "sh", "-c", waits, port=port) as run:
        assert 0 == run.ended()
        process = run.out.strip()
        assert "1" == run.get("/items/1")
        os.kill(int(process), signal.SIGTERM)
        until(lambda: len(run.traces()) == 1)

        assert any(
            f"go on and record into {tmp_path}/.unslow: {process}" in one for one in run.said
        )


def test_without_the_tools_libraries_the_command_says_so_in_one_sentence(tmp_path: Path) -> None:
    code = "import sys; sys.modules['click'] = None; from unslow.__main__ import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert 2 == done.returncode
    assert (
        "unslow: The command needs click, which is not installed; only the agent is. Install the"
        " tool: pip install 'unslow[cli]'\n"
    ) == done.stderr


def test_a_killed_tool_leaves_the_app_running(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(STARLETTE_APP)
    port = free_port()
    with Run(tmp_path, "app:app", "--port", str(port), port=port) as run:
        run.wait_until_served()
        run.process.kill()
        run.process.wait(PATIENCE_S)

        assert ["1", "2"] == [run.get("/items/1"), run.get("/items/2")]
        until(lambda: len(run.traces()) == 2)
