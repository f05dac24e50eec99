"""A skip for a missing server is a failure where every server must be there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import ROOT

CASES = {
    "in a test": "def test_a(): pytest.skip('{reason}')",
    "by a mark": "@pytest.mark.skipif(True, reason='{reason}')\ndef test_a(): pass",
    "in a fixture": (
        "@pytest.fixture\ndef server(): pytest.skip('{reason}')\ndef test_a(server): pass"
    ),
    "of a module": "pytest.skip('{reason}', allow_module_level=True)",
}


def run(folder: Path, case: str, reason: str, required: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_case.py").write_text("import pytest\n" + CASES[case].format(reason=reason))
    plugins = ["-p", "tests.plugins.skips", "-p", "no:cacheprovider"]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            os.devnull,
            "-rs",
            *plugins,
            "--rootdir",
            folder,
            folder,
        ],
        cwd=ROOT,
        # What is installed beside it matters to no skip, and takes a second to come up.
        env=os.environ
        | {"UNSLOW_REQUIRE_SERVERS": required, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("case", CASES)
def test_a_skip_for_a_missing_server_fails_where_servers_are_required(
    case: str, tmp_path: Path
) -> None:
    done = run(tmp_path, case, "missing server: redis-server", required="1")

    assert done.returncode not in {0, 5}, done.stdout
    assert "missing server: redis-server (a skip" in done.stdout


@pytest.mark.parametrize(
    ("reason", "required"), [("missing server: redis-server", "0"), ("no schedstat here", "1")]
)
def test_any_other_skip_stays_a_skip_and_says_its_reason(
    reason: str, required: str, tmp_path: Path
) -> None:
    done = run(tmp_path, "in a test", reason, required)

    assert done.returncode == 0, done.stdout
    assert reason in done.stdout
    assert "1 skipped" in done.stdout
