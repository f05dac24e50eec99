"""Orders, and the reports over them."""

import time
from typing import Any

from fastapi import APIRouter, HTTPException
from sqlalchemy import func, select

from ..models import Order
from ..schemas import OrderOut
from ..services import REMOTE_TIMEOUT_S, AsyncDatabaseSession, OpenServices, ReportingSession

SETTLING_S = 0.05

router = APIRouter(tags=["orders"])


@router.get("/orders/{order_id}", response_model=OrderOut)
async def get_order(order_id: int, session: AsyncDatabaseSession) -> Order:
    """One order by key, after the payment had a moment to settle."""
    time.sleep(SETTLING_S)
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "No such order")
    return order


@router.get("/orders/{order_id}/shipping")
async def get_shipping(order_id: int, services: OpenServices) -> dict[str, Any]:
    """What shipping an order costs, by the shipping service."""
    status = await _status(order_id, services)
    answer = services.shipping.get(
        f"{services.stub_url}/shipping/{order_id}", timeout=REMOTE_TIMEOUT_S
    )
    return {"order_id": order_id, "status": status, "shipping_cents": answer.json()["value"]}


@router.get("/orders/{order_id}/tracking")
async def get_tracking(order_id: int, services: OpenServices) -> dict[str, Any]:
    """How far a parcel still has to go, by the tracking service."""
    status = await _status(order_id, services)
    answer = await services.remote.get(f"/tracking/{order_id}", timeout=None)
    return {"order_id": order_id, "status": status, "kilometres": answer.json()["value"]}


@router.get("/reports/sales")
async def report_sales(session: ReportingSession) -> list[dict[str, Any]]:
    """Orders and turnover by month."""
    month = func.date_trunc("month", Order.created_at).label("month")
    rows = await session.execute(
        select(month, func.count(), func.sum(Order.total_cents)).group_by(month).order_by(month)
    )
    return [
        {"month": first_day, "orders": orders, "total_cents": total_cents}
        for first_day, orders, total_cents in rows
    ]


async def _status(order_id: int, services: OpenServices) -> str:
    status: str | None = await services.pool.fetchval(
        "SELECT status FROM orders WHERE id = $1", order_id
    )
    if status is None:
        raise HTTPException(404, "No such order")
    return status
