"""Members, and what they see of themselves."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Query
from pydantic import BaseModel

from .database import Pool, ThePool

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]
Token = Annotated[str, Header(alias="authorization")]
Rows = list[dict[str, Any]]


class MemberOut(BaseModel):
    id: int
    name: str
    joined_on: date


ORDERED = {
    "name": "SELECT id, name, joined_on FROM members ORDER BY name",
    "age": "SELECT id, name, joined_on FROM members ORDER BY joined_on",
}


@router.get("/members", response_model=list[MemberOut])
async def all_members(pool: ThePool, sort: Literal["name", "age"]) -> Rows:
    rows = await pool.fetch(ORDERED[sort])  # finding: unbounded-list
    return [dict(row) for row in rows]


@router.get("/members/page", response_model=list[MemberOut])
async def page_of_members(pool: ThePool, after: int = 0, limit: Limit = 20) -> Rows:
    query = "SELECT id, name, joined_on FROM members WHERE id > $1 ORDER BY id LIMIT $2"
    return [dict(row) for row in await pool.fetch(query, after, limit)]


@router.get("/members/some", response_model=list[MemberOut])
async def some_members(pool: ThePool, ids: Annotated[list[int], Query()]) -> Rows:
    numbers = ", ".join(f"${place}" for place in range(1, len(ids) + 1))
    query = f"SELECT id, name, joined_on FROM members WHERE id IN ({numbers})"
    return [dict(row) for row in await pool.fetch(query, *ids)]


@router.get("/members/statistics")
async def statistics(pool: ThePool, since: date) -> Rows:
    query = """
        SELECT extract(year FROM joined_on)::int AS year, count(*) AS members
        FROM members WHERE joined_on >= $1 GROUP BY 1 ORDER BY 1
    """
    return [dict(row) for row in await pool.fetch(query, since)]


@router.get("/tags")
async def tags(pool: ThePool) -> Rows:
    return [dict(row) for row in await pool.fetch("SELECT id, name FROM tags ORDER BY name")]


async def member_with(pool: Pool, token: str) -> dict[str, Any]:
    row = await pool.fetchrow(
        "SELECT id, name FROM members WHERE token = $1", token
    )  # finding: duplicate-query
    if row is None:
        raise HTTPException(401, "Unknown token")
    return dict(row)


async def current_member(pool: ThePool, token: Token) -> dict[str, Any]:
    return await member_with(pool, token)


Current = Annotated[dict[str, Any], Depends(current_member)]


async def unread_count(pool: Pool, token: str) -> int:
    member = await member_with(pool, token)
    query = "SELECT count(*) FROM messages WHERE receiver_id = $1 AND NOT is_read"
    count: int = await pool.fetchval(query, member["id"])
    return count


@router.get("/inbox")
async def inbox(pool: ThePool, current: Current, token: Token) -> dict[str, Any]:
    query = "SELECT id, subject FROM messages WHERE receiver_id = $1 ORDER BY id DESC LIMIT 20"
    messages = await pool.fetch(query, current["id"])
    return {
        "name": current["name"],
        "unread": await unread_count(pool, token),
        "messages": [dict(row) for row in messages],
    }


@router.get("/inbox/short")
async def short_inbox(pool: ThePool, current: Current) -> dict[str, Any]:
    query = "SELECT id, subject FROM messages WHERE receiver_id = $1 ORDER BY id DESC LIMIT 3"
    messages = await pool.fetch(query, current["id"])
    return {"name": current["name"], "messages": [dict(row) for row in messages]}


async def seen_member(pool: ThePool, current: Current) -> dict[str, Any]:
    seen = "UPDATE members SET last_seen = now() WHERE id = $1"
    await pool.execute(seen, current["id"])  # finding: side-effect-in-request
    return current


@router.get("/profile")
async def profile(
    pool: ThePool, member: Annotated[dict[str, Any], Depends(seen_member)]
) -> dict[str, Any]:
    query = "SELECT count(*) FROM threads WHERE author_id = $1"
    return {"name": member["name"], "threads": await pool.fetchval(query, member["id"])}


@router.get("/profile/quiet")
async def quiet_profile(pool: ThePool, current: Current) -> dict[str, Any]:
    query = "SELECT count(*) FROM threads WHERE author_id = $1"
    return {"name": current["name"], "threads": await pool.fetchval(query, current["id"])}


@router.post("/inbox/read")
async def mark_read(pool: ThePool, current: Current) -> dict[str, int]:
    """Marks all as read, and says how many were unread before and are now."""
    query = "SELECT count(*) FROM messages WHERE receiver_id = $1 AND NOT is_read"
    before = await pool.fetchval(query, current["id"])
    await pool.execute("UPDATE messages SET is_read = true WHERE receiver_id = $1", current["id"])
    return {"before": before, "after": await pool.fetchval(query, current["id"])}
