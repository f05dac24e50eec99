"""What a cart costs."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import Product, Setting
from ..schemas import Item


class PriceList:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def price_of(self, product_id: int) -> int:
        wanted = select(Product.price_cents).where(Product.id == product_id)
        return (await self._session.execute(wanted)).scalar_one()  # finding: repeated-query

    async def prices_of(self, product_ids: list[int]) -> dict[int, int]:
        wanted = select(Product.id, Product.price_cents).where(Product.id.in_(product_ids))
        rows = await self._session.execute(wanted)
        return {row.id: row.price_cents for row in rows}

    async def total(self, items: list[Item]) -> int:
        cents = 0
        for item in items:
            cents += item.quantity * await self.price_of(item.product_id)
        return cents


class Rules:
    """The shop's own settings."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def largest_quantity(self) -> int:
        ask = select(Setting.value).where(Setting.key == "largest_quantity")
        row = await self._session.scalar(ask)  # finding: duplicate-query
        return row or 0

    async def number(self, key: str) -> int:
        return await self._session.scalar(select(Setting.value).where(Setting.key == key)) or 0

    async def allows(self, item: Item) -> bool:
        return item.quantity <= await self.largest_quantity()


async def take_from_stock(session: AsyncSession, items: list[Item]) -> None:
    for item in items:
        taken = Product.stock - item.quantity
        change = update(Product).where(Product.id == item.product_id).values(stock=taken)
        await session.execute(change)  # finding: repeated-query
    await session.commit()


async def count_stock(session: AsyncSession, items: list[Item]) -> None:
    counted = [{"id": item.product_id, "stock": 1000 + item.quantity} for item in items]
    await session.execute(update(Product), counted)
    await session.commit()
