from __future__ import annotations

from pathlib import Path

import pytest

from unslow.cli.silence import flag_that_keeps_out, why_silent

NOBODY = 2**22 + 1
"""A process that cannot be there: Linux numbers end before."""


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ("serve.py", ""),
        ("-I serve.py", "I"),
        ("-u -E serve.py", "E"),
        ("-uSB serve.py", "S"),
        ("-Ic code", "I"),
        ("-c -I", ""),
        ("-m uvicorn -E", ""),
        ("-mIdle", ""),
        ("-W ignore -I serve.py", "I"),
        ("-Wignore::I serve.py", ""),
        ("-X importtime serve.py -I", ""),
        ("-Xdev -S -m uvicorn", "S"),
        ("--check-hash-based-pycs always -I serve.py", "I"),
        ("--version", ""),
        ("- -I", ""),
        ("", ""),
    ],
)
def test_a_flag_of_the_interpreter_is_told_from_words_of_the_program(
    arguments: str, flag: str
) -> None:
    assert flag == flag_that_keeps_out(arguments.split())


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("python3 -E serve.py", "`python3 -E serve.py` runs with -E"),
        (
            "/usr/bin/env -i python serve.py --port 1",
            "`/usr/bin/env -i python serve.py ...` starts",
        ),
        ("sudo -u web gunicorn app:app", "starts as another user"),
        ("python3 serve.py", "no Python process with the agent in it came up"),
    ],
)
def test_of_a_command_that_is_gone_its_own_words_are_read(command: str, says: str) -> None:
    reason = why_silent({}, NOBODY, command.split(), Path("/injected"))

    assert says in reason.says
    assert "unslow.install(app)" in reason.advice


def test_what_a_process_told_of_itself_comes_before_what_can_be_guessed() -> None:
    reason = why_silent({"python": "it is old"}, NOBODY, ["python3", "-I"], Path("/injected"))

    assert ("it is old", "Start the app with a newer Python") == reason
