"""What comes in: what many requests bring is stored by one statement, then acknowledged."""

from unslow.fast import ingest, invalidate_tag

from .database import db
from .schemas import EventIn, LeadIn, OrderIn, OrderOut

new_leads = ingest(LeadIn, db, table="leads")

# Sent again, an event is acknowledged again and stored once.
events = ingest(EventIn, db, table="events", key="event_id")

NEW_ORDER = """
    INSERT INTO orders (user_id, status, total_cents)
    SELECT id, $2, $3 FROM users WHERE id = $1
    RETURNING id, user_id, status, total_cents, created_at
"""


async def add_order(order: OrderIn) -> OrderOut | None:
    """Stores an order, and has the sums over orders computed anew; `None` if nobody has that id."""
    values = [order.user_id, order.status, order.total_cents]
    async with db.connect() as connection:
        rows = await connection.fetch(NEW_ORDER, values)
    if not rows:
        return None
    await invalidate_tag("orders")
    return OrderOut(**dict(zip(OrderOut.model_fields, rows[0], strict=True)))
