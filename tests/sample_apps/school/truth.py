"""What is wrong with the school's endpoints."""

from ..truth import Planted

PLANTED = (
    Planted("GET /forms/", "lazy-load-loop", "pages.py", "FormsPage.get"),
    Planted("GET /marks", "uncompressed-response", "pages.py", "MarksPage.get"),
    Planted("GET /board", "repeatable-response", "pages.py", "BoardPage.get"),
    Planted("GET /pupils/{pupil_id}/report", "repeated-query", "answers.py", "Report.average"),
    Planted("GET /pupils", "unbounded-list", "answers.py", "pupils"),
    Planted("GET /timetable", "slow-serialization", "answers.py", "timetable"),
    Planted("GET /archive/{year}", "slow-serialization", "answers.py", "archive_of_year"),
    Planted("GET /archive/{year}", "uncompressed-response", "answers.py", "archive_of_year"),
    Planted("GET /vocabulary/{language}", "large-response", "answers.py", "vocabulary"),
    Planted("GET /vocabulary/{language}", "uncompressed-response", "answers.py", "vocabulary"),
    Planted("GET /teachers/{teacher_id}", "blocking-call", "answers.py", "lessons_of"),
    Planted("GET /clashes", "long-step", "planning.py", "clashes"),
)

ARGUABLE: tuple[tuple[str, str], ...] = ()

INNOCENT = (
    "GET /forms/overview",
    "GET /forms/{form_id}/note",
    "GET /figures",
    "GET /pupils/{pupil_id}/averages",
    "GET /pupils/{pupil_id}/form",
    "GET /pupils/{pupil_id}/portrait",
    "GET /archive/{year}/{place}",
    "GET /subjects",
    "GET /marks.csv",
    "GET /notices",
    "POST /notices",
    "GET /teachers/{teacher_id}/plan",
    "GET /clashes/beside",
    "GET /clashes/few",
)
