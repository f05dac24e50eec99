"""A statement for each list, as it is told."""

from tests.fixes.patches.told import MARK, advice, says, subject

FIX = "split-joins"
EVIDENCE = {"rows": 1200, "rows_needed": 70}


def test_the_second_joined_list_is_named() -> None:
    text = f"""
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload


    async def show(session):
        wanted = select(Thread).options(joinedload(Thread.posts), joinedload(Thread.watchers))
        return await session.scalars(wanted)  {MARK}
    """
    about = subject(text, evidence=EVIDENCE)

    told = advice(FIX, about)

    assert says(FIX, about) == "selectinload(Thread.watchers)"
    assert "Line 7 of shop.py, in `show`, joins `Thread.posts`, `Thread.watchers`" in told
    assert "1,200 rows come where 70 would do" in told
    assert told.endswith(
        "\nselectinload(Thread.watchers)  # in place of joinedload(Thread.watchers)"
    )


def test_without_options_the_tables_are_named() -> None:
    text = f"async def show(pool):\n    return await pool.fetch(SIDEBAR)  {MARK}\n"
    shape = (
        "SELECT * FROM threads LEFT JOIN posts ON posts.thread_id = threads.id"
        " LEFT JOIN watchers ON watchers.thread_id = threads.id WHERE threads.id = ?"
    )
    about = subject(text, shape=shape, evidence=EVIDENCE)

    told = advice(FIX, about)

    assert says(FIX, about) == "a second statement"
    assert "joins `posts` and `watchers` with each other: 1,200 rows" in told


def test_one_joined_list_names_no_loader() -> None:
    text = f"""
    def show(session):
        return session.scalars(select(A).options(joinedload(A.b)))  {MARK}
    """

    assert says(FIX, subject(text)) == "a second statement"
    assert "joins lists with each other." in advice(FIX, subject(text))
