"""What was tried, as the terminal shows it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.model.test_proof_codec import TRIALS
from tests.report.judged import NASTY, blocking, judged, lazy_load, no_timeout
from tests.report.samples import FOLDER, shop
from tests.report.tried import (
    ALL,
    EAGER,
    FINDINGS,
    SALES,
    TOTAL,
    by_hand,
    each_verdict,
    eager,
    fast_json,
    limit_rows,
    measured,
    off_loop,
    pool,
    resize_pool,
    serialization,
    tried,
    unbounded,
    wholly_tried,
)
from unslow.model.proof import BROKE, NOT_TRIED, SLOWER, AlsoTried, Arm, Trial
from unslow.model.report import Report
from unslow.report.as_text import print_report, report_lines
from unslow.report.verdicts import total_sentence

FIGURES = "4.6x faster [4.1, 5.0]   33.7 → 7.3 ms   52 → 2 statements"
CHANGED = "changes the answer: $.items[].created has another format"
NONE_PROVEN = "none with a proven fix; what a request could save at most"
LONG = "selectinload(Organization.projects).joinedload(Project.members)" * 5


def told(shown: Report, width: int = 100, *, everything: bool = False) -> list[str]:
    lines = report_lines(shown, width=width, folder=Path(FOLDER), everything=everything)
    return [line.plain for line in lines]


def text_of(shown: Report, width: int = 100, *, everything: bool = False) -> str:
    return "\n".join(told(shown, width, everything=everything))


def with_long_names() -> Report:
    """Trials whose every text is far too long."""
    why = "it is not known what " + "a_name_without_end" * 20 + " is, and so on" * 20
    finding = lazy_load()
    changes = {"arm": Arm("eager-load", LONG), "why": why, "advice": f"{why}\n    {LONG}"}
    many = tuple(AlsoTried(f"{LONG}{number}", 1.2, why) for number in range(9))
    table = ((LONG, why), ("8", "x" * 300))
    verdicts = (one.verdict for one in each_verdict())
    trials = (
        eager(finding, verdict=one, also_tried=many, table=table, **changes) for one in verdicts
    )
    return tried(*trials, *ALL[1:], proven_total=TOTAL, trials_left=(why, LONG))


def nasty_trials() -> Report:
    arm = Arm("eager-load", NASTY)
    made = eager(arm=arm, why=NASTY, advice=NASTY, patch=NASTY, table=((NASTY, NASTY),))
    trials = (replace(made, verdict=one.verdict, finding=lazy_load().id) for one in each_verdict())
    return tried(*trials, trials_left=(NASTY,))


SHOWN = [wholly_tried(), tried(*each_verdict()), with_long_names(), nasty_trials()]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("shown", SHOWN, ids=["whole", "each verdict", "long names", "nasty"])
@pytest.mark.parametrize("everything", [False, True])
def test_no_line_is_wider_than_the_page_ends_in_blanks_or_is_obeyed_by_a_terminal(
    width: int, shown: Report, everything: bool
) -> None:
    lines = report_lines(shown, width=width, folder=Path(FOLDER), everything=everything)

    assert [] == [line.plain for line in lines if line.cell_len > width]
    assert [] == [line.plain for line in lines if line.plain != line.plain.rstrip()]
    assert all(line.plain.isprintable() for line in lines)


@given(st.lists(TRIALS, max_size=4), st.sampled_from([60, 80, 100, 140]), st.booleans())
def test_any_trials_fit(trials: list[Trial], width: int, everything: bool) -> None:
    own = [replace(one, finding=lazy_load().id) for one in trials]

    lines = report_lines(
        tried(*own, findings=(lazy_load(),)),
        width=width,
        folder=Path(FOLDER),
        everything=everything,
    )

    assert [] == [line.plain for line in lines if line.cell_len > width]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_nothing_of_a_reason_or_a_change_is_cut_off(width: int) -> None:
    why = "it is not known what " + "a_name_without_end" * 20 + " is"
    shown = tried(
        eager(arm=Arm("eager-load", LONG)), off_loop(verdict=NOT_TRIED, why=why), fast_json(why=why)
    )

    squeezed = "".join(text_of(shown, width).split())

    assert LONG in squeezed
    assert 2 == squeezed.count("".join(why.split()))


def test_a_report_of_which_nothing_was_tried_is_as_it_was() -> None:
    text = text_of(judged(*FINDINGS))

    for word in ("proven", "withdrawn", "was tried", "✔", "→", "unslow fix"):
        assert word not in text
    assert "\n6 findings on 4 routes; what a request could save at most\n" in text
    assert text_of(shop()) == text_of(replace(shop(), trials=None))


def test_a_proof_stands_below_its_finding_with_the_change_and_the_way_to_the_patch() -> None:
    lines = told(tried(eager()))

    head = next(line for line in lines if line.startswith("  lazy-load-loop"))
    at = lines.index(head)
    assert head.endswith("in get_user_posts              proven 4.6x, 33.7 → 7.3 ms")
    assert [
        "    caused by shop/schemas.py:12 in PostOut.comments",
        f"    ✔ eager-load   {FIGURES}   same answer",
        f"      {EAGER}   at 1 ms round trip 9.8x, at 5 ms 17.2x",
        "      also tried: selectinload 2.8x, joinedload 1.8x",
        f"      unslow fix {lazy_load().id} shows the patch",
        "",
    ] == lines[at + 3 : at + 9]


def test_what_is_unsafe_says_so_and_sends_to_the_patch() -> None:
    text = text_of(tried(off_loop()))

    assert (
        "    ✔ off-loop   17.7x faster at 20 users [15.9, 19.0]   4.9 s → 277 ms   same answer"
        "   unsafe\n"
    ) in text
    assert f"      unsafe, read the patch: unslow fix {blocking().id} shows it\n" in text
    assert "· unsafe\n" in text, "also among the worst"


def test_without_a_patch_no_command_shows_one() -> None:
    text = text_of(tried(eager(patch="")))

    assert "unslow fix" not in text
    assert "with a slower network" not in text
    assert f"    {lazy_load().id}\n" in text


def test_what_is_estimated_of_slower_networks_gives_way_to_what_was_measured() -> None:
    assert "with a slower network 76.4 ms at 1 ms" in text_of(tried(eager(at_round_trip_ms={})))
    assert "with a slower network" not in text_of(tried(eager()))


def test_each_verdict_has_its_sign_and_its_words_the_best_first() -> None:
    lines = [line for line in told(tried(*each_verdict())) if line[:6].strip() in set("✔=!✘·")]

    assert [
        f"    ✔ eager-load     {FIGURES}   same answer",
        "    = split-joins    no difference; a gain of 6 % would have been seen   33.7 → 33.4 ms",
        f"    ! fast-json      {CHANGED}   33.7 → 33.4 ms",
        "    ✘ eager-load     1.8x slower [1.7, 2.0]   33.7 → 61.3 ms   52 → 2 statements",
        "    ✘ off-loop       broke: MissingGreenlet, 3 of 40 times",
        "    · batch-by-key   not tried: 3 frames below the coroutine: move _load_all",
    ] == [line for line in lines if line.startswith("    ") and line[4] != " "]


def test_another_answer_by_purpose_is_a_what_if() -> None:
    lines = told(tried(limit_rows()))

    at = lines.index(
        "    ! limit-rows   what if: 12.1x faster [11.0, 13.2] with .limit(50), another answer by"
        " purpose"
    )
    assert [
        "      154 → 12.7 ms",
        "      the list at $ has 50 items, not 12,000",
    ] == lines[at + 1 : at + 3]
    assert "proven" not in "\n".join(line for line in lines if "unbounded-list" in line)


def test_what_was_measured_at_each_setting_stands_in_columns() -> None:
    lines = told(tried(resize_pool()))

    at = lines.index("      2                 410 ms, as it is")
    assert [
        "      4                 218 ms",
        "      8                 132 ms, the smallest that is within the noise of the best",
        "      16 + 16 overflow  131 ms",
    ] == lines[at + 1 : at + 4]


def test_of_advice_the_beginning_is_told_and_all_of_it_with_its_lines_on_request() -> None:
    shown = tried(by_hand())

    lines = told(shown)
    at = lines.index("    · set-timeout   not tried, to be changed by hand")
    assert lines[at + 1].startswith("      Give the client of shop/routers/leads.py:44")
    assert lines[at + 2].endswith(" …")
    assert "" == lines[at + 3]
    everything = text_of(shown, everything=True)
    assert "          try:\n              answer = await client.get(url)\n" in everything
    assert "      timeout=httpx.Timeout(5.0)\n" in everything


def test_short_advice_is_told_whole() -> None:
    text = text_of(tried(resize_pool()))

    assert "The server has 100 connections for all processes.\n" in text


def test_of_many_variants_the_first_are_told_and_all_on_request() -> None:
    many = tuple(AlsoTried(f"variant{number}", 1.6) for number in range(9))
    shown = tried(eager(also_tried=many))

    assert "also tried: variant0 1.6x, variant1 1.6x, variant2 1.6x, variant3 1.6x, 5 more\n" in (
        text_of(shown)
    )
    assert "variant8 1.6x" in text_of(shown, everything=True)


def test_how_it_was_measured_is_told_on_request() -> None:
    assert "pair blocks" not in text_of(tried(eager()))
    assert "acted 40 times, 40 pair blocks, noise 3 %" in text_of(tried(eager()), everything=True)


def test_a_finding_whose_fix_does_not_pay_is_withdrawn_and_not_among_the_worst() -> None:
    lines = told(tried(fast_json(), findings=(lazy_load(), serialization())))

    assert f"1 finding on 1 route, {NONE_PROVEN}" in lines
    assert "  1 withdrawn: its fix was tried and does not pay" in lines
    heads = [line for line in lines if line.startswith("  slow-serialization")]
    assert ["  slow-serialization  shop/routers/users.py:90 in get_user_posts"] == heads
    at = lines.index("    withdrawn: its fix was tried and does not pay")
    assert lines[at + 1].startswith("    = fast-json   no difference; a gain of 6 % would have")


def test_a_withdrawn_finding_may_still_save_on_a_slower_network() -> None:
    slow = eager(verdict=SLOWER, compared=measured(0.5), at_round_trip_ms={})

    assert "    could save with a slower network 76.4 ms at 1 ms, 276 ms at 5 ms of round" in (
        text_of(tried(slow))
    )


def test_where_all_is_withdrawn_nothing_that_stands_was_found() -> None:
    text = text_of(tried(fast_json(), findings=(serialization(),)))

    assert (
        "\n\nNothing was found on 18 routes that stands; 1 withdrawn: its fix was tried and"
        " does not pay.\n"
    ) in text


def test_what_is_proven_stands_first_by_what_it_saves_then_what_could_be_saved() -> None:
    lines = told(wholly_tried())

    at = lines.index("5 findings on 4 routes, 3 with a proven fix; the others could save at most")
    assert [
        "  ✔ proven 17.7x, 4.9 s → 277 ms  blocking-call · GET /orders/{order_id} · unsafe",
        f"{'':34}others waited 65.0 s · shop/routers/orders.py:31 in get_order",
        "  ✔ proven 3.1x, 410 → 132 ms     pool-wait · GET /reports/sales · unsafe · shop/db.py:8",
        "  ✔ proven 4.6x, 33.7 → 7.3 ms    lazy-load-loop · User.posts -> comments",
        "                                  GET /users/{user_id}/posts · shop/routers/users.py:97",
        f"    could save 140 ms             unbounded-list · {SALES} · shop/routers/reports.py:12",
        "                                  missing-timeout · GET /leads/{lead_id}/score",
        "  1 withdrawn: its fix was tried and does not pay",
    ] == lines[at + 1 : at + 9]


def test_on_a_narrow_page_the_amount_stands_above_what_it_is_about() -> None:
    text = text_of(wholly_tried(), 60)

    assert "\n  ✔ proven 4.6x, 33.7 → 7.3 ms\n    lazy-load-loop · User.posts -> comments\n" in text
    assert "\n    could save 140 ms\n    unbounded-list · GET /reports/sales\n" in text


def test_where_all_is_proven_nothing_else_is_promised() -> None:
    lines = told(tried(eager(), findings=(lazy_load(),)))

    assert "1 finding on 1 route, 1 with a proven fix" in lines


def test_a_cause_on_several_routes_says_on_how_many_it_is_proven() -> None:
    elsewhere = lazy_load(route=blocking().route)
    shown = tried(eager(), findings=(lazy_load(), elsewhere))

    assert "GET /users/{user_id}/posts and 1 more route" in text_of(shown)
    assert "proven on 1 of 2 routes" in text_of(shown)
    both = replace(shown, trials=(eager(), eager(elsewhere)))
    assert "proven on" not in text_of(both)


def test_below_an_endpoint_what_is_proven_stands_first_and_what_is_withdrawn_last() -> None:
    findings = (serialization(could_save_ms=90.0), no_timeout(route=lazy_load().route), lazy_load())
    lines = told(tried(eager(), fast_json(), findings=findings))

    rules = [line.split()[0] for line in lines if line[:2] == "  " and line[2:3].isalpha()]
    told_rules = [one for one in rules if one in {each.rule for each in findings}]
    assert ["lazy-load-loop", "missing-timeout", "slow-serialization"] == told_rules[-3:]


def test_at_the_end_stands_what_is_proven_together_and_what_was_left() -> None:
    lines = told(wholly_tried())

    at = lines.index("Not looked at")
    assert [
        "",
        total_sentence(TOTAL),
        "2 findings of GET /health were not tried: the time of the check was over.",
        "",
    ] == lines[at - 4 : at]


def test_where_there_was_nothing_to_try_it_says_so() -> None:
    says = "No fix was tried: none of what was found has one that can be switched on."

    assert says in told(tried(findings=(no_timeout(),)))
    assert says not in told(tried(findings=()))
    assert says not in told(tried(trials_left=("The time was over.",)))


def test_colour_adds_nothing_to_signs_and_words() -> None:
    coloured, plain = io.StringIO(), io.StringIO()
    terminal = Console(file=coloured, force_terminal=True, color_system="truecolor")

    print_report(tried(*each_verdict()), terminal, width=100)
    print_report(tried(*each_verdict()), Console(file=plain), width=100)

    assert "\x1b[" in coloured.getvalue()
    assert "".join(plain.getvalue().split()) in "".join(
        "".join(part.partition("m")[2] for part in f"m{coloured.getvalue()}".split("\x1b[")).split()
    )


def test_a_terminal_that_knows_ascii_only_gets_signs_that_it_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", newline="\n") as file:
        print_report(tried(*each_verdict()), Console(file=file), folder=Path(FOLDER))
        file.flush()
        text = raw.getvalue().decode("ascii")

    assert "    + eager-load     4.6x faster [4.1, 5.0]   33.7 > 7.3 ms   52 > 2 statements" in text
    assert "    x off-loop       broke: MissingGreenlet" in text
    assert "    - batch-by-key   not tried: 3 frames" in text
    assert [len(line) for line in told(tried(*each_verdict()))] == [
        len(line) for line in text.splitlines()
    ]


def test_findings_of_other_kinds_are_told_as_before() -> None:
    broken = off_loop(verdict=BROKE, why="it broke", compared=None)

    text = text_of(tried(broken, findings=(blocking(), pool(), unbounded())))

    assert "  could save 250 ms for others\n" in text
    assert f"3 findings on 2 routes, {NONE_PROVEN}" in text
