"""The rows of the demo: the same in every run, skewed as real ones are.

They are made in the database, by statements in which every value depends on the row's number.
"""

from collections.abc import Iterator
from dataclasses import dataclass

COMMENTS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows each table gets."""

    users: int
    posts: int
    comments: int
    leads: int
    orders: int


def counts(scale: float = 1.0) -> Counts:
    """The rows at a scale; 1.0 is the whole demo, and 50 posts a user hold at each."""
    users = max(20, round(1000 * scale))
    return Counts(
        users=users, posts=50 * users, comments=500 * users, leads=20 * users, orders=50 * users
    )


def inserts(rows: Counts) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Each statement with the name of what it makes and its parameters."""
    yield "users", USERS, {"users": rows.users}
    yield "posts", POSTS, {"users": rows.users, "posts": rows.posts}
    for first in range(1, rows.comments + 1, COMMENTS_AT_ONCE):
        last = min(first + COMMENTS_AT_ONCE - 1, rows.comments)
        yield (
            "comments",
            COMMENTS,
            {"users": rows.users, "posts": rows.posts, "first": first, "last": last},
        )
    yield "leads", LEADS, {"leads": rows.leads}
    yield "orders", ORDERS, {"users": rows.users, "orders": rows.orders}


def _share(seed: int) -> str:
    """SQL for a number in 0.0 to 1.0 that depends on the row's number alone."""
    return f"((hashint8extended(i, {seed}) & 1048575) / 1048576.0::float8)"


def _pick(seed: int, words: tuple[str, ...]) -> str:
    """SQL for one of some words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"(ARRAY[{listed}])[1 + floor({_share(seed)} * {len(words)})::int]"


def _skewed(seed: int, count: str) -> str:
    """SQL for a key of 1 to `count`, some far more often than others.

    The square makes the skew: of 1,000 users the busiest has 32 times the mean. The prime, larger
    than any count, scatters the busy ones over all keys.
    """
    return f"(1 + (floor(power({_share(seed)}, 2) * :{count})::bigint * 2147483647) % :{count})"


FIRST_NAMES = ("Ada", "Ben", "Chloe", "Dmitri", "Elif", "Femi", "Greta", "Hiro", "Ines", "Jonas")
LAST_NAMES = ("Abe", "Berg", "Costa", "Diaz", "Evans", "Fischer", "Garcia", "Hansen", "Ito", "Jain")
CITIES = ("Lisbon", "Osaka", "Lagos", "Bergen", "Quito", "Pune", "Leeds", "Turin")
TOPICS = ("databases", "gardens", "trains", "bread", "bicycles", "maps", "clocks", "radio")
OPENINGS = ("Notes on", "A year of", "Mistakes with", "The case for", "In praise of", "Against")
SENTENCES = (
    "We tried the obvious thing first, and it was slower than before.",
    "Nobody had looked at it for years, which turned out to be the good news.",
    "The second attempt took an afternoon and half of the code.",
    "In the end the numbers decided, not the loudest voice in the room.",
    "It works on my machine, and that machine is ten years old.",
)
REMARKS = (
    "Thank you, this saved me a day.",
    "I am not convinced by the second part.",
    "We saw the same thing last winter.",
    "Is there a longer version of this somewhere?",
    "The picture in the middle says it all.",
    "Works for me, with one small change.",
)
COMPANIES = ("North Mill", "Blue Harbour", "Old Bridge", "Green Valley", "Red Brick")
SOURCES = ("website", "website", "website", "fair", "referral")
STATUSES = ("delivered", "delivered", "delivered", "shipped", "paid", "cancelled")

USERS = f"""
INSERT INTO users (id, name, email, city, created_at)
SELECT i, {_pick(1, FIRST_NAMES)} || ' ' || {_pick(2, LAST_NAMES)}, 'user' || i || '@example.com',
       {_pick(3, CITIES)}, timestamptz '2023-01-01 00:00:00+00' + i * interval '7 hours'
FROM generate_series(1, CAST(:users AS int)) AS i
"""

POSTS = f"""
INSERT INTO posts (id, user_id, title, body, created_at)
SELECT i, {_skewed(11, "users")}, {_pick(12, OPENINGS)} || ' ' || {_pick(13, TOPICS)},
       {_pick(14, SENTENCES)} || ' ' || {_pick(15, SENTENCES)},
       timestamptz '2024-01-01 00:00:00+00' + i * interval '15 minutes'
FROM generate_series(1, CAST(:posts AS int)) AS i
"""

COMMENTS = f"""
INSERT INTO comments (id, post_id, user_id, body, created_at)
SELECT i, {_skewed(21, "posts")}, {_skewed(22, "users")}, {_pick(23, REMARKS)},
       timestamptz '2024-01-02 00:00:00+00' + i * interval '90 seconds'
FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS i
"""

LEADS = f"""
INSERT INTO leads (id, email, company, source, message, created_at)
SELECT i, 'lead' || i || '@example.org', {_pick(31, COMPANIES)} || ' ' || i % 97,
       {_pick(32, SOURCES)}, {_pick(33, SENTENCES)},
       timestamptz '2024-06-01 00:00:00+00' + i * interval '37 minutes'
FROM generate_series(1, CAST(:leads AS int)) AS i
"""

ORDERS = f"""
INSERT INTO orders (id, user_id, status, total_cents, created_at)
SELECT i, {_skewed(41, "users")}, {_pick(42, STATUSES)},
       500 + floor(power({_share(43)}, 3) * 50000)::int,
       timestamptz '2024-01-01 00:00:00+00' + i * interval '15 minutes'
FROM generate_series(1, CAST(:orders AS int)) AS i
"""
