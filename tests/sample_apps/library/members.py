"""Members and their cards: psycopg, with and without the event loop."""

import asyncio
import secrets
from typing import Any

import psycopg
from fastapi import APIRouter, HTTPException, Request
from psycopg.errors import UniqueViolation
from starlette.concurrency import run_in_threadpool

from .connections import SCHEMA, AsyncDesk, Desk, TheAsyncDesk, TheDesk

router = APIRouter()

MEMBER = "SELECT id, name, card, joined_on FROM members WHERE id = %s"
LOANS = "SELECT id, book_id, due_on FROM loans WHERE member_id = %s ORDER BY id LIMIT 20"


class Register:
    """The members' register."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def entry(self, member_id: int) -> dict[str, Any]:
        with self.desk.connection() as connection:  # finding: blocking-call
            found = connection.execute(MEMBER, (member_id,)).fetchone()  # finding: blocking-call
        if found is None:
            raise HTTPException(404, "No such member")
        return found


def card_of(desk: Desk, member_id: int) -> dict[str, Any]:
    entry = Register(desk).entry(member_id)
    return {"name": entry["name"], "card": entry["card"], "since": entry["joined_on"].year}


@router.get("/members/{member_id}/card")
async def show_card(member_id: int, desk: TheDesk) -> dict[str, Any]:
    return card_of(desk, member_id)


@router.get("/members/{member_id}/badge")
async def show_badge(member_id: int, desk: TheDesk) -> dict[str, Any]:
    return await run_in_threadpool(card_of, desk, member_id)


@router.get("/members/{member_id}/pass")
def show_pass(member_id: int, desk: TheDesk) -> dict[str, Any]:
    return card_of(desk, member_id)


@router.get("/members/{member_id}/overview")
def overview(member_id: int, desk: TheDesk) -> dict[str, Any]:
    """What the screen at the desk shows: many small things."""
    with desk.connection() as connection:
        member = connection.execute(MEMBER, (member_id,)).fetchone()
        loans = connection.execute(LOANS, (member_id,)).fetchall()
        holds = connection.execute(
            "SELECT book_id, place FROM holds WHERE member_id = %s LIMIT 20", (member_id,)
        ).fetchall()
        overdue = connection.execute(
            "SELECT count(*) AS overdue FROM loans WHERE member_id = %s AND due_on < '2026-02-01'",
            (member_id,),
        ).fetchone()
        policies = connection.execute("SELECT name, value FROM policies").fetchall()
        hours = connection.execute("SELECT opens, closes FROM opening_hours LIMIT 1").fetchone()
    return {
        "member": member,
        "loans": loans,
        "holds": holds,
        "overdue": overdue,
        "policies": policies,
        "hours": hours,
    }


@router.get("/kiosk/{member_id}")
def kiosk(member_id: int, request: Request) -> dict[str, Any]:
    with psycopg.connect(
        request.app.state.database_url, options=SCHEMA
    ) as connection:  # finding: connection-per-request
        found = connection.execute(LOANS, (member_id,)).fetchall()
    return {"loans": [{"id": loan_id, "due_on": due_on} for loan_id, _, due_on in found]}


@router.post("/members/{member_id}/renew")
def renew_card(member_id: int, desk: TheDesk) -> dict[str, str]:
    """A new card: the first number that is free."""
    number = f"C{member_id}"
    for _ in range(4):
        try:
            with desk.connection() as connection:
                connection.execute(
                    "INSERT INTO members (id, name, card, joined_on)"
                    " VALUES (100000 + %s + (SELECT count(*) FROM members), 'Renewed', %s, now())",
                    (member_id, number),
                )
            break
        except UniqueViolation:
            number = f"C{member_id}-{secrets.token_hex(4)}"
    return {"card": number}


@router.post("/exports/{export_id}")
async def run_export(export_id: int, desk: TheAsyncDesk) -> dict[str, Any]:
    """Starts an export and waits until it is there."""
    async with desk.connection() as connection:
        await connection.execute(
            "UPDATE exports SET started_at = clock_timestamp() WHERE id = %s", (export_id,)
        )
    while not await is_ready(desk, export_id):  # noqa: ASYNC110 - it is the database that works
        await asyncio.sleep(0.004)
    return {"id": export_id, "ready": True}


async def is_ready(desk: AsyncDesk, export_id: int) -> bool:
    query = "SELECT clock_timestamp() > started_at + '15 ms' AS ready FROM exports WHERE id = %s"
    async with desk.connection() as connection:
        found = await (await connection.execute(query, (export_id,))).fetchone()
    return bool(found and found["ready"])
