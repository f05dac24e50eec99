"""What is said of a list without an end."""

from __future__ import annotations

import pytest

from unslow.fixes.patches.limit_rows import candidates, write
from unslow.fixes.patches.patch import CannotTryError, Subject
from unslow.model.finding import Finding
from unslow.model.trace import Hold, Place, Statement, Trace

PATH = "/project/app/users.py"


def subject(place: Place | None) -> Subject:
    return Subject(Finding("Nothing bounds the list.", place), (), lambda _: None)


def test_a_page_is_tried_at_the_line() -> None:
    (arm,) = candidates(subject(Place(PATH, 12, "list_users")))

    assert ("limit-rows", ".limit(50)") == (arm.fix, arm.says)
    assert {"path": PATH, "line": 12, "function": "list_users", "limit": 50} == arm.parameters


def test_rows_of_no_line_cannot_be_tried() -> None:
    with pytest.raises(CannotTryError):
        candidates(subject(None))


def test_pages_are_advised_and_not_written() -> None:
    about = subject(Place(PATH, 12, "list_users"))

    patch = write(about, candidates(about)[0])

    assert patch.edits == ()
    assert patch.advice.startswith("Line 12 of users.py ")
    assert ".where(X.id > after).order_by(X.id).limit(limit)" in patch.advice
    assert PATH not in patch.advice


def sent(place: Place, rows_count: int) -> Statement:
    return Statement("SELECT …", "asyncpg", place, rows_count=rows_count)


def answered(pool: str, *statements: Statement) -> Trace:
    return Trace(
        number=1,
        process_id=1,
        method="GET",
        route="/users",
        status=200,
        started_at=0.0,
        start_ns=0,
        response_end_ns=1,
        end_ns=1,
        response_bytes=1,
        statements=statements,
        holds=(Hold(pool, 0, 1),),
    )


def test_of_a_large_answer_the_statement_with_most_rows_is_limited() -> None:
    few, many = Place(PATH, 3, "user_of"), Place(PATH, 14, "list_users")
    pool = "postgresql+asyncpg 127.0.0.1:5432/shop pool 5+10"
    traces = (answered(pool, sent(few, 1), sent(many, 3000)),)
    about = subject(Place(PATH, 12, "list_users"))._replace(traces=traces)

    (arm,) = candidates(about)

    assert (14, "list_users") == (arm.parameters["line"], arm.parameters["function"])
    assert write(about, arm).advice.startswith("Line 14 of users.py ")


def test_what_goes_to_a_driver_directly_is_not_tried() -> None:
    place = Place(PATH, 14, "list_users")
    traces = (answered("asyncpg 127.0.0.1:5432/shop pool 10", sent(place, 3000)),)

    with pytest.raises(CannotTryError, match="goes to the driver directly"):
        candidates(subject(place)._replace(traces=traces))
