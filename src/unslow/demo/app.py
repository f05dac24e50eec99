"""Blog and leads: a small API with the classic mistakes, each in an endpoint of its own.

| endpoint | function | what is wrong with it |
|---|---|---|
| GET /users/{user_id}/posts | get_user_posts | loads each post's comments alone (sync session) |
| GET /users/{user_id}/feed | get_user_feed | the same with `awaitable_attrs` (async session) |
| GET /customers | list_customers | answers every customer, without a limit |
| GET /posts/export | export_posts | answers 3,000 posts as one list of dicts, encoded in Python |
| GET /orders/{order_id} | get_order | `time.sleep` inside `async def` |
| GET /orders/{order_id}/shipping | get_shipping | `requests` inside `async def` |
| GET /orders/{order_id}/tracking | get_tracking | calls a service without a timeout |
| GET /reports/sales | report_sales | has a pool of two connections |
| GET /leads/{lead_id}/score | score_lead | holds a connection while a service is called |
| GET /leads/{lead_id}/company | get_lead_company | opens an HTTP client for each request |
| GET /health | get_health | nothing |
| GET /users/{user_id} | get_user | nothing: a point read, async ORM |
| GET /users/{user_id}/page | get_user_page | nothing: the same answer as posts and feed, eager |
| GET /customers/{customer_id}/summary | summarize_customer | nothing: an aggregate over an index |
| GET /posts | list_posts | nothing: a page by key, with a limit |
| GET /posts/{post_id} | get_post | nothing: a point read, asyncpg by hand |
| GET /leads/{lead_id} | get_lead | nothing: a point read, sync session |
| POST /leads | create_lead | nothing: one insert |

`planted.py` holds the same table as data.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

from .config import from_environment
from .routers import health, leads, orders, posts, users
from .services import open_services


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens what the endpoints use; the environment is read here, not at import."""
    async with open_services(from_environment()) as services:
        app.state.services = services
        yield


async def add_request_id(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Gives each answer the caller's x-request-id, or a new one."""
    response = await call_next(request)
    response.headers["x-request-id"] = request.headers.get("x-request-id") or uuid.uuid4().hex
    return response


def create_app() -> FastAPI:
    """The app, ready to be served."""
    app = FastAPI(title="Blog and leads", lifespan=lifespan)
    app.middleware("http")(add_request_id)
    for router in (health.router, users.router, posts.router, leads.router, orders.router):
        app.include_router(router)
    return app


app = create_app()
