"""Parcels."""

import asyncio
from typing import Any

from fastapi import APIRouter, BackgroundTasks, HTTPException
from sqlalchemy import select
from sqlalchemy.orm import Session

from .models import Claim, Parcel
from .opened import Open, Opened

router = APIRouter(prefix="/parcels")


async def code_of(opened: Opened, parcel_id: int) -> str:
    query = "SELECT code FROM logistics.parcels WHERE id = $1"
    code: str | None = await opened.pool.fetchval(query, parcel_id)
    if code is None:
        raise HTTPException(404, "No such parcel")
    return code


@router.get("/{parcel_id}/declaration")
def show_declaration(parcel_id: int, opened: Open) -> dict[str, int]:
    return {"declaration": opened.customs.declaration(f"P{parcel_id}")}


@router.get("/{parcel_id}/duty")
def show_duty(parcel_id: int, opened: Open) -> dict[str, int]:
    return {"duty": opened.customs.duty(f"P{parcel_id}")}


@router.get("/{parcel_id}/fees")
async def show_fees(parcel_id: int, opened: Open) -> dict[str, int]:
    code = await code_of(opened, parcel_id)
    return {"fees": fees(opened, code)}


def fees(opened: Opened, code: str) -> int:
    return 250 + opened.customs.duty(code)


@router.get("/{parcel_id}/route")
async def show_route(parcel_id: int, opened: Open) -> dict[str, int]:
    code = await code_of(opened, parcel_id)
    return {"kilometres": await opened.planner.kilometres(code)}


@router.get("/{parcel_id}/arrival")
async def show_arrival(parcel_id: int, opened: Open) -> dict[str, int]:
    code = await code_of(opened, parcel_id)
    return {"hours": await opened.partners.arrival(code)}


@router.get("/{parcel_id}/price")
async def show_price(parcel_id: int, opened: Open) -> dict[str, int]:
    tariff = await opened.partners.tariff_of(f"P{parcel_id}")
    return {"cents": await opened.partners.price_of(tariff, 500)}


@router.get("/{parcel_id}/outlook")
async def show_outlook(parcel_id: int, opened: Open) -> dict[str, int]:
    code = await code_of(opened, parcel_id)
    position = await opened.partners.position(code)
    arrival = await opened.partners.arrival(code)  # finding: serial-awaits
    return {"position": position, "arrival": arrival}


@router.get("/{parcel_id}/forecast")
async def show_forecast(parcel_id: int, opened: Open) -> dict[str, int]:
    code = await code_of(opened, parcel_id)
    position, arrival = await asyncio.gather(
        opened.partners.position(code), opened.partners.arrival(code)
    )
    return {"position": position, "arrival": arrival}


@router.get("/{parcel_id}/track")
async def track(parcel_id: int, opened: Open) -> dict[str, str]:
    code = await code_of(opened, parcel_id)
    await opened.partners.count_view(code)
    return {"code": code}


@router.get("/{parcel_id}/follow")
async def follow(parcel_id: int, opened: Open, later: BackgroundTasks) -> dict[str, str]:
    code = await code_of(opened, parcel_id)
    later.add_task(opened.partners.count_view, code)
    return {"code": code}


@router.post("/{parcel_id}/insure")
async def insure(parcel_id: int, opened: Open) -> dict[str, int]:
    number = await opened.partners.insure(f"P{parcel_id}", 5000)
    return {"number": number}


@router.post("/{parcel_id}/claims", status_code=201)
async def claim(parcel_id: int, opened: Open) -> dict[str, int]:
    async with opened.async_sessions() as session:
        filed = Claim(parcel_id=parcel_id, cents=900)
        session.add(filed)
        await session.flush()
        claim_id = filed.id
        await session.commit()
    return {"id": claim_id}


@router.get("/{parcel_id}/position")
async def show_position(parcel_id: int, opened: Open) -> dict[str, Any]:
    async with opened.async_sessions() as session:
        parcel = await session.get(Parcel, parcel_id)  # finding: held-connection
        if parcel is None:
            raise HTTPException(404, "No such parcel")
        position = await opened.partners.position(parcel.code)
        return {"code": parcel.code, "grams": parcel.grams, "position": position}


@router.get("/{parcel_id}/location")
async def show_location(parcel_id: int, opened: Open) -> dict[str, Any]:
    async with opened.async_sessions() as session:
        position = await opened.partners.position(f"P{parcel_id}")
        parcel = await session.get(Parcel, parcel_id)
        if parcel is None:
            raise HTTPException(404, "No such parcel")
        return {"code": parcel.code, "grams": parcel.grams, "position": position}


@router.get("/{parcel_id}/whereabouts")
async def show_whereabouts(parcel_id: int, opened: Open) -> dict[str, Any]:
    async with opened.async_sessions() as session:
        parcel = await session.get(Parcel, parcel_id)
    if parcel is None:
        raise HTTPException(404, "No such parcel")
    position = await opened.partners.position(parcel.code)
    return {"code": parcel.code, "grams": parcel.grams, "position": position}


@router.get("/{parcel_id}/clearance")
def show_clearance(parcel_id: int, opened: Open) -> dict[str, Any]:
    with opened.sessions() as session:
        parcel = find(session, parcel_id)
        duty = opened.customs.duty(parcel.code)
        return {"code": parcel.code, "state": parcel.state, "duty": duty}


def find(session: Session, parcel_id: int) -> Parcel:
    wanted = select(Parcel).where(Parcel.id == parcel_id)
    parcel = session.scalar(wanted)  # finding: held-connection
    if parcel is None:
        raise HTTPException(404, "No such parcel")
    return parcel


@router.get("/{parcel_id}/partner")
async def ask_partner(parcel_id: int, opened: Open) -> dict[str, Any]:
    """What a slow partner says; the carrier's own part is quick."""
    code = await code_of(opened, parcel_id)
    return {"code": code, "answer": await opened.partners.number(f"/partners/{code}")}
