"""The user's own lines, told from libraries."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import fastapi
import greenlet  # type: ignore[import-untyped]  # its stubs are a package that nothing else needs
import pytest
import sqlalchemy

from unslow.current import OpenTrace, RawPlace
from unslow.record import place as place_module
from unslow.record.lanes import driven, unwatch_all, watch
from unslow.record.place import OwnCode, caller_place, resolve


def test_the_caller_is_the_innermost_own_line() -> None:
    raw = caller_place()
    line = sys._getframe().f_lineno - 1

    assert resolve(raw) == (
        __file__,
        line,
        "test_the_caller_is_the_innermost_own_line",
    )


def test_libraries_between_are_passed_over() -> None:
    found = []

    class Spy:
        def __repr__(self) -> str:
            raise AssertionError

    def default(value: object) -> str:
        found.append(caller_place())
        return ""

    json.dumps(Spy(), default=default)

    assert found[0] is not None
    assert found[0][0] is default.__code__


def test_a_greenlet_is_crossed() -> None:
    found = []

    def inside() -> None:
        # SQLAlchemy's greenlets run library code only: start where they would.
        found.append(place_module.place_from(None))

    greenlet.greenlet(inside).switch()

    assert found[0] is not None
    assert found[0][0].co_name == "test_a_greenlet_is_crossed"


def test_a_library_that_runs_as_a_task_of_its_own_has_no_line_of_the_servers() -> None:
    async def request() -> OpenTrace:
        watch(asyncio.get_running_loop())
        trace = OpenTrace("GET", 100)
        await driven(library(), trace.root)
        unwatch_all()
        return trace

    found: list[RawPlace | None] = []
    code = compile(
        "async def library():\n    found.append(caller_place())\n", "<a library>", "exec"
    )
    names: dict[str, Any] = {"found": found, "caller_place": caller_place}
    exec(code, names)  # noqa: S102  # a function that lies in no file of ours
    library = names["library"]
    asyncio.run(request())

    assert found == [None]


@pytest.mark.parametrize(
    ("file", "own"),
    [
        (__file__, True),
        (json.__file__, False),
        (sqlalchemy.__file__, False),
        (place_module.__file__, False),
        ("<string>", False),
        ("<frozen importlib._bootstrap>", False),
        ("/srv/app/main.py", True),
        ("/srv/app/.venv/lib/python3.12/site-packages/x/y.py", False),
        ("/usr/lib/python3/dist-packages/x.py", False),
    ],
)
def test_what_is_own(file: str, own: bool) -> None:
    assert OwnCode().is_own_file(file) is own


def test_an_installed_package_can_be_named_as_own() -> None:
    own = OwnCode(("sqlalchemy",))

    assert own.is_own_file(sqlalchemy.__file__)
    assert not own.is_own_file(json.__file__)


def test_a_folder_can_be_named_as_own(tmp_path: Path) -> None:
    module = tmp_path / "site-packages" / "module.py"

    assert not OwnCode().is_own_file(str(module))
    assert OwnCode((str(tmp_path),)).is_own_file(str(module))


def test_a_file_can_be_named_as_own(tmp_path: Path) -> None:
    module = tmp_path / "site-packages" / "pricing.py"

    assert OwnCode((str(module),)).is_own_file(str(module))
    assert not OwnCode((str(module),)).is_own_file(str(module.with_name("other.py")))


def test_an_endpoints_package_becomes_own_and_a_framework_does_not() -> None:
    own = OwnCode()
    own.include_package_of("sqlalchemy.orm.session")
    own.include_package_of("fastapi.routing")

    assert own.is_own_file(sqlalchemy.__file__)
    assert not own.is_own_file(fastapi.__file__)
