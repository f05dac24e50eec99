"""Keep one temporary PostgreSQL running exactly as long as the process that asked for it.

A program of its own that needs nothing but the standard library (`python keeper.py`): it reads one
line of JSON (an `Order`) from its standard input, answers with one line of JSON (`Started`, or
`{"failed": "why"}`), and then watches. It ends the server and deletes the server's folder when

- its standard input says another word or closes, as it does when the owner is killed,
- the owner is gone although a forked child of it still holds the pipe,
- it is told to end by SIGTERM, or the server ends by itself.

Ctrl-C and a closed terminal do not end it: the owner decides. When the keeper itself is killed,
the Linux kernel ends the server, and the folder stays behind.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO

START_SECONDS = 60.0
FAST_STOP_SECONDS = 5.0
IMMEDIATE_STOP_SECONDS = 3.0
WATCH_SECONDS = 0.5
READY_POLL_SECONDS = 0.01
PORT_ATTEMPTS = 8
DELETE_ATTEMPTS = 40
DELETE_PAUSE_SECONDS = 0.05
LOG_LINES_SHOWN = 20
LOG_BYTES_READ = 16_384
PR_SET_PDEATHSIG = 1

# PostgreSQL sees nothing of the owner's environment: `PG*` would change what it does, the rest may
# be secret, and as root it would be handed to another user.
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Order:
    """What the owner asks the keeper for."""

    site: str  # the folder that `install` and `parts` are relative to
    install: str  # the folder with PostgreSQL's bin, lib and share
    parts: list[str]  # all that initdb and postgres need to run from a copy
    parents: list[str]  # where the server's folder may be made, best first
    account: list[int] | None  # user and group id to run as, None: as we are
    initdb: list[str]  # options for initdb, beside the folder and the password
    user: str  # the superuser inside PostgreSQL
    password: str
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Started:
    """What the keeper answers when the server takes connections."""

    port: int
    process_id: int  # of the server
    version: str  # as in "18.4"
    folder: str


class StartFailedError(Exception):
    """The server cannot be started; the message says why."""


class OwnerGoneError(Exception):
    """Nobody waits for the server any more."""


class Owner:
    """The process at the other end of the pipe that is our standard input."""

    def __init__(self) -> None:
        self._parent_id = os.getppid()
        self._told_to_end = False
        signal.signal(signal.SIGTERM, self._on_terminate)

    def read_order(self) -> Order:
        """Return the first line of the pipe, read byte by byte: a later word means the end."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(0, 1)
            if not byte:
                raise OwnerGoneError
            line += byte
        return Order(**json.loads(line))

    def wait(self, seconds: float) -> None:
        """Return after this time, or raise `OwnerGoneError` as soon as it is so."""
        readable, _, _ = select.select([0], [], [], seconds)
        if readable or self._told_to_end or os.getppid() != self._parent_id:
            raise OwnerGoneError

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_end = True


class Server:
    """One PostgreSQL in a folder of its own, from `initdb` to the end."""

    def __init__(self, order: Order, owner: Owner, folder: Path, log: IO[bytes]) -> None:
        self._order = order
        self._owner = owner
        self._folder = folder
        self._data = folder / "data"
        self._log = log
        self._binaries = Path(order.site, order.install, "bin")
        self._deadline = time.monotonic() + START_SECONDS
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Started:
        """Make the database files, start the server and return once it takes connections."""
        password_file = self._prepare_folder()
        version = self._run("postgres", "--version").split()[-1]
        access = ["--username", self._order.user, "--pwfile", str(password_file)]
        self._run("initdb", "-D", str(self._data), *access, *self._order.initdb)
        password_file.unlink()
        port, process_id = self._start_on_free_port()
        return Started(port, process_id, version, str(self._folder))

    def watch(self) -> None:
        """Return when the server has ended by itself, raise `OwnerGoneError` before."""
        while self._process is not None and self._process.poll() is None:
            self._owner.wait(WATCH_SECONDS)

    def end(self) -> None:
        """End the server: politely, then at once, then by force."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        for number, seconds in (
            (signal.SIGINT, FAST_STOP_SECONDS),
            (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS),
            (signal.SIGKILL, None),
        ):
            process.send_signal(number)
            try:
                process.wait(seconds)
                return
            except subprocess.TimeoutExpired:
                continue

    def _prepare_folder(self) -> Path:
        """Put all that the server needs into the folder, and only then give it to its user."""
        password_file = self._folder / "password"
        password_file.write_text(self._order.password)
        account = self._order.account
        if account is not None:
            if not can_read(account, self._order):
                copy_parts(self._order, self._folder)
                self._binaries = self._folder / self._order.install / "bin"
            give_to(account, self._folder)
        return password_file

    def _start_on_free_port(self) -> tuple[int, int]:
        for _ in range(PORT_ATTEMPTS):
            port = free_port()
            self._log.truncate(0)
            self._process = self._spawn("postgres", *self._server_options(port))
            if self._is_ready(self._process):
                return port, self._process.pid
            # Somebody took the port between our look and the server's.
            if b"could not create any TCP/IP sockets" not in tail(self._log):
                break
        raise StartFailedError(f"it ended at once, and its log ends with:\n{shown(self._log)}")

    def _server_options(self, port: int) -> list[str]:
        settings = {
            **self._order.settings,
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
        }
        options = ["-D", str(self._data)]
        for name, value in settings.items():
            options += ["-c", f"{name}={value}"]
        return options

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for the server's own word in `postmaster.pid`; False when it has ended."""
        while process.poll() is None:
            if server_status(self._data, process.pid) == "ready":
                return True
            self._wait_for_start("it did not take connections")
        return False

    def _run(self, program: str, *options: str) -> str:
        """Run one of PostgreSQL's programs to its end and return what it wrote."""
        self._log.truncate(0)
        process = self._spawn(program, *options)
        try:
            while process.poll() is None:
                self._wait_for_start(f"{program} did not end")
        finally:
            if process.poll() is None:
                # Its whole group: initdb leaves the work to a child, which would write on.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode != 0:
            raise StartFailedError(
                f"{program} ended with {process.returncode} and said:\n{shown(self._log)}"
            )
        return tail(self._log).decode(errors="replace")

    def _wait_for_start(self, complaint: str) -> None:
        self._owner.wait(READY_POLL_SECONDS)
        if time.monotonic() > self._deadline:
            raise StartFailedError(
                f"{complaint} within {START_SECONDS:.0f} s, and wrote:\n{shown(self._log)}"
            )

    def _spawn(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        user, group = self._order.account or (None, None)
        path = self._binaries / program
        try:
            return subprocess.Popen(
                [str(path), *options],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                cwd=self._folder,
                env=clean_environment(),
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - this program has one thread
            )
        except PermissionError:
            raise StartFailedError(
                f"{path} may not be run: is its file system mounted with noexec? "
                "Set TMPDIR to a folder on another one."
            ) from None


def clean_environment() -> dict[str, str]:
    """Return the variables that PostgreSQL's programs may see."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    # Messages that we can read, and one time zone on every machine.
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def end_with_parent() -> Callable[[], object] | None:
    """Return what a new process runs to be ended when we die, None where that cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes
    except ImportError:  # a Python that was built without libffi
        return None
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, int(signal.SIGQUIT))


def server_status(data: Path, process_id: int) -> str | None:
    """Return the status line of `postmaster.pid`, None before this server has written it."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or lines[0].strip() != str(process_id):
        return None
    return lines[7].strip()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def tail(log: IO[bytes]) -> bytes:
    """Return the last bytes of a log that others write to."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - LOG_BYTES_READ))
    return log.read()


def shown(log: IO[bytes]) -> str:
    """Return the last lines of a log, indented."""
    lines = tail(log).decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n".join(f"  {line}" for line in lines) or "  (nothing)"


@contextmanager
def acting_as(account: list[int]) -> Iterator[None]:
    """Look at files with the rights of another user."""
    groups, group = os.getgroups(), os.getegid()
    user = os.geteuid()
    os.setgroups([])
    os.setegid(account[1])
    os.seteuid(account[0])
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)


def can_read(account: list[int], order: Order) -> bool:
    """Say whether this user can open every file that the server needs, where it lies."""
    try:
        with acting_as(account):
            for part in order.parts:
                for path in files_below(Path(order.site, part)):
                    path.open("rb").close()
    except PermissionError:
        return False
    return True


def files_below(path: Path) -> Iterator[Path]:
    """Yield the file itself, or all files of the folder; a closed folder raises."""
    if not path.is_dir():
        yield path
        return
    with os.scandir(path) as entries:
        for entry in entries:
            yield from files_below(Path(entry.path))


def copy_parts(order: Order, folder: Path) -> None:
    """Copy what the server needs, each part at its old place relative to the others."""
    for part in order.parts:
        source, target = Path(order.site, part), folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            # Static libraries are half of the size, and nothing here links.
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.a"))
        else:
            shutil.copy(source, target)


def give_to(account: list[int], folder: Path) -> None:
    """Make this user the owner of the folder, the folder itself last: no race with its content."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), *account, follow_symlinks=False)
    os.chown(folder, *account)


def make_folder(order: Order) -> Path:
    """Make the server's folder in the first place that its user can reach."""
    if order.account is not None:
        try:
            with acting_as(order.account):
                pass
        except OSError as error:
            raise StartFailedError(
                f"as root it runs as the user with id {order.account[0]}, and this root may not "
                f"become another user ({error.strerror}): start unslow as a user that is not root."
            ) from None
    refused = []
    for parent in order.parents:
        try:
            if order.account is not None:
                with acting_as(order.account):
                    os.stat(Path(parent, "."))
            return Path(tempfile.mkdtemp(prefix="unslow-postgres-", dir=parent)).absolute()
        except OSError as error:
            refused.append(f"{parent} ({error.strerror})")
    raise StartFailedError(f"its folder can be made in none of: {', '.join(refused)}")


def delete_folder(folder: Path) -> None:
    """Delete the folder, again while processes that were just killed still write into it."""
    for _ in range(DELETE_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(DELETE_PAUSE_SECONDS)


def answer(message: dict[str, object]) -> None:
    """Tell the owner, and let go of its pipe."""
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        raise OwnerGoneError from None
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def keep(order: Order, owner: Owner) -> None:
    """Start the server, watch it, and leave nothing of it behind."""
    folder = make_folder(order)
    try:
        # Appending: the server writes through the same descriptor in which we seek to read.
        with open(folder / "server.log", "a+b", buffering=0) as log:
            server = Server(order, owner, folder, log)
            try:
                answer(asdict(server.start()))
                server.watch()
            finally:
                server.end()
    finally:
        delete_folder(folder)


def ignore_signal(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: unlike SIG_IGN, this is not handed on to the server."""


def main() -> None:
    """Serve the owner at the other end of standard input."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ignore_signal)
    owner = Owner()
    try:
        keep(owner.read_order(), owner)
    except OwnerGoneError:
        return
    except (StartFailedError, OSError, subprocess.SubprocessError) as error:
        answer({"failed": str(error)})


if __name__ == "__main__":
    main()
