"""Answers for programs."""

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from .models import Lesson, Notice
from .opened import async_engine_of, engine_of, limit_of

PNG = b"\x89PNG\r\n\x1a\n"


class PrettyJSONResponse(JSONResponse):
    """JSON that people can read too."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, indent=2, default=str).encode()


class Report(HTTPEndpoint):
    """A pupil's average in each subject."""

    async def get(self, request: Request) -> Response:
        pupil_id = int(request.path_params["pupil_id"])
        listed = text("SELECT id, name FROM school.subjects ORDER BY id LIMIT :limit")
        async with AsyncSession(async_engine_of(request)) as session:
            subjects = (await session.execute(listed, {"limit": limit_of(request)})).all()
            averages = {
                name: await self.average(session, pupil_id, subject_id)
                for subject_id, name in subjects
            }
        return JSONResponse(averages)

    async def average(self, session: AsyncSession, pupil_id: int, subject_id: int) -> float:
        query = text(
            "SELECT avg(points) FROM school.marks"
            " WHERE pupil_id = :pupil_id AND subject_id = :subject_id"
        )
        wanted = {"pupil_id": pupil_id, "subject_id": subject_id}
        found = await session.execute(query, wanted)  # finding: repeated-query
        return float(found.scalar() or 0)


class Averages(HTTPEndpoint):
    """The same with one question."""

    async def get(self, request: Request) -> Response:
        pupil_id = int(request.path_params["pupil_id"])
        query = text(
            """
            SELECT name, coalesce(avg(points), 0)
            FROM (SELECT id, name FROM school.subjects ORDER BY id LIMIT :limit) AS subject
            LEFT JOIN school.marks ON marks.subject_id = subject.id AND pupil_id = :pupil_id
            GROUP BY name
            """
        )
        wanted = {"pupil_id": pupil_id, "limit": limit_of(request)}
        async with AsyncSession(async_engine_of(request)) as session:
            rows = await session.execute(query, wanted)
        return JSONResponse({name: float(points) for name, points in rows})


TIMETABLE = text(
    "SELECT id, teacher_id, form_id, day, begins, ends, room FROM school.lessons"
    " WHERE id > :after ORDER BY id LIMIT :limit"
)


def timetable(request: Request) -> Response:  # finding: slow-serialization
    after = int(request.query_params.get("after", 0))
    with engine_of(request).connect() as connection:
        lessons = connection.execute(
            TIMETABLE, {"after": after, "limit": limit_of(request, most=600)}
        )
        return PrettyJSONResponse([dict(row) for row in lessons.mappings()])


def archive_of_year(
    request: Request,
) -> Response:  # finding: slow-serialization, uncompressed-response
    year = int(request.path_params["year"])
    query = text("SELECT document FROM school.archive WHERE year = :year")
    with engine_of(request).connect() as connection:
        document = connection.execute(query, {"year": year}).scalar_one()
    return JSONResponse(document)


def archived_record(request: Request) -> Response:
    wanted = {"year": int(request.path_params["year"]), "place": int(request.path_params["place"])}
    query = text("SELECT document -> :place AS record FROM school.archive WHERE year = :year")
    with engine_of(request).connect() as connection:
        return JSONResponse(connection.execute(query, wanted).scalar_one())


def lessons_of(engine: Engine, teacher_id: int) -> list[dict[str, Any]]:
    with Session(engine) as session:  # finding: blocking-call
        mine = session.query(Lesson).filter(Lesson.teacher_id == teacher_id).limit(40)
        lessons = mine.all()  # finding: blocking-call
        return [
            {"day": each.day, "begins": each.begins, "ends": each.ends, "room": each.room}
            for each in lessons
        ]


class Teacher(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        teacher_id = int(request.path_params["teacher_id"])
        return JSONResponse(
            {"id": teacher_id, "lessons": lessons_of(engine_of(request), teacher_id)}
        )


class TeacherPlan(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        teacher_id = int(request.path_params["teacher_id"])
        lessons = await asyncio.to_thread(lessons_of, engine_of(request), teacher_id)
        return JSONResponse({"id": teacher_id, "lessons": lessons})


PUPILS = {
    "name": text("SELECT id, name, form_id FROM school.pupils ORDER BY name"),
    "form": text("SELECT id, name, form_id FROM school.pupils ORDER BY form_id, id"),
}


def pupils(request: Request) -> Response:
    query = PUPILS[request.query_params["sort"]]
    with engine_of(request).connect() as connection:
        rows = connection.execute(query).all()  # finding: unbounded-list
    return JSONResponse([{"id": row.id, "name": row.name, "form": row.form_id} for row in rows])


def subjects(request: Request) -> Response:
    with engine_of(request).connect() as connection:
        rows = connection.execute(text("SELECT id, name FROM school.subjects ORDER BY id"))
        return JSONResponse([dict(row) for row in rows.mappings()])


def vocabulary(request: Request) -> Response:  # finding: large-response, uncompressed-response
    words = request.state.vocabulary[request.path_params["language"]]
    return PlainTextResponse("\n".join(f"{word}\t{meaning}" for word, meaning in words))


def marks_file(request: Request) -> Response:
    since = date.fromisoformat(request.query_params["since"])
    return StreamingResponse(lines_of_marks(engine_of(request), since), media_type="text/csv")


def lines_of_marks(engine: Engine, since: date) -> Iterator[str]:
    query = text(
        "SELECT id, pupil_id, subject_id, points FROM school.marks WHERE given_on >= :since"
    )
    with engine.connect().execution_options(yield_per=500) as connection:
        for part in connection.execute(query, {"since": since}).partitions(500):
            yield "".join(
                f"{key},{pupil},{subject},{points}\n" for key, pupil, subject, points in part
            )


async def portrait(request: Request) -> Response:
    """A picture that is always the same for a pupil."""
    pupil_id = int(request.path_params["pupil_id"])
    return Response(PNG + pupil_id.to_bytes(4) * 40_000, media_type="image/png")


class Notices(HTTPEndpoint):
    def get(self, request: Request) -> Response:
        after = int(request.query_params.get("after", 0))
        with Session(engine_of(request)) as session:
            later = session.query(Notice).filter(Notice.id > after).order_by(Notice.id)
            notices = later.limit(limit_of(request)).all()
            return JSONResponse(
                [{"id": each.id, "title": each.title, "text": each.text} for each in notices]
            )

    async def post(self, request: Request) -> Response:
        content = await request.json()
        async with AsyncSession(async_engine_of(request)) as session:
            notice = Notice(title=content["title"], text=content["text"])
            session.add(notice)
            await session.flush()
            notice_id = notice.id
            await session.commit()
        return JSONResponse({"id": notice_id}, 201)


async def form_of_pupil(request: Request) -> Response:
    query = text(
        "SELECT forms.id, forms.name FROM school.pupils"
        " JOIN school.forms ON forms.id = form_id WHERE pupils.id = :pupil_id"
    )
    async with async_engine_of(request).connect() as connection:
        found = await connection.execute(query, {"pupil_id": int(request.path_params["pupil_id"])})
        row = found.mappings().first()
    if row is None:
        raise HTTPException(404)
    return JSONResponse(dict(row))
