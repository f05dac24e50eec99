"""Authors and commenters."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, TypeAdapter
from sqlalchemy import select

from .store import Author, Database, Pool, ThePool

router = APIRouter()
Many = Annotated[int, Query(ge=1, le=500)]

COMMENTS = """
SELECT id, article_id, name, text, written_at FROM comments
WHERE article_id = $1 ORDER BY id LIMIT $2
"""


class AuthorOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    email: str
    city: str


class CommentOut(BaseModel):
    id: int
    article_id: int
    name: str
    text: str
    written_at: datetime


class PublicComment(BaseModel):
    id: int
    name: str
    text: str
    written_at: datetime


comment_list = TypeAdapter(list[CommentOut])


@router.get("/authors", response_model=list[AuthorOut])
async def list_authors(
    session: Database, limit: Many = 200
) -> Sequence[Author]:  # finding: entity-response
    authors = await session.scalars(select(Author).order_by(Author.name).limit(limit))
    return authors.all()


@router.get("/authors/rows", response_model=list[AuthorOut])
async def list_author_rows(session: Database, limit: Many = 200) -> Sequence[Any]:
    columns = select(Author.id, Author.name, Author.email, Author.city)
    return (await session.execute(columns.order_by(Author.name).limit(limit))).all()


@router.get("/authors/{author_id}", response_model=AuthorOut)
async def show_author(author_id: int, session: Database) -> Author:
    author = await session.get(Author, author_id)
    if author is None:
        raise HTTPException(404, "No such author")
    return author


async def comments_on(pool: Pool, article_id: int, limit: int) -> list[CommentOut]:
    return [CommentOut(**row) for row in await pool.fetch(COMMENTS, article_id, limit)]


@router.get("/articles/{article_id}/comments", response_model=list[PublicComment])
async def list_comments(
    article_id: int, pool: ThePool, limit: Many = 200
) -> list[CommentOut]:  # finding: double-validation
    return await comments_on(pool, article_id, limit)


@router.get("/articles/{article_id}/comments/document")
async def comments_document(article_id: int, pool: ThePool, limit: Many = 200) -> Response:
    comments = await comments_on(pool, article_id, limit)
    return Response(comment_list.dump_json(comments), media_type="application/json")


@router.get("/articles/{article_id}/comments/first")
async def first_comments(
    article_id: int, pool: ThePool, limit: Annotated[int, Query(ge=1, le=20)] = 10
) -> list[CommentOut]:
    return await comments_on(pool, article_id, limit)


@router.get("/articles/{article_id}/comments/rows", response_model=list[CommentOut])
async def comment_rows(article_id: int, pool: ThePool, limit: Many = 200) -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch(COMMENTS, article_id, limit)]
