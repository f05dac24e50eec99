"""The newspaper's tables and rows."""

from ..filling import rebuild

ARTICLES_COUNT = 3000
AUTHORS_COUNT = 600
SECTIONS = ("politics", "sports", "culture", "science")

SCRIPT = f"""
CREATE TABLE authors (
    id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, city text NOT NULL);
CREATE TABLE articles (
    id int PRIMARY KEY, title text NOT NULL, lead text NOT NULL, section text NOT NULL,
    author_id int NOT NULL, published_at timestamptz NOT NULL, words int NOT NULL);
CREATE TABLE comments (
    id int PRIMARY KEY, article_id int NOT NULL, name text NOT NULL, text text NOT NULL,
    written_at timestamptz NOT NULL);

INSERT INTO authors
SELECT n, 'Author ' || n, 'author' || n || '@news.example', 'City ' || n % 20
FROM generate_series(1, {AUTHORS_COUNT}) n;
INSERT INTO articles
SELECT n, 'What happened on day ' || n,
       'The council spoke for ' || n % 12 || ' hours about it, and nobody agreed in the end.',
       (ARRAY['politics', 'sports', 'culture', 'science'])[1 + n % 4], 1 + n % {AUTHORS_COUNT},
       timestamptz '2025-01-01' + n * interval '2 hours', 200 + n % 900
FROM generate_series(1, {ARTICLES_COUNT}) n;
INSERT INTO comments
SELECT n, 1 + n % 20, 'Reader ' || n % 700, 'I do not think so, and I said so before.',
       timestamptz '2025-06-01' + n * interval '1 minute'
FROM generate_series(1, 8000) n;

CREATE INDEX ON articles (section, id);
CREATE INDEX ON comments (article_id, id);
"""


def prepare(database_url: str) -> None:
    """Makes the schema `newsroom` anew."""
    rebuild(database_url, "newsroom", SCRIPT)
