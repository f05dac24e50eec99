"""The wire between the tool and the processes of an app: a local socket, a secret, short messages.

A message is four bytes of length and a JSON object with a `type`. The agent's end never raises and
never disturbs the app; when the tool is gone, nothing more is said.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from .errors import WireError

PROTOCOL: Final = 1
"""Counts up when an agent of before would misunderstand a tool of after, or the other way round."""

ADDRESS_VARIABLE: Final = "UNSLOW_WIRE"
ARMS_VARIABLE: Final = "UNSLOW_ARMS"
"""Set by a check for the app that it starts itself: only there an agent has arms."""
SECRET_VARIABLE: Final = "UNSLOW_WIRE_SECRET"  # noqa: S105  # the name of a variable, not a secret

HELLO: Final = "hello"
"""The agent's first word: process, versions, coverage, and the route by which it came in."""
TROUBLE: Final = "trouble"
"""Something that kept the agent, or the app, from starting; `what` names the kind."""
SERVING: Final = "serving"
"""The agent has found an app in its process."""
SERVED: Final = "served"
"""A server has handled its last request; what was recorded is written."""
BYE: Final = "bye"
"""The process ends by itself; what was recorded is written."""
REFUSED: Final = "refused"
"""The other side will not do what it was asked for; `why` says it."""
HEALTH: Final = "health"
FLUSH: Final = "flush"
TRACES: Final = "traces"
"""Asks for the traces since a position; the answer carries them packed, and the last position."""
ARM: Final = "arm"
"""Switches something on, `switch` says what; an agent in production has no arms and refuses. With
an `arm` it is a fix, for the requests that name the arm, and `parameters` are what it has to know;
an arm may have several fixes."""
DISARM: Final = "disarm"
"""Switches a `switch` off, or all fixes of an `arm`."""
SAMPLES: Final = "samples"
"""Asks what the requests of trials took since the last time, and how the arms fared."""
REROUTE: Final = "reroute"
"""Asks for the addresses of databases that can be led another way; with `routes`, the port of
127.0.0.1 for each, they are, until there are none."""
GUARD: Final = "guard"
"""Puts the read-only guard of the app's databases up, `on` says whether, or takes it down; the
answer names the pools that are not guarded, each with the reason."""
KEYS: Final = "keys"
"""Asks for keys of the app's tables, of databases at `hosts`; the answer names all hosts."""

Message = dict[str, Any]
Answer = Callable[[Message], Message]
"""Makes the fields of an answer from what was asked."""

_LENGTH: Final = struct.Struct(">I")
_LARGEST_BYTES: Final = 64 * 1024 * 1024
_LONGEST_UNIX_PATH_BYTES: Final = 100  # 104 on macOS, 108 on Linux, both with a closing zero
_PATIENCE_S: Final = 2
# An app may have given SIGPIPE back its deadly default.
_NO_SIGNAL: Final[int] = getattr(socket, "MSG_NOSIGNAL", 0)

# Not `json.dumps` and `json.loads`: an app, or its tests, may have put something else there.
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_DECODER: Final = json.JSONDecoder()


def packed(message: Message) -> bytes:
    """The bytes of one message."""
    body = _ENCODER.encode(message).encode()
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Makes messages of bytes, however they were cut on their way."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yields the messages that are whole with these bytes.

        Raises:
            WireError: what came is not ours.
        """
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > _LARGEST_BYTES:
                raise WireError(f"A message of {length} bytes came over the wire.")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield _message_in(body)


def tupled(value: Any) -> Any:
    """What JSON made lists of as the tuples it was, all the way down."""
    if isinstance(value, list):
        return tuple(tupled(one) for one in value)
    return value


def _message_in(body: bytes) -> Message:
    try:
        message = _DECODER.decode(body.decode())
    except ValueError as error:
        raise WireError("Something other than JSON came over the wire.") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise WireError("A message without a type came over the wire.")
    return message


def _connected(address: str) -> socket.socket:
    family, _, place = address.partition(":")
    if family == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: Any = place
    else:
        host, _, port = place.rpartition(":")
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        target = (host, int(port))
    try:
        connection.settimeout(_PATIENCE_S)
        connection.connect(target)
    except BaseException:
        connection.close()
        raise
    return connection


class Connection:
    """The agent's end, in a process of the app."""

    def __init__(self, address: str, secret: str) -> None:
        self._address = address
        self._secret = secret
        self._socket: socket.socket | None = None
        self._identity: tuple[int, int] | None = None
        self._sending = threading.Lock()

    @property
    def secret(self) -> str:
        """What both ends know of each other, and nobody else."""
        return self._secret

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Connection | None:
        """The end of the wire that the environment names; None where it names none."""
        environ = os.environ if environ is None else environ
        address = environ.get(ADDRESS_VARIABLE)
        return cls(address, environ.get(SECRET_VARIABLE, "")) if address else None

    def open(self) -> None:
        """Connects to the tool.

        Raises:
            OSError: there is no tool at the other end, or this user may not reach it.
        """
        opened = _connected(self._address)
        opened.settimeout(None)
        with contextlib.suppress(OSError):
            # A tool that stands still must not hold the app.
            patience = struct.pack("ll", _PATIENCE_S, 0)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        self._identity = _identity_of(opened)
        self._socket = opened

    def send(self, kind: str, **fields: Any) -> bool:
        """Says something to the tool; False when the tool is gone."""
        if kind in {HELLO, TROUBLE}:
            fields["secret"] = self._secret
        with self._sending:
            ours = self._ours()
            if ours is None:
                return False
            try:
                ours.sendall(packed({"type": kind, **fields}), _NO_SIGNAL)
            except OSError:
                self._drop()
                return False
            return True

    def listen(self, answers: Mapping[str, Answer], gone: Callable[[], None] | None = None) -> None:
        """Starts a thread that answers the tool, until one of the two is gone.

        Args:
            answers: By the type of a message, what makes the fields of its answer.
            gone: Called at the end, on that thread.
        """
        threading.Thread(
            target=self._listen, args=(answers, gone), name="unslow-wire", daemon=True
        ).start()

    def _listen(self, answers: Mapping[str, Answer], gone: Callable[[], None] | None) -> None:
        unpacker = Unpacker()
        try:
            while (ours := self._ours()) is not None and (data := ours.recv(65536)):
                for message in unpacker.feed(data):
                    self._answer(answers, message)
        except (OSError, WireError):
            pass
        with self._sending:
            self._drop()
        if gone is not None:
            gone()

    def _answer(self, answers: Mapping[str, Answer], message: Message) -> None:
        kind = message["type"]
        answer = answers.get(kind)
        if answer is None:
            self.send(REFUSED, id=message.get("id"), why=f"This agent does not know {kind!r}.")
            return
        try:
            fields = answer(message)
        except Exception as error:
            # Whatever breaks while an answer is made is the tool's to hear of, not the app's.
            self.send(REFUSED, id=message.get("id"), why=f"{type(error).__name__}: {error}")
        else:
            self.send(kind, id=message.get("id"), **fields)

    def close(self) -> None:
        """Ends the connection; a listening thread ends with it."""
        with self._sending:
            ours = self._ours()
            if ours is not None:
                with contextlib.suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)
            self._drop()

    def forget(self) -> None:
        """In a forked child: lets the parent's connection be, and starts anew with a closed one."""
        # The lock may have been held by a thread that did not come along.
        self._sending = threading.Lock()
        self._drop()

    def _ours(self) -> socket.socket | None:
        """The socket, unless the app closed its number, which may be another file by now."""
        # Asked for by the thread that listens too, while another may drop it.
        ours = self._socket
        if ours is not None and _identity_of(ours) != self._identity:
            ours.detach()
            self._socket = ours = None
        return ours

    def _drop(self) -> None:
        ours = self._ours()
        self._socket = None
        if ours is not None:
            ours.close()


def _identity_of(connection: socket.socket) -> tuple[int, int] | None:
    try:
        status = os.fstat(connection.fileno())
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Peer:
    """A process of the app, as the tool knows it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unpacker = Unpacker()
        self.sending = threading.Lock()
        self.hello: Message | None = None
        """What the process said of itself; None until it has."""

    @property
    def process_id(self) -> int:
        """The process's id; 0 until it has said hello."""
        return int(self.hello["process_id"]) if self.hello else 0

    def send(self, kind: str, **fields: Any) -> None:
        """Says something to the process; nothing happens when it is gone."""
        with self.sending, contextlib.suppress(OSError):
            self.connection.sendall(packed({"type": kind, **fields}), _NO_SIGNAL)


class Listener:
    """The tool's end: knows every process that said hello.

    `heard` is called with each message of a known process, its hello first, and with troubles, also
    of processes that never become known; `gone` with each known process whose connection ended.
    Both are called on the listener's thread.
    """

    def __init__(
        self, heard: Callable[[Peer, Message], None], gone: Callable[[Peer], None] | None = None
    ) -> None:
        self._heard = heard
        self._gone = gone
        self._folder: str | None = None
        self._server, self.address = self._bound()
        self.secret = os.urandom(16).hex()
        self._peers: dict[socket.socket, Peer] = {}
        self._asked: dict[int, tuple[Peer, threading.Event, list[Message]]] = {}
        self._asked_count = 0
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="unslow-listener", daemon=True)

    def _bound(self) -> tuple[socket.socket, str]:
        import tempfile

        if hasattr(socket, "AF_UNIX"):
            folder = tempfile.mkdtemp(prefix="unslow-wire-")  # mode 0700
            path = os.path.join(folder, "socket")
            if len(os.fsencode(path)) <= _LONGEST_UNIX_PATH_BYTES:
                self._folder = folder
                server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                server.bind(path)
                server.listen(128)
                return server, f"unix:{path}"
            os.rmdir(folder)
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.bind(("127.0.0.1", 0))
        server.listen(128)
        return server, f"tcp:127.0.0.1:{server.getsockname()[1]}"

    def environment(self) -> dict[str, str]:
        """What the environment of the app's processes must say."""
        return {ADDRESS_VARIABLE: self.address, SECRET_VARIABLE: self.secret}

    def start(self) -> None:
        """Starts to listen, on a thread."""
        self._thread.start()

    def close(self) -> None:
        """Hangs up on every process and takes the socket away."""
        if self._thread.is_alive():
            self._wake_writer.send(b"\0")
            self._thread.join()
        for open_socket in (self._server, self._wake_reader, self._wake_writer, *self._peers):
            open_socket.close()
        self._peers.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def peers(self) -> tuple[Peer, ...]:
        """The processes that said hello and are still there."""
        return tuple(peer for peer in tuple(self._peers.values()) if peer.hello is not None)

    def ask(self, peer: Peer, kind: str, timeout_s: float = 5, **fields: Any) -> Message | None:
        """What a process answers; None when it is gone, or does not answer in time.

        Not for the callbacks.
        """
        self._asked_count += 1
        number = self._asked_count
        _, answered, answers = self._asked[number] = peer, threading.Event(), []
        try:
            peer.send(kind, id=number, **fields)
            if peer in self.peers():
                answered.wait(timeout_s)
        finally:
            del self._asked[number]
        return answers[0] if answers else None

    def _run(self) -> None:
        import selectors

        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    ready = key.fileobj
                    if ready is self._wake_reader:
                        return
                    if ready is self._server:
                        selector.register(self._accepted(), selectors.EVENT_READ)
                    elif isinstance(ready, socket.socket) and not self._read(self._peers[ready]):
                        selector.unregister(ready)
                        self._hang_up(self._peers.pop(ready))

    def _accepted(self) -> socket.socket:
        connection, _ = self._server.accept()
        connection.settimeout(_PATIENCE_S)
        self._peers[connection] = Peer(connection)
        return connection

    def _read(self, peer: Peer) -> bool:
        """Takes what a process has sent; False when it is to be hung up on."""
        try:
            data = peer.connection.recv(65536)
            return bool(data) and all(self._take(peer, one) for one in peer.unpacker.feed(data))
        except (OSError, WireError):
            return False

    def _take(self, peer: Peer, message: Message) -> bool:
        if peer.hello is None:
            return self._first(peer, message)
        asked = self._asked.get(message.get("id") or 0)
        if asked is None:
            self._heard(peer, message)
        else:
            _, answered, answers = asked
            answers.append(message)
            answered.set()
        return True

    def _first(self, peer: Peer, message: Message) -> bool:
        """Judges a process's first message: its secret, and that both speak one protocol."""
        import hmac

        secret = str(message.pop("secret", ""))
        if not hmac.compare_digest(secret.encode(), self.secret.encode()):
            peer.send(REFUSED, why="The secret is not that of this run.")
            return False
        if message["type"] == TROUBLE:
            self._heard(peer, message)
            return False
        protocol = message.get("protocol")
        if message["type"] != HELLO or protocol != PROTOCOL:
            says = (
                f"the unslow {message.get('unslow')} in the app's environment speaks version"
                f" {protocol} of the wire's protocol, this one speaks version {PROTOCOL}"
            )
            peer.send(REFUSED, why=says)
            self._heard(peer, {**message, "type": TROUBLE, "what": "protocol", "says": says})
            return False
        peer.hello = message
        self._heard(peer, message)
        return True

    def _hang_up(self, peer: Peer) -> None:
        peer.connection.close()
        for asked, answered, _ in tuple(self._asked.values()):
            if asked is peer:
                answered.set()
        if peer.hello is not None and self._gone is not None:
            self._gone(peer)
