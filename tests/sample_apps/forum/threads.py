"""Threads and boards."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import asyncpg
import httpx
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse

from .database import SEARCH_PATH, Connection, Pool, ThePool, ThePreviewPool, Translator

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]
Rows = list[dict[str, Any]]


class ThreadStore:
    """Reads threads, over one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def newest(self, limit: int) -> Rows:
        query = "SELECT id, title, author_id FROM threads ORDER BY id DESC LIMIT $1"
        return [dict(row) for row in await self.connection.fetch(query, limit)]

    async def author(self, member_id: int) -> str:
        query = "SELECT name FROM members WHERE id = $1"
        row = await self.connection.fetchrow(query, member_id)  # finding: repeated-query
        return str(row["name"])


@router.get("/threads")
async def newest_threads(pool: ThePool, limit: Limit = 20) -> Rows:
    async with pool.acquire() as connection:
        store = ThreadStore(connection)
        threads = await store.newest(limit)
        for thread in threads:
            thread["author"] = await store.author(thread["author_id"])
    return threads


@router.get("/threads/latest")
async def latest_threads(pool: ThePool, limit: Limit = 20) -> Rows:
    query = """
        SELECT threads.id, title, author_id, members.name AS author
        FROM threads JOIN members ON members.id = author_id ORDER BY threads.id DESC LIMIT $1
    """
    return [dict(row) for row in await pool.fetch(query, limit)]


@router.get("/boards/activity")
async def activity(pool: ThePool, limit: Limit = 20) -> Rows:
    boards = await pool.fetch("SELECT id, name FROM boards ORDER BY id LIMIT $1", limit)
    counted = []
    for board in boards:
        query = "SELECT count(*) FROM threads WHERE board_id = $1"
        threads = await pool.fetchval(query, board["id"])  # finding: repeated-query
        counted.append({"name": board["name"], "threads": threads})
    return counted


@router.get("/boards/figures")
async def figures(pool: ThePool, limit: Limit = 20) -> Rows:
    query = """
        SELECT boards.name, count(threads.id) AS threads
        FROM boards LEFT JOIN threads ON board_id = boards.id
        GROUP BY boards.id, boards.name ORDER BY boards.id LIMIT $1
    """
    return [dict(row) for row in await pool.fetch(query, limit)]


SIDEBAR = """
SELECT posts.id AS post_id, posts.text, watchers.member_id
FROM threads
LEFT JOIN posts ON posts.thread_id = threads.id
LEFT JOIN watchers ON watchers.thread_id = threads.id
WHERE threads.board_id = $1 AND threads.id <= $2
"""


@router.get("/boards/{board_id}/sidebar")
async def sidebar(board_id: int, pool: ThePool, threads: Limit = 5) -> dict[str, Any]:
    """Posts and watchers of a board's first threads."""
    rows = await pool.fetch(SIDEBAR, board_id, threads * 60)  # finding: cartesian-join
    posts = {row["post_id"]: row["text"] for row in rows}
    return {"posts": posts, "watchers": sorted({row["member_id"] for row in rows})}


@router.get("/boards/{board_id}/margin")
async def margin(board_id: int, pool: ThePool, threads: Limit = 5) -> dict[str, Any]:
    posts = await pool.fetch(
        "SELECT posts.id, posts.text FROM threads JOIN posts ON posts.thread_id = threads.id"
        " WHERE threads.board_id = $1 AND threads.id <= $2",
        board_id,
        threads * 60,
    )
    watchers = await pool.fetch(
        "SELECT DISTINCT member_id FROM threads JOIN watchers ON thread_id = threads.id"
        " WHERE threads.board_id = $1 AND threads.id <= $2",
        board_id,
        threads * 60,
    )
    return {
        "posts": {row["id"]: row["text"] for row in posts},
        "watchers": sorted(row["member_id"] for row in watchers),
    }


@router.get("/threads/{thread_id}/preview")
async def preview(thread_id: int, pool: ThePreviewPool) -> dict[str, Any]:
    async with pool.acquire() as connection:  # finding: pool-wait
        return await first_posts(connection, thread_id)


@router.get("/threads/{thread_id}/glance")
async def glance(thread_id: int, pool: ThePool) -> dict[str, Any]:
    async with pool.acquire() as connection:
        return await first_posts(connection, thread_id)


async def first_posts(connection: Connection, thread_id: int) -> dict[str, Any]:
    query = "SELECT id, author_id, text FROM posts WHERE thread_id = $1 ORDER BY id LIMIT 10"
    posts = [dict(row) for row in await connection.fetch(query, thread_id)]
    standing = await connection.fetchval("SELECT standing($1)", posts[0]["author_id"])
    warmth = await connection.fetchval("SELECT warmth($1)", thread_id)
    return {"posts": posts, "standing": standing, "warmth": warmth}


async def title_of(connection: Connection, thread_id: int) -> str:
    title = await connection.fetchval("SELECT title FROM threads WHERE id = $1", thread_id)
    if title is None:
        raise HTTPException(404, "No such thread")
    return str(title)


async def translation(translator: httpx.AsyncClient, title: str) -> int:
    answer = await translator.post(
        "/translations", json={"text": title}
    )  # touched: held-connection
    return int(answer.json()["value"])


@router.get("/threads/{thread_id}/translated")
async def translated(thread_id: int, pool: ThePool, translator: Translator) -> dict[str, Any]:
    async with pool.acquire() as connection:  # finding: held-connection
        title = await title_of(connection, thread_id)
        return {"title": title, "translation": await translation(translator, title)}


@router.get("/threads/{thread_id}/meaning")
async def meaning(thread_id: int, pool: ThePool, translator: Translator) -> dict[str, Any]:
    async with pool.acquire() as connection:
        title = await title_of(connection, thread_id)
    return {"title": title, "translation": await translation(translator, title)}


@router.get("/threads/{thread_id}/print")
async def printable(thread_id: int, request: Request) -> dict[str, Any]:
    connection = await asyncpg.connect(
        request.app.state.database_url, server_settings=SEARCH_PATH
    )  # finding: connection-per-request
    try:
        return {"title": await title_of(connection, thread_id)}
    finally:
        await connection.close()


@router.get("/boards/{board_id}/export")
async def export(board_id: int, pool: ThePool) -> StreamingResponse:
    return StreamingResponse(lines_of_board(pool, board_id), media_type="text/csv")


async def lines_of_board(pool: Pool, board_id: int) -> AsyncIterator[str]:
    query = (
        "SELECT posts.id, posts.author_id, posts.text FROM threads"
        " JOIN posts ON posts.thread_id = threads.id WHERE board_id = $1"
    )
    async with pool.acquire() as connection, connection.transaction():
        lines = []
        async for row in connection.cursor(query, board_id, prefetch=100):
            lines.append(f"{row['id']},{row['author_id']},{row['text']}\n")
            if len(lines) == 100:
                yield "".join(lines)
                lines.clear()
        yield "".join(lines)


@router.get("/boards/{board_id}/dump")
async def dump(
    board_id: int, pool: ThePool
) -> Response:  # finding: large-response, uncompressed-response
    document = await pool.fetchval("SELECT document FROM dumps WHERE board_id = $1", board_id)
    return Response(document, media_type="application/json")
