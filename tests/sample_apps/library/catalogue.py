"""The catalogue of books: SQLAlchemy Core."""

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from sqlalchemy import Connection, bindparam, text

from .connections import TheEngine

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]
Shelf = Annotated[str, Path(pattern=r"^S\d{1,3}$")]

Rows = list[dict[str, Any]]


def as_dicts(rows: Any) -> Rows:
    return [dict(row) for row in rows.mappings()]


@router.get("/authors/productive")
def productive_authors(engine: TheEngine, limit: Limit = 20) -> Rows:
    most = text("SELECT id, name FROM authors ORDER BY works DESC, id LIMIT :limit")
    with engine.connect() as connection:
        authors = as_dicts(connection.execute(most, {"limit": limit}))
        return [{**author, "books": books_by(connection, author["id"])} for author in authors]


def books_by(connection: Connection, author_id: int) -> int:
    count = text("SELECT count(*) FROM books WHERE author_id = :author_id")
    found = connection.execute(count, {"author_id": author_id})  # finding: repeated-query
    return int(found.scalar_one())


@router.get("/authors/counted")
def counted_authors(engine: TheEngine, limit: Limit = 20) -> Rows:
    counted = text(
        """
        WITH most AS (SELECT id, name FROM authors ORDER BY works DESC, id LIMIT :limit)
        SELECT most.id, most.name, count(*) AS books
        FROM most JOIN books ON books.author_id = most.id GROUP BY most.id, most.name
        """
    )
    with engine.connect() as connection:
        return as_dicts(connection.execute(counted, {"limit": limit}))


@router.get("/shelves/{shelf}/books")
def books_on_shelf(shelf: Shelf, engine: TheEngine) -> Rows:
    query = f"SELECT id, title, pages FROM books WHERE shelf = '{shelf}' ORDER BY id LIMIT 20"
    with engine.connect() as connection:
        return as_dicts(connection.execute(text(query)))  # finding: literal-in-sql


@router.get("/languages/{language}/books")
def books_in_language(language: str, engine: TheEngine, after: int = 0) -> Rows:
    query = text(
        "SELECT id, title, pages FROM books"
        " WHERE language = :language AND id > :after ORDER BY id LIMIT 20"
    )
    with engine.connect() as connection:
        return as_dicts(connection.execute(query, {"language": language, "after": after}))


@router.post("/books/some")
def some_books(ids: list[int], engine: TheEngine) -> Rows:
    query = text("SELECT id, title, pages FROM books WHERE id IN :ids")
    with engine.connect() as connection:
        found = connection.execute(query.bindparams(bindparam("ids", expanding=True)), {"ids": ids})
        return as_dicts(found)


@router.get("/books/{book_id}/trace")
def traced_book(book_id: int, engine: TheEngine) -> dict[str, Any]:
    trace = uuid.uuid4().hex
    query = text(f"SELECT id, title FROM books WHERE id = :book_id /*trace='{trace}'*/")
    with engine.connect() as connection:
        found = connection.execute(query, {"book_id": book_id}).mappings().first()
    if found is None:
        raise HTTPException(404, "No such book")
    return dict(found)


@router.get("/books")
def page_of_books(engine: TheEngine, page: int = 0, size: Limit = 20) -> Rows:
    query = text("SELECT id, title, pages FROM books ORDER BY id LIMIT :size OFFSET :skipped")
    with engine.connect() as connection:
        wanted = {"size": size, "skipped": page * size}
        found = connection.execute(query, wanted)  # finding: deep-offset
        return as_dicts(found)


@router.get("/books/following")
def following_books(engine: TheEngine, after: int = 0, size: Limit = 20) -> Rows:
    query = text("SELECT id, title, pages FROM books WHERE id > :after ORDER BY id LIMIT :size")
    with engine.connect() as connection:
        return as_dicts(connection.execute(query, {"size": size, "after": after}))


@router.get("/shelves/{shelf}/labels")
def labels_of_shelf(shelf: Shelf, engine: TheEngine) -> dict[str, int]:
    """How many labels of each width the books of a shelf need, read in pages."""
    query = text(
        "SELECT title FROM books WHERE shelf = :shelf ORDER BY id LIMIT 50 OFFSET :skipped"
    )
    widths = {"narrow": 0, "wide": 0}
    skipped = 0
    with engine.connect() as connection:
        while titles := connection.scalars(query, {"shelf": shelf, "skipped": skipped}).all():
            for title in titles:
                widths["wide" if title.endswith(("7", "8")) else "narrow"] += 1
            skipped += len(titles)
    return widths


@router.get("/opening-hours")
def opening_hours(engine: TheEngine) -> Rows:
    with engine.connect() as connection:
        return as_dicts(connection.execute(text("SELECT day, opens, closes FROM opening_hours")))


@router.get("/search/titles")
def search_titles(engine: TheEngine, part: str, order: Literal["title", "pages"]) -> Rows:
    query = text(
        f"SELECT id, title, pages FROM books WHERE title LIKE :part ORDER BY {order} LIMIT 20"
    )
    with engine.connect() as connection:
        found = connection.execute(query, {"part": f"%{part}%"})  # finding: slow-statement
        return as_dicts(found)
