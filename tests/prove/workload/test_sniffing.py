import gzip
import json
from pathlib import Path

import pytest

from unslow.model.workload import LeftOut
from unslow.prove.workload.request_file import RequestFileError
from unslow.prove.workload.sniffing import READERS, kind_of, read_file

HAR = json.dumps({"log": {"entries": [{"request": {"method": "GET", "url": "http://x/a"}}]}})
CURL = "# two\ncurl http://x/a"
LOG = 'INFO: started\nINFO: 127.0.0.1:5 - "GET /a HTTP/1.1" 200 OK\n'
HTTP = "@a = 1\n\nGET /a"
HOSTS = """\
GET http://b.example/1
###
GET http://a.example:8000/2
###
GET http://a.example:8000/3
###
GET /4
"""


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("x.http", "", "http"),
        ("x.REST", "", "http"),
        ("x.har", "", "har"),
        ("x.sh", "", "curl"),
        ("x.curl", "", "curl"),
        ("x.txt", HAR, "har"),
        ("x.json", HAR, "har"),
        ("x.txt", CURL, "curl"),
        ("access.log", LOG, "access log"),
        ("access.log.1", LOG, "access log"),
        ("x.txt", HTTP, "http"),
        ("x.txt", "### a title\nx", "http"),
        ("-", "/a\n", "http"),
        ("x.txt", "get /a", "http"),
    ],
)
def test_the_kind_of_a_file_is_seen_by_its_ending_or_its_content(
    name: str, text: str, kind: str
) -> None:
    assert kind == kind_of(name, text)


@pytest.mark.parametrize("text", ["", "\n\n", "name,age\nx,1", "# only a comment"])
def test_what_is_no_kind_is_said(text: str) -> None:
    with pytest.raises(RequestFileError, match=r"x\.csv begins with .*wanted is a \.http file"):
        kind_of("x.csv", text)


@pytest.mark.parametrize(
    ("name", "text"), [("x.http", HTTP), ("x.har", HAR), ("x.sh", CURL), ("x.log", LOG)]
)
def test_a_file_of_each_kind_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    (request,) = read_file(tmp_path / name).requests

    assert ("GET", "/a") == (request.method, request.target)
    assert request.source.startswith(name)


def test_every_kind_has_a_reader_for_an_empty_or_a_whole_file() -> None:
    assert {"http", "har", "curl", "access log"} == set(READERS)


def test_what_goes_to_another_host_than_most_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.http").write_text(HOSTS)

    plan = read_file(tmp_path / "x.http")

    assert ["/2", "/3", "/4"] == [request.target for request in plan.requests]
    assert (
        LeftOut("GET", "", "x.http:1 goes to http://b.example, not to http://a.example:8000"),
    ) == plan.left_out


@pytest.mark.parametrize("host", ["b.example", "B.example/", "http://b.example"])
def test_the_host_can_be_given(tmp_path: Path, host: str) -> None:
    (tmp_path / "x.http").write_text(HOSTS)

    plan = read_file(tmp_path / "x.http", host)

    assert ["/1", "/4"] == [request.target for request in plan.requests]
    assert 2 == len(plan.left_out)


def test_a_host_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "x.http").write_text(HOSTS)

    with pytest.raises(
        RequestFileError,
        match=r"no request to c; .*a\.example:8000 \(2\), http://b\.example \(1\)",
    ):
        read_file(tmp_path / "x.http", "c")


def test_a_file_of_two_hosts_as_frequent_goes_to_the_first(tmp_path: Path) -> None:
    (tmp_path / "x.http").write_text("GET http://b/1\n###\nGET http://a/2")

    assert ["/1"] == [request.target for request in read_file(tmp_path / "x.http").requests]


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    packed, empty = tmp_path / "access.log.gz", tmp_path / "x.http"
    packed.write_bytes(gzip.compress(LOG.encode()))
    empty.write_text("# nothing yet\n")

    with pytest.raises(RequestFileError, match="No such file"):
        read_file(tmp_path / "missing.http")
    with pytest.raises(RequestFileError, match="Unpack it"):
        read_file(packed)
    with pytest.raises(RequestFileError, match="holds no request"):
        read_file(empty)
