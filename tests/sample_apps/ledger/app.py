"""The bank."""

from fastapi import FastAPI

from . import accounts, transfers
from .engines import lifespan

app = FastAPI(title="Bank", lifespan=lifespan)
app.include_router(accounts.router)
app.include_router(transfers.router)
