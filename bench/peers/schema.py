"""The data that all peers serve: `python -m bench.peers.schema URL` makes it in an empty database.

1,000 users; each of the first 100 has 50 posts of 10 comments. All times are whole seconds, so that
no stack has a fraction to write in a way of its own.
"""

from __future__ import annotations

import sys
from typing import Final

import psycopg

USERS: Final = 1_000
USERS_WITH_POSTS: Final = 100
POSTS_EACH: Final = 50
COMMENTS_EACH: Final = 10
POSTS: Final = USERS_WITH_POSTS * POSTS_EACH
COMMENTS: Final = POSTS * COMMENTS_EACH

TABLES: Final = """
CREATE TABLE users (
    id int PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    city text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE posts (
    id int PRIMARY KEY,
    user_id int NOT NULL REFERENCES users,
    title text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE comments (
    id int PRIMARY KEY,
    post_id int NOT NULL REFERENCES posts,
    author text NOT NULL,
    body text NOT NULL
);
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text UNIQUE,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
"""

ROWS: Final = f"""
INSERT INTO users
    SELECT i, 'User ' || i, 'user' || i || '@example.com',
        (ARRAY['Berlin', 'Zürich', 'São Paulo', 'Kraków', 'Osaka'])[1 + i % 5],
        timestamptz '2024-01-01 00:00:00+00' + i * interval '3601 seconds'
    FROM generate_series(1, {USERS}) i;
INSERT INTO posts
    SELECT i, 1 + (i - 1) / {POSTS_EACH}, 'Post ' || i || ': what we found, and what we did',
        timestamptz '2024-03-01 00:00:00+00' + i * interval '601 seconds'
    FROM generate_series(1, {POSTS}) i;
INSERT INTO comments
    SELECT i, 1 + (i - 1) / {COMMENTS_EACH}, 'Author ' || i % 97,
        'Comment ' || i || ': it is "as described", and naïve code is as slow on my machine.'
    FROM generate_series(1, {COMMENTS}) i;
CREATE INDEX ON posts (user_id);
CREATE INDEX ON comments (post_id);
"""


def fill(url: str) -> None:
    """Makes the tables and their rows in a database that has none of them."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute(ROWS.encode())
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    fill(sys.argv[1])
