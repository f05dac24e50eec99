from pathlib import Path

import pytest

from unslow.model.trace import Place
from unslow.report.places import (
    function_text,
    inner_path,
    path_text,
    place_text,
    place_texts,
    what_text,
)

SHOP = Path("/home/me/shop")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/home/me/shop/app/users.py", "app/users.py"),
        ("/home/me/shopping/users.py", "/home/me/shopping/users.py"),
        ("/srv/other.py", "/srv/other.py"),
        ("/home/you/src/shop/app/users.py", "…/src/shop/app/users.py"),
        (
            "/usr/lib/python3/site-packages/starlette/middleware/base.py",
            "starlette/middleware/base.py",
        ),
        ("/home/me/shop/.venv/lib/python3.11/site-packages/six.py", "six.py"),
        ("/usr/lib/python3/dist-packages/apt/cache.py", "apt/cache.py"),
        ("<string>", "<string>"),
    ],
)
def test_a_path_is_told_from_the_folder_or_from_its_package(path: str, text: str) -> None:
    assert text == path_text(path, SHOP)


def test_a_library_inside_the_folder_is_found_by_its_path() -> None:
    path = "/home/me/shop/.venv/lib/python3.11/site-packages/six.py"

    assert ".venv/lib/python3.11/site-packages/six.py" == inner_path(path, SHOP)


def test_a_place_names_its_function_where_it_has_one() -> None:
    assert "a.py:3 in f" == place_text(Place("/home/me/shop/a.py", 3, "f"), SHOP)
    assert "a.py:3" == place_text(Place("/home/me/shop/a.py", 3, ""), SHOP)


def test_a_place_can_be_said_in_less_room_but_not_inside_the_folder_where_it_is_clicked() -> None:
    far, near = Place("/a/b/c/d/e.py", 3, "f"), Place("/home/me/shop/a/b/c/d.py", 3, "f")

    assert ("…/b/c/d/e.py:3 in f", "…/c/d/e.py:3 in f", "…/d/e.py:3 in f") == place_texts(far, SHOP)
    assert ("a/b/c/d.py:3 in f",) == place_texts(near, SHOP)
    assert ("a/b/c/d.py:3 in f", "a/b/c/d.py:3") == place_texts(near, SHOP, brief=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("get_user", "get_user"),
        ("Users.get", "Users.get"),
        ("list_users.<locals>.<listcomp>", "list_users"),
        ("make.<locals>.wrapper", "make.wrapper"),
        ("<lambda>", "<lambda>"),
        ("", ""),
    ],
)
def test_a_function_is_named_without_what_python_adds(name: str, text: str) -> None:
    assert text == function_text(name)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("time.sleep", "time.sleep"),
        ("scores.example.com", "scores.example.com"),
        ("generation 2", "garbage collection, generation 2"),
        (
            "starlette.BaseHTTPMiddleware.__call__.<locals>.call_next",
            "starlette BaseHTTPMiddleware call_next",
        ),
    ],
)
def test_what_took_the_time_is_named_as_a_reader_knows_it(what: str, text: str) -> None:
    assert text == what_text(what)
