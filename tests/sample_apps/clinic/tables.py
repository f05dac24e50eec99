"""The clinic's tables."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    metadata = MetaData(schema="clinic")


class Department(Base):
    __tablename__ = "departments"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("clinic.departments.id"))

    parent: Mapped["Department | None"] = relationship(remote_side="Department.id")


class Doctor(Base):
    __tablename__ = "doctors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    department_id: Mapped[int] = mapped_column(ForeignKey("clinic.departments.id"))

    appointments: Mapped[list["Appointment"]] = relationship(back_populates="doctor")

    @property
    def open_count(self) -> int:
        """How many patients are still to come."""
        planned = [each for each in self.appointments if each.is_open]  # touched: lazy-load-loop
        return len(planned)


class Patient(Base):
    __tablename__ = "patients"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    born_on: Mapped[date]
    city: Mapped[str]

    invoices: Mapped[list["Invoice"]] = relationship(back_populates="patient")


class Appointment(Base):
    __tablename__ = "appointments"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("clinic.patients.id"))
    doctor_id: Mapped[int] = mapped_column(ForeignKey("clinic.doctors.id"))
    starts_at: Mapped[datetime]
    status: Mapped[str]

    patient: Mapped[Patient] = relationship()
    doctor: Mapped[Doctor] = relationship(back_populates="appointments")

    @property
    def is_open(self) -> bool:
        return self.status != "done"


class Letter(Base):
    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("clinic.patients.id"))
    subject: Mapped[str]
    body: Mapped[str] = mapped_column(deferred=True)


class Visit(Base):
    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("clinic.patients.id"))
    visited_on: Mapped[date]
    complaint: Mapped[str]
    history: Mapped[str]
    examination: Mapped[str]
    diagnosis: Mapped[str]
    therapy: Mapped[str]
    advice: Mapped[str]
    weight_grams: Mapped[int]
    pulse: Mapped[int]
    pressure: Mapped[str]


class Invoice(Base):
    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("clinic.patients.id"))
    cents: Mapped[int]
    is_paid: Mapped[bool]

    patient: Mapped[Patient] = relationship(back_populates="invoices")


class Bed(Base):
    __tablename__ = "beds"

    id: Mapped[int] = mapped_column(primary_key=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("clinic.rooms.id"))
    label: Mapped[str]


class Room(Base):
    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    floor: Mapped[int]

    beds: Mapped[list[Bed]] = relationship(lazy="selectin")


class Sample(Base):
    __tablename__ = "samples"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int]
    kind: Mapped[str]
    millilitres: Mapped[int]


class RecordAccess(Base):
    __tablename__ = "record_accesses"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int]
    reader: Mapped[str]
