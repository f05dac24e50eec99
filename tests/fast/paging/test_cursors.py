import base64
import hashlib
import json
import math
import string
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.fast.errors import BadRequestError, DefinitionError
from unslow.fast.paging.cursors import MAX_LENGTH, Cursors

SECRET = "sixteen bytes or more"
CURSORS = Cursors(SECRET, "users by id")
URL_SAFE = set(string.ascii_letters + string.digits + "-_")

# In whole seconds, as PostgreSQL's are: `fromisoformat` loses an offset of a microsecond.
ZONES = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=100),
    st.text(st.characters(categories=["Cs"]), max_size=5),
    st.floats(),
    st.decimals(),
    st.datetimes(),
    st.datetimes(timezones=ZONES),
    st.dates(),
    st.times(),
    st.times(timezones=ZONES),
    st.uuids(),
)
TUPLES = st.lists(VALUES, max_size=5).map(tuple)


def exactly(value: Any) -> Any:
    """What is equal only to the same value of the same type, also for NaN and minus zero."""
    if isinstance(value, datetime | time):
        return type(value), value.isoformat()
    return type(value), repr(value)


@given(TUPLES)
def test_any_values_come_back_equal_and_of_the_same_type(values: tuple[Any, ...]) -> None:
    found = CURSORS.values(CURSORS.sign(values))

    assert list(map(exactly, values)) == list(map(exactly, found))


@given(TUPLES)
def test_a_cursor_is_text_for_urls(values: tuple[Any, ...]) -> None:
    assert set(CURSORS.sign(values)) <= URL_SAFE


@given(TUPLES, st.data())
def test_any_change_of_one_character_is_refused(
    values: tuple[Any, ...], data: st.DataObject
) -> None:
    cursor = CURSORS.sign(values)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(sorted(URL_SAFE | {"=", "+", "/", " ", "é"})))
    changed = cursor[:place] + other + cursor[place + 1 :]

    if changed != cursor:
        with pytest.raises(BadRequestError, match="start again without a cursor"):
            CURSORS.values(changed)


def test_each_single_character_of_a_cursor_counts() -> None:
    cursor = CURSORS.sign((17, None, "text"))
    accepted = [
        changed
        for place in range(len(cursor))
        for other in URL_SAFE - {cursor[place]}
        if is_accepted(changed := cursor[:place] + other + cursor[place + 1 :])
    ]

    assert [] == accepted


def is_accepted(cursor: str) -> bool:
    try:
        CURSORS.values(cursor)
    except BadRequestError:
        return False
    return True


@given(TUPLES, st.data())
def test_a_cursor_that_was_cut_is_refused(values: tuple[Any, ...], data: st.DataObject) -> None:
    cursor = CURSORS.sign(values)
    begin = data.draw(st.integers(0, len(cursor)))
    end = data.draw(st.integers(begin, len(cursor)))

    assert (cursor[begin:end] == cursor) == is_accepted(cursor[begin:end])


@given(st.text())
def test_any_text_is_refused_as_a_bad_request(text: str) -> None:
    assert not is_accepted(text)


@pytest.mark.parametrize("padding", ["=", "==", "\n", " "])
def test_the_same_bytes_written_in_another_way_are_refused(padding: str) -> None:
    assert not is_accepted(CURSORS.sign((1,)) + padding)


@pytest.mark.parametrize(
    "other",
    [
        Cursors(SECRET, "users by name"),
        Cursors("another secret of theirs", "users by id"),
        Cursors(SECRET + "!", "users by id"),
    ],
)
def test_a_cursor_of_another_list_or_secret_is_refused(other: Cursors) -> None:
    assert not is_accepted(other.sign((1,)))


def test_a_cursor_is_of_no_use_with_another_filter() -> None:
    cursor = CURSORS.sign((1,), scope="team=1")

    assert (1,) == CURSORS.values(cursor, scope="team=1")
    with pytest.raises(BadRequestError, match="belongs to another list, order or filter"):
        CURSORS.values(cursor, scope="team=2")


def test_what_belongs_to_the_list_and_what_to_the_filter_is_not_mixed_up() -> None:
    cursor = Cursors(SECRET, "ab").sign((1,), scope="c")

    with pytest.raises(BadRequestError):
        Cursors(SECRET, "a").values(cursor, scope="bc")


def test_a_new_secret_signs_and_the_one_before_it_is_still_known() -> None:
    before = Cursors(SECRET, "list")
    during = Cursors(["a newer secret, longer", SECRET], "list")
    after = Cursors("a newer secret, longer", "list")

    assert (1,) == during.values(before.sign((1,)))
    assert (2,) == after.values(during.sign((2,)))
    with pytest.raises(BadRequestError):
        after.values(before.sign((1,)))


def test_a_cursor_of_another_version_is_refused_however_well_it_is_signed() -> None:
    cursor = CURSORS.sign((1,))

    assert cursor == signed(cursor[:-24])
    assert is_accepted(signed(cursor[:-24]))
    assert not is_accepted(signed("2" + cursor[1:-24]))


def signed(body: str) -> str:
    """A cursor of `CURSORS` by what the documentation says of it."""
    key = hashlib.blake2b(SECRET.encode()).digest()
    message = json.dumps(["users by id", ""]).encode() + b"\n" + body.encode()
    signature = hashlib.blake2b(message, key=key, digest_size=18, person=b"unslow.fast page")
    return body + base64.urlsafe_b64encode(signature.digest()).decode()


def test_what_an_index_holds_of_a_row_fits_into_a_cursor() -> None:
    value = "x" * 2_704

    assert (value,) == CURSORS.values(CURSORS.sign((value,)))


def test_values_too_long_for_a_url_are_refused_when_they_are_signed() -> None:
    with pytest.raises(DefinitionError, match="order by shorter columns"):
        CURSORS.sign(("x" * MAX_LENGTH,))


def test_a_cursor_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(BadRequestError, match="1000000 characters"):
        CURSORS.values("A" * 1_000_000)


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(
        DefinitionError, match=r"got a value of bytes .* wanted None or one of bool"
    ):
        CURSORS.sign((b"bytes",))


@pytest.mark.parametrize("secret", ["short", b"fifteen bytes..", [SECRET, "short"], [], ""])
def test_a_secret_that_could_be_found_by_trying_is_refused(secret: Any) -> None:
    with pytest.raises(DefinitionError, match="at least 16 bytes"):
        Cursors(secret, "list")


def test_no_error_tells_a_secret() -> None:
    with pytest.raises(DefinitionError) as raised:
        Cursors("hidden", "list")

    assert "hidden" not in str(raised.value)


def test_a_time_of_a_named_zone_comes_back_as_the_same_instant() -> None:
    # The hour that comes twice, the second time.
    value = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    (found,) = CURSORS.values(CURSORS.sign((value,)))

    assert datetime(2026, 10, 25, 1, 30, tzinfo=UTC) == found.astimezone(UTC)


def test_values_of_all_types_in_one_cursor() -> None:
    values = (
        None,
        True,
        2**63,
        0.1,
        math.inf,
        "ü",
        Decimal("1.10"),
        date(2026, 1, 2),
        time(3, 4, 5, 6),
        datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        UUID(int=7),
    )

    assert values == CURSORS.values(CURSORS.sign(values))
