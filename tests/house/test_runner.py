"""What `make test` does when a step fails."""

import pytest

from tools import test as runner

FAILS = ("python", "-c", "raise SystemExit(1)")
PASSES = ("python", "-c", "print('===== 3 passed, 1 skipped in 62.10s (0:01:02) =====')")


def test_every_step_runs_also_after_one_failed_and_the_closing_line_of_pytest_stands_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "STEPS", {"lint": FAILS, "tests": PASSES})

    code = runner.main([])

    lines = capsys.readouterr().out.splitlines()
    assert 1 == code
    assert ["lint", "FAILED"] == [lines[-4].split()[0], lines[-4].split()[-1]]
    assert ["tests", "ok"] == [lines[-3].split()[0], lines[-3].split()[-1]]
    assert "===== 3 passed, 1 skipped in 62.10s (0:01:02) =====" == lines[-1]


def test_only_the_named_steps_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STEPS", {"lint": FAILS, "tests": PASSES})

    assert 0 == runner.main(["tests"])


def test_a_step_that_does_not_exist_is_refused_with_those_that_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 2 == runner.main(["lnit"])
    assert "no step lnit; there are lint, format, types, arrows, tests" in capsys.readouterr().err
