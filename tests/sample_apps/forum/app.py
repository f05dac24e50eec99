"""The forum."""

from fastapi import FastAPI

from . import people, posts, threads
from .database import lifespan

app = FastAPI(title="Forum", lifespan=lifespan)
app.include_router(threads.router)
app.include_router(posts.router)
app.include_router(people.router)
