"""The tables of the school that are used as objects."""

from datetime import date

from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Model(DeclarativeBase):
    metadata = MetaData(schema="school")


class Form(Model):
    __tablename__ = "forms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    room: Mapped[str]

    pupils: Mapped[list["Pupil"]] = relationship()


class Pupil(Model):
    __tablename__ = "pupils"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    form_id: Mapped[int] = mapped_column(ForeignKey("school.forms.id"))
    born_on: Mapped[date]


class Lesson(Model):
    __tablename__ = "lessons"

    id: Mapped[int] = mapped_column(primary_key=True)
    teacher_id: Mapped[int]
    form_id: Mapped[int]
    day: Mapped[int]
    begins: Mapped[int]
    ends: Mapped[int]
    room: Mapped[str]


class Notice(Model):
    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    text: Mapped[str]
