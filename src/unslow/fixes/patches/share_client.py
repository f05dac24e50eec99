"""Keeps one HTTP client for all requests, in place of one for each.

Changes: the client is made when the app starts, and closed when it ends; endpoints use it.
Does not pay: where a service is asked once an hour; its connection is closed by then. And a client
that keeps cookies or credentials of a single user must not be shared.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import libcst as cst

from ...model.proof import Arm
from .advice import told, where
from .clients import AIOHTTP, HTTPX, REQUESTS, VERBS, Client, Clients
from .names import Names
from .patch import CannotWriteError, Patch, Subject
from .source import Source, within

_FIX: Final = "share-client"
_LIFESPAN: Final = """\
@asynccontextmanager
async def lifespan(app):
    async with {made} as app.state.client:
        yield

app = FastAPI(lifespan=lifespan)  # endpoints: request.app.state.client"""
_MADE: Final = {
    HTTPX: "httpx.AsyncClient(...)",
    AIOHTTP: "aiohttp.ClientSession(...)",
}
_OF_MODULE: Final = "session = requests.Session()  # once, at the top of the module"


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The client of the app."""
    found = _found(subject)
    is_plain = found is not None and found.client.library == REQUESTS
    return (Arm(_FIX, "session.get(...)" if is_plain else "request.app.state.client"),)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says where the client is made, and where it belongs: how the app starts its author knows."""
    place = subject.finding.place
    found = _found(subject)
    library = "" if found is None else found.client.library
    made = "" if found is None or not found.line else f"; it is made on line {found.line}"
    own = (
        "; each call of the library's own functions makes one"
        if found is not None and found.client.is_module
        else made
    )
    if library == REQUESTS:
        return Patch(
            advice=told(
                f"{where(place)}, calls with a client of this request alone{own}.",
                "use one `Session` for all; threads may use it side by side as long as nobody"
                " changes its headers or cookies.",
                _COOKIES,
                code=_OF_MODULE,
            )
        )
    return Patch(
        advice=told(
            f"{where(place)}, calls with a client of this request alone{own}.",
            "make it when the app starts, with the same arguments, and close it when the app ends.",
            _COOKIES,
            code=_LIFESPAN.format(made=_MADE.get(library, _MADE[HTTPX])),
        )
    )


_COOKIES: Final = (
    "it also keeps cookies: what belongs to one user goes with the call, as a header, and not into"
    " the client."
)


class _Found(NamedTuple):
    client: Client
    line: int
    """Where it is made; 0 where that is not seen."""


def _found(subject: Subject) -> _Found | None:
    """The client of the finding's line; None where it is not seen."""
    place = subject.finding.place
    text = None if place is None else subject.read(place.path)
    if place is None or text is None:
        return None
    try:
        source = Source(place.path, text)
        statement = source.statement_at(place.line, place.function)
    except CannotWriteError:
        return None
    clients = Clients(source, Names(source, subject.read))
    for one in within(statement):
        if isinstance(one, cst.Call) and isinstance(one.func, cst.Attribute):
            client = clients.of_call(one) if one.func.attr.value in VERBS else None
            if client is not None:
                made = client.made
                return _Found(client, 0 if made is None else source.line_of(source.span(made)[0]))
    return None
