"""The newspaper."""

from fastapi import FastAPI

from . import articles, front, people
from .store import lifespan

app = FastAPI(title="Newspaper", lifespan=lifespan)
app.include_router(articles.router)
app.include_router(people.router)
app.include_router(front.router)
