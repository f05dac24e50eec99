"""The cart, before it becomes an order."""

from fastapi import APIRouter

from ..schemas import Cart, Checked, Price
from ..services.prices import PriceList, Rules, count_stock, take_from_stock
from ..wiring import Database

router = APIRouter(prefix="/cart")


@router.post("/price")
async def price_cart(cart: Cart, session: Database) -> Price:
    return Price(total_cents=await PriceList(session).total(cart.items))


@router.post("/quote")
async def quote_cart(cart: Cart, session: Database) -> Price:
    prices = await PriceList(session).prices_of([item.product_id for item in cart.items])
    return Price(total_cents=sum(prices[item.product_id] * item.quantity for item in cart.items))


@router.post("/check")
async def check_cart(cart: Cart, session: Database) -> Checked:
    rules = Rules(session)
    refused = [item.product_id for item in cart.items if not await rules.allows(item)]
    return Checked(refused=refused)


@router.post("/shipping")
async def price_shipping(cart: Cart, session: Database) -> Price:
    rules = Rules(session)
    free_from_cents = await rules.number("free_from_cents")
    flat_cents = await rules.number("flat_cents")
    prices = await PriceList(session).prices_of([item.product_id for item in cart.items])
    return Price(total_cents=0 if sum(prices.values()) >= free_from_cents else flat_cents)


@router.post("/reserve")
async def reserve_cart(cart: Cart, session: Database) -> dict[str, int]:
    await take_from_stock(session, cart.items)
    return {"reserved": len(cart.items)}


@router.post("/restock")
async def restock(cart: Cart, session: Database) -> dict[str, int]:
    await count_stock(session, cart.items)
    return {"counted": len(cart.items)}
