from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unslow.record.exchanges import (
    Exchanged,
    exchanges,
    left_parts,
    part_file,
    parts_of,
    read_part,
    write_part,
)
from unslow.record.middleware import TraceMiddleware
from unslow.record.recorder import Recorder

pytestmark = pytest.mark.anyio

ONE = Exchanged("POST", "/a/{b}", "/a/1?c=2", (("x-a", "ä"),), b"\x00body", 201, "test.py::test")


@pytest.fixture(autouse=True)
def _switched_on() -> Iterator[None]:
    exchanges.is_counting = exchanges.is_keeping = True
    yield
    exchanges.stop()


def scope(**more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": "/items/ä 1",
        "raw_path": b"/items/%C3%A4%201",
        "query_string": b"a=1&b=%20",
        "headers": [(b"x-token", b"t")],
        **more,
    }


async def reads_all(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def ask(app: Any, *chunks: bytes, **more: Any) -> list[Any]:
    """Sends a body in chunks; what the app has answered."""
    recorder = Recorder()
    recorder.recording = True
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]
    answered: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        answered.append(message)

    await TraceMiddleware(app, recorder)(scope(**more), receive, send)
    return answered


async def test_request_line_headers_body_and_status_are_kept() -> None:
    exchanges.label = "test.py::test_a"

    await ask(reads_all, b"one, ", b"", b"two")

    (kept,) = exchanges.take()
    assert "POST" == kept.method
    assert "/items/%C3%A4%201?a=1&b=%20" == kept.target
    assert (("x-token", "t"),) == kept.headers
    assert b"one, two" == kept.body
    assert 201 == kept.status
    assert "test.py::test_a" == kept.label


@pytest.mark.parametrize(
    ("parts", "target"),
    [
        ({"query_string": b""}, "/items/%C3%A4%201"),
        ({"raw_path": b"/a%2Fb?a=1&b=%20"}, "/a%2Fb?a=1&b=%20"),
        ({"raw_path": None}, "/items/%C3%A4%201?a=1&b=%20"),
        ({"raw_path": None, "path": "/100%"}, "/100%25?a=1&b=%20"),
    ],
)
async def test_the_target_is_what_stood_in_the_request_line(
    parts: dict[str, Any], target: str
) -> None:
    await ask(reads_all, b"", **parts)

    assert [target] == [kept.target for kept in exchanges.take()]


async def test_what_the_app_writes_on_its_scope_does_not_change_what_was_sent() -> None:
    async def rewrites(scope: Any, receive: Any, send: Any) -> None:
        scope["headers"].append((b"x-made", b"here"))
        scope.update(method="GET", path="/other", raw_path=b"/other", query_string=b"")
        await reads_all(scope, receive, send)

    await ask(rewrites, b"")

    (kept,) = exchanges.take()
    assert ("POST", (("x-token", "t"),)) == (kept.method, kept.headers)
    assert kept.target.startswith("/items/")


async def test_of_a_body_above_the_bound_nothing_is_kept_and_the_app_gets_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchanges, "bound_bytes", 4)
    sizes = []

    async def counts(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]

    await ask(counts, b"abc", b"d")
    await ask(counts, b"abc", b"de", b"f")

    assert [3, 1, 3, 2, 1] == sizes
    assert [b"abcd", None] == [kept.body for kept in exchanges.take()]


async def test_a_request_that_gets_no_answer_is_kept_with_status_0() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await ask(fails, b"")

    assert [0] == [kept.status for kept in exchanges.take()]


async def test_where_values_were_not_asked_for_requests_are_only_counted() -> None:
    exchanges.is_keeping = False
    exchanges.label = "test.py::test_a"

    await ask(reads_all, b"secret")

    assert ["test.py::test_a"] == list(exchanges.begun)
    assert [] == exchanges.take()


async def test_where_nothing_was_asked_for_nothing_is_noted() -> None:
    exchanges.is_counting = False

    await ask(reads_all, b"secret")

    assert not exchanges.begun
    assert not exchanges.take()


@pytest.mark.parametrize(
    "odd", [{"path": None, "raw_path": None}, {"query_string": 7}, {"headers": [(b"a", 7)]}]
)
async def test_what_cannot_be_kept_reaches_the_app_and_switches_the_keeping_off(
    odd: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert [201] == [one["status"] for one in (await ask(reads_all, b"", **odd))[:1]]

    assert "unslow keeps no more requests" in caplog.records[0].message
    assert exchanges.trouble
    assert not exchanges.is_keeping
    assert not exchanges.take()


async def test_a_message_of_the_server_that_is_odd_reaches_the_app(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert 7 == (await receive())["body"]

    await ask(app, 7)  # type: ignore[arg-type]  # no server sends this

    assert "TypeError" == exchanges.trouble


@pytest.mark.parametrize(
    ("body", "kept_count"), [(b"", 10_000), (bytes(2**20), 65)], ids=["many", "large"]
)
def test_what_nobody_takes_is_bounded_and_what_is_not_kept_is_counted(
    body: bytes, kept_count: int
) -> None:
    for _ in range(kept_count + 3):
        exchanges.keep(ONE._replace(body=body))

    assert 3 == exchanges.dropped_count
    assert kept_count == len(exchanges.take())
    exchanges.keep(ONE)
    assert [ONE] == exchanges.take()


def test_a_part_comes_back_as_it_was_written_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    part = part_file(tmp_path, "a run")

    write_part(part, [ONE])
    write_part(part, [ONE._replace(body=None), ONE])

    assert [ONE, ONE._replace(body=None), ONE] == list(read_part(part))
    assert 0o600 == part.stat().st_mode & 0o777


@pytest.mark.parametrize("missing_bytes", [1, 10, 40])
def test_what_a_process_could_not_write_to_its_end_is_left_out(
    missing_bytes: int, tmp_path: Path
) -> None:
    part = part_file(tmp_path, "a run")
    write_part(part, [ONE, ONE])

    os.truncate(part, part.stat().st_size - missing_bytes)

    assert [ONE] == list(read_part(part))


def test_the_parts_of_a_run_are_found_among_those_of_others(tmp_path: Path) -> None:
    mine, other = part_file(tmp_path, "a run"), part_file(tmp_path, "another run")
    write_part(mine, [ONE])
    write_part(other, [ONE])

    assert [mine] == parts_of(tmp_path, "a run")


def test_old_parts_of_processes_that_are_gone_are_left(tmp_path: Path) -> None:
    mine = part_file(tmp_path, "a run")
    stem = mine.name.removesuffix(".part").rpartition("-")[0]
    # No process can have a number above the largest.
    gone, young = (tmp_path / f"{stem}-{2**22 + number}.part" for number in (1, 2))
    for part in (mine, gone, young):
        write_part(part, [ONE])
    for part in (mine, gone):
        os.utime(part, (0, 0))

    assert [gone] == left_parts(tmp_path)
