"""An app that has one secret in every place where a recorder could pick it up."""

from __future__ import annotations

import os
from itertools import count
from typing import Annotated

from fastapi import Body, Cookie, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = "S3CR3T-" + "0b5e7a"


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str]


engine = create_async_engine(os.environ["PRIVATE_DATABASE_URL"])
app = FastAPI()
numbers = count(1_000)


class PrivateError(Exception):
    """Carries the secret in its text."""


@app.exception_handler(PrivateError)
async def refused(request: Request, error: PrivateError) -> JSONResponse:
    return JSONResponse({"kind": type(error).__name__}, status_code=500)


@app.post("/notes/{name}")
async def everywhere(
    name: str,
    token: str,
    x_token: Annotated[str, Header()],
    session_token: Annotated[str, Cookie()],
    body: Annotated[dict[str, str], Body()],
) -> dict[str, bool]:
    wanted = [SECRET] * 5
    if [name, token, x_token, session_token, body["token"]] != wanted:
        raise HTTPException(400)
    async with AsyncSession(engine) as session:
        # What rules find: the same question twice, and a text that is another one each time.
        for _ in range(2):
            found = await session.scalar(select(Note).where(Note.words == SECRET))
        literal = await session.scalar(
            text(
                f"SELECT id FROM notes WHERE words = '{SECRET}' AND id <> {next(numbers)}"
                f" /* {SECRET} */ -- {SECRET}"
            )
        )
    return {"found": found is not None and literal is not None}


@app.get("/fails")
async def fails() -> None:
    raise PrivateError(SECRET)
