import string
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.model.workload import Request
from unslow.prove.workload.http_file import read
from unslow.prove.workload.request_file import METHODS, RequestFileError

SHOP = """\
# The shop, as it is on my machine.
@host = http://localhost:8000
@api = {{host}}/api

GET {{api}}/users?limit=3 HTTP/1.1
Accept: application/json
# not now: X-Debug: 1
// nor this: X-Trace: 1
Authorization: Bearer {{token}}

### One user
// @no-redirect
{{ api }}/users/3

###
@token = abc
POST {{api}}/search
Content-Type: application/json
Content-Length: 99

{"q": "{{token}}",

 "n": {"m": 1}}

> {%
  client.global.set("x", "y");
%}
###
"""


def written(requests: Sequence[Request]) -> str:
    """The requests as a `.http` file, which can hold only bodies that are texts."""
    return "\n###\n".join(map(written_one, requests))


def written_one(request: Request) -> str:
    headers = "".join(f"\n{name}: {value}" for name, value in request.headers)
    body = "" if request.body is None else f"\n\n{request.body.decode()}\n"
    return f"{request.method} {request.origin}{request.target} HTTP/1.1{headers}{body}"


def test_a_file_of_an_editor_is_read() -> None:
    users, user, search = read(SHOP, "shop.http")

    assert ("GET", "http://localhost:8000", "/api/users?limit=3") == (
        users.method,
        users.origin,
        users.target,
    )
    assert (("Accept", "application/json"), ("Authorization", "Bearer abc")) == users.headers
    assert (None, "shop.http:5", "") == (users.body, users.source, users.route)
    assert ("GET", "/api/users/3", ()) == (user.method, user.target, user.headers)
    assert ("POST", "shop.http:17") == (search.method, search.source)
    assert (("Content-Type", "application/json"),) == search.headers
    assert b'{"q": "abc",\n\n "n": {"m": 1}}' == search.body


@pytest.mark.parametrize(
    ("line", "method", "origin", "target"),
    [
        ("/users", "GET", "", "/users"),
        ("https://x.example/users HTTP/2", "GET", "https://x.example", "/users"),
        ("get /users", "GET", "", "/users"),
        ("DELETE localhost:8000/users/3", "DELETE", "http://localhost:8000", "/users/3"),
        ("HEAD shop.example?x=1", "HEAD", "http://shop.example", "/?x=1"),
        ("GET /search\n    ?q=a b\n    &n=3", "GET", "", "/search?q=a%20b&n=3"),
        ("PATCH   /users  HTTP/1.1", "PATCH", "", "/users"),
    ],
)
def test_the_first_line_may_be_written_in_many_ways(
    line: str, method: str, origin: str, target: str
) -> None:
    (request,) = read(line, "x.http")

    assert (method, origin, target) == (request.method, request.origin, request.target)


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("GET /\n###\nFETCH /x\n", "x.http:3", r"got 'FETCH /x'; wanted a method \(GET, HEAD"),
        ("GET users\n", "x.http:1", "an address that begins with /"),
        ("POST\n", "x.http:1", "got 'POST'"),
        ("\nGET /x\nsecret-token\n", "x.http:3", "a line of 12 characters below"),
        ("GET /{{nobody}}\n", "x.http:1", "@nobody = "),
        ("GET /\n\n{{ $guid }}", "x.http:3", "only an editor fills in"),
        ("@a = {{b}}\n@b = {{a}}\nGET /{{a}}", "x.http:3", r"a -> b -> a"),
        ("@a secret\nGET /", "x.http:1", "@name = value"),
        ("POST /\n\n< ./body.json", "x.http:3", "stands in another file"),
        ("< {%\n x()\nGET /", "x.http:1", "a script that does not end"),
        ("GET ws://x/y", "x.http:1", "http://"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(text: str, where: str, says: str) -> None:
    with pytest.raises(RequestFileError, match=says) as error:
        read(text, "x.http")

    assert str(error.value).startswith(f"{where}: got ")
    assert "secret" not in str(error.value)
    assert 2 == error.value.exit_code


def test_variables_given_from_elsewhere_are_used_and_those_in_the_file_win() -> None:
    (request,) = read("@b = 2\nGET /{{a}}/{{b}}", "x.http", {"a": "1", "b": "9"})

    assert "/1/2" == request.target


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("Basic alice secret", "Basic YWxpY2U6c2VjcmV0"),
        ("Basic alice:secret", "Basic YWxpY2U6c2VjcmV0"),
        ("Basic YWxpY2U6c2VjcmV0", "Basic YWxpY2U6c2VjcmV0"),
        ("Bearer a b", "Bearer a b"),
    ],
)
def test_a_password_that_stands_open_is_encoded(value: str, sent: str) -> None:
    (request,) = read(f"GET /\nAuthorization: {value}", "x.http")

    assert (("Authorization", sent),) == request.headers


def test_a_form_may_be_spread_over_lines() -> None:
    (request,) = read(
        "POST /\nContent-Type: application/x-www-form-urlencoded\n\na=1&\n  b=2\n", "x.http"
    )

    assert b"a=1&b=2" == request.body


def test_the_parts_of_a_body_are_separated_as_http_wants_it() -> None:
    (request,) = read(
        "POST /\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--",
        "x.http",
    )

    assert b"--x\r\n\r\na\r\n--x--" == request.body


def test_a_script_before_a_request_and_an_empty_block_are_passed_over() -> None:
    text = "### nothing\n\n###\n< {%\n  request.x()\n%}\nGET /a\n###\n< {% x() %}\nGET /b\n"

    assert ["/a", "/b"] == [request.target for request in read(text, "x.http")]


NAMES = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12).filter(
    lambda name: (
        name.lower()
        not in {"te", "expect", "upgrade", "trailer", "authorization", "content-type", "connection"}
    )
)
LINE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"], exclude_characters="{}"))
BODY_LINE = LINE.filter(lambda line: not line.startswith(("###", "<", ">")))
REQUESTS = st.builds(
    Request,
    method=st.sampled_from(METHODS),
    target=st.text("abc0/%?&=.-_~!$'()*+,;:@[]", max_size=20).map("/{}".format),
    headers=st.lists(st.tuples(NAMES, LINE), max_size=4).map(tuple),
    body=st.none()
    | st.lists(BODY_LINE, min_size=1, max_size=4)
    .map("\n".join)
    .filter(lambda text: text.strip() != "" and text.rstrip("\n") == text)
    .map(str.encode),
    source=st.just(""),
    origin=st.sampled_from(["", "http://localhost:8000", "https://shop.example"]),
)


def without_source(requests: Sequence[Request]) -> list[tuple[object, ...]]:
    return [
        (one.method, one.target, one.headers, one.body, one.origin, one.route) for one in requests
    ]


@given(st.lists(REQUESTS, max_size=4))
def test_what_is_written_as_a_file_is_read_as_it_was(requests: list[Request]) -> None:
    again = read(written(requests), "x.http")

    assert without_source(requests) == without_source(again)
    assert again == read(written(again), "x.http")


@given(st.text())
def test_any_text_is_either_read_or_refused_in_words(text: str) -> None:
    with suppress(RequestFileError):
        read(text, "x.http")
