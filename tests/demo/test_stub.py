import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx
import pytest

from unslow.demo import stub
from unslow.errors import DemoError

PARENT = """
import signal
from unslow.demo.stub import start_stub

with start_stub() as url:
    print(url, flush=True)
    signal.pause()
"""


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def refuses(url: str, *, within_s: float = 10) -> bool:
    """Whether the address stops listening in time."""
    deadline = time.monotonic() + within_s
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(
                ("127.0.0.1", port_of(url)), timeout=left_s
            ) as connection:
                # The service is asked nothing, so it says nothing until it ends. Its connections
                # may close a moment before it stops to listen.
                connection.recv(1)
        except ConnectionError:
            return True
    return False


def test_it_answers_json_after_its_delay(stub_url: str) -> None:
    begun = time.perf_counter()
    answer = httpx.get(f"{stub_url}/score/7", trust_env=False)
    took_ms = (time.perf_counter() - begun) * 1000

    assert answer.status_code == 200
    assert answer.json()["path"] == "/score/7"
    assert took_ms >= stub.DELAY_MS


def test_the_delay_can_be_asked_for(stub_url: str) -> None:
    begun = time.perf_counter()
    httpx.get(f"{stub_url}/slow?delay_ms=150", trust_env=False)
    took_ms = (time.perf_counter() - begun) * 1000

    assert took_ms >= 150


def test_the_same_path_gets_the_same_value(stub_url: str) -> None:
    values = {
        httpx.get(f"{stub_url}/score/7?delay_ms={delay}", trust_env=False).json()["value"]
        for delay in (0, 1, 2)
    }

    assert len(values) == 1


def test_a_connection_is_kept_for_the_next_request(stub_url: str) -> None:
    request = b"GET /a?delay_ms=0 HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port_of(stub_url)), timeout=10) as connection:
        answers = connection.makefile("rb")
        for _ in range(2):
            connection.sendall(request)

            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while (line := answers.readline()) != b"\r\n":
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answers.read(length)
        answers.close()


@pytest.mark.parametrize(
    "head", [b"nonsense\r\n\r\n", b"GET /?delay_ms=soon HTTP/1.1\r\n\r\n"], ids=["line", "delay"]
)
def test_what_is_not_a_request_is_answered_400(stub_url: str, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port_of(stub_url)), timeout=10) as connection:
        connection.sendall(head)
        with connection.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_it_ends_silently_with_the_block_that_started_it(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        stub.start_stub() as url,
        socket.create_connection(("127.0.0.1", port_of(url)), timeout=10) as waiting,
    ):
        waiting.sendall(b"GET /?delay_ms=9000 HTTP/1.1\r\n\r\n")
        assert httpx.get(f"{url}/?delay_ms=0", trust_env=False).status_code == 200

    assert refuses(url)
    assert capfd.readouterr().err == ""


def test_it_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        parent.kill()

    assert refuses(url)


def test_a_process_that_does_not_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(DemoError, match="ended with code 1"), stub.start_stub():
        pass
