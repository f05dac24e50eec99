import string
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.prove.workload.address import split_address


@pytest.mark.parametrize(
    ("address", "origin", "target"),
    [
        ("/users?limit=3#top", "", "/users?limit=3"),
        ("//twice", "", "//twice"),
        ("https://Shop.Example", "https://shop.example", "/"),
        ("http://127.0.0.1:8000/a/../b", "http://127.0.0.1:8000", "/a/../b"),
        ("https://shop.example:443/x?", "https://shop.example", "/x?"),
        ("http://shop.example:443?q=1", "http://shop.example:443", "/?q=1"),
        ("http://[::1]:8000/x", "http://[::1]:8000", "/x"),
        ("/search?q=a b&name=Zoë", "", "/search?q=a%20b&name=Zo%C3%AB"),
        ("/search?q=a%20b+c", "", "/search?q=a%20b+c"),
        ('/x?filter={"a":1}', "", "/x?filter=%7B%22a%22:1%7D"),
        ("/latin/\udce4", "", "/latin/%E4"),
    ],
)
def test_an_address_is_an_origin_and_a_target(address: str, origin: str, target: str) -> None:
    assert (origin, target) == split_address(address)


@pytest.mark.parametrize(
    "address",
    ["users", "", "ftp://x/y", "ws://x/y", "http://", "http://me:secret@x/", "http://x:y/"],
)
def test_what_cannot_be_asked_over_http_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        split_address(address)

    assert "secret" not in str(error.value)


@given(st.text(st.characters(exclude_characters="#%", exclude_categories=["Cs"])))
def test_a_target_fits_into_a_request_line_and_means_the_same(text: str) -> None:
    _, target = split_address(f"/{text}")

    assert set(target) <= set(string.printable) - set(string.whitespace)
    assert f"/{text}" == unquote(target)
    assert ("", target) == split_address(target)
