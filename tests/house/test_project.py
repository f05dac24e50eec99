"""What is shipped, and what is not."""

import subprocess
import sys
from email import message_from_string
from zipfile import ZipFile

import pytest

from tools import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


def test_the_wheel_holds_every_file_of_the_package(wheel: ZipFile) -> None:
    package = ROOT / "src"
    files = {
        str(path.relative_to(package))
        for path in (package / "unslow").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert "unslow/py.typed" in files
    assert set() == files - set(wheel.namelist())


def test_the_wheel_asks_for_no_other_package_and_brings_the_command(wheel: ZipFile) -> None:
    def read(name: str) -> str:
        (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
        return wheel.read(path).decode()

    required = message_from_string(read("METADATA")).get_all("Requires-Dist", [])

    assert [] == [line for line in required if "extra ==" not in line]
    assert "unslow = unslow.__main__:main" in read("entry_points.txt")


def test_what_the_verbs_of_make_leave_behind_is_not_committed() -> None:
    left_behind = {
        ".venv/",
        ".unslow/",
        "__pycache__/",
        "dist/",
        "build/",
        ".mypy_cache/",
        ".ruff_cache/",
        ".pytest_cache/",
        ".hypothesis/",
        ".import_linter_cache/",
    }

    assert set() == left_behind - set((ROOT / ".gitignore").read_text().split())


def test_continuous_integration_runs_the_verb_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"

    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()
    assert "make test" in (ROOT / "README.md").read_text()
