"""A relationship loaded row by row: what is a loop of lazy loads, and what only looks like one."""

from dataclasses import replace

import pytest

from tests.diagnose.story import (
    ENDPOINT,
    LINE,
    OTHER_LINE,
    Story,
    eager_load,
    found,
    judged,
    lazy_load,
    listing,
    only,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.lazy_load_loop import lazy_load_loop
from unslow.model.trace import Place, Statement, Trace


def loop(count: int, *, rows: int | None = None, relationship: str = "Order.customer") -> Trace:
    """A list, and a lazy load for so many of its rows."""
    story = Story().sends(listing(count if rows is None else rows))
    for number in range(count):
        story.sends(lazy_load(number, relationship=relationship))
    return story.trace()


def nearly(*traces: Trace) -> str:
    (one,) = judged(lazy_load_loop, *traces)
    assert isinstance(one, Nearly)
    return one.says


def test_it_fires_at_the_threshold() -> None:
    finding = only(found(lazy_load_loop, loop(3)))

    assert ("lazy-load-loop", 3) == (finding.rule, finding.evidence["statements"])


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    assert "Order.customer is loaded for 2 rows in one request at most" == nearly(loop(2))


def test_the_place_is_where_the_parents_are_fetched_and_the_touch_where_they_are_read() -> None:
    finding = only(found(lazy_load_loop, loop(10)))

    assert (OTHER_LINE, LINE) == (finding.place, finding.touched)


def test_it_says_what_is_loaded_how_often_and_for_which_rows() -> None:
    finding = only(found(lazy_load_loop, loop(40, rows=50)))

    assert (
        "Every Order loads its customer alone: Order.customer,"
        " 40 statements for 50 rows of line 18."
    ) == finding.says
    assert {
        "statements": 40.0,
        "relationship": "Order.customer",
        "rows_of_parent": 50.0,
        "growth_per_row": None,
        "lineage": True,
    } == finding.evidence


def test_what_could_be_saved_is_all_loads_but_one() -> None:
    finding = only(found(lazy_load_loop, loop(11)))

    assert 10 * 0.2 == pytest.approx(finding.could_save_ms)
    assert 10 == finding.round_trips
    assert 10 * 0.2 + 10 * 5 == pytest.approx(finding.could_save_at_ms(5))


def test_requests_without_the_loop_count_in_the_means() -> None:
    quiet = Story().sends(listing(0)).trace()

    finding = only(found(lazy_load_loop, loop(20), quiet))

    assert "10 statements for 10 rows" in finding.says
    assert 19 * 0.2 / 2 == pytest.approx(finding.could_save_ms)


def test_growth_with_the_rows_is_told_where_it_is_seen() -> None:
    finding = only(found(lazy_load_loop, loop(5), loop(10), loop(15)))

    assert 1 == finding.evidence["growth_per_row"]


@pytest.mark.parametrize(
    ("relationship", "says"),
    [
        ("Article.body", "Every Article loads its body alone: Article.body,"),
        ("Article.*", "Every Article loads its columns alone: Article.*,"),
    ],
    ids=["deferred", "expired"],
)
def test_columns_that_are_loaded_late_are_told_as_such(relationship: str, says: str) -> None:
    finding = only(found(lazy_load_loop, loop(8, relationship=relationship)))

    assert finding.says.startswith(says)


def test_a_loop_in_a_loop_leads_to_the_query_that_all_began_with() -> None:
    story = Story().sends(listing(2, table="users"))
    for user in range(2):
        story.sends(lazy_load(user, relationship="User.posts", rows=5))
        parent = 1 + user * 6
        for post in range(5):
            number = 10 * user + post
            story.sends(lazy_load(number, parent=parent, relationship="Post.comments"))

    finding = only(found(lazy_load_loop, story.trace()))

    assert OTHER_LINE == finding.place
    assert "User.posts -> Post.comments" == finding.evidence["relationship"]
    assert "10 statements for 10 rows that line 18 led to." in finding.says


def test_a_loop_in_a_loop_over_short_lists_is_found_as_well() -> None:
    story = Story().sends(listing(2, table="users"))
    for user, posts in enumerate((2, 1)):
        story.sends(lazy_load(user, relationship="User.posts", rows=posts))
        parent = 1 + user * 3
        for post in range(posts):
            number = 10 * user + post
            story.sends(lazy_load(number, parent=parent, relationship="Post.comments"))

    finding = only(found(lazy_load_loop, story.trace()))

    assert "User.posts -> Post.comments" == finding.evidence["relationship"]


def test_loads_of_what_one_user_has_are_a_loop_over_it() -> None:
    story = Story().sends(listing(1, table="users"))
    story.sends(lazy_load(0, relationship="User.posts", rows=6))
    for number in range(6):
        story.sends(lazy_load(number, parent=1, relationship="Post.comments"))

    finding = only(found(lazy_load_loop, story.trace()))

    assert OTHER_LINE == finding.place
    assert 6 == finding.evidence["rows_of_parent"]


def test_a_chain_of_single_objects_per_row_is_found_link_by_link() -> None:
    story = Story().sends(listing(8))
    for number in range(8):
        story.sends(lazy_load(number, relationship="Order.customer"))
        customer = 1 + 2 * number
        story.sends(lazy_load(number, parent=customer, relationship="Customer.company"))

    findings = found(lazy_load_loop, story.trace())

    assert ["Order.customer", "Order.customer -> Customer.company"] == [
        one.evidence["relationship"] for one in findings
    ]
    assert {OTHER_LINE} == {one.place for one in findings}


def test_the_place_is_that_of_the_rows_in_the_loop_not_of_a_single_look_before() -> None:
    single = Place("/app/accounts.py", 5, "current_user")
    story = Story().sends(listing(1, table="users", place=single)).sends(listing(10))
    story.sends(lazy_load(100, parent=0))
    for number in range(10):
        story.sends(lazy_load(number, parent=1))

    assert OTHER_LINE == only(found(lazy_load_loop, story.trace())).place


def test_a_field_of_the_response_model_is_the_touch_where_no_line_reads_it() -> None:
    field = Place("/app/schemas.py", 30, "OrderOut.customer")
    story = Story().sends(listing(5))
    for number in range(5):
        story.sends(replace(lazy_load(number, place=None), field=field))

    finding = only(found(lazy_load_loop, story.trace()))

    assert (OTHER_LINE, field) == (finding.place, finding.touched)


def test_where_nobody_knows_what_brought_the_rows_it_is_at_the_endpoint() -> None:
    story = Story()
    for number in range(5):
        story.sends(lazy_load(number, parent=-1))

    finding = only(found(lazy_load_loop, story.trace()))

    assert (ENDPOINT, LINE) == (finding.place, finding.touched)
    assert finding.says.endswith("5 statements.")


def test_rows_from_no_known_line_are_told_without_one() -> None:
    story = Story().sends(listing(5, place=None))
    for number in range(5):
        story.sends(lazy_load(number))

    finding = only(found(lazy_load_loop, story.trace()))

    assert ENDPOINT == finding.place
    assert finding.says.endswith("5 statements for 5 rows.")


def test_eager_loads_in_batches_are_no_loop() -> None:
    story = Story().sends(listing(2000))
    for _ in range(4):
        story.sends(eager_load(rows=500))

    assert [] == judged(lazy_load_loop, story.trace())


def test_one_object_with_three_relationships_is_no_loop() -> None:
    story = Story().sends(listing(1))
    for name in ("customer", "lines", "payments"):
        story.sends(lazy_load(0, relationship=f"Order.{name}"))

    assert [] == judged(lazy_load_loop, story.trace())


def test_three_objects_of_one_class_beside_a_row_are_no_loop() -> None:
    story = Story().sends(listing(1))
    for number, name in enumerate(("buyer", "seller", "carrier")):
        story.sends(lazy_load(0, relationship=f"Order.{name}"))
        story.sends(lazy_load(number, parent=1 + 2 * number, relationship="Person.company"))

    assert [] == found(lazy_load_loop, story.trace())


def test_few_parents_that_many_rows_share_are_no_loop() -> None:
    assert "loaded for 5 rows" in nearly(loop(5, rows=51))
    assert found(lazy_load_loop, loop(5, rows=50))


def test_what_few_shared_parents_lead_to_is_no_loop_either() -> None:
    story = Story().sends(listing(100))
    for number in range(5):
        story.sends(lazy_load(number, relationship="Order.customer"))
        customer = 1 + 2 * number
        story.sends(lazy_load(number, parent=customer, relationship="Customer.company"))

    assert [] == found(lazy_load_loop, story.trace())


def test_a_commit_that_two_objects_are_read_after_is_no_loop() -> None:
    story = Story().sends(listing(2)).sends(Statement("COMMIT", "asyncpg", OTHER_LINE))
    for number in range(2):
        story.sends(lazy_load(number, relationship="Order.*"))

    assert [] == found(lazy_load_loop, story.trace())


def test_one_row_that_expires_again_and_again_is_no_loop_over_rows() -> None:
    story = Story().sends(listing(1))
    for _ in range(6):
        story.sends(lazy_load(0, relationship="Order.*"))

    assert [] == found(lazy_load_loop, story.trace())


@pytest.mark.parametrize("levels", [3, 8])
def test_a_walk_up_a_tree_is_no_loop_over_rows(levels: int) -> None:
    story = Story().sends(listing(1, table="categories"))
    for level in range(levels):
        story.sends(lazy_load(level, parent=level, relationship="Category.parent"))

    assert [] == found(lazy_load_loop, story.trace())


def test_a_walk_up_a_tree_from_what_a_row_belongs_to_is_none_either() -> None:
    story = Story().sends(listing(1)).sends(lazy_load(0, relationship="Order.category"))
    for level in range(5):
        story.sends(lazy_load(level, parent=level + 1, relationship="Category.parent"))

    assert [] == found(lazy_load_loop, story.trace())


def test_statements_that_no_relationship_causes_are_left_to_another_rule() -> None:
    story = Story().sends(listing(10))
    for number in range(10):
        story.sends(replace(lazy_load(number), relationship=""))

    assert [] == judged(lazy_load_loop, story.trace())
