"""What was tried on the shop's findings, with each verdict that there is."""

from dataclasses import replace
from typing import Any

from tests.report.judged import (
    POSTS,
    blocking,
    judged,
    lazy_load,
    no_timeout,
    outcomes,
)
from tests.report.samples import place
from unslow.model.checked import Checked
from unslow.model.finding import OTHERS, Finding
from unslow.model.proof import (
    BROKE,
    CHANGES_ANSWER,
    FASTER,
    NO_DIFFERENCE,
    NOT_TRIED,
    SLOWER,
    AlsoTried,
    Arm,
    Comparison,
    ProvenTotal,
    Trial,
)
from unslow.model.report import Report
from unslow.model.workload import LeftOut

SALES = "GET /reports/sales"
EAGER = "selectinload(User.posts).joinedload(Post.comments)"
PATCH = """\
--- a/shop/routers/users.py
+++ b/shop/routers/users.py
@@ -97,1 +97,1 @@
-    user = session.get(User, user_id)
+    user = session.get(User, user_id, options=[selectinload(User.posts)])
"""


def measured(times: float = 4.6, **changes: Any) -> Comparison:
    made = Comparison(
        times=times,
        interval=(times * 0.9, times * 1.1),
        before_ms=33.7,
        after_ms=33.7 / times,
        blocks_count=40,
        floor=1.03,
        smallest=1.06,
    )
    return replace(made, **changes)


def eager(finding: Finding | None = None, **changes: Any) -> Trial:
    made = Trial(
        finding=(finding or lazy_load()).id,
        arm=Arm("eager-load", EAGER),
        risk="safe",
        verdict=FASTER,
        fired_count=40,
        compared=measured(interval=(4.1, 5.0), after_ms=7.3),
        statements_before=52.0,
        statements_after=2.0,
        same_answer=True,
        at_round_trip_ms={0: 4.6, 1: 9.8, 5: 17.2},
        also_tried=(AlsoTried("selectinload", 2.8), AlsoTried("joinedload", 1.8)),
        patch=PATCH,
    )
    return replace(made, **changes)


def off_loop(finding: Finding | None = None, **changes: Any) -> Trial:
    made = Trial(
        finding=(finding or blocking()).id,
        arm=Arm("off-loop", "await asyncio.to_thread(time.sleep, 0.25)"),
        risk="unsafe",
        verdict=FASTER,
        fired_count=120,
        compared=measured(
            17.7, interval=(15.9, 19.0), before_ms=4_902.0, after_ms=277.0, users_count=20
        ),
        same_answer=True,
        patch=PATCH,
    )
    return replace(made, **changes)


def by_hand(finding: Finding | None = None, **changes: Any) -> Trial:
    made = Trial(
        finding=(finding or no_timeout()).id,
        arm=Arm("set-timeout", "timeout=httpx.Timeout(5.0)"),
        risk="show-only",
        verdict=NOT_TRIED,
        advice=(
            "Give the client of shop/routers/leads.py:44 a timeout: httpx.AsyncClient(timeout=5.0)."
            " Choose it by what the slowest answer that you would still take needs, and answer 504"
            " where it is over:\n\n"
            "    try:\n        answer = await client.get(url)\n    except httpx.TimeoutException:\n"
            "        raise HTTPException(504) from None"
        ),
    )
    return replace(made, **changes)


def unbounded(**changes: Any) -> Finding:
    made = Finding(
        says="All 12,000 sales are read, made into objects and sent.",
        place=place("shop/routers/reports.py", 12, "report_sales"),
        could_save_ms=140.0,
        shape="SELECT ... FROM sales",
        rule="unbounded-list",
        title="A list without a limit",
        route=SALES,
        fixes=("limit-rows",),
        code="sales = await session.scalars(select(Sale))",
    )
    return replace(made, **changes)


def limit_rows(finding: Finding | None = None, **changes: Any) -> Trial:
    made = Trial(
        finding=(finding or unbounded()).id,
        arm=Arm("limit-rows", ".limit(50)"),
        risk="safe",
        verdict=CHANGES_ANSWER,
        why="the list at $ has 50 items, not 12,000",
        fired_count=40,
        compared=measured(12.1, interval=(11.0, 13.2), before_ms=153.9, after_ms=12.7),
        same_answer=False,
    )
    return replace(made, **changes)


def pool(**changes: Any) -> Finding:
    made = Finding(
        says="Requests wait 120 ms for a connection of a pool of 2.",
        place=place("shop/db.py", 8, "make_engine"),
        could_save_ms=120.0,
        saves_for=OTHERS,
        shape="pool",
        rule="pool-wait",
        title="Requests wait for a connection",
        route=SALES,
        fixes=("resize-pool",),
        code="engine = create_async_engine(url, pool_size=2)",
    )
    return replace(made, **changes)


def resize_pool(finding: Finding | None = None, **changes: Any) -> Trial:
    made = Trial(
        finding=(finding or pool()).id,
        arm=Arm("resize-pool", "pool_size=8"),
        risk="unsafe",
        verdict=FASTER,
        fired_count=12,
        compared=measured(
            3.1, interval=(2.8, 3.5), before_ms=410.0, after_ms=132.0, users_count=20
        ),
        same_answer=None,
        table=(
            ("2", "410 ms, as it is"),
            ("4", "218 ms"),
            ("8", "132 ms, the smallest that is within the noise of the best"),
            ("16 + 16 overflow", "131 ms"),
        ),
        advice="Set pool_size=8 in shop/db.py:8. The server has 100 connections for all processes.",
    )
    return replace(made, **changes)


def serialization(**changes: Any) -> Finding:
    made = Finding(
        says="Turning 50 objects into bytes takes 3.1 ms.",
        place=place("shop/routers/users.py", 90, "get_user_posts"),
        could_save_ms=3.1,
        shape="PostOut",
        rule="slow-serialization",
        title="The response is serialized twice",
        route=POSTS,
        fixes=("fast-json",),
        code='@router.get("/users/{user_id}/posts")',
    )
    return replace(made, **changes)


def fast_json(finding: Finding | None = None, **changes: Any) -> Trial:
    made = Trial(
        finding=(finding or serialization()).id,
        arm=Arm("fast-json", "return Response(adapter.dump_json(posts))"),
        risk="safe",
        verdict=NO_DIFFERENCE,
        fired_count=80,
        compared=measured(1.01, interval=(0.98, 1.03)),
        same_answer=True,
    )
    return replace(made, **changes)


ALL = (eager(), off_loop(), by_hand(), limit_rows(), resize_pool(), fast_json())
FINDINGS = (lazy_load(), serialization(), blocking(), no_timeout(), unbounded(), pool())
TOTAL = ProvenTotal(6.8, 412.0, 61.0, 3)


def tried(*trials: Trial, findings: tuple[Finding, ...] = FINDINGS, **changes: Any) -> Report:
    """The shop's report with these trials of its findings."""
    return judged(*findings, trials=trials, **changes)


def wholly_tried() -> Report:
    """A trial of each kind, a total, and something that was left."""
    return tried(
        *ALL,
        outcomes=outcomes(),
        checked=Checked(
            "shop.main:app", 0.0, 19, 18, (LeftOut("POST", "/leads", "it writes"),), 20
        ),
        proven_total=TOTAL,
        trials_left=("2 findings of GET /health were not tried: the time of the check was over.",),
    )


def each_verdict() -> tuple[Trial, ...]:
    """On one finding, one trial with each verdict."""
    return (
        off_loop(lazy_load(), verdict=BROKE, why="MissingGreenlet, 3 of 40 times", compared=None),
        eager(
            arm=Arm("batch-by-key", "WHERE id = ANY(?)"),
            verdict=NOT_TRIED,
            compared=None,
            why="3 frames below the coroutine: move _load_all",
        ),
        eager(verdict=SLOWER, compared=measured(0.55, interval=(0.5, 0.6))),
        fast_json(lazy_load(), verdict=CHANGES_ANSWER, why="$.items[].created has another format"),
        fast_json(lazy_load(), arm=Arm("split-joins", "selectinload(A.b)")),
        eager(),
    )
