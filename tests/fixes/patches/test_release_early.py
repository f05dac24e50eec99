"""Where a connection is given back before a wait, as it is told."""

from tests.diagnose.story import Story
from tests.fixes.patches.told import MARK, OTHER_MARK, advice, at, says, subject

FIX = "release-early"
BLOCK = f"""
async def show(pool, translator):
    async with pool.acquire() as connection:  {MARK}
        title = await connection.fetchval(TITLE)
        return await translator.post("/", json=title)  {OTHER_MARK}
"""
SESSION = f"""
from sqlalchemy.ext.asyncio import AsyncSession


async def show(session: AsyncSession, partners):
    parcel = await session.get(Parcel, 1)  {MARK}
    return await partners.position(parcel.code)  {OTHER_MARK}
"""


def test_the_block_is_to_end_before_the_wait() -> None:
    about = subject(BLOCK, touched=at(BLOCK, mark=OTHER_MARK))

    told = advice(FIX, about)

    assert says(FIX, about) == "end the block before the wait"
    assert "Line 2 of shop.py, in `show`, takes a connection that is held while line 4" in told
    assert "End the block of line 2 before that" in told


def test_a_session_of_a_block_is_given_back_by_the_end_of_that() -> None:
    text = SESSION.replace(
        "    parcel =", "    async with sessions() as session:\n        parcel ="
    ).replace("    return", "        return")

    assert "End the block of line 5 before that" in advice(FIX, subject(text))


def test_a_session_from_elsewhere_is_closed() -> None:
    about = subject(SESSION, touched=at(SESSION, mark=OTHER_MARK))

    told = advice(FIX, about)

    assert says(FIX, about) == "await session.close()"
    assert "unless it is committed before" in told
    assert told.endswith("\nawait session.close()  # before the wait")


def test_a_connection_is_not_closed_as_it_could_not_be_used_again() -> None:
    text = f"""
    import sqlalchemy


    def show(connection):
        connection.execute(QUERY)  {MARK}
    """

    told = advice(FIX, subject(text))

    assert "Give it back before: end its `with` block, or close the session" in told
    assert "\n" not in told


def test_a_dependency_that_holds_it_until_the_answer_is_sent_gets_a_scope() -> None:
    place = at(SESSION)
    held = Story().takes("asyncpg pool 1-2", place).answers().trace()
    released = Story().takes("asyncpg pool 1-2", place).gives_back().answers().trace()

    assert 'scope="function"' in advice(FIX, subject(SESSION, traces=[held]))
    assert 'scope="function"' not in advice(FIX, subject(SESSION, traces=[released]))
