"""Known blocking calls, each held for a time that the test decides."""

from __future__ import annotations

import builtins
import inspect
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.record.probes.asgi import function_of, receipt_ms
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import milliseconds, slices_of
from unslow.current import LANE, OpenTrace
from unslow.model.trace import BLOCKING

PATIENCE_S = 30
OWNERS = (builtins, os, pathlib.Path, subprocess.Popen, time)


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install("blocking")
    return bench


class Pipe:
    """A file that opens only when its other end is opened, some time after it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked = threading.Event()
        os.mkfifo(path)

    def write(self) -> None:
        self.asked.wait(PATIENCE_S)
        threading.Event().wait(0.05)
        end = os.open(self.path, os.O_WRONLY)
        # Who only opens it may have closed it by now.
        with suppress(BrokenPipeError):
            os.write(end, b"line\n")
        os.close(end)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "pipe")
    writer = threading.Thread(target=pipe.write)
    writer.start()
    yield pipe
    writer.join(PATIENCE_S)


def whats(trace: OpenTrace) -> list[str]:
    return [one[3] for one in slices_of(trace, BLOCKING)]


def test_a_sleep_on_the_loop_is_blocking_at_the_line_that_sleeps(probed: Bench) -> None:
    async def work() -> None:
        time.sleep(0.02)  # noqa: ASYNC251  # the mistake that is to be seen

    trace = probed.run(work)

    (only,) = slices_of(trace, BLOCKING)
    assert ("time.sleep", "work") == (only[3], function_of(only))
    assert 20 <= milliseconds([only])
    assert 20 <= receipt_ms(trace)["blocking"]


def test_what_takes_no_time_is_no_blocking_call(probed: Bench, tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_text("x")

    def work() -> None:
        for _ in range(20):
            time.sleep(0)
            path.exists()

    # `sleep(0)` lets others run: on a machine that is busy it may take its time.
    assert [] == [one for one in slices_of(probed.run(work), BLOCKING) if milliseconds([one]) < 0.1]


@pytest.mark.parametrize(
    ("what", "read"),
    [
        ("open", lambda path: open(path, encoding="utf-8").close()),
        ("pathlib.Path.read_text", lambda path: path.read_text()),
        ("pathlib.Path.read_bytes", lambda path: path.read_bytes()),
    ],
)
def test_a_file_that_comes_slowly_is_blocking(
    probed: Bench, pipe: Pipe, what: str, read: Callable[[Path], Any]
) -> None:
    def work() -> None:
        pipe.asked.set()
        read(pipe.path)

    trace = probed.run(work)

    assert what in whats(trace)
    assert 10 <= milliseconds(slices_of(trace, BLOCKING))


@pytest.mark.parametrize(
    "run",
    [
        lambda command: subprocess.run(command, check=True, capture_output=True).stdout,
        subprocess.check_output,
        lambda command: subprocess.Popen(command, stdout=subprocess.PIPE).communicate()[0],
    ],
    ids=["run", "check_output", "communicate"],
)
def test_a_process_that_is_waited_for_is_blocking(
    probed: Bench, run: Callable[[list[str]], bytes]
) -> None:
    said: list[bytes] = []

    def work() -> None:
        said.append(run([sys.executable, "-c", "print('done')"]))

    trace = probed.run(work)

    assert [b"done"] == [one.strip() for one in said]
    assert {"subprocess.Popen", "subprocess.Popen.communicate"} <= set(whats(trace))
    assert receipt_ms(trace)["framework"] < receipt_ms(trace)["blocking"]


def test_waiting_for_a_process_and_for_a_shell_is_blocking(probed: Bench) -> None:
    def work() -> None:
        with subprocess.Popen(["/bin/sh", "-c", "sleep 0.02"]) as process:
            assert 0 == process.wait(timeout=PATIENCE_S)
        assert 0 == os.system("sleep 0.02")  # noqa: S605  # what is to be seen

    trace = probed.run(work)

    assert {"subprocess.Popen.wait", "os.system"} <= set(whats(trace))
    assert 40 <= milliseconds(slices_of(trace, BLOCKING))


def test_inside_a_statement_the_statement_holds(probed: Bench) -> None:
    def work() -> None:
        lane = LANE.get()
        assert lane is not None
        lane.inside_sql += 1
        time.sleep(0.001)
        with subprocess.Popen(["true"]):
            pass
        lane.inside_sql -= 1

    assert [] == whats(probed.run(work))


def test_errors_and_results_pass_and_the_time_until_then_is_kept(probed: Bench) -> None:
    def work() -> None:
        with pytest.raises(FileNotFoundError):
            open("/nothing/here", encoding="utf-8")  # noqa: SIM115  # it does not open
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "5"], check=False, timeout=0.01)
        with pytest.raises(TypeError):
            time.sleep("long")  # type: ignore[arg-type]  # a user's mistake

    trace = probed.run(work)

    assert "subprocess.Popen.communicate" in whats(trace)


def test_replaced_functions_behave_like_those_of_the_interpreter(
    probed: Bench, tmp_path: Path
) -> None:
    Sleeper: Any = type("Sleeper", (), {"sleep": time.sleep, "open": open})  # noqa: N806  # a class
    path = tmp_path / "file"
    with Sleeper().open(path, "w", encoding="utf-8") as file:
        file.write("x")
    Sleeper().sleep(0)
    with (
        mock.patch("builtins.open", mock.mock_open(read_data="mocked")),
        open("anything", encoding="utf-8") as mocked,
    ):
        assert "mocked" == mocked.read()

    assert "x" == path.read_text(encoding="utf-8")
    for function in (time.sleep, os.system, open):
        assert function is pickle.loads(pickle.dumps(function))  # noqa: S301  # of our own making
        assert callable(function)
        assert repr(function).startswith("<built-in function ")
    assert list(inspect.signature(open).parameters)[:2] == ["file", "mode"]
    assert ("sleep", "time") == (time.sleep.__name__, time.sleep.__module__)


def test_undo_leaves_nothing_behind(bench: Bench) -> None:
    before = [dict(vars(owner)) for owner in OWNERS]

    bench.install("blocking")
    during = [dict(vars(owner)) for owner in OWNERS]
    bench.probes.stop()

    assert all(one != other for one, other in zip(before, during, strict=True))
    assert before == [dict(vars(owner)) for owner in OWNERS]
