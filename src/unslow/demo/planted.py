"""What is wrong with the demo app on purpose, and what is right, as data to compare with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planted:
    """A mistake that stands in one endpoint."""

    method: str
    """The HTTP method of the route."""
    route: str
    """The route's template, such as `/users/{user_id}/posts`."""
    rule: str
    """The id of the rule that should find it."""
    function: str
    """The name of the endpoint's function."""
    line: str
    """How the line begins that a finding should point at."""


PLANTED = (
    Planted(
        "GET",
        "/users/{user_id}/posts",
        "lazy-load-loop",
        "get_user_posts",
        "user = session.get(User, user_id)",
    ),
    Planted(
        "GET",
        "/users/{user_id}/feed",
        "lazy-load-loop",
        "get_user_feed",
        "user = await session.get(User, user_id)",
    ),
    Planted(
        "GET",
        "/customers",
        "unbounded-list",
        "list_customers",
        "return (await session.scalars(select(User)",
    ),
    Planted("GET", "/posts/export", "large-response", "export_posts", "async def export_posts"),
    Planted("GET", "/posts/export", "slow-serialization", "export_posts", "async def export_posts"),
    Planted("GET", "/orders/{order_id}", "blocking-call", "get_order", "time.sleep(SETTLING_S)"),
    Planted(
        "GET",
        "/orders/{order_id}/shipping",
        "blocking-call",
        "get_shipping",
        "answer = services.shipping.get(",
    ),
    Planted(
        "GET",
        "/orders/{order_id}/tracking",
        "missing-timeout",
        "get_tracking",
        "answer = await services.remote.get(",
    ),
    Planted("GET", "/reports/sales", "pool-wait", "report_sales", "rows = await session.execute("),
    Planted(
        "GET",
        "/leads/{lead_id}/score",
        "held-connection",
        "score_lead",
        "lead = await session.get(Lead, lead_id)",
    ),
    Planted(
        "GET",
        "/leads/{lead_id}/company",
        "client-per-request",
        "get_lead_company",
        "answer = await client.get(",
    ),
)

RIGHT = (
    ("GET", "/health"),
    ("GET", "/users/{user_id}"),
    ("GET", "/users/{user_id}/page"),
    ("GET", "/customers/{customer_id}/summary"),
    ("GET", "/posts"),
    ("GET", "/posts/{post_id}"),
    ("GET", "/leads/{lead_id}"),
    ("POST", "/leads"),
)
"""Method and route of the endpoints in which nothing is wrong."""
