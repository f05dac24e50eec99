"""Runs every check, also after one failed, and says at the end where the minutes went.

`python -m tools.test` runs all steps, `python -m tools.test lint types` only those.
"""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import ROOT

# The tools of this interpreter's environment, wherever the PATH points.
BIN = Path(sys.executable).parent

STEPS = {
    "lint": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "types": ("mypy",),
    "arrows": ("lint-imports", "--no-logo"),
    "tests": ("pytest", "--durations=15", "-rfEs"),
}
# pytest's closing line: "==== 12 passed, 1 skipped in 3.21s ====".
CLOSING = re.compile(r"=* ?(no tests ran|\d+ [a-z]+.*) in [\d.]+s.*")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One step that ran."""

    step: str
    seconds: float
    ok: bool
    closing: str | None
    """pytest's last word; None for every other step."""


def run(step: str) -> Outcome:
    """Run one step, showing its output as it comes."""
    program, *arguments = STEPS[step]
    print(f"\n--- {step}: {program} {' '.join(arguments)}", flush=True)
    start = time.monotonic()
    closing = None
    with subprocess.Popen(
        [str(BIN / program), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if CLOSING.fullmatch(line.strip()):
                closing = line.strip()
    return Outcome(step, time.monotonic() - start, process.returncode == 0, closing)


def main(names: list[str]) -> int:
    """Run the named steps, or all of them; 0 if each one passed."""
    if unknown := [name for name in names if name not in STEPS]:
        print(f"no step {', '.join(unknown)}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    outcomes = [run(name) for name in names or STEPS]
    print("\n--- where the time went")
    for outcome in outcomes:
        print(f"{outcome.step:<8}{outcome.seconds:>8.1f} s   {'ok' if outcome.ok else 'FAILED'}")
    print(f"{'all':<8}{sum(outcome.seconds for outcome in outcomes):>8.1f} s")
    for outcome in outcomes:
        if outcome.closing is not None:
            print(outcome.closing)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
