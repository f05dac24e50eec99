"""Accounts and their entries."""

from typing import Any

from fastapi import APIRouter, HTTPException
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from .engines import BranchSession, CashSession, TheBank
from .orm import Account, Branch, Entry

router = APIRouter()


async def balance(session: AsyncSession, account_id: int) -> dict[str, Any]:
    booked = select(func.sum(Entry.cents)).where(Entry.account_id == account_id)
    cents = await session.scalar(booked)  # finding: pool-wait
    interest = await session.scalar(select(func.ledger.interest(account_id)))
    standing = await session.scalar(select(func.ledger.standing(account_id)))
    return {"cents": cents, "interest": interest, "standing": standing}


@router.get("/accounts/{account_id}/balance")
async def show_balance(account_id: int, bank: TheBank) -> dict[str, Any]:
    async with AsyncSession(bank.counter) as session:
        return await balance(session, account_id)


@router.get("/accounts/{account_id}/saldo")
async def show_saldo(account_id: int, bank: TheBank) -> dict[str, Any]:
    async with AsyncSession(bank.counter_pool) as session:
        return await balance(session, account_id)


@router.get("/accounts/{account_id}/deposit")
def show_deposit(account_id: int, bank: TheBank) -> dict[str, Any]:
    asked = {"account_id": account_id}
    with bank.vault.connect() as connection:  # finding: pool-wait
        interest = connection.execute(text("SELECT ledger.interest(:account_id)"), asked).scalar()
        standing = connection.execute(text("SELECT ledger.standing(:account_id)"), asked).scalar()
        owner = connection.execute(
            text("SELECT owner FROM ledger.accounts WHERE id = :account_id"), asked
        ).scalar()
    return {"owner": owner, "interest": interest, "standing": standing}


class EntryBook:
    """Reads entries through whatever session it is given."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def newest(self, account_id: int, count: int) -> list[dict[str, Any]]:
        mine = select(Entry).where(Entry.account_id == account_id).order_by(Entry.id.desc())
        standing = select(func.ledger.standing(account_id)).scalar_subquery()
        mine = mine.where(standing >= 0)
        entries = self.session.scalars(mine.limit(count))  # finding: pool-settings
        return [
            {"cents": each.cents, "booked_on": each.booked_on, "purpose": each.purpose}
            for each in entries
        ]


@router.get("/accounts/{account_id}/entries")
def show_entries(account_id: int, bank: TheBank) -> list[dict[str, Any]]:
    with Session(bank.archive) as session:
        return EntryBook(session).newest(account_id, 20)


@router.get("/accounts/{account_id}/receipts")
def show_receipts(account_id: int, bank: TheBank) -> list[dict[str, Any]]:
    with Session(bank.receipts) as session:
        return EntryBook(session).newest(account_id, 20)


@router.get("/entries/{entry_id}")
async def show_entry(entry_id: int, bank: TheBank) -> dict[str, Any]:
    async with AsyncSession(bank.recycled) as session:
        entry = await session.get(Entry, entry_id)  # finding: pool-settings
    if entry is None:
        raise HTTPException(404, "No such entry")
    return {"cents": entry.cents, "booked_on": entry.booked_on, "purpose": entry.purpose}


@router.get("/branches/{branch_id}")
async def show_branch(branch_id: int, session: BranchSession) -> dict[str, Any]:
    branch = await session.get(Branch, branch_id)  # finding: connection-per-request
    if branch is None:
        raise HTTPException(404, "No such branch")
    return {"name": branch.name, "city": branch.city}


@router.get("/branches/{branch_id}/cash")
def show_cash(branch_id: int, session: CashSession) -> dict[str, Any]:
    return {"accounts": accounts_of(session, branch_id)}


def accounts_of(session: Session, branch_id: int) -> int:
    counted = select(func.count()).select_from(Account).where(Account.branch_id == branch_id)
    return session.scalar(counted) or 0  # finding: connection-per-request


@router.get("/branches/{branch_id}/city")
async def show_city(branch_id: int, bank: TheBank) -> dict[str, Any]:
    query = "SELECT city FROM ledger.branches WHERE id = $1"
    return {"city": await bank.hours.fetchval(query, branch_id)}


@router.get("/turnover/{year}")
async def turnover(year: int, bank: TheBank, least_cents: int = 0) -> list[dict[str, Any]]:
    query = text(
        """
        SELECT month, count(*) AS accounts, sum(cents) AS cents FROM (
            SELECT date_trunc('month', booked_on)::date AS month, account_id, sum(cents) AS cents,
                   rank() OVER (PARTITION BY account_id ORDER BY sum(cents))
            FROM ledger.entries WHERE booked_on >= make_date(:year, 1, 1) GROUP BY 1, 2
        ) AS sums WHERE cents > :least GROUP BY month ORDER BY month
        """
    )
    async with bank.counter_pool.connect() as connection:
        wanted = {"year": year, "least": least_cents}
        rows = await connection.execute(query, wanted)  # finding: slow-statement
        return [dict(row) for row in rows.mappings()]


@router.get("/accounts/{account_id}/plan")
def show_plan(account_id: int, months: int) -> dict[str, Any]:
    """How a debt goes down, worked out day by day."""
    debt, paid = 100_000.0 + account_id, 0.0
    for day in range(months * 365):
        debt += debt * 0.03 / 365
        if day % 30 == 29:
            part = min(debt, 900.0)
            debt, paid = debt - part, paid + part
    return {"debt": round(debt, 2), "paid": round(paid, 2)}
