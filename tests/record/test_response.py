"""What is noted of the two heads of an exchange, and of a body where answers are compared."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unslow.model.codec import dumps, trace_of
from unslow.model.trace import Response
from unslow.record.finish import finished
from unslow.record.lanes import unwatch_all
from unslow.record.middleware import TraceMiddleware
from unslow.record.recorder import Recorder
from unslow.record.response import response_of

Headers = list[tuple[bytes, bytes]]
SECRET = b"hunter2hunter2"


def said(asked: Headers | None = None, answered: Headers | None = None, **scope: Any) -> Response:
    packed = response_of({"headers": asked or [], **scope}, answered or [])
    assert packed is not None
    return Response(*packed)


def test_where_no_head_was_sent_there_is_no_response() -> None:
    assert response_of({"headers": []}, None) is None


def test_of_a_bare_exchange_nothing_is_known() -> None:
    assert said() == Response("", False, False, False, False, False, "")


def test_a_scope_may_have_no_headers() -> None:
    assert response_of({}, ()) == ("", False, False, False, False, False, "")


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (b"application/json", "application/json"),
        (b"text/html; charset=utf-8", "text/html"),
        (b"Application/JSON;charset=utf-8", "application/json"),
        (b"", ""),
        (b"\xff\xfe", "\xff\xfe"),
        (b"x/" + b"y" * 500, "x/" + "y" * 58),
    ],
)
def test_the_media_type_stands_without_its_parameters(value: bytes, content: str) -> None:
    assert said(answered=[(b"content-length", b"5"), (b"content-type", value)]).content == content


@pytest.mark.parametrize(
    ("value", "is_compressed"), [(b"gzip", True), (b"br", True), (b"identity", False)]
)
def test_an_answer_is_compressed_or_not(value: bytes, is_compressed: bool) -> None:
    assert said(answered=[(b"content-encoding", value)]).is_compressed == is_compressed


@pytest.mark.parametrize(
    ("values", "accepts"),
    [
        ([b"gzip, deflate, br"], True),
        ([b"zstd"], True),
        ([b"br;q=1.0"], True),
        ([b"identity"], False),
        ([b""], False),
        ([], False),
        ([b"gzip", b"identity"], True),
    ],
)
def test_a_client_takes_compressed_answers_or_not(values: list[bytes], accepts: bool) -> None:
    asked = [(b"accept-encoding", value) for value in values]

    assert said(asked).accepts_compression == accepts


@pytest.mark.parametrize(
    ("name", "value", "has_validator"),
    [
        (b"etag", b'W/"1"', True),
        (b"last-modified", b"Wed, 21 Oct 2015 07:28:00 GMT", True),
        (b"expires", b"Wed, 21 Oct 2015 07:28:00 GMT", True),
        (b"cache-control", b"public, max-age=60", True),
        (b"cache-control", b"no-store", False),
        (b"cache-control", b"no-cache", False),
        (b"cache-control", b"private, no-cache", False),
        (b"cache-control", b"max-age=0, no-cache, no-store, must-revalidate, private", False),
        (b"vary", b"cookie", False),
    ],
)
def test_an_answer_says_how_long_it_stays_the_same_or_not(
    name: bytes, value: bytes, has_validator: bool
) -> None:
    assert said(answered=[(name, value)]).has_validator == has_validator


@pytest.mark.parametrize("order", [1, -1])
def test_an_etag_beside_no_cache_is_one(order: int) -> None:
    answered = [(b"etag", b'"1"'), (b"cache-control", b"no-cache")][::order]

    assert said(answered=answered).has_validator


@pytest.mark.parametrize(
    ("name", "is_personal"),
    [
        (b"authorization", True),
        (b"cookie", True),
        (b"x-api-key", True),
        (b"accept", False),
        (b"user-agent", False),
    ],
)
def test_a_request_is_somebodys_own_or_anybodys(name: bytes, is_personal: bool) -> None:
    assert said([(b"host", b"x"), (name, b"y"), (b"accept", b"*/*")]).is_personal == is_personal


@pytest.mark.parametrize(("query", "has_query"), [(b"", False), (b"page=2", True)])
def test_a_request_has_a_query_or_none(query: bytes, has_query: bool) -> None:
    assert said(query_string=query).has_query == has_query


NAMES = st.sampled_from(
    [
        b"accept-encoding",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"cookie",
        b"etag",
        b"expires",
        b"last-modified",
        b"set-cookie",
        b"x-api-key",
    ]
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=20))),
    st.lists(st.tuples(NAMES, st.binary(max_size=20))),
)
def test_no_value_of_a_header_or_a_query_is_kept(asked: Headers, answered: Headers) -> None:
    planted = [(name, SECRET + value) for name, value in asked]
    scope = {"headers": planted, "query_string": SECRET}
    packed = response_of(scope, [(name, value + SECRET) for name, value in answered], 7)

    assert SECRET not in dumps(packed)


class Exchanged:
    """Requests to an app that answers with the bodies that it is given, in parts."""

    def __init__(self, *, comparing: bool) -> None:
        self.recorder = Recorder()
        self.recorder.recording = True
        self.recorder.comparing = comparing

    def digest(self, *parts: bytes) -> str:
        """Of the answer that is made of these parts."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            pass

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        try:
            asyncio.run(TraceMiddleware(app, self.recorder)(scope, receive, send))
        finally:
            unwatch_all()
        response = trace_of(finished(self.recorder.closed.pop())).response
        assert response is not None
        return response.digest


def test_equal_bodies_have_equal_digests_however_they_were_cut() -> None:
    exchanged = Exchanged(comparing=True)
    digests = {
        exchanged.digest(SECRET),
        exchanged.digest(SECRET[:3], SECRET[3:]),
        exchanged.digest(b"", *(bytes([one]) for one in SECRET)),
    }

    assert len(digests) == 1
    assert {8} == {len(one) for one in digests}


def test_other_bodies_have_other_digests() -> None:
    exchanged = Exchanged(comparing=True)
    bodies = [(), (b"a",), (b"b",), (b"a", b"b"), (b"b", b"a")]

    assert len({exchanged.digest(*parts) for parts in bodies}) == len(bodies)


def test_where_nobody_compares_there_are_no_digests() -> None:
    assert Exchanged(comparing=False).digest(b"body") == ""


def test_headers_that_cannot_be_read_are_not_noted_and_do_not_reach_the_app() -> None:
    recorder = Recorder()
    recorder.recording = True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [b"no pair"]})
        await send({"type": "http.response.body"})

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    try:
        asyncio.run(TraceMiddleware(app, recorder)(scope, send, send))  # type: ignore[arg-type]  # it is not asked
    finally:
        unwatch_all()

    assert trace_of(finished(recorder.closed.pop())).response is None
