"""What the library is asked for."""

from collections.abc import Iterator
from itertools import chain

from ..call import Call, calls, spread
from .data import BOOKS_COUNT, LOANS_COUNT, MEMBERS_COUNT, SHELVES_COUNT

SIZES = (10, 20, 40)
BOOKS = spread(1, BOOKS_COUNT)
LOANS = spread(1, LOANS_COUNT - 400)
MEMBERS = spread(1, MEMBERS_COUNT)
SHELVES = [f"S{number}" for number in spread(0, SHELVES_COUNT - 1)]
DAYS = ("2026-02-10", "2026-02-12", "2026-02-15")


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_catalogue(), _books(), _loans(), _desk(), _members()))


def _catalogue() -> Iterator[Call]:
    for name in ("productive", "counted"):
        yield from calls(f"GET /authors/{name}", query="limit={limit}", limit=SIZES)
    for name in ("books", "labels"):
        yield from calls(f"GET /shelves/{{shelf}}/{name}", shelf=SHELVES)
    yield from calls(
        "GET /languages/{language}/books",
        query="after={after}",
        language=("en", "de", "fr"),
        after=BOOKS,
    )
    yield from calls("GET /opening-hours")
    yield from calls(
        "GET /search/titles",
        query="part={part}&order={order}",
        part=("0ab", "f3c", "77e", "b1d", "c0d"),
        order=("title", "pages"),
    )


def _books() -> Iterator[Call]:
    yield from calls("POST /books/some", body=lambda number: BOOKS[: 2 + number])
    yield from calls("GET /books/{book_id}/trace", book_id=BOOKS)
    yield from calls("GET /books/{book_id}/label", book_id=BOOKS)
    yield from calls(
        "GET /books",
        query="page={page}&size={size}",
        page=(300, 600, 900),
        size=(20, 20, 20, 40),
    )
    yield from calls(
        "GET /books/following", query="after={after}&size={size}", after=BOOKS, size=SIZES
    )


def _loans() -> Iterator[Call]:
    for name in ("overdue", "late"):
        yield from calls(
            f"GET /loans/{name}", query="day={day}&limit={limit}", day=DAYS, limit=SIZES
        )
    yield from calls(
        "GET /loans/open", query="after={after}&limit={limit}", after=LOANS, limit=SIZES
    )
    for name in ("export", "histogram"):
        yield from calls(
            f"GET /loans/{name}",
            query="first={first}&last={last}",
            first=(0, 200, 400),
            last=(1300, 1900, 2600, 3300),
        )


def _desk() -> Iterator[Call]:
    for name in ("extend", "prolong"):
        yield from calls(f"POST /loans/{name}", body=_ids)
    yield from calls("POST /loans/states", body=_many_ids)
    yield from calls("POST /returns/{loan_id}", loan_id=LOANS)
    yield from calls("GET /holds/{book_id}/queue", book_id=spread(1, 500))
    yield from calls("POST /holds/{hold_id}/take", hold_id=spread(1, 2000))


def _members() -> Iterator[Call]:
    for name in ("card", "badge", "pass", "overview"):
        yield from calls(f"GET /members/{{member_id}}/{name}", member_id=MEMBERS)
    yield from calls("POST /members/{member_id}/renew", member_id=MEMBERS)
    yield from calls("GET /kiosk/{member_id}", member_id=MEMBERS)
    yield from calls("POST /exports/{export_id}", export_id=range(1, 41))


def _ids(number: int) -> list[int]:
    return [1 + number * 200 + each * 3 for each in range((6, 12, 30)[number % 3])]


def _many_ids(number: int) -> list[int]:
    return list(range(1 + number * 100, 400 + number * 150))
