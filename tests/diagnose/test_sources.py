"""Lines, functions and statements around a place, and what they read and set."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from textwrap import dedent

import pytest

from unslow.diagnose.sources import SourceFile, Sources, names_read, names_set
from unslow.model.trace import Place

CODE = dedent(
    '''\
    """A module."""
    import x

    @decorated
    @router.get(
        "/orders",
    )
    async def orders(limit: int = 10):
        first = await fetch(
            limit,
            "a",
        )
        for one in first:
            if one: await handle(one)

        def inner():
            return first
        with open("x") as file:
            second = file
        return inner, second

    class Shop:
        size = 3

        def method(self):
            return self
    '''
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.py"
    path.write_text(CODE)
    return path


def at(path: Path, line: int) -> Place:
    return Place(str(path), line, "orders")


def line_of(text: str) -> int:
    (number,) = [n for n, line in enumerate(CODE.splitlines(), 1) if line.strip() == text]
    return number


def test_a_line_stands_without_its_indentation(file: Path) -> None:
    assert Sources().line(at(file, line_of("first = await fetch("))) == "first = await fetch("


@pytest.mark.parametrize("line", [0, -1, 999])
def test_a_line_that_is_not_there_is_empty(file: Path, line: int) -> None:
    assert Sources().line(at(file, line)) == ""


def test_of_no_place_nothing_is_known() -> None:
    sources = Sources()

    assert sources.line(None) == ""
    assert sources.function(None) is None
    assert sources.statement(None) is None


def test_of_a_file_that_is_not_there_nothing_is_known(tmp_path: Path) -> None:
    sources, place = Sources(), at(tmp_path / "gone.py", 1)

    assert sources.file(place.path) is None
    assert sources.line(place) == ""
    assert sources.function(place) is None
    assert sources.statement(place) is None
    assert sources.file(str(tmp_path)) is None


def test_a_file_is_read_once(file: Path) -> None:
    sources = Sources()
    before = sources.file(str(file))
    file.unlink()

    assert sources.file(str(file)) is before
    assert sources.line(at(file, 1)) == '"""A module."""'


def test_a_file_that_was_changed_since_is_another_one(file: Path) -> None:
    os.utime(file, (1_000, 1_000))

    assert Sources(newest_at=1_000.0).file(str(file)) is not None
    assert Sources(newest_at=999.0).file(str(file)) is None


def test_a_file_that_is_too_long_to_be_somebodys_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "made.py"
    path.write_text("x = 1\n" * 400_000)

    assert Sources().file(str(path)) is None


@pytest.mark.parametrize("text", ["def (", "x = '\0'", "\0", "  unexpected"])
def test_what_is_no_python_has_lines_and_no_functions(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.py"
    path.write_text(text)
    sources = Sources()

    assert sources.line(at(path, 1)) == text.strip()
    assert sources.function(at(path, 1)) is None
    assert sources.statement(at(path, 1)) is None


def test_bytes_that_are_no_text_do_not_hide_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes(b"# caf\xe9\nx = 1\n")

    assert Sources().line(at(path, 2)) == "x = 1"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("@decorated", "orders"),
        ('"/orders",', "orders"),
        ("async def orders(limit: int = 10):", "orders"),
        ("limit,", "orders"),
        ("def inner():", "inner"),
        ("return first", "inner"),
        ("second = file", "orders"),
        ("return inner, second", "orders"),
        ("return self", "method"),
    ],
)
def test_the_function_around_a_line_is_the_innermost(file: Path, text: str, name: str) -> None:
    function = Sources().function(at(file, line_of(text)))

    assert function is not None
    assert function.name == name


@pytest.mark.parametrize("text", ["import x", "size = 3", "class Shop:"])
def test_outside_of_functions_there_is_none(file: Path, text: str) -> None:
    assert Sources().function(at(file, line_of(text))) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("first = await fetch(", "first = await fetch(limit, 'a')"),
        ('"a",', "first = await fetch(limit, 'a')"),
        ("if one: await handle(one)", "await handle(one)"),
        ("return first", "return first"),
        ("second = file", "second = file"),
        ("size = 3", "size = 3"),
    ],
)
def test_the_statement_around_a_line_is_the_innermost(file: Path, text: str, code: str) -> None:
    statement = Sources().statement(at(file, line_of(text)))

    assert statement is not None
    assert ast.unparse(statement) == code


def test_at_its_first_line_a_block_is_the_statement(file: Path) -> None:
    sources = Sources()

    assert isinstance(sources.statement(at(file, line_of("for one in first:"))), ast.For)
    assert isinstance(sources.statement(at(file, line_of('with open("x") as file:'))), ast.With)


def test_between_statements_the_block_around_is_one() -> None:
    file = SourceFile("def f():\n    a = 1\n\n    b = 2\n\n\nc = 3\n")

    assert isinstance(file.statement_at(3), ast.FunctionDef)
    assert file.statement_at(6) is None


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("a = b", {"a"}),
        ("a, (b, *c) = d", {"a", "b", "c"}),
        ("a.b = c", set()),
        ("a[0] = c", set()),
        ("for a in b: c = 1", {"a", "c"}),
        ("if (a := b()): pass", {"a"}),
        ("a += 1", {"a"}),
        ("f(a)", set()),
    ],
)
def test_the_names_that_a_statement_gives_a_value_to(code: str, names: set[str]) -> None:
    assert names_set(ast.parse(code)) == names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("a = b", {"b"}),
        ("a.b = c", {"a", "c"}),
        ("a[0] = c", {"a", "c"}),
        ("f(x, y=z)", {"f", "x", "z"}),
        ("f'{x}'", {"x"}),
        ("[one for one in many]", {"one", "many"}),
        ("pass", set()),
    ],
)
def test_the_names_that_something_reads(code: str, names: set[str]) -> None:
    assert names_read(ast.parse(code)) == names
