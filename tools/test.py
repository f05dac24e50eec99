"""Runs every check, also after one failed, and says at the end where the minutes went.

`python -m tools.test` runs all steps, `python -m tools.test lint types` only those.
"""

import compileall
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import ROOT

# The tools of this interpreter's environment, wherever the PATH points.
BIN: Final = Path(sys.executable).parent

Command = tuple[str, ...]

_PYTEST: Final = ("pytest", "--durations=15", "-rfEs")
_ALONE: Final = (
    "tests/calibration/test_closing.py",
    "tests/calibration/test_exchanges.py",
    "tests/calibration/test_segments.py",
    "tests/calibration/test_sockets.py",
    "tests/demo/test_whole_demo.py",
)
"""Hold what is measured to fractions of a millisecond, or send requests at times that they keep to:
nothing else may be at work meanwhile."""
_FIRST_HALF: Final = (
    "tests/cli",
    "tests/demo",
    "tests/examples",
    "tests/fast/caching",
    "tests/fast/exporting",
    "tests/fast/ingestion",
    "tests/fast/pooling",
    "tests/test_pytest_plugin.py",
)
"""What starts processes and waits for them; about half of the time of all."""


def _without(*paths: str) -> Command:
    return tuple(f"--ignore={path}" for path in paths)


STEPS: Final[dict[str, tuple[Command, ...]]] = {
    "lint": (("ruff", "check", "."),),
    "format": (("ruff", "format", "--check", "."),),
    "types": (("mypy",),),
    "arrows": (("lint-imports", "--no-logo"),),
    "alone": ((*_PYTEST, *_ALONE),),
    "tests": (
        (*_PYTEST, *_FIRST_HALF, *_without(*_ALONE)),
        (*_PYTEST, "tests", *_without(*_ALONE, *_FIRST_HALF)),
    ),
}
"""By name the commands that run side by side."""

# pytest's closing line: "==== 12 passed, 1 skipped in 3.21s ====".
CLOSING: Final = re.compile(r"=* ?(no tests ran|\d+ [a-z]+.*) in [\d.]+s.*")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One step that ran."""

    step: str
    seconds: float
    ok: bool
    closings: tuple[str, ...]
    """pytest's last words; none for every other step."""


def run(step: str, commands: tuple[Command, ...]) -> Outcome:
    """Run the commands of one step, showing their output as it comes."""
    for program, *arguments in commands:
        print(f"\n--- {step}: {program} {' '.join(arguments)}", flush=True)
    marks = ["" if len(commands) == 1 else f"{number}| " for number in range(1, len(commands) + 1)]
    start = time.monotonic()
    with ThreadPoolExecutor(len(commands)) as pool:
        ended = list(pool.map(_show, commands, marks))
    closings = tuple(closing for _, closing in ended if closing)
    return Outcome(step, time.monotonic() - start, not any(code for code, _ in ended), closings)


def _show(command: Command, mark: str) -> tuple[int, str]:
    """Run a command, with a mark in front of each line that it writes.

    Returns:
        Its exit code, and the closing line where it is pytest.
    """
    program, *arguments = command
    closing = ""
    with subprocess.Popen(
        [str(BIN / program), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            # As one text, so that lines of two commands do not mix.
            print(f"{mark}{line}", end="", flush=True)
            if CLOSING.fullmatch(line.strip()):
                closing = line.strip()
    return process.returncode, closing


def main(names: list[str]) -> int:
    """Run the named steps, or all of them; 0 if each one passed."""
    if unknown := [name for name in names if name not in STEPS]:
        print(f"no step {', '.join(unknown)}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    # Hundreds of tests start a Python: where it may not write what it has compiled
    # (PYTHONDONTWRITEBYTECODE), each would compile the whole of ours again.
    compileall.compile_dir(ROOT / "src", quiet=2)
    outcomes = [run(name, STEPS[name]) for name in names or STEPS]
    print("\n--- where the time went")
    for outcome in outcomes:
        print(f"{outcome.step:<12}{outcome.seconds:>8.1f} s   {'ok' if outcome.ok else 'FAILED'}")
    print(f"{'all':<12}{sum(outcome.seconds for outcome in outcomes):>8.1f} s")
    for outcome in outcomes:
        for closing in outcome.closings:
            print(closing)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
