"""What the shop answers and is sent."""

from pydantic import BaseModel, ConfigDict


class FromRow(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CategoryOut(FromRow):
    id: int
    name: str


class ProductOut(FromRow):
    id: int
    name: str
    price_cents: int
    stock: int
    category_id: int


class ListedProduct(BaseModel):
    id: int
    name: str
    price_cents: int
    category: str


class ReviewOut(FromRow):
    id: int
    stars: int
    text: str


class PictureOut(FromRow):
    id: int
    address: str


class ProductCard(BaseModel):
    product: ProductOut
    stars: list[int] | None


class GalleryProduct(FromRow):
    id: int
    name: str
    price_cents: int
    reviews: list[ReviewOut]
    pictures: list[PictureOut]


class ShowcaseProduct(FromRow):
    id: int
    name: str
    price_cents: int
    category: CategoryOut
    pictures: list[PictureOut]


class CustomerOut(FromRow):
    id: int
    email: str
    name: str


class BestCustomer(BaseModel):
    name: str
    email: str
    spent_cents: int


class CustomerChange(BaseModel):
    name: str


class AddressOut(FromRow):
    id: int
    street: str
    city: str


class OrderSummary(BaseModel):
    id: int
    customer_id: int
    status: str
    total_cents: int


class OrderWhole(BaseModel):
    id: int
    status: str
    customer: str
    quantities: list[int]
    carriers: list[str]


class Parties(BaseModel):
    billing: AddressOut
    shipping: AddressOut
    pickup: AddressOut


class Item(BaseModel):
    product_id: int
    quantity: int = 1


class NewOrder(BaseModel):
    customer_id: int
    address_id: int
    items: list[Item]


class Cart(BaseModel):
    items: list[Item]


class Price(BaseModel):
    total_cents: int


class Checked(BaseModel):
    refused: list[int]
