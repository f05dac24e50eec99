"""Products and their categories."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from ..models import Category, Product
from ..schemas import (
    CategoryOut,
    GalleryProduct,
    ListedProduct,
    ProductCard,
    ProductOut,
    ShowcaseProduct,
)
from ..wiring import Database

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=60)]
Shown = Annotated[int, Query(ge=1, le=20)]


@router.get("/categories")
async def list_categories(session: Database) -> list[CategoryOut]:
    categories = await session.scalars(select(Category).order_by(Category.name))
    return [CategoryOut.model_validate(category) for category in categories]


@router.get("/products")
async def list_products(
    session: Database, limit: Limit = 20, page: Annotated[int, Query(ge=0, le=8)] = 0
) -> list[ListedProduct]:
    chosen = select(Product).order_by(Product.id).limit(limit).offset(page * limit)
    products = await session.scalars(chosen)
    return [await listed(product) for product in products]


async def listed(product: Product) -> ListedProduct:
    category = await product.awaitable_attrs.category
    return ListedProduct(
        id=product.id, name=product.name, price_cents=product.price_cents, category=category.name
    )


@router.get("/products/gallery", response_model=list[GalleryProduct])
async def show_gallery(session: Database, start: int, limit: Shown = 10) -> Sequence[Product]:
    both = (joinedload(Product.reviews), joinedload(Product.pictures))
    chosen = select(Product).options(*both).where(Product.id.between(start, start + limit - 1))
    found = await session.scalars(chosen)  # finding: cartesian-join
    return found.unique().all()


@router.get("/products/album", response_model=list[GalleryProduct])
async def show_album(session: Database, start: int, limit: Shown = 10) -> Sequence[Product]:
    both = (joinedload(Product.reviews), selectinload(Product.pictures))
    chosen = select(Product).options(*both).where(Product.id.between(start, start + limit - 1))
    found = await session.scalars(chosen)
    return found.unique().all()


@router.get("/products/showcase", response_model=list[ShowcaseProduct])
async def show_showcase(session: Database, start: int, limit: Shown = 10) -> Sequence[Product]:
    both = (joinedload(Product.category), joinedload(Product.pictures))
    chosen = select(Product).options(*both).where(Product.id.between(start, start + limit - 1))
    found = await session.scalars(chosen)
    return found.unique().all()


@router.get("/products/{product_id}/related", response_model=list[ProductOut])
async def list_related(product_id: int, session: Database, limit: Limit = 20) -> Sequence[Product]:
    following = select(Product).where(Product.id > product_id).order_by(Product.id).limit(limit)
    with_pictures = following.options(selectinload(Product.pictures))
    return (await session.scalars(with_pictures)).all()  # finding: unused-relationship


@router.get("/products/{product_id}/card")
async def show_card(product_id: int, session: Database, reviews: bool = False) -> ProductCard:
    chosen = select(Product).where(Product.id == product_id).options(selectinload(Product.reviews))
    product = await session.scalar(chosen)
    if product is None:
        raise HTTPException(404, "No such product")
    stars = [review.stars for review in product.reviews] if reviews else None
    return ProductCard(product=ProductOut.model_validate(product), stars=stars)
