"""The shop's report with findings, and with what rules could not judge."""

from dataclasses import replace
from typing import Any

from tests.report.samples import place, report, shop
from unslow.model.checked import Checked
from unslow.model.finding import BROKE, CLEAN, FOUND, NOT_CHECKED, OTHERS, Finding, Outcome
from unslow.model.report import Endpoint, Report
from unslow.model.workload import LeftOut

POSTS = "GET /users/{user_id}/posts"
ORDER = "GET /orders/{order_id}"
SCORE = "GET /leads/{lead_id}/score"
# Spelt with what means something to Markdown, HTML, a table, a terminal or a tracker of issues.
NASTY = (
    "a|b `tick` ``two`` \\| <script>alert(1)</script> <b>&amp; [link](http://x.example) ![i](j)"
    " @someone #1 **bold** _it_ ~~gone~~ $x$ :smile: www.example.com a@b.example\r\n\r\n# head\n"
    "- item\n\n</details>\n```\nfence\x1b[31m\u202e"
)


def lazy_load(**changes: Any) -> Finding:
    made = Finding(
        says="Every Post loads its comments alone: Post.comments, 50 statements for 50 rows.",
        place=place("shop/routers/users.py", 97, "get_user_posts"),
        could_save_ms=26.4,
        round_trips=50.0,
        touched=place("shop/schemas.py", 12, "PostOut.comments"),
        shape="Post.comments SELECT ...",
        evidence={"statements": 51.0, "lineage": True, "relationship": "User.posts -> comments"},
        rule="lazy-load-loop",
        title="A relationship is loaded once per row",
        route=POSTS,
        fixes=("eager-load",),
        code="user = session.get(User, user_id)",
    )
    return replace(made, **changes)


def blocking(**changes: Any) -> Finding:
    made = Finding(
        says="time.sleep holds the event loop for 250 ms.",
        place=place("shop/routers/orders.py", 31, "get_order"),
        could_save_ms=250.0,
        saves_for=OTHERS,
        others_waited_ms=65_000.0,
        shape="time.sleep",
        evidence={"what": "time.sleep"},
        rule="blocking-call",
        title="A blocking call stops the event loop",
        route=ORDER,
        fixes=("off-loop",),
        code="time.sleep(0.25)",
    )
    return replace(made, **changes)


def no_timeout(**changes: Any) -> Finding:
    made = Finding(
        says="The answer of scores.example.com is waited for without end.",
        place=None,
        shape="scores.example.com",
        evidence={"host": "scores.example.com", "calls": 120},
        rule="missing-timeout",
        title="A call of another service has no timeout",
        route=SCORE,
        fixes=("set-timeout",),
    )
    return replace(made, **changes)


def judged(*findings: Finding, outcomes: tuple[Outcome, ...] = (), **changes: Any) -> Report:
    """The shop's report with these findings at their endpoints."""

    def with_findings(one: Endpoint) -> Endpoint:
        mine = tuple(each for each in findings if each.route == f"{one.method} {one.route}")
        return replace(one, findings=mine, requests_counted=one.requests_count - one.errors_count)

    made = shop()
    endpoints = tuple(map(with_findings, made.endpoints))
    assert len(findings) == sum(len(one.findings) for one in endpoints)
    return replace(made, endpoints=endpoints, outcomes=outcomes, **changes)


def outcomes() -> tuple[Outcome, ...]:
    """Each kind of outcome, some of them alike."""
    return (
        Outcome("lazy-load-loop", POSTS, FOUND),
        Outcome("repeated-query", POSTS, CLEAN, "one statement is sent twice"),
        Outcome("duplicate-query", POSTS, CLEAN),
        Outcome("unused-columns", POSTS, NOT_CHECKED, "rows are watched in a check only"),
        Outcome("unused-relationship", POSTS, NOT_CHECKED, "rows are watched in a check only"),
        Outcome("deep-offset", POSTS, BROKE, "KeyError: 'offset'"),
        Outcome("blocking-call", ORDER, FOUND),
        Outcome("unused-columns", ORDER, NOT_CHECKED, "rows are watched in a check only"),
        Outcome("missing-timeout", SCORE, FOUND, "a call of b.example has one around it"),
    )


def whole() -> Report:
    """Findings of all kinds, in a check that left something out."""
    return judged(
        lazy_load(),
        blocking(),
        no_timeout(),
        outcomes=outcomes(),
        checked=Checked(
            "shop.main:app", 0.0, 19, 18, (LeftOut("POST", "/leads", "it writes"),), 20
        ),
    )


def nasty() -> Report:
    """A report in which every text tries to be something else."""
    where = place(NASTY, 3, NASTY)
    route = f"GET /{NASTY}"
    finding = lazy_load(
        says=NASTY, title=NASTY, place=where, touched=place(NASTY, 4, "f"), code=NASTY, route=route
    )
    made = shop().endpoints[3]
    return report(
        replace(made, route=f"/{NASTY}", findings=(finding,), requests_counted=40),
        target=NASTY,
        notes=(NASTY,),
        outcomes=(Outcome("deep-offset", route, BROKE, NASTY),),
        checked=Checked(NASTY, 0.0, 2, 1, (LeftOut("POST", NASTY, NASTY),), 20),
    )
