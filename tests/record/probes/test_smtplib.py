"""smtplib against a real mail server on the loopback interface."""

from __future__ import annotations

import asyncio
import inspect
import smtplib
import socket
import socketserver
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import pytest

from tests.record.probes.asgi import whole_receipt
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import (
    RawSlice,
    covers,
    everything_in,
    lanes_with,
    milliseconds,
    slices_of,
)
from tests.record.probes.stub import Exchange
from unslow.current import LANE, OpenTrace, clock
from unslow.model.codec import trace_of
from unslow.model.trace import REMOTE, Slice
from unslow.record.finish import finished
from unslow.record.lanes import run_in_lane

SECRET = "s3cr3t"
FROM, TO = f"{SECRET}@a.example", f"{SECRET}@b.example"
TEXT = f"Subject: {SECRET}\r\n\r\n{SECRET}"
PATIENCE_S = 30


@dataclass
class Sink:
    """The address of the mail server, and when it got each command and answered it.

    It takes mails for everybody but `nobody@...`, knows the password `SECRET`, and offers TLS
    without having it.
    """

    port: int = 0
    commands: list[tuple[str, Exchange]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def last(self, verb: str) -> Exchange:
        return [exchange for name, exchange in self.commands if name == verb][-1]

    def client(self, timeout: Any = 5) -> smtplib.SMTP:
        # With a name for this machine, which may have to be asked for.
        return smtplib.SMTP("127.0.0.1", self.port, "localhost", timeout)

    def answer(self, connection: Any) -> None:
        """Speaks to one client until it leaves."""
        greeting = Exchange(clock())
        self.commands.append(("CONNECT", greeting))
        _say(connection, greeting, "220 sink")
        while line := connection.rfile.readline():
            seen = Exchange(clock())
            verb, _, rest = line.decode().strip().partition(" ")
            self.commands.append((verb.upper(), seen))
            if verb.upper() == "DATA":
                _say(connection, seen, "354 go on")
                self._take(connection)
            _say(connection, seen, _answer(verb.upper(), rest))
            if verb.upper() == "QUIT":
                return

    def _take(self, connection: Any) -> None:
        lines = []
        while (line := connection.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.decode())
        self.mails.append("".join(lines))


def _say(connection: Any, seen: Exchange, text: str) -> None:
    seen.end_ns = clock()
    connection.wfile.write(f"{text}\r\n".encode())


def _answer(verb: str, rest: str) -> str:
    if verb == "EHLO":
        return "250-sink\r\n250-STARTTLS\r\n250 AUTH PLAIN"
    if verb == "AUTH":
        *_, password = b64decode(rest.partition(" ")[2]).decode().split("\0")
        return "235 welcome" if password == SECRET else "535 who are you"
    if verb == "RCPT" and "nobody@" in rest:
        return "550 nobody here"
    return {"STARTTLS": "454 not today", "QUIT": "221 bye"}.get(verb, "250 fine")


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with running_sink() as sink:
        yield sink


@contextmanager
def running_sink() -> Iterator[Sink]:
    sink = Sink()

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            # The client may have left.
            with suppress(ConnectionError):
                sink.answer(self)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Connection) as server:
        sink.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield sink
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install("smtplib")
    return bench


def send(sink: Sink) -> None:
    """A mail as it is usually sent."""
    with sink.client() as client:
        client.sendmail(FROM, TO, TEXT)


def hosts_of(trace: OpenTrace) -> list[str]:
    return [one[3][0] for one in slices_of(trace, REMOTE)]


def is_around(one: RawSlice, seen: Exchange) -> bool:
    return covers([one], seen)


def functions_of(one: Slice) -> list[str]:
    """The functions of the lines that called one another, the innermost first."""
    assert isinstance(one.what, tuple)
    assert one.place is not None
    names = [one.place.function, *(name for _, _, name in one.what[4:])]
    return [name.rpartition(".")[2] for name in names]


def test_the_connection_and_the_mail_are_remote_until_the_server_has_answered(
    probed: Bench, sink: Sink
) -> None:
    trace = probed.run(lambda: send(sink))

    connecting, mailing = slices_of(trace, REMOTE)
    assert is_around(connecting, sink.last("CONNECT"))
    assert is_around(mailing, sink.last("DATA"))
    assert SECRET in sink.mails[-1]


def test_it_is_told_as_mail_with_its_server_and_the_lines_that_called(
    probed: Bench, sink: Sink
) -> None:
    def work() -> None:
        send(sink)

    trace = probed.run(work)

    connecting, mailing = trace_of(finished(trace)).lanes[0].slices
    assert {f"smtp {sink.address}"} == set(hosts_of(trace))
    assert ["client", "send", "work"] == functions_of(connecting)[:3]
    assert ["send", "work"] == functions_of(mailing)[:2]


def test_a_message_that_is_sent_is_one_call(probed: Bench, sink: Sink) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = SECRET, FROM, TO
    message.set_content(SECRET)

    def work() -> None:
        with sink.client() as client:
            client.send_message(message)

    assert 2 == len(slices_of(probed.run(work), REMOTE))


def test_logging_in_asking_for_tls_and_leaving_are_calls_of_the_same_server(
    probed: Bench, sink: Sink
) -> None:
    def work() -> None:
        client = sink.client()
        with pytest.raises(smtplib.SMTPResponseException):
            client.starttls()
        client.login(SECRET, SECRET)
        client.sendmail(FROM, TO, TEXT)
        client.quit()

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert [f"smtp {sink.address}"] * 5 == hosts_of(trace)
    assert 1 == len({one[3][1] for one in slices})
    for one, verb in zip(slices, ("CONNECT", "STARTTLS", "AUTH", "DATA", "QUIT"), strict=True):
        assert is_around(one, sink.last(verb))


def later(sink: Sink) -> smtplib.SMTP:
    client = smtplib.SMTP(local_hostname="localhost", timeout=5)
    client.connect("127.0.0.1", sink.port)
    return client


def by_name(sink: Sink) -> smtplib.SMTP:
    client = smtplib.SMTP(local_hostname="localhost", timeout=5)
    client.connect(port=sink.port, host="127.0.0.1")
    return client


@pytest.mark.parametrize(
    "connect",
    [
        later,
        by_name,
        lambda sink: smtplib.SMTP(sink.address, local_hostname="localhost", timeout=5),
    ],
    ids=["later", "by name", "in one word"],
)
def test_the_server_is_known_however_it_is_named(
    probed: Bench, sink: Sink, connect: Callable[[Sink], smtplib.SMTP]
) -> None:
    trace = probed.run(lambda: connect(sink).quit())

    assert [f"smtp {sink.address}"] * 2 == hosts_of(trace)


def test_a_server_without_a_port_is_told_with_the_usual_one(probed: Bench) -> None:
    class Nowhere(smtplib.SMTP):
        def _get_socket(self, *_args: Any) -> Any:
            raise ConnectionRefusedError

    def work() -> None:
        for host in ("localhost", "::1"):
            with pytest.raises(ConnectionRefusedError):
                Nowhere(host, local_hostname="localhost")

    assert ["smtp localhost:25", "smtp [::1]:25"] == hosts_of(probed.run(work))


def test_a_client_of_before_the_request_keeps_its_server_and_its_number(
    probed: Bench, sink: Sink
) -> None:
    client = sink.client()

    traces = [probed.run(lambda: client.sendmail(FROM, TO, TEXT)) for _ in range(2)]
    client.quit()

    assert [[f"smtp {sink.address}"]] * 2 == [hosts_of(trace) for trace in traces]
    assert 1 == len({slices_of(trace, REMOTE)[0][3][1] for trace in traces})


def test_a_client_of_before_the_probe_is_told_without_its_port(bench: Bench, sink: Sink) -> None:
    client = sink.client()
    bench.install("smtplib")

    assert ["smtp 127.0.0.1"] == hosts_of(bench.run(client.quit))


def test_a_client_for_every_mail_shows_as_many_numbers(probed: Bench, sink: Sink) -> None:
    def work() -> None:
        for _ in range(3):
            send(sink)

    trace = probed.run(work)

    assert 3 == len({one[3][1] for one in slices_of(trace, REMOTE)})


@pytest.mark.parametrize(("timeout", "bounded"), [(5, True), (0.5, True), (None, False)])
def test_a_slice_says_whether_a_timeout_bounds_the_wait(
    probed: Bench, sink: Sink, timeout: float | None, bounded: bool
) -> None:
    def work() -> None:
        with sink.client(timeout=timeout) as client:
            client.sendmail(FROM, TO, TEXT)

    assert {bounded} == {one[3][2] for one in slices_of(probed.run(work), REMOTE)}


def test_a_default_timeout_of_the_process_bounds_the_wait(probed: Bench, sink: Sink) -> None:
    def work() -> None:
        smtplib.SMTP("127.0.0.1", sink.port, "localhost").quit()

    before = probed.run(work)
    socket.setdefaulttimeout(5)
    try:
        after = probed.run(work)
    finally:
        socket.setdefaulttimeout(None)

    assert [False, True] == [slices_of(trace, REMOTE)[0][3][2] for trace in (before, after)]


def test_a_mail_in_a_thread_is_remote_in_a_lane_of_its_own(probed: Bench, sink: Sink) -> None:
    async def work() -> None:
        lane = LANE.get()
        assert lane is not None
        await asyncio.to_thread(run_in_lane, lane, None, send, (sink,), {})

    trace = probed.run(work)

    (lane,) = lanes_with(trace, REMOTE)
    assert "thread" == lane.kind
    assert not [piece for piece in whole_receipt(trace).pieces if piece.on_loop]


def test_a_mail_in_async_code_is_a_wait_that_holds_the_loop(probed: Bench, sink: Sink) -> None:
    async def work() -> None:
        send(sink)

    trace = probed.run(work)

    held = [piece for piece in whole_receipt(trace).pieces if piece.segment == REMOTE]
    assert held
    assert all(piece.on_loop for piece in held)
    assert milliseconds(slices_of(trace, REMOTE)) == pytest.approx(
        sum(piece.end_ns - piece.start_ns for piece in held) / 1e6
    )


def test_no_address_no_text_and_no_password_is_kept(probed: Bench, sink: Sink) -> None:
    def work() -> None:
        with sink.client() as client:
            client.login(SECRET, SECRET)
            client.sendmail(FROM, [TO], TEXT)

    trace = probed.run(work)

    assert 3 == len(slices_of(trace, REMOTE))
    assert SECRET not in everything_in(trace)
    assert SECRET not in repr(finished(trace))


def test_errors_are_the_librarys_own_and_their_time_is_remote(probed: Bench, sink: Sink) -> None:
    def work() -> None:
        with sink.client() as client:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail(FROM, "nobody@b.example", TEXT)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login(SECRET, "wrong")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail(FROM, TO, TEXT)
        with pytest.raises(ConnectionRefusedError):
            smtplib.SMTP("127.0.0.1", 1, "localhost", 5)

    trace = probed.run(work)

    assert [*[f"smtp {sink.address}"] * 4, "smtp 127.0.0.1:1"] == hosts_of(trace)


def test_a_users_mistake_stays_one(probed: Bench) -> None:
    def work() -> None:
        with pytest.raises(TypeError):
            smtplib.SMTP(timeout=5).connect("127.0.0.1", 1, None, "more")  # type: ignore[call-arg]  # the mistake
        with pytest.raises(AttributeError):
            smtplib.SMTP(timeout=5).connect(None)  # type: ignore[arg-type]  # the mistake

    assert 2 == len(slices_of(probed.run(work), REMOTE))


def test_outside_a_request_nothing_is_recorded(probed: Bench, sink: Sink) -> None:
    send(sink)

    assert [] == slices_of(probed.run(lambda: None), REMOTE)
    assert SECRET in sink.mails[-1]


def test_the_patched_functions_look_like_the_originals_and_all_of_them_are_given_back(
    bench: Bench,
) -> None:
    kinds: list[Any] = [smtplib.SMTP, smtplib.SMTP_SSL, smtplib.LMTP]
    before = [dict(vars(kind)) for kind in kinds]

    bench.install("smtplib")
    changed = {
        name: (had[name], vars(kind)[name])
        for kind, had in zip(kinds, before, strict=True)
        for name in had
        if vars(kind)[name] is not had[name]
    }
    bench.probes.stop()

    assert {"connect", "starttls", "login", "sendmail", "quit"} == set(changed)
    for original, replaced in changed.values():
        assert original.__qualname__ == replaced.__qualname__
        assert inspect.signature(original) == inspect.signature(replaced)
    assert before == [dict(vars(kind)) for kind in kinds]


def test_a_bug_of_ours_switches_the_probe_off_and_the_mail_is_sent(
    breaking_bench: Bench, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(client: Any) -> int:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("unslow.record.probes.smtplib.pool_number", bug)
    breaking_bench.install("smtplib")
    sent = len(sink.mails)

    breaking_bench.run(lambda: send(sink))

    assert sent + 1 == len(sink.mails)
    assert "broke: RuntimeError" == breaking_bench.recorder.coverage["smtplib"].why
    assert not hasattr(smtplib.SMTP.sendmail, "__wrapped__")


def test_a_library_that_looks_otherwise_is_left_alone(
    breaking_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sendmail(self: Any, mail: str) -> None:
        pass

    monkeypatch.setattr(smtplib.SMTP, "sendmail", sendmail)
    with pytest.raises(AssertionError):
        breaking_bench.install("smtplib")

    assert "off" == breaking_bench.recorder.coverage["smtplib"].state
    assert sendmail is vars(smtplib.SMTP)["sendmail"]
    assert not hasattr(smtplib.SMTP.connect, "__wrapped__")


def test_smtplib_is_covered(probed: Bench) -> None:
    assert "on" == probed.recorder.coverage["smtplib"].state
