"""How a type for what an endpoint returns is chosen, and written."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

import unslow
from unslow.fixes.patches.fast_json import candidates, write
from unslow.fixes.patches.patch import CannotTryError, Patch, Subject, patcher_of
from unslow.model.finding import Finding
from unslow.model.proof import Arm
from unslow.model.trace import Place, Returned, Trace

PATH = "/app/posts.py"
HEAD = "from typing import Annotated\nfrom fastapi import APIRouter\nrouter = APIRouter()\n"


def returned(kind: str = "dict", count: int = 30, **more: bool) -> Returned:
    options = {"is_typed": False, "is_own_model": False, "is_fast": False, **more}
    return Returned(kind, count, **options)


def trace(value: Returned | None) -> Trace:
    return Trace(1, 1, "GET", "/rows", 200, 0.0, 0, 10, 10, 100, returned=value)


def subject(
    source: str | None, value: Returned | None = None, line: int = 4, function: str = "rows"
) -> Subject:
    finding = Finding(
        "Encoding takes long.",
        Place(PATH, line, function),
        rule="slow-serialization",
        route="GET /rows",
    )
    text = None if source is None else HEAD + dedent(source)
    return Subject(finding, [trace(value or returned())], lambda _: text)


def only(found: Subject) -> Arm:
    (arm,) = candidates(found)
    return arm


def written(found: Subject) -> str:
    patch = write(found, only(found))
    assert patch.advice == ""
    (edit,) = patch.edits
    assert edit.path == PATH
    assert found.read(PATH) == edit.before
    return edit.after


def routes_of(source: str, tmp_path: Path) -> Iterator[Any]:
    """What FastAPI makes of a file."""
    path = tmp_path / "written_posts.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[path.stem]
    yield from iter_route_contexts(module.router.routes)


def test_an_annotation_that_fastapi_was_told_to_ignore_counts_again(tmp_path: Path) -> None:
    found = subject(
        """\
        @router.get("/rows", response_model=None)
        async def rows() -> list[dict[str, int]]:
            return [{}]
        """
    )

    after = written(found)

    assert only(found).parameters == {
        "method": "GET",
        "route": "/rows",
        "type": "list[dict[str, int]]",
        "is_annotated": True,
    }
    assert after == HEAD + dedent(
        """\
        @router.get("/rows")
        async def rows() -> list[dict[str, int]]:
            return [{}]
        """
    )
    (route,) = routes_of(after, tmp_path)
    assert route.response_field is not None


def test_a_function_without_a_type_gets_one_with_its_import(tmp_path: Path) -> None:
    found = subject(
        """\
        @router.get("/rows")
        async def rows(limit: int = 3):
            found = [{"limit": limit}]
            return found
        """
    )

    after = written(found)

    assert "async def rows(limit: int = 3) -> list[dict[str, Any]]:" in after
    assert "from typing import Annotated, Any\n" in after
    assert after.count("import") == HEAD.count("import")
    (route,) = routes_of(after, tmp_path)
    assert route.response_field is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from typing import Any as A, Any\n", "from typing import Any as A, Any\n"),
        ("from typing import (\n    Any,\n)\n", "from typing import (\n    Any,\n)\n"),
        ("from typing import (\n    Z,\n)\n", "from typing import (\n    Any,\n    Z,\n)\n"),
    ],
)
def test_the_import_is_there_once(before: str, after: str) -> None:
    route = '@router.get("/rows")\ndef rows(){}:\n    return []\n'
    source = before + route.format("")
    place = Place(PATH, before.count("\n") + 1, "rows")
    found = Subject(Finding("", place, route="GET /rows"), [trace(returned())], lambda _: source)

    assert written(found) == after + route.format(" -> list[dict[str, Any]]")


def test_a_name_that_means_something_else_is_not_written() -> None:
    found = subject(
        """\
        @router.get("/rows")
        def rows():
            return []

        Any = 3
        """
    )

    assert "means something else" in write(found, only(found)).advice


def test_both_are_done_where_the_route_has_none_and_the_function_too() -> None:
    found = subject(
        """\
        @router.get(
            "/rows",
            tags=["rows"],
            response_model=None,
        )
        def rows():
            return {"one": 1}
        """
    )

    after = written(found)

    assert after.endswith(
        dedent(
            """\
            @router.get(
                "/rows",
                tags=["rows"],
            )
            def rows() -> dict[str, Any]:
                return {"one": 1}
            """
        )
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('("/rows", response_model=None)', '("/rows", response_model=list[dict[str, Any]])'),
        ('("/rows")', '("/rows", response_model=list[dict[str, Any]])'),
        ('("/rows", tags=[])', '("/rows", tags=[], response_model=list[dict[str, Any]])'),
        (
            '(\n    "/rows",\n    tags=[],\n)',
            '(\n    "/rows",\n    tags=[],\n    response_model=list[dict[str, Any]],\n)',
        ),
    ],
)
def test_an_annotation_of_another_meaning_stays_and_the_decorator_names_the_type(
    before: str, after: str, tmp_path: Path
) -> None:
    text = "@router.get{}\nasync def rows() -> 'list[dict] | Response':\n    return [{{}}]\n"
    found = subject(text.format(before))

    result = written(found)

    assert result.endswith(text.format(after))
    (route,) = routes_of(result.replace("'list[dict] | Response'", "None"), tmp_path)
    assert route.response_field is not None


def test_with_another_decorator_between_the_type_goes_to_the_route() -> None:
    found = subject(
        """\
        @router.get("/rows")
        @cached
        def rows():
            return [1]
        """,
        returned("other"),
    )

    assert '@router.get("/rows", response_model=list[Any])\n@cached\n' in written(found)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("return [dict(row) for row in found]", "list[dict[str, Any]]"),
        ("return sorted(found)", "list[dict[str, Any]]"),
        ("return dict(found)", "dict[str, Any]"),
        ('return {"a": 1}', "dict[str, Any]"),
        ("return {1: 2}", "Any"),
        ("return {**found}", "Any"),
        ("return found", "Any"),
        ("return await found.all()", "Any"),
        ("if found:\n        return []\n    return {}", "Any"),
        ("found = []\n    return found", "list[dict[str, Any]]"),
        ("found = []\n    found = {}\n    return found", "Any"),
        ("found = []\n    for found in more: pass\n    return found", "Any"),
        ("def inner():\n        return {}\n    return [inner()]", "list[dict[str, Any]]"),
    ],
)
def test_the_type_is_as_narrow_as_the_source_is_plain(body: str, kind: str) -> None:
    found = subject(f'@router.get("/rows")\nasync def rows(found):\n    {body}\n')

    assert only(found).parameters["type"] == kind
    assert only(found).says == f"-> {kind}"


def test_a_source_that_cannot_be_read_leads_to_advice() -> None:
    found = subject(None)

    arm = only(found)
    patch = write(found, arm)

    assert arm.parameters["type"] == "Any"
    assert patch.edits == ()
    assert f"In rows ({PATH}:4), declare what is returned: `-> Any`" in patch.advice
    assert "its source cannot be read" in patch.advice


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def other():\n    return []\n", "its function is not where it was"),
        ("def rows():\n    return []\n", "not the one decorator"),
        ('@router.get("/a")\n@router.get("/b")\ndef rows():\n    return []\n', "the one decorator"),
        ("@router.get(*path)\ndef rows():\n    return []\n", "put together elsewhere"),
        ('@router.get("/a", response_model=X)\ndef rows():\n    return []\n', "a type already"),
        ('@router.get("/a")\ndef rows() -> list[int]:\n    return []\n', "from counting"),
        ("def rows(:\n", "not to be parsed"),
    ],
)
def test_what_is_not_certain_is_advice(source: str, why: str) -> None:
    found = subject(source)

    patch = write(found, only(found))

    assert patch.edits == ()
    assert why in patch.advice


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "makes its response itself"),
        (returned(is_fast=True, is_typed=True), "makes the bytes already"),
        (returned(is_typed=True), "leave out `response_class`"),
        (returned("entity"), "objects of the ORM"),
    ],
)
def test_what_a_type_does_not_help_is_not_tried(value: Returned | None, why: str) -> None:
    found = subject("def rows():\n    return []\n")._replace(traces=[trace(value)])

    with pytest.raises(CannotTryError, match=why):
        candidates(found)


def test_the_demos_own_export_is_written() -> None:
    path = Path(unslow.__file__).parent / "demo" / "routers" / "posts.py"
    source = path.read_text()
    line = source[: source.index('@router.get("/export"')].count("\n") + 1
    finding = Finding("", Place(str(path), line, "export_posts"), route="GET /posts/export")
    found = Subject(finding, [trace(returned(count=3000))], lambda name: Path(name).read_text())

    patch = write(found, only(found))

    assert isinstance(patch, Patch)
    assert patch.edits[0].after == source.replace(
        '@router.get("/export", response_model=None)', '@router.get("/export")'
    )
    assert only(found).parameters["type"] == "list[dict[str, Any]]"


def test_the_file_is_found_by_the_fixs_name() -> None:
    assert patcher_of("fast-json").write is write
