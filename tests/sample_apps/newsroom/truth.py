"""What is wrong with the newspaper's endpoints."""

from ..truth import Planted

PLANTED = (
    Planted("GET /articles/feed", "slow-serialization", "articles.py", "feed"),
    Planted("GET /articles/{section}/mirror", "slow-serialization", "articles.py", "mirror"),
    Planted("GET /sections/{section}", "uncompressed-response", "articles.py", "show_section"),
    Planted("GET /index/{section}", "large-response", "articles.py", "show_index"),
    Planted("GET /index/{section}", "uncompressed-response", "articles.py", "show_index"),
    Planted("GET /authors", "entity-response", "people.py", "list_authors"),
    Planted(
        "GET /articles/{article_id}/comments", "double-validation", "people.py", "list_comments"
    ),
    Planted("GET /front", "repeatable-response", "front.py", "show_front"),
    Planted("GET /sitemap.txt", "repeatable-response", "front.py", "show_sitemap"),
)

ARGUABLE: tuple[tuple[str, str], ...] = ()

INNOCENT = (
    "GET /articles/wire",
    "GET /articles/ticker",
    "GET /articles/brief",
    "GET /articles/raw",
    "GET /sections/{section}/plain",
    "GET /index/{section}/lines",
    "GET /authors/rows",
    "GET /authors/{author_id}",
    "GET /articles/{article_id}/comments/document",
    "GET /articles/{article_id}/comments/first",
    "GET /articles/{article_id}/comments/rows",
    "GET /front/public",
    "GET /front/tagged",
    "GET /front/mine",
    "GET /front/since",
    "GET /front/now",
    "GET /status",
)
