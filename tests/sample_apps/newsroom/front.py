"""The front page, which takes some work."""

import hashlib
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy import Connection, text

from .store import SyncConnection

router = APIRouter()

TITLES = text("SELECT title, words FROM newsroom.articles WHERE id > :least ORDER BY id LIMIT 900")
BUSY = text(
    """
    SELECT articles.id, title, count(*) AS comments FROM newsroom.articles
    JOIN newsroom.comments ON article_id = articles.id
    WHERE articles.id < 40 GROUP BY articles.id, title ORDER BY 3 DESC, 1 LIMIT 10
    """
)
SECTIONS = text("SELECT section, count(*) AS articles FROM newsroom.articles GROUP BY section")
CITIES = text("SELECT city, count(*) AS authors FROM newsroom.authors GROUP BY city")


def rows_of(connection: Connection, statement: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement).mappings()]


def words_in_titles(connection: Connection, least: int = 2000) -> list[tuple[str, int]]:
    """What the titles speak of most."""
    words: Counter[str] = Counter()
    for title, length in connection.execute(TITLES, {"least": least}):
        for word in title.lower().split():
            words[word] += length
    return words.most_common(20)


def front_page(connection: Connection) -> dict[str, Any]:
    """All parts of the front page."""
    return {
        "busy": rows_of(connection, BUSY),
        "sections": rows_of(connection, SECTIONS),
        "cities": rows_of(connection, CITIES),
        "words": words_in_titles(connection),
    }


@router.get("/front")
def show_front(connection: SyncConnection) -> dict[str, Any]:  # finding: repeatable-response
    return front_page(connection)


@router.get("/front/public")
def show_public_front(connection: SyncConnection, response: Response) -> dict[str, Any]:
    response.headers["cache-control"] = "public, max-age=60"
    return front_page(connection)


@router.get("/front/tagged")
def show_tagged_front(connection: SyncConnection, response: Response) -> dict[str, Any]:
    page = front_page(connection)
    response.headers["etag"] = f'"{hashlib.sha256(repr(page).encode()).hexdigest()[:16]}"'
    return page


@router.get("/front/mine")
def show_my_front(
    connection: SyncConnection, reader: Annotated[str, Header(alias="x-reader")]
) -> dict[str, Any]:
    return {"reader": reader, **front_page(connection)}


@router.get("/front/since")
def show_front_since(connection: SyncConnection, least: int) -> dict[str, Any]:
    return {
        "busy": rows_of(connection, BUSY),
        "sections": rows_of(connection, SECTIONS),
        "words": words_in_titles(connection, least),
    }


@router.get("/front/now")
def show_front_now(connection: SyncConnection) -> dict[str, Any]:
    """With how long ago each of the busy articles was looked at: never the same twice."""
    now = datetime.now(UTC)
    page = front_page(connection)
    for place, article in enumerate(page["busy"]):
        article["age_us"] = now.microsecond + place
    return page


@router.get("/status")
def show_status() -> dict[str, str]:
    return {"status": "up"}


@router.get("/sitemap.txt")
def show_sitemap(connection: SyncConnection) -> PlainTextResponse:  # finding: repeatable-response
    newest = text("SELECT id, section, title FROM newsroom.articles ORDER BY id DESC LIMIT 1200")
    lines = []
    for number, section, title in connection.execute(newest):
        slug = "-".join(
            "".join(each for each in title.lower() if each.isalnum() or each == " ").split()
        )
        lines.append(f"https://news.example/{section}/{number}/{slug}")
    return PlainTextResponse("\n".join(lines))
