"""Reading single things out of the shop's tables."""

from collections.abc import Sequence

from fastapi import HTTPException
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from .models import Address, Customer, Order, OrderLine


class CustomerRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def by_id(self, customer_id: int) -> Customer:
        found = await self._session.get(Customer, customer_id)  # finding: repeated-query
        if found is None:
            raise HTTPException(404, "No such customer")
        return found

    async def by_ids(self, customer_ids: Sequence[int]) -> dict[int, Customer]:
        found = await self._session.scalars(select(Customer).where(Customer.id.in_(customer_ids)))
        return {customer.id: customer for customer in found}

    async def best(self, limit: int) -> Sequence[tuple[int, int]]:
        """Id and spent cents of those among the newest orders who spent most."""
        spent = func.sum(OrderLine.price_cents * OrderLine.quantity)
        rows = await self._session.execute(
            select(Order.customer_id, spent)
            .join(OrderLine, OrderLine.order_id == Order.id)
            .where(Order.id > 1800)
            .group_by(Order.customer_id)
            .order_by(spent.desc())
            .limit(limit)
        )
        return [(customer_id, cents) for customer_id, cents in rows]


class AddressBook:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def address(self, address_id: int) -> Address:
        found = await self._session.get(Address, address_id)
        if found is None:
            raise HTTPException(404, "No such address")
        return found
