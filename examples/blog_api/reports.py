"""Sums over orders: one that is kept for all who ask, one that is looked up for many at once."""

from unslow.fast import Rows, cached, coalesce

from .database import db
from .schemas import Month, Spending

SALES = """
    SELECT date_trunc('month', created_at) AS month, count(*), sum(total_cents)
      FROM orders
     GROUP BY month
     ORDER BY month
"""

SPENDING = """
    SELECT user_id, count(*), sum(total_cents)
      FROM orders
     WHERE user_id = ANY($1::int[])
     GROUP BY user_id
"""


@cached(ttl=60, stale=300, tags=["orders"])
async def sales() -> list[Month]:
    """Orders and turnover by month: computed by one request while all others wait for it."""
    async with db.connect() as connection:
        rows = await connection.fetch(SALES)
    return [
        Month(month=month, orders=orders, total_cents=total_cents)
        for month, orders, total_cents in rows
    ]


# A row by its customer; concurrent requests share a statement.
spending_rows = coalesce(Rows(db, SPENDING))


async def spending(customer_id: int) -> Spending:
    """What a customer bought in all; nothing is known of one who bought nothing."""
    row = await spending_rows(customer_id)
    _, orders, total_cents = row or (customer_id, 0, 0)
    return Spending(customer_id=customer_id, orders=orders, total_cents=total_cents)
