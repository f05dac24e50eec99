"""Transfers, and the checks before them."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from sqlalchemy.ext.asyncio import AsyncSession

from .engines import Bank, TheBank
from .orm import Transfer

router = APIRouter()
PATIENCE_S = 5


async def transfer_by_id(session: AsyncSession, transfer_id: int) -> Transfer:
    transfer = await session.get(Transfer, transfer_id)  # finding: held-connection
    if transfer is None:
        raise HTTPException(404, "No such transfer")
    return transfer


async def approval(bank: Bank, transfer_id: int) -> str:
    """What the officers said, if they do so at once."""
    found = await bank.redis.blpop(
        [f"approvals-{transfer_id}"], timeout=0.02
    )  # touched: held-connection
    return "approved" if found else "waiting"


@router.get("/transfers/{transfer_id}/approval")
async def show_approval(transfer_id: int, bank: TheBank) -> dict[str, Any]:
    async with AsyncSession(bank.counter_pool) as session:
        transfer = await transfer_by_id(session, transfer_id)
        return {"state": transfer.state, "approval": await approval(bank, transfer_id)}


@router.get("/transfers/{transfer_id}/consent")
async def show_consent(transfer_id: int, bank: TheBank) -> dict[str, Any]:
    consent = await approval(bank, transfer_id)
    async with AsyncSession(bank.counter_pool) as session:
        transfer = await transfer_by_id(session, transfer_id)
        return {"state": transfer.state, "approval": consent}


@router.post("/transfers/{transfer_id}/settle")
async def settle(transfer_id: int, bank: TheBank) -> dict[str, Any]:
    async with AsyncSession(bank.counter_pool) as session:
        found = await session.get(
            Transfer, transfer_id, with_for_update=True
        )  # finding: held-connection
        if found is None:
            raise HTTPException(404, "No such transfer")
        await clearing_time()
        found.state = "new" if found.state == "settled" else "settled"
        await session.commit()
    return {"id": transfer_id}


async def clearing_time() -> None:
    """The clearing house takes one transfer at a time."""
    await asyncio.sleep(0.015)  # touched: held-connection


@router.post("/transfers/{transfer_id}/clear")
async def clear(transfer_id: int, bank: TheBank) -> dict[str, Any]:
    await clearing_time()
    async with AsyncSession(bank.counter_pool) as session:
        found = await session.get(Transfer, transfer_id, with_for_update=True)
        if found is None:
            raise HTTPException(404, "No such transfer")
        found.state = "new" if found.state == "settled" else "settled"
        await session.commit()
    return {"id": transfer_id}


def risk(bank: TheBank, transfer_id: int) -> int:
    """What the fraud service says."""
    address = f"{bank.settings.stub_url}/fraud/{transfer_id}"
    answer = bank.fraud.get(address, timeout=PATIENCE_S)
    answer.raise_for_status()
    return int(answer.json()["value"])


@router.get("/transfers/{transfer_id}/risk")
def show_risk(transfer_id: int, bank: TheBank) -> dict[str, int]:  # finding: thread-starvation
    return {"risk": risk(bank, transfer_id)}


@router.get("/transfers/{transfer_id}/verdict")
async def show_verdict(  # finding: thread-starvation
    transfer_id: int, level: Annotated[int, Depends(risk)]
) -> dict[str, Any]:
    return {"id": transfer_id, "verdict": "stop" if level > 900 else "go"}


@router.get("/transfers/{transfer_id}/warning")
def show_warning(transfer_id: int, bank: TheBank) -> dict[str, Any]:
    return {"warning": risk(bank, transfer_id) > 900}
