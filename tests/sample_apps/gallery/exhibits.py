"""Things in show-cases."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import exists, select

from .collection import DbSession, Exhibit

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]


class ExhibitOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    room_id: int
    place: int


@router.get("/exhibits/search", response_model=list[ExhibitOut])
async def search(session: DbSession, word: str, limit: Limit = 20) -> list[Exhibit]:
    known = await session.scalars(select(Exhibit).order_by(Exhibit.id))  # finding: discarded-rows
    matching = [exhibit for exhibit in known if word in exhibit.title.lower()]
    return matching[:limit]


@router.get("/exhibits/find", response_model=list[ExhibitOut])
async def find(session: DbSession, word: str, limit: Limit = 20) -> Sequence[Exhibit]:
    matching = select(Exhibit).where(Exhibit.title.ilike(f"%{word}%")).order_by(Exhibit.id)
    return (await session.scalars(matching.limit(limit))).all()


@router.get("/exhibits/known")
async def is_known(session: DbSession, word: str) -> dict[str, bool]:
    known = select(exists().where(Exhibit.title.ilike(f"%{word}%")))
    return {"known": bool(await session.scalar(known))}


@router.get("/rooms/{room_id}/places")
async def sum_of_places(room_id: int, session: DbSession) -> dict[str, int]:
    """How full a room is: everything in it counts."""
    places = 0
    for exhibit in await session.scalars(select(Exhibit).where(Exhibit.room_id == room_id)):
        places += exhibit.place * (2 if exhibit.title.startswith("Chair") else 1)
    return {"places": places}
