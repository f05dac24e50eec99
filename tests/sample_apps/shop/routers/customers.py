"""Customers, and what a signed-in customer sees."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import Customer, Order
from ..repositories import CustomerRepository
from ..schemas import BestCustomer, CustomerChange, CustomerOut
from ..services.accounts import SignedIn, bonus_points, discount_percent, note_visit
from ..wiring import Database

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]


@router.get("/customers/top")
async def list_top_customers(session: Database, limit: Limit = 20) -> list[BestCustomer]:
    customers = CustomerRepository(session)
    best = await customers.best(limit)
    return [described(await customers.by_id(key), cents) for key, cents in best]


@router.get("/customers/leading")
async def list_leading_customers(session: Database, limit: Limit = 20) -> list[BestCustomer]:
    customers = CustomerRepository(session)
    best = await customers.best(limit)
    known = await customers.by_ids([key for key, _ in best])
    return [described(known[key], cents) for key, cents in best]


def described(customer: Customer, cents: int) -> BestCustomer:
    return BestCustomer(name=customer.name, email=customer.email, spent_cents=cents)


@router.get("/customers/{customer_id}")
async def show_customer(customer_id: int, session: Database) -> CustomerOut:
    return CustomerOut.model_validate(await CustomerRepository(session).by_id(customer_id))


@router.patch("/customers/{customer_id}")
async def rename_customer(
    customer_id: int, change: CustomerChange, session: Database
) -> CustomerOut:
    customer = await load_customer(session, customer_id)
    customer.name = change.name
    await session.commit()
    return CustomerOut.model_validate(await load_customer(session, customer_id))


async def load_customer(session: AsyncSession, customer_id: int) -> Customer:
    customer = await session.scalar(select(Customer).where(Customer.id == customer_id))
    if customer is None:
        raise HTTPException(404, "No such customer")
    return customer


@router.get("/me")
async def show_me(session: Database, customer: SignedIn) -> CustomerOut:
    await note_visit(session, customer)
    return CustomerOut.model_validate(customer)


@router.get("/me/offers")
async def list_my_offers(
    customer: SignedIn, percent: Annotated[int, Depends(discount_percent)]
) -> dict[str, str | int]:
    return {"name": customer.name, "discount_percent": percent}


@router.get("/me/orders")
async def list_my_orders(
    session: Database, customer: SignedIn, points: Annotated[int, Depends(bonus_points)]
) -> dict[str, object]:
    mine = select(Order.id, Order.status).where(Order.customer_id == customer.id).limit(20)
    rows = await session.execute(mine)
    return {"points": points, "orders": [{"id": key, "status": status} for key, status in rows]}
