"""Orders."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from ..models import Order, OrderLine, Product
from ..schemas import NewOrder, OrderSummary


async def recent_orders(session: AsyncSession, limit: int) -> list[OrderSummary]:
    newest = select(Order).order_by(Order.id.desc())
    orders = await session.scalars(newest.limit(limit))  # finding: lazy-load-loop
    return [await summary_of(order) for order in orders]


async def summary_of(order: Order) -> OrderSummary:
    lines = await order.awaitable_attrs.lines  # touched: lazy-load-loop
    return summarize(order, lines)


async def detailed_orders(session: AsyncSession, limit: int) -> list[OrderSummary]:
    newest = select(Order).options(selectinload(Order.lines)).order_by(Order.id.desc())
    orders = await session.scalars(newest.limit(limit))
    return [summarize(order, order.lines) for order in orders]


def summarize(order: Order, lines: Sequence[OrderLine]) -> OrderSummary:
    return OrderSummary(
        id=order.id,
        customer_id=order.customer_id,
        status=order.status,
        total_cents=sum(line.quantity * line.price_cents for line in lines),
    )


async def place_order(session: AsyncSession, new: NewOrder) -> Order:
    wanted = [item.product_id for item in new.items]
    products = await session.scalars(select(Product).where(Product.id.in_(wanted)))
    prices = {product.id: product.price_cents for product in products}
    order = Order(
        customer_id=new.customer_id,
        billing_address_id=new.address_id,
        shipping_address_id=new.address_id,
        pickup_address_id=new.address_id,
        status="open",
        lines=[
            OrderLine(
                product_id=item.product_id,
                quantity=item.quantity,
                price_cents=prices[item.product_id],
            )
            for item in new.items
        ],
    )
    session.add(order)
    await session.commit()
    return order
