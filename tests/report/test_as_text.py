import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.report.samples import (
    FOLDER,
    POOL,
    blocking_order,
    endpoint,
    lazy_posts,
    quick,
    remote_score,
    report,
    shop,
    waiting_report,
)
from unslow.model.report import Blocked, Detail, Endpoint, Holder, Machine, Report, Victim
from unslow.model.trace import SEGMENTS, Coverage, Place
from unslow.report.as_text import print_report, render, report_lines
from unslow.report.words import MEANINGS

LONG = "/organizations/{organization_id}/projects/{project_id}/members/{member_id}/permissions"


def told(shown: Report, width: int = 100, *, everything: bool = False) -> list[str]:
    lines = report_lines(shown, width=width, folder=Path(FOLDER), everything=everything)
    return [line.plain for line in lines]


def below(head: str, lines: list[str]) -> list[str]:
    return lines[lines.index(head) + 1 :]


def told_of(shown: Endpoint, width: int = 100) -> str:
    return "\n".join(told(report(shown), width))


def with_long_names() -> Report:
    """The shop, with a route, a path, a shape, a host and a target that are far too long."""
    deep = Place("/srv/" + "very/" * 40 + "deep.py", 12, "answer_" * 9)
    posts = replace(lazy_posts(), route=LONG * 2, statements_max=10_000)
    shapes = tuple(
        replace(one, shape="UPDATE " + "x" * 900, place=deep, relationship="A.b -> " * 30)
        for one in posts.statements
    )
    details = {
        "remote": (Detail(9.0, deep, "host." * 50, count=1234.5),),
        "loop-busy": (Detail(9.0, deep, "x" * 200, "GET " + LONG * 2, most_ms=81_000.0),),
    }
    return replace(
        shop(),
        target="gunicorn --bind 127.0.0.1:8000 " * 9,
        endpoints=(replace(posts, statements=shapes, details=details), *shop().endpoints),
        blocked=(
            Blocked("GET " + LONG * 2, deep, "x" * 200, 9.0, 2, (Victim(LONG * 3, 1, 0.0, 9.0),)),
        ),
        holders=(Holder("postgresql " * 30, "GET " + LONG * 2, deep, 9.0),),
        coverage=(Coverage("x" * 300, "on"), Coverage("y", "off", "z" * 300 + " and so on" * 30)),
        notes=("A note that says how far to trust this. " * 9,),
    )


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("shown", [shop(), with_long_names()], ids=["shop", "long names"])
@pytest.mark.parametrize("everything", [False, True])
def test_no_line_is_wider_than_the_page_or_ends_in_blanks(
    width: int, shown: Report, everything: bool
) -> None:
    lines = report_lines(shown, width=width, folder=Path(FOLDER), everything=everything)

    assert [] == [line.plain for line in lines if line.cell_len > width]
    assert [] == [line.plain for line in lines if line.plain != line.plain.rstrip()]


@given(
    st.dictionaries(
        st.sampled_from(SEGMENTS), st.floats(min_value=0, max_value=1e6, allow_nan=False)
    ),
    st.integers(0, 10**6),
    st.integers(0, 10**12),
    st.sampled_from([60, 80, 100, 140]),
)
def test_any_numbers_fit(segments: dict[str, float], count: int, size: int, width: int) -> None:
    shown = endpoint(
        f"GET {LONG}",
        segments,
        requests_count=max(1, count),
        errors_count=count // 2,
        statements_p50=count,
        statements_max=count * 3,
        response_bytes_p50=size,
        response_bytes_max=size * 5,
        details={name: (Detail(ms, None, "x" * 60),) for name, ms in segments.items()},
    )

    assert [] == [line for line in told(report(shown), width) if len(line) > width]


def test_the_head_says_what_was_looked_at_on_what_machine_and_how_far_to_trust_it() -> None:
    lines = told(replace(shop(), target="app:app"))

    assert [
        "unslow 0.1.0 · app:app · 18 routes · 701 requests · 2 processes · 2026-03-01 12:00 UTC",
        "Linux · 2 cores, load 0.8 · Python 3.11.7 · fastapi 0.165.0 · sqlalchemy 2.1.9",
        "! This machine was busy (load 5.1 on 2 cores): ask again when it is quiet.",
    ] == lines[:3]


def test_one_of_each_is_singular() -> None:
    machine = Machine("Linux", "3.12.1", 1, None)

    lines = told(report(replace(quick(1), requests_count=1), machine=machine))

    assert "1 route · 1 request · 1 process" in lines[0]
    assert "Linux · 1 core · Python 3.12.1" == lines[1]


def test_many_libraries_are_cut_to_the_first_and_counted() -> None:
    machine = Machine("Linux", "3.12.1", 2, None, {f"lib{n}": "1" for n in range(11)})

    text = "\n".join(told(report(quick(1), machine=machine)))

    assert "lib7 1 · 3 more libraries" in text
    assert "lib10 1" in "\n".join(told(report(quick(1), machine=machine), everything=True))


def test_a_report_of_nothing_says_so_and_still_says_what_was_covered() -> None:
    lines = told(report(coverage=(Coverage("asgi", "on"),)))

    assert "No request was recorded." in lines
    assert "  on           asgi" == lines[-1]


def test_an_endpoint_has_its_numbers_its_bar_and_its_legend() -> None:
    lines = told(report(lazy_posts()))

    assert [
        "GET /users/{user_id}/posts  40 requests  mean 33.7 ms  p50 33.1  p95 41.2  p99 44.2",
        "  100 % of all time  12.3 requests/s  52 statements (max 60)  20.6 kB",
        "  " + "▓" * 37 + "░" * 29 + "▒" * 17 + "▚" * 9 + "█" * 2 + "?" * 2,
        "  ▓ orm 13.1 · ░ sql 10.2 · ▒ hydration 6.0 · ▚ serialization 3.1 · █ own-code 0.8",
        "  ? unexplained 0.5 · . other 0.03",
    ] == lines[3:8]


def test_the_numbers_of_endpoints_stand_in_columns() -> None:
    lines = [line for line in told(shop()) if "mean" in line and line.startswith("GET")]

    assert 4 == len(lines)
    for word in ("requests", "mean", "p50", "p95", "p99"):
        assert 1 == len({line.index(word) for line in lines})


def test_a_route_too_long_for_its_numbers_stands_above_them() -> None:
    lines = told_of(lazy_posts(), width=80).splitlines()

    assert "GET /users/{user_id}/posts" == lines[4]
    assert "  40 requests  mean 33.7 ms  p50 33.1  p95 41.2  p99 44.2" == lines[5]


def test_a_statement_is_told_with_its_calls_relationship_line_and_rows() -> None:
    lines = told(report(lazy_posts()))

    at = lines.index(
        "  sql                  9.1 ms  50 x  SELECT … FROM comments WHERE comments.post_id = ?"
    )
    assert [
        "Post.comments · 500 rows · shop/routers/users.py:97 in get_user_posts",
    ] == [line.strip() for line in lines[at + 1 : at + 2]]


def test_statements_that_matter_but_are_not_told_are_counted() -> None:
    (first, *_) = lazy_posts().statements
    many = tuple(replace(first, shape=f"SELECT {number}") for number in range(5))

    lines = told(report(replace(lazy_posts(), statements=many)))

    assert 2 == sum("50 x  SELECT" in line for line in lines)
    assert "27.3 ms  in 3 more shapes" in "\n".join(lines)


def test_a_statement_that_is_quick_is_told_where_it_is_sent_often() -> None:
    (first, *_) = lazy_posts().statements

    assert "50 x  SELECT" in told_of(
        replace(lazy_posts(), statements=(replace(first, ms_per_request=0.1),))
    )


def test_everything_leaves_no_statement_out() -> None:
    text = "\n".join(told(report(lazy_posts()), everything=True))

    assert "0.5 x  SELECT ?" in text
    assert "500 rows · slowest 1.4 ms" in text
    assert "more shape" not in text


def test_time_alone_stands_beside_that_with_others_and_what_made_the_difference() -> None:
    text = told_of(blocking_order())

    # (60 x 2462.0 - 20 x 251.1) / 40
    assert (
        "alone                251 ms  with up to 20 at once mean 3.6 s · loop-busy +3.3 s" in text
    )


def test_others_that_were_not_counted_are_just_others() -> None:
    assert "with others mean 3.6 s" in told_of(replace(blocking_order(), concurrency_max=1))


def test_a_busy_loop_is_told_by_culprit_as_an_interval() -> None:
    text = told_of(blocking_order(), width=140)

    assert "o loop-busy 2.2 s (at most 2.3 s)" in text
    assert (
        "  loop-busy         2.1-2.2 s  GET /orders/{order_id} · time.sleep · "
        "shop/routers/orders.py:31 in get_order\n"
    ) in text
    assert "blocked-loop         250 ms  its own waits held the event loop" in text


def test_what_took_little_of_an_endpoint_is_told_only_where_everything_is() -> None:
    shown = report(blocking_order())

    assert "110 ms  outside requests" not in "\n".join(told(shown))
    assert "110 ms  outside requests" in "\n".join(told(shown, everything=True))


@pytest.mark.parametrize("shown", [*shop().endpoints[:4]], ids=lambda one: one.route)
def test_below_a_bar_stand_eight_lines_at_most(shown: Endpoint) -> None:
    details = tuple(
        Detail(shown.wall_ms.mean / 4, Place(f"/srv/a/b/c/{n}.py", n, "f")) for n in range(9)
    )
    shown = replace(shown, details=dict.fromkeys(("remote", "own-code", "connect"), details))
    lines = told(replace(report(shown), blocked=()), 80)

    legend = max(number for number, line in enumerate(lines) if "unexplained" in line)
    assert len(lines[legend + 1 :]) <= 1 + 8


def test_a_wait_for_a_pool_names_the_pool_and_the_shares_of_its_holders() -> None:
    text = "\n".join(told(replace(shop(), endpoints=(waiting_report(),))))

    assert f"pool-wait            120 ms  {POOL}" in text
    assert "81 % held by  GET /reports/sales · shop/routers/reports.py:12 in report_sales" in text
    assert "19 % held by  GET /leads/{lead_id}/score" in text


def test_who_held_a_pool_while_other_routes_waited_is_not_told_of_this_one() -> None:
    held = Holder(POOL, "GET /nightly", None, 9_000.0, {"GET /posts": 9_000.0})
    whole = replace(shop(), endpoints=(waiting_report(),))

    text = "\n".join(told(replace(whole, holders=(held, *whole.holders))))

    assert "81 % held by  GET /reports/sales" in text
    assert "held by  GET /nightly" not in text


def test_what_makes_the_slow_requests_slow_is_told_where_they_are_far_from_the_middle() -> None:
    assert "p95                  410 ms  above p50: pool-wait +289" in told_of(waiting_report())
    assert "above p50" not in told_of(lazy_posts())


def test_what_a_bar_cannot_show_stands_below_it() -> None:
    text = told_of(waiting_report())

    assert "dropped           12 slices  not kept" in text
    text = "\n".join(told(report(waiting_report()), everything=True))
    assert "overlap              8.1 ms  beside what the bar shows" in text
    assert "after-response       3.1 ms  sql 2.0 · own-code 1.1" in text
    assert "dropped           12 slices  not kept: their time may be unexplained" in text
    busy = replace(lazy_posts(), off_cpu_ms=9.0)
    assert "off-cpu              9.0 ms  ready, but not on a CPU" in told_of(busy)
    assert "off-cpu" not in told_of(lazy_posts())


def test_other_services_are_told_by_host_with_their_lines_and_calls() -> None:
    text = told_of(remote_score())

    assert "remote              36.0 ms  scores.example.com · 3 times a request" in text
    assert "scoring/client/http.py:210 in ask" in text
    assert "5.2 ms  127.0.0.1:9000 · shop/routers/leads.py:44 in score_lead" in text


def test_errors_are_named_and_only_where_there_are_some() -> None:
    assert "2 errors" in told_of(blocking_order())
    assert "error" not in told_of(lazy_posts())


def test_a_quick_endpoint_with_nothing_long_in_it_has_no_details() -> None:
    place = Place("/home/me/shop/a.py", 1, "f")
    waits = endpoint(
        "GET /a", {"sql": 3.0, "own_code": 1.0}, details={"sql": (Detail(3.0, place),)}
    )
    quiet = replace(waits, receipts_ms={"mean": {"sql": 1.0, "own-code": 3.0}})

    assert "a.py:1 in f" in told_of(waits)
    assert "a.py:1 in f" not in told_of(quiet)


def test_quick_endpoints_that_take_no_time_have_one_line_and_their_errors_are_not_missed() -> None:
    lines = told(shop())

    assert "14 more endpoints, <1 % of all time" in lines
    assert (
        "  GET /things/5/parts   40 requests  3 errors  mean 1.2 ms  p95 1.5"
        "  33 % own-code  1 statement"
    ) in lines
    assert "  GET /things/3/parts    1 request " in "\n".join(lines)


def test_quick_endpoints_have_bars_where_they_are_all_there_is_but_not_more_than_twelve() -> None:
    lines = told(report(*map(quick, range(10, 24))))

    assert 12 == sum("▄▄▄▄" in line for line in lines)
    assert "2 more endpoints, 14 % of all time" in lines
    all_lines = told(report(*map(quick, range(10, 24))), everything=True)
    assert 14 == sum("▄▄▄▄" in line for line in all_lines)


def test_slow_endpoints_beyond_the_twelfth_have_one_line() -> None:
    many = [replace(lazy_posts(), route=f"/slow/{number}") for number in range(14)]

    lines = told(report(*many))

    assert 12 == sum("▓▓▓▓" in line for line in lines)
    assert "  GET /slow/13  40 requests  mean 33.7 ms  p95 41.2  39 % orm" in "\n".join(lines)


def test_who_blocked_the_loop_is_told_with_the_victims() -> None:
    lines = below("Who blocked the event loop", told(shop()))

    worst = "GET /orders/{order_id} 61.0-62.3 s · GET /health 3.1-4.7 s"
    assert [
        "  GET /orders/{order_id} · time.sleep · shop/routers/orders.py:31 in get_order",
        "    held it for 15.0 s, 60 times (250 ms each) · others waited 64.7-67.9 s in all",
        f"    {worst} · GET /users/{{user_id}}/posts 412 ms",
        "    3 more routes",
    ] == lines[:4]


def test_where_everything_is_told_each_victim_has_its_line() -> None:
    lines = below("Who blocked the event loop", told(shop(), everything=True))

    assert [
        "      61.0-62.3 s  GET /orders/{order_id} · 58 requests",
        "        3.1-4.7 s  GET /health · 12 requests",
        "           412 ms  GET /users/{user_id}/posts · 1 request",
    ] == lines[2:5]
    assert "     20.0-31.0 ms  GET /posts · 2 requests" in lines


def test_who_held_the_loop_while_nobody_waited_is_told_too() -> None:
    alone = Blocked("", None, "outside requests", 110.4, 1)

    lines = below("Who blocked the event loop", told(replace(shop(), blocked=(alone,))))

    assert ["  outside requests", "    held it for 110 ms, 1 time"] == lines[:2]


def test_culprits_beyond_the_fifth_are_counted() -> None:
    culprits = tuple(Blocked(f"GET /{number}", None, "own-code", 10.0, 1) for number in range(7))

    assert "  and 2 more, 20.0 ms in all" in told(report(quick(1), blocked=culprits))


def test_who_held_a_pool_is_told_for_each_pool() -> None:
    lines = below("Who held the pool while others waited for it", told(shop()))

    assert [
        f"  {POOL} · 4.8 s of waiting",
        "            3.9 s  GET /reports/sales · shop/routers/reports.py:12 in report_sales",
        "           900 ms  GET /leads/{lead_id}/score",
    ] == lines[:3]


def test_pools_that_were_hardly_waited_for_are_counted() -> None:
    held = (Holder(POOL, "GET /a", None, 900.0), Holder("redis pool", "GET /b", None, 0.4))

    text = "\n".join(told(report(quick(1), holders=held)))

    assert "  1 more pool · 0.4 ms of waiting" in text
    assert "redis pool" not in text


def test_what_was_recorded_is_one_paragraph_and_what_was_not_has_its_reason() -> None:
    lines = below("Coverage", told(shop()))

    assert [
        "on asgi · asyncpg 0.32.0 · event loop uvloop 0.22.1 · httpx 0.28.1 · redis 6.4.0",
        "requests 2.32.5 · sqlalchemy 2.1.9 · sqlalchemy engine postgresql+asyncpg · watchdog",
        "psycopg 3.3.0 (tried with 3.1 to 3.2)",
        "off aiohttp 3.7.4: this version is older than 3.9, the first that is known",
        "not-checked garbage collection",
    ] == [" ".join(line.split()) for line in lines]


def test_a_request_without_a_route_is_named_so() -> None:
    assert "GET (no route)" in told_of(endpoint("GET ", {"framework": 9.0}))


def test_a_route_cannot_give_commands_to_the_terminal() -> None:
    assert "\x1b" not in told_of(endpoint("GET /a\x1b[2J", {"framework": 9.0}))


def test_colour_adds_nothing_to_the_words() -> None:
    coloured, plain = io.StringIO(), io.StringIO()

    print_report(
        shop(), Console(file=coloured, force_terminal=True, color_system="truecolor"), width=100
    )
    print_report(shop(), Console(file=plain), width=100)

    assert "\x1b[" in coloured.getvalue()
    assert plain.getvalue() == re.sub(r"\x1b\[[\d;]*m", "", coloured.getvalue())


def test_a_report_that_is_not_for_a_terminal_has_a_hundred_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    written = io.StringIO()

    print_report(shop(), Console(file=written, force_terminal=True, width=70, color_system=None))

    assert 100 >= max(map(len, written.getvalue().splitlines())) > 90


def test_a_report_that_is_not_for_a_terminal_is_as_wide_as_it_is_told_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "64")
    written = io.StringIO()

    print_report(shop(), Console(file=written))

    assert 64 >= max(map(len, written.getvalue().splitlines())) > 60


def test_a_terminal_that_knows_ascii_only_gets_signs_that_it_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", newline="\n") as file:
        print_report(shop(), Console(file=file), folder=Path(FOLDER))
        file.flush()
        text = raw.getvalue().decode("ascii")

    assert "@ orm 13.1 - = sql 10.2 - h hydration 6.0" in text
    assert [len(line) for line in told(shop())] == [len(line) for line in text.splitlines()]


def test_paths_start_from_the_current_folder_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    here = Place(str(tmp_path / "app.py"), 3, "f")
    shown = endpoint("GET /a", {"own_code": 9.0}, details={"own-code": (Detail(9.0, here),)})

    written = io.StringIO()
    Console(file=written, width=100).print(render(report(shown)))

    assert "own-code             9.0 ms  app.py:3 in f" in written.getvalue()


def test_the_whole_run_stands_first_with_what_each_line_means_and_what_cost_most_of_it() -> None:
    lines = told(shop())

    at = lines.index("Where the time of all requests went: 158 s")
    assert [
        "  o loop-busy        133 s  84 %  it could go on, but the event loop ran something else",
        "      64.7-67.9 s  behind GET /orders/{order_id} · time.sleep · shop/routers/orders.py:31",
        "  ▀ blocking        15.0 s   9 %  a blocking call ran: a sleep, a file, a child process",
    ] == lines[at + 1 : at + 4]
    assert at < 5


def test_of_a_pool_the_holder_is_told_and_of_sql_the_statement() -> None:
    lines = told(replace(shop(), endpoints=(waiting_report(), lazy_posts()), blocked=()))

    text = "\n".join(lines)
    assert "3.9 s  held by GET /reports/sales · shop/routers/reports.py:12 in report_sales" in text
    assert "364 ms  in GET /users/{user_id}/posts · 50 x Post.comments" in text
    assert "524 ms  33 %" not in text
    assert "in GET /users/{user_id}/posts\n" in text, "hydration has no details but its endpoint"


def test_of_one_endpoint_there_is_no_whole_to_tell() -> None:
    assert "all requests went" not in told_of(lazy_posts())


def test_each_segment_has_its_meaning() -> None:
    assert set(SEGMENTS) == set(MEANINGS)
    assert 62 >= max(map(len, MEANINGS.values()))


def test_an_endpoint_that_others_wait_for_has_its_bar_also_where_its_own_time_is_short() -> None:
    many = [replace(lazy_posts(), route=f"/slow/{number}") for number in range(14)]
    sleeps = endpoint("GET /sleeps", {"blocking": 1.0})
    victims = (Victim("GET /slow/1", 3, 10.0, 10.0),)
    blocked = (Blocked("GET /sleeps", None, "time.sleep", 10.0, 3, victims),)

    assert any("▀▀▀▀" in line for line in told(report(*many, sleeps, blocked=blocked)))
    assert not any("▀▀▀▀" in line for line in told(report(*many, sleeps)))
