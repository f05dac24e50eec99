"""Turns a skip for a missing server into a failure where every server must be there."""

import os
from collections.abc import Generator

import pytest

REQUIRED = "UNSLOW_REQUIRE_SERVERS"
PREFIX = "missing server:"


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or os.environ.get(REQUIRED) != "1":
        return
    # pytest holds the reason of a skip as the last of (path, line, "Skipped: reason").
    if isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(PREFIX):
            report.outcome = "failed"
            report.longrepr = f"{reason} (a skip for a missing server fails under {REQUIRED}=1)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report
