"""What the school's site is asked for."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from ..call import Call, calls, spread
from .data import FORMS_COUNT, LESSONS_COUNT, PUPILS_COUNT, TEACHERS_COUNT, YEARS

SIZES = (10, 20, 40)
LESSONS = spread(0, LESSONS_COUNT - 700)
PUPILS = spread(1, PUPILS_COUNT)
TEACHERS = spread(1, TEACHERS_COUNT)
DAYS = ("2026-01-15", "2026-02-03", "2026-02-20")


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_pages(), _pupils(), _documents(), _planning()))


def _pages() -> Iterator[Call]:
    for route in ("/forms/", "/forms/overview"):
        yield from calls(f"GET {route}", query="limit={limit}", limit=SIZES)
    yield from calls("GET /forms/{form_id}/note", form_id=spread(1, FORMS_COUNT))
    yield from calls(
        "GET /marks", query="since={since}&limit={limit}", since=DAYS, limit=(450, 550, 650)
    )
    yield from calls("GET /board")
    yield from calls("GET /figures")


def _pupils() -> Iterator[Call]:
    for name in ("report", "averages"):
        yield from calls(
            f"GET /pupils/{{pupil_id}}/{name}",
            query="limit={limit}",
            pupil_id=PUPILS,
            limit=(4, 8, 14),
        )
    for name in ("form", "portrait"):
        yield from calls(f"GET /pupils/{{pupil_id}}/{name}", pupil_id=PUPILS)
    yield from calls("GET /pupils", query="sort={sort}", sort=("name", "form"))


def _documents() -> Iterator[Call]:
    yield from calls(
        "GET /timetable", query="after={after}&limit={limit}", after=LESSONS, limit=(200, 400, 600)
    )
    yield from calls("GET /archive/{year}", year=YEARS)
    yield from calls("GET /archive/{year}/{place}", year=YEARS, place=(5, 90, 700))
    yield from calls("GET /subjects")
    yield from calls("GET /vocabulary/{language}", language=("french", "latin", "spanish"))
    yield from calls(
        "GET /marks.csv",
        query="since={since}",
        since=("2026-03-01", "2026-03-15", "2026-03-25"),
    )
    yield from calls(
        "GET /notices", query="after={after}&limit={limit}", after=(0, 100, 200), limit=SIZES
    )
    yield from calls("POST /notices", body=_notice, status=201)


def _planning() -> Iterator[Call]:
    for name in ("", "/plan"):
        yield from calls(f"GET /teachers/{{teacher_id}}{name}", teacher_id=TEACHERS)
    for name in ("", "/beside"):
        yield from calls(
            f"GET /clashes{name}",
            query="after={after}&limit={limit}",
            after=LESSONS,
            limit=(160, 190, 220),
        )
    yield from calls(
        "GET /clashes/few", query="after={after}&limit={limit}", after=LESSONS, limit=SIZES
    )


def _notice(number: int) -> dict[str, Any]:
    return {"title": f"Trip {number}", "text": "Bring a packed lunch."}
