"""Appointments, and the mails about them."""

import smtplib
from collections.abc import Sequence
from datetime import date, timedelta
from email.message import EmailMessage
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, HTTPException, Query, Request
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from ..settings import Settings
from .db import Db
from .dto import AppointmentDto, AppointmentLineDto, IdsDto, NewAppointmentDto
from .tables import Appointment, Patient

router = APIRouter(prefix="/appointments")
Limit = Annotated[int, Query(ge=1, le=60)]


@router.get("", response_model=list[AppointmentDto])
def appointments_of_day(db: Db, day: date, limit: Limit = 20) -> Sequence[Appointment]:
    wanted = select(Appointment).where(Appointment.starts_at.between(day, day + timedelta(days=1)))
    first = wanted.order_by(Appointment.starts_at).limit(limit)
    return db.scalars(first).all()  # finding: lazy-load-loop


@router.get("/board", response_model=list[AppointmentDto])
def board_of_day(db: Db, day: date, limit: Limit = 20) -> Sequence[Appointment]:
    wanted = select(Appointment).where(Appointment.starts_at.between(day, day + timedelta(days=1)))
    first = wanted.order_by(Appointment.starts_at).limit(limit)
    return db.scalars(first.options(joinedload(Appointment.patient))).all()


@router.post("", status_code=201)
def book_appointment(db: Db, new: NewAppointmentDto) -> AppointmentLineDto:
    patient = db.get(Patient, new.patient_id)
    if patient is None:
        raise HTTPException(404, "No such patient")
    booked = Appointment(
        patient_id=patient.id,
        doctor_id=new.doctor_id,
        starts_at=new.starts_at.replace(tzinfo=None),
        status="planned",
    )
    db.add(booked)
    db.commit()
    db.refresh(booked)
    db.refresh(patient)
    return AppointmentLineDto.model_validate(booked)


@router.post("/confirm")
def confirm_appointments(db: Db, asked: IdsDto) -> list[AppointmentLineDto]:
    wanted = select(Appointment).where(Appointment.id.in_(asked.ids))
    found = db.scalars(wanted).all()  # finding: lazy-load-loop
    for appointment in found:
        appointment.status = "confirmed"
    db.commit()
    return [line_of(appointment) for appointment in found]


def line_of(appointment: Appointment) -> AppointmentLineDto:
    return AppointmentLineDto(
        id=appointment.id,  # touched: lazy-load-loop
        status=appointment.status,
        doctor_id=appointment.doctor_id,
        patient_id=appointment.patient_id,
    )


@router.post("/{appointment_id}/remind")
def remind_patient(appointment_id: int, db: Db, request: Request) -> dict[str, str]:
    message = reminder(db, appointment_id)
    deliver(request.app.state.settings, message)
    return {"reminded": message["To"]}


@router.post("/{appointment_id}/notify")
def notify_patient(
    appointment_id: int, db: Db, request: Request, later: BackgroundTasks
) -> dict[str, str]:
    message = reminder(db, appointment_id)
    later.add_task(deliver, request.app.state.settings, message)
    return {"notified": message["To"]}


def reminder(db: Session, appointment_id: int) -> EmailMessage:
    appointment = db.get(Appointment, appointment_id)
    if appointment is None:
        raise HTTPException(404, "No such appointment")
    message = EmailMessage()
    message["From"] = "desk@clinic.example"
    message["To"] = f"patient{appointment.patient_id}@example.org"
    message["Subject"] = "Your appointment"
    message.set_content(f"We expect you at {appointment.starts_at:%H:%M}.")
    # Mailing takes its time; the connection goes back before.
    db.close()
    return message


def deliver(settings: Settings, message: EmailMessage) -> None:
    with smtplib.SMTP(
        settings.smtp_host, settings.smtp_port, timeout=5
    ) as server:  # finding: side-effect-in-request
        server.send_message(message)  # finding: side-effect-in-request
