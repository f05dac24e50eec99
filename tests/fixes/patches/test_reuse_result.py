"""One answer for two equal questions, as it is told."""

from tests.fixes.patches.told import MARK, OTHER_MARK, advice, at, says, subject

FIX = "reuse-result"
POLICY = f"""
async def policy(desk, name):
    return await desk.fetchval(ASKED, name)  {MARK}
"""
TWO = f"""
from sqlalchemy import select


async def show(session, key):
    await session.scalar(select(Member).where(Member.token == key))  {OTHER_MARK}
    await session.scalar(select(Member).where(Member.token == key))  {MARK}
"""


def test_a_function_that_runs_twice_is_to_be_a_dependency() -> None:
    about = subject(POLICY, "policy")

    told = advice(FIX, about)

    assert says(FIX, about) == "Depends(policy)"
    assert "`policy` runs more than once" in told
    assert "`Depends(policy)` is called once a request" in told
    assert "session" not in told


def test_two_lines_that_ask_the_same_are_both_named() -> None:
    about = subject(TWO, touched=at(TWO, mark=OTHER_MARK))

    told = advice(FIX, about)

    assert says(FIX, about) == "result = ..."
    assert "Line 6 of shop.py, in `show`, sends what line 5 of shop.py, in `show`, has sent" in told
    assert "`session.get(...)` finds it in the session" in told


def test_a_get_that_asks_again_has_lost_its_session_or_its_object() -> None:
    text = f"""
    from sqlalchemy.orm import Session


    def show(session: Session, key):
        return session.get(Member, key)  {MARK}
    """

    assert "has a session of its own, or it expired in a commit" in advice(FIX, subject(text))


def test_a_method_is_no_dependency_by_its_name() -> None:
    text = f"class Rules:\n    def show(self):\n        return self.pool.fetch(ALL)  {MARK}\n"

    assert says(FIX, subject(text, "Rules.show")) == "Depends(...)"
