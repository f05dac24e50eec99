"""The plugin of pytest: what the requests that the tests send spend their time on.

Every pytest imports this file where unslow is installed, so it holds the options only: without one
of them nothing else of ours is imported, and nothing is hooked.
"""

from __future__ import annotations

import argparse
import copy
from itertools import pairwise
from typing import Final

import pytest

_RECORD: Final = "--unslow-record"
_NAME: Final = "unslow-recording"
_SUFFIX: Final = ".jsonl"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds our options."""
    group = parser.getgroup("unslow", "where the time of requests goes")
    group.addoption(
        "--unslow",
        action="store_true",
        default=False,
        help="Record the requests that the tests send through ASGI apps in this process, and report"
        " at the end where their time went.",
    )
    group.addoption(
        _RECORD,
        nargs="?",
        const="",
        default=None,
        metavar="FILE",
        help="Write the requests that the tests send, with all their values, to FILE, to be sent"
        " again by `unslow check --recorded`.  [default: .unslow/recorded.jsonl]",
    )


def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    """Starts before the first conftest.py, which may import the app."""
    taken = early_config.known_args_namespace.unslow_record
    if taken and not taken.endswith(_SUFFIX):
        _give_back(args, taken)
        options = copy.copy(early_config.option)
        early_config.known_args_namespace = parser.parse_known_args(args, options)
    _start(early_config, early_config.known_args_namespace)


def _give_back(args: list[str], taken: str) -> None:
    """Has an option without a value leave the next word alone: `--unslow-record tests` is a path.

    Without this, `--unslow-record tests/test_users.py` would write over the test.
    """
    for index, (one, following) in enumerate(pairwise(args)):
        if (one, following) == (_RECORD, taken):
            args[index] = f"{_RECORD}="


def pytest_configure(config: pytest.Config) -> None:
    """Starts where a conftest.py, or a worker of xdist, has loaded the plugin."""
    _start(config, config.option)


def _start(config: pytest.Config, options: argparse.Namespace) -> None:
    wants_report: bool = options.unslow
    workload: str | None = options.unslow_record
    if not (wants_report or workload is not None) or config.pluginmanager.has_plugin(_NAME):
        return
    if workload and not workload.endswith(_SUFFIX):
        raise pytest.UsageError(
            f"{_RECORD} got {workload!r} as the file to write, whose name must end in {_SUFFIX}:"
            f" give one, such as {_RECORD}=requests{_SUFFIX}, or none: {_RECORD}"
        )
    plugin: object
    try:
        from .recording import Recording

        plugin = Recording(config, wants_report, workload)
    except Exception as error:
        plugin = _Broken(error)
    config.pluginmanager.register(plugin, _NAME)


class _Broken:
    """Stands for what could not be started, and says so at the end."""

    def __init__(self, error: Exception) -> None:
        self._says = f"{type(error).__name__}: {error}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(f"unslow: nothing was recorded, it broke: {self._says}")
