"""Options that are set in `pyproject.toml` or in a variable instead of given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from unslow.cli import command
from unslow.cli.set_options import key_of, set_options, settable
from unslow.errors import SettingError
from unslow.settings import COMMANDS, load

CHECK = command.commands["check"]


@pytest.fixture(autouse=True)
def in_an_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(lines: str) -> None:
    Path("pyproject.toml").write_text(f"[tool.unslow]\nring_traces = 5\n{lines}\n")


def given_to(name: str, *arguments: str) -> dict[str, Any]:
    """What a command would run with."""
    ctx = command.make_context("unslow", [name, *arguments])
    ctx.invoked_subcommand = name
    with ctx:
        ctx.invoke(command.callback)  # type: ignore[arg-type]  # which takes the context
        return command.commands[name].make_context(name, list(arguments), parent=ctx).params


def test_the_commands_are_those_that_have_tables() -> None:
    assert set(COMMANDS) == set(command.commands)


def test_a_table_of_the_command_says_what_its_options_are() -> None:
    write(
        '[tool.unslow.check]\nmax_requests = 50\ntime = 9\nfail_on = "pool-wait"\n'
        'skip = ["/a", "/b"]\nalso_counted = ["304"]\nyes_this_database = true'
    )

    params = given_to("check", "app:app")

    assert (50, 9.0, "pool-wait") == (params["max_requests"], params["time_s"], params["fail_on"])
    assert (("/a", "/b"), (304,)) == (params["skip"], params["also_counted"])
    assert params["yes_this_database"]
    assert 5 == load().ring_traces


def test_what_is_said_for_the_check_holds_when_its_patches_are_measured() -> None:
    write(
        '[tool.unslow.check]\nlogin = "POST /token"\nconcurrency = 2\nfail_on = "pool-wait"\n'
        "[tool.unslow.fix]\nconcurrency = 3\nallow_dirty = true"
    )

    params = given_to("fix", "lazy-load-loop-3fa9c1")

    assert ("POST /token", 3, True) == (
        params["login"],
        params["concurrency"],
        params["allow_dirty"],
    )
    assert ("lazy-load-loop-3fa9c1",) == params["findings"]


def test_what_is_given_wins_over_a_variable_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write('[tool.unslow.check]\nconcurrency = 2\nmax_requests = 2\ntime = 2\nskip = ["/a"]')
    monkeypatch.setenv("UNSLOW_CHECK_MAX_REQUESTS", "3")
    monkeypatch.setenv("UNSLOW_CHECK_TIME", "3")
    monkeypatch.setenv("UNSLOW_CHECK_SKIP", "GET /b, /c")

    params = given_to("check", "app:app", "--time", "4")

    assert (2, 3, 4.0) == (params["concurrency"], params["max_requests"], params["time_s"])
    assert ("GET /b", "/c") == params["skip"]


def test_a_table_is_its_own_commands_only() -> None:
    write("[tool.unslow.run]\nport = 9\n[tool.unslow.check]\nconcurrency = 2")

    assert 9 == given_to("run", "app:app")["port"]
    assert {"concurrency": 2} == set_options(CHECK)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("concurency = 2", r"\[tool.unslow.check\] in .* sets 'concurency', which is no setting"),
        ("concurrency = 0", "concurrency in .* is 0; wanted is a whole number, 1 or more"),
        ("concurrency = true", "is True; wanted is a whole number"),
        ('skip = "/a"', "is '/a'; wanted is a list of texts"),
        ('format = "pdf"', "format in .*UNSLOW_CHECK_FORMAT, is 'pdf'; 'pdf' is not one of"),
        ('also_counted = ["ok"]', "also_counted in .* 'ok' is not a valid integer"),
        ('folder = "x"', "sets 'folder', which is no setting"),
        ("accept = 1", "is 1; wanted is true or false"),
    ],
)
def test_a_wrong_name_or_value_is_said_with_its_place(line: str, said: str) -> None:
    write(f"[tool.unslow.check]\n{line}")

    with pytest.raises(SettingError, match=said):
        set_options(CHECK)


def test_a_wrong_variable_is_said_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSLOW_CHECK_CONCURRENCY", "many")

    with pytest.raises(SettingError, match="UNSLOW_CHECK_CONCURRENCY is 'many'"):
        set_options(CHECK)


def test_what_stands_in_place_of_a_table_is_an_error() -> None:
    write("check = 3")

    with pytest.raises(SettingError, match=r"tool.unslow.check in .* is 3; a table is wanted"):
        set_options(CHECK)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_but_those_of_all_commands_can_be_set(name: str) -> None:
    one = command.commands[name]
    left = {
        key_of(option)
        for option in one.params
        if isinstance(option, click.Option) and not option.hidden
    } - {key_of(option) for option in settable(one)}

    assert left <= {"folder", "record_values"}
