"""The carrier."""

from fastapi import FastAPI

from . import depots, office, parcels
from .opened import lifespan

app = FastAPI(title="Carrier", lifespan=lifespan)
app.include_router(parcels.router)
app.include_router(depots.router)
app.include_router(office.router)
