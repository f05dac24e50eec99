"""Pages for people."""

from pathlib import Path

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session, selectinload
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from .models import Form
from .opened import engine_of, limit_of

templates = Jinja2Templates(Path(__file__).parent / "templates")


class FormsPage(HTTPEndpoint):
    def get(self, request: Request) -> Response:
        with Session(engine_of(request)) as session:
            chosen = select(Form).order_by(Form.id).limit(limit_of(request))
            forms = session.scalars(chosen).all()  # finding: lazy-load-loop
            return templates.TemplateResponse(request, "forms.html", {"forms": forms})


class FormsOverviewPage(HTTPEndpoint):
    def get(self, request: Request) -> Response:
        with Session(engine_of(request)) as session:
            chosen = select(Form).order_by(Form.id).limit(limit_of(request))
            forms = session.scalars(chosen.options(selectinload(Form.pupils))).all()
            return templates.TemplateResponse(request, "forms.html", {"forms": forms})


class FormNotePage(HTTPEndpoint):
    def get(self, request: Request) -> Response:
        with Session(engine_of(request)) as session:
            form = session.get(Form, request.path_params["form_id"])
            if form is None:
                raise HTTPException(404)
            return templates.TemplateResponse(request, "note.html", {"form": form})


MARKS = text(
    """
    SELECT marks.id, pupils.name, marks.subject_id, marks.points, marks.given_on
    FROM school.marks JOIN school.pupils ON pupils.id = marks.pupil_id
    WHERE marks.given_on >= :since ORDER BY marks.given_on, marks.id LIMIT :limit
    """
)


class MarksPage(HTTPEndpoint):
    def get(self, request: Request) -> Response:  # finding: uncompressed-response
        since = request.query_params["since"]
        with engine_of(request).connect() as connection:
            wanted = {"since": since, "limit": limit_of(request, most=700)}
            marks = connection.execute(MARKS, wanted).all()
        return templates.TemplateResponse(request, "marks.html", {"marks": marks})


BOARD = (
    """
    SELECT subjects.name, count(*), round(avg(points), 1)
    FROM school.marks JOIN school.subjects ON subjects.id = subject_id
    WHERE given_on > '2026-02-10' GROUP BY subjects.name
    """,
    """
    SELECT forms.name, count(*), max(points) FROM school.marks
    JOIN school.pupils ON pupils.id = pupil_id JOIN school.forms ON forms.id = form_id
    WHERE given_on > '2026-03-01' GROUP BY forms.name
    """,
    "SELECT room, count(*), min(begins) FROM school.lessons WHERE day = 1 GROUP BY room",
    "SELECT subject, count(*), max(name) FROM school.teachers GROUP BY subject",
    "SELECT title, id, text FROM school.notices ORDER BY id DESC LIMIT 60",
)


def sections(connection: Connection) -> list[list[tuple[object, ...]]]:
    """The parts of a page of figures, each with rows of three."""
    return [[tuple(row) for row in connection.execute(text(statement))] for statement in BOARD]


class BoardPage(HTTPEndpoint):
    def get(self, request: Request) -> Response:  # finding: repeatable-response
        with engine_of(request).connect() as connection:
            parts = sections(connection)
        return templates.TemplateResponse(request, "board.html", {"sections": parts})


class FiguresPage(HTTPEndpoint):
    def get(self, request: Request) -> Response:
        with engine_of(request).connect() as connection:
            parts = sections(connection)
        kept = {"cache-control": "public, max-age=300"}
        return templates.TemplateResponse(request, "board.html", {"sections": parts}, headers=kept)
