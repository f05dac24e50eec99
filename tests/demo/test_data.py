import psycopg
import pytest

from unslow.demo.data import fill
from unslow.demo.models import Base
from unslow.demo.rows import counts
from unslow.errors import DemoError

TABLES = ("users", "posts", "comments", "leads", "orders")


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_the_whole_demo_has_the_promised_rows() -> None:
    rows = counts()

    assert (rows.users, rows.posts, rows.comments) == (1_000, 50_000, 500_000)
    assert (rows.leads, rows.orders) == (20_000, 50_000)


def test_every_table_gets_its_rows(demo_database_url: str) -> None:
    rows = counts(0.02)
    # Other tests add leads.
    held = [table for table in TABLES if table != "leads"]

    found = {table: ask(demo_database_url, f"SELECT count(*) FROM {table}")[0][0] for table in held}

    assert found == {table: getattr(rows, table) for table in held}


def test_two_databases_get_the_same_rows(demo_database_url: str, database_url: str) -> None:
    fill(database_url, scale=0.02)

    for table in TABLES:
        statement = (
            f"SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM {table} AS t WHERE id <= 400"
        )
        assert ask(demo_database_url, statement) == ask(database_url, statement)


def test_some_users_have_far_more_posts_than_most(demo_database_url: str) -> None:
    busiest, middle = ask(
        demo_database_url,
        "SELECT max(n), percentile_disc(0.5) WITHIN GROUP (ORDER BY n)"
        " FROM (SELECT count(*) AS n FROM posts GROUP BY user_id) AS each",
    )[0]

    assert isinstance(busiest, int)
    assert isinstance(middle, int)
    assert busiest > 4 * middle


def test_keys_and_indexes_are_those_of_the_models(demo_database_url: str) -> None:
    indexes = {
        str(name)
        for (name,) in ask(
            demo_database_url, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
        )
    }
    foreign_keys = {
        str(name)
        for (name,) in ask(
            demo_database_url, "SELECT conname FROM pg_constraint WHERE contype = 'f'"
        )
    }

    tables = Base.metadata.sorted_tables
    assert indexes == {
        *(str(index.name) for table in tables for index in table.indexes),
        *(str(table.primary_key.name) for table in tables),
        "uq_users_email",
    }
    assert foreign_keys == {
        str(key.name) for table in tables for key in table.foreign_key_constraints
    }


def test_statistics_are_there_when_the_rows_are(demo_database_url: str) -> None:
    analyzed = ask(
        demo_database_url, "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'public'"
    )

    assert {name for (name,) in analyzed} == set(TABLES)


def test_progress_grows_to_one_and_names_each_table(database_url: str) -> None:
    seen: list[tuple[str, float]] = []

    fill(database_url, lambda what, share: seen.append((what, share)), scale=0.02)

    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert {what for what, _ in seen} >= set(TABLES)


def test_tables_that_exist_are_never_touched(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE orders (mine int)")

    with pytest.raises(DemoError, match="already has the tables orders"):
        fill(database_url, scale=0.02)

    assert ask(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [
        ("orders",)
    ]


def test_a_database_that_is_down_is_said_without_its_password() -> None:
    with pytest.raises(DemoError, match=r"127\.0\.0\.1:1/demo") as raised:
        fill("postgresql://somebody:planted-secret@127.0.0.1:1/demo")

    assert "planted-secret" not in str(raised.value)
