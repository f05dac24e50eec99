from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove.saved import NEWER, OLDER, save
from unslow.model.trace import Process
from unslow.prove.named_checks import NamedCheck, TwoChecksError, two_checks
from unslow.store import StoreMissingError, StoreWriter, write_check

NEWEST = "2026-03-03T12:00:00 cccc"


def runs(found: tuple[NamedCheck, NamedCheck]) -> tuple[str, str]:
    return found[0].run, found[1].run


def save_run(folder: Path, run: str) -> None:
    """Writes a run that is no check."""
    StoreWriter(folder, 2**30, run, Process(7, 1.0, "3.11.7", 0, 0)).close()


def refused(*arguments: str | None, folder: Path) -> str:
    with pytest.raises(TwoChecksError) as raised:
        two_checks(folder, *arguments)
    return str(raised.value)


def test_without_names_the_newest_two_of_one_target_are_meant(tmp_path: Path) -> None:
    save(tmp_path, OLDER)
    save(tmp_path, NEWER, target="other:app")
    save(tmp_path, NEWEST)
    save_run(tmp_path, "2026-03-04T12:00:00 dddd")

    assert (OLDER, NEWEST) == runs(two_checks(tmp_path))


def test_one_name_is_the_one_before_the_newest_of_its_target(tmp_path: Path) -> None:
    for run in (OLDER, NEWER, NEWEST):
        save(tmp_path, run)
    save(tmp_path, "2026-03-04T12:00:00 dddd", target="other:app")

    assert (OLDER, NEWEST) == runs(two_checks(tmp_path, "2026-03-01"))
    assert "holds no newer check of shop.main:app than '2026-03-03T12:00:00 cccc'" in refused(
        "2026-03-03", folder=tmp_path
    )


def test_two_names_are_meant_in_their_order_whatever_their_targets(tmp_path: Path) -> None:
    save(tmp_path, OLDER, target="other:app")
    save(tmp_path, NEWER)

    assert (NEWER, OLDER) == runs(two_checks(tmp_path, "2026-03-02", "2026-03-01"))


def test_the_folder_of_a_store_stands_for_its_newest_check(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    save(here, NEWER)
    save(there, OLDER)
    save_run(there, NEWEST)

    found = two_checks(here, str(there))

    assert (there, here) == (found[0].folder, found[1].folder)
    assert (OLDER, NEWER) == runs(found)
    assert (NEWER, OLDER) == runs(two_checks(here, str(here), str(there)))


def test_a_beginning_that_several_checks_have_is_refused_with_their_names(tmp_path: Path) -> None:
    save(tmp_path, OLDER)
    save(tmp_path, OLDER + "x")
    save(tmp_path, NEWER)

    says = refused("2026-03-01", NEWER, folder=tmp_path)

    assert f"'2026-03-01' may be '{OLDER}x' of shop.main:app, '{OLDER}' of shop.main:app." in says
    assert (OLDER, NEWER) == runs(two_checks(tmp_path, OLDER, NEWER))


def test_what_is_no_check_is_told_from_what_is_nothing(tmp_path: Path) -> None:
    save(tmp_path, OLDER)
    save_run(tmp_path, NEWER)

    assert "'2026-03-02' is a run, but no check in" in refused(OLDER, "2026-03-02", folder=tmp_path)
    says = refused(OLDER, "2025", folder=tmp_path)
    assert "'2025' is the beginning of no run in" in says
    assert f"the checks there are '{OLDER}' of shop.main:app. Name one" in says


def test_one_check_and_none_are_refused_with_the_way_to_more(tmp_path: Path) -> None:
    save_run(tmp_path / "runs", OLDER)
    assert "holds no check. Only checks send" in refused(folder=tmp_path / "runs")
    assert "holds no check. Only" in refused("2026", folder=tmp_path / "runs")

    save(tmp_path, OLDER, target="other:app")
    save(tmp_path, NEWER)
    says = refused(folder=tmp_path)
    assert f"holds one check of shop.main:app only, '{NEWER}'" in says
    assert f"The others are '{OLDER}' of other:app; name two." in says

    with pytest.raises(StoreMissingError):
        two_checks(tmp_path / "nowhere")


def test_a_folder_that_is_not_there_or_holds_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "after", NEWER)
    after = str(tmp_path / "after")

    says = refused("before", after, folder=tmp_path / "nowhere")

    assert says.startswith("'before' is not the folder of a store. No traces in ")
    with pytest.raises(StoreMissingError, match=r"No traces in .*empty"):
        two_checks(tmp_path / "nowhere", str(tmp_path / "empty"), after)


def test_one_and_the_same_is_refused(tmp_path: Path) -> None:
    save(tmp_path, OLDER)

    assert f"Both are the check '{OLDER}'" in refused(OLDER, str(tmp_path), folder=tmp_path)


def test_a_check_that_another_version_has_written_is_passed_over(tmp_path: Path) -> None:
    for run in (OLDER, NEWER, NEWEST):
        save(tmp_path, run)
    write_check(tmp_path, NEWER, '{"left_out": [], "unknown": 1}')

    assert (OLDER, NEWEST) == runs(two_checks(tmp_path))
