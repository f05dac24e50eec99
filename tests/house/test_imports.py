"""What goes into the user's app stands on the standard library and can be copied as it is."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import ROOT

PACKAGE = ROOT / "src" / "unslow"
IN_THE_APP = (
    "agent",
    "current",
    "errors",
    "fixes/catalogue",
    "fixes/switches",
    "model",
    "patching",
    "record",
    "settings",
    "store",
    "trial_arms",
    "wire",
)


def in_the_app() -> list[Path]:
    return sorted(
        path
        for name in IN_THE_APP
        for path in [PACKAGE / f"{name}.py", *(PACKAGE / name).rglob("*.py")]
        if path.exists()
    )


def start_points() -> list[str]:
    """What a user's app may import of us, as far as it is built."""
    rooms = ("agent", "fast", "settings", "store")
    return ["unslow", *(f"unslow.{room}" for room in rooms if any(PACKAGE.glob(f"{room}*")))]


def imported(nodes: list[ast.stmt] | list[ast.AST]) -> Iterator[str]:
    """The names that these statements import from elsewhere, without what is relative."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported: not what functions hold."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from run_at_import(node.orelse)
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from run_at_import(getattr(node, name, []))
        for handler in getattr(node, "handlers", []):
            yield from run_at_import(handler.body)


@pytest.mark.parametrize("path", in_the_app(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_goes_into_the_app_imports_only_the_standard_library_at_its_top(path: Path) -> None:
    body = ast.parse(path.read_text()).body

    assert [] == sorted(set(imported(list(run_at_import(body)))) - sys.stdlib_module_names)


@pytest.mark.parametrize("path", in_the_app(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_goes_into_the_app_names_itself_only_relatively_so_that_it_can_be_copied(
    path: Path,
) -> None:
    everything = list(ast.walk(ast.parse(path.read_text())))

    assert "unslow" not in set(imported(everything))


@pytest.mark.parametrize("name", start_points())
def test_importing_us_loads_no_third_party_starts_no_thread_and_hooks_into_nothing(
    name: str,
) -> None:
    code = (
        "import gc, sys, threading\n"
        "def hooks(): return [*sys.meta_path, *sys.path_hooks, *gc.callbacks, sys.getprofile()]\n"
        "modules, before = set(sys.modules), hooks()\n"
        f"import {name}\n"
        "roots = {module.partition('.')[0] for module in set(sys.modules) - modules}\n"
        "foreign = sorted(roots - sys.stdlib_module_names)\n"
        "print(foreign, threading.active_count(), hooks() == before)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "['unslow'] 1 True\n" == done.stdout
