"""The clinic's answers, and what it is sent."""

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict


class Dto(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PatientDto(Dto):
    id: int
    name: str
    born_on: date
    city: str


class PatientLineDto(Dto):
    id: int
    name: str


class AppointmentDto(Dto):
    id: int
    starts_at: datetime
    status: str
    doctor_id: int
    patient: PatientLineDto


class AppointmentLineDto(Dto):
    id: int
    status: str
    doctor_id: int
    patient_id: int


class NewAppointmentDto(BaseModel):
    patient_id: int
    doctor_id: int
    starts_at: datetime


class IdsDto(BaseModel):
    ids: list[int]


class DoctorLoadDto(BaseModel):
    id: int
    name: str
    open_count: int


class LetterDto(BaseModel):
    id: int
    subject: str
    excerpt: str


class VisitDto(Dto):
    id: int
    visited_on: date
    complaint: str
    history: str
    examination: str
    diagnosis: str
    therapy: str
    advice: str
    weight_grams: int
    pulse: int


class VisitDateDto(BaseModel):
    id: int
    visited_on: date


class InvoiceDto(Dto):
    id: int
    patient_id: int
    cents: int
    is_paid: bool


class RoomDto(Dto):
    id: int
    number: str
    floor: int


class DepartmentLoadDto(BaseModel):
    id: int
    name: str
    doctors: int


class SampleDto(BaseModel):
    patient_id: int
    kind: str
    millilitres: int


class SamplesDto(BaseModel):
    samples: list[SampleDto]
