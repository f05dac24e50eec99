"""What other thresholds would find: `python -m bench.thresholds [RULE ...]`.

Records the sample apps as `bench.precision` does - or takes what `--keep FOLDER` has kept -, and
judges the same requests with a quarter, half, all, twice and four times each rule's threshold. A
good one stands in the middle of a stretch in which nothing is missed and nothing is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.precision import judge, record
from tests.sample_apps.catalogue import NAMES, Sample, sample
from unslow.diagnose.catalogue import RULES
from unslow.diagnose.rule import Rule
from unslow.diagnose.run import diagnose
from unslow.doctor import LookedAt, looked_at
from unslow.store import reading

FACTORS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)

Counts = tuple[int, int, int]
"""Found, missed and wrong."""


def main() -> None:
    """Prints a line for each rule and threshold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rules", nargs="*", choices=[*(one.id for one in RULES), []])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    chosen = [one for one in RULES if not arguments.rules or one.id in arguments.rules]
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = _swept(chosen, folder, quick=arguments.quick)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'rule':24} {'threshold':>12}  {'found':>5} {'missed':>6} {'wrong':>5}")
    for rule, rows in found.items():
        for value, counts in rows.items():
            shown = " ".join(f"{count:5}" for count in counts)
            print(f"{rule:24} {value:>12}  {shown}")


def _swept(rules: Sequence[Rule], folder: Path, *, quick: bool) -> dict[str, dict[str, Counts]]:
    totals: dict[str, dict[str, Counts]] = {one.id: {} for one in rules}
    for name in NAMES:
        one = sample(name)
        if not (folder / name).exists():
            record(one, folder / name, quick=quick)
        with reading(folder / name) as reader:
            looked = looked_at(reader.run(reader.runs()[-1]))
        for rule in rules:
            for factor in FACTORS:
                value = f"{rule.threshold.value * factor:g}"
                before = totals[rule.id].get(value, (0, 0, 0))
                counts = _judged(one, rule, factor, looked)
                totals[rule.id][value] = tuple(map(sum, zip(before, counts, strict=True)))  # type: ignore[assignment]  # three stay three
        print(name, file=sys.stderr)
    return totals


def _judged(one: Sample, rule: Rule, factor: float, looked: LookedAt) -> Counts:
    threshold = rule.threshold._replace(value=rule.threshold.value * factor)
    findings = diagnose(looked.seen, looked.run, [replace(rule, threshold=threshold)]).findings
    score = judge(one, findings, only=rule.id)
    return len(score.right), len(score.missed), len(score.wrong)


if __name__ == "__main__":
    main()
