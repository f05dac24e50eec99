"""The tables of the shop."""

from datetime import datetime

from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(AsyncAttrs, DeclarativeBase):
    metadata = MetaData(schema="shop")


class Category(Base):
    __tablename__ = "categories"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Product(Base):
    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price_cents: Mapped[int]
    stock: Mapped[int]
    category_id: Mapped[int] = mapped_column(ForeignKey("shop.categories.id"))

    category: Mapped[Category] = relationship()
    reviews: Mapped[list["Review"]] = relationship()
    pictures: Mapped[list["Picture"]] = relationship()


class Review(Base):
    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("shop.products.id"))
    stars: Mapped[int]
    text: Mapped[str]


class Picture(Base):
    __tablename__ = "pictures"

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("shop.products.id"))
    address: Mapped[str]


class Customer(Base):
    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    token: Mapped[str]
    last_seen: Mapped[datetime | None]


class Address(Base):
    __tablename__ = "addresses"

    id: Mapped[int] = mapped_column(primary_key=True)
    street: Mapped[str]
    city: Mapped[str]


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("shop.customers.id"))
    billing_address_id: Mapped[int] = mapped_column(ForeignKey("shop.addresses.id"))
    shipping_address_id: Mapped[int] = mapped_column(ForeignKey("shop.addresses.id"))
    pickup_address_id: Mapped[int] = mapped_column(ForeignKey("shop.addresses.id"))
    status: Mapped[str]

    customer: Mapped[Customer] = relationship()
    lines: Mapped[list["OrderLine"]] = relationship()
    shipments: Mapped[list["Shipment"]] = relationship()


class OrderLine(Base):
    __tablename__ = "order_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("shop.orders.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("shop.products.id"))
    quantity: Mapped[int]
    price_cents: Mapped[int]


class Shipment(Base):
    __tablename__ = "shipments"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("shop.orders.id"))
    carrier: Mapped[str]


class Setting(Base):
    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]
