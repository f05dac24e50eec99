"""What the injected file does in a command's processes, and what it leaves as it was."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.injection.running import STARLETTE_APP, Run, clean_environment, free_port
from unslow.injected import AGENT, make_folder, with_folder_first

PACKAGE = Path(importlib.util.find_spec("unslow").origin or "").parent  # type: ignore[union-attr]  # it is there


def old_pythons() -> Iterator[str]:
    """One interpreter of each version before ours that is on the PATH or among those of pyenv."""
    for version in ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10"):
        installed = Path.home().glob(f".pyenv/versions/{version}*/bin/python")
        for path in (shutil.which(f"python{version}"), *map(str, installed)):
            # A version manager's command may be an empty shell.
            if path and not subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL):
                yield path
                break


OLD = {Path(path).resolve().name: path for path in old_pythons()}
# Of a server and a framework, what an environment needs that has no click and nothing of ours.
HYPERCORN = (
    *("anyio", "h11", "h2", "hpack", "hypercorn", "hyperframe", "idna", "priority"),
    *("starlette", "typing_extensions", "wsproto"),
)
CONSOLE_SCRIPT = """\
#!{python}
import asyncio, importlib.util, json, sys
from hypercorn.asyncio import serve
from hypercorn.config import Config
from app import app

names = ("click", "rich", "unslow", "unslow.cli", "unslow.report", "unslow.doctor")
def is_there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
print(json.dumps([name for name in names if is_there(name)]), flush=True)
config = Config()
config.bind = ["127.0.0.1:" + sys.argv[1]]
asyncio.run(serve(app, config))
"""


def python(code: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-c", code)


def python_after(folder: Path, code: str) -> tuple[str, ...]:
    """A Python that finds what is in a folder before what is installed, and we do not."""
    shell = 'PYTHONPATH="$PYTHONPATH:$0" exec "$@"'
    return ("--", "sh", "-c", shell, str(folder), sys.executable, "-c", code)


@pytest.fixture
def injected() -> Iterator[Path]:
    folder = make_folder()
    yield folder
    shutil.rmtree(folder)


def other_environment(folder: Path) -> Path:
    """A virtual environment with a server and a framework, and nothing else; its interpreter."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in HYPERCORN:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (packages / source.name).symlink_to(source)
    return folder / "bin" / "python"


def test_a_console_script_of_another_environment_is_recorded_and_sees_none_of_our_libraries(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(STARLETTE_APP)
    interpreter = other_environment(tmp_path / "other")
    script = interpreter.with_name("serve")
    script.write_text(CONSOLE_SCRIPT.format(python=interpreter))
    script.chmod(0o755)
    port = free_port()

    with Run(
        tmp_path, "--", str(script), str(port), environment={"PYTHONPATH": "."}, port=port
    ) as run:
        run.wait_until_served()
        assert "5" == run.get("/items/5")
        assert 0 == run.end()

        assert ["unslow"] == json.loads(run.out)
        assert ["/items/{n}"] == [trace.route for trace in run.traces()], run.err


def test_the_injected_folder_holds_one_file_and_the_agent_and_everybody_may_read_it(
    injected: Path,
) -> None:
    assert {"sitecustomize.py", "agent"} == {path.name for path in injected.iterdir()}
    assert ["unslow"] == [path.name for path in (injected / "agent").iterdir()]
    copied = {path.name for path in (injected / "agent" / "unslow").iterdir()}
    assert {name.partition("/")[0] for name in AGENT} == copied
    fixes = {path.name for path in (injected / "agent" / "unslow" / "fixes").iterdir()}
    assert {"__init__.py", "catalogue.py", "switches"} == fixes
    assert all(path.stat().st_mode & 0o004 for path in injected.rglob("*"))


def test_the_copied_agent_is_whole_without_our_environment(injected: Path, tmp_path: Path) -> None:
    interpreter = other_environment(tmp_path / "other")
    code = (
        "import importlib, pathlib, sys\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "for file in sorted((root / 'unslow').rglob('*.py')):\n"
        "    parts = file.relative_to(root).with_suffix('').parts\n"
        "    importlib.import_module('.'.join(parts).removesuffix('.__init__'))\n"
        "print(sys.modules['unslow'].__file__)\n"
    )
    agent = injected / "agent"

    done = subprocess.run(
        [interpreter, "-c", code, agent],
        env=clean_environment(PYTHONPATH=str(agent)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"{agent}/unslow/__init__.py\n" == done.stdout, done.stderr


def test_ours_stands_before_the_users_own_pythonpath_which_is_kept(injected: Path) -> None:
    assert f"{injected}:/a:" == with_folder_first({"PYTHONPATH": "/a:"}, injected)["PYTHONPATH"]
    assert {"PYTHONPATH": str(injected), "A": "1"} == with_folder_first({"A": "1"}, injected)
    assert str(injected) == with_folder_first({"PYTHONPATH": ""}, injected)["PYTHONPATH"]


FACTS = (
    "import json, sys\n"
    "import sitecustomize\n"
    "heavy = sorted({'asyncio', 'ssl', 'sqlite3', 'subprocess'} & set(sys.modules))\n"
    "print(json.dumps([sys.path, heavy, getattr(sitecustomize, 'mine', None)]))\n"
)


def test_the_app_sees_its_own_path_and_sitecustomize_and_no_library_that_it_did_not_import(
    tmp_path: Path,
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "sitecustomize.py").write_text("mine = __file__\n")
    environment = {"PYTHONPATH": str(mine)}
    without = subprocess.run(
        [sys.executable, "-c", FACTS],
        env=clean_environment(**environment),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    with Run(tmp_path, *python(FACTS), environment=environment) as run:
        assert 0 == run.ended()

        assert json.loads(without.stdout) == json.loads(run.out)
        assert [[], str(mine / "sitecustomize.py")] == json.loads(run.out)[1:]


def test_a_sitecustomize_of_the_users_that_fails_fails_as_without_us(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise ValueError('mine')\n")
    environment = {"PYTHONPATH": str(tmp_path)}

    with Run(tmp_path, *python("print('runs')"), environment=environment) as run:
        assert 0 == run.ended()

        assert "runs\n" == run.out
        assert "Error in sitecustomize; set PYTHONVERBOSE for traceback" in run.err
        assert "ValueError: mine" in run.err


def other_unslow(folder: Path, **replaced: str) -> Path:
    """A folder with an unslow that differs from ours in some files."""
    shutil.copytree(PACKAGE, folder / "unslow", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in replaced.items():
        (folder / "unslow" / f"{name}.py").write_text(text)
    return folder


def test_an_unslow_of_another_protocol_in_the_apps_environment_is_an_error_with_both_versions(
    tmp_path: Path,
) -> None:
    wire = (PACKAGE / "wire.py").read_text().replace("PROTOCOL: Final = 1", "PROTOCOL: Final = 7")
    version = (PACKAGE / "__init__.py").read_text().replace('__version__ = "', '__version__ = "7.')
    theirs = other_unslow(tmp_path / "theirs", wire=wire, __init__=version)
    command = python_after(theirs, "import time; time.sleep(60)")

    with Run(tmp_path, *command, environment={"UNSLOW_HELLO_TIMEOUT_S": "1"}) as run:
        assert 2 == run.ended()

        assert "the unslow 7.0.1.0 in the app's environment speaks version 7" in run.said[-1]
        assert "this one speaks version 1" in run.said[-1]
        assert "Install the same unslow there as here, or none" in run.said[-1]


def test_an_agent_that_breaks_is_told_once_and_leaves_the_app_alone(tmp_path: Path) -> None:
    theirs = other_unslow(tmp_path / "theirs", agent="1 / 0\n")
    code = "import subprocess, sys; print('runs'); subprocess.run([sys.executable, '-c', ''])"

    with Run(tmp_path, *python_after(theirs, code)) as run:
        assert 0 == run.ended()

        assert "runs\n" == run.out
        assert 2 == len(run.said), run.err
        assert "the agent did not start in process" in run.said[0]
        assert "ZeroDivisionError: division by zero" in run.said[0]
        assert "nothing was recorded" in run.said[1]


def test_when_the_tool_is_gone_a_process_starts_as_without_us(injected: Path) -> None:
    environment = with_folder_first(clean_environment(UNSLOW_WIRE="unix:/nowhere"), injected)

    done = subprocess.run(
        [sys.executable, "-c", "import threading; print(threading.active_count())"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ("1\n", "") == (done.stdout, done.stderr)


def test_the_file_is_written_in_what_old_pythons_understand() -> None:
    source = (PACKAGE / "injected" / "sitecustomize.py").read_text()

    tree = ast.parse(source, feature_version=(3, 4))

    newer = (ast.JoinedStr, ast.AnnAssign, ast.AsyncFunctionDef, ast.Nonlocal, ast.NamedExpr)
    assert [] == [node for node in ast.walk(tree) if isinstance(node, newer)]
    assert [] == [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (node.returns or node.args.kwonlyargs or any(a.annotation for a in node.args.args))
    ]


@pytest.mark.skipif(not OLD, reason="no Python older than 3.11 on the PATH")
@pytest.mark.parametrize("interpreter", OLD.values(), ids=OLD.keys())
def test_an_old_python_runs_on_with_its_own_sitecustomize_and_says_that_it_is_too_old(
    interpreter: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.mine = 'mine'\n")
    environment = {"PYTHONPATH": str(tmp_path)}
    code = "import sys; print(sys.mine)"

    with Run(tmp_path, "--", interpreter, "-c", code, environment=environment) as run:
        assert 0 == run.ended()

        assert "mine\n" == run.out, run.err
        assert "the agent needs 3.11 or later. Start the app with a newer Python" in run.said[-1]
