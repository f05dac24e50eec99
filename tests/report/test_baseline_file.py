import os
from datetime import date
from pathlib import Path

import pytest

from unslow.model.baseline import Accepted, Baseline, BaselineError
from unslow.report.baseline_file import read_baseline, write_baseline

ONE = Accepted("pool-wait-0a1b2c", "pool-wait", "GET /a", "", "a crowd: Ærø", date(2026, 4, 2))


def test_what_is_written_is_read_again_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "unslow-baseline.json"

    write_baseline(file, Baseline((ONE,)))
    write_baseline(file, Baseline((ONE,)))

    assert Baseline((ONE,)) == read_baseline(file)
    assert [file] == list(tmp_path.iterdir())


def test_a_file_that_others_may_read_stays_readable(tmp_path: Path) -> None:
    write_baseline(tmp_path / "a.json", Baseline())

    (tmp_path / "b").write_text("")
    assert (tmp_path / "b").stat().st_mode == (tmp_path / "a.json").stat().st_mode


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    file, link = tmp_path / "shared" / "a.json", tmp_path / "a.json"
    link.symlink_to(file)

    write_baseline(link, Baseline((ONE,)))

    assert link.is_symlink()
    assert Baseline((ONE,)) == read_baseline(file)


def test_no_file_accepts_nothing_unless_it_has_to_be_there(tmp_path: Path) -> None:
    assert Baseline() == read_baseline(tmp_path / "a.json")
    with pytest.raises(BaselineError, match=r"There is no file .*a\.json. Name the one"):
        read_baseline(tmp_path / "a.json", must_exist=True)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_bytes(b'{"format": 1, "reason": "\xff"}')

    with pytest.raises(BaselineError, match=r"/a\.json is not JSON: .* line 1 column 2"):
        read_baseline(tmp_path / "a.json")
    with pytest.raises(BaselineError, match=r"/b\.json is not UTF-8 \(invalid start byte, byte 25"):
        read_baseline(tmp_path / "b.json")


def test_what_cannot_be_read_or_written_is_said_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"cannot be read: Is a directory. Name another file"):
        read_baseline(tmp_path)
    with pytest.raises(BaselineError, match=r"cannot be written: No such file or directory. Name"):
        write_baseline(tmp_path / "missing" / "a.json", Baseline())
    (tmp_path / "folder").mkdir()
    with pytest.raises(BaselineError, match="cannot be written: Is a directory"):
        write_baseline(tmp_path / "folder", Baseline())
    assert [tmp_path / "folder"] == list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.json"
    write_baseline(file, Baseline((ONE,)))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_text", full)

    with pytest.raises(BaselineError, match="No space left"):
        write_baseline(file, Baseline())
    assert Baseline((ONE,)) == read_baseline(file)
