import pytest
from rich.console import Console

from tests.report.screen import Screen, console_on
from unslow.report.progress import progress


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_bar_says_what_is_done_and_how_far_and_goes_away() -> None:
    screen = Screen()

    with progress("Filling the database [now]", console=console_on(screen)) as update:
        update(0.3)
        update(2.0)

    assert "Filling the database [now]" in screen.getvalue()
    assert "100%" in screen.getvalue()
    assert [] == screen.lines


def test_nothing_is_written_where_there_is_no_terminal() -> None:
    file = Screen(terminal=False)

    with progress("Filling", console=Console(file=file, force_terminal=True)) as update:
        update(0.3)

    assert "" == file.getvalue()


def test_an_error_inside_goes_on_and_leaves_the_terminal_clean() -> None:
    screen = Screen()

    def fail() -> None:
        with progress("Filling", console=console_on(screen)) as update:
            update(0.5)
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert [] == screen.lines
