"""What is wrong with the shop's endpoints."""

from ..truth import Planted

ORDERS = "services/orders.py"
PRICES = "services/prices.py"

PLANTED = (
    Planted(
        "GET /orders", "lazy-load-loop", ORDERS, "recent_orders", touched=(ORDERS, "summary_of")
    ),
    Planted(
        "POST /orders/{order_id}/confirm",
        "side-effect-in-request",
        "routers/orders.py",
        "tell_warehouse",
    ),
    Planted("GET /products/gallery", "cartesian-join", "routers/products.py", "show_gallery"),
    Planted(
        "GET /products/{product_id}/related",
        "unused-relationship",
        "routers/products.py",
        "list_related",
    ),
    Planted("GET /customers/top", "repeated-query", "repositories.py", "CustomerRepository.by_id"),
    Planted("GET /me", "side-effect-in-request", "services/accounts.py", "note_visit"),
    Planted("GET /me/offers", "duplicate-query", "services/accounts.py", "customer_of"),
    Planted("POST /cart/price", "repeated-query", PRICES, "PriceList.price_of"),
    Planted("POST /cart/check", "duplicate-query", PRICES, "Rules.largest_quantity"),
    Planted("POST /cart/reserve", "repeated-query", PRICES, "take_from_stock"),
)

ARGUABLE = (
    # The loop is one over items, but every turn of it asks for the same value.
    ("POST /cart/check", "repeated-query"),
)

INNOCENT = (
    "GET /orders/detailed",
    "GET /orders/{order_id}",
    "GET /orders/{order_id}/parties",
    "POST /orders",
    "GET /categories",
    "GET /products",
    "GET /products/album",
    "GET /products/showcase",
    "GET /products/{product_id}/card",
    "GET /customers/leading",
    "GET /customers/{customer_id}",
    "PATCH /customers/{customer_id}",
    "GET /me/orders",
    "POST /cart/quote",
    "POST /cart/shipping",
    "POST /cart/restock",
)
