import io
import sys

import pytest
from rich.console import Console

from tests.report.samples import lazy_posts, quick, report, shop
from tests.report.screen import Screen, console_on
from unslow.report.live import LiveReport


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_the_newest_report_stands_in_the_place_of_the_one_before() -> None:
    screen = Screen()

    with LiveReport(console=console_on(screen)) as live:
        live.update(report(quick(1)))
        assert "GET /things/1/parts" in "\n".join(screen.lines)
        live.update(report(quick(2)))

        assert 1 == sum("unslow 0.1.0" in line for line in screen.lines)
        assert "GET /things/1/parts" not in "\n".join(screen.lines)
        assert "GET /things/2/parts" in "\n".join(screen.lines)


def test_nothing_is_left_at_the_end() -> None:
    screen = Screen()

    with LiveReport(console=console_on(screen)) as live:
        live.update(shop())

    assert [] == screen.lines


def test_a_report_longer_than_the_terminal_is_cut_below_its_worst_route_and_says_so() -> None:
    screen = Screen()

    with LiveReport(console=console_on(screen, height=12)) as live:
        live.update(shop())

        assert len(screen.lines) <= 12
        assert "GET /orders/{order_id}" in "\n".join(screen.lines)
        assert screen.lines[-1].startswith("… ")
        assert screen.lines[-1].endswith(" more lines")


def test_lines_of_others_stand_above_it_in_their_own_colours_and_stay() -> None:
    screen = Screen()

    with LiveReport(console=console_on(screen, height=30), room_above_count=8) as live:
        live.update(shop())
        live.show_above("one [bold]\n\x1b[31mtwo\x1b[0m")

        assert ["one [bold]", "two"] == screen.lines[:2]
        assert "unslow 0.1.0" in screen.lines[2]
        assert len(screen.lines) == 2 + 30 - 1 - 8

    assert ["one [bold]", "two"] == screen.lines


@pytest.mark.parametrize("width", [30, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    screen = Screen()

    with LiveReport(console=console_on(screen, width=width, height=60)) as live:
        live.update(shop())

        assert max(map(len, screen.lines)) <= width


def test_a_terminal_that_knows_ascii_only_gets_signs_that_it_knows() -> None:
    class AsciiScreen(Screen):
        encoding = "ascii"

    screen = AsciiScreen()

    with LiveReport(console=console_on(screen)) as live:
        live.update(report(lazy_posts()))

        assert "@ orm 13.1 - = sql 10.2" in "\n".join(screen.lines)
        assert screen.getvalue().isascii()


def test_nothing_is_written_where_stderr_is_no_terminal_even_with_colour_forced() -> None:
    file = Screen(terminal=False)

    with LiveReport(console=Console(file=file, force_terminal=True)) as live:
        live.update(shop())

    assert "" == file.getvalue()


def test_nothing_is_written_on_a_terminal_that_cannot_be_written_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen()

    with LiveReport(console=console_on(screen)) as live:
        live.update(shop())

    assert "" == screen.getvalue()


def test_stderr_is_where_it_is_shown_and_stdout_is_untouched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen, out = Screen(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)

    with LiveReport() as live:
        live.update(report(quick(1)))
        assert sys.stdout is out
        assert "/things/1" in screen.getvalue()

    assert sys.stderr is screen
    assert "" == out.getvalue()


def test_an_error_inside_goes_on_and_leaves_the_terminal_clean() -> None:
    screen = Screen()

    def fail() -> None:
        with LiveReport(console=console_on(screen)) as live:
            live.update(shop())
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert [] == screen.lines
    assert "\x1b[?25h" in screen.getvalue()
