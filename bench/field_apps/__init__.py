"""Applications from the package index that nobody here wrote, and what their users ask of them."""

from . import contextforge, fractal_server, phoenix, prefect, tiled
from .app import App

APPS: tuple[App, ...] = (contextforge.APP, fractal_server.APP, phoenix.APP, prefect.APP, tiled.APP)
