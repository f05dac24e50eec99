"""What the shop is asked for."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from ..call import COMPRESSING, Call, calls, spread
from .data import CUSTOMERS_COUNT, ORDERS_COUNT, PRODUCTS_COUNT

SIZES = (10, 20, 40)
SHOWN = (2, 3, 4)
CUSTOMERS = spread(1, CUSTOMERS_COUNT)
ORDERS = spread(1, ORDERS_COUNT)
PRODUCTS = spread(1, PRODUCTS_COUNT - 60)


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_orders(), _products(), _customers(), _mine(), _carts()))


def _orders() -> Iterator[Call]:
    yield from calls("GET /orders", query="limit={limit}", limit=SIZES)
    yield from calls("GET /orders/detailed", query="limit={limit}", limit=SIZES)
    yield from calls("GET /orders/{order_id}", order_id=ORDERS)
    yield from calls("GET /orders/{order_id}/parties", order_id=ORDERS)
    yield from calls("POST /orders", body=_new_order, status=201)
    yield from calls("POST /orders/{order_id}/confirm", order_id=ORDERS)


def _products() -> Iterator[Call]:
    yield from calls("GET /categories")
    yield from calls(
        "GET /products", query="limit={limit}&page={page}", limit=SIZES, page=(0, 1, 2, 3)
    )
    for route in ("GET /products/gallery", "GET /products/album", "GET /products/showcase"):
        yield from calls(route, query="start={start}&limit={limit}", start=PRODUCTS, limit=SHOWN)
    yield from calls(
        "GET /products/{product_id}/related",
        query="limit={limit}",
        product_id=PRODUCTS,
        limit=SIZES,
    )
    yield from calls(
        "GET /products/{product_id}/card",
        query="reviews={reviews}",
        product_id=PRODUCTS,
        reviews=("true", "false"),
    )


def _customers() -> Iterator[Call]:
    yield from calls("GET /customers/top", query="limit={limit}", limit=SIZES)
    yield from calls("GET /customers/leading", query="limit={limit}", limit=SIZES)
    yield from calls("GET /customers/{customer_id}", customer_id=CUSTOMERS)
    yield from calls(
        "PATCH /customers/{customer_id}",
        customer_id=CUSTOMERS,
        body=lambda number: {"name": f"Renamed {number}"},
    )


def _mine() -> Iterator[Call]:
    for customer_id in CUSTOMERS:
        headers = (*COMPRESSING, ("x-token", f"token-{customer_id}"))
        for route in ("GET /me", "GET /me/offers", "GET /me/orders"):
            yield from calls(route, 1, headers=headers)


def _carts() -> Iterator[Call]:
    for name in ("price", "quote", "check", "shipping", "reserve", "restock"):
        yield from calls(f"POST /cart/{name}", body=_cart)


def _cart(number: int) -> dict[str, Any]:
    items_count = (5, 10, 20, 30)[number % 4]
    return {
        "items": [
            {"product_id": 1 + (number * 31 + each * 7) % PRODUCTS_COUNT, "quantity": 1 + each % 3}
            for each in range(items_count)
        ]
    }


def _new_order(number: int) -> dict[str, Any]:
    return {"customer_id": 1 + number, "address_id": 1 + number, **_cart(number)}
