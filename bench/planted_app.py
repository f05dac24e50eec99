"""The app of `bench.real_power`: each request works as long as the arm that it runs under says."""

from __future__ import annotations

import os
from typing import Final

from fastapi import FastAPI
from sqlalchemy import create_engine, text

from unslow.current import ARM

DATABASE_VARIABLE: Final = "PLANTED_DATABASE_URL"
WORK: Final = 500_000
"""Additions: some ten milliseconds, of which all else is a small part."""


def make_app() -> FastAPI:
    """The app; the address of its database is in the environment."""
    app = FastAPI()
    engine = create_engine(os.environ[DATABASE_VARIABLE])

    @app.get("/work")
    def work() -> int:
        arm = ARM.get()
        # An arm is called by what it costs, in percent of the app as it is.
        share = 1.0 if arm is None else int(arm.name.partition("-")[0]) / 100
        with engine.connect() as connection:
            total = int(connection.execute(text("SELECT 1")).scalar_one())
        for number in range(int(WORK * share)):
            total += number & 1
        return total and 1

    return app
