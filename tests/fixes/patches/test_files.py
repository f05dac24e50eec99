"""Patches on disk: written whole, and taken back to the byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unslow.fixes.patches.files import apply, take_back, text_of
from unslow.fixes.patches.patch import CannotWriteError, Edit

TEXTS = st.text(st.sampled_from("ab \n\r\té\ufeff\x0c\u2028"), max_size=30)


def edit(file: Path, before: str, after: str) -> Edit:
    file.write_bytes(before.encode())
    return Edit(str(file), before, after)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
def test_taking_back_restores_every_byte(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("app")
    edits = [edit(folder / f"{at}.py", *one) for at, one in enumerate(texts)]
    before = [Path(one.path).read_bytes() for one in edits]

    apply(edits)
    after = [Path(one.path).read_bytes() for one in edits]
    take_back(edits)

    assert [one.after.encode() for one in edits] == after
    assert before == [Path(one.path).read_bytes() for one in edits]
    assert sorted(os.listdir(folder)) == [f"{at}.py" for at in range(len(texts))]


def test_mode_and_links_stay(tmp_path: Path) -> None:
    one = edit(tmp_path / "run.py", "a\n", "b\n")
    os.chmod(one.path, 0o700)
    link = tmp_path / "link.py"
    link.symlink_to("run.py")

    apply([Edit(str(link), "a\n", "b\n")])

    assert link.is_symlink()
    assert (tmp_path / "run.py").read_text() == "b\n"
    assert os.stat(one.path).st_mode & 0o777 == 0o700


def test_nothing_is_written_where_one_file_has_changed(tmp_path: Path) -> None:
    first = edit(tmp_path / "a.py", "a\n", "b\n")
    second = edit(tmp_path / "b.py", "a\n", "b\n")
    (tmp_path / "b.py").write_text("a\n\n")

    with pytest.raises(CannotWriteError, match=r"b\.py has changed since"):
        apply([first, second])

    assert (tmp_path / "a.py").read_text() == "a\n"


def test_a_line_end_is_a_change(tmp_path: Path) -> None:
    one = edit(tmp_path / "a.py", "a\r\n", "b\r\n")

    with pytest.raises(CannotWriteError):
        apply([one._replace(before="a\n", after="b\n")])


def test_a_file_that_is_gone_is_a_change(tmp_path: Path) -> None:
    with pytest.raises(CannotWriteError):
        apply([Edit(str(tmp_path / "none.py"), "", "a\n")])


def test_all_go_back_where_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = edit(tmp_path / "a.py", "a\n", "b\n")
    second = edit(tmp_path / "b.py", "a\n", "b\n")
    replace = os.replace

    def refuse(name: str, path: str) -> None:
        if path.endswith("b.py"):
            raise PermissionError(13, "Permission denied", path)
        replace(name, path)

    monkeypatch.setattr(os, "replace", refuse)

    with pytest.raises(CannotWriteError, match=r"b\.py cannot be written \(Permission denied\)"):
        apply([first, second])

    assert ["a\n", "a\n"] == [(tmp_path / name).read_text() for name in ("a.py", "b.py")]
    assert sorted(os.listdir(tmp_path)) == ["a.py", "b.py"]


def test_what_is_no_text_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xff\xfe")
    (tmp_path / "b.py").write_bytes(b"a\r\n")

    assert text_of(str(tmp_path / "a.py")) is None
    assert text_of(str(tmp_path / "c.py")) is None
    assert text_of(str(tmp_path)) is None
    assert text_of(str(tmp_path / "b.py")) == "a\r\n"
