"""Makes the tables, and some rows to look at: the same in every run."""

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from .models import Base

ROWS = (
    """
    INSERT INTO users (name, email, city, created_at)
    SELECT 'User ' || i, 'user' || i || '@example.com',
           (ARRAY['Lima', 'Oslo', 'Accra', 'Hanoi'])[1 + i % 4],
           timestamptz '2025-01-01 00:00:00+00' + i * interval '1 day'
      FROM generate_series(1, 40) AS i
    """,
    """
    INSERT INTO posts (user_id, title, body, created_at)
    SELECT 1 + i % 40, 'Letter ' || i, 'What happened on day ' || i || ', and what came of it.',
           timestamptz '2025-03-01 00:00:00+00' + i * interval '3 hours'
      FROM generate_series(1, 800) AS i
    """,
    """
    INSERT INTO comments (post_id, user_id, body, created_at)
    SELECT 1 + i % 800, 1 + i * 7 % 40, 'Remark ' || i,
           timestamptz '2025-03-02 00:00:00+00' + i * interval '20 minutes'
      FROM generate_series(1, 4000) AS i
    """,
    """
    INSERT INTO leads (email, company, source, message, created_at)
    SELECT 'lead' || i || '@example.org', 'Company ' || i % 30,
           (ARRAY['website', 'fair'])[1 + i % 2], 'Please call me.',
           timestamptz '2025-06-01 00:00:00+00' + i * interval '2 hours'
      FROM generate_series(1, 200) AS i
    """,
    """
    INSERT INTO orders (user_id, status, total_cents, created_at)
    SELECT 1 + i * 3 % 40, (ARRAY['paid', 'shipped', 'delivered'])[1 + i % 3], 500 + i * 37 % 9000,
           timestamptz '2025-01-01 00:00:00+00' + i * interval '6 hours'
      FROM generate_series(1, 1000) AS i
    """,
)


async def prepare(url: str) -> None:
    """Makes the tables that are missing; where there is no user yet, adds the rows.

    Args:
        url: The database, `postgresql://...`.
    """
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        if await connection.scalar(text("SELECT NOT EXISTS (SELECT FROM users)")):
            for statement in ROWS:
                await connection.execute(text(statement))
    await engine.dispose()
