"""A pytest plugin that makes each test a request, where the agent is in the process.

For suites of libraries that know nothing of requests: with no trace open, everything that the agent
has replaced steps aside at once, and running such a suite would prove little.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from types import SimpleNamespace

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Runs a test under a trace of its own."""
    if "unslow.agent" not in sys.modules:
        return (yield)
    from unslow.current import LANE, OpenTrace
    from unslow.record.recorder import recorder

    trace = OpenTrace("TEST", recorder.slices_per_trace)
    token = LANE.set(trace.root)
    try:
        return (yield)
    finally:
        LANE.reset(token)
        trace.close()
        recorder.keep(trace, {"route": SimpleNamespace(path=item.nodeid.partition("[")[0])})
