"""Orders."""

from typing import Annotated

import httpx
from fastapi import APIRouter, BackgroundTasks, HTTPException, Query
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import Order
from ..repositories import AddressBook
from ..schemas import AddressOut, NewOrder, OrderSummary, OrderWhole, Parties
from ..services import orders as order_service
from ..wiring import Database, Warehouse

router = APIRouter(prefix="/orders")
Limit = Annotated[int, Query(ge=1, le=60)]


@router.get("")
async def list_orders(session: Database, limit: Limit = 20) -> list[OrderSummary]:
    return await order_service.recent_orders(session, limit)


@router.get("/detailed")
async def list_detailed_orders(session: Database, limit: Limit = 20) -> list[OrderSummary]:
    return await order_service.detailed_orders(session, limit)


async def order_by_id(session: AsyncSession, order_id: int) -> Order:
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "No such order")
    return order


@router.get("/{order_id}")
async def show_order(order_id: int, session: Database) -> OrderWhole:
    order = await order_by_id(session, order_id)
    customer = await order.awaitable_attrs.customer
    lines = await order.awaitable_attrs.lines
    shipments = await order.awaitable_attrs.shipments
    return OrderWhole(
        id=order.id,
        status=order.status,
        customer=customer.name,
        quantities=[line.quantity for line in lines],
        carriers=[shipment.carrier for shipment in shipments],
    )


@router.get("/{order_id}/parties")
async def show_parties(order_id: int, session: Database) -> Parties:
    order = await order_by_id(session, order_id)
    book = AddressBook(session)
    return Parties(
        billing=AddressOut.model_validate(await book.address(order.billing_address_id)),
        shipping=AddressOut.model_validate(await book.address(order.shipping_address_id)),
        pickup=AddressOut.model_validate(await book.address(order.pickup_address_id)),
    )


@router.post("", status_code=201)
async def create_order(
    new: NewOrder, session: Database, warehouse: Warehouse, later: BackgroundTasks
) -> dict[str, int]:
    order = await order_service.place_order(session, new)
    later.add_task(tell_warehouse, warehouse, order.id)
    return {"id": order.id}


@router.post("/{order_id}/confirm")
async def confirm_order(
    order_id: int, session: Database, warehouse: Warehouse
) -> dict[str, str | int]:
    order = await order_by_id(session, order_id)
    order.status = "paid" if order.status == "open" else "open"
    await session.commit()
    await tell_warehouse(warehouse, order_id)
    return {"id": order_id, "status": order.status}


async def tell_warehouse(warehouse: httpx.AsyncClient, order_id: int) -> None:
    placed = {"id": order_id, "kind": "order"}
    await warehouse.post("/webhooks", json=placed)  # finding: side-effect-in-request
