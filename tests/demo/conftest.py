"""The demo app on a small scale: one database, one remote service, one server for all its tests."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from unslow.demo.app import create_app
from unslow.demo.data import fill
from unslow.demo.services import Services
from unslow.demo.stub import start_stub

SMALL = 0.02


@pytest.fixture(scope="package")
def demo_database_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        fill(url, scale=SMALL)
        yield url


@pytest.fixture(scope="package")
def stub_url() -> Iterator[str]:
    with start_stub() as url:
        yield url


@pytest.fixture(scope="package")
def demo_app(demo_database_url: str, stub_url: str) -> Iterator[FastAPI]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNSLOW_DEMO_DATABASE_URL", demo_database_url)
        patch.setenv("UNSLOW_DEMO_STUB_URL", stub_url)
        yield create_app()


@pytest.fixture(scope="package")
def app_url(demo_app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(demo_app, log_level="warning", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture
def client(app_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app_url, timeout=20, trust_env=False) as client:
        assert client.get("/health").status_code == 200
        yield client


@pytest.fixture
def services(client: httpx.Client, demo_app: FastAPI) -> Services:
    """What the running app has opened: `client` has seen it answer."""
    opened: Services = demo_app.state.services
    return opened
