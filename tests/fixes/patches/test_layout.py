"""Where lines are broken: as ruff breaks them."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from unslow.fixes.patches.layout import Insertion, folded, inserted

HEADS = ("users = ", "return ", "await ", "users = await ", "")
WANTED = (
    "select(User)",
    "select(User).where(User.id > 1)",
    'select(User).where(User.name == "somebody").order_by(User.id)',
    "wanted",
)
OPTIONS = (
    "selectinload(User.posts)",
    "selectinload(User.posts).selectinload(Post.comments)",
    "selectinload(User.posts).selectinload(Post.comments).selectinload(Comment.author)",
    "load_only(User.id, User.name), selectinload(User.posts).load_only(Post.id, Post.title)",
    "joinedload(User.posts)",
)
SENDS = (
    "session.scalars({})",
    "session.scalars({}).all()",
    "session.scalars({}).unique().all()",
    "self.session.execute({}).scalars().all()",
    "(await session.scalars({})).all()",
    "(await session.execute({})).unique().scalars().all()",
    "list(session.scalars({}))",
    "[user.name for user in session.scalars({}).unique().all() if user.name]",
    "{}",
)
GETS = ("session.get(User, key, options=[{}])", "session.get(User, self.key_of_user, options=[{}])")


def statements() -> list[str]:
    found = [
        f"{head}{send.format(f'{wanted}.options({option})')}"
        for head, send, wanted, option in product(HEADS, SENDS, WANTED, OPTIONS)
    ]
    found += [f"{head}{get.format(option)}" for head, get, option in product(HEADS, GETS, OPTIONS)]
    # What is awaited is what sends, and nothing that follows it.
    return [
        one
        for one in found
        if not one.startswith(("await", "users = await")) or "await session." in one
        if "await" not in one or one.endswith(("))", "])"))
    ]


@pytest.mark.parametrize("width", [79, 88, 100])
def test_lines_are_broken_as_ruff_breaks_them(tmp_path: Path, width: int) -> None:
    written = ["\n".join(folded(one, "    ", width)) for one in statements()]
    file = tmp_path / "all.py"
    file.write_text("".join(f"async def f{at}():\n{one}\n\n\n" for at, one in enumerate(written)))

    options = ["--isolated", "--quiet", "--no-cache", "--line-length", str(width), str(file)]
    subprocess.run([sys.executable, "-m", "ruff", "format", *options], check=True)

    bodies = file.read_text().rstrip("\n").split("\n\n\n")
    assert written == [one.partition("\n")[2] for one in bodies]


def test_a_line_that_fits_stays_one() -> None:
    assert folded("a = f(b)", "  ", 10) == ["  a = f(b)"]


def test_a_line_that_cannot_be_broken_stays_long() -> None:
    assert folded("a_long_name = another_long_name", "", 10) == ["a_long_name = another_long_name"]


def test_texts_with_brackets_in_them_are_left_alone() -> None:
    lines = folded('users = f("(((", [1], key=")")', "", 20)

    assert ["users = f(", '    "(((",', "    [1],", '    key=")",', ")"] == lines


def test_a_whole_statement_may_be_put_in() -> None:
    text = "async def settle():\n    \n    return 1\n"
    call = "await asyncio.to_thread(services.settle, " + ", ".join(["payment"] * 9) + ")"

    whole = inserted(text, [Insertion(text.index("\n    return"), call)])

    assert ast.dump(ast.parse(whole)) == ast.dump(
        ast.parse(text.replace("    \n", f"    {call}\n"))
    )
    assert max(map(len, whole.split("\n"))) <= 100


def test_insertions_keep_their_order() -> None:
    text = "x = f(a)\n"

    new = inserted(text, [Insertion(7, ", c"), Insertion(4, "g("), Insertion(8, ")")])

    assert new == "x = g(f(a, c))\n"


def test_other_statements_stay_as_they_are() -> None:
    text = "x = [ 1,2 ]\ny = f(a)\nz = ( 3 )\n"

    new = inserted(text, [Insertion(text.index("a)") + 1, ", " + "b" * 20)], 20)

    assert new == f"x = [ 1,2 ]\ny = f(\n    a,\n    {'b' * 20},\n)\nz = ( 3 )\n"
