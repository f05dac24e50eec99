"""A run of tests that is recorded: the agent in this process, and what pytest tells of it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from .. import agent
from ..errors import UnslowError
from ..prove.workload.recorded import FILE, write_recorded
from ..record.exchanges import exchanges, left_parts, part_file, parts_of, write_part
from ..record.recorder import recorder
from ..settings import Settings, load
from ..store import open_for_writing
from .clients import ClientHook
from .printed import report_text
from .tally import Tally
from .tracebacks import hide_own_frames, show_own_frames

_KEY: Final = "unslow"
"""Under which a worker of xdist tells what it has counted."""


class Recording:
    """The plugin itself, from the start of pytest to its end.

    Nothing here changes the outcome of a test or the exit code: what goes wrong is said at the end.
    """

    def __init__(self, config: pytest.Config, wants_report: bool, workload: str | None) -> None:
        self._config = config
        self._wants_report = wants_report
        self._wants_workload = workload is not None
        self._started_in = Path.cwd()
        self._tally = Tally()
        self._says: dict[str, None] = {}
        """What is to be said beside the report, each sentence once."""
        self._is_on = False
        with self._guarded():
            self._settings = load()
            self._folder = Path(os.path.abspath(self._settings.folder))
            self._workload = Path(os.path.abspath(workload or self._folder / FILE))
            self._begin(self._settings)

    def _begin(self, settings: Settings) -> None:
        if not settings.enabled:
            self._say("the setting `enabled` is false: nothing is recorded")
            return
        open_for_writing(self._folder).close()
        # It may be here already, with a run of its own: `unslow run -- pytest --unslow`.
        was_here = recorder.recording
        self._run = os.environ.get(agent.RUN_VARIABLE) or (None if was_here else _new_run())
        self._name_run()
        clients = ClientHook()
        if not was_here:
            agent.start(settings, route="pytest")
            self._config.add_cleanup(agent.stop)
        clients.install()
        self._config.add_cleanup(clients.uninstall)
        exchanges.is_counting, exchanges.is_keeping = True, self._wants_workload
        self._config.add_cleanup(exchanges.stop)
        self._config.add_cleanup(show_own_frames)
        self._part = part_file(self._folder, self._run or "")
        self._is_on = True

    def _name_run(self) -> None:
        """Names the run to the workers of xdist, which this process will start."""
        if self._run is not None and agent.RUN_VARIABLE not in os.environ:
            os.environ[agent.RUN_VARIABLE] = self._run
            self._config.add_cleanup(_unname_run)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keeps what goes wrong in here from pytest."""
        try:
            yield
        except UnslowError as error:
            self._say(str(error))
        except Exception as error:
            self._say(f"a mistake of unslow's own: {_where(error)}")

    def _say(self, sentence: str) -> None:
        self._says[sentence] = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Has requests know which test sends them."""
        self._tally.tests_count += 1
        exchanges.label = item.nodeid
        try:
            return (yield)
        finally:
            exchanges.label = ""
            with self._guarded():
                self._take()

    def _take(self) -> None:
        """Takes what has been noted since, so that no more than a test's requests are in memory."""
        # One by one: other threads may add to them meanwhile.
        self._tally.note(exchanges.begun.popleft() for _ in range(len(exchanges.begun)))
        if kept := exchanges.take():
            write_part(self._part, kept)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Has a failed test look as it does without us."""
        if call.excinfo is not None:
            with self._guarded():
                hide_own_frames()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Writes what was recorded: the innermost wrapper, before anybody sums up."""
        try:
            return (yield)
        finally:
            if self._is_on:
                for step in (self._take, agent.flush, self._look_around, self._hand_over):
                    with self._guarded():
                        step()

    def _look_around(self) -> None:
        """Notes what was not recorded."""
        store, loop = (recorder.coverage.get(what) for what in ("store", "event loop"))
        self._tally.met_other_loop = self._tally.met_other_loop or loop is not None
        if store is not None and store.state == "off":
            self._say(f"the store is off, so the report lacks requests: {store.why}")
        if exchanges.trouble:
            self._say(f"not all requests were kept: {exchanges.trouble}, a mistake of unslow's own")
        if exchanges.dropped_count:
            self._say(f"{exchanges.dropped_count:,} requests were not kept: too many in one test")

    def _hand_over(self) -> None:
        """Tells the controller of xdist, or is it."""
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[_KEY] = {**self._tally.told(), "says": list(self._says)}
        elif self._wants_workload:
            self._write_workload()

    def _write_workload(self) -> None:
        parts = parts_of(self._folder, self._run or "")
        try:
            written = write_recorded(self._workload, parts)
        finally:
            for part in {*parts, *left_parts(self._folder)}:
                part.unlink(missing_ok=True)
        if not written.sent_count:
            self._say(f"no request was kept, so {self._shown(self._workload)} was not written")
            return
        left_out = f"; {written.left_out_count:,} with a body above 1 MB were left out"
        self._say(
            f"{written.requests_count:,} different of {written.sent_count:,} requests were written"
            f" to {self._shown(self._workload)}{left_out if written.left_out_count else ''}"
        )

    def _shown(self, path: Path) -> str:
        inside = path.is_relative_to(self._started_in)
        return str(path.relative_to(self._started_in) if inside else path)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended."""
        with self._guarded():
            told = getattr(node, "workeroutput", {}).get(_KEY)
            if told is None:
                self._tally.lost_workers_count += 1
                return
            self._tally.add(told)
            for sentence in told["says"]:
                self._say(sentence)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints the report, and the sentences."""
        terminalreporter.write_sep("=", "unslow")
        if self._is_on:
            if self._wants_report and self._tally.requests_count:
                with self._guarded():
                    terminalreporter.write(self._report(terminalreporter))
                    terminalreporter.write_line("")
            terminalreporter.write_line(f"unslow: {self._tally.sentence()}")
        for sentence in self._says:
            terminalreporter.write_line(f"unslow: {sentence}")

    def _report(self, terminal: pytest.TerminalReporter) -> str:
        return report_text(
            self._folder,
            self._run,
            newest_count=self._settings.report_traces,
            width=self._config.get_terminal_writer().fullwidth if terminal.isatty else None,
            has_colours=terminal.hasmarkup,
            shown_from=self._started_in,
            baseline=self._settings.baseline,
        )


def _where(error: BaseException) -> str:
    """The kind of an error and its line; its text may hold what a request has brought."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    kind = type(error).__name__
    if traceback is None:
        return kind
    return f"{kind} at {Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}"


def _new_run() -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {secrets.token_hex(4)}"


def _unname_run() -> None:
    os.environ.pop(agent.RUN_VARIABLE, None)
