from pathlib import Path

import pytest

from unslow.model.trace import Place
from unslow.report.places import inner_path, path_text, place_text

SHOP = Path("/home/me/shop")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/home/me/shop/app/users.py", "app/users.py"),
        ("/home/me/shopping/users.py", "/home/me/shopping/users.py"),
        ("/srv/other.py", "/srv/other.py"),
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
