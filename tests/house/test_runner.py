"""What `make test` does when a step fails, and that it leaves out no test."""

from pathlib import Path

import pytest

from tools import ROOT
from tools import test as runner

FAILS = ("python", "-c", "raise SystemExit(1)")
PASSES = ("python", "-c", "print('===== 3 passed, 1 skipped in 62.10s (0:01:02) =====')")


def test_every_step_runs_also_after_one_failed_and_the_closing_line_of_pytest_stands_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "STEPS", {"lint": (FAILS,), "tests": (PASSES,)})

    code = runner.main([])

    lines = capsys.readouterr().out.splitlines()
    assert 1 == code
    assert ["lint", "FAILED"] == [lines[-4].split()[0], lines[-4].split()[-1]]
    assert ["tests", "ok"] == [lines[-3].split()[0], lines[-3].split()[-1]]
    assert "===== 3 passed, 1 skipped in 62.10s (0:01:02) =====" == lines[-1]


def test_only_the_named_steps_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STEPS", {"lint": (FAILS,), "tests": (PASSES,)})

    assert 0 == runner.main(["tests"])


def test_a_step_that_does_not_exist_is_refused_with_those_that_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 2 == runner.main(["lnit"])
    said = capsys.readouterr().err
    assert "no step lnit; there are lint, format, types, arrows, alone, tests" in said


def test_commands_side_by_side_mark_their_lines_and_pass_when_all_of_them_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "STEPS", {"tests": (PASSES, FAILS, PASSES)})

    code = runner.main([])

    lines = capsys.readouterr().out.splitlines()
    closing = "===== 3 passed, 1 skipped in 62.10s (0:01:02) ====="
    assert 1 == code
    assert {f"1| {closing}", f"3| {closing}"} <= set(lines)
    assert [closing, closing] == lines[-2:]


def test_every_file_of_tests_is_run_once() -> None:
    commands = [one for step in ("alone", "tests") for one in runner.STEPS[step]]

    def runs(command: runner.Command, file: Path) -> bool:
        named = [ROOT / word for word in command if word.startswith("tests")]
        ignored = [ROOT / word.removeprefix("--ignore=") for word in command if "=tests" in word]
        assert all(path.exists() for path in (*named, *ignored))
        return any(map(file.is_relative_to, named)) and not any(map(file.is_relative_to, ignored))

    files = list((ROOT / "tests").rglob("test_*.py"))
    assert len(files) > 100
    assert [1] * len(files) == [sum(runs(one, file) for one in commands) for file in files]
