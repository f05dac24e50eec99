from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unslow.model.workload import LeftOut, Request
from unslow.prove.workload.recorded import (
    RecordedMissingError,
    RecordedUnwritableError,
    Written,
    read,
    recorded_plan,
    write_recorded,
)
from unslow.prove.workload.request_file import RequestFileError
from unslow.record.exchanges import Exchanged, write_part

LINE: dict[str, Any] = {
    "format": 1,
    "method": "POST",
    "route": "/a/{b}",
    "target": "/a/1?c=2",
    "headers": [["host", "test"], ["cookie", "s=1"], ["x-a", "\xe4"]],
    "body": "AAFi",
    "status": 201,
    "sent_count": 3,
    "test": "test.py::test_a",
}


def sent(target: str = "/a", status: int = 200, **more: Any) -> Exchanged:
    return Exchanged(
        more.get("method", "GET"),
        more.get("route", "/a"),
        target,
        more.get("headers", ()),
        more.get("body", b""),
        status,
        more.get("label", ""),
    )


def written(folder: Path, *parts: list[Exchanged]) -> tuple[Written, list[dict[str, Any]]]:
    files = [folder / f"{number}.part" for number in range(len(parts))]
    for file, part in zip(files, parts, strict=True):
        write_part(file, part)
    file = folder / "recorded.jsonl"
    result = write_recorded(file, files)
    lines = file.read_text().splitlines() if file.exists() else []
    return result, [json.loads(line) for line in lines]


def test_a_file_has_a_line_for_each_request_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    one = sent("/a/1?c=2", 201, method="POST", route="/a/{b}", body=b"\x00\x01b", label="t.py::a")

    result, lines = written(tmp_path, [one._replace(headers=(("x-a", "\xe4"),))])

    assert Written(requests_count=1, sent_count=1, left_out_count=0) == result
    expected = {"headers": [["x-a", "\xe4"]], "sent_count": 1, "test": "t.py::a"}
    assert [{**LINE, **expected}] == lines
    assert 0o600 == (tmp_path / "recorded.jsonl").stat().st_mode & 0o777
    assert {"0.part", "recorded.jsonl"} == {path.name for path in tmp_path.iterdir()}


def test_requests_that_are_the_same_stand_there_once_over_all_processes(tmp_path: Path) -> None:
    result, lines = written(
        tmp_path,
        [sent("/a", label="first"), sent("/b"), sent("/a", label="second")],
        [sent("/a", label="third"), sent("/a", body=b"x"), sent("/a", headers=(("b", "c"),))],
    )

    assert Written(requests_count=4, sent_count=6, left_out_count=0) == result
    assert [("/a", 3, "first"), ("/b", 1, "")] == [
        (line["target"], line["sent_count"], line["test"]) for line in lines[:2]
    ]


def test_of_the_same_requests_one_that_was_answered_well_stands_for_all(tmp_path: Path) -> None:
    _, lines = written(tmp_path, [sent(status=status) for status in (404, 0, 200, 500, 204)])

    assert [(200, 5)] == [(line["status"], line["sent_count"]) for line in lines]


def test_headers_of_one_connection_are_not_written_and_do_not_tell_requests_apart(
    tmp_path: Path,
) -> None:
    of_the_connection = (
        ("Connection", "keep-alive, X-Hop"),
        ("x-hop", "1"),
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "secret"),
        ("unslow", "secret.1.baseline"),
    )

    _, lines = written(
        tmp_path, [sent(headers=(("a", "b"), *of_the_connection)), sent(headers=(("a", "b"),))]
    )

    assert [([["a", "b"]], 2)] == [(line["headers"], line["sent_count"]) for line in lines]


def test_a_request_whose_body_was_too_long_is_counted_and_left_out(tmp_path: Path) -> None:
    result, lines = written(tmp_path, [sent("/a", body=None), sent("/b")])

    assert Written(requests_count=1, sent_count=2, left_out_count=1) == result
    assert ["/b"] == [line["target"] for line in lines]


def test_a_file_is_replaced_whole_but_not_by_nothing(tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    file.write_text("old\n")
    file.chmod(0o644)

    assert (0, 0, 0) == write_recorded(file, [])
    assert "old\n" == file.read_text()

    written(tmp_path, [sent()])
    assert "old" not in file.read_text()
    assert 0o600 == file.stat().st_mode & 0o777


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    write_part(tmp_path / "a.part", [sent()])
    (tmp_path / "folder.jsonl").mkdir()

    with pytest.raises(RecordedUnwritableError, match="Give a file that can be written"):
        write_recorded(tmp_path / "folder.jsonl", [tmp_path / "a.part"])

    assert {"a.part", "folder.jsonl"} == {path.name for path in tmp_path.iterdir()}


def test_a_line_becomes_a_request_without_the_host_of_the_tests() -> None:
    plan = read(json.dumps(LINE), "recorded.jsonl")

    assert (
        Request(
            "POST",
            "/a/1?c=2",
            (("cookie", "s=1"), ("x-a", "\xe4")),
            b"\x00\x01b",
            source="test.py::test_a",
            route="/a/{b}",
            times_count=3,
        ),
    ) == plan.requests
    assert () == plan.left_out


def test_no_body_is_none_and_a_request_of_no_test_names_its_line() -> None:
    plan = read("\n" + json.dumps({**LINE, "body": "", "test": ""}), "recorded.jsonl")

    assert [(None, "recorded.jsonl:2")] == [(one.body, one.source) for one in plan.requests]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": 422}, "it was answered with 422 when it was recorded"),
        ({"status": 0}, "it had no answer when it was recorded"),
        ({"method": "MAKE"}, "the method is none that is sent"),
    ],
)
def test_what_is_not_sent_again_is_told_once_with_the_reason(
    change: dict[str, Any], why: str
) -> None:
    line = json.dumps({**LINE, **change})

    plan = read(f"{line}\n{line}\n", "recorded.jsonl")

    assert () == plan.requests
    assert (LeftOut(change.get("method", "POST"), "/a/{b}", why),) == plan.left_out


def test_what_was_written_is_read_from_the_file(tmp_path: Path) -> None:
    written(tmp_path, [sent("/a?b=%20", label="t.py::a"), sent("/c", 404)])

    plan = recorded_plan(tmp_path / "recorded.jsonl")

    assert ["/a?b=%20"] == [one.target for one in plan.requests]
    assert 1 == len(plan.left_out)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        json.dumps({**LINE, "format": 2}),
        json.dumps({**LINE, "body": "secret!"}),
        json.dumps({**LINE, "status": "201"}),
        json.dumps({**LINE, "headers": [["secret"]]}),
        json.dumps({name: value for name, value in LINE.items() if name != "target"}),
    ],
)
def test_a_line_that_is_none_is_an_error_that_names_it_and_shows_no_value(line: str) -> None:
    with pytest.raises(RequestFileError, match=r"^recorded\.jsonl:2: got ") as caught:
        read(f"{json.dumps(LINE)}\n{line}\n", "recorded.jsonl")

    assert "secret" not in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RecordedMissingError, match="pytest --unslow-record"):
        recorded_plan(tmp_path / "recorded.jsonl")
