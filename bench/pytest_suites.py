"""`pytest --unslow` on public test suites of FastAPI projects.

Each suite of `bench.suites` that is named runs twice in an environment that has unslow installed:
without the plugin, and with `--unslow`. Every test has to come out the same; printed is what was
recorded, and what was found.

    python -m bench.pytest_suites [SUITE ...] [--quick] [--json] [--cache FOLDER]

The first time it downloads and installs (minutes).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from unslow.doctor import report_of_store
from unslow.model.report import Report

from .suites import (
    OUTCOMES,
    SUITES,
    Run,
    Suite,
    SuiteError,
    Wants,
    before_and_after,
    differences,
    install,
    run,
    say,
)

ROOT: Final = Path(__file__).resolve().parent.parent
USUAL: Final = ("fastapi-users", "sqlmodel")
"""Their tests send requests to apps on FastAPI, and want no server."""


@dataclass(frozen=True, slots=True)
class Result:
    """A suite without and with `--unslow`."""

    suite: Suite
    plain: Run
    recorded: Run
    report: Report

    @property
    def differing(self) -> tuple[str, ...]:
        """The tests that came out differently."""
        return differences(self.plain, self.recorded)


def try_suite(suite: Suite, cache: Path, *, quick: bool) -> Result:
    """Runs a suite without and with the plugin.

    Raises:
        SuiteError: a run did not come to its end.
    """
    suite = replace(suite, requirements=(*suite.requirements, "-e", f"{ROOT}[cli]"))
    python, folder = install(suite, cache)
    store = folder.parent / "store"
    shutil.rmtree(store, ignore_errors=True)
    # The library lies where it was installed; it is what is to be looked at.
    wants = Wants({"UNSLOW_FOLDER": str(store), "UNSLOW_OWN": suite.source})

    def once(kind: str, *options: str) -> Run:
        say(f"{suite.name}: {' '.join(options)}")
        results = folder.parent / f"{kind}.xml"
        whole = replace(suite, arguments=(*suite.arguments, *options))
        return run(whole, python, folder, results, prefix=(), quick=quick, wants=wants)

    plain = once("plain", "-p", "no:unslow")
    recorded = once("recorded", "--unslow")
    return Result(suite, plain, recorded, report_of_store(store, target=suite.name))


def show(result: Result) -> None:
    """Prints what came of a suite."""
    report = result.report
    counts = Counter(result.plain.outcomes.values())
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
    print(
        f"\n{result.suite.name} ({result.suite.release}): {words}; {len(result.differing)} differ;"
        f" {result.plain.took_s:.0f} s, with --unslow {result.recorded.took_s:.0f} s"
    )
    print(
        f"{report.traces_count} requests of {len(report.endpoints)} routes were recorded;"
        f" {len(report.findings)} findings"
    )
    for one in report.findings:
        print(f"\n  {one.rule}  {one.route}\n    {one.says}")
        if one.place is not None:
            print(f"    at {one.place.path}:{one.place.line} {one.place.function}  {one.code}")
    for name in result.differing:
        before, after = before_and_after(name, result.plain, result.recorded)
        print(f"  WRONG: {name}: {before}, with --unslow {after}")


def as_json(result: Result) -> Mapping[str, object]:
    """A result, for other programs."""
    return {
        "suite": result.suite.name,
        "release": result.suite.release,
        "outcomes": dict(Counter(result.plain.outcomes.values())),
        "differing": result.differing,
        "requests": result.report.traces_count,
        "routes": len(result.report.endpoints),
        "findings": [
            {
                "rule": one.rule,
                "route": one.route,
                "says": one.says,
                "place": None if one.place is None else f"{one.place.path}:{one.place.line}",
            }
            for one in result.report.findings
        ],
        "took_s": result.plain.took_s,
        "took_s_with_plugin": result.recorded.took_s,
    }


def main(arguments: Sequence[str]) -> int:
    """Runs the named suites, or the usual ones; 0 where no test comes out differently."""
    parser = argparse.ArgumentParser(prog="python -m bench.pytest_suites", description=__doc__)
    there = [suite.name for suite in SUITES if suite.of_server is None]
    parser.add_argument("names", nargs="*", metavar="SUITE", help=", ".join(there))
    parser.add_argument("--quick", action="store_true", help="a small part of each suite")
    parser.add_argument("--json", action="store_true", help="rows on stdout, for other programs")
    parser.add_argument("--cache", type=Path, help="where suites and environments are kept")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(there):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    cache = (given.cache or Path(tempfile.gettempdir()) / "unslow-suites").resolve()
    results, failed = [], False
    for suite in SUITES:
        if suite.name not in (given.names or USUAL):
            continue
        try:
            results.append(try_suite(suite, cache, quick=given.quick))
        except (SuiteError, subprocess.CalledProcessError) as error:
            say(f"WRONG: {error}")
            failed = True
            continue
        if not given.json:
            show(results[-1])
    if given.json:
        print(json.dumps([as_json(result) for result in results], indent=1))
    return 1 if failed or any(result.differing for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
