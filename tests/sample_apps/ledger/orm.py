"""The bank's tables."""

from datetime import date

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Mapping(DeclarativeBase):
    metadata = MetaData(schema="ledger")


class Account(Mapping):
    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    branch_id: Mapped[int]


class Branch(Mapping):
    __tablename__ = "branches"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city: Mapped[str]


class Entry(Mapping):
    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int]
    cents: Mapped[int]
    booked_on: Mapped[date]
    purpose: Mapped[str]


class Transfer(Mapping):
    __tablename__ = "transfers"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int]
    state: Mapped[str]
