"""Posts, and looking for them."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from .database import ThePool

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]
Rows = list[dict[str, Any]]


class NewPost(BaseModel):
    thread_id: int
    author_id: int
    text: str


@router.get("/posts")
async def page_of_posts(pool: ThePool, page: int = 1, size: Limit = 25) -> Rows:
    offset = (page - 1) * size
    query = "SELECT id, author_id, text FROM posts ORDER BY id LIMIT $1 OFFSET $2"
    rows = await pool.fetch(query, size, offset)  # finding: deep-offset
    return [dict(row) for row in rows]


@router.get("/posts/front")
async def front_posts(
    pool: ThePool, page: Annotated[int, Query(ge=1, le=4)] = 1, size: Limit = 25
) -> Rows:
    query = "SELECT id, author_id, text FROM posts ORDER BY id DESC LIMIT $1 OFFSET $2"
    return [dict(row) for row in await pool.fetch(query, size, (page - 1) * size)]


@router.get("/posts/after")
async def posts_after(pool: ThePool, last: int = 0, size: Limit = 25) -> Rows:
    query = "SELECT id, author_id, text FROM posts WHERE id > $1 ORDER BY id LIMIT $2"
    return [dict(row) for row in await pool.fetch(query, last, size)]


@router.get("/authors/{author_id}/posts")
async def posts_by_author(author_id: int, pool: ThePool) -> Rows:
    condition = f"author_id = {author_id}"
    rows = await pool.fetch(
        f"SELECT id, text FROM posts WHERE {condition} LIMIT 20"
    )  # finding: literal-in-sql
    return [dict(row) for row in rows]


@router.get("/authors/{author_id}/threads")
async def threads_by_author(author_id: int, pool: ThePool) -> Rows:
    query = "SELECT id, title FROM threads WHERE author_id = $1 LIMIT 20"
    return [dict(row) for row in await pool.fetch(query, author_id)]


@router.get("/trending")
async def trending(pool: ThePool, since: datetime, word: str) -> Rows:
    query = """
        SELECT substring(text FROM '[a-f]+[0-9]+') AS word, count(DISTINCT author_id) AS authors
        FROM posts WHERE written_at > $1 AND text ~ $2
        GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20
    """
    return [dict(row) for row in await pool.fetch(query, since, word)]  # finding: slow-statement


@router.post("/posts", status_code=201)
async def write_post(new: NewPost, pool: ThePool) -> dict[str, int]:
    post_id: int = await pool.fetchval(
        "INSERT INTO posts (thread_id, author_id, text, written_at)"
        " VALUES ($1, $2, $3, now()) RETURNING id",
        new.thread_id,
        new.author_id,
        new.text,
    )
    return {"id": post_id}


@router.post("/posts/several", status_code=201)
async def write_posts(several: list[NewPost], pool: ThePool) -> dict[str, int]:
    async with pool.acquire() as connection:
        await connection.executemany(
            "INSERT INTO posts (thread_id, author_id, text, written_at) VALUES ($1, $2, $3, now())",
            [(new.thread_id, new.author_id, new.text) for new in several],
        )
    return {"written": len(several)}


def closest(title: str, others: Rows, count: int = 10) -> Rows:
    """The titles that the fewest changes of a letter lead to."""
    ranked = []
    for other in others:
        before = list(range(len(other["title"]) + 1))
        for row, letter in enumerate(title, start=1):
            now = [row]
            for column, wanted in enumerate(other["title"]):
                swapped = before[column] + (letter != wanted)  # finding: long-step
                now.append(min(swapped, now[-1] + 1, before[column + 1] + 1))
            before = now
        ranked.append((before[-1], other["id"], other))
    return [other for _, _, other in sorted(ranked, key=lambda each: each[:2])[:count]]


async def titles(pool: ThePool, limit: int) -> Rows:
    query = "SELECT id, title FROM threads ORDER BY id DESC LIMIT $1"
    return [dict(row) for row in await pool.fetch(query, limit)]


@router.get("/similar")
async def similar(title: str, pool: ThePool) -> Rows:
    return closest(title, await titles(pool, 500))


@router.get("/similar/newest")
async def similar_newest(title: str, pool: ThePool) -> Rows:
    return closest(title, await titles(pool, 25))


@router.get("/similar/gentle")
async def similar_gentle(title: str, pool: ThePool) -> Rows:
    """Among many, in steps that let others in between."""
    found: Rows = []
    known = await titles(pool, 500)
    for start in range(0, len(known), 20):
        found = closest(title, found + known[start : start + 20])
        await asyncio.sleep(0)
    return found


@router.get("/similar/beside")
async def similar_beside(title: str, pool: ThePool) -> Rows:
    return await asyncio.to_thread(closest, title, await titles(pool, 500))
