import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.model.workload import Headers
from unslow.prove.workload.curl import read
from unslow.prove.workload.request_file import METHODS, RequestFileError

FROM_A_BROWSER = r"""
# copied on Monday
curl 'https://shop.example/search?q=a%20b&tag\[\]=1' \
  -H 'accept: application/json' \
  -H 'content-length: 12' \
  -b 'session=1; theme=dark' \
  --data-raw $'{"q":"it\'s\u0021"}' \
  --compressed ;
curl 'https://shop.example/users/3' --globoff -H 'X-Empty;' | jq .
curl -sSL -XDELETE localhost:8000/users/3 -u alice:secret &
"""
URL = "http://127.0.0.1:8000/x"
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def test_commands_of_a_browser_are_read() -> None:
    search, user, deletion = read(FROM_A_BROWSER, "shop.curl")

    assert ("POST", "https://shop.example", "/search?q=a%20b&tag[]=1") == (
        search.method,
        search.origin,
        search.target,
    )
    assert (
        ("accept", "application/json"),
        ("Cookie", "session=1; theme=dark"),
        FORM,
    ) == search.headers
    assert b'{"q":"it\'s!"}' == search.body
    assert "shop.curl:3" == search.source
    assert ("GET", (("X-Empty", ""),), None) == (user.method, user.headers, user.body)
    assert ("DELETE", "http://localhost:8000") == (deletion.method, deletion.origin)
    assert (("Authorization", "Basic YWxpY2U6c2VjcmV0"),) == deletion.headers
    assert "shop.curl:10" == deletion.source


@pytest.mark.parametrize(
    ("options", "method", "target", "body"),
    [
        ("-d a=1 -d b=2", "POST", "/x", b"a=1&b=2"),
        ("-G -d a=1 --data-urlencode 'b=1 2'", "GET", "/x?a=1&b=1+2", None),
        ("--data-urlencode '=ä' --data-urlencode c", "POST", "/x", b"%C3%A4&c"),
        ("--data-raw @a", "POST", "/x", b"@a"),
        ("-d ''", "POST", "/x", b""),
        ("-X PUT -d a", "PUT", "/x", b"a"),
        ("-I", "HEAD", "/x", None),
        (r"--data-raw $'\xff'", "POST", "/x", b"\xff"),
        ("-o out.json -w '%{time_total}' -m 3 -k -f -i", "GET", "/x", None),
    ],
)
def test_options_say_what_is_sent(
    options: str, method: str, target: str, body: bytes | None
) -> None:
    (request,) = read(f"curl {options} {URL}", "x.sh")

    assert (method, target, body) == (request.method, request.target, request.body)


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ("-d a", (FORM,)),
        ("-d a -H 'content-type: text/plain'", (("content-type", "text/plain"),)),
        ("-d a -H 'Content-Type:'", ()),
        ("--json 1", (("Content-Type", "application/json"), ("Accept", "application/json"))),
        ("-A me -e http://x/", (("User-Agent", "me"), ("Referer", "http://x/"))),
        ("-b a=1 --cookie 'b=2'", (("Cookie", "a=1; b=2"),)),
        ("-HX-A:1 --header 'X-A: 2'", (("X-A", "1"), ("X-A", "2"))),
    ],
)
def test_options_say_which_headers_are_sent(options: str, headers: Headers) -> None:
    (request,) = read(f"curl --url {URL} {options}", "x.sh")

    assert headers == request.headers


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"curl {URL} \\\n --proxy http://y", "x.sh:2: got the option '--proxy', which is not"),
        (f"curl --secret=1 {URL}", "x.sh:1: got the option '--secret', which is not known here"),
        (f"curl -sZ {URL}", "x.sh:1: got the option '-Z'"),
        (f"\nwget {URL}", "x.sh:2: got 'wget'; wanted a command: curl 'ADDRESS'"),
        ("curl http://x/?a=1&b=2", "x.sh:1: got 'b=2'; wanted a command: curl 'ADDRESS', its"),
        (f"curl {URL} -X", "x.sh:1: got --request as the last word"),
        (f"curl {URL} -d @body.json", "x.sh:1: got --data with a file, '@body.json'"),
        (f"curl {URL} --data-urlencode a@b", "x.sh:1: got --data-urlencode with a file"),
        (f"curl {URL} -b jar.txt", "x.sh:1: got --cookie with a file"),
        (f"curl {URL} -u alice", "x.sh:1: got --user without a password"),
        (f"curl {URL} -H secret-token", "x.sh:1: got a header of 12 characters without a colon"),
        (f"curl {URL} {URL}", "x.sh:1: got 2 addresses in one command"),
        ("curl -s", "x.sh:1: got 0 addresses"),
        ("curl ftp://x/", "x.sh:1: got the address 'ftp://x/'; wanted an address"),
        (f"curl -X FETCH {URL}", "x.sh:1: got the method 'FETCH'"),
        (f'curl ^"{URL}^" ^', "x.sh:1: got the form for the prompt of Windows"),
        (f"curl {URL} > out", "x.sh:1: got 'out'"),
    ],
)
def test_what_is_not_known_is_said_with_its_line(command: str, says: str) -> None:
    with pytest.raises(RequestFileError) as error:
        read(command, "x.sh")

    assert str(error.value).startswith(says)
    assert "secret-token" not in str(error.value)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(
    st.sampled_from(METHODS),
    st.lists(st.tuples(st.from_regex(r"[xX]-[a-z]{1,5}", fullmatch=True), TEXT), max_size=3),
    st.none() | TEXT,
)
def test_a_command_is_read_as_it_was_written(
    method: str, headers: list[tuple[str, str]], body: str | None
) -> None:
    arguments = ["curl", URL, "-X", method, "-H", "Content-Type: text/plain"]
    for name, value in headers:
        arguments += ["-H", f"{name}: {value}" if value.strip() else f"{name};"]
    if body is not None:
        arguments += ["--data-raw", body]

    (request,) = read(" \\\n".join(map(shlex.quote, arguments)), "x.sh")

    kept = tuple((name, value.strip()) for name, value in headers)
    assert (("Content-Type", "text/plain"), *kept) == request.headers
    assert (method, None if body is None else body.encode()) == (request.method, request.body)
