"""The shop."""

from fastapi import FastAPI

from .routers import cart, customers, orders, products
from .wiring import lifespan

app = FastAPI(title="Shop", lifespan=lifespan)
for module in (orders, products, customers, cart):
    app.include_router(module.router)
