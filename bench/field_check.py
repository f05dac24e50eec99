"""What `unslow check` says of applications that nobody here wrote.

Each application of `bench.field` that can be checked gets an empty database, is started as it is
and filled with data by a user, and is started once more by `unslow check`, in one process. Prints
how many of its operations counted, what was left out and why, and what was found. Whether that is
true has to be read in the application's source: `docs/field-notes.md` says what came of it.

    python -m bench.field_check [APP ...] [--trials] [--json] [--cache FOLDER] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from unslow.cli.app_process import free_port

from .field import (
    FieldError,
    database_server,
    environment_of,
    new_database,
    programs_of,
    say,
    start_and_visit,
)
from .field_apps import APPS
from .field_apps.app import App, Checking, Site

CHECKED: Final = tuple(one for one in APPS if one.checking is not None)
FEWEST_COUNTED: Final = 10
PATIENCE_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Result:
    """One application, and what the report of its check says."""

    app: App
    filled_count: int
    """Requests that made its data."""
    report: Mapping[str, Any]

    @property
    def checked(self) -> Mapping[str, Any]:
        """What was sent, and what was not."""
        found: Mapping[str, Any] = self.report["checked"]
        return found

    @property
    def is_enough(self) -> bool:
        """Whether so many operations counted that the rest says something."""
        return bool(self.checked["operations_counted"] >= FEWEST_COUNTED)

    def findings(self) -> Iterator[Mapping[str, Any]]:
        """Each with its route, in the report's order."""
        for endpoint in self.report["endpoints"]:
            for one in endpoint["findings"]:
                yield {"route": f"{endpoint['method']} {endpoint['route']}", **one}


def try_app(
    app: App, checking: Checking, cache: Path, keep: Path, server_url: str, *, trials: bool
) -> Result:
    """Fills an application with data, and checks it.

    Raises:
        FieldError: it could not be filled, or not be checked.
    """
    programs = programs_of(app, cache)
    folder = keep / f"{app.name}-check"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with new_database(server_url) if app.wants_database else nullcontext("") as url:
        site = Site(programs, folder, free_port("127.0.0.1"), url)
        say(f"{app.name}: filling")
        user = replace(app, visit=checking.fill, ways={"one process": checking.command})
        rounds = checking.fills_count
        filled = start_and_visit(user, "one process", (), site, rounds=rounds, users=0)
        say(f"{app.name}: checking")
        port = free_port("127.0.0.1")
        report = check(app, checking, replace(site, port=port), trials=trials)
    return Result(app, len(filled.answers), report)


def check(app: App, checking: Checking, site: Site, *, trials: bool) -> Mapping[str, Any]:
    """What the check of an application that has its data reports.

    Raises:
        FieldError: the check could not be done.
    """
    file = site.folder / "report.json"
    command = [
        *(sys.executable, "-m", "unslow", "check", "--url", f"http://127.0.0.1:{site.port}"),
        *("--json", "--output", str(file), "--folder", str(site.folder / "unslow")),
        *(() if trials else ("--no-trials",)),
        *checking.options,
        "--",
        *checking.command(site),
    ]
    try:
        ended = subprocess.run(
            command,
            cwd=site.folder,
            env=environment_of(app, site),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FieldError(f"{app.name}: its check goes on after {PATIENCE_S:.0f} s") from error
    if ended.returncode not in (0, 1) or not file.exists():
        tail = ended.stdout[-3000:]
        raise FieldError(f"{app.name}: its check ended with {ended.returncode}:\n{tail}")
    report: Mapping[str, Any] = json.loads(file.read_text())
    return report


def show(result: Result) -> None:
    """Prints what was asked, what was left out, and what was found."""
    app, checked = result.app, result.checked
    writes = sum(one["may_write"] for one in checked["left_out"])
    print(f"\n== {app.name}: {app.says}")
    print(", ".join(app.requirements))
    print(
        f"{result.filled_count} requests made its data; {result.report['traces']} were recorded;"
        f" {checked['operations_counted']} of {checked['operations'] - writes} operations counted"
        f"{'' if result.is_enough else '  TOO FEW'}"
    )
    if checked["stopped_by"]:
        print(f"stopped by {checked['stopped_by']}")
    print(f"\nLeft out, beside {writes} that may write by their methods:")
    for one in checked["left_out"]:
        if not one["may_write"]:
            print(f"  {one['method']} {one['route']}: {one['why']}")
    print("\nFound:")
    for one in result.findings():
        show_finding(one)
    print(f"\n{counts_of(result)}")
    for one in result.report["not_checked"]:
        if one["state"] == "broke":
            print(f"BROKE: {one['rule']} on {one['route']}: {one['why']}")
    for note in result.report["notes"]:
        print(f"note: {note}")


def show_finding(one: Mapping[str, Any]) -> None:
    """Prints one finding: what a maintainer would be shown."""
    could = one["could_save_ms"]
    print(f"\n  {one['rule']}  {one['route']}{'' if could is None else f'  {could:.1f} ms'}")
    print(f"    {one['says']}")
    for word, place in (("at", one["place"]), ("by", one["touched"])):
        if place is not None:
            code = f"  {one['code'].strip()}" if word == "at" and one["code"] else ""
            print(f"    {word} {place['path']}:{place['line']} {place['function']}{code}")
    for trial in one["trials"]:
        times = "" if trial["times"] is None else f" {trial['times']:.2f}x"
        print(f"    {trial['fix']}: {trial['verdict']}{times} {trial['says']} {trial['why']}")


def counts_of(result: Result) -> str:
    """How many findings there are, by rule."""
    counts = Counter(one["rule"] for one in result.findings())
    told = ", ".join(f"{rule} {count}" for rule, count in counts.most_common())
    return f"{counts.total()} findings: {told or 'none'}"


def as_json(result: Result) -> Mapping[str, object]:
    """A result, for other programs."""
    return {
        "app": result.app.name,
        "requirements": result.app.requirements,
        "requests_that_filled": result.filled_count,
        "traces": result.report["traces"],
        "checked": result.checked,
        "findings": list(result.findings()),
        "coverage": result.report["coverage"],
    }


def main(arguments: Sequence[str]) -> int:
    """Checks the named applications, or all; 0 where each could be, and was asked enough."""
    parser = argparse.ArgumentParser(prog="python -m bench.field_check", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="APP", help=", ".join(a.name for a in CHECKED))
    parser.add_argument("--json", action="store_true", help="rows on stdout, for other programs")
    parser.add_argument("--trials", action="store_true", help="try the fixes of what is found")
    parser.add_argument("--cache", type=Path, help="where the environments are kept")
    parser.add_argument("--keep", type=Path, help="where logs, stores and reports are kept")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - {app.name for app in CHECKED}:
        parser.error(f"no such app: {', '.join(sorted(unknown))}")
    cache = (given.cache or Path(tempfile.gettempdir()) / "unslow-field").resolve()
    keep = (given.keep or cache / "runs").resolve()
    results, failed = [], False
    with database_server() as server_url:
        for app in CHECKED:
            if app.checking is None or (given.names and app.name not in given.names):
                continue
            try:
                result = try_app(app, app.checking, cache, keep, server_url, trials=given.trials)
            except (FieldError, subprocess.CalledProcessError) as error:
                say(f"WRONG: {error}")
                failed = True
                continue
            results.append(result)
            if not given.json:
                show(result)
    if given.json:
        print(json.dumps([as_json(result) for result in results], indent=1))
    return 1 if failed or not all(result.is_enough for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
