"""The clinic."""

from fastapi import FastAPI

from . import appointments, house, patients, visits
from .db import lifespan

app = FastAPI(title="Clinic", lifespan=lifespan)
app.include_router(appointments.router)
app.include_router(patients.router)
app.include_router(visits.router)
app.include_router(house.router)
