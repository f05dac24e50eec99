"""Who is asking."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, HTTPException
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import Customer
from ..wiring import Database

Token = Annotated[str, Header(alias="x-token")]


async def customer_of(session: AsyncSession, token: str) -> Customer:
    wanted = select(Customer).where(Customer.token == token)
    customer = await session.scalar(wanted)  # finding: duplicate-query
    if customer is None:
        raise HTTPException(401, "Unknown token")
    return customer


async def signed_in(session: Database, token: Token) -> Customer:
    return await customer_of(session, token)


SignedIn = Annotated[Customer, Depends(signed_in)]


async def discount_percent(session: Database, token: Token) -> int:
    customer = await customer_of(session, token)
    return 10 if customer.id < 600 else 0


async def bonus_points(customer: SignedIn) -> int:
    return customer.id % 50


async def note_visit(session: AsyncSession, customer: Customer) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    visited = update(Customer).where(Customer.id == customer.id).values(last_seen=now)
    await session.execute(visited)  # finding: side-effect-in-request
    await session.commit()
