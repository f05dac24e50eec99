"""The app: what it opens, and its routes in the order in which they are matched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import prometheus_client
from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.responses import JSONResponse, Response

from unslow.fast import bare, health, metrics
from unslow.fast.errors import OverloadedError, PoolTimeoutError

from . import exports, intake, reports
from .database import db
from .schemas import Month, Number, OrderIn, OrderOut, Score, Spending
from .scoring import opened_client, score_of
from .security import signed_in
from .views import comments, feeds, leads, orders, post_list, posts, users

NOT_PUBLIC = [Depends(signed_in)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens what the routes use, and closes it in the reverse order."""
    async with db, intake.new_leads, intake.events, opened_client(app):
        yield
        await reports.sales.drain()


app = FastAPI(title="Blog", lifespan=lifespan)


@app.exception_handler(OverloadedError)
@app.exception_handler(PoolTimeoutError)
async def too_busy(_request: Request, _error: Exception) -> Response:
    """Answers 503 where too much waits already, instead of letting it wait longer."""
    return JSONResponse({"detail": "Too busy"}, 503, headers={"Retry-After": "1"})


# Users and what they wrote.
users.route(app, "/users/{user_id}", tags=["users"])
feeds.route(app, "/users/{user_id}/posts", tags=["users"], name="read_posts")
feeds.route(app, "/users/{user_id}/feed", tags=["users"], name="read_feed", fields=True)

# Posts. The export stands first, for "export" is no key.
app.get("/posts/export", tags=["posts"])(exports.posts_as_json)
posts.route(app, "/posts/{post_id}", tags=["posts"])
post_list.list_route(app, "/posts", tags=["posts"], fields=True)
comments.list_route(app, "/comments", tags=["posts"])

# Customers and what they bought.
users.list_route(app, "/customers", tags=["customers"], fields=True)
orders.route(app, "/orders/{order_id}", tags=["customers"])


@app.get("/customers/{customer_id}/summary", tags=["customers"])
async def read_summary(customer_id: Number) -> Spending:
    """What a customer bought in all."""
    return await reports.spending(customer_id)


@app.get("/reports/sales", tags=["customers"])
async def read_sales() -> list[Month]:
    """Orders and turnover by month."""
    return await reports.sales()


@app.post("/orders", tags=["customers"], status_code=201, dependencies=NOT_PUBLIC)
async def add_order(order: OrderIn) -> OrderOut:
    """Stores an order; the next report has it."""
    stored = await intake.add_order(order)
    if stored is None:
        raise HTTPException(404, "There is no such user")
    return stored


# Leads and the webhook.
intake.new_leads.route(app, "/leads", tags=["leads"])
leads.list_route(app, "/leads", tags=["leads"], dependencies=NOT_PUBLIC)
leads.route(app, "/leads/{lead_id}", tags=["leads"], dependencies=NOT_PUBLIC)
intake.events.route(app, "/webhook", tags=["leads"])


@app.get("/leads/{lead_id}/score", tags=["leads"], dependencies=NOT_PUBLIC)
async def read_score(lead_id: Number, request: Request) -> Score:
    """How promising a lead is; while the service is asked, no connection is held."""
    lead = await leads.get(lead_id)
    if lead is None:
        raise HTTPException(404, "There is no such lead")
    return Score(lead_id=lead_id, company=lead.company, score=await score_of(lead_id, request))


# For other systems.
app.get("/exports/posts.ndjson", tags=["exports"])(exports.posts_as_ndjson)
app.get("/exports/orders.csv", tags=["exports"], dependencies=NOT_PUBLIC)(exports.orders_as_csv)
app.router.routes.append(health(db))
metrics(db)


@app.get("/metrics", include_in_schema=False)
async def read_metrics() -> Response:
    """The state of the pool and of the process, for Prometheus."""
    content_type = prometheus_client.CONTENT_TYPE_LATEST
    return Response(prometheus_client.generate_latest(), media_type=content_type)


# Served in place of the app: answers the views' routes without the framework's work for each, and
# spares all requests the whole collections of what was loaded at the start.
application = bare(app, freeze=True)
