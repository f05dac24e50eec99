from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.prove.workload.access_log import is_entry, read
from unslow.prove.workload.request_file import RequestFileError

FORMATS = {
    "common": '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "{} HTTP/1.0" {} 2326',
    "combined": (
        '10.0.0.1 - - [24/Jul/2026:05:00:00 +0000] "{} HTTP/1.1" {} 12 "https://x.example/"'
        ' "Mozilla/5.0 (X11) \\"quoted\\""'
    ),
    "uvicorn": 'INFO:     127.0.0.1:52344 - "{} HTTP/1.1" {} OK',
    "uvicorn in colours": (
        '\x1b[32mINFO\x1b[0m:     127.0.0.1:5 - "\x1b[1m{} HTTP/1.1\x1b[0m" \x1b[32m{} OK\x1b[0m'
    ),
    "gunicorn with uvicorn": '[2026-07-24 05:00:00 +0000] [7] [INFO] ::1:5 - "{} HTTP/1.1" {}',
    "hypercorn": '[2026-07-24 05:00:00 +0000] [7] [INFO] 127.0.0.1:5 - - [t] "{} 2" {} 4 "-" "x"',
    "docker": 'web-1  | INFO:     [::1]:5 - "{} HTTP/1.1" {} OK\r',
}


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_line_of_each_server_is_read(form: str) -> None:
    (request,) = read(form.format("GET /users?limit=3", 200), "a.log")

    assert ("GET", "/users?limit=3", "a.log:1") == (request.method, request.target, request.source)


def test_only_what_can_be_sent_again_and_was_answered_well_is_taken_most_frequent_first() -> None:
    asked = [
        ("GET /rare", 200),
        ("POST /users", 201),
        ("GET /often?a=1", 200),
        ("GET /wp-login.php", 404),
        ("GET /often?a=1", 304),
        ("HEAD /rare", 200),
        ("GET /broken", 500),
        ("GET /elsewhere", 302),
        ("OPTIONS *", 200),
        ("GET *", 200),
        ("GET http://proxied.example/x", 200),
    ]
    lines = [FORMATS["uvicorn"].format(*one) for one in asked]
    text = "INFO:     Application startup complete.\n" + "\n".join(lines)

    requests = read(text, "a.log")

    assert [
        ("GET", "", "/often?a=1", 2, "a.log:4"),
        ("GET", "", "/rare", 1, "a.log:2"),
        ("HEAD", "", "/rare", 1, "a.log:7"),
        ("GET", "http://proxied.example", "/x", 1, "a.log:12"),
    ] == [(one.method, one.origin, one.target, one.times_count, one.source) for one in requests]


def test_what_nginx_escapes_is_sent_as_it_came() -> None:
    (request,) = read(FORMATS["combined"].format("GET /a\\x22b", 200), "a.log")

    assert "/a%22b" == request.target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\nINFO: started\n", "a.log:2: neither this line nor a later one tells of a request"),
        ("", "a.log:1: neither this line"),
        (FORMATS["common"].format("POST /x", 200), "a.log: none of its 1 requests is a GET"),
    ],
)
def test_a_log_that_gives_nothing_is_said(text: str, says: str) -> None:
    with pytest.raises(RequestFileError) as error:
        read(text, "a.log")

    assert str(error.value).startswith(says)


TARGETS = st.text("abc/%?&=.-_~", max_size=5).map("/{}".format)


@given(st.lists(st.tuples(st.sampled_from(sorted(FORMATS)), TARGETS), min_size=1, max_size=30))
def test_every_line_is_counted_once(lines: list[tuple[str, str]]) -> None:
    text = "\n".join(FORMATS[form].format(f"GET {target}", 200) for form, target in lines)

    requests = read(text, "a.log")

    counts = Counter(target for _, target in lines)
    assert counts == {one.target: one.times_count for one in requests}
    assert [one.times_count for one in requests] == sorted(counts.values(), reverse=True)


def test_other_lines_are_no_entries() -> None:
    assert not is_entry('INFO: "GET /x HTTP/1.1" failed')
