from dataclasses import replace
from pathlib import Path

from tests.report.judged import (
    NASTY,
    ORDER,
    POSTS,
    blocking,
    judged,
    lazy_load,
    nasty,
    no_timeout,
    outcomes,
    whole,
)
from tests.report.samples import FOLDER, endpoint, place, report, shop
from tests.report.test_quoting import html_of, read
from tests.report.tried import (
    PATCH,
    each_verdict,
    eager,
    fast_json,
    serialization,
    tried,
    wholly_tried,
)
from unslow.model.checked import Checked
from unslow.model.finding import NOT_CHECKED, Outcome
from unslow.model.proof import Arm
from unslow.model.report import Report
from unslow.report.as_markdown import MOST_CHARACTERS, markdown_text


def text_of(shown: Report) -> str:
    return markdown_text(shown, folder=Path(FOLDER))


def rows_of(shown: Report) -> list[str]:
    """The rows of the table, without its head."""
    return [line for line in text_of(shown).splitlines() if line.startswith("| ")][1:]


def details_of(shown: Report, begins: str) -> str:
    """What is folded up below a line that begins so."""
    (found,) = (
        part
        for part in text_of(shown).split("<details>\n")
        if part.startswith(f"<summary>{begins}")
    )
    return found


def test_it_has_one_heading_that_counts_what_was_found() -> None:
    text = text_of(whole())

    assert text.startswith("## unslow: 3 findings on 3 routes\n")
    assert 1 == html_of(text).count("<h")


def test_one_sentence_says_what_was_looked_at_and_on_what() -> None:
    assert (
        "Looked at 18 routes of `shop.main:app`, with 701 requests of which 696 counted; on Linux,"
        " 2 cores with load 0.8, Python 3.11.7, fastapi 0.165.0, sqlalchemy 2.1.9.\n"
    ) in text_of(judged(lazy_load()))


def test_of_a_check_it_says_how_much_of_the_app_that_was() -> None:
    few = Checked("shop.main:app", 0.0, 19, 9, (), 20)

    assert "of which 696 counted (18 of 19 operations); on Linux" in text_of(whole())
    assert "counted (only 9 of 19 operations); on" in text_of(replace(whole(), checked=few))


def test_what_tells_how_far_to_trust_it_stands_above_the_table() -> None:
    head, _, _ = text_of(whole()).partition("| rule |")

    assert "- This machine was busy (load 5.1 on 2 cores): ask again when it is quiet.\n" in head


def test_the_table_has_a_row_for_each_finding_most_at_stake_first() -> None:
    sleeps, loads, calls = rows_of(whole())

    assert sleeps == (
        "| `blocking-call` | `shop/routers/orders.py:31` | A blocking call stops the event loop, in"
        " `GET /orders/{order_id}` | 250 ms for others | 65.0 s |"
    )
    assert loads == (
        "| `lazy-load-loop` | `shop/routers/users.py:97` | A relationship is loaded once per row:"
        " `User.posts -> comments`, in `GET /users/{user_id}/posts` | 26.4 ms |  |"
    )
    assert calls == (
        "| `missing-timeout` |  | A call of another service has no timeout, in"
        " `GET /leads/{lead_id}/score` |  |  |"
    )


def test_an_endpoint_is_folded_up_with_all_that_is_known_of_its_findings() -> None:
    found = details_of(whole(), f"<code>{POSTS}</code>: 1 finding, mean 33.7 ms</summary>")

    assert (
        "`lazy-load-loop` at `shop/routers/users.py:97` in `get_user_posts`: Every Post loads its"
        " comments alone: `Post.comments`, 50 statements for 50 rows. Could save 26.4 ms.\n"
    ) in found
    assert "```python\nuser = session.get(User, user_id)\n```\n" in found
    assert (
        f"`{lazy_load().id}`; caused by `shop/schemas.py:12` in `PostOut.comments`; with a slower"
        " network 76.4 ms at 1 ms, 276 ms at 5 ms of round trip\n"
    ) in found


def test_endpoints_without_findings_are_not_folded_up() -> None:
    assert 4 == text_of(whole()).count("<details>") == text_of(whole()).count("</details>")


def test_what_is_accepted_is_counted_and_not_told() -> None:
    known = lazy_load(accepted="few rows")

    text = text_of(judged(known, blocking()))

    assert "## unslow: 1 finding on 1 route\n" in text
    assert "\n1 finding is accepted in the baseline file.\n" in text
    assert "lazy-load-loop" not in text


def test_nothing_is_said_as_such() -> None:
    known = judged(lazy_load(accepted="a"), no_timeout(accepted="b"))

    assert text_of(judged()).startswith("## unslow: nothing found on 18 routes\n")
    assert text_of(known).startswith("## unslow: nothing new found on 18 routes\n")
    assert "\n2 findings are accepted in the baseline file.\n" in text_of(known)
    assert "Looked at 0 routes, with 0 requests of which 0 counted" in text_of(
        report(target="", endpoints=())
    )


def test_what_was_not_looked_at_is_told_with_the_reason_each_reason_once() -> None:
    assert (
        "- `POST /leads`: it writes\n"
        "- `unused-columns`, `unused-relationship`: rows are watched in a check only\n"
        "- `deep-offset`: broke: KeyError: 'offset'\n"
    ) in details_of(whole(), "Not looked at</summary>")


def test_a_route_without_an_answer_that_counts_is_told_once_for_all_rules() -> None:
    why = "no request was answered with a 2xx, but with 401"
    refused = endpoint("GET /me", {"own_code": 1.0}, requests_counted=0)
    rules = ("a-rule", "b-rule")

    found = report(
        refused, outcomes=tuple(Outcome(one, "GET /me", NOT_CHECKED, why) for one in rules)
    )

    assert f"\n- `GET /me`: {why}\n\n</details>" in text_of(found)
    assert "nothing found on 0 routes" in text_of(found)


def test_where_everything_was_looked_at_nothing_is_said_of_the_rest() -> None:
    assert "Not looked at" not in text_of(judged(lazy_load()))


def test_no_text_becomes_mark_up() -> None:
    found = read(text_of(nasty()))

    assert {
        *("h2", "p", "ul", "li", "code", "pre", "details", "summary"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    } == set(found.tags)
    assert (1, 2, 5, 5) == tuple(map(found.tags.count, ("h2", "details", "th", "td")))
    assert 8 <= found.text.count("<script>alert(1)</script>")


def test_outside_of_code_there_is_nothing_that_a_platform_would_make_a_link_of() -> None:
    page = html_of(text_of(nasty()))
    for tag in ("code", "pre"):
        pieces = page.split(f"<{tag}")
        page = pieces[0] + "".join(one.partition(f"</{tag}>")[2] for one in pieces[1:])

    assert [] == [sign for sign in ("@", "#", "://", "www.", "$", "**", "~~") if sign in page]


def test_the_same_report_is_always_the_same_text() -> None:
    made = whole()
    shuffled = judged(
        no_timeout(), blocking(), lazy_load(), outcomes=outcomes(), checked=made.checked
    )

    assert text_of(made) == text_of(shuffled)


def test_a_path_elsewhere_is_told_by_its_end_or_from_its_package_on() -> None:
    found = lazy_load(place=place("../../../usr/lib/site-packages/orm/load.py", 9, "load"))

    assert "`orm/load.py:9` in `load`" in text_of(judged(found))


def test_it_always_fits_into_a_comment() -> None:
    long = "a long/sentence `of` many|words " * 100
    where = place(long, 3, long)
    many = [
        lazy_load(title=long, says=long, code=long, place=where, shape=str(number))
        for number in range(60)
    ]
    left = [
        Outcome(f"rule-{number}", ORDER, NOT_CHECKED, f"{number}{long}") for number in range(80)
    ]
    made = replace(judged(*many, blocking(), outcomes=tuple(left)), notes=(long,) * 5)

    text = text_of(made)

    assert len(text) < MOST_CHARACTERS + 100
    rows_count = len(rows_of(made))
    assert 10 < rows_count < 61
    assert f"\n{61 - rows_count} more findings with less at stake. `unslow report` shows" in text
    lines_count = text.count("\n- `rule-")
    assert 5 < lines_count < 80
    assert f"\n- {80 - lines_count} more. `unslow report` shows them.\n" in text
    assert f"<summary><code>{ORDER}</code>: 1 finding" in text
    assert text.count("<details>") == text.count("</details>")


def test_of_one_endpoint_the_first_findings_are_told_and_the_others_counted() -> None:
    made = judged(*(lazy_load(shape=str(number)) for number in range(23)))

    text = text_of(made)

    assert 20 == text.count("```python")
    assert "\n3 more findings. `unslow report` shows them.\n\n</details>" in text


def test_details_that_do_not_fit_are_counted() -> None:
    made = shop()
    long = "a long sentence " * 30
    endpoints = [
        replace(
            one,
            route=f"/{number}",
            findings=tuple(
                lazy_load(route=f"GET /{number}", shape=str(each), says=long, code=long)
                for each in range(20)
            ),
            requests_counted=40,
        )
        for number, one in enumerate([made.endpoints[3]] * 20)
    ]

    text = text_of(report(*endpoints))

    told = text.count("<details>")
    assert 1 < told < 20
    assert f"\nThe details of {20 - told} more endpoints did not fit in here.\n" in text
    assert len(text) < MOST_CHARACTERS + 100


def test_what_is_proven_stands_in_the_title_the_table_and_a_sentence() -> None:
    text = text_of(wholly_tried())

    assert text.startswith("## unslow: 5 findings on 4 routes, 3 with a proven fix\n")
    assert "| rule | place | what | proven | could save | others waited |\n" in text
    assert "in `GET /users/{user_id}/posts` | 4.6x, 33.7 → 7.3 ms | 26.4 ms |  |" in text
    assert "| 17.7x, 4.9 s → 277 ms, unsafe | 250 ms for others | 65.0 s |" in text
    assert "\n**Proven together: 3 fixes, all routes' time 412 → 61.0 ms (6.8x), measured" in text


def test_a_finding_has_a_line_for_each_fix_and_the_patch_folded_up() -> None:
    text = text_of(wholly_tried())

    assert (
        "\n- ✔ `eager-load`: 4.6x faster [4.1, 5.0], 33.7 → 7.3 ms, 52 → 2 statements, same answer;"
        " at 1 ms round trip 9.8x, at 5 ms 17.2x"
        " (`selectinload(User.posts).joinedload(Post.comments)`)\n\n<details>\n"
        f"<summary>The patch of <code>eager-load</code></summary>\n\n```diff\n{PATCH}```\n"
    ) in text
    assert "<summary>The patch of <code>off-loop</code>, unsafe: read it</summary>" in text
    assert "\n- · `set-timeout`: not tried, to be changed by hand (`timeout=httpx" in text
    assert ") . Give" not in text
    assert ". Give the client of `shop/routers/leads.py:44` a timeout:" in text
    assert "what if: 12.1x faster [11.0, 13.2] with `.limit(50)`, another answer by purpose" in text


def test_what_is_withdrawn_and_what_was_left_are_folded_up_at_the_end() -> None:
    text = text_of(wholly_tried())

    assert (
        "<summary>1 withdrawn: its fix was tried and does not pay</summary>\n\n"
        "- `slow-serialization` at `shop/routers/users.py:90`, in `GET /users/{user_id}/posts`: ="
        " `fast-json`: no difference; a gain of 6 % would have been seen, 33.7 → 33.4 ms"
    ) in text
    assert "<summary>Not tried</summary>\n\n- 2 findings of GET `/health` were not tried" in text
    assert "| `slow-serialization` |" not in text
    assert text_of(tried(fast_json(), findings=(serialization(),))).startswith(
        "## unslow: nothing found on 18 routes that stands, 1 withdrawn: its fix was tried and"
    )


def test_a_patch_that_is_too_long_is_left_to_the_command_that_shows_it() -> None:
    text = text_of(tried(eager(patch=PATCH * 60)))

    assert f"\n`unslow fix {lazy_load().id}` shows the patch.\n" in text
    assert "```diff" not in text


def test_with_many_patches_it_still_fits_into_a_comment() -> None:
    findings = [lazy_load(shape=str(number)) for number in range(20)]
    trials = [eager(one, patch=PATCH * 20) for one in findings]

    text = text_of(tried(*trials, findings=tuple(findings)))

    assert len(text) < MOST_CHARACTERS + 100
    assert 20 == text.count("\n- ✔ `eager-load`: 4.6x faster")
    assert 20 == text.count("shows the patch.")


def test_no_text_of_a_trial_becomes_mark_up() -> None:
    made = eager(arm=Arm("eager-load", NASTY), why=NASTY, patch=NASTY, advice=NASTY)
    trials = [replace(made, verdict=one.verdict) for one in each_verdict()]

    found = read(text_of(tried(*trials, trials_left=(NASTY,))))

    assert {
        *("h2", "p", "ul", "li", "code", "pre", "details", "summary"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    } >= set(found.tags)
