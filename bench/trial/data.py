"""Makes the tables of the trial in an empty database and fills them, the same each time.

Neighbouring posts are of different users, so that a page of posts has as many users as posts.
"""

from typing import Final

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from .models import Base

TEAMS_COUNT: Final = 12
USERS_COUNT: Final = 1200
POSTS_COUNT: Final = 3600
TAGS_COUNT: Final = 3600

_FILL: Final = (
    f"""
    INSERT INTO teams (name)
    SELECT 'Team ' || i FROM generate_series(1, {TEAMS_COUNT}) AS i ORDER BY i
    """,
    f"""
    INSERT INTO users (team_id, name, email, biography)
    SELECT 1 + (i - 1) * {TEAMS_COUNT} / {USERS_COUNT}, 'User ' || i, 'user' || i || '@example.com',
           repeat('Grew up by the sea, moved inland, and has written ever since. ', 30)
    FROM generate_series(1, {USERS_COUNT}) AS i ORDER BY i
    """,
    f"""
    INSERT INTO posts (user_id, title, summary, status, words, created_at)
    SELECT 1 + (i - 1) % {USERS_COUNT},
           (ARRAY['Notes on', 'A year of', 'Against', 'In praise of'])[1 + i % 4] || ' '
           || (ARRAY['trains', 'bread', 'clocks', 'maps', 'radio'])[1 + i % 5] || ', part ' || i,
           'We tried the obvious thing first, and it was slower than before.',
           CASE WHEN i % 3 = 0 THEN 'draft' ELSE 'published' END, 200 + i * 37 % 1800,
           timestamptz '2024-01-01 00:00:00+00' + i * interval '15 minutes'
    FROM generate_series(1, {POSTS_COUNT}) AS i ORDER BY i
    """,
    f"""
    INSERT INTO tags (user_id, name)
    SELECT 1 + (i - 1) % {USERS_COUNT}, 'tag ' || i % 40
    FROM generate_series(1, {TAGS_COUNT}) AS i ORDER BY i
    """,
)


def fill(url: str) -> None:
    """Makes and fills the tables of the database at `postgresql://...`."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        for statement in _FILL:
            connection.execute(text(statement))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # VACUUM too, so that no autovacuum starts while requests are served.
        connection.execute(text("VACUUM (ANALYZE) teams, users, posts, tags"))
