"""Departments, doctors, rooms, and the bills."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload, subqueryload

from .db import Db
from .dto import DepartmentLoadDto, DoctorLoadDto, InvoiceDto, RoomDto
from .tables import Department, Doctor, Invoice, Patient, Room

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]


@router.get("/doctors/workload")
def workload_of_doctors(db: Db, limit: Limit = 20) -> list[DoctorLoadDto]:
    doctors = db.scalars(
        select(Doctor).order_by(Doctor.name).limit(limit)
    )  # finding: lazy-load-loop
    return [
        DoctorLoadDto(id=doctor.id, name=doctor.name, open_count=doctor.open_count)
        for doctor in doctors
    ]


@router.get("/doctors/rota")
def rota_of_doctors(db: Db, limit: Limit = 20) -> list[DoctorLoadDto]:
    chosen = select(Doctor).options(subqueryload(Doctor.appointments)).order_by(Doctor.name)
    return [
        DoctorLoadDto(id=doctor.id, name=doctor.name, open_count=doctor.open_count)
        for doctor in db.scalars(chosen.limit(limit))
    ]


@router.get("/departments/occupancy")
def occupancy(db: Db, limit: Limit = 20) -> list[DepartmentLoadDto]:
    departments = db.query(Department).order_by(Department.id).limit(limit).all()
    loads = []
    for department in departments:
        members = db.query(Doctor).filter(Doctor.department_id == department.id)
        doctors = members.count()  # finding: repeated-query
        loads.append(DepartmentLoadDto(id=department.id, name=department.name, doctors=doctors))
    return loads


@router.get("/departments/census")
def census(db: Db, limit: Limit = 20) -> list[DepartmentLoadDto]:
    rows = (
        db.query(Department.id, Department.name, func.count(Doctor.id))
        .outerjoin(Doctor, Doctor.department_id == Department.id)
        .group_by(Department.id, Department.name)
        .order_by(Department.id)
        .limit(limit)
        .all()
    )
    return [DepartmentLoadDto(id=key, name=name, doctors=count) for key, name, count in rows]


@router.get("/departments/{department_id}/path")
def path_of_department(department_id: int, db: Db) -> list[str]:
    department = db.get(Department, department_id)
    if department is None:
        raise HTTPException(404, "No such department")
    names = []
    while department is not None:
        names.append(department.name)
        department = department.parent
    return names


@router.get("/rooms", response_model=list[RoomDto])
def rooms_of_floor(db: Db, floor: int, limit: Limit = 20) -> Sequence[Room]:
    return db.scalars(
        select(Room).where(Room.floor == floor).limit(limit)
    ).all()  # finding: unused-relationship


@router.get("/rooms/{room_id}/sign")
def sign_of_room(room_id: int, db: Db) -> dict[str, object]:
    room = db.get(Room, room_id)
    if room is None:
        raise HTTPException(404, "No such room")
    return {"number": room.number, "beds": [bed.label for bed in room.beds]}


@router.get("/invoices", response_model=list[InvoiceDto])
def list_invoices(
    db: Db, sort: Literal["cents", "id", "patient_id"]
) -> list[Invoice]:  # finding: entity-response
    ordered = db.query(Invoice).order_by(sort)
    return ordered.all()  # finding: unbounded-list


@router.get("/invoices/outstanding")
def outstanding(db: Db, city: str) -> dict[str, int]:
    invoices = db.scalars(select(Invoice).join(Invoice.patient).where(Patient.city == city))
    cents: Counter[str] = Counter()
    for invoice in invoices:
        cents["paid" if invoice.is_paid else "open"] += invoice.cents
    return dict(cents)


@router.get("/invoices/debts")
def debts(db: Db, first: int, last: int) -> dict[str, int]:
    chosen = select(Patient).where(Patient.id.between(first, last))
    patients = db.scalars(chosen.options(selectinload(Patient.invoices)))
    cents: Counter[str] = Counter()
    for patient in patients:
        cents[patient.city] += sum(each.cents for each in patient.invoices if not each.is_paid)
    return dict(cents)
