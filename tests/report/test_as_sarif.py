import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from sarif_kit.validate import validation_errors  # type: ignore[import-untyped]  # it has no types

from tests.report.judged import (
    NASTY,
    ORDER,
    POSTS,
    blocking,
    judged,
    lazy_load,
    nasty,
    no_timeout,
    whole,
)
from tests.report.samples import FOLDER, place, report, shop
from tests.report.tried import each_verdict, serialization, tried, wholly_tried
from unslow.diagnose.pages import rule_pages
from unslow.model.report import Report
from unslow.report.as_sarif import FINGERPRINT, Json, as_sarif, sarif_text

PAGES = rule_pages()


def run_of(shown: Report) -> Json:
    (run,) = as_sarif(shown, folder=Path(FOLDER), pages=PAGES)["runs"]
    return dict(run)


def result_of(shown: Report, rule: str) -> Json:
    (found,) = (one for one in run_of(shown)["results"] if one["ruleId"] == rule)
    return dict(found)


@pytest.mark.parametrize("pages", [PAGES, ()], ids=["with pages", "without pages"])
@pytest.mark.parametrize(
    "shown",
    [
        whole(),
        nasty(),
        shop(),
        report(),
        judged(lazy_load(accepted="few rows"), blocking(place=None, touched=None)),
    ],
    ids=["whole", "nasty", "without findings", "empty", "accepted"],
)
def test_it_is_what_the_official_schema_says(shown: Report, pages: Any) -> None:
    assert [] == validation_errors(as_sarif(shown, folder=Path(FOLDER), pages=pages))


def test_the_schema_finds_what_is_wrong() -> None:
    found = as_sarif(whole())
    del found["runs"][0]["results"][0]["message"]

    assert "runs/0/results/0: 'message' is a required property" in validation_errors(found)


def test_every_rule_is_described_also_where_it_found_nothing() -> None:
    driver = run_of(whole())["tool"]["driver"]
    rules = {one["id"]: one for one in driver["rules"]}
    loop = rules["lazy-load-loop"]

    assert ("unslow", "0.1.0") == (driver["name"], driver["version"])
    assert [page.id for page in PAGES] == list(rules)
    assert "LazyLoadLoop" == loop["name"]
    assert {"text": "A relationship is loaded once per row"} == loop["shortDescription"]
    assert loop["fullDescription"]["text"].startswith("Looks for a relationship or column")
    assert ["performance", "queries"] == loop["properties"]["tags"]
    for head in ("Looks for", "Costs", "Instead", "Misses", "Threshold"):
        assert f"## {head}\n" in loop["help"]["markdown"]
        assert f"{head}: " in loop["help"]["text"]


def test_without_pages_the_rules_that_found_something_have_their_titles() -> None:
    (run,) = as_sarif(whole())["runs"]

    assert {
        "blocking-call": "A blocking call stops the event loop",
        "lazy-load-loop": "A relationship is loaded once per row",
        "missing-timeout": "A call of another service has no timeout",
    } == {one["id"]: one["shortDescription"]["text"] for one in run["tool"]["driver"]["rules"]}


@pytest.mark.parametrize("pages", [PAGES, PAGES[:1], ()])
def test_a_result_leads_to_its_rule(pages: Any) -> None:
    (run,) = as_sarif(whole(), pages=pages)["runs"]
    rules = run["tool"]["driver"]["rules"]

    assert 3 == len(run["results"])
    for one in run["results"]:
        assert one["ruleId"] == rules[one["ruleIndex"]]["id"]


def test_most_at_stake_comes_first() -> None:
    assert ["blocking-call", "lazy-load-loop", "missing-timeout"] == [
        one["ruleId"] for one in run_of(whole())["results"]
    ]


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (lazy_load(), "warning"),
        (lazy_load(could_save_ms=0.0), "note"),
        (lazy_load(could_save_ms=None), "note"),
        (lazy_load(could_save_ms=None, others_waited_ms=3.0), "warning"),
        (no_timeout(), "note"),
    ],
)
def test_it_is_a_warning_where_time_is_at_stake_and_else_a_note(finding: Any, level: str) -> None:
    assert level == result_of(judged(finding), finding.rule)["level"]


def test_a_message_says_what_was_found_where_and_what_is_at_stake() -> None:
    assert (
        "Every Post loads its comments alone: Post.comments, 50 statements for 50 rows. Could save"
        " 26.4 ms for a request of GET /users/{{user_id}}/posts."
    ) == result_of(whole(), "lazy-load-loop")["message"]["text"]
    assert (
        "time.sleep holds the event loop for 250 ms. Could save 250 ms for others beside GET"
        " /orders/{{order_id}}. Others waited 65.0 s behind it."
    ) == result_of(whole(), "blocking-call")["message"]["text"]
    assert result_of(whole(), "missing-timeout")["message"]["text"].endswith(
        "without end. In GET /leads/{{lead_id}}/score."
    )


def test_no_text_becomes_a_placeholder_a_link_or_a_line() -> None:
    says = "see [this](1) of {0}\nand {more}"

    text = result_of(judged(lazy_load(says=says)), "lazy-load-loop")["message"]["text"]

    assert text.startswith("see [this] (1) of {{0}} and {{more}} Could save")


def test_a_place_is_a_relative_address_with_its_line_and_its_code() -> None:
    (found,) = result_of(whole(), "lazy-load-loop")["locations"]

    assert {
        "artifactLocation": {"uri": "shop/routers/users.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 97, "snippet": {"text": "user = session.get(User, user_id)"}},
    } == found["physicalLocation"]
    assert [{"fullyQualifiedName": "get_user_posts", "kind": "function"}] == (
        found["logicalLocations"]
    )
    assert {"%SRCROOT%"} == run_of(whole())["originalUriBaseIds"].keys()


@pytest.mark.parametrize("name", ["a b.py", "100%.py", "ünï#?.py", "c:d.py", NASTY])
def test_a_path_is_encoded(name: str) -> None:
    found = lazy_load(place=place(f"sub/{name}", 3, "f"), touched=None)

    (location,) = result_of(judged(found), "lazy-load-loop")["locations"]
    uri = location["physicalLocation"]["artifactLocation"]["uri"]

    assert uri.isascii()
    assert ("", "", "") == (urlsplit(uri).scheme, urlsplit(uri).query, urlsplit(uri).fragment)
    assert str(Path(f"sub/{name}")) == unquote(uri)


def test_a_path_outside_the_folder_is_a_whole_address() -> None:
    found = lazy_load(place=replace(place("a.py", 3, "f"), path="/usr/lib/a b.py"))

    (location,) = result_of(judged(found), "lazy-load-loop")["locations"]

    assert {"uri": "file:///usr/lib/a%20b.py"} == location["physicalLocation"]["artifactLocation"]


def test_a_line_that_is_not_known_is_no_region_and_no_code_no_snippet() -> None:
    unknown = judged(lazy_load(place=place("a.py", 0, ""), touched=None))
    bare = judged(lazy_load(code=""))

    (location,) = result_of(unknown, "lazy-load-loop")["locations"]

    assert {"physicalLocation": {"artifactLocation"}} == {
        name: set(part) for name, part in location.items()
    }
    assert {"startLine": 97} == (
        result_of(bare, "lazy-load-loop")["locations"][0]["physicalLocation"]["region"]
    )


def test_the_line_that_causes_it_is_a_related_location() -> None:
    (found,) = result_of(whole(), "lazy-load-loop")["relatedLocations"]

    assert "shop/schemas.py" == found["physicalLocation"]["artifactLocation"]["uri"]
    assert (1, {"text": "caused by this line"}) == (found["id"], found["message"])
    assert "relatedLocations" not in result_of(whole(), "blocking-call")


def test_a_finding_without_a_place_has_no_location() -> None:
    assert [] == result_of(whole(), "missing-timeout")["locations"]


def test_the_fingerprint_is_the_id_which_stays_when_lines_move() -> None:
    moved = lazy_load(place=place("shop/routers/users.py", 120, "get_user_posts"))

    assert {FINGERPRINT: lazy_load().id} == (
        result_of(judged(moved), "lazy-load-loop")["partialFingerprints"]
    )


def test_what_is_accepted_is_suppressed_with_its_reason() -> None:
    shown = judged(lazy_load(accepted="few rows"), blocking())

    assert [{"kind": "external", "status": "accepted", "justification": "few rows"}] == (
        result_of(shown, "lazy-load-loop")["suppressions"]
    )
    assert [] == result_of(shown, "blocking-call")["suppressions"]


def test_the_numbers_are_its_properties() -> None:
    assert {
        "route": POSTS,
        "could_save_ms": 26.4,
        "saves_for": "own",
        "others_waited_ms": None,
        "evidence": {
            "statements": 51.0,
            "lineage": True,
            "relationship": "User.posts -> comments",
        },
        "fixes": ["eager-load"],
    } == result_of(whole(), "lazy-load-loop")["properties"]


def test_what_was_not_looked_at_is_told_too_each_reason_once() -> None:
    (invocation,) = run_of(whole())["invocations"]
    notes = invocation["toolExecutionNotifications"]

    assert invocation["executionSuccessful"] is True
    assert [
        ("note", "This machine was busy (load 5.1 on 2 cores): ask again when it is quiet."),
        ("note", "POST /leads was not asked: it writes"),
        ("note", "unused-columns was not checked on 2 routes: rows are watched in a check only"),
        (
            "note",
            "unused-relationship was not checked on 1 route: rows are watched in a check only",
        ),
        ("warning", "deep-offset broke on 1 route: KeyError: 'offset'"),
    ] == [(one["level"], one["message"]["text"]) for one in notes]
    assert [POSTS, ORDER] == notes[2]["properties"]["routes"]
    rule = notes[2]["associatedRule"]
    assert "unused-columns" == run_of(whole())["tool"]["driver"]["rules"][rule["index"]]["id"]


def test_the_text_is_json_that_says_the_same_and_ends_with_its_line() -> None:
    text = sarif_text(whole(), folder=Path(FOLDER), pages=PAGES)

    assert as_sarif(whole(), folder=Path(FOLDER), pages=PAGES) == json.loads(text)
    assert text.endswith("}\n")
    assert FOLDER not in text


def test_a_message_says_what_was_proven_in_place_of_what_could_be_saved() -> None:
    text = result_of(wholly_tried(), "lazy-load-loop")["message"]["text"]

    assert text.endswith(
        "In GET /users/{{user_id}}/posts. Fix eager-load with"
        " selectinload(User.posts).joinedload(Post.comments): 4.6x faster [4.1, 5.0], 33.7 → 7.3"
        " ms, 52 → 2 statements, same answer."
    )
    assert "Could save" not in text


def test_what_is_withdrawn_is_a_note_that_says_so() -> None:
    found = result_of(wholly_tried(), "slow-serialization")

    assert "note" == found["level"]
    assert found["message"]["text"].endswith("Withdrawn: its fix was tried and does not pay.")
    assert (True, {"fast-json": "no-difference"}) == (
        found["properties"]["withdrawn"],
        found["properties"]["verdicts"],
    )
    assert "warning" == result_of(judged(serialization()), "slow-serialization")["level"]


def test_the_total_and_what_was_left_are_notes_of_the_run() -> None:
    (invocation,) = run_of(wholly_tried())["invocations"]
    told = [one["message"]["text"] for one in invocation["toolExecutionNotifications"]]

    assert any(one.startswith("Proven together: 3 fixes") for one in told)
    assert "2 findings of GET /health were not tried: the time of the check was over." in (
        one.replace("{{", "{") for one in told
    )


@pytest.mark.parametrize("shown", [wholly_tried(), tried(*each_verdict())])
def test_with_trials_it_is_what_the_official_schema_says(shown: Report) -> None:
    assert [] == validation_errors(as_sarif(shown, folder=Path(FOLDER), pages=PAGES))
