"""All rules over all routes: what breaks breaks alone, and silence is never clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagnose.story import (
    JSON,
    LINE,
    OTHER_LINE,
    RUN,
    Story,
    listing,
    look_up,
    seen,
)
from unslow.diagnose.catalogue import RULES
from unslow.diagnose.rule import Nearly, Rule, Threshold, rule
from unslow.diagnose.run import (
    LEAST_ROUND_TRIP_MS,
    Diagnosis,
    calm_ones,
    diagnose,
    merged,
    round_trips_ms,
    twins_told_apart,
)
from unslow.diagnose.views import NEEDS, Requests, Run
from unslow.model.finding import BROKE, CLEAN, FOUND, NOT_CHECKED, Finding, Outcome
from unslow.model.receipt import Seen
from unslow.model.trace import (
    BLOCKING,
    CONNECT,
    HYDRATION,
    ORM,
    OWN_CODE,
    POOL_WAIT,
    REMOTE,
    ROWS,
    SERIALIZATION,
    SQL,
    UNEXPLAINED,
    Coverage,
    Place,
    Response,
    Returned,
    Statement,
    Trace,
)
from unslow.model.usage import Usage

Says = Callable[[Requests], Iterator[Finding | Nearly]]
GOOD = Story().waits(SQL, 5).answers().trace()


def a_rule(
    says: Says | None = None, *needs: str, name: str = "some-rule", in_crowd: bool = False
) -> Rule:
    """A rule that says what it is told to."""

    def check(requests: Requests, _: float) -> Iterator[Finding | Nearly]:
        yield from () if says is None else says(requests)

    return rule(
        id=name,
        title="Something is wrong",
        needs=needs,
        threshold=Threshold(1, "times", "nowhere"),
        fixes=("mend-it",),
        in_crowd=in_crowd,
    )(check)


def finds(*could_save_ms: float | None, place: Place | None = LINE, name: str = "found") -> Rule:
    """A rule that finds as many things."""

    def says(requests: Requests) -> Iterator[Finding | Nearly]:
        for number, ms in enumerate(could_save_ms):
            at = None if place is None else replace(place, line=place.line + number)
            yield requests.finding("It is slow.", at, could_save_ms=ms)

    return a_rule(says, name=name)


def judged(*traces: Trace, rules: Sequence[Rule], run: Run = RUN, open_count: int = 1) -> Diagnosis:
    return diagnose([seen(one, open_count=open_count) for one in traces], run, rules)


def only(diagnosis: Diagnosis) -> Outcome:
    (outcome,) = diagnosis.outcomes
    return outcome


# What becomes of a rule.


def test_what_finds_nothing_is_clean() -> None:
    assert only(judged(GOOD, rules=[a_rule()])) == Outcome("some-rule", "GET /orders", CLEAN, "")


def test_what_nearly_found_something_is_clean_and_says_so() -> None:
    def says(_: Requests) -> Iterator[Finding | Nearly]:
        yield Nearly("one query came twice")
        yield Nearly("a page was long")

    diagnosis = judged(GOOD, rules=[a_rule(says)])

    assert diagnosis.findings == ()
    assert only(diagnosis).state == CLEAN
    assert only(diagnosis).why == "one query came twice; a page was long"


def test_a_finding_carries_its_rule_and_route() -> None:
    diagnosis = judged(GOOD, rules=[finds(3)])

    (finding,) = diagnosis.findings
    assert only(diagnosis).state == FOUND
    assert (finding.rule, finding.title, finding.fixes) == (
        "found",
        "Something is wrong",
        ("mend-it",),
    )
    assert (finding.route, finding.place, finding.could_save_ms) == ("GET /orders", LINE, 3)


def breaks_after(*found: float) -> Rule:
    def says(requests: Requests) -> Iterator[Finding | Nearly]:
        for ms in found:
            yield requests.finding("It is slow.", LINE, could_save_ms=ms)
        raise ValueError("no such thing")

    return a_rule(says, name="breaks")


@pytest.mark.parametrize("found", [(), (5.0, 6.0)])
def test_a_rule_that_raises_breaks_alone_and_says_how(found: tuple[float, ...]) -> None:
    diagnosis = judged(GOOD, rules=[finds(1, name="a"), breaks_after(*found), finds(2, name="b")])

    assert [(one.rule, one.state, one.why) for one in diagnosis.outcomes] == [
        ("a", FOUND, ""),
        ("breaks", BROKE, "ValueError: no such thing"),
        ("b", FOUND, ""),
    ]
    # Half of what it would have said is not told.
    assert [one.rule for one in diagnosis.findings] == ["b", "a"]


def test_on_another_route_a_rule_may_break_or_not() -> None:
    def says(requests: Requests) -> Iterator[Finding | Nearly]:
        yield Nearly(f"{1 / (len(requests) - 1):.0f}")

    other = Story().answers().trace(route="/items")
    diagnosis = judged(GOOD, GOOD, other, rules=[a_rule(says)])

    assert [(one.route, one.state) for one in diagnosis.outcomes] == [
        ("GET /orders", CLEAN),
        ("GET /items", BROKE),
    ]


def never(_: Requests) -> Iterator[Finding | Nearly]:
    raise AssertionError("it was asked all the same")
    yield  # pragma: no cover  # never run: it makes the function a generator


FULFILLED: dict[str, tuple[Trace, int]] = {
    "usage": (Story().answers().trace(usages=()), 1),
    "crowd": (GOOD, 2),
    "returned": (
        Story().answers().trace(returned=Returned("dict", 1, False, False, False)),
        1,
    ),
    "response": (GOOD, 1),
    "digests": (Story().answers().trace(response=replace(JSON, digest="abc")), 1),
}
BARE = Story().answers().trace(response=None)
WITH_ORM = replace(RUN, coverage=(Coverage("sqlalchemy orm", "on"),))


@pytest.mark.parametrize("need", sorted(FULFILLED))
def test_where_what_a_rule_needs_is_missing_it_is_not_checked_and_says_why(need: str) -> None:
    outcome = only(judged(BARE, rules=[a_rule(never, need)], run=WITH_ORM))

    assert outcome.state == NOT_CHECKED
    assert len(outcome.why) > 10


@pytest.mark.parametrize("need", sorted(FULFILLED))
def test_where_it_is_there_the_rule_is_asked(need: str) -> None:
    trace, open_count = FULFILLED[need]

    outcome = only(judged(trace, rules=[a_rule(None, need)], run=WITH_ORM, open_count=open_count))
    assert outcome.state == CLEAN


@pytest.mark.parametrize("need", sorted(NEEDS.keys() - FULFILLED.keys()))
def test_what_is_always_recorded_is_never_missing(need: str) -> None:
    assert only(judged(BARE, rules=[a_rule(None, need)])).state == CLEAN


def test_where_no_objects_are_loaded_nothing_needs_to_be_watched() -> None:
    assert only(judged(BARE, rules=[a_rule(None, "usage")])).state == CLEAN


def test_of_several_needs_the_first_that_is_missing_is_told() -> None:
    both = only(judged(BARE, rules=[a_rule(never, "statements", "response", "returned")]))
    second = only(judged(BARE, rules=[a_rule(never, "returned", "response")]))

    assert both.why == "no head was seen"
    assert second.why == "what the endpoint returns is seen in FastAPI only"


def test_each_rule_of_the_catalogue_needs_what_there_is() -> None:
    assert {need for one in RULES for need in one.needs} <= NEEDS.keys()


@pytest.mark.parametrize("statuses", [(401,), (500, 404), (0,), (302, 302)])
def test_a_route_without_a_good_answer_is_not_checked_and_never_clean(
    statuses: tuple[int, ...],
) -> None:
    traces = [Story().answers().trace(status=status) for status in statuses]
    diagnosis = judged(*traces, rules=[a_rule(never), finds(1)])

    assert {one.state for one in diagnosis.outcomes} == {NOT_CHECKED}
    for status in statuses:
        assert str(status) in diagnosis.outcomes[0].why


@pytest.mark.parametrize("change", [{"error": "ValueError"}, {"disconnected": True}])
def test_answers_that_were_not_whole_are_none(change: dict[str, Any]) -> None:
    broken = replace(GOOD, **change)

    assert only(judged(broken, rules=[a_rule(never)])).state == NOT_CHECKED


def test_the_whole_catalogue_is_told_of_for_each_route() -> None:
    other = Story().answers().trace(route="/items", status=401)
    outcomes = judged(GOOD, other, rules=RULES).outcomes

    assert len(outcomes) == 2 * len(RULES)
    assert {one.rule for one in outcomes} == {one.id for one in RULES}
    assert {one.state for one in outcomes if one.route == "GET /items"} == {NOT_CHECKED}


def test_without_requests_nothing_is_said() -> None:
    assert diagnose([], RUN) == Diagnosis((), ())


# In which order.


def test_most_that_could_be_saved_comes_first_and_what_is_not_about_time_last() -> None:
    diagnosis = judged(GOOD, rules=[finds(1, 30, None, 7)])

    assert [one.could_save_ms for one in diagnosis.findings] == [30, 7, 1, None]


def test_of_equals_the_names_of_route_and_rule_decide() -> None:
    rules = [finds(None, name="b"), finds(None, name="a")]
    other = Story().answers().trace(route="/items")
    findings = judged(GOOD, other, rules=rules).findings

    assert [(one.route, one.rule) for one in findings] == [
        ("GET /items", "a"),
        ("GET /items", "b"),
        ("GET /orders", "a"),
        ("GET /orders", "b"),
    ]


def test_methods_of_one_path_are_routes_of_their_own() -> None:
    traces = [GOOD, replace(GOOD, method="POST"), replace(GOOD, route="")]

    assert [one.route for one in judged(*traces, rules=[a_rule()]).outcomes] == [
        "GET /orders",
        "POST /orders",
        "GET (no route)",
    ]


def test_a_finding_quotes_its_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text("def list_orders():\n    rows = session.execute(query)\n")

    (finding,) = judged(GOOD, rules=[finds(1, place=Place(str(path), 2, "f"))]).findings
    (nowhere,) = judged(GOOD, rules=[finds(1)]).findings

    assert finding.code == "rows = session.execute(query)"
    assert nowhere.code == ""


# What is said of one line several times.


def a_finding(**fields: Any) -> Finding:
    return replace(Finding("It is slow.", LINE, rule="some-rule"), **fields)


def test_findings_of_one_rule_and_line_become_one() -> None:
    (one,) = merged(
        [
            a_finding(says="Small.", could_save_ms=1.0, round_trips=2.0, shape="a"),
            a_finding(says="Large.", could_save_ms=5.0, round_trips=3.0, shape="b"),
            a_finding(says="Untold.", shape="c"),
        ]
    )

    assert one.says == "Large. The same holds for 2 more of this line."
    assert (one.could_save_ms, one.round_trips, one.shape) == (6, 5, "")


def test_where_none_of_them_is_about_time_the_one_is_not_either() -> None:
    (one,) = merged([a_finding(shape="a"), a_finding(shape="b")])

    assert (one.could_save_ms, one.round_trips) == (None, None)


@pytest.mark.parametrize(
    "other",
    [
        {"place": OTHER_LINE},
        {"rule": "another-rule"},
        {"route": "GET /items"},
        {"evidence": {"relationship": "User.posts"}},
    ],
    ids=str,
)
def test_other_lines_rules_routes_and_relationships_stay_apart(other: dict[str, Any]) -> None:
    findings = [a_finding(could_save_ms=1.0), a_finding(could_save_ms=1.0, **other)]

    assert merged(findings) == tuple(findings)


def test_without_a_line_shapes_tell_findings_apart() -> None:
    findings = [a_finding(place=None, shape="a"), a_finding(place=None, shape="b")]

    assert merged(findings) == tuple(findings)


def test_the_id_of_what_was_merged_is_the_same_whichever_is_larger() -> None:
    def both(first: float, second: float) -> str:
        (one,) = merged(
            [
                a_finding(could_save_ms=first, shape="a"),
                a_finding(could_save_ms=second, shape="b"),
            ]
        )
        return one.id

    assert both(1, 2) == both(2, 1)


def test_findings_that_only_their_lines_tell_apart_have_ids_of_their_own() -> None:
    lines = [replace(LINE, line=number) for number in (30, 10, 20)]
    alone = a_finding(place=lines[1])

    found = twins_told_apart(a_finding(place=line) for line in lines)

    by_line = {one.place.line: one.id for one in found if one.place}
    assert 3 == len(set(by_line.values()))
    # The first is known by the id that it has alone.
    assert alone.id == by_line[10]


def test_which_of_two_is_called_what_does_not_depend_on_their_order() -> None:
    two = [a_finding(evidence={"relationship": name}) for name in ("User.posts", "Post.tags")]

    def ids(findings: list[Finding]) -> dict[object, str]:
        return {one.evidence["relationship"]: one.id for one in twins_told_apart(findings)}

    assert ids(two) == ids(two[::-1])


# Which requests are looked at.


def crowd(alone: int, crowded: int, *, watched: int = 0, bad: int = 0) -> list[Seen]:
    """Requests that ran alone in 1 ms, and others that took 10 ms beside one another."""
    calm, slow = Story().waits(SQL, 1).trace(), Story().waits(SQL, 10).trace()
    return [
        *(seen(calm) for _ in range(alone)),
        *(seen(slow, open_count=5) for _ in range(crowded)),
        *(seen(replace(calm, usages=())) for _ in range(watched)),
        *(seen(replace(calm, status=500)) for _ in range(bad)),
    ]


def walls(requests: Requests) -> Iterator[Finding | Nearly]:
    yield Nearly(",".join(f"{one.wall_ms:.0f}" for one in requests))


def told(views: list[Seen], *, in_crowd: bool = False) -> str:
    return only(diagnose(views, RUN, [a_rule(walls, in_crowd=in_crowd)])).why


def test_where_enough_ran_alone_only_they_are_judged() -> None:
    assert told(crowd(3, 9)) == "1,1,1"


def test_where_few_ran_alone_all_are_judged() -> None:
    assert told(crowd(2, 3)) == "1,1,10,10,10"


def test_a_rule_about_crowds_sees_them_in_any_case() -> None:
    assert told(crowd(3, 2), in_crowd=True) == "1,1,1,10,10"


def test_those_that_were_watched_or_failed_are_not_enough() -> None:
    assert told(crowd(2, 2, watched=5, bad=5)) == "1,1,10,10"
    assert len(calm_ones(crowd(2, 2, watched=5, bad=5))) == 14
    assert len(calm_ones(crowd(3, 2, watched=5, bad=5))) == 13


def test_times_of_watched_requests_do_not_count_but_what_they_read_does() -> None:
    watched = Story().waits(SQL, 500).trace(usages=())

    def says(requests: Requests) -> Iterator[Finding | Nearly]:
        yield Nearly(f"{requests.mean_wall_ms:.0f} ms, {len(requests.watched)} watched")

    diagnosis = judged(*[Story().waits(SQL, 5).trace()] * 3, watched, rules=[a_rule(says, "usage")])

    assert only(diagnosis).why == "5 ms, 1 watched"


# Round trips.


def sent(*milliseconds: float, driver: str = "asyncpg", shape: str = "SELECT ?") -> Seen:
    story = Story()
    for ms in milliseconds:
        story.sends(Statement(shape, driver, LINE), ms)
    return seen(story.trace())


def test_a_round_trip_is_what_the_quickest_tenth_takes() -> None:
    views = [sent(*(1 + number / 10 for number in range(10))), sent(*[50.0] * 10)]

    assert round_trips_ms(views) == {"asyncpg": pytest.approx(1.2)}


def test_each_driver_has_its_own() -> None:
    found = round_trips_ms([sent(2, 3), sent(1, 4, driver="psycopg")])

    assert found == {"asyncpg": 2, "psycopg": 1}


def test_what_controls_a_transaction_asks_for_nothing() -> None:
    assert round_trips_ms([sent(0.5, shape="COMMIT"), sent(3)]) == {"asyncpg": 3}


def test_below_a_bound_the_driver_answered_itself() -> None:
    assert round_trips_ms([sent(0.001)]) == {"asyncpg": LEAST_ROUND_TRIP_MS}


def test_without_statements_there_are_none() -> None:
    assert round_trips_ms([seen(GOOD), seen(BARE)]) == {}
    assert round_trips_ms([]) == {}


# Whatever requests do, no rule of the catalogue breaks.

PLACES = st.sampled_from([LINE, OTHER_LINE, None, Place("/app/gone.py", 7, "f")])
LENGTHS = st.floats(0, 300)
SHAPES = st.sampled_from(
    [
        "SELECT a FROM t WHERE id = ?",
        "SELECT a FROM t ORDER BY b LIMIT ? OFFSET ?",
        "WITH x AS (SELECT ?) SELECT * FROM x",
        "INSERT INTO t VALUES (?)",
        "UPDATE t SET a = ? WHERE id = ?",
        "COMMIT",
        "SAVEPOINT ?",
        "",
    ]
)
KEYS = st.sampled_from(["", "one", "two", "three"])
STATEMENTS = st.builds(
    Statement,
    shape=SHAPES,
    driver=st.sampled_from(["asyncpg", "psycopg"]),
    place=PLACES,
    parent=st.integers(-1, 1),
    relationship=st.sampled_from(["", "", "User.posts"]),
    row_key=KEYS,
    rows_count=st.none() | st.integers(0, 5_000),
    executions_count=st.integers(1, 3),
    field=PLACES,
    parameters_key=KEYS,
    is_batch=st.booleans(),
    stack=KEYS,
    literals_key=KEYS,
    offset_rows_count=st.none() | st.integers(0, 90_000),
    multiplied=st.none() | st.tuples(st.integers(2, 90), st.integers(2, 90)),
)
REMOTES = st.sampled_from(
    [
        ("shop:80", 1, True),
        ("shop:80", 1, True, True),
        ("shop:80", 2, False, False, ("/app/shop.py", 3, "price")),
        ("smtp mail:25", 3, False, False),
    ]
)
CONNECTS = st.sampled_from([None, "asyncpg h/db", ("engine h/db pool 5+10", 3, False)])
OTHERS = st.sampled_from(
    [OWN_CODE, SERIALIZATION, ORM, BLOCKING, UNEXPLAINED, POOL_WAIT, HYDRATION, ROWS]
)
DEEDS = st.one_of(
    st.tuples(st.just("sends"), STATEMENTS, LENGTHS),
    st.tuples(st.just("waits"), st.just(REMOTE), LENGTHS, REMOTES, PLACES),
    st.tuples(st.just("blocks"), st.just(REMOTE), LENGTHS, REMOTES, PLACES),
    st.tuples(st.just("waits"), st.just(CONNECT), LENGTHS, CONNECTS, PLACES),
    st.tuples(st.just("waits"), OTHERS, LENGTHS, st.none(), PLACES),
    st.tuples(st.just("blocks"), OTHERS, LENGTHS, st.none(), PLACES),
    st.tuples(st.just("runs"), LENGTHS, PLACES),
    st.tuples(st.just("takes"), st.just("engine h/db pool 5+10"), PLACES),
    st.tuples(st.just("answers"), st.just(0.1), st.integers(1, 5)),
)
RESPONSES = st.none() | st.builds(
    Response,
    content=st.sampled_from(["application/json", "image/png", ""]),
    is_compressed=st.booleans(),
    accepts_compression=st.booleans(),
    has_validator=st.booleans(),
    is_personal=st.booleans(),
    has_query=st.booleans(),
    digest=KEYS,
)
RETURNED = st.none() | st.builds(
    Returned,
    kind=st.sampled_from(["entity", "model", "dict", "row", "other"]),
    items_count=st.integers(0, 5_000),
    is_typed=st.booleans(),
    is_own_model=st.booleans(),
    is_fast=st.booleans(),
)
A_USAGE = Usage(
    statement=0,
    entity="User",
    rows_count=10,
    primary_key=("id",),
    columns=("id", "name", "about"),
    columns_bytes=(80, 90, 90_000),
    read_columns=("name",),
    read_rows_count=4,
    written_rows_count=0,
    profile=((("name",), 4),),
    relationships=(("User.posts", "selectin", 30, False),),
)


@st.composite
def requests_of_any_kind(draw: st.DrawFn) -> Seen:
    """A request that does anything at all."""
    story = Story(in_thread=draw(st.booleans())).runs(0.01)
    for name, *arguments in draw(st.lists(DEEDS, max_size=12)):
        getattr(story, name)(*arguments)
    trace = story.trace(
        number=draw(st.integers(1, 9)),
        method=draw(st.sampled_from(["GET", "POST"])),
        status=draw(st.sampled_from([200, 200, 200, 204, 404])),
        response_bytes=draw(st.integers(0, 10**7)),
        endpoint=draw(PLACES),
        response=draw(RESPONSES),
        returned=draw(RETURNED),
    )
    if trace.statements:
        # A statement comes from an earlier one.
        sent = enumerate(trace.statements)
        later = tuple(replace(one, parent=min(one.parent, at - 1)) for at, one in sent)
        trace = replace(
            trace, statements=later, usages=draw(st.sampled_from([None, (), (A_USAGE,)]))
        )
    return seen(trace, open_count=draw(st.integers(1, 3)))


@settings(max_examples=40, deadline=None)
@given(st.lists(requests_of_any_kind(), min_size=1, max_size=5))
def test_whatever_requests_do_no_rule_breaks(views: list[Seen]) -> None:
    diagnosis = diagnose(views, WITH_ORM)

    assert [one for one in diagnosis.outcomes if one.state == BROKE] == []
    for finding in diagnosis.findings:
        assert finding.says.endswith(".")
        assert finding.could_save_ms is None or finding.could_save_ms >= 0
        assert finding.rule
        assert finding.id.startswith(finding.rule)


def test_a_loop_of_look_ups_is_found_by_the_catalogue_itself() -> None:
    story = Story().sends(listing(10))
    for number in range(10):
        story.sends(look_up(number, parent=0))

    findings = judged(story.answers().trace(), rules=RULES).findings

    assert findings[0].rule == "repeated-query"
