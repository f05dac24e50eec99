"""What the clinic is asked for."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from ..call import Call, calls, spread
from .data import APPOINTMENTS_COUNT, DEPARTMENTS_COUNT, LETTER_WRITERS_COUNT, PATIENTS_COUNT

SIZES = (10, 20, 40)
MANY = (300, 400, 500)
APPOINTMENTS = spread(1, APPOINTMENTS_COUNT)
DAYS = tuple(f"2026-01-{day:02}" for day in range(6, 26))
CITIES = ("City 0", "City 1", "City 2")


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_appointments(), _patients(), _visits(), _house()))


def _appointments() -> Iterator[Call]:
    for route in ("GET /appointments", "GET /appointments/board"):
        yield from calls(route, query="day={day}&limit={limit}", day=DAYS, limit=SIZES)
    yield from calls("POST /appointments", body=_new_appointment, status=201)
    yield from calls("POST /appointments/confirm", body=_ids)
    for name in ("remind", "notify"):
        yield from calls(
            f"POST /appointments/{{appointment_id}}/{name}", appointment_id=APPOINTMENTS
        )


def _patients() -> Iterator[Call]:
    for name in ("recent", "newest"):
        yield from calls(f"GET /patients/{name}", query="limit={limit}", limit=SIZES)
    for name in ("count", "number"):
        yield from calls(f"GET /patients/{name}", query="city={city}", city=CITIES)
    for name in ("register", "directory", "roster", "roster/document"):
        yield from calls(
            f"GET /patients/{name}",
            query="after={after}&limit={limit}",
            after=(0, 400, 800, 1000),
            limit=MANY,
        )
    for name in ("letters", "correspondence"):
        yield from calls(
            f"GET /patients/{{patient_id}}/{name}",
            query="limit={limit}",
            patient_id=range(1, LETTER_WRITERS_COUNT),
            limit=SIZES,
        )
    yield from calls(
        "GET /patients/{patient_id}/record",
        query="reader={reader}",
        patient_id=spread(1, PATIENTS_COUNT),
        reader=("ward", "desk"),
    )


def _visits() -> Iterator[Call]:
    query, after = "after={after}&limit={limit}", (0, 300, 700, 1200, 1700)
    for name in ("timeline", "calendar"):
        yield from calls(f"GET /visits/{name}", query=query, after=after, limit=(50, 100, 200))
    yield from calls("GET /visits/journal", query=query, after=after, limit=(5, 10, 20))
    yield from calls("GET /visits/{visit_id}/date", visit_id=spread(1, 2000))
    for name in ("enter", "label", "import"):
        yield from calls(f"POST /samples/{name}", body=_samples, status=201)


def _house() -> Iterator[Call]:
    for name in ("doctors/workload", "doctors/rota", "departments/occupancy", "departments/census"):
        yield from calls(f"GET /{name}", query="limit={limit}", limit=SIZES)
    yield from calls(
        "GET /departments/{department_id}/path", department_id=spread(10, DEPARTMENTS_COUNT)
    )
    yield from calls("GET /rooms", query="floor={floor}&limit={limit}", floor=range(6), limit=SIZES)
    yield from calls("GET /rooms/{room_id}/sign", room_id=spread(1, 300))
    yield from calls("GET /invoices", query="sort={sort}", sort=("cents", "id", "patient_id"))
    yield from calls("GET /invoices/outstanding", query="city={city}", city=CITIES)
    yield from calls(
        "GET /invoices/debts",
        query="first={first}&last={last}",
        first=(1, 100, 200),
        last=(760, 900, 1200, 1450),
    )


def _new_appointment(number: int) -> dict[str, Any]:
    return {"patient_id": 1 + number, "doctor_id": 2, "starts_at": f"2026-03-01T10:{number:02}:00"}


def _ids(number: int) -> dict[str, list[int]]:
    count = (8, 16, 32)[number % 3]
    return {"ids": [1 + number * 150 + each * 3 for each in range(count)]}


def _samples(number: int) -> dict[str, Any]:
    count = (5, 15, 30)[number % 3]
    return {
        "samples": [
            {"patient_id": 1 + each, "kind": "blood", "millilitres": 5 + each}
            for each in range(count)
        ]
    }
