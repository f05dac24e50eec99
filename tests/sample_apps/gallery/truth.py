"""What is wrong with the gallery's endpoints."""

from ..truth import Planted

PLANTED = (
    Planted("GET /works/overview", "unused-columns", "works.py", "overview"),
    Planted("GET /works/hanging", "unused-relationship", "works.py", "hanging"),
    Planted(
        "GET /works/captions",
        "lazy-load-loop",
        "works.py",
        "captions",
        touched=("works.py", "caption"),
    ),
    Planted("GET /exhibits/search", "discarded-rows", "exhibits.py", "search"),
)

ARGUABLE = (
    # A caption needs three of the twelve columns, but the wide one among them.
    ("GET /works/captions", "unused-columns"),
)

INNOCENT = (
    "GET /works",
    "GET /works/titles",
    "GET /works/attributed",
    "GET /works/{work_id}/caption",
    "GET /rooms/{room_id}/plan",
    "GET /exhibits/find",
    "GET /exhibits/known",
    "GET /rooms/{room_id}/places",
)
