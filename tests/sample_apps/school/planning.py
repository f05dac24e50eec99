"""Where lessons of a day meet in one room."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .opened import async_engine_of, limit_of

LESSONS = text(
    "SELECT id, day, begins, ends, room FROM school.lessons"
    " WHERE id > :after ORDER BY id LIMIT :limit"
)


async def lessons_after(request: Request, most: int) -> Sequence[Any]:
    wanted = {
        "after": int(request.query_params.get("after", 0)),
        "limit": limit_of(request, usual=most, most=most),
    }
    async with async_engine_of(request).connect() as connection:
        return (await connection.execute(LESSONS, wanted)).all()


def clashes(lessons: Sequence[Any]) -> list[tuple[int, int]]:
    found = []
    for position, first in enumerate(lessons):
        for second in lessons[position + 1 :]:
            together = (
                first.begins < second.ends and second.begins < first.ends
            )  # finding: long-step
            if together and first.day == second.day and first.room == second.room:
                found.append((first.id, second.id))
    return found


class Clashes(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return JSONResponse(clashes(await lessons_after(request, 220)))


class ClashesBeside(HTTPEndpoint):
    """The same, beside the event loop."""

    async def get(self, request: Request) -> Response:
        lessons = await lessons_after(request, 220)
        return JSONResponse(await run_in_threadpool(clashes, lessons))


class ClashesOfFew(HTTPEndpoint):
    """The same for as many lessons as a form has in a week."""

    async def get(self, request: Request) -> Response:
        return JSONResponse(clashes(await lessons_after(request, 40)))
