"""Ids of findings that are the same on the next machine, and after the next start."""

import pytest

from tests.diagnose.story import Story, found, only
from unslow.diagnose.addresses import driver_of, steady
from unslow.diagnose.rules.missing_timeout import missing_timeout


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("127.0.0.1:42493", "near"),
        ("localhost:8001", "near"),
        ("[::1]:8001", "near"),
        ("172.17.0.3:5432", "near"),
        ("smtp 10.0.0.7:25", "smtp near"),
        ("prices.example:443", "prices.example:443"),
        ("pricing:8000", "near"),
        ("smtp mail.example:25", "smtp mail.example:25"),
        ("8.8.8.8:443", "8.8.8.8:443"),
        ("[2001:4860:4860::8888]:443", "[2001:4860:4860::8888]:443"),
    ],
)
def test_an_address_that_is_another_one_elsewhere_is_left_out(host: str, text: str) -> None:
    assert text == steady(host)


def test_of_a_pool_its_driver_stays() -> None:
    assert "postgresql+asyncpg" == driver_of("postgresql+asyncpg 127.0.0.1:5432/blog pool 2+0")
    assert "asyncpg" == driver_of("asyncpg db.example:5432/shop")


def test_a_service_that_has_another_port_each_time_makes_no_new_id() -> None:
    ids = {
        only(found(missing_timeout, Story().asks(10, host=host, is_bounded=False).trace())).id
        for host in ("127.0.0.1:42493", "127.0.0.1:44593", "localhost:80")
    }

    assert 1 == len(ids)
