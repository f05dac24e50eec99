import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.errors import SettingError, UnslowError
from unslow.settings import SETTINGS, Setting, Settings, load


def write(folder: Path, lines: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.unslow]\n{lines}\n")


def test_without_a_file_and_variables_the_defaults_hold(tmp_path: Path) -> None:
    assert Settings() == load({}, tmp_path)


def test_a_file_without_our_table_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nfolder = 3\n")

    assert Settings() == load({}, tmp_path)


def test_the_table_in_the_file_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        'folder = "traces"\nring_traces = 5\nwatchdog_period_ms = 2\nenabled = false\n'
        'own = ["a", "b"]',
    )

    expected = Settings(
        folder="traces", ring_traces=5, watchdog_period_ms=2.0, enabled=False, own=("a", "b")
    )
    assert expected == load({}, tmp_path)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "ring_traces = 5\nslices_per_trace = 500")

    settings = load({"UNSLOW_RING_TRACES": "7"}, tmp_path)

    assert (7, 500) == (settings.ring_traces, settings.slices_per_trace)


def test_the_process_environment_and_the_current_folder_are_what_is_read_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "ring_traces = 5")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNSLOW_OWN", "shop, lib/pricing.py,")

    settings = load()

    assert (5, ("shop", "lib/pricing.py")) == (settings.ring_traces, settings.own)


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("Yes", True), ("on", True), ("FALSE", False), ("0", False)]
)
def test_a_variable_says_yes_or_no_in_the_usual_words(
    text: str, expected: bool, tmp_path: Path
) -> None:
    assert expected is load({"UNSLOW_RECORD_VALUES": text}, tmp_path).record_values


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    write(tmp_path, "ring_traces = 5")

    assert 5 == load({"UNSLOW_RING_TRACES": ""}, tmp_path).ring_traces


@pytest.mark.parametrize(
    ("variable", "text", "wanted"),
    [
        ("UNSLOW_STORE_BYTES", "64MB", "a whole number, 1048576 or more"),
        ("UNSLOW_STORE_BYTES", "1048575", "a whole number, 1048576 or more"),
        ("UNSLOW_RING_TRACES", "2.5", "a whole number, 1 or more"),
        ("UNSLOW_WATCHDOG_PERIOD_MS", "nan", "a number, 1 or more"),
        ("UNSLOW_WATCHDOG_PERIOD_MS", "inf", "a number, 1 or more"),
        ("UNSLOW_ENABLED", "maybe", "true or false"),
    ],
)
def test_a_wrong_variable_says_what_it_got_what_is_wanted_and_what_to_do(
    variable: str, text: str, wanted: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError) as caught:
        load({variable: text}, tmp_path)

    message = str(caught.value)
    assert message.startswith(f"{variable} is ")
    assert text in message
    assert f"wanted is {wanted}." in message
    assert "leave it out" in message


@pytest.mark.parametrize(
    "line",
    [
        "ring_traces = true",
        'ring_traces = "5"',
        "enabled = 1",
        'folder = ""',
        "folder = 3",
        'own = "shop"',
        "own = [3]",
        "own = [[]]",
        "watchdog_period_ms = inf",
        "watchdog_period_ms = 0",
    ],
)
def test_a_wrong_value_in_the_file_is_named_with_the_file(line: str, tmp_path: Path) -> None:
    write(tmp_path, line)

    with pytest.raises(SettingError) as caught:
        load({}, tmp_path)

    message = str(caught.value)
    assert message.startswith(f"{line.partition(' ')[0]} in [tool.unslow] of {tmp_path}")
    assert "wanted is" in message


def test_an_unknown_name_in_the_file_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    write(tmp_path, "ring_trace = 5")

    with pytest.raises(SettingError, match=r"'ring_trace', which is no setting.* ring_traces,"):
        load({}, tmp_path)


@pytest.mark.parametrize(
    "text", ["tool.unslow = 3", "[tool.unslow", '[tool.unslow]\nfolder = "\xff']
)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(SettingError) as caught:
        load({}, tmp_path)

    assert str(path) in str(caught.value)


def test_a_setting_error_is_one_of_ours() -> None:
    assert issubclass(SettingError, UnslowError)


@given(st.integers(min_value=1))
def test_any_whole_number_that_is_allowed_comes_back_as_it_went_in(number: int) -> None:
    assert number == load({"UNSLOW_RING_TRACES": str(number)}, "/nowhere").ring_traces


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_default_is_a_value_that_could_be_set(setting: Setting, tmp_path: Path) -> None:
    default = setting.default
    text = ",".join(default) if isinstance(default, tuple) else str(default)

    assert default == asdict(load({setting.variable: text}, tmp_path))[setting.name]


def test_each_number_has_a_unit_and_a_least_value() -> None:
    for setting in SETTINGS:
        is_number = type(setting.default) in {int, float}

        assert is_number == bool(setting.unit)
        assert is_number == (setting.least is not None)


def test_the_parser_of_the_file_is_not_loaded_when_there_is_no_file(tmp_path: Path) -> None:
    code = "import sys; from unslow.settings import load; load({}); print('tomllib' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert "False\n" == done.stdout
