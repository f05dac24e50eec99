"""Lists of articles, in the forms that different readers want."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel
from sqlalchemy import Connection, text

from .store import Pool, SyncConnection, TheIndex, ThePool

router = APIRouter()
Many = Annotated[int, Query(ge=1, le=350)]
Whole = Annotated[int, Query(ge=1, le=600)]

NEWEST = """
SELECT id, title, lead, section, author_id, published_at, words
FROM articles ORDER BY id DESC LIMIT $1
"""


class ArticleOut(BaseModel):
    id: int
    title: str
    lead: str
    section: str
    author_id: int
    published_at: datetime
    words: int


class IndexLine(BaseModel):
    number: int
    section: str
    volume: int
    headline: str
    keywords: list[str]


async def newest(pool: Pool, limit: int) -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch(NEWEST, limit)]


@router.get("/articles/feed", response_model=None)
async def feed(
    pool: ThePool, limit: Many = 200
) -> list[dict[str, Any]]:  # finding: slow-serialization
    return await newest(pool, limit)


@router.get("/articles/wire", response_model=list[ArticleOut])
async def wire(pool: ThePool, limit: Many = 200) -> list[dict[str, Any]]:
    return await newest(pool, limit)


@router.get("/articles/ticker")
async def ticker(pool: ThePool, limit: Many = 200) -> Response:
    return Response(orjson.dumps(await newest(pool, limit)), media_type="application/json")


@router.get("/articles/brief", response_model=None)
async def brief(pool: ThePool, limit: Annotated[int, Query(ge=1, le=12)] = 8) -> dict[str, Any]:
    return {"articles": await newest(pool, limit)}


@router.get("/articles/raw")
async def raw(pool: ThePool, limit: Annotated[int, Query(ge=1, le=120)] = 60) -> Response:
    query = f"SELECT json_agg(newest)::text FROM ({NEWEST}) AS newest"
    return Response(await pool.fetchval(query, limit), media_type="application/json")


SECTION = text(
    """
    SELECT id, title, lead, section, author_id, published_at, words
    FROM newsroom.articles WHERE section = :section ORDER BY id DESC LIMIT :limit
    """
)


def articles_in(connection: Connection, section: str, limit: int) -> Sequence[Any]:
    return connection.execute(SECTION, {"section": section, "limit": limit}).mappings().all()


@router.get("/articles/{section}/mirror")
def mirror(
    section: str, connection: SyncConnection, limit: Many = 200
) -> JSONResponse:  # finding: slow-serialization
    articles = [ArticleOut(**row) for row in articles_in(connection, section, limit)]
    return JSONResponse(jsonable_encoder(articles))


@router.get("/sections/{section}", response_model=list[ArticleOut])
def show_section(
    section: str, connection: SyncConnection, limit: Whole = 500
) -> Sequence[Any]:  # finding: uncompressed-response
    return articles_in(connection, section, limit)


@router.get("/sections/{section}/plain", response_model=list[ArticleOut])
def show_section_plainly(
    section: str, connection: SyncConnection, limit: Whole = 500
) -> Sequence[Any]:
    """For the printing machine, which cannot unpack anything."""
    return articles_in(connection, section, limit)


@router.get("/index/{section}", response_model=list[IndexLine])
def show_index(
    section: str, index: TheIndex
) -> list[dict[str, Any]]:  # finding: large-response, uncompressed-response
    return index[section]


@router.get("/index/{section}/lines")
async def stream_index(section: str, index: TheIndex) -> StreamingResponse:
    return StreamingResponse(lines_of(index[section]), media_type="text/csv")


async def lines_of(index: list[dict[str, Any]]) -> AsyncIterator[str]:
    for start in range(0, len(index), 500):
        part = index[start : start + 500]
        yield "".join(f"{line['number']},{line['volume']},{line['headline']}\n" for line in part)
