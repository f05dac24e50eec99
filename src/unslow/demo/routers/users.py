"""Users, who are also the customers."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, HTTPException
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from ..models import Order, Post, User
from ..schemas import UserOut, UserPage
from ..services import AsyncDatabaseSession, DatabaseSession

router = APIRouter(tags=["users"])


@router.get("/users/{user_id}", response_model=UserOut)
async def get_user(user_id: int, session: AsyncDatabaseSession) -> User:
    """One user by key."""
    user = await session.get(User, user_id)
    if user is None:
        raise HTTPException(404, "No such user")
    return user


@router.get("/users/{user_id}/posts", response_model=UserPage)
def get_user_posts(user_id: int, session: DatabaseSession) -> User:
    """A user with all posts and comments; what the answer touches is loaded when it is touched."""
    user = session.get(User, user_id)
    if user is None:
        raise HTTPException(404, "No such user")
    return user


@router.get("/users/{user_id}/feed", response_model=UserPage)
async def get_user_feed(user_id: int, session: AsyncDatabaseSession) -> User:
    """The same, on the event loop."""
    user = await session.get(User, user_id)
    if user is None:
        raise HTTPException(404, "No such user")
    for post in await user.awaitable_attrs.posts:
        await post.awaitable_attrs.comments
    return user


@router.get("/users/{user_id}/page", response_model=UserPage)
async def get_user_page(user_id: int, session: AsyncDatabaseSession) -> User:
    """The same, in three statements."""
    user = await session.get(
        User, user_id, options=[selectinload(User.posts).selectinload(Post.comments)]
    )
    if user is None:
        raise HTTPException(404, "No such user")
    return user


@router.get("/customers", response_model=list[UserOut])
async def list_customers(session: AsyncDatabaseSession) -> Sequence[User]:
    """All customers."""
    return (await session.scalars(select(User).order_by(User.id))).all()


@router.get("/customers/{customer_id}/summary")
async def summarize_customer(customer_id: int, session: AsyncDatabaseSession) -> dict[str, Any]:
    """How much a customer bought."""
    orders, total_cents = (
        await session.execute(
            select(func.count(), func.coalesce(func.sum(Order.total_cents), 0)).where(
                Order.user_id == customer_id
            )
        )
    ).one()
    return {"customer_id": customer_id, "orders": orders, "total_cents": total_cents}
