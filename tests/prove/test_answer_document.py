"""What an answer is read as."""

from __future__ import annotations

import pytest

from unslow.prove.answer_document import NOTHING, Raw, compared_headers, document

RAW = Raw("digest", 1, is_kept=True)


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b"1", 1),
        ("Application/Problem+JSON; charset=utf-8", b"1", 1),
        ("application/vnd.api+json", b'"1"', "1"),
        ("application/json", '"\u00e9"'.encode("utf-16"), "\u00e9"),
        ("text/plain", b"1", RAW),
        ("", b"1", RAW),
        ("application/json", b"x", RAW),
        ("application/json", b"\xff", RAW),
        ("application/json", b" ", RAW),
        ("application/json", b"", NOTHING),
        ("text/plain", b"", NOTHING),
        ("application/x-ndjson", b"1\n2\r\n\n3", [1, 2, 3]),
        ("application/jsonl", b"1", [1]),
        ("application/x-ndjson", b"x", RAW),
        ("text/event-stream", b":\n\n", []),
        ("text/event-stream", b"data", [{"data": ""}]),
        ("text/event-stream", b"data:  a\r\rdata:{\rdata:}\r\r", [{"data": " a"}, {"data": {}}]),
        ("text/event-stream", b"secret: 1\ndata: 1", [{"data": 1}]),
        ("text/event-stream", b"\xff", RAW),
    ],
)
def test_a_body_is_read_by_its_media_type(content_type: str, body: bytes, expected: object) -> None:
    assert document(content_type, body, "digest") == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"1.0", 1), (b"-0.0", 0), (b"1e2", 100), (b"0.5", 0.5), (b"9007199254740993", 2**53 + 1)],
)
def test_a_number_is_a_float_only_where_it_is_no_integer(text: bytes, number: float) -> None:
    found = document("application/json", text, "digest")

    assert found == number
    assert type(found) is type(number)


def test_of_headers_those_that_clients_act_on_are_compared_by_value() -> None:
    headers = {
        "Content-Type": "text/plain;  Charset=UTF-8",
        "ETag": ' "x" ',
        "X-Request-Id": "one",
        "Vary": "Origin, Accept-Encoding, accept",
        "Set-Cookie": "b=1; Path=/; Expires=Mon, 01 Jan 2031 00:00:00 GMT, a=x=y; Secure",
        "Date": "today",
        "Server": "uvicorn",
    }

    assert compared_headers(headers) == (
        ("content-type", "text/plain; charset=utf-8"),
        ("etag", '"x"'),
        ("set-cookie", "a, b"),
        ("vary", "accept, origin"),
        ("x-request-id", ""),
    )
