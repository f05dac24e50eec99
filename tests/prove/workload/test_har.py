import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.prove.workload.har import read
from unslow.prove.workload.request_file import METHODS, RequestFileError

URL = "https://shop.example/users?limit=3"


def entry(**request: Any) -> dict[str, Any]:
    return {"request": {"method": "GET", "url": URL, "headers": [], **request}}


def saved(*entries: object) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": entries}})


def test_an_entry_is_a_request_without_what_belongs_to_its_connection() -> None:
    names = [":method", "accept", "cookie", "Host", "content-length", "Connection", "authorization"]

    (request,) = read(
        saved(
            entry(
                method="POST",
                headers=[{"name": name, "value": f"of {name}"} for name in names],
                cookies=[{"name": "session", "value": "1"}],
                postData={"mimeType": "application/json", "text": '{"ä": 1}'},
            )
        ),
        "shop.har",
    )

    assert ("POST", "https://shop.example", "/users?limit=3") == (
        request.method,
        request.origin,
        request.target,
    )
    assert (("accept", "of accept"), ("authorization", "of authorization")) == request.headers
    assert '{"ä": 1}'.encode() == request.body
    assert "shop.har entry 1" == request.source


@pytest.mark.parametrize(
    ("posted", "body"),
    [
        ({"text": base64.b64encode(b"\x00\xff").decode(), "encoding": "base64"}, b"\x00\xff"),
        (
            {"params": [{"name": "a", "value": "1 2"}, {"name": "b", "value": "ä"}]},
            b"a=1+2&b=%C3%A4",
        ),
        ({"mimeType": "text/plain", "text": ""}, None),
        ({"text": "\ud83d"}, b"?"),
    ],
)
def test_a_body_comes_as_text_as_base64_or_as_fields(
    posted: dict[str, Any], body: bytes | None
) -> None:
    (request,) = read(saved(entry(method="POST", postData=posted)), "shop.har")

    assert body == request.body


def test_what_a_page_loads_to_be_drawn_is_left_out() -> None:
    drawn = [
        entry() | {"_resourceType": "script"},
        entry() | {"_resourceType": "websocket"},
        entry() | {"response": {"content": {"mimeType": "image/png"}}},
        entry() | {"response": {"content": {"mimeType": "text/css"}}},
    ]
    asked = [
        entry() | {"_resourceType": "xhr"},
        entry() | {"response": {"content": {"mimeType": "application/json"}}},
        entry(),
    ]

    requests = read(saved(*drawn, *asked), "shop.har")

    assert [5, 6, 7] == [int(request.source.rpartition(" ")[2]) for request in requests]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"log":\n {"entries": [}', "shop.har:2: got what is no JSON"),
        ("[" * 100_000, "shop.har:1: got what is no JSON"),
        ('{"openapi": "3.1.0"}', "shop.har:1: got JSON without log.entries; wanted a HAR"),
        (saved(entry(), {}), "shop.har entry 2: got no request"),
        (
            saved(entry(method="FETCH")),
            "shop.har entry 1: got the method 'FETCH'; wanted one of GET",
        ),
        (saved(entry(url="data:secret")), "shop.har entry 1: got the url"),
        (saved(entry(headers={"a": "b"})), "shop.har entry 1: got headers that are no list"),
        (
            saved(entry(postData={"text": "ä", "encoding": "base64"})),
            "shop.har entry 1: got a body that is no base64",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text: str, says: str) -> None:
    with pytest.raises(RequestFileError) as error:
        read(text, "shop.har")

    assert str(error.value).startswith(says)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.sampled_from(METHODS),
    st.lists(st.tuples(TEXT.filter(lambda name: name[:1] == "x"), TEXT), max_size=3),
    st.binary(min_size=1),
)
def test_a_saved_request_is_read_as_it_was(
    method: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    (request,) = read(
        saved(
            entry(
                method=method,
                headers=[{"name": name, "value": value} for name, value in headers],
                postData={"text": base64.b64encode(body).decode(), "encoding": "base64"},
            )
        ),
        "shop.har",
    )

    assert (method, tuple(headers), body) == (request.method, request.headers, request.body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON, JSON, JSON)
def test_any_json_is_either_read_or_refused_in_words(one: Any, other: Any, third: Any) -> None:
    for text in (
        json.dumps(one),
        saved(one, other),
        saved(entry(headers=one, postData=other, url=third)),
    ):
        with suppress(RequestFileError):
            read(text, "shop.har")
