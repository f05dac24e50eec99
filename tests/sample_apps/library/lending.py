"""Lending and returning: psycopg."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import StreamingResponse
from psycopg import Connection, Cursor, errors
from psycopg.rows import DictRow

from .connections import AsyncDesk, Desk, TheAsyncDesk, TheDesk

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]

OVERDUE = (
    "SELECT id, member_id, book_id, due_on FROM loans WHERE due_on < %s ORDER BY due_on LIMIT %s"
)


class LoanBook:
    """What the desk looks up while it works."""

    def __init__(self, cursor: Cursor[DictRow]) -> None:
        self.cursor = cursor

    def borrower(self, member_id: int) -> str:
        asked = "SELECT name FROM members WHERE id = %s"
        self.cursor.execute(asked, (member_id,))  # finding: repeated-query
        found = self.cursor.fetchone()
        return str(found["name"]) if found else ""


@router.get("/loans/overdue")
def overdue_loans(desk: TheDesk, day: date, limit: Limit = 20) -> list[dict[str, Any]]:
    with desk.connection() as connection, connection.cursor() as cursor:
        loans = cursor.execute(OVERDUE, (day, limit)).fetchall()
        book = LoanBook(cursor)
        return [{**loan, "member": book.borrower(loan["member_id"])} for loan in loans]


@router.get("/loans/late")
def late_loans(desk: TheDesk, day: date, limit: Limit = 20) -> list[dict[str, Any]]:
    query = """
        SELECT loans.id, member_id, book_id, due_on, members.name AS member
        FROM loans JOIN members ON members.id = member_id
        WHERE due_on < %s ORDER BY due_on LIMIT %s
    """
    with desk.connection() as connection:
        return connection.execute(query, (day, limit)).fetchall()


@router.get("/loans/open")
def open_loans(desk: TheDesk, after: int = 0, limit: Limit = 20) -> list[dict[str, Any]]:
    query = "SELECT id, due_on FROM loans WHERE state = 'open' AND id > %s ORDER BY id LIMIT %s"
    with desk.connection() as connection:
        return connection.execute(query, (after, limit)).fetchall()


@router.post("/loans/extend")
async def extend_loans(ids: list[int], desk: TheAsyncDesk) -> dict[str, int]:
    async with desk.connection() as connection:
        for loan_id in ids:
            await connection.execute(  # finding: repeated-query
                "UPDATE loans SET due_on = due_on + 1 WHERE id = %s", (loan_id,)
            )
    return {"extended": len(ids)}


@router.post("/loans/prolong")
async def prolong_loans(ids: list[int], desk: TheAsyncDesk) -> dict[str, int]:
    async with desk.connection() as connection, connection.cursor() as cursor:
        longer = "UPDATE loans SET due_on = due_on + 1 WHERE id = %s"
        await cursor.executemany(longer, [(loan_id,) for loan_id in ids])
    return {"prolonged": len(ids)}


@router.post("/loans/states")
async def states_of_loans(ids: list[int], desk: TheAsyncDesk) -> dict[str, int]:
    """How many of very many loans are in each state; asked in portions that the server likes."""
    counts: dict[str, int] = {}
    async with desk.connection() as connection:
        for start in range(0, len(ids), 100):
            portion = ids[start : start + 100]
            rows = await connection.execute(
                "SELECT state FROM loans WHERE id = ANY(%s)", (portion,)
            )
            for row in await rows.fetchall():
                counts[row["state"]] = counts.get(row["state"], 0) + 1
    return counts


@router.get("/loans/export")
def export_loans(desk: TheDesk, first: int, last: int) -> StreamingResponse:
    return StreamingResponse(lines_of_loans(desk, first, last), media_type="text/csv")


def lines_of_loans(desk: Desk, first: int, last: int) -> Iterator[str]:
    """All loans of a range as CSV, page by page after the last key."""
    query = "SELECT id, due_on, state FROM loans WHERE id > %s AND id <= %s ORDER BY id LIMIT 200"
    after = first
    while True:
        with desk.connection() as connection:
            page = connection.execute(query, (after, last)).fetchall()
        if not page:
            return
        yield "".join(f"{loan['id']},{loan['due_on']},{loan['state']}\r\n" for loan in page)
        after = page[-1]["id"]


@router.get("/loans/histogram")
def histogram_of_loans(desk: TheDesk, first: int, last: int) -> dict[str, int]:
    """Loans by the month they are due in, read through a cursor on the server."""
    counts: dict[str, int] = {}
    with desk.connection() as connection, connection.cursor("loans_due") as cursor:
        cursor.itersize = 250
        cursor.execute("SELECT due_on FROM loans WHERE id BETWEEN %s AND %s", (first, last))
        for row in cursor:
            month = f"{row['due_on']:%Y-%m}"
            counts[month] = counts.get(month, 0) + 1
    return counts


@router.post("/returns/{loan_id}")
def return_loan(loan_id: int, desk: TheDesk) -> dict[str, int]:
    with desk.connection() as connection:
        connection.execute("UPDATE loans SET state = 'returned' WHERE id = %s", (loan_id,))
        attempt(connection, "INSERT INTO fines (loan_id, cents) VALUES (%s, 50)", (loan_id,))
        attempt(connection, "INSERT INTO notices (loan_id, kind) VALUES (%s, 'back')", (loan_id,))
        attempt(connection, "DELETE FROM holds WHERE member_id = %s AND place > 9", (loan_id,))
        attempt(connection, "UPDATE holds SET place = place WHERE book_id = %s", (loan_id,))
    return {"returned": loan_id}


def attempt(connection: Connection[DictRow], statement: str, parameters: Iterable[int]) -> None:
    """Does what may fail without the rest of the return failing with it."""
    try:
        with connection.transaction():
            connection.execute(statement.encode(), tuple(parameters))
    except errors.IntegrityError:
        return


@router.get("/books/{book_id}/label")
def label_of_book(book_id: int, desk: TheDesk) -> dict[str, Any]:
    query = f"SELECT title, shelf FROM books WHERE id = {book_id}"
    with desk.connection() as connection:
        found = connection.execute(query.encode()).fetchone()  # finding: literal-in-sql
    if found is None:
        raise HTTPException(404, "No such book")
    return found


@router.get("/holds/{book_id}/queue")
async def queue_for_book(book_id: int, desk: TheAsyncDesk) -> dict[str, Any]:
    query = "SELECT member_id, place FROM holds WHERE book_id = %s ORDER BY place LIMIT 20"
    async with desk.connection() as connection:
        waiting = await (await connection.execute(query, (book_id,))).fetchall()
    return {"waiting": waiting, "days": await longest_wait_days(desk, len(waiting))}


async def longest_wait_days(desk: AsyncDesk, waiting_count: int) -> int:
    return waiting_count * await policy(desk, "loan_days") + await grace_days(desk)


async def grace_days(desk: AsyncDesk) -> int:
    return await policy(desk, "loan_days") // 7


async def policy(desk: AsyncDesk, name: str) -> int:
    async with desk.connection() as connection:
        asked = "SELECT value FROM policies WHERE name = %s"
        found = await connection.execute(asked, (name,))  # finding: duplicate-query
        row = await found.fetchone()
    return int(row["value"]) if row else 0


@router.post("/holds/{hold_id}/take")
def take_hold(hold_id: int, desk: TheDesk) -> dict[str, Any]:
    query = "SELECT id, place FROM holds WHERE id = %s"
    with desk.connection() as connection:
        hold = connection.execute(query, (hold_id,)).fetchone()
        if hold is None:
            raise HTTPException(404, "No such hold")
        # Somebody else may be at it: read again under the lock.
        locked = connection.execute(f"{query} FOR UPDATE".encode(), (hold_id,)).fetchone()
        connection.execute("UPDATE holds SET place = place + 1 WHERE id = %s", (hold_id,))
    return {"hold": hold, "locked": locked}
