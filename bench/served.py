"""An app of a benchmark, started as a check starts one: with an agent in it that has arms."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from unslow.cli.app_process import Words, app_process, free_port
from unslow.cli.recording import Recording
from unslow.cli.serving import Serving
from unslow.prove.link import Link
from unslow.settings import Settings
from unslow.wire import ARMS_VARIABLE

_HOST = "127.0.0.1"


class Served(NamedTuple):
    """A running app."""

    address: str
    link: Link


@contextmanager
def served(factory: str, variables: Mapping[str, str]) -> Iterator[Served]:
    """Serves what a function makes, `MODULE:FUNCTION`, in a process of its own."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        recording = stack.enter_context(Recording(Settings(folder=folder)))
        port = free_port(_HOST)
        command = Serving(factory, port=port, factory=True).command()
        environment = {**recording.environment(os.environ), ARMS_VARIABLE: "1", **variables}
        address = f"http://{_HOST}:{port}"
        app = stack.enter_context(app_process(command, environment, address, Words("The app")))
        app.wait_until_it_answers(30)
        yield Served(address, Link(recording.listener, recording.serving_peers))
