"""Edits as a diff that git takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unslow.fixes.patches.patch import Edit, diff_of


def applied(folder: Path, name: str, before: str, after: str, *options: str) -> str:
    """What git makes of a file with the diff."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(before.encode())
    diff = diff_of([Edit(str(file), before, after)], folder)
    command = ["git", "apply", "--whitespace=nowarn", *options, "-"]
    subprocess.run(command, input=diff.encode(), cwd=folder, check=True, capture_output=True)
    return file.read_bytes().decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\n", "a\nc\n"),
        ("a\nb", "a\nc"),
        ("a\nb", "a\nb\n"),
        ("a\nb\n", "a\nb"),
        ("a\r\nb\r\n", "a\r\nc\r\n"),
        ("a\r\nb", "a\r\nc"),
        ("a\x0cb\u2028c\nd\n", "a\x0cb\u2028c\ne\n"),
        ("a\n", ""),
        ("\ufeffé\n", "\ufeffü\n"),
    ],
)
@pytest.mark.parametrize("name", ["a.py", "app/my users.py"])
def test_git_applies_the_diff(tmp_path: Path, name: str, before: str, after: str) -> None:
    assert after == applied(tmp_path, name, before, after)


@settings(max_examples=25, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["a", "", "b ", "\tc", "\r", "d\r"]), max_size=8),
    others=st.lists(st.sampled_from(["a", "", "b ", "x", "d\r"]), max_size=8),
)
def test_git_applies_any_diff(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], others: list[str]
) -> None:
    before, after = "\n".join(["head", *lines]), "\n".join(["head", *others])
    if before == after:
        return

    assert after == applied(tmp_path_factory.mktemp("tree"), "a.py", before, after)


def test_a_diff_names_files_from_the_folder_on() -> None:
    edits = [Edit("/project/app/a.py", "a\n", "b\n"), Edit("/project/b.py", "a\n", "b\n")]

    diff = diff_of(edits, Path("/project"))

    assert [
        "--- a/app/a.py",
        "+++ b/app/a.py",
        "--- a/b.py",
        "+++ b/b.py",
    ] == [line for line in diff.split("\n") if line.startswith(("---", "+++"))]


def test_nothing_to_change_is_no_diff() -> None:
    assert diff_of([Edit("/project/a.py", "a\n", "a\n")], Path("/project")) == ""
