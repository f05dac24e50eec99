"""`unslow compare`: on stores as checks leave them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.prove.saved import NEWER, OLDER, USERS, requests, save
from unslow.cli import command
from unslow.model.baseline import Accepted, Baseline
from unslow.report.baseline_file import write_baseline


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a store with two checks, the newer one with a slow line that is new."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    save(tmp_path / ".unslow", OLDER, *requests(12.0), *requests(12.0, "/posts", statements=52))
    save(tmp_path / ".unslow", NEWER, *requests(30.0), *requests(6.0, "/posts", statements=3))
    return tmp_path / ".unslow"


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["compare", *arguments])


def shown(*arguments: str, exit_code: int = 0) -> str:
    result = asked(*arguments)
    assert (exit_code, "") == (result.exit_code, result.stderr), result.output
    return result.stdout


def test_the_newest_two_are_compared_route_by_route() -> None:
    text = shown()

    assert "two checks of shop.main:app · 2 routes in both" in text
    assert f"✘ GET {USERS}   2.5x slower [" in text
    assert "✔ GET /posts " in text
    assert "12.0 → 6.0 ms   52 → 3 statements" in text
    assert "2 routes in both: 1 faster, 1 slower. Findings: 1 new, none gone, none" in text


def test_they_are_named_by_their_beginnings_in_either_order() -> None:
    text = shown("2026-03-02", "2026-03-01")

    assert f"✔ GET {USERS}   2.5x faster [" in text
    assert "3 → 52 statements" in text


def test_another_store_is_named_by_its_folder(tmp_path: Path) -> None:
    save(tmp_path / "other", OLDER, *requests(12.0))

    text = shown("other", "--folder", ".unslow")

    assert "alone · in other" in text
    assert "alone · in .unslow" in text
    assert "Only after (1)" in text


def test_it_fails_for_what_is_worse_where_that_is_asked_for(tmp_path: Path) -> None:
    shown("--fail-on-slower", exit_code=1)
    shown("--fail-on-slower", "--json", exit_code=1)
    better = ("--folder", str(tmp_path / "better"))
    for run, ms in ((OLDER, 12.0), (NEWER, 6.0)):
        save(tmp_path / "better", run, *requests(ms))
    shown("--fail-on-slower", *better, exit_code=0)

    (tmp_path / "pyproject.toml").write_text("[tool.unslow.compare]\nfail_on_slower = true\n")
    shown(exit_code=1)


def test_a_new_finding_fails_too_unless_it_is_accepted(tmp_path: Path) -> None:
    save(tmp_path / ".unslow", "2026-03-03", *requests(30.0), target="other:app")
    save(tmp_path / ".unslow", "2026-03-04", *requests(30.0, segment=8), target="other:app")
    names = ("2026-03-04", "2026-03-03")
    found = json.loads(shown("--json", "--fail-on-slower", *names, exit_code=1))
    (new,) = found["routes"][0]["findings"]["new"]

    write_baseline(
        tmp_path / "unslow-baseline.json",
        Baseline((Accepted(new["id"], new["rule"], "", "", "known", date(2026, 3, 1)),)),
    )

    assert "1 finding accepted or withdrawn" in shown("--fail-on-slower", *names)


def test_json_is_whole_and_the_only_thing_on_stdout() -> None:
    found = json.loads(shown("--json"))

    assert (1, OLDER, NEWER, True) == (
        found["format"],
        found["before"]["run"],
        found["after"]["run"],
        found["is_worse"],
    )
    assert ["slower", "faster"] == [one["verdict"] for one in found["routes"]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("2025",), "'2025' is the beginning of no run in .unslow, nor the folder of a store;"),
        (("2026-03-0", NEWER), "'2026-03-0' may be "),
        (("2026-03-02",), ".unslow holds no newer check of shop.main:app than "),
        ((OLDER, OLDER), "Both are the check "),
        (("--folder", "nowhere"), "No traces in nowhere:"),
    ],
    ids=["unknown", "several", "the newest", "the same", "no store"],
)
def test_what_cannot_be_compared_is_one_sentence(arguments: tuple[str, ...], says: str) -> None:
    result = asked(*arguments)

    (line,) = result.stderr.splitlines()
    assert (2, "") == (result.exit_code, result.stdout)
    assert line.startswith(f"unslow: {says}")
