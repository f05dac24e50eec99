"""Which hosts are here, and which are near."""

import pytest

from unslow.hosts import host_of, is_here, is_near


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1:5432", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("DB.Example.com:5432", "db.example.com"),
        ("db", "db"),
        ("[::1]:5432", "::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::1:5432", "::1"),
        ("::1", "::1"),
        ("fd00::5432", "fd00::5432"),
        ("2001:4860:4860::8888", "2001:4860:4860::8888"),
        ("", ""),
    ],
)
def test_the_host_of_an_address_is_told_from_its_port(address: str, host: str) -> None:
    assert host == host_of(address)


HERE = [
    "",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "shop.localhost",
    "/var/run/postgresql",
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104  # who connects to it reaches this machine
    "::1",
    "::",
    "::ffff:127.0.0.1",
]
NEAR = [
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.1.1",
    "::ffff:10.0.0.1",
    "fd00::1",
    "fe80::1",
    "fe80::1%eth0",
    "db",
    "postgres-1",
]
FAR = [
    "db.example.com",
    "shop.abcdef.eu-west-1.rds.amazonaws.com",
    "localhost.example.com",
    "8.8.8.8",
    "172.32.0.1",
    "100.64.0.1",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "a:b",
]


@pytest.mark.parametrize("host", HERE)
def test_this_machine_is_here_and_near(host: str) -> None:
    assert (True, True) == (is_here(host), is_near(host))


@pytest.mark.parametrize("host", NEAR)
def test_a_private_address_and_a_name_without_a_domain_are_near(host: str) -> None:
    assert (False, True) == (is_here(host), is_near(host))


@pytest.mark.parametrize("host", FAR)
def test_everything_else_is_far(host: str) -> None:
    assert (False, False) == (is_here(host), is_near(host))
