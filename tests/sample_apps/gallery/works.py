"""Works of art."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, text
from sqlalchemy.orm import Session, joinedload, load_only

from .collection import DbSession, Work

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]
Many = Annotated[int, Query(ge=1, le=90)]


class ArtistOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    country: str


class WorkOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    year: int
    artist_id: int
    description: str
    provenance: str
    condition: str
    literature: str
    technique: str


class AttributedWork(WorkOut):
    artist: ArtistOut


def works_after(last: int) -> Any:
    return select(Work).where(Work.id > last).order_by(Work.id)


@router.get("/works", response_model=list[WorkOut])
async def list_works(session: DbSession, last: int = 0, limit: Limit = 50) -> Sequence[Work]:
    works: Sequence[Work] = (await session.scalars(works_after(last).limit(limit))).all()
    return works


@router.get("/works/overview")
async def overview(session: DbSession, last: int = 0, limit: Many = 60) -> dict[int, str]:
    works = await session.scalars(works_after(last).limit(limit))  # finding: unused-columns
    return {work.id: work.title for work in works}


@router.get("/works/titles")
async def titles(session: DbSession, last: int = 0, limit: Many = 60) -> dict[int, str]:
    narrow = works_after(last).options(load_only(Work.title)).limit(limit)
    return {work.id: work.title for work in await session.scalars(narrow)}


@router.get("/works/hanging", response_model=list[WorkOut])
async def hanging(session: DbSession, last: int = 0, limit: Limit = 20) -> Sequence[Work]:
    chosen = works_after(last).options(joinedload(Work.artist)).limit(limit)
    works = await session.scalars(chosen)  # finding: unused-relationship
    return list(works)


@router.get("/works/attributed", response_model=list[AttributedWork])
async def attributed(session: DbSession, last: int = 0, limit: Limit = 20) -> Sequence[Work]:
    chosen = works_after(last).options(joinedload(Work.artist)).limit(limit)
    return list(await session.scalars(chosen))


def captions(session: Session, last: int, limit: int) -> list[str]:
    works = session.scalars(works_after(last).limit(limit)).all()  # finding: lazy-load-loop
    return [caption(work) for work in works]


def caption(work: Work) -> str:
    painter = work.artist.name  # touched: lazy-load-loop
    return f"{painter}: {work.title} ({work.year}), {work.technique}. {work.description[:60]}"


@router.get("/works/captions")
async def list_captions(session: DbSession, last: int = 0, limit: Limit = 20) -> list[str]:
    return await session.run_sync(captions, last, limit)


@router.get("/works/{work_id}/caption")
async def show_caption(work_id: int, session: DbSession) -> dict[str, str]:
    work = await session.get(Work, work_id)
    if work is None:
        raise HTTPException(404, "No such work")
    return {"caption": await session.run_sync(lambda _: caption(work))}


@router.get("/rooms/{room_id}/plan")
async def show_plan(room_id: int, session: DbSession) -> Response:
    query = text("SELECT plan::text FROM gallery.rooms WHERE id = :room_id")
    plan = await session.scalar(query, {"room_id": room_id})
    return Response(plan, media_type="application/json")
