"""How often the rules are right: `python -m bench.precision`.

Serves each sample app of `tests/sample_apps` as a user's, with the recorder in it, sends its
workload over real sockets, and compares the findings with what is marked in the apps' sources:
those were written apart from the rules. Prints precision, recall and how often the line is right,
by rule, and every finding that is missing or too much. `--app NAME` looks at some apps only,
`--json` prints data, `--keep FOLDER` keeps the traces, `--quick` sends a part of the workload.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import httpx

from tests.sample_apps.call import Call
from tests.sample_apps.catalogue import NAMES, Sample, sample
from tests.sample_apps.stub import running_services
from tests.sample_apps.truth import Truth
from unslow.cli.app_process import Words, app_process, free_port
from unslow.cli.recording import Recording
from unslow.doctor import report_of_store
from unslow.model.finding import Finding
from unslow.postgres.server import embedded_server
from unslow.prove.link import COMPARE, WATCH, Link
from unslow.settings import Settings
from unslow.wire import ARMS_VARIABLE

HOST: Final = "127.0.0.1"
REDIS: Final = "redis://127.0.0.1:6379/0"
WATCHED_COUNT: Final = 4
STARTS_WITHIN_S: Final = 60.0
CALM_S: Final = 0.05


@dataclass(slots=True)
class Score:
    """What the rules said of some apps."""

    right: list[tuple[Truth, Finding]] = field(default_factory=list)
    misplaced: list[tuple[Truth, Finding]] = field(default_factory=list)
    """Found, and at another line; they are among `right` too."""
    missed: list[tuple[str, Truth]] = field(default_factory=list)
    wrong: list[tuple[str, Finding]] = field(default_factory=list)
    arguable: list[tuple[str, Finding]] = field(default_factory=list)
    innocent_count: int = 0
    innocent_flagged: set[str] = field(default_factory=set)
    endpoints_count: int = 0


def main() -> None:
    """Runs the apps and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--app", action="append", choices=NAMES, default=[])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--again", action="store_true", help="judge what --keep kept once more")
    arguments = parser.parse_args()
    score = Score()
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in arguments.app or NAMES:
            one = sample(name)
            if not arguments.again:
                record(one, folder / name, quick=arguments.quick)
            judge(one, report_of_store(folder / name).findings, score)
    if arguments.json:
        print(json.dumps(_as_data(score), indent=2))
    else:
        _print(score)


def record(one: Sample, folder: Path, *, quick: bool) -> None:
    """Serves an app and sends its workload."""
    begun = time.monotonic()
    with ExitStack() as stack:
        url = stack.enter_context(_database())
        one.prepare(url)
        services = stack.enter_context(running_services())
        recording = stack.enter_context(Recording(Settings(folder=str(folder))))
        address = f"http://{HOST}:{free_port(HOST)}"
        command = [sys.executable, "-m", "uvicorn", one.target, "--host", HOST]
        command += ["--port", address.rpartition(":")[2], "--log-level", "warning"]
        environment = {
            **recording.environment(os.environ),
            **services.environment(url, os.environ.get("UNSLOW_TEST_REDIS_URL", REDIS)),
            ARMS_VARIABLE: "1",
        }
        app = stack.enter_context(app_process(command, environment, address, Words(one.name)))
        app.wait_until_it_answers(STARTS_WITHIN_S)
        while not recording.serving_peers():
            app.check()
            time.sleep(CALM_S)
        link = Link(recording.listener, recording.serving_peers)
        link.arm(COMPARE)
        asyncio.run(_send(one.workload(), address, link, quick=quick))
    print(f"{one.name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)


@contextmanager
def _database() -> Iterator[str]:
    url = os.environ.get("UNSLOW_TEST_DATABASE_URL")
    if url:
        yield url
        return
    with embedded_server() as server:
        yield server.create_database("samples")


async def _send(workload: Sequence[Call], address: str, link: Link, *, quick: bool) -> None:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        # What an app sends by itself is not what the sample wants to be sent.
        client.headers.clear()
        for _, group in groupby(workload, key=lambda call: (call.method, call.route)):
            calls = list(group)
            for call in calls[::3] if quick else calls:
                answers = await asyncio.gather(
                    *(_answer(client, call) for _ in range(call.users_count))
                )
                assert {call.status} == set(answers), (call, answers)
        link.arm(WATCH)
        seen: dict[tuple[str, str], int] = defaultdict(int)
        for call in workload:
            seen[call.method, call.route] += 1
            if seen[call.method, call.route] <= WATCHED_COUNT:
                await _answer(client, call)
        link.disarm(WATCH)


async def _answer(client: httpx.AsyncClient, call: Call) -> int:
    answer = await client.request(
        call.method, call.path, headers=dict(call.headers), json=call.json
    )
    return answer.status_code


def judge(
    one: Sample, findings: Sequence[Finding], score: Score | None = None, only: str = ""
) -> Score:
    """Compares findings with the marks of an app, of all rules or of one only."""
    score = Score() if score is None else score
    truths: dict[tuple[str, str], list[Truth]] = defaultdict(list)
    for truth in one.truths():
        if only in ("", truth.rule):
            truths[f"{truth.method} {truth.route}", truth.rule].append(truth)
    found: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        found[finding.route, finding.rule].append(finding)
    score.endpoints_count += len({key[0] for key in truths}) + len(one.innocent)
    score.innocent_count += len(one.innocent)
    for key in truths.keys() | found.keys():
        _compare(one, key, truths[key], found[key], score)
    return score


def _compare(
    one: Sample,
    key: tuple[str, str],
    truths: Sequence[Truth],
    found: Sequence[Finding],
    score: Score,
) -> None:
    left = list(found)
    for truth in truths:
        at = next((item for item in left if _is_at(item, truth)), None)
        any_of_rule = at or (left[0] if left else None)
        if any_of_rule is None:
            score.missed.append((one.name, truth))
            continue
        # Several at lines that are marked are one mistake, seen several times.
        left = [item for item in left if item is not any_of_rule and not _is_at(item, truth)]
        score.right.append((truth, any_of_rule))
        if at is None:
            score.misplaced.append((truth, any_of_rule))
    for item in left:
        if key in one.arguable:
            score.arguable.append((one.name, item))
        else:
            score.wrong.append((one.name, item))
            if key[0] in one.innocent:
                score.innocent_flagged.add(f"{one.name} {key[0]}")


def _is_at(finding: Finding, truth: Truth) -> bool:
    place = finding.place
    return place is not None and Path(place.path) == truth.path and place.line in truth.lines


def _print(score: Score) -> None:
    rules: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for truth, _ in score.right:
        rules[truth.rule][0] += 1
    for _, truth in score.missed:
        rules[truth.rule][1] += 1
    for _, finding in score.wrong:
        rules[finding.rule][2] += 1
    for truth, _ in score.misplaced:
        rules[truth.rule][3] += 1
    print(f"{'rule':24} {'found':>6} {'missed':>7} {'wrong':>6} {'other line':>11}")
    for rule, counts in sorted(rules.items()):
        print(f"{rule:24} {counts[0]:6} {counts[1]:7} {counts[2]:6} {counts[3]:11}")
    for name, truth in score.missed:
        where = f"{truth.path.name}:{truth.lines[0]}"
        print(f"missed: {name} {truth.method} {truth.route} {truth.rule} at {where}")
    for name, finding in score.wrong:
        print(f"wrong: {name} {finding.route} {finding.rule} at {_place(finding)}: {finding.says}")
    for truth, finding in score.misplaced:
        print(
            f"other line: {finding.route} {finding.rule} at {_place(finding)}, wanted"
            f" {truth.path.name}:{','.join(map(str, truth.lines))}"
        )
    for name, finding in score.arguable:
        print(f"arguable: {name} {finding.route} {finding.rule} at {_place(finding)}")
    right, missed, wrong = len(score.right), len(score.missed), len(score.wrong)
    print(
        f"{score.endpoints_count} endpoints, {score.innocent_count} of them innocent"
        f" ({len(score.innocent_flagged)} flagged); {right + missed} mistakes"
    )
    precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
    line = 1 - len(score.misplaced) / max(1, right)
    print(f"precision {precision:.1%}, recall {recall:.1%}, right line {line:.1%}")


def _place(finding: Finding) -> str:
    place = finding.place
    return "no line" if place is None else f"{Path(place.path).name}:{place.line}"


def _as_data(score: Score) -> dict[str, Any]:
    right, missed, wrong = len(score.right), len(score.missed), len(score.wrong)
    return {
        "endpoints": score.endpoints_count,
        "innocent": score.innocent_count,
        "innocent_flagged": sorted(score.innocent_flagged),
        "found": right,
        "missed": [f"{name} {one.method} {one.route} {one.rule}" for name, one in score.missed],
        "wrong": [f"{name} {one.route} {one.rule}" for name, one in score.wrong],
        "other_line": [f"{one.route} {one.rule}" for _, one in score.misplaced],
        "arguable": [f"{name} {one.route} {one.rule}" for name, one in score.arguable],
        "precision": right / max(1, right + wrong),
        "recall": right / max(1, right + missed),
        "right_line": 1 - len(score.misplaced) / max(1, right),
    }


if __name__ == "__main__":
    main()
