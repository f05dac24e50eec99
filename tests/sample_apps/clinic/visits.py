"""Visits and the samples taken at them."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import insert, select
from sqlalchemy.orm import load_only

from .db import Db
from .dto import SamplesDto, VisitDateDto, VisitDto
from .tables import Sample, Visit

router = APIRouter()
Many = Annotated[int, Query(ge=1, le=200)]
Few = Annotated[int, Query(ge=1, le=20)]


@router.get("/visits/timeline")
def timeline(db: Db, after: int = 0, limit: Many = 100) -> list[dict[str, object]]:
    following = select(Visit).where(Visit.id > after).order_by(Visit.id)
    visits = db.scalars(following.limit(limit)).all()  # finding: unused-columns
    return [{"id": visit.id, "visited_on": visit.visited_on} for visit in visits]


@router.get("/visits/calendar")
def calendar(db: Db, after: int = 0, limit: Many = 100) -> list[dict[str, object]]:
    following = select(Visit).where(Visit.id > after).order_by(Visit.id)
    visits = db.scalars(following.options(load_only(Visit.visited_on)).limit(limit)).all()
    return [{"id": visit.id, "visited_on": visit.visited_on} for visit in visits]


@router.get("/visits/journal", response_model=list[VisitDto])
def journal(db: Db, after: int = 0, limit: Few = 10) -> Sequence[Visit]:
    following = select(Visit).where(Visit.id > after).order_by(Visit.id)
    return db.scalars(following.limit(limit)).all()


@router.get("/visits/{visit_id}/date")
def date_of_visit(visit_id: int, db: Db) -> VisitDateDto:
    visit = db.get(Visit, visit_id)
    if visit is None:
        raise HTTPException(404, "No such visit")
    return VisitDateDto(id=visit.id, visited_on=visit.visited_on)


@router.post("/samples/enter", status_code=201)
def enter_samples(db: Db, taken: SamplesDto) -> dict[str, int]:
    for each in taken.samples:
        db.execute(insert(Sample).values(each.model_dump()))  # finding: repeated-query
    db.commit()
    return {"entered": len(taken.samples)}


@router.post("/samples/label", status_code=201)
def label_samples(db: Db, taken: SamplesDto) -> dict[str, list[int]]:
    labels = []
    for each in taken.samples:
        sample = Sample(**each.model_dump())
        db.add(sample)
        db.flush()  # finding: repeated-query
        labels.append(sample.id)
    db.commit()
    return {"labels": labels}


@router.post("/samples/import", status_code=201)
def import_samples(db: Db, taken: SamplesDto) -> dict[str, list[int]]:
    samples = [Sample(**each.model_dump()) for each in taken.samples]
    db.add_all(samples)
    db.flush()
    labels = [sample.id for sample in samples]
    db.commit()
    return {"labels": labels}
