"""What the newspaper is asked for."""

from collections.abc import Iterator
from itertools import chain

from ..call import COMPRESSING, PLAIN, Call, calls, spread
from .data import AUTHORS_COUNT, SECTIONS

MANY = (150, 250, 350)
ROWS = (200, 300, 400)
WHOLE = (500, 550, 600)


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_articles(), _sections(), _people(), _front()))


def _articles() -> Iterator[Call]:
    for name in ("feed", "wire", "ticker"):
        yield from calls(f"GET /articles/{name}", query="limit={limit}", limit=MANY)
    yield from calls("GET /articles/brief", query="limit={limit}", limit=(4, 8, 12))
    yield from calls("GET /articles/raw", query="limit={limit}", limit=(30, 60, 120))
    yield from calls(
        "GET /articles/{section}/mirror", query="limit={limit}", section=SECTIONS, limit=MANY
    )


def _sections() -> Iterator[Call]:
    for name, headers in (("", COMPRESSING), ("/plain", PLAIN)):
        yield from calls(
            f"GET /sections/{{section}}{name}",
            query="limit={limit}",
            headers=headers,
            section=SECTIONS,
            limit=WHOLE,
        )
    yield from calls("GET /index/{section}", section=SECTIONS)
    yield from calls("GET /index/{section}/lines", headers=PLAIN, section=SECTIONS)


def _people() -> Iterator[Call]:
    for name in ("", "/rows"):
        yield from calls(f"GET /authors{name}", query="limit={limit}", limit=(300, 400, 500))
    yield from calls("GET /authors/{author_id}", author_id=spread(1, AUTHORS_COUNT))
    for name, sizes in (("", ROWS), ("/document", ROWS), ("/rows", ROWS), ("/first", (5, 10, 20))):
        yield from calls(
            f"GET /articles/{{article_id}}/comments{name}",
            query="limit={limit}",
            article_id=range(1, 20),
            limit=sizes,
        )


def _front() -> Iterator[Call]:
    for route in ("/front", "/front/public", "/front/tagged", "/front/now", "/status"):
        yield from calls(f"GET {route}")
    yield from calls("GET /sitemap.txt")
    yield from calls("GET /front/since", query="least={least}", least=(0, 500, 1000, 2000))
    for number in range(14):
        headers = (*COMPRESSING, ("x-reader", f"reader-{number}"))
        yield from calls("GET /front/mine", 1, headers=headers)
