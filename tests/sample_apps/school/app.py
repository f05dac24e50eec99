"""The school's site."""

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from . import answers, pages, planning
from .opened import lifespan

forms = [
    Route("/", pages.FormsPage),
    Route("/overview", pages.FormsOverviewPage),
    Route("/{form_id:int}/note", pages.FormNotePage),
]
pupils = [
    Route("/{pupil_id:int}/report", answers.Report),
    Route("/{pupil_id:int}/averages", answers.Averages),
    Route("/{pupil_id:int}/form", answers.form_of_pupil),
    Route("/{pupil_id:int}/portrait", answers.portrait),
]
app = Starlette(
    lifespan=lifespan,
    routes=[
        Mount("/forms", routes=forms),
        Route("/pupils", answers.pupils),
        Mount("/pupils", routes=pupils),
        Route("/marks", pages.MarksPage),
        Route("/marks.csv", answers.marks_file),
        Route("/board", pages.BoardPage),
        Route("/figures", pages.FiguresPage),
        Route("/timetable", answers.timetable),
        Route("/archive/{year:int}", answers.archive_of_year),
        Route("/archive/{year:int}/{place:int}", answers.archived_record),
        Route("/teachers/{teacher_id:int}", answers.Teacher),
        Route("/teachers/{teacher_id:int}/plan", answers.TeacherPlan),
        Route("/subjects", answers.subjects),
        Route("/vocabulary/{language}", answers.vocabulary),
        Route("/notices", answers.Notices),
        Route("/clashes", planning.Clashes),
        Route("/clashes/beside", planning.ClashesBeside),
        Route("/clashes/few", planning.ClashesOfFew),
    ],
)
