"""`unslow report`: on every kind of store, terminal and pipe."""

from __future__ import annotations

import json
import os
import pty
import select
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import unslow.cli.reporting
from tests.injection.running import PATIENCE_S, clean_environment
from unslow.cli import command
from unslow.model.codec import dumps, packed_trace
from unslow.model.trace import OWN_CODE, Lane, Place, Process, Slice, Step, Trace
from unslow.store import FILE, FORMAT, Batch, StoreWriter

MS = 1_000_000
RUN = "2026-03-01T12:00:00 aaaa"


def trace(number: int, route: str = "/users/{user_id}") -> Trace:
    """A request of 10 ms, all of it in one line of own code; each ends before the next begins."""
    start, end = 20 * number * MS, (20 * number + 10) * MS
    place = Place("/srv/shop/src/shop/users.py", 97, "get_user")
    lane = Lane(
        "task", 5, -1, start, end, (Step(start, end),), (Slice(start, end, OWN_CODE, None, place),)
    )
    return Trace(
        number, 1, "GET", route, 200, 1_772_366_400 + number, start, end, end, 2, lanes=(lane,)
    )


def record(
    folder: Path, count: int = 6, *, run: str = RUN, process_id: int = 7, batches_count: int = 3
) -> None:
    """Writes a store as one process would."""
    facts = Process(process_id, 1_772_366_400.0, "3.11.7", 0, 0)
    writer = StoreWriter(folder, 2**30, run, facts)
    numbers = range(1, count + 1)
    for first in range(batches_count):
        traces = tuple(dumps(packed_trace(trace(n))) for n in numbers[first::batches_count])
        writer.write(Batch(traces, ()), facts)
    writer.close()


def change(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / FILE) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a store in the current folder, where it is usually."""
    monkeypatch.chdir(tmp_path)
    record(tmp_path / ".unslow")
    return tmp_path / ".unslow"


def reported(*arguments: str) -> str:
    result = CliRunner().invoke(command, ["report", *arguments])
    assert (0, "") == (result.exit_code, result.stderr), result.output
    return result.stdout


def refused(*arguments: str) -> str:
    """The one sentence that it ends with."""
    result: Result = CliRunner().invoke(command, ["report", *arguments])
    assert (2, "") == (result.exit_code, result.stdout), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("unslow: ")
    return line


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "unslow", "report", *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        check=False,
    )


@pytest.mark.usefixtures("store")
def test_a_run_is_shown_with_the_time_at_which_it_was_recorded_not_that_of_now() -> None:
    head, machine, *_ = reported().splitlines()

    assert "1 route · 6 requests · 1 process · 2026-03-01 12:00 UTC" in head
    assert "load" not in machine


@pytest.mark.usefixtures("store")
def test_paths_outside_the_current_folder_are_told_by_their_end() -> None:
    assert "…/shop/src/shop/users.py:97 in get_user" in reported("--all")


def test_what_two_processes_recorded_is_one_report(store: Path) -> None:
    record(store, 4, process_id=8)

    report = json.loads(reported("--json"))

    assert (2, 10) == (report["processes"], report["traces"])
    assert "10 requests · 2 processes" in reported()


def test_a_run_is_named_by_its_beginning_and_else_the_newest_is_shown(store: Path) -> None:
    record(store, 1, run="2026-03-02T08:00:00 bbbb")

    assert "1 request ·" in reported()
    assert "6 requests ·" in reported("--run", "2026-03-01")


def test_a_run_that_is_not_there_is_named_with_those_that_are(store: Path) -> None:
    for day in range(2, 9):
        record(store, 1, run=f"2026-03-0{day}")

    says = refused("--run", "2025")

    assert "no run whose name begins with '2025'; the newest are '2026-03-08', '2026-03-07'" in says
    assert "'2026-03-04' and 3 older ones. Name one by its beginning" in says


def test_of_a_large_run_the_newest_are_shown_and_the_others_are_counted(store: Path) -> None:
    record(store, 400, run="2026-03-02", batches_count=8)

    text = reported("--newest", "60")

    assert "100 requests" in text
    assert "! Only the newest 100 of 400 requests were looked at; for all of them:" in text
    assert "unslow report --newest 400" in " ".join(text.split())
    assert "400 requests" in reported()


def test_how_many_are_shown_can_be_set(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(store, 40, run="2026-03-02", batches_count=8)
    monkeypatch.setenv("UNSLOW_REPORT_TRACES", "5")

    assert "Only the newest 5 of 40 requests" in reported()


def test_a_folder_without_a_store_is_said_with_the_way_to_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert "No traces in .unslow: .unslow/traces.sqlite does not exist. Record some" in refused()
    assert [] == list(tmp_path.iterdir())


def test_a_store_without_a_run_is_said_with_the_way_to_record(store: Path) -> None:
    change(store, "DELETE FROM batches", "DELETE FROM processes")
    assert ".unslow holds no run yet. Record one, for example with: unslow run" in refused()

    (store / FILE).write_bytes(b"")
    assert ".unslow holds no run yet. Record one, for example with: unslow run" in refused()


def test_a_run_without_a_request_is_a_report_that_says_so(store: Path) -> None:
    record(store, 0, run="2026-03-02")

    assert "No request was recorded." in reported()


def test_a_store_of_another_version_is_said_with_what_to_do(store: Path) -> None:
    change(store, f"PRAGMA user_version = {FORMAT + 1}")

    assert f"has format {FORMAT + 1}; this unslow reads format {FORMAT}. Use the" in refused()


def test_a_file_that_is_no_store_is_said_to_be_none(store: Path) -> None:
    (store / FILE).write_bytes(b"not a database, but long enough to be read as one" * 99)

    assert "is not a store of unslow (file is not a database). Delete it, or give" in refused()


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8])
def test_a_store_that_is_cut_off_is_said_to_be_damaged(kept: float, store: Path) -> None:
    record(store, 2_000, run="2026-03-02", batches_count=20)
    os.truncate(store / FILE, int((store / FILE).stat().st_size * kept))

    assert "is damaged: database disk image is malformed. Delete it and record again" in refused()


def test_a_store_that_cannot_be_opened_is_said_with_who_may(store: Path) -> None:
    for file in store.glob(f"{FILE}*"):
        file.unlink()
    (store / FILE).mkdir()

    assert "cannot be read: unable to open database file. Who reads it has to be" in refused()


def test_what_is_damaged_in_a_run_is_left_out_and_said(store: Path) -> None:
    change(
        store,
        "UPDATE batches SET packed = substr(packed, 1, length(packed) / 2) WHERE id = 1",
        "UPDATE batches SET packed = x'00' WHERE id = 2",
        "UPDATE processes SET facts = '{'",
    )

    text = reported()

    assert "1 route · 2 requests" in text
    assert "! The store is damaged: 3 of its parts cannot be read, and the requests in" in text


@pytest.mark.usefixtures("store")
def test_a_wrong_setting_and_a_wrong_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 == CliRunner().invoke(command, ["report", "--newest", "0"]).exit_code

    monkeypatch.setenv("UNSLOW_REPORT_TRACES", "all")
    assert "UNSLOW_REPORT_TRACES is 'all'; wanted is a whole number" in refused()


@pytest.mark.usefixtures("store")
def test_ctrl_c_has_its_own_exit_code_and_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(unslow.cli.reporting, "report_of_store", interrupted)

    result = CliRunner().invoke(command, ["report"])

    assert (130, "\n") == (result.exit_code, result.output)


def test_json_is_whole_and_the_only_thing_on_stdout(store: Path) -> None:
    done = run("--json", folder=store.parent)

    assert (0, b"") == (done.returncode, done.stderr)
    assert 1 == json.loads(done.stdout)["format"]


def test_where_there_is_no_terminal_there_are_no_codes_for_one(store: Path) -> None:
    done = run(folder=store.parent, TERM="xterm-256color")

    assert (0, b"") == (done.returncode, done.stderr)
    assert b"\x1b" not in done.stdout


def test_a_width_that_was_set_holds_without_a_terminal_too(store: Path) -> None:
    text = run("--all", folder=store.parent, COLUMNS="60").stdout.decode()

    assert 60 >= max(map(len, text.splitlines())) > 50


def test_where_only_ascii_is_known_nothing_else_is_written(store: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

    done = run("--all", folder=store.parent, **plain)

    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout.isascii()
    assert b"own-code" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_a_reader_who_has_seen_enough_is_left_in_peace(
    arguments: tuple[str, ...], store: Path
) -> None:
    reads, writes = os.pipe()
    os.close(reads)

    done = subprocess.run(
        [sys.executable, "-m", "unslow", "report", *arguments],
        cwd=store.parent,
        env=clean_environment(),
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writes)

    assert b"" == done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_a_full_disk_is_said(arguments: tuple[str, ...], store: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "unslow", "report", *arguments],
            cwd=store.parent,
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert 2 == done.returncode
    assert b"unslow: The disk is full. Make room, or write elsewhere.\n" == done.stderr


def on_a_terminal(folder: Path, outputs: Callable[[int], dict[str, int]], **more: str) -> str:
    """What comes on a terminal to which some of the outputs lead."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "unslow", "report"],
        cwd=folder,
        env=clean_environment(**{"TERM": "xterm-256color", "COLUMNS": "100"} | more),
        **outputs(theirs),  # type: ignore[call-overload]  # of the names that Popen knows
    )
    os.close(theirs)
    text = b""
    with process:
        while select.select([ours], [], [], PATIENCE_S)[0]:
            try:
                text += os.read(ours, 65_536)
            except OSError:
                # Nobody has the other end any more.
                break
    os.close(ours)
    assert 0 == process.returncode
    return text.decode()


def test_a_terminal_gets_colours_and_one_that_wants_none_gets_none(store: Path) -> None:
    def both(terminal: int) -> dict[str, int]:
        return {"stdout": terminal, "stderr": terminal}

    assert "\x1b[38;5;" in on_a_terminal(store.parent, both)
    assert "\x1b[38;5;" not in on_a_terminal(store.parent, both, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(store.parent, both, TERM="dumb")


def test_what_goes_on_is_shown_on_stderr_where_that_is_a_terminal_and_leaves_nothing(
    store: Path,
) -> None:
    text = on_a_terminal(
        store.parent, lambda terminal: {"stdout": subprocess.DEVNULL, "stderr": terminal}
    )

    assert "Working out the receipts" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0
    assert "own-code" not in text
