"""The SQLAlchemy probe on real databases, with each of its drivers: statements, rows, objects."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, create_engine, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload

from tests.record.probes.blog import (
    ASYNC,
    COMMENTS_COUNT,
    POSTS_COUNT,
    SYNC,
    USERS_COUNT,
    Base,
    Blog,
    Comment,
    Post,
    User,
    fill,
)
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import RawSlice, milliseconds, slices_of
from unslow.current import LANE, OpenTrace
from unslow.model.trace import CONNECT, HYDRATION, ORM, ROWS, SQL
from unslow.record.place import resolve

WORK = (ORM, HYDRATION, SQL, ROWS)
