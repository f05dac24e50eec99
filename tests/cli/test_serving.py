from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.injection.running import free_port
from unslow.cli.serving import Serving, check_address, check_target
from unslow.errors import PortError, TargetError


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_option_reaches_uvicorn() -> None:
    Path("shop.py").write_text("")
    port = free_port()
    serving = Serving("shop:make", "127.0.0.1", port, workers_count=3, factory=True, reload=True)

    assert (
        *(sys.executable, "-m", "uvicorn", "shop:make", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "3", "--factory", "--reload"),
    ) == serving.command()


@pytest.mark.parametrize(
    "target", ["shop.web.main:app", "shop.plain:app.inner", "loose:app", "fastapi.routing:app"]
)
def test_a_module_is_found_in_the_folder_and_among_the_packages_without_running_it(
    target: str,
) -> None:
    Path("shop/web").mkdir(parents=True)
    Path("shop/__init__.py").write_text("1 / 0")
    Path("shop/web/__init__.py").write_text("1 / 0")
    Path("shop/web/main.py").write_text("1 / 0")
    Path("shop/plain.py").write_text("1 / 0")
    Path("loose.py").write_text("1 / 0")

    check_target(target)


@pytest.mark.parametrize("module", ["shop.other", "shop.plain.app", "nothing", "nothing.at.all"])
def test_a_module_that_is_not_there_is_an_error(module: str) -> None:
    Path("shop").mkdir()
    Path("shop/plain.py").write_text("")

    with pytest.raises(TargetError, match="There is no module"):
        check_target(f"{module}:app")


@pytest.mark.parametrize("target", ["app", "app:", ":app", ""])
def test_what_is_not_written_as_module_and_app_is_an_error(target: str) -> None:
    with pytest.raises(TargetError, match="is not MODULE:APP"):
        check_target(target)


def test_a_free_port_and_any_port_will_do() -> None:
    check_address("127.0.0.1", free_port())
    check_address("127.0.0.1", 0)


def test_a_port_that_was_left_a_moment_ago_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address) as client:
            served, _ = server.accept()
            # Whoever closes first keeps the address for a while.
            served.close()
            client.recv(1)

    check_address(*address)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_host_that_is_not_this_machine_is_an_error(host: str) -> None:
    with pytest.raises(PortError, match="cannot be served at"):
        check_address(host, 8000)
