"""The output of a command above a live report."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.injection.running import (
    PATIENCE_S,
    STARLETTE_APP,
    clean_environment,
    free_port,
    until,
)
from unslow.cli.passing import Passing

LARGE = 300_000
"""More bytes than any terminal keeps for a reader."""


def written(data: bytes, passing: Passing) -> None:
    """Writes as a command would that was given our terminal."""
    left = data
    while left:
        left = left[os.write(passing.terminal, left) :]


def test_what_is_written_is_shown_by_whole_lines_and_the_rest_at_the_end() -> None:
    shown: list[str] = []
    with Passing(shown.append) as passing:
        written(b"one\ntwo\nthr", passing)
        until(lambda: bool(shown))
        assert "one\ntwo" == shown[0]
        written(b"ee\nfour", passing)

    assert "one\ntwo\nthree\nfour" == "\n".join(shown).replace("thr\nee", "three")


def test_a_question_is_shown_although_its_line_has_no_end() -> None:
    shown: list[str] = []
    with Passing(shown.append) as passing:
        written(b"Go on? ", passing)
        until(lambda: shown == ["Go on? "])


def test_bytes_are_left_as_they_are() -> None:
    shown: list[str] = []
    with Passing(shown.append) as passing:
        written(b"a\tb\r\n\x1b[31mred\x1b[0m\n\xff\n", passing)

    assert "a\tb\r\n\x1b[31mred\x1b[0m\n\ufffd" == "\n".join(shown)


def test_a_command_is_never_kept_waiting_also_when_nothing_can_be_shown() -> None:
    def gone(_text: str) -> None:
        raise OSError("the terminal is gone")

    with Passing(gone) as passing:
        written(b"x" * 99 + b"\n" * LARGE, passing)


class Terminal:
    """`unslow run --live ARGUMENTS` on a terminal; killed at the end of the `with`."""

    def __init__(self, folder: Path, *arguments: str, stdout: int | None = None) -> None:
        self._ours, theirs = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "unslow", "run", "--live", *arguments],
            cwd=folder,
            env=clean_environment(TERM="xterm-256color", COLUMNS="100", LINES="40"),
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    @property
    def plain(self) -> str:
        """What came, without colours."""
        return re.sub(r"\x1b\[[\d;]*m", "", self.text)

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.read().plain)

    def read(self) -> Terminal:
        """Takes what has come so far."""
        with contextlib.suppress(OSError):
            while select.select([self._ours], [], [], 0.05)[0]:
                data = os.read(self._ours, 65_536)
                if not data:
                    break
                self.text += data.decode(errors="replace")
        return self

    def ended(self) -> int:
        until(lambda: self.read().process.poll() is not None)
        self.read()
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(
        STARLETTE_APP.replace("    return Plain", "    print('asked for'); return Plain")
    )
    return tmp_path


def test_the_output_of_the_app_stands_above_the_report_and_both_are_whole(app: Path) -> None:
    port = free_port()
    with Terminal(app, "app:app", "--port", str(port)) as terminal:
        terminal.wait_for("Uvicorn running")
        for number in range(3):
            get(port, f"/items/{number}")
        terminal.wait_for("GET /items/{n}  3 requests")
        terminal.process.send_signal(signal.SIGINT)
        terminal.ended()

        # In the colours that uvicorn has on a terminal only.
        assert "\x1b[32mINFO\x1b[0m" in terminal.text
        assert 3 == terminal.text.count("asked for")
        assert terminal.text.count("\x1b[?25l") == terminal.text.count("\x1b[?25h") > 0
        # Once more at the end.
        assert terminal.plain.rindex("3 requests") > terminal.plain.rindex("Finished server")


def get(port: int, path: str) -> None:
    code = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}{path}').read()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_command_sees_a_terminal_as_large_as_ours_and_keeps_its_exit_code(
    tmp_path: Path,
) -> None:
    code = (
        "import os, sys\n"
        "print([os.isatty(number) for number in range(3)], os.get_terminal_size(1).columns)\n"
        "print('to stderr', file=sys.stderr)\n"
        "print('no end', end='')\n"
        "sys.exit(7)\n"
    )
    with Terminal(tmp_path, "--", sys.executable, "-c", code) as terminal:
        assert 7 == terminal.ended()

        assert "[True, True, True] 0" in terminal.text
        assert "to stderr" in terminal.text
        assert "no end" in terminal.text


def test_an_output_that_leads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    with (
        (tmp_path / "out").open("wb") as out,
        Terminal(
            tmp_path, "--", sys.executable, "-c", "print('for the file')", stdout=out.fileno()
        ) as terminal,
    ):
        assert 0 == terminal.ended()

        assert "for the file" not in terminal.text
    assert "for the file\n" == (tmp_path / "out").read_text()


def test_without_a_terminal_the_report_comes_at_the_end_and_that_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unslow", "run", "--live", "--", sys.executable, "-c", ""],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "unslow: --live needs a terminal; the report comes at the end" in done.stderr
    assert "" == done.stdout
