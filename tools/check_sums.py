"""Checks every receipt of a store by a second way, and says how much of it is unexplained.

`python tools/check_sums.py FOLDER --unexplained 3 --above-ms 5` ends with 1 when a line of a
receipt differs from the second way's by more than 1 us, or when more than 3 % of the wall time is
unexplained of a route whose requests take more than 5 ms.
"""

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

# Run as a file, it finds neither the package of the tools nor the tests, where the second way is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.calibration.second_receipt import second_receipt
from unslow.model.receipt import Receipt
from unslow.model.trace import SEGMENTS, Trace
from unslow.record.receipt import after_response, receipt_of
from unslow.store import reading

LARGEST_US = 1.0
UNEXPLAINED = SEGMENTS.index("unexplained")


@dataclass(slots=True)
class Route:
    """The requests of a route together."""

    requests_count: int = 0
    wall_ns: int = 0
    unexplained_ns: int = 0

    def add(self, receipt: Receipt) -> None:
        """Adds a request."""
        self.requests_count += 1
        self.wall_ns += receipt.wall_ns
        self.unexplained_ns += receipt.segments_ns[UNEXPLAINED]

    @property
    def mean_ms(self) -> float:
        """The mean wall time."""
        return self.wall_ns / self.requests_count / 1e6

    @property
    def unexplained_percent(self) -> float:
        """Of the wall time of all requests."""
        return 100 * self.unexplained_ns / max(self.wall_ns, 1)


@dataclass(slots=True)
class Checked:
    """What was found in a store."""

    traces_count: int = 0
    largest_us: float = 0.0
    routes: dict[str, Route] = field(default_factory=lambda: defaultdict(Route))

    def check(self, trace: Trace, cost_ns: int) -> None:
        """Checks one request, and what the app did behind its response."""
        receipt = receipt_of(trace, cost_ns)
        start, middle, end = trace.start_ns, trace.response_end_ns, trace.end_ns
        for one, second in (
            (receipt, second_receipt(trace, start, middle, cost_ns)),
            (after_response(trace, cost_ns), second_receipt(trace, middle, end, cost_ns)),
        ):
            differences = [a - b for a, b in zip(one.segments_ns, second, strict=True)]
            differences.append(sum(one.segments_ns) - one.wall_ns)
            self.largest_us = max(self.largest_us, *(abs(ns) / 1e3 for ns in differences))
        self.traces_count += 1
        self.routes[f"{trace.method} {trace.route or '(no route)'}"].add(receipt)


def check_store(folder: Path) -> Checked:
    """Checks all traces of all runs in a store."""
    checked = Checked()
    with reading(folder) as reader:
        for run in reader.runs():
            for recorded in reader.run(run):
                for trace in recorded.traces:
                    checked.check(trace, recorded.process.slice_cost_ns)
    return checked


def main(arguments: list[str]) -> int:
    """Print what was found; 1 when it is not good enough."""
    parser = argparse.ArgumentParser(prog="check_sums", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="such as .unslow")
    parser.add_argument("--unexplained", type=float, metavar="PERCENT", help="at most so much")
    parser.add_argument("--above-ms", type=float, default=0.0, help="only of slower routes")
    options = parser.parse_args(arguments)

    checked = check_store(options.folder)
    print(
        f"{checked.traces_count} traces checked, "
        f"the largest difference is {checked.largest_us:.3f} us\n"
    )
    print(f"{'route':<44}{'requests':>9}{'mean ms':>10}{'unexplained':>13}")
    wrong = checked.largest_us > LARGEST_US or not checked.traces_count
    for name, route in sorted(checked.routes.items(), key=lambda item: -item[1].mean_ms):
        too_much = (
            options.unexplained is not None
            and route.mean_ms > options.above_ms
            and route.unexplained_percent > options.unexplained
        )
        wrong = wrong or too_much
        print(
            f"{name:<44}{route.requests_count:>9}{route.mean_ms:>10.2f}"
            f"{route.unexplained_percent:>11.1f} %{'  too much' * too_much}"
        )
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
