"""The gallery."""

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from . import exhibits, works
from .collection import lifespan

app = FastAPI(title="Gallery", lifespan=lifespan)
app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=2)
app.include_router(works.router)
app.include_router(exhibits.router)
