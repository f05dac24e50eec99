"""`unslow fix --apply` on a copy of the demo's app: `python -m bench.demo_fix`.

Copies the app into a repository of its own, checks it, writes each proven fix and measures it,
prints the diff that is left, and applies once more: that changes nothing.

    python -m bench.demo_fix [--keep FOLDER]

Ends with 1 where a patch was taken back, its gain is not that of its trial within the noise of
both, or applying twice changes something.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import unslow.demo
from unslow.demo.data import fill
from unslow.demo.stub import start_stub
from unslow.postgres.server import embedded_server

SOURCE: Final = Path(unslow.demo.__file__).parent
APP: Final = "blog.app:app"
FILES: Final = ("__init__.py", "app.py", "config.py", "models.py", "schemas.py", "services.py")


def copied(folder: Path) -> None:
    """The app as somebody else's: in a package and a repository of its own."""
    package = folder / "blog"
    package.mkdir(parents=True)
    for name in FILES:
        shutil.copy(SOURCE / name, package)
    shutil.copytree(SOURCE / "routers", package / "routers", ignore=_no_caches)
    for arguments in (("init", "-q"), ("add", "blog"), ("commit", "-q", "-m", "the app")):
        git(folder, *arguments)


def _no_caches(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__"}


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    named = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
    done = subprocess.run(
        ["git", *named, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def run_unslow(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Exit code and stdout of a command of ours."""
    print(f"$ unslow {' '.join(arguments)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "unslow", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def main() -> int:
    """Runs all of it and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--keep", type=Path, help="where the copy is left")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        copied(folder)
        server = stack.enter_context(embedded_server())
        url = server.create_database("blog")
        fill(url)
        stub = stack.enter_context(start_stub())
        environment = {
            "UNSLOW_DEMO_DATABASE_URL": url,
            "UNSLOW_DEMO_STUB_URL": stub,
            "UNSLOW_CHECK_SKIP": "/posts/export,/customers,/reports/sales",
        }
        checked, report = run_unslow(folder, environment, "check", APP, "--time", "240")
        print("\n".join(line for line in report.splitlines() if "✔" in line or "Proven" in line))
        applied, told = run_unslow(folder, environment, "fix", "--apply")
        print(told)
        diff = git(folder, "diff")
        print(diff)
        again, told = run_unslow(folder, environment, "fix", "--apply")
        print(told)
        is_same = git(folder, "diff") == diff
        print("applying twice changes nothing" if is_same else "APPLYING TWICE CHANGES SOMETHING")
    is_right = (checked, applied, again) == (1, 0, 1) and is_same and "+" in diff
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main())
