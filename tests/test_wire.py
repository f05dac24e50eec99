import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.injection.running import until
from unslow.errors import WireError
from unslow.wire import (
    ADDRESS_VARIABLE,
    ARM,
    BYE,
    HEALTH,
    HELLO,
    PROTOCOL,
    REFUSED,
    SECRET_VARIABLE,
    TROUBLE,
    Connection,
    Listener,
    Message,
    Peer,
    Unpacker,
    packed,
    tupled,
)

PATIENCE_S = 10


class Tool:
    """A listener, and what it heard."""

    def __init__(self) -> None:
        self.heard: Queue[Message] = Queue()
        self.gone: Queue[Peer] = Queue()
        self.listener = Listener(lambda _, message: self.heard.put(message), self.gone.put)
        self.listener.start()
        self._connections: list[Connection] = []

    def next(self) -> Message:
        return self.heard.get(timeout=PATIENCE_S)

    def connection(self, secret: str | None = None) -> Connection:
        connection = Connection(self.listener.address, secret or self.listener.secret)
        connection.open()
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.listener.close()


@pytest.fixture
def tool() -> Iterator[Tool]:
    tool = Tool()
    yield tool
    tool.close()


def say_hello(connection: Connection, **more: object) -> bool:
    return connection.send(HELLO, **{"protocol": PROTOCOL, "process_id": 7, "unslow": "1"} | more)


def known(tool: Tool) -> tuple[Connection, Peer]:
    connection = tool.connection()
    say_hello(connection)
    tool.next()
    return connection, tool.listener.peers()[0]


@given(
    st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), max_size=4),
    st.integers(1, 9),
)
def test_messages_come_out_as_they_went_in_however_they_were_cut(
    fields: list[dict[str, object]], size: int
) -> None:
    messages = [{**one, "type": "t"} for one in fields]
    data = b"".join(map(packed, messages))
    unpacker = Unpacker()

    out = [
        message
        for start in range(0, len(data), size)
        for message in unpacker.feed(data[start : start + size])
    ]

    assert messages == out


def test_what_an_app_put_in_the_place_of_json_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> str:
        raise AssertionError

    monkeypatch.setattr(json, "dumps", fails)
    monkeypatch.setattr(json, "loads", fails)
    message = {"type": "t", "name": "\u017elu\u0165", "numbers": [1, 2.5, None]}

    data = packed(message)

    assert b'{"type":"t","name":"\\u017elu\\u0165","numbers":[1,2.5,null]}' == data[4:]
    assert [message] == list(Unpacker().feed(data))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\2no",
        b"\0\0\0\2[]",
        b"\0\0\0\2{}",
        b'\0\0\0\x0a{"type":1}',
    ],
    ids=["too long", "not JSON", "no object", "no type", "a type that is no text"],
)
def test_what_is_not_a_message_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        list(Unpacker().feed(data))


def test_a_process_is_known_from_its_hello_to_its_end(tool: Tool) -> None:
    connection = tool.connection()
    say_hello(connection, python="3.11.7")
    connection.send(BYE, traces_count=3)
    heard = [tool.next(), tool.next()]
    (peer,) = tool.listener.peers()
    connection.close()

    assert peer is tool.gone.get(timeout=PATIENCE_S)
    assert () == tool.listener.peers()
    assert 7 == peer.process_id
    assert ["hello", "bye"] == [message["type"] for message in heard]
    assert "3.11.7" == heard[0]["python"]
    assert "secret" not in heard[0]


def test_a_wrong_secret_is_refused_and_nothing_is_heard_of_it(tool: Tool) -> None:
    stranger = tool.connection(secret="wrong")
    say_hello(stranger)
    until(lambda: not stranger.send(BYE))

    say_hello(tool.connection())

    assert "hello" == tool.next()["type"]
    assert tool.heard.empty()
    assert 1 == len(tool.listener.peers())


def test_a_process_that_speaks_another_protocol_is_trouble_that_names_both_versions(
    tool: Tool,
) -> None:
    other = tool.connection()
    say_hello(other, protocol=99, unslow="9.9.9")
    heard = tool.next()

    until(lambda: not other.send(BYE))
    assert (TROUBLE, "protocol") == (heard["type"], heard["what"])
    assert "unslow 9.9.9" in heard["says"]
    assert "version 99" in heard["says"]
    assert f"version {PROTOCOL}" in heard["says"]
    assert () == tool.listener.peers()


def test_a_trouble_is_heard_of_a_process_that_never_says_hello(tool: Tool) -> None:
    tool.connection().send(TROUBLE, what="python", says="too old")

    assert {"type": "trouble", "what": "python", "says": "too old"} == tool.next()


def test_a_process_answers_what_it_is_asked(tool: Tool) -> None:
    connection, peer = known(tool)
    connection.listen({HEALTH: lambda asked: {"twice": 2 * asked["number"]}})

    answer = tool.listener.ask(peer, HEALTH, PATIENCE_S, number=4)

    assert answer is not None
    assert ("health", 8) == (answer["type"], answer["twice"])


def _breaks(_: Message) -> Message:
    raise ValueError("no number")


@pytest.mark.parametrize(
    ("kind", "why"), [(ARM, "does not know 'arm'"), (HEALTH, "ValueError: no number")]
)
def test_what_a_process_cannot_answer_it_refuses_and_says_why(
    kind: str, why: str, tool: Tool
) -> None:
    connection, peer = known(tool)
    connection.listen({HEALTH: _breaks})

    answer = tool.listener.ask(peer, kind, PATIENCE_S)

    assert answer is not None
    assert REFUSED == answer["type"]
    assert why in answer["why"]


def test_a_process_that_does_not_answer_in_time_gives_none(tool: Tool) -> None:
    _, peer = known(tool)

    assert tool.listener.ask(peer, HEALTH, 0.01) is None


def test_when_the_tool_is_gone_nothing_is_raised_and_the_listening_thread_ends() -> None:
    tool = Tool()
    connection, _ = known(tool)
    connection.listen({})
    (thread,) = [one for one in threading.enumerate() if one.name == "unslow-wire"]
    tool.listener.close()
    thread.join(PATIENCE_S)

    assert not thread.is_alive()
    assert not connection.send(BYE)
    connection.close()


def test_a_broken_wire_does_not_kill_an_app_that_gave_sigpipe_back_its_default() -> None:
    code = (
        "import signal\n"
        "from unslow.wire import Connection, Listener\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "listener = Listener(lambda *_: None)\n"
        "connection = Connection(listener.address, '')\n"
        "connection.open()\n"
        "listener.close()\n"
        "print([connection.send('bye') for _ in range(3)][-1])\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False\n" == done.stdout


def test_when_the_app_closed_our_file_number_what_has_it_now_is_left_alone(tool: Tool) -> None:
    connection, _ = known(tool)
    ours = connection._socket
    assert ours is not None
    number = ours.fileno()
    reader, writer = os.pipe()
    os.dup2(writer, number)

    sent = connection.send(BYE)
    connection.close()
    os.set_blocking(reader, False)

    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.write(number, b"the app's")
    assert not sent
    assert b"the app's" == os.read(reader, 100)
    for one in (reader, writer, number):
        os.close(one)


def test_a_stranger_who_talks_nonsense_is_hung_up_on_and_nobody_else(tool: Tool) -> None:
    _, peer = known(tool)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(tool.listener.address.removeprefix("unix:"))
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")

        assert b"" == stranger.recv(1)
    assert (peer,) == tool.listener.peers()


def test_the_socket_lies_in_a_folder_that_only_its_owner_enters_and_goes_with_it() -> None:
    tool = Tool()
    folder = Path(tool.listener.address.removeprefix("unix:")).parent
    mode = stat.S_IMODE(folder.stat().st_mode)
    tool.listener.close()

    assert 0o700 == mode
    assert not folder.exists()


def _path_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))


def _no_unix_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = {name: value for name, value in vars(socket).items() if name != "AF_UNIX"}
    monkeypatch.setattr("unslow.wire.socket", SimpleNamespace(**names))


@pytest.mark.parametrize("prepare", [_path_too_long, _no_unix_sockets])
def test_where_a_unix_socket_cannot_be_the_wire_goes_over_the_loopback(
    prepare: Callable[[pytest.MonkeyPatch, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    prepare(monkeypatch, tmp_path)
    tool = Tool()
    say_hello(tool.connection())
    heard = tool.next()
    tool.close()

    assert tool.listener.address.startswith("tcp:127.0.0.1:")
    assert "hello" == heard["type"]


def test_the_environment_leads_to_the_tool(tool: Tool) -> None:
    connection = Connection.from_environment(tool.listener.environment())
    assert connection is not None
    connection.open()
    say_hello(connection)
    heard = tool.next()
    connection.close()

    assert {ADDRESS_VARIABLE, SECRET_VARIABLE} == set(tool.listener.environment())
    assert "hello" == heard["type"]
    assert Connection.from_environment({}) is None


def test_a_tool_that_is_not_there_is_an_error_when_connecting() -> None:
    tool = Tool()
    tool.listener.close()

    with pytest.raises(OSError, match="No such file"):
        tool.connection()


def test_after_a_fork_the_child_has_a_closed_wire_and_the_parents_goes_on(tool: Tool) -> None:
    connection, peer = known(tool)
    child = os.fork()
    if child == 0:
        connection.forget()
        os._exit(int(connection.send(BYE)))
    _, status = os.waitpid(child, 0)

    assert 0 == os.waitstatus_to_exitcode(status)
    assert connection.send(BYE)
    assert "bye" == tool.next()["type"]
    assert (peer,) == tool.listener.peers()


def test_json_lists_become_tuples_again_all_the_way_down() -> None:
    assert (1, ("a", (None,)), {"b": [2]}) == tupled([1, ["a", [None]], {"b": [2]}])
