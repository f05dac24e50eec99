"""The library."""

from fastapi import FastAPI

from . import catalogue, lending, members
from .connections import lifespan

app = FastAPI(title="Library", lifespan=lifespan)
app.include_router(catalogue.router)
app.include_router(lending.router)
app.include_router(members.router)
