"""Patients, their letters and their records."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from .db import Db
from .dto import LetterDto, PatientDto
from .tables import Letter, Patient, RecordAccess

router = APIRouter(prefix="/patients")
Limit = Annotated[int, Query(ge=1, le=60)]
Many = Annotated[int, Query(ge=1, le=500)]

patient_list = TypeAdapter(list[PatientDto])


@router.get("/recent", response_model=list[PatientDto])
def recent_patients(db: Db, limit: Limit = 20) -> Sequence[Patient]:
    ordered = db.query(Patient).order_by(Patient.id.desc())
    return ordered.all()[:limit]  # finding: discarded-rows


@router.get("/newest", response_model=list[PatientDto])
def newest_patients(db: Db, limit: Limit = 20) -> Sequence[Patient]:
    ordered = db.query(Patient).order_by(Patient.id.desc())
    return ordered.limit(limit).all()


@router.get("/count")
def count_patients(db: Db, city: str) -> dict[str, int]:
    patients = db.scalars(
        select(Patient).where(Patient.city == city)
    ).all()  # finding: discarded-rows
    return {"patients": len(patients)}


@router.get("/number")
def number_of_patients(db: Db, city: str) -> dict[str, int]:
    counted = select(func.count()).select_from(Patient).where(Patient.city == city)
    return {"patients": db.scalar(counted) or 0}


@router.get("/register", response_model=list[PatientDto])
def register(
    db: Db, after: int = 0, limit: Many = 200
) -> Sequence[Patient]:  # finding: entity-response
    following = select(Patient).where(Patient.id > after).order_by(Patient.id)
    return db.scalars(following.limit(limit)).all()


@router.get("/directory", response_model=list[PatientDto])
def directory(db: Db, after: int = 0, limit: Many = 200) -> Sequence[object]:
    columns = select(Patient.id, Patient.name, Patient.born_on, Patient.city)
    return db.execute(columns.where(Patient.id > after).order_by(Patient.id).limit(limit)).all()


@router.get("/roster", response_model=list[PatientDto])
def roster(
    db: Db, after: int = 0, limit: Many = 200
) -> list[dict[str, Any]]:  # finding: double-validation
    columns = select(Patient.id, Patient.name, Patient.born_on, Patient.city)
    rows = db.execute(columns.where(Patient.id > after).order_by(Patient.id).limit(limit))
    return [PatientDto(**row).model_dump() for row in rows.mappings()]


@router.get("/roster/document")
def roster_document(db: Db, after: int = 0, limit: Many = 200) -> Response:
    columns = select(Patient.id, Patient.name, Patient.born_on, Patient.city)
    rows = db.execute(columns.where(Patient.id > after).order_by(Patient.id).limit(limit))
    patients = [PatientDto(**row) for row in rows.mappings()]
    return Response(patient_list.dump_json(patients), media_type="application/json")


@router.get("/{patient_id}/letters")
def letters_of_patient(patient_id: int, db: Db, limit: Limit = 20) -> list[LetterDto]:
    written = select(Letter).where(Letter.patient_id == patient_id).order_by(Letter.id)
    letters = db.scalars(written.limit(limit)).all()  # finding: lazy-load-loop
    return [excerpt_of(letter) for letter in letters]


@router.get("/{patient_id}/correspondence")
def correspondence(patient_id: int, db: Db, limit: Limit = 20) -> list[LetterDto]:
    written = select(Letter).where(Letter.patient_id == patient_id).order_by(Letter.id)
    letters = db.scalars(written.options(undefer(Letter.body)).limit(limit)).all()
    return [excerpt_of(letter) for letter in letters]


def excerpt_of(letter: Letter) -> LetterDto:
    text = letter.body  # touched: lazy-load-loop
    return LetterDto(id=letter.id, subject=letter.subject, excerpt=text[:40])


@router.get("/{patient_id}/record")
def open_record(patient_id: int, db: Db, reader: str) -> PatientDto:
    patient = db.get(Patient, patient_id)
    if patient is None:
        raise HTTPException(404, "No such patient")
    record = PatientDto.model_validate(patient)
    db.add(RecordAccess(patient_id=patient_id, reader=reader))
    db.commit()  # finding: side-effect-in-request
    return record
