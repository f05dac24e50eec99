"""Which faults are found, and which correct endpoints are called faulty: unslow beside queryspy.

18 faulty and 10 correct endpoints of one FastAPI app (`faulty.py`, `correct.py`) on one schema:
1200 users with a deferred text in 12 teams, 3600 posts, 3600 tags; SQLAlchemy with psycopg and
asyncpg, and asyncpg alone. Each tool gets the app in a process of its own, a new database, and the
same requests over a real socket, one at a time: unslow as `unslow check --requests FILE --json`,
which sends them in its own rounds, queryspy as the ASGI middleware of its documentation, in an
environment of its own with the same versions of the libraries. Page sizes vary from request to
request. The client takes no compression: that is not what the cases are about.

    python -m bench.trial [CASE ...] [--quick] [--json] [--arms unslow ...] [--cache FOLDER]

A fault counts as found when a right rule (`cases.py`) is named at its route; any finding at a
correct endpoint is a false alarm. Of queryspy, each of its three kinds is right at each loop. The
first time it installs queryspy (a minute). PostgreSQL is the server in UNSLOW_TEST_DATABASE_URL, or
one of our own. The exit code tells whether the trial could be run, not how the tools did.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.field import database_server, new_database, say

from .arms import Measured, Run, try_queryspy, try_unslow
from .cases import CASES, Case
from .data import fill
from .served import TrialError
from .table import Outcome, as_json, show
from .verdict import Tool

ARMS: Final = ("unslow", "queryspy")
REQUESTS_EACH: Final = 9
QUICK_REQUESTS_EACH: Final = 3


def main(arguments: Sequence[str]) -> int:
    """Runs the trial; 0 where it came to its end."""
    given = _parser().parse_args(arguments)
    cases = _chosen(given.names)
    cache = (given.cache or Path.home() / ".cache" / "unslow-trial").resolve()
    requests_each = QUICK_REQUESTS_EACH if given.quick else REQUESTS_EACH
    tools: list[Tool] = []
    measured: Mapping[str, Measured] = {}
    try:
        with database_server() as server_url:
            for arm in given.arms:
                say(f"{arm}: {requests_each} requests to each of {len(cases)} cases")
                with _new_run(server_url, cases, requests_each) as run:
                    if arm == "unslow":
                        tool, measured = try_unslow(run, shlex.split(given.unslow_options))
                    else:
                        tool = try_queryspy(run, cache)
                    tools.append(tool)
    except TrialError as error:
        say(f"The trial could not be run: {error}")
        return 1
    outcome = Outcome(cases, requests_each, tuple(tools), measured)
    if given.json:
        print(json.dumps(as_json(outcome), indent=1))
    else:
        show(outcome)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.trial",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="CASE", help="only these, by their names")
    parser.add_argument("--quick", action="store_true", help="each page size once")
    parser.add_argument("--json", action="store_true", help="on stdout, for other programs")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS, help="which tools")
    parser.add_argument("--cache", type=Path, help="where queryspy's environment is kept")
    parser.add_argument(
        "--unslow-options", default="", metavar="WORDS", help="further words for `unslow run`"
    )
    return parser


def _chosen(names: Sequence[str]) -> tuple[Case, ...]:
    if unknown := set(names) - {case.name for case in CASES}:
        known = ", ".join(case.name for case in CASES)
        sys.exit(f"No such case: {', '.join(sorted(unknown))}. There are: {known}")
    return tuple(case for case in CASES if not names or case.name in names)


@contextmanager
def _new_run(server_url: str, cases: tuple[Case, ...], requests_each: int) -> Iterator[Run]:
    """A filled database and an empty folder, which are gone afterwards."""
    with new_database(server_url) as url, tempfile.TemporaryDirectory() as folder:
        fill(url)
        yield Run(cases, requests_each, Path(folder), url)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
