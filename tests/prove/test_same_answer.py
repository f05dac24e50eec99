"""What a fix may not change, what the app changes by itself, and what cannot be told."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.prove.workload.serving import serving
from unslow.model.workload import Exchange, Request
from unslow.prove.same_answer import (
    FEWEST_BASELINES,
    MOST_BYTES,
    Answer,
    SameAnswer,
    Sameness,
    keep_answer,
)
from unslow.prove.workload.sending import open_client, send

REQUEST = Request("GET", "/items?key=s3cret", route="/items")
JSON = {"content-type": "application/json"}
ITEMS = [
    {"id": 1, "name": "ash", "price": 1.5, "tags": ["a", "b"]},
    {"id": 2, "name": "birch", "price": 2.5, "tags": []},
    {"id": 3, "name": "cedar", "price": 3.5, "tags": ["c"]},
]
SAME = Sameness(True, "")


def exchange(
    body: object,
    headers: Mapping[str, str] = JSON,
    *,
    status: int = 200,
    request: Request = REQUEST,
    error: str = "",
) -> Exchange:
    """An answer as the sender gives it; what is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kept = keep_answer(headers, raw)
    return Exchange(
        request,
        status,
        took_ms=1.0,
        body_bytes=len(raw),
        digest=kept.digest,
        content_type=headers.get("content-type", ""),
        error=error,
        kept=kept if status < 300 and not error else None,
    )


def judged(
    before: Sequence[object],
    after: Sequence[object],
    later: Sequence[object] = (),
    *,
    headers: Mapping[str, str] = JSON,
    may_reorder: bool = False,
) -> Sameness:
    """The judgement on bodies without a fix, with it, and without it once more."""
    same = SameAnswer(may_reorder=may_reorder)
    for body in before:
        same.before(exchange(body, headers))
    for body in after:
        same.after(exchange(body, headers))
    for body in later:
        same.before(exchange(body, headers))
    return same.judged()


def judged_once(before: object, after: object, **options: Any) -> Sameness:
    """The judgement where nothing varies without the fix."""
    return judged([before] * FEWEST_BASELINES, [after], **options)


def varied(change: Callable[[Any, int], object], count: int = 5, start: int = 0) -> list[object]:
    """The items, of which each answer has something else."""
    bodies: list[object] = []
    for number in range(start, start + count):
        items = copy.deepcopy(ITEMS)
        bodies.append(change(items, number) or items)
    return bodies


def stamp(items: list[dict[str, object]], number: int) -> None:
    for item in items:
        item["updated_at"] = f"2031-01-01T00:00:00.{number:06}Z"


def test_equal_answers_are_the_same() -> None:
    assert judged([ITEMS] * 5, [ITEMS] * 3, [ITEMS] * 5) == SAME


@pytest.mark.parametrize(
    ("after", "why"),
    [
        pytest.param(ITEMS[:2], "[]: 2 items, 3 before", id="a limit on joined rows"),
        pytest.param(ITEMS[:1], "[]: 1 item, 3 before", id="one item"),
        pytest.param([*ITEMS, ITEMS[0]], "[]: 4 items, 3 before", id="a duplicate"),
        pytest.param([], "[]: 0 items, 3 before", id="no items"),
        pytest.param(ITEMS[::-1], "[]: another order", id="another order"),
        pytest.param([{**ITEMS[0], "name": None}, *ITEMS[1:]], "[].name: null in place of text"),
        pytest.param([{**ITEMS[0], "price": ""}, *ITEMS[1:]], "[].price: text in place of number"),
        pytest.param([{"id": 1}, *ITEMS[1:]], "[].name: missing, and 2 more", id="missing"),
        pytest.param([{**ITEMS[0], "sold": 1}, *ITEMS[1:]], "[].sold: added", id="added"),
        pytest.param([{**ITEMS[0], "tags": ["b", "a"]}, *ITEMS[1:]], "[].tags[]: another order"),
        pytest.param([{**ITEMS[0], "id": True}, *ITEMS[1:]], "[].id: boolean in place of number"),
        pytest.param({"items": ITEMS}, "the body: object in place of list", id="an envelope"),
        pytest.param(b"", "the body: missing", id="empty"),
        pytest.param(b"[1, 2", "the body: bytes in place of list", id="broken JSON"),
    ],
)
def test_what_only_the_fix_changes_is_a_difference(after: object, why: str) -> None:
    assert judged_once(ITEMS, after) == (False, why)


def test_removed_duplicates_are_told_by_their_number() -> None:
    twice = [ITEMS[0], ITEMS[0], ITEMS[1]]

    assert judged_once(twice, ITEMS[:2]) == (False, "[]: 2 items, 3 before, and 4 more")


def test_a_missing_item_is_told_before_what_else_differs() -> None:
    before, after = {"count": 3, "items": ITEMS}, {"count": 2, "items": ITEMS[:2]}

    assert judged_once(before, after) == (False, "items[]: 2 items, 3 before, and 1 more")


def test_one_different_answer_among_equal_ones_is_a_difference() -> None:
    assert judged([ITEMS] * 5, [ITEMS, ITEMS[:2], ITEMS]).same is False


def test_the_last_bit_of_a_number_is_a_difference() -> None:
    assert judged_once({"sum": 0.3}, {"sum": 0.1 + 0.2}) == (False, "sum: another value")


def test_the_last_bit_of_a_number_that_the_app_varies_is_none() -> None:
    sums = [{"of": 3, "sum": one} for one in (0.3, 0.1 + 0.2, 0.3, 0.3, 0.3)]

    assert judged(sums, [{"of": 3, "sum": 0.30000000000000010}]) == (
        True,
        "left out, as it varies anyway: sum",
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"[1]", b"[1.0]"),
        (b"[0]", b"[-0.0]"),
        (b"[1e-7]", b"[0.0000001]"),
        (b"[1e2]", b"[100]"),
        (b"[1e20]", b"[100000000000000000000]"),
        (b"[NaN, Infinity]", b"[NaN, 1e999]"),
        (b'{"a": NaN}', b'{"a":NaN}'),
        (b'{"a": 1, "b": [2]}', b'\xef\xbb\xbf{"b":[2],\n"a":1}'),
        ('["\u00e9"]'.encode(), b'["\\u00e9"]'),
    ],
)
def test_what_a_client_reads_as_the_same_is_the_same(one: bytes, other: bytes) -> None:
    assert judged_once(one, other) == SAME


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"[9007199254740992]", b"[9007199254740993]"),
        (b"[1]", b"[true]"),
        (b"[0]", b"[false]"),
        (b"[NaN]", b"[null]"),
        (b'["1"]', b"[1]"),
        (b'["\xc3\xa9"]', b'["e\\u0301"]'),
        (b'{"a": 1, "a": 2}', b'{"a": 2}'),
        (b"{}", b"[]"),
        (b"[[]]", b"[{}]"),
        (b'{"a": null}', b"{}"),
        (b"[1, 1, 2]", b"[1, 2, 2]"),
    ],
)
def test_what_a_client_tells_apart_is_a_difference(one: bytes, other: bytes) -> None:
    assert judged_once(one, other).same is False
    assert judged_once(other, one).same is False


@pytest.mark.parametrize(
    ("body", "how"),
    [(b'{"a": 1, "a": 2}', "another value"), (b"{'a': 1}", "another value"), (b"{", "4 bytes")],
)
def test_what_is_no_good_json_is_compared_by_its_bytes(body: bytes, how: str) -> None:
    other = body.replace(b"1", b"3").replace(b"'a'", b"'b'") if len(body) > 1 else b"{   "

    assert judged_once(body, body) == SAME
    assert how in judged_once(body, other).why


def test_json_too_deep_to_read_is_compared_by_its_bytes() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000

    assert judged_once(deep, deep) == SAME
    assert judged_once(deep, b" " + deep).same is False


def test_deep_json_is_compared() -> None:
    deep = "[1, " * 400 + "{}" + "]" * 400

    assert judged_once(deep.format(2).encode(), deep.format(2).encode()) == SAME
    assert judged_once(deep.replace("{}", "2").encode(), deep.replace("{}", "3").encode()) == (
        False,
        "..." + "[]" * 60 + ": another value",
    )


def test_times_are_left_out_and_named() -> None:
    assert judged(varied(stamp), varied(stamp, start=9)) == (
        True,
        "left out, as it varies anyway: [].updated_at",
    )


def test_a_varying_field_keeps_its_type() -> None:
    after = [{**one, "updated_at": None} for one in ITEMS]

    assert judged(varied(stamp), [after]) == (False, "[].updated_at: null in place of text")


def test_a_field_that_is_null_at_times_may_be_so_with_the_fix() -> None:
    def maybe(items: list[dict[str, object]], number: int) -> None:
        items[0]["seen"] = None if number % 2 else number

    assert judged(varied(maybe), varied(maybe, start=7)).same is True
    assert judged(varied(maybe), [[{**ITEMS[0], "seen": "x"}, *ITEMS[1:]]]).same is False


def test_a_difference_beside_a_varying_field_is_found() -> None:
    def dearer(items: list[dict[str, object]], number: int) -> None:
        stamp(items, number)
        items[1]["price"] = 9

    assert judged(varied(stamp), varied(dearer)) == (False, "[].price: another value")


def test_random_ids_as_values_and_as_keys_are_left_out() -> None:
    def body(number: int) -> object:
        key = f"{number:08x}-aaaa"
        return {"request_id": key, "by_id": {key: {"n": 1}, "fixed-one": 2}, "total": 3}

    before, after = [body(number) for number in range(5)], [body(9)]

    assert judged(before, after).same is True
    after[0]["by_id"].pop("fixed-one")  # type: ignore[index]  # JSON
    assert judged(before, after) == (False, "by_id.*: missing")


def test_a_field_that_varies_with_the_fix_alone_is_a_difference() -> None:
    assert judged([ITEMS] * 5, varied(stamp), [ITEMS] * 5) == (False, "[].updated_at: added")


def test_an_answer_that_varies_as_a_whole_is_not_compared() -> None:
    tokens = [{"token": f"t{number}", "at": number} for number in range(6)]

    assert judged(tokens[:5], tokens[5:]) == (
        None,
        "not compared: all of the body varies without the fix too",
    )


def test_a_list_that_varies_in_length_keeps_its_elements() -> None:
    def log(items: list[dict[str, object]], number: int) -> object:
        return {"items": items, "log": [{"level": "info"}] * (number + 1)}

    seven = {"items": ITEMS, "log": [{"level": "info"}] * 7}
    other = {"items": ITEMS, "log": [{"level": 1}] * 7}
    none: object = {"items": ITEMS, "log": []}

    assert judged(varied(log), [seven]) == (True, "left out, as it varies anyway: log[]")
    assert judged(varied(log), [other]) == (False, "log[].level: number in place of text")
    assert judged(varied(log), [none]) == (False, "log[]: 0 items, 1 before")


def shuffled(items: list[Any], number: int) -> object:
    random.Random(number).shuffle(items)
    return items


def shuffled_and_stamped(items: list[Any], number: int) -> object:
    stamp(items, number)
    return shuffled(items, number)


REVERSED = [ITEMS[2], ITEMS[1], ITEMS[0]]


def test_another_order_counts_for_none_where_it_varies_and_may() -> None:
    assert judged(varied(shuffled), [REVERSED], may_reorder=True) == (
        True,
        "left out, as it varies anyway: []",
    )


def test_another_order_is_a_difference_where_it_does_not_vary() -> None:
    assert judged_once(ITEMS, REVERSED, may_reorder=True) == (
        False,
        "[]: another order; a statement of the route has no ORDER BY",
    )


def test_another_order_is_not_compared_where_it_varies_and_may_not() -> None:
    assert judged(varied(shuffled), [REVERSED]) == (
        None,
        "not compared: []: the order varies without the fix too",
    )


@pytest.mark.parametrize("change", [shuffled, shuffled_and_stamped])
@pytest.mark.parametrize("may_reorder", [True, False])
def test_a_difference_is_found_in_a_list_in_any_order(
    change: Callable[[Any, int], object], may_reorder: bool
) -> None:
    def renamed(items: list[dict[str, object]], number: int) -> object:
        items[0]["name"] = "oak"
        return change(items, number)

    found = judged(varied(change), varied(renamed, start=11), may_reorder=may_reorder)

    assert found == (False, "[].name: another value")


def test_a_missing_item_is_found_in_a_list_in_any_order() -> None:
    assert judged(varied(shuffled), [REVERSED[:2]], may_reorder=True).same is False


def test_an_order_that_varies_only_later_counts_where_it_may() -> None:
    assert judged([ITEMS] * 5, [REVERSED], [REVERSED], may_reorder=True).same is True
    assert judged([ITEMS] * 5, [REVERSED], [REVERSED]).same is None


def test_a_value_that_changed_once_while_the_fix_was_tried_is_not_compared() -> None:
    assert judged([{"a": 1, "n": 1}] * 5, [{"a": 1, "n": 2}], [{"a": 1, "n": 2}] * 5) == (
        None,
        "not compared: n: changed while the fix was tried, without it too",
    )


def test_a_clock_that_stood_still_at_first_is_left_out() -> None:
    later = [{"a": 1, "second": number} for number in (1, 2)]

    assert judged([{"a": 1, "second": 0}] * 5, later, later).same is True


def test_what_the_fix_leaves_behind_in_the_app_is_not_the_same() -> None:
    tainted = [{**one, "tags": None} for one in ITEMS]

    growing = [tainted[:count] + ITEMS[count:] for count in range(4)]

    assert judged([ITEMS] * 5, [tainted], [tainted] * 5).same is None
    assert judged([ITEMS] * 5, growing, growing).same is None


def test_a_later_change_that_the_fix_does_not_show_is_no_doubt() -> None:
    assert judged([{"n": 1}] * 5, [{"n": 1}], [{"n": 2}] * 5).same is True


def test_too_few_answers_before_the_fix_are_not_enough() -> None:
    few = judged([ITEMS] * 4, [ITEMS], [ITEMS] * 5)

    assert few.same is None
    assert few.why == (
        "not compared: 4 whole answers to a request before the fix was switched on,"
        " at least 5 are wanted"
    )


def test_nothing_with_the_fix_is_not_the_same() -> None:
    assert judged([ITEMS] * 5, []) == (
        None,
        "not compared: no answer came with the fix switched on",
    )


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (exchange(ITEMS, status=500), "status 500 in place of status 200"),
        (exchange(ITEMS, status=201), "status 201 in place of status 200"),
        (exchange(b"", error="ReadTimeout"), "ReadTimeout in place of status 200"),
    ],
)
def test_another_status_or_an_error_is_a_difference(after: Exchange, why: str) -> None:
    same = SameAnswer()
    for _ in range(5):
        same.before(exchange(ITEMS))
    same.after(exchange(ITEMS))
    same.after(after)

    assert same.judged() == (False, why)


def test_a_status_that_comes_without_the_fix_too_is_not_compared() -> None:
    same = SameAnswer()
    for status in (200, 200, 500, 200, 200, 200):
        same.before(exchange(ITEMS, status=status))
    same.after(exchange(ITEMS, status=500))

    assert same.judged() == (None, "not compared: status 500 comes without the fix too")


def test_an_error_is_nothing_to_compare_with() -> None:
    same = SameAnswer()
    for error in ("ReadError", "", "", "", "", ""):
        same.before(exchange(ITEMS, error=error))
    same.after(exchange(ITEMS))
    whole = same.judged()
    same.after(exchange(ITEMS, error="ReadError"))

    assert whole == SAME
    assert same.judged() == (None, "not compared: ReadError comes without the fix too")


def test_errors_are_no_answers_before_the_fix() -> None:
    same = SameAnswer()
    for error in ("", "", "ReadError", "", ""):
        same.before(exchange(ITEMS, error=error))
    same.after(exchange(ITEMS))

    assert same.judged().same is None


def test_answers_that_are_not_kept_are_the_same_when_their_bytes_are() -> None:
    def after(body: object) -> Sameness:
        same = SameAnswer()
        for _ in range(5):
            same.before(exchange({"detail": "none"}, status=404))
        same.after(exchange(body, status=404))
        return same.judged()

    assert after({"detail": "none"}) == SAME
    assert after({"detail": "gone"}).same is None


def test_each_request_is_compared_with_itself() -> None:
    same = SameAnswer()
    other = Request("GET", "/items?page=2", route="/items")
    for _ in range(5):
        same.before(exchange(ITEMS))
        same.before(exchange([], request=other))
    same.after(exchange(ITEMS))
    same.after(exchange([], request=other))
    whole = same.judged()
    same.after(exchange(ITEMS, request=other))

    assert whole == SAME
    assert same.judged() == (False, "[]: 3 items, 0 before")


def test_one_request_that_was_not_compared_is_enough_for_doubt() -> None:
    same = SameAnswer()
    for _ in range(5):
        same.before(exchange(ITEMS))
    same.after(exchange(ITEMS))
    same.after(exchange(ITEMS, request=Request("GET", "/other")))

    assert same.judged().same is None


TEXT = {"content-type": "text/html; charset=utf-8"}


def test_what_is_no_json_is_compared_by_its_bytes() -> None:
    assert judged_once(b"<p>1</p>", b"<p>1</p>", headers=TEXT) == SAME
    assert judged_once(b"[1]", b"[1.0]", headers=TEXT) == (False, "the body: 5 bytes, 3 before")
    assert judged_once(b"[1]", b"[2]", headers=TEXT) == (False, "the body: another value")


def test_what_is_no_json_and_varies_is_not_compared() -> None:
    pages = [f"<p>{number}</p>".encode() for number in range(6)]

    assert judged(pages[:5], pages[5:], headers=TEXT).same is None


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/json-seq"])
def test_lines_of_json_are_compared_each(media_type: str) -> None:
    def lines(count: int, at: int) -> bytes:
        rows = [json.dumps({"id": one, "at": at}) for one in range(count)]
        return "".join(f"\x1e{row}\r\n" for row in rows).encode()

    headers = {"content-type": media_type}
    before = [lines(3, at) for at in range(5)]

    assert judged(before, [lines(3, 9)], headers=headers).same is True
    assert judged(before, [lines(2, 9)], headers=headers) == (False, "[]: 2 items, 3 before")


def test_server_sent_events_are_compared_each() -> None:
    def events(name: str, at: int, ping: bool) -> bytes:
        data = json.dumps({"name": name, "at": at})
        comment = ": still here\n\n" if ping else ""
        return (
            f"{comment}id: {at}\nevent: item\ndata: {data}\n\ndata: two\ndata: lines\n\n".encode()
        )

    headers = {"content-type": "text/event-stream"}
    before = [events("ash", at, ping=at == 3) for at in range(5)]

    assert judged(before, [events("ash", 9, ping=True)], headers=headers).same is True
    assert judged(before, [events("oak", 9, ping=False)], headers=headers) == (
        False,
        "[].data.name: another value",
    )


def test_a_body_that_is_too_large_is_only_the_same_in_every_byte() -> None:
    large = b'["' + b"x" * MOST_BYTES + b'"]'

    assert judged_once(large, large) == SAME
    for other in (large + b" ", large[:-2] + b'y"]', b"[]"):
        assert judged_once(large, other).same is None
    kept = exchange(large).kept
    assert isinstance(kept, Answer)
    assert kept.body is None


@pytest.mark.parametrize(
    ("name", "before", "after", "why"),
    [
        ("content-type", "application/json", "text/plain", "header content-type: another value"),
        ("cache-control", "no-store", "max-age=60", "header cache-control: another value"),
        ("x-total-count", "3", "4", "header x-total-count: another value"),
        ("link", '</items?page=2>; rel="next"', None, "header link: missing"),
        ("etag", None, '"x"', "header etag: added"),
        ("x-frame-options", "DENY", None, "header x-frame-options: missing"),
        ("set-cookie", "a=1; Path=/, b=2", "a=1; Path=/", "header set-cookie: another value"),
    ],
)
def test_a_header_that_only_the_fix_changes_is_a_difference(
    name: str, before: str | None, after: str | None, why: str
) -> None:
    def headers(value: str | None) -> dict[str, str]:
        return {**JSON, name: value} if value is not None else {**JSON}

    same = SameAnswer()
    for _ in range(5):
        same.before(exchange(b"\xff", headers(before)))
    same.after(exchange(b"\xff", headers(after)))

    assert same.judged() == (False, why)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("date", "Mon, 01 Jan 2031 00:00:00 GMT", "Mon, 01 Jan 2031 00:00:01 GMT"),
        ("content-length", "10", "20"),
        ("content-encoding", "gzip", "br"),
        ("vary", "Accept-Encoding", "accept-encoding"),
        ("x-request-id", "one", "two"),
        ("content-type", "application/json;charset=UTF-8", "Application/JSON; charset=utf-8"),
        ("set-cookie", "a=1; Expires=Mon, 01 Jan 2031 00:00:00 GMT, b=2", "b=3, a=4; Path=/"),
    ],
)
def test_headers_that_a_client_does_not_act_on_are_left_out(
    name: str, before: str, after: str
) -> None:
    same = SameAnswer()
    for _ in range(5):
        same.before(exchange(ITEMS, {**JSON, name: before}))
    same.after(exchange(ITEMS, {**JSON, name: after}))

    assert same.judged() == SAME


def test_a_header_that_varies_without_the_fix_is_left_out() -> None:
    same = SameAnswer()
    for number in range(5):
        same.before(exchange(ITEMS, {**JSON, "etag": f'"{number}"'}))
    same.after(exchange(ITEMS, {**JSON, "etag": '"9"'}))
    varying = same.judged()
    same.after(exchange(ITEMS))

    assert varying == (True, "left out, as it varies anyway: header etag")
    assert same.judged() == (False, "header etag: missing")


def test_equal_bodies_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Answer] = []
    really = Answer.document

    def counted(answer: Answer) -> object:
        parsed.append(answer)
        return really(answer)

    monkeypatch.setattr(Answer, "document", counted)

    judged([ITEMS] * 50, [ITEMS] * 50)
    without_difference = len(parsed)
    judged([ITEMS] * 50, [ITEMS[:2]] * 50)

    assert without_difference == 0
    assert len(parsed) == 2


def test_what_the_sender_keeps_is_compared() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await receive()
        headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a=1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        count = 1 if dict(scope["headers"]).get(b"fix") else 2
        await send({"type": "http.response.body", "body": json.dumps([{}] * count).encode()})

    async def judge(url: str) -> tuple[Sameness, Sameness]:
        same = SameAnswer()
        async with open_client(url) as client:
            for _ in range(5):
                same.before(await send(client, REQUEST, keep=keep_answer))
            same.after(await send(client, REQUEST, keep=keep_answer))
            whole = same.judged()
            same.after(await send(client, REQUEST, extra=(("fix", "1"),), keep=keep_answer))
        return whole, same.judged()

    with serving(app) as url:
        whole, limited = asyncio.run(judge(url))

    assert whole == SAME
    assert limited == (False, "[]: 1 item, 2 before")


# Properties

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def spelled(value: object, choice: random.Random) -> str:
    """A document as another library may write it."""
    space = choice.choice(["", " ", "\n\t"])
    if isinstance(value, dict):
        members = [f"{json.dumps(k)}{space}:{spelled(v, choice)}" for k, v in value.items()]
        choice.shuffle(members)
        return "{" + f"{space},".join(members) + space + "}"
    if isinstance(value, list):
        return "[" + f",{space}".join(spelled(one, choice) for one in value) + space + "]"
    if isinstance(value, float):
        return choice.choice([repr(value), f"{value:.17e}", f"{value:.16E}"])
    if type(value) is int and abs(value) < 2**53:
        return choice.choice([str(value), f"{value}.0", f"{value}.00e0", f"{value}E0"])
    return json.dumps(value, ensure_ascii=choice.random() < 0.5)


@given(DOCUMENTS, st.integers(0, 2**32))
def test_an_answer_is_the_same_however_it_is_spelled(document: object, seed: int) -> None:
    other = spelled(document, random.Random(seed)).encode()

    assert judged_once(document, other) == SAME


def places_of_leaves(value: object, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in places_of_leaves(v, (*place, k))]
    if isinstance(value, list):
        return [leaf for k, v in enumerate(value) for leaf in places_of_leaves(v, (*place, k))]
    return [place]


def with_leaf(document: object, place: tuple[Any, ...], leaf: object) -> object:
    whole: Any = [copy.deepcopy(document)]
    inner = whole
    for step in (0, *place)[:-1]:
        inner = inner[step]
    inner[(0, *place)[-1]] = leaf
    return whole[0]


def equal(one: object, other: object) -> bool:
    """Whether two leaves are equal as JSON has it."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other


@given(st.data(), DOCUMENTS, LEAVES, st.booleans())
def test_any_other_leaf_is_found(
    data: st.DataObject, document: object, leaf: object, may_reorder: bool
) -> None:
    places = places_of_leaves(document)
    assume(places)
    place = data.draw(st.sampled_from(places))
    inner: Any = document
    for step in place:
        inner = inner[step]
    assume(not equal(inner, leaf))

    # Beside a field that varies, which must not hide it.
    before = [{"at": number, "body": document} for number in range(5)]
    after = {"at": 9, "body": with_leaf(document, place, leaf)}

    assert judged(before, [after], may_reorder=may_reorder).same is False


WITHOUT_NUMBERS = st.recursive(
    st.none() | st.booleans() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(WITHOUT_NUMBERS, min_size=2, max_size=6), st.integers(0, 2**32))
def test_another_order_is_a_difference_unless_it_varies_and_may(
    elements: list[object], seed: int
) -> None:
    other = elements.copy()
    random.Random(seed).shuffle(other)
    texts = [json.dumps(one, sort_keys=True) for one in (elements, other)]
    assume(texts[0] != texts[1])

    varying = [elements, other, elements, elements, elements]

    assert judged_once(elements, other, may_reorder=True) == (
        False,
        "[]: another order; a statement of the route has no ORDER BY",
    )
    assert judged(varying, [other], may_reorder=True).same is True
    assert judged(varying, [other]).same is None


SECRETS = st.text("abcdefXYZ0123456789-. @", min_size=12, max_size=20).map(
    lambda text: f"{text}-s3cret"
)


@given(st.lists(SECRETS, min_size=8, max_size=8), DOCUMENTS, st.booleans())
def test_no_value_and_no_key_that_is_data_is_told(
    secrets: list[str], document: object, may_reorder: bool
) -> None:
    a, b, c, d, e, f, g, h = secrets
    before = [{"x": a, b: {c: d}, "list": [e, {f: document}], "n": n} for n in range(5)]
    afters: list[object] = [
        {"x": g, b: {h: d}, "list": [f, {e: document}], "n": g},
        {"x": a, b: {c: h}, "list": [e, {f: g}], "n": 9},
        {"x": a, b: {c: d, h: g}, "list": [{f: document}, e], "n": 9},
        [a, b, c],
        g,
        h.encode(),
    ]

    whys = [judged(before, [after], [afters[0]], may_reorder=may_reorder).why for after in afters]

    assert all(whys)
    assert "s3cret" not in "".join(whys)
    assert not any(secret in why for secret in secrets for why in whys)


def test_no_answer_shows_itself() -> None:
    kept = exchange({"a": "s3cret"}, {**JSON, "set-cookie": "a=s3cret"})

    assert "s3cret" not in repr(kept.kept)
