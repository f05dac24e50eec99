"""For your tests: how many statements a route of your app sends."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

from .errors import UnslowError


class NotCountedError(UnslowError):
    """The statements of a route could not be counted; the message says why."""


def statements_of(target: str, route: str, *options: str) -> int:
    """The most statements that one request of a route sends, transaction control included.

    Starts the app as `unslow check` does, in a process of its own, with requests made from its
    OpenAPI document and from `[tool.unslow.check]`; a few seconds.

    Args:
        target: MODULE:APP.
        route: Such as `GET /users/{user_id}/posts`.
        options: Further options of `unslow check`.

    Raises:
        NotCountedError: the app could not be asked, or no request of the route counted.
    """
    small = ("--no-trials", "--concurrency", "1", "--only", route)
    with tempfile.TemporaryDirectory(prefix="unslow-test-") as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "unslow", "check", target, *small),
                *("--json", "--folder", folder, *options),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise NotCountedError(
            f"{route} of {target} could not be asked: {done.stderr.strip() or 'nothing was said'}"
        )
    found = [
        int(one["statements"]["max"])
        for one in json.loads(done.stdout)["endpoints"]
        if route in (f"{one['method']} {one['route']}", one["route"]) and one["requests_counted"]
    ]
    if not found:
        raise NotCountedError(
            f"{route} of {target} was not answered so that it counts. See what it answers: unslow"
            f" check {target} --only '{route}'"
        )
    return max(found)
