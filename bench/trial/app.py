"""The app of the trial: under `/faulty` each endpoint has one fault, under `/correct` none.

The last word of a route is the case's name in `cases.py`.
"""

from fastapi import FastAPI

from . import correct, faulty
from .database import lifespan

app = FastAPI(title="Detection trial", lifespan=lifespan)
app.include_router(faulty.router, prefix="/faulty")
app.include_router(correct.router, prefix="/correct")
